// Goal: a member that fell behind the log gets the state, takes over from it exactly, and keeps the log no longer than
// needed. Method: small log limits in the in-memory harness; crashes between the steps of an install.
import { describe, expect, it } from "vitest";
import type { BackendState } from "../../../src/env/index.ts";
import { cutSnapshot, emptyState, SnapshotReceiver } from "../../../src/member/index.ts";
import type { SnapshotFrame } from "../../../src/pb/index.ts";
import { Cluster, type Node } from "../../support/member-harness.ts";
import { get, getLocal, put, valueRead } from "../../support/member-requests.ts";

const IDS = [1n, 2n, 3n];
const SMALL = { snapshotEntries: 5, catchUpEntries: 2, backendIntervalMs: 20, requestTimeoutMs: 60_000 };

/** A cluster whose log no longer reaches back to where one member stopped. */
function behind(): { cluster: Cluster; leader: bigint; lagging: Node } {
  const cluster = Cluster.start(IDS, SMALL);
  const leader = cluster.elect();
  const lagging = cluster.node(cluster.other(leader));
  cluster.request(leader, put("before", "0"));
  cluster.advance(500);
  cluster.crash(lagging);
  fill(cluster, leader, 30);
  expect(cluster.member(leader).status().firstIndex).toBeGreaterThan(10);
  return { cluster, leader, lagging };
}

function fill(cluster: Cluster, leader: bigint, count: number): void {
  for (let i = 0; i < count; i++) {
    cluster.request(leader, put(`k${i % 4}`, String(i)));
    cluster.advance(5);
  }
  cluster.advance(100);
}

function expectSame(cluster: Cluster): void {
  const found = [...cluster.nodes.values()].map(
    ({ member }) => `${member?.status().applied}:${member?.stateHash()}`,
  );
  expect(new Set(found).size).toBe(1);
}

describe("sending and installing", () => {
  it("brings a member that is behind the log up to date, hash and all", () => {
    const { cluster, lagging } = behind();
    cluster.open(lagging);
    cluster.advance(3_000);
    expect(lagging.installed.length).toBe(1);
    expectSame(cluster);
    const getId = cluster.request(lagging.id, getLocal("k1"));
    expect(valueRead(cluster.answer(lagging.id, getId))).toBe("29");
    // And after a restart it stands on the installed directory.
    cluster.crash(lagging);
    cluster.open(lagging);
    cluster.advance(3_000);
    expect(lagging.installed.length).toBe(1);
    expectSame(cluster);
  });

  it("answers heartbeats and applies nothing while the record is on its way to the disk", () => {
    const { cluster, leader, lagging } = behind();
    cluster.holdSnapshots = true;
    cluster.open(lagging);
    cluster.advance(1_500);
    expect(cluster.heldSnapshots.length).toBe(1);
    lagging.holdLog = true;
    cluster.releaseSnapshots();
    const { applied } = cluster.member(lagging.id).status();
    fill(cluster, leader, 3);
    cluster.sent.length = 0;
    cluster.advance(500);
    expect(cluster.member(lagging.id).status().applied).toBe(applied);
    expect(lagging.installed).toEqual([]);
    expect(cluster.sent.some((m) => m.type === "heartbeatResponse" && m.from === lagging.id)).toBe(true);
    expect(cluster.leader()).toBe(leader);
    // A crash now leaves the old state in use.
    const held = lagging.logBatch;
    expect(held?.snapshot).toBeDefined();
    cluster.crash(lagging);
    lagging.holdLog = false;
    cluster.open(lagging);
    cluster.advance(3_000);
    expect(lagging.installed.length).toBe(1);
    expectSame(cluster);
  });

  it.each([
    { readsDisk: false, writesMore: false },
    { readsDisk: true, writesMore: false },
    { readsDisk: true, writesMore: true },
  ])("completes a backend batch of before that returns only then: %o", ({ readsDisk, writesMore }) => {
    const cluster = Cluster.start(IDS, { ...SMALL, readsDisk });
    const leader = cluster.elect();
    cluster.advance(500);
    const lagging = cluster.node(cluster.other(leader));
    lagging.holdBackend = true;
    fill(cluster, leader, 3);
    expect(lagging.backendBatch).toBeDefined();
    cluster.isolate(lagging.id);
    fill(cluster, leader, 30);
    cluster.holdSnapshots = true;
    cluster.heal();
    cluster.until(() => cluster.heldSnapshots.length === 1);
    lagging.holdLog = true;
    cluster.releaseSnapshots();
    cluster.flush(lagging);
    expect(lagging.installed.length).toBe(1);
    // What the new state has is in no batch yet; it must be readable from memory for as long.
    if (writesMore) fill(cluster, leader, 3);
    cluster.flushBackend(lagging);
    expect(valueRead(cluster.ask(lagging.id, getLocal("k0")))).toBe(writesMore ? "0" : "28");
    expect(valueRead(cluster.ask(lagging.id, getLocal("k2")))).toBe(writesMore ? "2" : "26");
    cluster.advance(3_000);
    expectSame(cluster);
    expect(lagging.disk.state.index).toBe(cluster.member(lagging.id).status().applied);
    cluster.crash(lagging);
    cluster.open(lagging);
    cluster.advance(1_000);
    expectSame(cluster);
  });

  it("issues no backend batch while the snapshot takes over", () => {
    const cluster = Cluster.start(IDS, SMALL);
    const leader = cluster.elect();
    const id = cluster.other(leader);
    cluster.advance(500);
    cluster.crash(cluster.node(id));
    const slow = { ...cluster.node(id), options: { ...cluster.node(id).options, backendIntervalMs: 5_000 } };
    cluster.nodes.set(id, slow);
    cluster.open(slow);
    fill(cluster, leader, 3);
    cluster.isolate(id);
    fill(cluster, leader, 30);
    cluster.holdSnapshots = true;
    cluster.heal();
    cluster.until(() => cluster.heldSnapshots.length === 1);
    expect(cluster.member(slow.id).status().applied).toBeGreaterThan(slow.disk.state.index);
    slow.holdLog = true;
    slow.holdBackend = true;
    cluster.releaseSnapshots();
    cluster.advance(20_000);
    expect(slow.backendBatch).toBeUndefined();
    cluster.flush(slow);
    expect(slow.installed.length).toBe(1);
  });

  it("fails a member that learns from a snapshot that its identity is pinned to another data directory", () => {
    const { cluster, leader, lagging } = behind();
    cluster.advance(3_000);
    const pinned = lagging.options.instance;
    expect(cluster.member(leader).peerRecord(lagging.id).pinnedInstance).toBe(pinned);
    const wiped = cluster.add(lagging.id, { ...SMALL, instance: 4711n });
    cluster.request(leader, { type: "transferLeader", to: cluster.other(leader, lagging.id) });
    cluster.advance(3_000);
    expect(wiped.installed.length).toBe(1);
    expect(wiped.fatal).toContain("is pinned to data directory");
  });

  it("ends the wait of a write that was applied within the snapshot as unknown", () => {
    const cluster = Cluster.start(IDS, SMALL);
    const leader = cluster.elect();
    const lagging = cluster.node(cluster.other(leader));
    cluster.advance(200);
    // Its proposal arrives, nothing comes back.
    cluster.passes = (m) => m.to !== lagging.id;
    const putId = cluster.request(lagging.id, put("mine", "1"));
    expect(cluster.answer(lagging.id, putId)).toBeUndefined();
    cluster.isolate(lagging.id);
    fill(cluster, leader, 30);
    cluster.heal();
    const late = cluster.request(lagging.id, get("mine"));
    cluster.advance(4_000);
    expect(lagging.installed.length).toBe(1);
    expect(cluster.answer(lagging.id, putId)).toMatchObject({
      type: "unknown",
      reason: "applied within a snapshot",
    });
    expect(cluster.answer(lagging.id, late)?.type).toMatch(/done|refused/);
    expectSame(cluster);
  });

  it("refuses a stale snapshot and discards its directory, but never the one in use", () => {
    const { cluster, leader, lagging } = behind();
    cluster.open(lagging);
    cluster.advance(3_000);
    const [inUse] = lagging.installed;
    const { conf, term } = cluster.member(leader).status();
    const stale = { from: leader, to: lagging.id, term };
    lagging.refused.length = 0;
    cluster.input(lagging.id, (m, now) =>
      m.snapshotReceived(now, { ...stale, meta: { index: 2, term: 2, conf } }),
    );
    expect(lagging.discarded).toEqual([2]);
    const again = { index: inUse ?? 0, term, conf };
    cluster.input(lagging.id, (m, now) => m.snapshotReceived(now, { ...stale, meta: again }));
    expect(lagging.discarded).toEqual([2]);
    expect(lagging.refused.length).toBe(2);
    expect(lagging.disk.state.index).toBeGreaterThanOrEqual(inUse ?? 0);
  });

  it("gives up a stream that takes too long, and tries again", () => {
    const { cluster, leader, lagging } = behind();
    cluster.crash(cluster.node(leader));
    cluster.open(lagging);
    cluster.open(cluster.node(leader));
    for (const { member } of cluster.nodes.values()) expect(member).toBeDefined();
    cluster.holdSnapshots = true;
    const leads = cluster.elect();
    cluster.until(() => cluster.heldSnapshots.length === 1);
    const { stream } = cluster.heldSnapshots[0]?.send ?? { stream: 0 };
    cluster.advance(300_001);
    expect(cluster.node(leads).stopped).toContain(stream);
    // What the driver reports for a stream that was stopped changes nothing.
    const { conf, term, commit } = cluster.member(leads).status();
    cluster.input(leads, (m, now) => m.snapshotOpened(now, stream, { index: commit, term, conf }));
    cluster.input(leads, (m, now) => m.snapshotSent(now, stream, true));
    cluster.heldSnapshots.splice(0, 1);
    cluster.releaseSnapshots();
    cluster.advance(3_000);
    expectSame(cluster);
  });

  it("stops its streams when it leads no more", () => {
    const { cluster, leader, lagging } = behind();
    cluster.holdSnapshots = true;
    cluster.open(lagging);
    cluster.until(() => cluster.heldSnapshots.length === 1);
    const other = cluster.other(leader, lagging.id);
    cluster.request(leader, { type: "transferLeader", to: other });
    cluster.until(() => cluster.leader() === other);
    expect(cluster.node(leader).stopped).toEqual([cluster.heldSnapshots[0]?.send.stream]);
  });

  it("fails when the loaded state is not the one that the record names", () => {
    const { cluster, lagging } = behind();
    cluster.holdSnapshots = true;
    cluster.open(lagging);
    cluster.advance(1_500);
    lagging.holdLog = true;
    cluster.releaseSnapshots();
    const index = lagging.logBatch?.snapshot?.index ?? 0;
    const state = lagging.disk.directories.get(index) ?? emptyState();
    lagging.disk.directories.set(index, { ...state, index: index + 1 });
    cluster.flush(lagging);
    expect(lagging.fatal).toContain(`the snapshot record names (${index}, `);
    expect(cluster.member(lagging.id).isEnded).toBe(true);
  });
});

describe("cutting the log", () => {
  it("keeps what the backend does not hold durably", () => {
    const cluster = Cluster.start([1n], SMALL);
    cluster.elect();
    const node = cluster.node(1n);
    cluster.advance(100);
    node.holdBackend = true;
    fill(cluster, 1n, 30);
    const durable = node.disk.state.index;
    expect(cluster.member(1n).status().firstIndex).toBeLessThanOrEqual(durable + 1);
    cluster.flushBackend(node);
    cluster.advance(200);
    const { firstIndex, applied } = cluster.member(1n).status();
    expect(firstIndex).toBe(applied - SMALL.catchUpEntries + 1);
    expect(node.released.at(-1)).toBe(firstIndex - 1);
    cluster.crash(node);
    cluster.open(node);
  });

  it("keeps what a stream under way leaves to be sent", () => {
    const { cluster, leader, lagging } = behind();
    cluster.holdSnapshots = true;
    cluster.open(lagging);
    cluster.until(() => cluster.heldSnapshots.length === 1);
    const bound = cluster.node(leader).disk.state.index;
    fill(cluster, leader, 30);
    expect(cluster.member(leader).status().firstIndex).toBeLessThanOrEqual(bound + 1);
    cluster.releaseSnapshots();
    cluster.advance(3_000);
    expect(cluster.member(leader).status().firstIndex).toBeGreaterThan(bound + 1);
    expectSame(cluster);
  });
});

describe("frames", () => {
  const records = new Map([...Array(20)].map((_, i) => [`k${i}`, new Uint8Array(i)] as const));
  const state: BackendState = { ...emptyState(), index: 9, term: 2, records };
  const header = { stream: 4, from: 1n, to: 2n, term: 3 };
  const frames = (): SnapshotFrame[] => [...cutSnapshot(header, state, 32)];

  it("cuts a state into bounded frames that give the same state", () => {
    const receiver = new SnapshotReceiver(2n);
    const results = frames().map((frame) => receiver.take(frame));
    expect(results.length).toBeGreaterThan(5);
    expect(results.slice(0, -1).every(({ type }) => type === "more")).toBe(true);
    expect(results.at(-1)).toEqual({
      type: "complete",
      from: 1n,
      to: 2n,
      term: 3,
      meta: { index: 9, term: 2, conf: state.conf },
      state,
    });
  });

  it("carries a state without records", () => {
    const receiver = new SnapshotReceiver(2n);
    const empty = [...cutSnapshot(header, { ...state, records: new Map() })];
    expect(empty.map(({ type }) => type)).toEqual(["begin", "end"]);
    expect(empty.map((frame) => receiver.take(frame).type)).toEqual(["more", "complete"]);
  });

  const rows: readonly { name: string; change: (f: SnapshotFrame[]) => SnapshotFrame[]; reason: RegExp }[] = [
    { name: "no begin", change: (f) => f.slice(1), reason: /starts with chunk/ },
    {
      name: "two begins",
      change: (f) => [f[0], ...f].filter((x) => x !== undefined),
      reason: /begins twice/,
    },
    { name: "lost chunk", change: (f) => f.filter((_, i) => i !== 2), reason: /chunk 2 came where 1/ },
    {
      name: "repeated chunk",
      change: (f) => f.flatMap((x, i) => (i === 2 ? [x, x] : [x])),
      reason: /chunk 1 came where 2/,
    },
    {
      name: "lost last chunk",
      change: (f) => f.filter((_, i) => i !== f.length - 2),
      reason: /records came, the end says 20/,
    },
    {
      name: "changed value",
      change: (f) =>
        f.map((x, i) =>
          x.type === "chunk" && i === 3
            ? { ...x, records: x.records.map(([k, v]) => [k, v.map(() => 1)] as const) }
            : x,
        ),
      reason: /hash/,
    },
    {
      name: "other stream",
      change: (f) => f.map((x, i) => (i === 2 ? { ...x, stream: 5 } : x)),
      reason: /stream 5 in stream 4/,
    },
    {
      name: "for another member",
      change: (f) => f.map((x) => (x.type === "begin" ? { ...x, to: 3n } : x)),
      reason: /is for 3, this is 2/,
    },
    { name: "after the end", change: (f) => [...f, ...f.slice(-1)], reason: /has ended/ },
  ];
  it.each(rows)("refuses: $name", ({ change, reason }) => {
    const receiver = new SnapshotReceiver(2n);
    const results = change(frames()).map((frame) => receiver.take(frame));
    const last = results.at(-1);
    expect(last?.type === "refused" && last.reason).toMatch(reason);
  });

  it("refuses a record that comes twice", () => {
    const receiver = new SnapshotReceiver(2n);
    const [begin, chunk] = frames();
    if (begin === undefined || chunk?.type !== "chunk") throw new Error("no chunk");
    receiver.take(begin);
    const twice = { ...chunk, records: [...chunk.records, ...chunk.records.slice(0, 1)] };
    expect(receiver.take(twice)).toMatchObject({ type: "refused", reason: 'record "k0" came twice' });
    expect(receiver.take(chunk).type).toBe("refused");
  });
});
