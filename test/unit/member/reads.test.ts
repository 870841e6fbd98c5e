// Goal: reads that take more than one go answer from one revision, once, whatever happens meanwhile; and what only
// reads never goes through the log. Method: 2,500 keys in the in-memory harness, so that a range takes several slices;
// a test moves the time or ticks by hand between them.
import { describe, expect, it } from "vitest";
import { bytesOf, ERR } from "../../../src/base/index.ts";
import type { Answer, MemberOptions, Request } from "../../../src/member/index.ts";
import { DEFAULT_OPTIONS } from "../../../src/member/index.ts";
import { compare, put as putOp, range, txn } from "../../support/kv-world.ts";
import { Cluster } from "../../support/member-harness.ts";
import {
  compact,
  get,
  getLocal,
  kvsOf,
  put,
  remove,
  revisionOf,
  valueRead,
  write,
} from "../../support/member-requests.ts";

const KEYS = 2_500;
const IDS = [1n, 2n, 3n];
const everything: Request = { type: "read", read: range("k", "l", { serializable: true }) };
const hash = (revision: number): Request => ({ type: "hashKv", revision });

/** A cluster with more keys than two slices of a read take. */
function filled(ids: readonly bigint[], options: Partial<MemberOptions> & { readsDisk?: boolean } = {}) {
  const cluster = Cluster.start(ids, options);
  const leader = cluster.elect();
  cluster.advance(500);
  for (let from = 0; from < KEYS; from += 100) {
    const ops = [...Array(100)].map((_, i) => putOp(`k${String(from + i).padStart(4, "0")}`, "old"));
    cluster.ask(leader, write(txn([], ops)));
  }
  cluster.advance(500);
  return { cluster, leader };
}

/** A tick without any time passing. */
function tick(cluster: Cluster, id: bigint): void {
  cluster.input(id, (member, now) => member.tick(now));
}

/** Ticks of member 1 until it has answered. */
function ticksUntil(cluster: Cluster, id: number): number {
  for (let ticks = 0; ; ticks++) {
    if (cluster.answer(1n, id) !== undefined) return ticks;
    if (ticks > 200) throw new Error("no answer");
    tick(cluster, 1n);
  }
}

function hashOf(answer: Answer | undefined): Extract<Answer, { type: "hash" }> {
  if (answer?.type !== "hash") throw new Error(`not a hash: ${answer?.type ?? "no answer"}`);
  return answer;
}

describe("a large range", () => {
  it("is answered over several inputs, from the revision at which it began", () => {
    const { cluster } = filled([1n]);
    const { revision } = cluster.member(1n).kv.store;
    const id = cluster.request(1n, everything);
    expect(cluster.answer(1n, id)).toBeUndefined();
    expect(cluster.member(1n).nextWake()).toBe(cluster.now);
    cluster.ask(1n, put("k0001", "new"), 0);
    cluster.ask(1n, remove("k2400"), 0);
    expect(cluster.answer(1n, id)).toBeUndefined();
    expect(ticksUntil(cluster, id)).toBeGreaterThanOrEqual(2);
    const answer = cluster.answer(1n, id);
    expect(revisionOf(answer)).toBe(revision);
    const kvs = kvsOf(answer);
    expect(kvs.length).toBe(KEYS);
    expect(kvs.every(({ value, modRevision }) => value.length === 3 && modRevision <= revision)).toBe(true);
    expect(Buffer.from(kvs[1]?.value ?? []).toString()).toBe("old");
    expect(valueRead(cluster.ask(1n, get("k0001")))).toBe("new");
    expect(DEFAULT_OPTIONS.readSlice * 2).toBeLessThan(KEYS);
    expect(cluster.member(1n).nextWake()).toBeGreaterThan(cluster.now);
  });

  it("takes turns with others, and counts against the bound of what waits", () => {
    const { cluster } = filled([1n], { maxPendingRequests: 2 });
    const both = [cluster.request(1n, everything), cluster.request(1n, hash(0))];
    for (const request of [everything, hash(0), get("k0001"), getLocal("k0001"), put("k0001", "1")]) {
      const id = cluster.request(1n, request);
      expect(cluster.answer(1n, id)).toMatchObject({ type: "refused", error: ERR.tooManyRequests });
    }
    for (let turn = 0; turn < 120; turn++) tick(cluster, 1n);
    expect(both.map((id) => cluster.answer(1n, id)?.type)).toEqual(["done", "hash"]);
    expect(cluster.ask(1n, getLocal("k0001")).type).toBe("done");
  });

  it("is refused when it takes too long, and lets go of its revision", () => {
    const { cluster } = filled([1n], { requestTimeoutMs: 500 });
    const { kv } = cluster.member(1n);
    cluster.ask(1n, put("k0001", "new"));
    const begun = kv.store.revision;
    const ids = [cluster.request(1n, everything), cluster.request(1n, hash(0))];
    cluster.ask(1n, put("k0001", "newer"), 0);
    cluster.ask(1n, compact(begun + 1), 0);
    cluster.now += 500;
    tick(cluster, 1n);
    for (const id of ids) {
      expect(cluster.answer(1n, id)).toMatchObject({ type: "refused", error: ERR.timeout });
    }
    cluster.advance(2_000);
    expect(kv.store.isCompacted(begun + 1)).toBe(true);
  });

  it("holds what compaction drops until it has read it", () => {
    const { cluster } = filled([1n], { readsDisk: true });
    const { store } = cluster.member(1n).kv;
    const id = cluster.request(1n, everything);
    tick(cluster, 1n);
    for (let i = 0; i < 300; i++) cluster.ask(1n, put(`k${2_200 + i}`, "new"), 0);
    cluster.ask(1n, compact(store.revision), 0);
    cluster.advance(3_000);
    expect(kvsOf(cluster.answer(1n, id)).length).toBe(KEYS);
    expect(store.isCompacted(store.revision)).toBe(true);
  });

  it("is still answered when the member stops, within an election timeout", () => {
    const { cluster } = filled([1n]);
    const id = cluster.request(1n, everything);
    cluster.input(1n, (member, now) => member.stop(now));
    expect(cluster.member(1n).isEnded).toBe(false);
    ticksUntil(cluster, id);
    expect(cluster.answer(1n, id)?.type).toBe("done");
    expect(cluster.member(1n).isEnded).toBe(true);
    const other = filled([1n]).cluster;
    const late = other.request(1n, everything);
    other.input(1n, (member, now) => member.stop(now));
    other.now += 1_000;
    tick(other, 1n);
    expect(other.answer(1n, late)).toMatchObject({ type: "refused", error: ERR.stopped });
  });
});

describe("a hash", () => {
  it("is the same on all members at the same revision, and after what is written later", () => {
    const { cluster, leader } = filled(IDS);
    const { revision } = cluster.member(leader).kv.store;
    const first = IDS.map((id) => hashOf(cluster.ask(id, hash(0))));
    expect(new Set(first.map(({ hash: found }) => found)).size).toBe(1);
    for (const { hashRevision, compactRevision } of first) {
      expect([hashRevision, compactRevision]).toEqual([revision, -1]);
    }
    const id = cluster.request(leader, hash(revision));
    cluster.ask(leader, put("k0001", "new"));
    cluster.advance(200);
    expect(hashOf(cluster.answer(leader, id))).toMatchObject({ hash: first[0]?.hash, revision });
    const later = cluster.ask(leader, hash(revision));
    expect(later).toMatchObject({ hash: first[0]?.hash, revision: revision + 1, hashRevision: revision });
    expect(hashOf(cluster.ask(leader, hash(0))).hash).not.toBe(first[0]?.hash);
  });

  it("is refused at revisions that are gone or to come", () => {
    const { cluster } = filled([1n]);
    const { revision } = cluster.member(1n).kv.store;
    cluster.ask(1n, compact(revision - 5));
    expect(cluster.ask(1n, hash(revision - 6))).toMatchObject({ error: ERR.compacted });
    expect(cluster.ask(1n, hash(revision + 1))).toMatchObject({ error: ERR.futureRevision });
    expect(cluster.ask(1n, hash(revision - 5))).toMatchObject({ compactRevision: revision - 5 });
  });
});

describe("a snapshot that replaces the state", () => {
  it.each([false, true])("lets reads begin anew on it (records on disk: %s)", (readsDisk) => {
    const options = { snapshotEntries: 5, catchUpEntries: 2, backendIntervalMs: 20, readsDisk };
    const { cluster, leader } = filled(IDS, options);
    const lagging = cluster.node(cluster.other(leader));
    cluster.isolate(lagging.id);
    const stale = cluster.member(lagging.id).kv.store.revision;
    for (let i = 0; i < 30; i++) cluster.ask(leader, put("k0001", `new${i}`));
    cluster.advance(200);
    cluster.holdSnapshots = true;
    cluster.heal();
    cluster.until(() => cluster.heldSnapshots.length === 1);
    const old: Request = { type: "read", read: range("k", "l", { serializable: true, revision: stale }) };
    const requests = [everything, hash(0), old, hash(stale)];
    const ids = requests.map((request) => cluster.request(lagging.id, request));
    cluster.releaseSnapshots();
    expect(lagging.installed.length).toBe(1);
    for (const id of ids) expect(cluster.answer(lagging.id, id)).toBeUndefined();
    cluster.advance(100);
    const [all, whole, past, pastHash] = ids.map((id) => cluster.answer(lagging.id, id));
    expect(revisionOf(all)).toBe(stale + 30);
    expect(Buffer.from(kvsOf(all)[1]?.value ?? []).toString()).toBe("new29");
    expect(hashOf(whole).hash).toBe(hashOf(cluster.ask(leader, hash(0))).hash);
    expect(Buffer.from(kvsOf(past)[1]?.value ?? []).toString()).toBe("old");
    expect(hashOf(pastHash).hash).toBe(hashOf(cluster.ask(leader, hash(stale))).hash);
  });
});

describe("what only reads", () => {
  const isThere = compare("k", { type: "version", value: 1 });
  const reading = (serializable: boolean) => txn([isThere], [range("k", "", { serializable })], []);

  it("is not appended, also when it comes as a write", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    cluster.ask(leader, put("k", "1"));
    cluster.advance(3_000);
    const { lastIndex } = cluster.member(leader).status();
    const expected = { type: "txn", succeeded: true, responses: [{ kvs: [{ value: bytesOf("1") }] }] };
    for (const id of [leader, cluster.other(leader)]) {
      for (const read of [reading(false), reading(true)]) {
        expect(cluster.ask(id, { type: "read", read })).toMatchObject({ revision: 2, response: expected });
        expect(cluster.ask(id, write(read))).toMatchObject({ revision: 2, response: expected });
      }
    }
    expect(cluster.member(leader).status().lastIndex).toBe(lastIndex);
    // A txn that may write is appended, whichever branch is taken.
    const mayWrite = txn([isThere], [range("k")], [putOp("k", "2")]);
    expect(cluster.ask(leader, { type: "read", read: mayWrite })).toMatchObject({ response: expected });
    expect(cluster.member(leader).status().lastIndex).toBe(lastIndex + 1);
  });

  it("needs a leader unless all of it is serializable", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    cluster.ask(leader, put("k", "1"));
    cluster.advance(500);
    const alone = cluster.other(leader);
    cluster.isolate(alone);
    const mixed = txn([], [range("k", "", { serializable: true }), range("k")]);
    const rows = [
      { read: reading(true), type: "done" },
      { read: range("k", "", { serializable: true }), type: "done" },
      { read: txn([isThere]), type: "done" },
      { read: reading(false), type: "refused" },
      { read: mixed, type: "refused" },
    ];
    for (const { read, type } of rows) {
      const id = cluster.request(alone, { type: "read", read });
      if (type === "done") expect(cluster.answer(alone, id)).toBeDefined();
      cluster.until(() => cluster.answer(alone, id) !== undefined, 10_000);
      expect(cluster.answer(alone, id)?.type).toBe(type);
    }
  });
});

describe("a damaged value", () => {
  it.each(["range", "linearizable", "hash"])("stops the member and is never returned: %s", (kind) => {
    const { cluster } = filled([1n], { readsDisk: true });
    const node = cluster.node(1n);
    const records = node.disk.state.records as Map<string, Uint8Array>;
    const values = [...records.keys()].filter((name) => name[0] === "v").sort();
    const name = values[2_300] ?? "";
    records.set(
      name,
      (records.get(name) ?? new Uint8Array(9)).map((byte) => byte ^ 1),
    );
    const requests = {
      range: everything,
      linearizable: { type: "read", read: range("k", "l") },
      hash: hash(0),
    };
    const id = cluster.request(1n, requests[kind as "range" | "hash"]);
    const waiting = cluster.request(1n, everything);
    for (let turn = 0; turn < 80; turn++) tick(cluster, 1n);
    expect(node.fatal).toContain(JSON.stringify(name).slice(1, -1));
    expect(cluster.member(1n).isEnded).toBe(true);
    // Everybody hears, once.
    for (const request of [id, waiting]) {
      expect(cluster.answer(1n, request)).toMatchObject({ type: "refused", error: ERR.stopped });
    }
  });
});
