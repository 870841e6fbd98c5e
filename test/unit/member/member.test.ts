// Goal: three real members elect, replicate, answer at the right member, time out and restart. Method: the in-memory
// harness with immediate delivery; every step also checks the members' own invariants.
import { describe, expect, it } from "vitest";
import { bytesOf, EMPTY_BYTES, ERR, type KvError } from "../../../src/base/index.ts";
import type { Request } from "../../../src/member/index.ts";
import { put as putOp, range as rangeOp } from "../../support/kv-world.ts";
import { Cluster } from "../../support/member-harness.ts";
import {
  compact,
  get,
  getLocal,
  grant,
  kvsOf,
  put,
  remove,
  responseOf,
  revisionOf,
  swap,
  valueRead,
  write,
} from "../../support/member-requests.ts";

const IDS = [1n, 2n, 3n];

function hashes(cluster: Cluster): Set<string> {
  const found = new Set<string>();
  for (const { member } of cluster.nodes.values()) {
    if (member) found.add(`${member.status().applied}:${member.stateHash()}`);
  }
  return found;
}

describe("requests", () => {
  it("answers a put and a get through the leader", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    const putId = cluster.request(leader, put("a", "1"));
    const written = cluster.answer(leader, putId);
    expect(written).toMatchObject({
      type: "done",
      revision: 2,
      response: { type: "put", prevKv: undefined },
    });
    const getId = cluster.request(leader, get("a"));
    const kv = { value: bytesOf("1"), createRevision: 2, modRevision: 2, version: 1, lease: 0n };
    const index = written?.type === "done" ? written.index : 0;
    expect(cluster.answer(leader, getId)).toMatchObject({ type: "done", index, revision: 2 });
    expect(kvsOf(cluster.answer(leader, getId))).toEqual([{ key: bytesOf("a"), ...kv }]);
  });

  it("answers a put and a get through a follower, at that follower", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    const follower = cluster.other(leader);
    const putId = cluster.request(follower, put("a", "1"));
    cluster.advance(200);
    expect(cluster.answer(follower, putId)).toMatchObject({ type: "done" });
    expect(cluster.answer(leader, putId)).toBeUndefined();
    const getId = cluster.request(follower, get("a"));
    cluster.advance(200);
    expect(valueRead(cluster.answer(follower, getId))).toBe("1");
  });

  it("carries out each kind of write", () => {
    const cluster = Cluster.start([1n]);
    cluster.elect();
    const txn = (succeeded: boolean, response: object) => ({ succeeded, responses: [response] });
    const old = (text: string) => ({ value: bytesOf(text) });
    const steps: readonly { name: string; op: Request; response: object }[] = [
      { name: "swap of an absent key", op: swap("k", "x", "1"), response: txn(false, { kvs: [] }) },
      { name: "creation", op: swap("k", undefined, "1"), response: txn(true, { prevKv: undefined }) },
      {
        name: "creation of a present key",
        op: swap("k", undefined, "2"),
        response: txn(false, { kvs: [old("1")] }),
      },
      { name: "swap", op: swap("k", "1", "2"), response: txn(true, { prevKv: old("1") }) },
      { name: "put", op: put("k", "3", { prevKv: true }), response: { prevKv: old("2") } },
      { name: "delete", op: remove("k"), response: { deleted: 1, prevKvs: [old("3")] } },
      { name: "delete of an absent key", op: remove("k"), response: { deleted: 0, prevKvs: [] } },
    ];
    const revisions: number[] = [];
    for (const { name, op, response } of steps) {
      const answer = cluster.answer(1n, cluster.request(1n, op));
      expect(answer, name).toMatchObject({ type: "done", response });
      revisions.push(revisionOf(answer));
    }
    // What changes nothing has no revision of its own.
    expect(revisions).toEqual([1, 2, 2, 3, 4, 5, 5]);
  });

  it("refuses what cannot be taken, and says why", () => {
    const cluster = Cluster.start(IDS);
    const early = cluster.request(1n, put("a", "1"));
    expect(cluster.answer(1n, early)).toMatchObject({ type: "refused", error: ERR.noLeader });
    const read = cluster.request(1n, get("a"));
    expect(cluster.answer(1n, read)).toMatchObject({ type: "refused", error: ERR.noLeader });
    const local = cluster.request(1n, getLocal("a"));
    expect(valueRead(cluster.answer(1n, local))).toBeUndefined();
    const leader = cluster.elect();
    const follower = cluster.other(leader);
    const { lastIndex } = cluster.member(leader).status();
    const compare = { key: EMPTY_BYTES, rangeEnd: EMPTY_BYTES, result: "equal", target: undefined } as const;
    const rows: readonly { at: bigint; request: Request; error: KvError }[] = [
      { at: leader, request: put("a", "x".repeat(1_572_864)), error: ERR.requestTooLarge },
      { at: follower, request: put("a", "x".repeat(1_572_864)), error: ERR.requestTooLarge },
      { at: leader, request: put("", "1"), error: ERR.emptyKey },
      { at: follower, request: get(""), error: ERR.emptyKey },
      { at: leader, request: put("a", "1", { ignoreValue: true }), error: ERR.valueProvided },
      {
        at: leader,
        request: write({ type: "txn", compare: [compare], success: [], failure: [] }),
        error: ERR.emptyKey,
      },
      {
        at: leader,
        request: write({ type: "txn", compare: [], success: [putOp("a", ""), putOp("a", "")], failure: [] }),
        error: ERR.duplicateKey,
      },
      { at: leader, request: { type: "transferLeader", to: 99n }, error: ERR.badLeaderTransferee },
      { at: follower, request: { type: "transferLeader", to: 0n }, error: ERR.notLeader },
    ];
    for (const { at, request, error } of rows) {
      expect(cluster.answer(at, cluster.request(at, request))).toMatchObject({ type: "refused", error });
    }
    expect(cluster.member(leader).status().lastIndex).toBe(lastIndex);
    // Alarms come before it, so it goes through the log.
    expect(cluster.ask(follower, grant(9_000_000_001))).toMatchObject({ error: ERR.leaseTtlTooLarge });
    // Keys and values are bytes, whatever they may mean.
    const bytes = new Uint8Array([0xff, 0, 0xc3]);
    const odd = cluster.request(leader, put("", "", { key: bytes, value: bytes }));
    expect(cluster.answer(leader, odd)).toMatchObject({ type: "done" });
    const back = cluster.request(leader, { type: "read", read: rangeOp("", "", { key: bytes }) });
    expect(kvsOf(cluster.answer(leader, back))).toMatchObject([{ key: bytes, value: bytes }]);
  });

  it("refuses what the state does not allow when it is applied, at whoever took it", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    const follower = cluster.other(leader);
    const rows: readonly { name: string; request: Request; error: KvError }[] = [
      { name: "no such lease", request: put("a", "1", { lease: 77n }), error: ERR.leaseNotFound },
      { name: "no such key", request: put("a", "", { ignoreValue: true }), error: ERR.keyNotFound },
      { name: "future compaction", request: compact(99), error: ERR.futureRevision },
    ];
    for (const { name, request, error } of rows) {
      const { lastIndex } = cluster.member(leader).status();
      const id = cluster.request(follower, request);
      cluster.advance(200);
      expect(cluster.member(leader).status().lastIndex, name).toBe(lastIndex + 1);
      expect(cluster.answer(follower, id), name).toMatchObject({ type: "refused", error });
    }
    expect(cluster.member(follower).kv.store.revision).toBe(1);
    expect(hashes(cluster).size).toBe(1);
  });

  it("gives up after the timeout: writes unknown, reads refused", () => {
    const cluster = Cluster.start(IDS, { requestTimeoutMs: 500 });
    const leader = cluster.elect();
    cluster.isolate(leader);
    const putId = cluster.request(leader, put("a", "1"));
    const getId = cluster.request(leader, get("a"));
    cluster.advance(499);
    expect(cluster.answer(leader, putId)).toBeUndefined();
    cluster.advance(1);
    expect(cluster.answer(leader, putId)).toMatchObject({ type: "unknown", reason: ERR.timeout.message });
    expect(cluster.answer(leader, getId)).toMatchObject({ type: "refused" });
  });

  it("bounds what waits", () => {
    const cluster = Cluster.start(IDS, { maxPendingRequests: 3 });
    const leader = cluster.elect();
    cluster.isolate(leader);
    const ids = [1, 2, 3].map((n) => cluster.request(leader, put("a", String(n))));
    const refused = [
      cluster.request(leader, put("a", "4")),
      cluster.request(leader, get("a")),
      cluster.request(leader, { type: "changeMembers", change: { joint: false, steps: [], leaseMs: 5 } }),
    ];
    for (const id of refused) {
      expect(cluster.answer(leader, id)).toMatchObject({ type: "refused", error: ERR.tooManyRequests });
    }
    for (const id of ids) expect(cluster.answer(leader, id)).toBeUndefined();
  });

  it("keeps a write that an old leader took apart from the one that overwrote it", () => {
    const cluster = Cluster.start(IDS, { requestTimeoutMs: 60_000 });
    const old = cluster.elect();
    cluster.isolate(old);
    const lost = cluster.request(old, put("a", "lost"));
    const change = cluster.request(old, {
      type: "changeMembers",
      change: { joint: false, steps: [], leaseMs: 9 },
    });
    cluster.until(() => cluster.leader() !== old && cluster.leader() !== 0n);
    cluster.until(() => {
      const leader = cluster.leader();
      const id = cluster.request(leader, put("a", "kept"));
      return cluster.answer(leader, id)?.type === "done";
    });
    cluster.heal();
    cluster.advance(3_000);
    expect(cluster.answer(old, lost)).toBeUndefined();
    // Its position holds another entry now: definite.
    expect(cluster.answer(old, change)).toMatchObject({ type: "refused", error: ERR.notLeader });
    const getId = cluster.request(old, get("a"));
    cluster.advance(500);
    expect(valueRead(cluster.answer(old, getId))).toBe("kept");
    expect(hashes(cluster).size).toBe(1);
  });
});

describe("duplicates", () => {
  it("appends a forwarded proposal once, and applies it once", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    const follower = cluster.other(leader);
    cluster.request(follower, put("a", "1"));
    const proposal = cluster.sent.findLast((message) => message.type === "propose");
    expect(proposal).toBeDefined();
    const before = cluster.member(leader).status().lastIndex;
    if (proposal) for (let i = 0; i < 3; i++) cluster.deliver(proposal);
    expect(cluster.member(leader).status().lastIndex).toBe(before);
  });

  it("recognises a duplicate that is appended and not yet applied", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    const follower = cluster.other(leader);
    cluster.passes = (message) => message.type === "propose";
    cluster.request(follower, put("a", "1"));
    const proposal = cluster.sent.findLast((message) => message.type === "propose");
    const before = cluster.member(leader).status().lastIndex;
    if (proposal) cluster.deliver(proposal);
    expect(cluster.member(leader).status().lastIndex).toBe(before);
  });

  it("recognises a duplicate in the tail that a new leader inherits, and applies a second copy to nothing", () => {
    const cluster = Cluster.start(IDS, { requestTimeoutMs: 60_000 });
    const old = cluster.elect();
    const follower = cluster.other(old);
    const third = cluster.other(old, follower);
    cluster.node(third).member && cluster.crash(cluster.node(third));
    // The follower gets the entry but its acknowledgement is lost: appended on both, committed on none.
    cluster.passes = (message) => message.from === old || message.type === "propose";
    const putId = cluster.request(follower, put("a", "1", { prevKv: true }));
    const proposal = cluster.sent.findLast((message) => message.type === "propose");
    cluster.crash(cluster.node(old));
    cluster.heal();
    cluster.open(cluster.node(third));
    // No proposal may be lost on an old leader here: the follower holds the entry, so it must win.
    cluster.until(() => cluster.leader() === follower);
    const index = cluster.member(follower).status().lastIndex;
    if (proposal) cluster.deliver({ ...proposal, from: third, to: follower });
    expect(cluster.member(follower).status().lastIndex).toBe(index);
    cluster.advance(500);
    expect(cluster.answer(follower, putId)).toMatchObject({ type: "done", response: { prevKv: undefined } });
    cluster.open(cluster.node(old));
    cluster.advance(2_000);
    expect(hashes(cluster).size).toBe(1);
  });

  it("does not append what apply could not read, and says what it refused", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    const from = cluster.other(leader);
    const { term, lastIndex } = cluster.member(leader).status();
    const entries = [
      { type: "normal", data: new Uint8Array([0xff]) },
      { type: "conf", data: new Uint8Array(0) },
    ] as const;
    cluster.input(leader, (member, now) =>
      member.step(now, { type: "propose", from, to: leader, term, entries }),
    );
    expect(cluster.member(leader).status().lastIndex).toBe(lastIndex);
    expect(cluster.node(leader).refused.slice(-2)).toEqual([
      expect.stringContaining("forwarded entry"),
      "configuration changes are not forwarded",
    ]);
  });
});

describe("restart", () => {
  it("comes back from what was durable, with the same hash", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    for (let i = 0; i < 20; i++) cluster.request(leader, put(`k${i % 3}`, String(i)));
    cluster.advance(500);
    const before = hashes(cluster);
    expect(before.size).toBe(1);
    for (const node of cluster.nodes.values()) cluster.crash(node);
    for (const node of cluster.nodes.values()) cluster.open(node);
    const again = cluster.elect();
    const getId = cluster.request(again, get("k1"));
    expect(valueRead(cluster.answer(again, getId))).toBe("19");
    cluster.advance(500);
    expect(hashes(cluster).size).toBe(1);
  });

  it("applies what the backend lost again, and what it kept not again", () => {
    const cluster = Cluster.start([1n]);
    cluster.elect();
    const node = cluster.node(1n);
    cluster.advance(200);
    node.holdBackend = true;
    const first = cluster.request(1n, swap("a", undefined, "1"));
    expect(responseOf(cluster.answer(1n, first))).toMatchObject({ succeeded: true });
    const { applied } = cluster.member(1n).status();
    expect(node.disk.state.index).toBeLessThan(applied);
    cluster.crash(node);
    node.holdBackend = false;
    cluster.open(node);
    // Commit is learned again from the consistent index at least, and by leading for the rest.
    cluster.until(() => cluster.member(1n).status().applied >= applied);
    const getId = cluster.request(1n, getLocal("a"));
    expect(kvsOf(cluster.answer(1n, getId))).toMatchObject([{ value: bytesOf("1"), version: 1 }]);
  });

  it("forgets an entry that was never durable", () => {
    const cluster = Cluster.start([1n]);
    cluster.elect();
    cluster.advance(200);
    const node = cluster.node(1n);
    node.holdLog = true;
    const putId = cluster.request(1n, put("a", "1"));
    cluster.advance(10);
    expect(cluster.answer(1n, putId)).toBeUndefined();
    cluster.crash(node);
    node.holdLog = false;
    cluster.open(node);
    cluster.elect();
    const getId = cluster.request(1n, get("a"));
    expect(valueRead(cluster.answer(1n, getId))).toBeUndefined();
  });
});

describe("persist before send", () => {
  it("lets no acknowledgement, vote or vote request out before its batch is durable", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    cluster.advance(1_000);
    const follower = cluster.other(leader);
    const node = cluster.node(follower);
    const third = cluster.other(leader, follower);
    cluster.crash(cluster.node(third));
    node.holdLog = true;
    cluster.sent.length = 0;
    const putId = cluster.request(leader, put("a", "1"));
    cluster.advance(300);
    const { lastIndex } = cluster.member(leader).status();
    const acks = () =>
      cluster.sent.filter((m) => m.from === follower && m.type === "appendResponse" && m.index >= lastIndex);
    expect(acks()).toEqual([]);
    expect(cluster.answer(leader, putId)).toBeUndefined();
    // Heartbeats are answered all the while: the leader stays.
    expect(cluster.sent.some((m) => m.from === follower && m.type === "heartbeatResponse")).toBe(true);
    expect(cluster.leader()).toBe(leader);
    cluster.flush(node);
    expect(acks().length).toBeGreaterThan(0);
    expect(cluster.answer(leader, putId)).toMatchObject({ type: "done" });
  });

  it("votes only when the vote is durable", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    cluster.advance(1_000);
    const voter = cluster.other(leader);
    cluster.node(voter).holdLog = true;
    cluster.crash(cluster.node(leader));
    cluster.sent.length = 0;
    cluster.advance(8_000);
    const votes = cluster.sent.filter(
      (m) => m.from === voter && m.type === "voteResponse" && !m.pre && m.granted,
    );
    expect(votes).toEqual([]);
    expect(cluster.leader()).toBe(0n);
    cluster.flush(cluster.node(voter));
    cluster.until(() => cluster.leader() !== 0n);
  });

  it("does not commit by its own undurable log", () => {
    const cluster = Cluster.start([1n]);
    cluster.elect();
    cluster.node(1n).holdLog = true;
    const { commit } = cluster.member(1n).status();
    const putId = cluster.request(1n, put("a", "1"));
    expect(cluster.member(1n).status().commit).toBe(commit);
    cluster.flush(cluster.node(1n));
    expect(cluster.answer(1n, putId)).toMatchObject({ type: "done" });
  });

  it("asserts on a completion out of turn", () => {
    const cluster = Cluster.start([1n]);
    cluster.elect();
    expect(() => cluster.member(1n).persisted(cluster.now, 999)).toThrow("batch completed out of turn");
    expect(() => cluster.member(1n).backendDurable(cluster.now, 999)).toThrow("completed out of turn");
    expect(() => cluster.member(1n).tick(cluster.now - 1)).toThrow("time went back");
  });
});

describe("much at once", () => {
  it("applies a long backlog in shares, and asks to go on at once", () => {
    const cluster = Cluster.start([1n]);
    cluster.elect();
    const node = cluster.node(1n);
    cluster.advance(200);
    node.holdLog = true;
    for (let i = 0; i < 3_000; i++) cluster.request(1n, put("a", String(i)));
    const { applied } = cluster.member(1n).status();
    cluster.flush(node);
    // The first request's batch was out alone; the rest is in the next one.
    const shares = [cluster.member(1n).status().applied - applied];
    while (cluster.member(1n).nextWake() <= cluster.now) {
      const before = cluster.member(1n).status().applied;
      cluster.input(1n, (m, now) => m.tick(now));
      shares.push(cluster.member(1n).status().applied - before);
    }
    expect(shares.reduce((sum, share) => sum + share, 0)).toBe(3_000);
    expect(Math.max(...shares)).toBeLessThanOrEqual(1_025);
    expect(shares.length).toBeGreaterThan(2);
  });

  it("stops applying and taking proposals while the backend is far behind, and goes on when it is not", () => {
    const cluster = Cluster.start([1n, 2n]);
    const leader = cluster.elect();
    const follower = cluster.other(leader);
    cluster.advance(1_000);
    const value = "x".repeat(1024 * 1024);
    const behind = cluster.node(follower);
    behind.holdBackend = true;
    for (let i = 0; i < 72; i++) cluster.request(leader, put(`k${i % 4}`, value));
    cluster.advance(500);
    const { applied, commit } = cluster.member(follower).status();
    expect([commit - applied > 5, applied > 50]).toEqual([true, true]);
    const refused = cluster.request(follower, put("k", "1"));
    expect(cluster.answer(follower, refused)).toMatchObject({ type: "refused", error: ERR.tooManyRequests });
    cluster.flushBackend(behind);
    cluster.advance(500);
    expect(cluster.member(follower).status().applied).toBe(cluster.member(leader).status().commit);
    const taken = cluster.request(follower, put("k", "1"));
    cluster.advance(200);
    expect(cluster.answer(follower, taken)).toMatchObject({ type: "done" });
    expect(hashes(cluster).size).toBe(1);
  });
});
