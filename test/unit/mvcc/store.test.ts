// Goal: reads, writes, history and compaction answer as etcd's store does (reference/etcd.md §1.2, §5).
// Method: short stories in tables, each rule by itself; `checkInvariants` after every story.
import { describe, expect, it } from "vitest";
import { bytesOf, ERR, finishHash, mixHashBytes, textOf } from "../../../src/base/index.ts";
import { DamagedError, Store } from "../../../src/mvcc/index.ts";
import { MapRecords } from "../../support/map-records.ts";
import {
  compactFully,
  EVERYTHING,
  mustReload,
  one,
  range,
  show,
  showAll,
  showSet,
  write,
} from "./support.ts";

/** A store after these transactions, steps of one separated by spaces. */
function storeOf(...txns: readonly string[]): Store {
  const store = new Store(new MapRecords());
  for (const txn of txns) write(store, ...txn.split(" "));
  store.checkInvariants();
  return store;
}

function history(store: Store, from: number, to = store.revision, of = EVERYTHING): string[] {
  return store.history(of, from, to, 1_000_000).sets.map(showSet);
}

describe("revisions", () => {
  it.each([
    ["the empty store", [], 1],
    ["a first put", ["a=1"], 2],
    ["several changes in one transaction are one revision", ["a=1 b=1 -a"], 2],
    ["a transaction without a change", ["a=1", "-b"], 2],
    ["deleting what is deleted", ["a=1", "-a", "-a"], 3],
    ["an empty range", ["a=1", "-c..b"], 2],
  ])("%s", (_name, txns, revision) => {
    expect(storeOf(...txns).revision).toBe(revision);
  });

  it("a transaction without a change gives no change set and keeps the number for the next", () => {
    const store = storeOf("a=1");
    const txn = store.begin();
    expect(txn.revision).toBe(3);
    expect(txn.end()).toBeUndefined();
    expect(write(store, "b=1")?.revision).toBe(3);
  });
});

describe("versions and createRevision", () => {
  it.each([
    ["a new key", ["a=1"], ["a=1 c2 m2 v1"]],
    ["a second put", ["a=1", "a=2"], ["a=2 c2 m3 v2"]],
    ["created anew", ["a=1", "a=2", "-a", "a=3"], ["a=3 c5 m5 v1"]],
    ["created anew in the transaction that deletes it", ["a=1", "-a a=2"], ["a=2 c3 m3 v1"]],
    ["deleted in the transaction that puts it", ["a=1", "a=2 -a"], []],
    ["an empty value", ["a="], ["a= c2 m2 v1"]],
    [
      "keys in order of bytes",
      ["b=1 a=1 ab=1 é=1 Z=1"],
      ["Z", "a", "ab", "b", "é"].map((k) => `${k}=1 c2 m2 v1`),
    ],
  ])("%s", (_name, txns, shown) => {
    expect(showAll(storeOf(...txns))).toEqual(shown);
  });

  it("a put returns what the key was, and its change says the same", () => {
    const store = storeOf("a=1");
    const txn = store.begin();
    const before = txn.put(bytesOf("a"), bytesOf("2"), 7n);
    const set = txn.end();
    expect(before?.modRevision).toBe(2);
    expect(set?.changes[0]?.previous).toEqual(before);
    expect(set?.changes[0]?.meta.lease).toBe(7n);
  });

  it.each([1n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 32n, 0n])("lease %s survives a restart", (lease) => {
    const records = new MapRecords();
    const txn = new Store(records).begin();
    txn.put(bytesOf("a"), bytesOf("1"), lease);
    txn.end();
    expect(mustReload(records).resolve(one("a"), 0, 0).metas[0]?.lease).toBe(lease);
  });
});

describe("ranges", () => {
  const store = storeOf("a=1 b=1 c=1 d=1", "-b", "b=2 e=1");
  it.each([
    ["one key", one("c"), 0, 0, ["c"], 1],
    ["one key that is not there", one("x"), 0, 0, [], 0],
    ["half open", range("a", "c"), 0, 0, ["a", "b"], 2],
    ["from a key on", range("d", "\0"), 0, 0, ["d", "e"], 2],
    ["everything", range("", "\0"), 0, 0, ["a", "b", "c", "d", "e"], 5],
    ["everything, as etcd's clients say it", range("\0", "\0"), 0, 0, ["a", "b", "c", "d", "e"], 5],
    ["end before key", range("c", "a"), 0, 0, [], 0],
    ["end at key", range("c", "c"), 0, 0, [], 0],
    ["a limit cuts the keys and not the count", range("a", "e"), 0, 2, ["a", "b"], 4],
    ["a negative limit is none", range("a", "e"), 0, -1, ["a", "b", "c", "d"], 4],
    ["at an old revision", range("a", "z"), 2, 0, ["a", "b", "c", "d"], 4],
    ["at the revision of a delete", range("a", "z"), 3, 0, ["a", "c", "d"], 3],
    ["before everything", range("a", "z"), 1, 0, [], 0],
    ["an end of several zeros is a key", range("", "\0\0"), 0, 0, [], 0],
  ])("%s", (_name, of, at, limit, keys, count) => {
    const resolved = store.resolve(of, at, limit);
    expect(resolved.metas.map((meta) => textOf(meta.key))).toEqual(keys);
    expect(resolved.count).toBe(count);
    expect(store.count(of, at)).toBe(count);
  });
});

describe("pages", () => {
  it.each([
    ["of the newest", 0],
    ["of an old revision, while all is written and deleted", 2],
  ])("%s: each has the count of all that follow it", (_name, at) => {
    const store = storeOf("a=1 b=1 c=1 d=1 e=1 f=1 g=1", "h=1");
    const asked = at === 0 ? store.revision : at;
    const total = at === 0 ? 8 : 7;
    const [found, counts]: [string[], number[]] = [[], []];
    let key = bytesOf("a");
    for (;;) {
      const { metas, count } = store.resolve({ key, rangeEnd: bytesOf("z") }, asked, 2);
      counts.push(count);
      found.push(...metas.map((meta) => textOf(meta.key)));
      const last = metas.at(-1);
      if (last === undefined || count <= metas.length) break;
      key = new Uint8Array([...last.key, 0]);
      write(store, "-a..f", "ab=1 c=2", "zz=1");
      // A listing of another end from the same key has its own count.
      expect(store.resolve({ key, rangeEnd: bytesOf("zzz") }, store.revision, 1).count).toBeGreaterThan(2);
    }
    expect(found.join("")).toBe("abcdefgh".slice(0, total));
    expect(counts).toEqual(total === 8 ? [8, 6, 4, 2] : [7, 5, 3, 1]);
  });
});

describe("a long range at an old revision", () => {
  const key = (n: number) => `k${String(n).padStart(5, "0")}`;
  const all = Array.from({ length: 5000 }, (_, n) => key(n));
  const store = storeOf(all.map((name) => `${name}=1`).join(" "));
  // What each of these leaves is the count at its revision; a key is deleted, made and deleted again.
  write(store, "-k00010..k00020");
  write(store, "k00010=2", "k00011=2", "k00012=2");
  write(store, "-k00010", "-k04000..k04100", "x1=1", "x2=1");
  write(store, "k00010=3", "-x1", "k00500=2");
  write(store, "x1=1", "-k00011");
  it.each([
    [2, 5000],
    [3, 4990],
    [4, 4993],
    [5, 4894],
    [6, 4894],
    [7, 4894],
  ])("revision %s has %s keys", (at, count) => {
    expect(store.count(EVERYTHING, at)).toBe(count);
    expect(store.resolve(EVERYTHING, at, 1).count).toBe(count);
    expect(store.resolve(EVERYTHING, at, 0).metas.length).toBe(count);
    const within = range("k00011", "k04050");
    expect(store.count(within, at)).toBe(store.resolve(within, at, 0).metas.length);
  });
});

describe("a count in slices", () => {
  it.each([
    ["forwards, when all keys have changed since", 2],
    ["backwards, when few have", 4],
  ])("%s, is that of one go", (_name, at) => {
    const all = Array.from({ length: 3000 }, (_, n) => `k${String(n).padStart(5, "0")}`);
    const store = storeOf(all.map((key) => `${key}=1`).join(" "));
    for (let i = 0; i < 2; i++) write(store, ...all.map((key) => `${key}=2`));
    write(store, "-k00100..k00900", ...all.map((key) => `${key}x=1`).slice(0, 900));
    const work = store.startCount(EVERYTHING, at);
    let slices = 0;
    for (; !work.isDone; slices++) work.step(0.1);
    expect([work.count, slices > 3]).toEqual([3000, true]);
  });
});

describe("keys of one hash", () => {
  it("are told apart, however many there are", () => {
    const keys: string[] = [];
    for (let n = 0; keys.length < 60; n++) {
      const key = `key${n}`;
      if ((finishHash(mixHashBytes(0, bytesOf(key))) & 0xfff) === 0) keys.push(key);
    }
    const records = new MapRecords();
    const store = new Store(records);
    for (const key of [...keys, ...keys]) write(store, `${key}=${key}`);
    write(store, ...keys.slice(0, 10).map((key) => `-${key}`));
    compactFully(store, store.revision);
    write(store, "other=1");
    compactFully(store, store.revision);
    for (const checked of [store, mustReload(records)]) {
      checked.checkInvariants();
      const left = keys.filter((key) => checked.count(one(key), 0) === 1);
      expect(left).toEqual(keys.slice(10));
      for (const key of left)
        expect(showAll(checked, 0, one(key))[0]).toMatch(new RegExp(`^${key}=${key} .* v2$`));
    }
  });
});

describe("transactions", () => {
  it("see their own writes, which nobody else sees before the end", () => {
    const store = storeOf("a=1 b=1");
    const txn = store.begin();
    txn.put(bytesOf("c"), bytesOf("1"), 0n);
    txn.deleteRange(one("a"));
    txn.put(bytesOf("b"), bytesOf("2"), 0n);
    expect(txn.resolve(EVERYTHING, 0, 0).metas.map((m) => `${textOf(m.key)}${m.version}`)).toEqual([
      "b2",
      "c1",
    ]);
    expect(txn.resolve(EVERYTHING, 2, 0).count).toBe(2);
    expect(txn.changed).toBe(3);
    expect(store.revision).toBe(2);
    expect(showAll(store)).toEqual(["a=1 c2 m2 v1", "b=1 c2 m2 v1"]);
    expect(store.count(EVERYTHING, 0)).toBe(2);
    expect(history(store, 2)).toEqual(["put a@2.0, put b@2.1"]);
    txn.end();
    expect(showAll(store)).toEqual(["b=2 c2 m3 v2", "c=1 c3 m3 v1"]);
    store.checkInvariants();
  });

  it("delete in order of key and return what was there", () => {
    const store = storeOf("c=1 a=1 b=1 d=1");
    const txn = store.begin();
    const deleted = txn.deleteRange(range("a", "d"));
    expect(deleted.map((meta) => show(store, meta))).toEqual([
      "a=1 c2 m2 v1",
      "b=1 c2 m2 v1",
      "c=1 c2 m2 v1",
    ]);
    const set = txn.end();
    expect(set && showSet(set)).toBe("delete a@3.0 was m2, delete b@3.1 was m2, delete c@3.2 was m2");
  });

  it("only one at a time, and none after its end", () => {
    const store = storeOf();
    const txn = store.begin();
    expect(() => store.begin()).toThrow("two write transactions");
    expect(() => store.compact(1)).toThrow("inside a transaction");
    txn.end();
    expect(() => txn.put(bytesOf("a"), bytesOf("1"), 0n)).toThrow("has ended");
  });
});

describe("history", () => {
  const txns = ["a=1 b=1", "a=2", "-a", "a=3 c=1", "b=2"];
  it.each([
    ["everything", 2, 6, EVERYTHING, "2 3 4 5 6"],
    ["from the middle", 4, 5, EVERYTHING, "4 5"],
    ["one key", 2, 6, one("b"), "2 6"],
    ["a range", 2, 6, range("b", "d"), "2 5 6"],
    ["the future", 7, 6, EVERYTHING, ""],
  ])("%s", (_name, from, to, of, revisions) => {
    const sets = storeOf(...txns).history(of, from, to, 100).sets;
    expect(sets.map((set) => set.revision).join(" ")).toBe(revisions);
  });

  it("says what each key was before", () => {
    expect(history(storeOf(...txns), 2)).toEqual([
      "put a@2.0, put b@2.1",
      "put a@3.0 was m2",
      "delete a@4.0 was m3",
      "put a@5.0, put c@5.1",
      "put b@6.0 was m2",
    ]);
  });

  it("is cut between revisions, never inside one, and goes on where it stopped", () => {
    const store = storeOf("a=1 b=1 c=1", "a=2", "b=2", "c=2");
    const parts: string[] = [];
    for (let from = 2; from <= store.revision; ) {
      const { sets, next } = store.history(EVERYTHING, from, store.revision, 2);
      parts.push(sets.map((set) => set.revision).join("+"));
      from = next;
    }
    expect(parts).toEqual(["2", "3+4", "5"]);
  });

  it("counts what it examines, also where nothing matches", () => {
    expect(storeOf(...txns).history(one("c"), 2, 6, 2)).toEqual({ sets: [], next: 3 });
  });

  it("gives the same events as were told live", () => {
    const store = new Store(new MapRecords());
    const live = txns.map((txn) => write(store, ...txn.split(" ")));
    const past = store.history(EVERYTHING, 2, 6, 100).sets;
    const events = (sets: typeof past) => sets.map((s) => s.changes.map((c) => store.event(c, true)));
    expect(events(past)).toEqual(events(live.filter((set) => set !== undefined)));
  });

  it.each([
    ["put and deleted in one revision, absent before", [], ["a=2", "-a"], ["2 was nothing", "- was nothing"]],
    ["put and deleted in one revision", ["a=1"], ["a=2", "-a"], ["2 was 1@2", "- was 1@2"]],
    ["put and deleted, deleted before", ["a=1", "-a"], ["a=2", "-a"], ["2 was nothing", "- was nothing"]],
    ["deleted and created anew", ["a=1"], ["-a", "a=2"], ["- was 1@2", "2 was nothing"]],
    ["put twice", ["a=1"], ["a=2", "a=3"], ["2 was 1@2", "3 was 1@2"]],
    ["put twice, absent before", [], ["a=2", "a=3"], ["2 was nothing", "3 was nothing"]],
    ["put, deleted, put", ["a=1"], ["a=2", "-a", "a=3"], ["2 was 1@2", "- was 1@2", "3 was nothing"]],
  ])("prevKv is what the key was at the revision before: %s", (_name, before, steps, shown) => {
    const store = storeOf("b=1", ...before.map((step) => step.replace("a=1", "a=1 b=2")));
    const first = before.length === 0 ? "" : "3";
    const live = write(store, "b=9", ...steps, "c=1");
    write(store, "a=9 b=9", "-a");
    const { revision = 0 } = live ?? {};
    const past = store.history(one("a"), revision, revision, 1).sets[0];
    for (const set of [live, past]) {
      const events = (set?.changes ?? [])
        .map((change) => store.event(change, true))
        .filter(({ kv }) => textOf(kv.key) === "a");
      const lines = events.map(({ type, kv, prevKv }) => {
        const was = prevKv === undefined ? "nothing" : `${textOf(prevKv.value)}@${prevKv.modRevision}`;
        return `${type === "delete" ? "-" : textOf(kv.value)} was ${was}`;
      });
      expect(lines).toEqual(shown.map((line) => line.replace("@2", `@${first}`)));
    }
  });

  it("an event of a delete has key and modRevision only", () => {
    const store = storeOf("a=1", "-a");
    const change = store.history(EVERYTHING, 3, 3, 1).sets[0]?.changes[0];
    if (change === undefined) throw new Error("no change");
    const event = store.event(change, true);
    expect(event.kv).toMatchObject({ createRevision: 0, modRevision: 3, version: 0, lease: 0n });
    expect(event.kv.value.length).toBe(0);
    expect(textOf(event.prevKv?.value ?? bytesOf("?"))).toBe("1");
    expect(store.event(change, false).prevKv).toBeUndefined();
  });
});

describe("compaction", () => {
  it.each([
    ["0 works once", 0, undefined],
    ["negative", -1, ERR.compacted],
    ["at the newest", 4, undefined],
    ["beyond the newest", 5, ERR.futureRevision],
  ])("%s", (_name, revision, answer) => {
    const store = storeOf("a=1", "a=2", "a=3");
    expect(store.compactRevision).toBe(-1);
    expect(store.compact(revision)).toBe(answer);
    if (answer === undefined) expect(store.compact(revision)).toBe(ERR.compacted);
  });

  it("of 0 stays one after a restart", () => {
    const records = new MapRecords();
    compactFully(new Store(records), 0);
    expect(mustReload(records).compact(0)).toBe(ERR.compacted);
  });

  it("refuses reads below and allows them at the floor", () => {
    const store = storeOf("a=1", "a=2", "a=3");
    store.compact(3);
    expect([1, 2, 3, 4, 5, 0, -1].map((at) => store.readProblem(at))).toEqual([
      ERR.compacted,
      ERR.compacted,
      undefined,
      undefined,
      ERR.futureRevision,
      undefined,
      undefined,
    ]);
    while (store.compactionStep(1)) store.checkInvariants();
    expect(showAll(store, 3)).toEqual(["a=2 c2 m3 v2"]);
    expect(showAll(store)).toEqual(["a=3 c2 m4 v3"]);
  });

  it.each([
    ["the newest put stays", ["a=1", "b=1", "b=2"], 4, ["c", "i2.0", "i4.0", "v2.0", "v4.0"]],
    ["a delete below goes", ["a=1", "-a", "b=1"], 4, ["c", "i4.0", "v4.0"]],
    ["a delete exactly there stays", ["a=1", "-a", "b=1"], 3, ["c", "i3.0", "i4.0", "v4.0"]],
    ["and goes with the next", ["a=1", "-a", "b=1", "b=2"], [3, 5], ["c", "i5.0", "v5.0"]],
    ["what is above stays", ["a=1", "a=2", "a=3"], 3, ["c", "i3.0", "i4.0", "v3.0", "v4.0"]],
  ])("records: %s", (_name, txns, at, names) => {
    const records = new MapRecords();
    const store = new Store(records);
    for (const txn of txns) write(store, ...txn.split(" "));
    for (const revision of [at].flat()) compactFully(store, revision);
    const short = (name: string) => name.replace(/^(.)0*([1-9a-f][0-9a-f]*)(0{8})$/, "$1$2.0");
    expect(records.names().map(short)).toEqual(names);
    store.checkInvariants();
  });

  it("writes the floor before it deletes", () => {
    const records = new MapRecords();
    const store = new Store(records);
    for (const txn of ["a=1", "a=2"]) write(store, txn);
    const before = records.map.size;
    store.compact(3);
    expect(records.map.size).toBe(before + 1);
    expect(mustReload(records.clone()).compactRevision).toBe(3);
  });

  it("waits for pins and goes on after their release", () => {
    const store = storeOf("a=1", "a=2", "a=3", "-a");
    const release = store.pin(3);
    const meta = store.resolve(one("a"), 3, 0).metas[0];
    if (meta === undefined) throw new Error("a is not there");
    store.compact(5);
    while (store.compactionStep(10));
    expect(store.isCompacted(3)).toBe(true);
    expect(store.isCompacted(5)).toBe(false);
    expect(show(store, meta)).toBe("a=2 c2 m3 v2");
    // Below the floor, but held: a read that began before goes on.
    expect(store.resolve(one("a"), 3, 0)).toEqual({ metas: [meta], count: 1 });
    expect(store.count(EVERYTHING, 4)).toBe(1);
    expect(() => store.resolve(one("a"), 2, 0)).toThrow("out of bounds");
    expect(store.readProblem(3)).toBe(ERR.compacted);
    store.checkInvariants();
    release();
    release();
    expect(() => store.resolve(one("a"), 3, 0)).toThrow("out of bounds");
    expect(store.compactionPending).toBe(true);
    while (store.compactionStep(10));
    expect(store.isCompacted(5)).toBe(true);
    expect(show(store, meta)).toBe("a=it is missing c2 m3 v2");
    expect(() => store.keyValue(meta)).toThrow(DamagedError);
    store.checkInvariants();
  });
});

describe("defects in the record of etcd that a store can have", () => {
  it("#18089, #19179: a delete at the compaction is still told to who begins there", () => {
    const store = storeOf("a=1", "-a", "b=1");
    store.compact(3);
    expect(history(store, 3)).toEqual(["delete a@3.0", "put b@4.0"]);
    while (store.compactionStep(10));
    expect(history(store, 3)).toEqual(["delete a@3.0", "put b@4.0"]);
  });

  it("#17780: the revision does not fall when the last change, a delete, is compacted and all restarts", () => {
    const records = new MapRecords();
    const store = new Store(records);
    for (const txn of ["a=1", "b=1", "-b"]) write(store, txn);
    store.compact(4);
    for (let more = true; more; ) {
      more = store.compactionStep(1);
      expect(mustReload(records.clone()).revision).toBe(4);
    }
  });

  it("#18667: a compacted revision is refused the same whatever is deleted already", () => {
    const store = storeOf("a=1", "a=2", "a=3");
    store.compact(4);
    expect(store.readProblem(3)).toBe(ERR.compacted);
    expect(() => store.resolve(one("a"), 3, 0)).toThrow("out of bounds");
    while (store.compactionStep(10));
    expect(store.readProblem(3)).toBe(ERR.compacted);
  });

  it("#20221: history from a future revision holds nothing older", () => {
    const store = storeOf("a=1", "a=2");
    expect(store.history(EVERYTHING, 10, 3, 100)).toEqual({ sets: [], next: 4 });
    expect(() => store.history(EVERYTHING, 10, 10, 100)).toThrow("out of bounds");
  });

  it("what was before a change at the floor is not told, whether it is deleted already or not", () => {
    const store = storeOf("a=1", "a=2", "a=3");
    const live = store.history(EVERYTHING, 3, 3, 1).sets[0]?.changes[0];
    if (live === undefined) throw new Error("no change");
    expect(store.event(live, true).prevKv?.modRevision).toBe(2);
    store.compact(3);
    expect(store.event(live, true).prevKv).toBeUndefined();
    const past = history(store, 3);
    while (store.compactionStep(10));
    expect(history(store, 3)).toEqual(past);
    expect(past).toEqual(["put a@3.0", "put a@4.0 was m3"]);
  });
});

describe("logical size", () => {
  it("falls with the floor at once, and not with deletion", () => {
    const store = storeOf("a=12345", "a=1", "-a", "b=1");
    const full = store.logicalBytes;
    store.compact(4);
    const compacted = store.logicalBytes;
    while (store.compactionStep(1)) expect(store.logicalBytes).toBe(compacted);
    expect(store.logicalBytes).toBe(compacted);
    // The two puts of a are gone; its delete at the floor and b are left.
    expect(full - compacted).toBe(2 * 128 + 2 * 1 + 6);
    store.checkInvariants();
  });
});
