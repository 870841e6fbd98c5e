// Goal: state is a function of the entries, and its hash tells when it is not. Method: apply the same entries in one
// go and with saving and loading in between; change one thing at a time and compare hashes; refuse bad records.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AppliedState } from "../../../src/apply/index.ts";
import { bytesOf, ERR } from "../../../src/base/index.ts";
import type { BackendState } from "../../../src/env/index.ts";
import { emptyState } from "../../../src/member/index.ts";
import { type EntryBody, encodeEnvelope } from "../../../src/pb/index.ts";
import type { KvRequest } from "../../../src/pb/kv.ts";
import type { ConfState, Entry } from "../../../src/raft/index.ts";
import { compare, del, put as putOp, range, txn } from "../../support/kv-world.ts";

const NO_CONF: ConfState = emptyState().conf;

function conf(voters: bigint[], rest: Partial<ConfState> = {}): ConfState {
  return { ...NO_CONF, voters, ...rest };
}

function load(state: BackendState): AppliedState {
  const loaded = AppliedState.load(state);
  if (loaded.type === "refused") throw new Error(loaded.reason);
  return loaded.state;
}

function envelope(body: EntryBody, instance = 1n, sequence = 1): Uint8Array {
  const requestId = { instance, sequence };
  return encodeEnvelope({ version: 1, requestId, user: "", authRevision: 0, guardRevision: 0, body });
}

function normal(index: number, data: Uint8Array, term = 1): Entry {
  return { index, term, type: "normal", data };
}

/** A backend that keeps what it is given. */
class Backend {
  state: BackendState = emptyState();
  save(applied: AppliedState): void {
    const { puts, deletes } = applied.takeChanges();
    const records = new Map(this.state.records);
    for (const name of deletes) records.delete(name);
    for (const [name, value] of puts) records.set(name, value);
    this.state = { index: applied.index, term: applied.term, conf: applied.conf, records };
  }
}

function publish(member: bigint, instance: bigint, name = "", clientUrls: string[] = []): EntryBody {
  return { type: "publish", member, instance, name, clientUrls };
}

const kv = (request: KvRequest): EntryBody => ({ type: "kv", request });
const put = (key: string, value: string): EntryBody => kv(putOp(key, value, { prevKv: true }));

const swap = (key: string, expected: string, value: string): KvRequest =>
  txn([compare(key, { type: "value", value: bytesOf(expected) })], [putOp(key, value)], [range(key)]);

describe("applying", () => {
  it("names the outcome of each kind of entry", () => {
    const state = load(emptyState());
    const rows: readonly { name: string; data: Uint8Array; outcome: object }[] = [
      { name: "no-op", data: new Uint8Array(0), outcome: { type: "noop" } },
      {
        name: "put",
        data: envelope(put("a", "1"), 1n, 1),
        outcome: { type: "kv", outcome: { type: "done", revision: 2, response: { prevKv: undefined } } },
      },
      { name: "duplicate", data: envelope(put("a", "2"), 1n, 1), outcome: { type: "duplicate" } },
      {
        name: "txn that reads in the end",
        data: envelope(kv(swap("a", "9", "2")), 1n, 2),
        outcome: { outcome: { type: "done", revision: 2, response: { succeeded: false } } },
      },
      {
        name: "first publication",
        data: envelope(publish(7n, 70n), 1n, 3),
        outcome: { type: "published", published: "pinned" },
      },
      {
        name: "same again",
        data: envelope(publish(7n, 70n), 1n, 4),
        outcome: { published: "known" },
      },
      {
        name: "another instance",
        data: envelope(publish(7n, 71n), 1n, 5),
        outcome: { published: "refused" },
      },
      {
        name: "delete",
        data: envelope(kv(del("a", "", true)), 1n, 6),
        outcome: { outcome: { revision: 3, response: { deleted: 1, prevKvs: [{ value: bytesOf("1") }] } } },
      },
      {
        name: "refused",
        data: envelope(kv(putOp("a", "1", { lease: 9n })), 1n, 7),
        outcome: { type: "kv", outcome: { type: "refused", error: ERR.leaseNotFound } },
      },
    ];
    rows.forEach(({ name, data, outcome }, i) => {
      expect(state.applyNormal(normal(i + 1, data)), name).toMatchObject(outcome);
    });
    expect(state.members.pinned(7n)).toBe(70n);
    expect(state.kv.range(range("a"))).toMatchObject({ revision: 3, response: { count: 0 } });
    state.checkInvariants();
  });

  it("stops at an entry that it cannot read, and changes nothing", () => {
    const tooNew = envelope(put("a", "1"));
    tooNew[1] = 2;
    for (const data of [tooNew, bytesOf("nonsense"), new Uint8Array([0])]) {
      const state = load(emptyState());
      const hash = state.hash();
      expect(state.applyNormal(normal(1, data))).toMatchObject({
        type: "fatal",
        reason: expect.stringMatching(/^entry 1 /),
      });
      expect([state.index, state.hash()]).toEqual([0, hash]);
    }
    expect(load(emptyState()).applyNormal(normal(1, tooNew))).toMatchObject({
      reason: expect.stringContaining("version 2 is newer"),
    });
  });

  it("asserts that entries come in order, each once", () => {
    const state = load(emptyState());
    state.applyNormal(normal(1, new Uint8Array(0), 3));
    const again = () => state.applyNormal(normal(1, new Uint8Array(0), 3));
    const gap = () => state.applyNormal(normal(3, new Uint8Array(0), 3));
    const back = () => state.applyNormal(normal(2, new Uint8Array(0), 2));
    for (const wrong of [again, gap]) expect(wrong).toThrow("entry applied out of order");
    expect(back).toThrow("term went back");
    expect(() => state.applyConf(normal(2, new Uint8Array(0), 3), NO_CONF)).toThrow("entry of another type");
  });

  it("remembers who was removed, and pins nothing for them any more", () => {
    const state = load(emptyState());
    let index = 0;
    const apply = (next: ConfState) =>
      state.applyConf({ index: ++index, term: 1, type: "conf", data: bytesOf("c") }, next);
    apply(conf([1n, 2n, 3n], { learners: [4n] }));
    state.applyNormal(normal(++index, envelope(publish(3n, 30n))));
    apply(conf([1n, 2n], { votersOutgoing: [1n, 2n, 3n], learners: [4n] }));
    // Joint: it still votes in the outgoing half.
    expect([state.members.isRemoved(3n), state.members.pinned(3n)]).toEqual([false, 30n]);
    apply(conf([1n, 2n], { learners: [] }));
    expect([3n, 4n, 1n, 9n].map((id) => state.members.isRemoved(id))).toEqual([true, true, false, false]);
    expect(state.members.pinned(3n)).toBe(0n);
    const late = state.applyNormal(normal(++index, envelope(publish(3n, 30n), 2n)));
    expect(late).toMatchObject({ published: "refused" });
    expect(state.members.isRemoved(3n)).toBe(true);
  });
});

const KEYS = ["a", "b", "\0", "é\u{1f600}"];
const bodies = fc.oneof(
  fc.tuple(fc.constantFrom(...KEYS), fc.constantFrom("1", "2", "")).map(([key, value]) => put(key, value)),
  fc.constantFrom(...KEYS).map((key) => kv(del(key, "", true))),
  fc
    .tuple(fc.constantFrom(...KEYS), fc.constantFrom("1", "2", ""), fc.constantFrom("1", "2"))
    .map(([key, expected, value]) => kv(swap(key, expected, value))),
  fc.record({
    type: fc.constant("publish" as const),
    member: fc.bigInt(1n, 3n),
    instance: fc.bigInt(1n, 2n),
    name: fc.constantFrom("a", "b"),
    clientUrls: fc.constant(["http://c:1"]),
  }),
  fc.record({
    type: fc.constant("updateMember" as const),
    member: fc.bigInt(1n, 3n),
    peerUrls: fc.constant(["http://p:1"]),
  }),
);

describe("hash and records", () => {
  it("is the same with and without restarts, and so is what comes after", () => {
    const entries = fc.array(
      fc.record({
        body: bodies,
        instance: fc.bigInt(1n, 3n),
        sequence: fc.integer({ min: 1, max: 30 }),
        restart: fc.boolean(),
        save: fc.boolean(),
      }),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(entries, (list) => {
        const straight = load(emptyState());
        let restarting = load(emptyState());
        const backend = new Backend();
        const log: Entry[] = [];
        for (const { body, instance, sequence, restart, save } of list) {
          const entry = normal(log.length + 1, envelope(body, instance, sequence));
          log.push(entry);
          const outcome = straight.applyNormal(entry);
          expect(restarting.applyNormal(entry)).toEqual(outcome);
          if (save) backend.save(restarting);
          if (restart) {
            // What was applied since the last batch is applied again from the log.
            restarting = load(backend.state);
            for (const again of log.slice(restarting.index)) restarting.applyNormal(again);
          }
          expect(restarting.hash()).toBe(straight.hash());
          const all = range("\0", "\0");
          expect(restarting.kv.range(all)).toEqual(straight.kv.range(all));
        }
      }),
      { numRuns: 200, verbose: 1 },
    );
  });

  it("differs when anything of an entry or of the configuration differs", () => {
    const base = { index: 1, term: 1, data: envelope(put("a", "1")), conf: conf([1n, 2n]) };
    const hash = (change: Partial<typeof base>): number => {
      const { term, data, conf: next } = { ...base, ...change };
      const state = load(emptyState());
      state.applyNormal(normal(1, data, term));
      state.applyConf({ index: 2, term, type: "conf", data: bytesOf("c") }, next);
      return state.hash();
    };
    const rows = [
      { name: "term", change: { term: 2 } },
      { name: "value", change: { data: envelope(put("a", "2")) } },
      { name: "request", change: { data: envelope(put("a", "1"), 2n) } },
      { name: "voters", change: { conf: conf([1n, 3n]) } },
      { name: "learner instead of voter", change: { conf: conf([1n], { learners: [2n] }) } },
      { name: "lease", change: { conf: conf([1n, 2n], { leaseMs: 1 }) } },
    ];
    const seen = new Set([hash({})]);
    for (const { name, change } of rows) {
      expect(seen.has(hash(change)), name).toBe(false);
      seen.add(hash(change));
    }
    expect(hash({})).toBe(hash({}));
  });

  it("refuses records that no member wrote", () => {
    const state = load(emptyState());
    state.applyNormal(normal(1, envelope(put("a", "1"))));
    state.applyNormal(normal(2, envelope(publish(1n, 5n), 1n, 2)));
    const backend = new Backend();
    backend.save(state);
    const good = backend.state;
    expect(AppliedState.load(good).type).toBe("ok");
    const rows: readonly { name: string; set?: [string, Uint8Array]; drop?: string; index?: number }[] = [
      { name: "no hash", drop: "h" },
      { name: "short hash", set: ["h", new Uint8Array(3)] },
      { name: "unknown letter", set: ["z", new Uint8Array(1)] },
      { name: "empty name", set: ["", new Uint8Array(1)] },
      { name: "hash with a tail in its name", set: ["hx", new Uint8Array(4)] },
      { name: "register of before the first release", set: ["ka", new Uint8Array(9)] },
      { name: "member record of another kind", set: ["m1", new Uint8Array([11])] },
      { name: "removed, with a name", set: ["m1", new Uint8Array([0x10, 1, 0x1a, 1, 0x61])] },
      { name: "short member record", set: ["m1", new Uint8Array([0x09, 1])] },
      { name: "member record of member 0", set: ["m0", new Uint8Array([0x10, 1])] },
      { name: "records before the first entry", index: 0 },
    ];
    for (const { name, set, drop, index } of rows) {
      const records = new Map(good.records);
      if (set) records.set(...set);
      if (drop) records.delete(drop);
      expect(AppliedState.load({ ...good, records, index: index ?? good.index }).type, name).toBe("refused");
    }
  });
});
