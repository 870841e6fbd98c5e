// Goal: HashKV is the number that etcd computes from the same history, in any slices, before, during and
// after deletion. Method: the bytes that are hashed written out by hand for each kind of revision; stories
// for what counts.
import { describe, expect, it } from "vitest";
import { bytesOf, crc32c, ERR } from "../../../src/base/index.ts";
import { Store } from "../../../src/mvcc/index.ts";
import { MapRecords } from "../../support/map-records.ts";
import { hashOf, write } from "./support.ts";

/** Hash of "key" and these bytes in hex. */
function golden(...hex: readonly string[]): number {
  return crc32c(new Uint8Array(Buffer.from(`6b6579${hex.join("").replaceAll(" ", "")}`, "hex")));
}

/** Bucket key of (main, sub), both below 256. */
function bucket(main: number, sub: number, suffix = ""): string {
  const word = (n: number) => n.toString(16).padStart(16, "0");
  return `${word(main)}5f${word(sub)}${suffix}`;
}

/** KeyValue of a short key and value in version 1, by revision. */
function created(key: string, main: number, value: string): string {
  const hex = (text: string) => Buffer.from(text).toString("hex");
  const two = (n: number) => n.toString(16).padStart(2, "0");
  return `0a${two(key.length)}${hex(key)} 10${two(main)} 18${two(main)} 2001 2a${two(value.length)}${hex(value)}`;
}

function storeOf(...txns: readonly string[]): Store {
  const store = new Store(new MapRecords());
  for (const txn of txns) write(store, ...txn.split(" "));
  return store;
}

describe("the bytes of a revision", () => {
  it.each([
    ["nothing", [], []],
    ["a put", ["a=1"], [bucket(2, 0), "0a0161 1002 1802 2001 2a0131"]],
    [
      "a second version",
      ["a=1", "a=2"],
      [bucket(2, 0), created("a", 2, "1"), bucket(3, 0), "0a0161 1002 1803 2002 2a0132"],
    ],
    ["an empty value is left out", ["a="], [bucket(2, 0), "0a0161 1002 1802 2001"]],
    [
      "a delete has a key only",
      ["a=1", "-a"],
      [bucket(2, 0), created("a", 2, "1"), bucket(3, 0, "74"), "0a0161"],
    ],
    [
      "several of one revision",
      ["a=1 b=2"],
      [bucket(2, 0), created("a", 2, "1"), bucket(2, 1), created("b", 2, "2")],
    ],
  ])("%s", (_name, txns, hex) => {
    expect(hashOf(storeOf(...txns)).hash).toBe(golden(...hex));
  });

  it.each([
    ["small", 1n, "3001"],
    ["of two bytes", 300n, "30ac02"],
    ["the largest", 2n ** 63n - 1n, "30ffffffffffffffff7f"],
    ["negative", -1n, "30ffffffffffffffffff01"],
  ])("a lease that is %s", (_name, lease, hex) => {
    const store = storeOf();
    const txn = store.begin();
    txn.put(bytesOf("a"), bytesOf("1"), lease);
    txn.end();
    expect(hashOf(store).hash).toBe(golden(bucket(2, 0), created("a", 2, "1"), hex));
  });

  it("lengths above 127 take two bytes", () => {
    const store = storeOf();
    const txn = store.begin();
    txn.put(new Uint8Array(200).fill(0x61), new Uint8Array(300).fill(0x62), 0n);
    txn.end();
    const kv = `0ac801${"61".repeat(200)} 1002 1802 2001 2aac02${"62".repeat(300)}`;
    expect(hashOf(store).hash).toBe(golden(bucket(2, 0), kv));
  });
});

describe("what counts", () => {
  const history = ["a=1", "b=1", "-a", "a=2", "b=2"];
  const parts = {
    2: [bucket(2, 0), created("a", 2, "1")],
    3: [bucket(3, 0), created("b", 3, "1")],
    4: [bucket(4, 0, "74"), "0a0161"],
    5: [bucket(5, 0), created("a", 5, "2")],
    6: [bucket(6, 0), "0a0162 1003 1806 2002 2a0132"],
  } as const;
  it.each([
    ["everything", -1, 0, [2, 3, 4, 5, 6]],
    ["up to a revision", -1, 4, [2, 3, 4]],
    ["after a compaction, a delete at the floor does not", 4, 0, [5, 6]],
    ["what is the newest at the revision, below the floor", 4, 5, [3, 5]],
    ["at the floor", 4, 4, [3]],
  ] as const)("%s", (_name, floor, at, counting) => {
    const store = storeOf(...history);
    if (floor >= 0) store.compact(floor);
    const expected = { type: "hash", hash: golden(...counting.flatMap((n) => parts[n])) };
    const rest = { compactRevision: floor, hashRevision: at === 0 ? 6 : at };
    expect(hashOf(store, at)).toEqual({ ...expected, ...rest });
    while (store.compactionStep(1)) expect(hashOf(store, at, 1).hash).toBe(expected.hash);
    expect(hashOf(store, at).hash).toBe(expected.hash);
  });

  it("a store whose keys are all deleted counts what compaction leaves", () => {
    const store = storeOf("a=1", "-a");
    store.compact(3);
    const expected = golden(bucket(3, 0, "74"), "0a0161");
    expect(hashOf(store).hash).toBe(expected);
    while (store.compactionStep(1));
    expect(hashOf(store).hash).toBe(expected);
  });

  it.each([
    ["below the floor", 3, ERR.compacted],
    ["in the future", 7, ERR.futureRevision],
  ])("nothing %s", (_name, at, refused) => {
    const store = storeOf(...history);
    store.compact(4);
    expect(store.startHash(at)).toBe(refused);
  });
});

describe("a job", () => {
  it("is not disturbed by what happens between its slices, and holds deletion until its end", () => {
    const store = storeOf("a=1", "a=2", "b=1", "a=3");
    const expected = hashOf(store).hash;
    const job = store.startHash(0);
    if ("code" in job) throw new Error(job.message);
    let slices = 0;
    while (job.step(1)) {
      slices++;
      write(store, `a=${slices}`, "-b");
      store.compact(store.revision - 1);
      while (store.compactionStep(10));
    }
    expect(slices).toBe(3);
    expect(job.result).toMatchObject({ type: "hash", hash: expected });
    expect(store.compactionPending).toBe(true);
    while (store.compactionStep(10));
    store.checkInvariants();
  });

  it("that is cancelled lets deletion go on", () => {
    const store = storeOf("a=1", "a=2");
    const job = store.startHash(0);
    if ("code" in job) throw new Error(job.message);
    store.compact(3);
    expect(store.compactionPending).toBe(false);
    job.cancel();
    expect(store.compactionPending).toBe(true);
    expect(job.result).toBeUndefined();
  });
});
