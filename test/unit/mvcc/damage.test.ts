// Goal: what was damaged on disk is named and never believed. Method: records of a small store with puts,
// deletes, leases and a floor; every byte of every record flipped, every record cut, lost, doubled or put
// under another's name. A record of a change must refuse the load by name, a record of a value must make
// exactly its key unreadable.
import { describe, expect, it } from "vitest";
import { bytesOf } from "../../../src/base/index.ts";
import { DamagedError, Store } from "../../../src/mvcc/index.ts";
import { MapRecords } from "../../support/map-records.ts";
import { EVERYTHING, hashOf, mustReload, one, reload, show, write } from "./support.ts";

/** Revisions 2 to 8, compacted at 4 with deletion done; `b` deleted at 5, `a` with a lease at 7. */
function saved(): MapRecords {
  const records = new MapRecords();
  const store = new Store(records);
  for (const txn of ["a=1 b=1", "a=22", "c=3", "-b", "b=4 d=5"]) write(store, ...txn.split(" "));
  const txn = store.begin();
  txn.put(bytesOf("a"), bytesOf("333"), -5n);
  txn.end();
  write(store, "-c..e");
  store.compact(4);
  while (store.compactionStep(100));
  return records;
}

const NAMES = saved().names();
const CHANGES = NAMES.filter((name) => name[0] === "i");
const VALUES = NAMES.filter((name) => name[0] === "v");

function refusal(records: MapRecords): string {
  const loaded = reload(records);
  return loaded.type === "refused" ? loaded.reason : "loaded";
}

/** The values that are not readable at any revision, by record. */
function damagedValues(store: Store): string[] {
  const found = new Set<string>();
  for (let at = Math.max(store.compactRevision, 1); at <= store.revision; at++) {
    for (const meta of store.resolve(EVERYTHING, at, 0).metas) {
      const value = store.value(meta);
      if (!(value instanceof Uint8Array)) found.add(value.record);
    }
  }
  return [...found];
}

describe("a byte is flipped", () => {
  it.each(["c", ...CHANGES])("in %s: the load is refused, naming it", (name) => {
    const size = saved().get(name)?.length ?? 0;
    expect(size).toBeGreaterThan(5);
    for (let at = 0; at < size; at++) {
      for (const flip of [1, 0x80, 0xff]) {
        const records = saved();
        const bytes = records.get(name);
        if (bytes !== undefined) bytes[at] = (bytes[at] ?? 0) ^ flip;
        expect(refusal(records)).toContain(`record "${name}" is refused`);
      }
    }
  });

  it.each(VALUES)("in %s: the value is damaged and the others are not", (name) => {
    const size = saved().get(name)?.length ?? 0;
    for (let at = 0; at < size; at++) {
      const records = saved();
      const bytes = records.get(name);
      if (bytes !== undefined) bytes[at] = (bytes[at] ?? 0) ^ 0x10;
      expect(damagedValues(mustReload(records))).toEqual([name]);
    }
  });
});

describe("a record of a change", () => {
  it.each(CHANGES)("%s cut anywhere is refused", (name) => {
    const bytes = saved().get(name) ?? bytesOf("");
    for (let length = 0; length < bytes.length; length++) {
      const records = saved();
      records.put(name, bytes.slice(0, length));
      expect(refusal(records)).toContain(`record "${name}" is refused`);
    }
  });

  // The newest may be missing for all the store knows: who counts the batches finds that.
  it.each(CHANGES.slice(0, -1).filter((name) => name > "i00000000000004ffffffff"))(
    "%s missing is seen",
    (name) => {
      const records = saved();
      records.delete(name);
      const next = CHANGES[CHANGES.indexOf(name) + 1];
      expect(refusal(records)).toMatch(new RegExp(`^record "${next}" is refused: .*before it.* missing`));
    },
  );

  it.each(CHANGES)("%s under the name of another is refused", (name) => {
    for (const other of CHANGES) {
      if (other === name) continue;
      const records = saved();
      records.put(other, records.get(name) ?? bytesOf(""));
      expect(refusal(records)).toContain(`record "${other}" is refused: its checksum is wrong`);
    }
  });

  it("all above the floor missing is seen, for the floor is a revision that was", () => {
    const records = saved();
    for (const name of CHANGES) if (name >= "i00000000000004") records.delete(name);
    expect(refusal(records)).toBe(
      'record "c" is refused: its floor is 4, but the last change is of revision 3',
    );
  });

  it.each([
    ["a name that is no revision", "i12", "its name is no revision"],
    ["a name in capitals", `i${"A".repeat(22)}`, "its name is no revision"],
    ["a revision beyond 2^53", `i${"f".repeat(22)}`, "its name is no revision"],
    ["a second floor", "cc", "the store has no record of this name"],
  ])("%s is refused", (_name, name, reason) => {
    const records = saved();
    records.put(name, records.get("c") ?? bytesOf(""));
    expect(refusal(records)).toBe(`record "${name}" is refused: ${reason}`);
  });

  it("is refused out of order and twice", () => {
    const records = saved();
    const [first = "", second = ""] = CHANGES;
    for (const order of [
      [second, first],
      [first, first],
    ]) {
      const loader = Store.loader(records);
      for (const name of ["c", ...order]) loader.add(name, records.get(name) ?? bytesOf(""));
      const loaded = loader.finish();
      expect(loaded.type === "refused" && loaded.reason).toContain(
        `record "${first}" is refused: it is out of order`,
      );
    }
  });

  it("that cannot follow the one before it is refused, though its own seal is right", () => {
    // Records of two stores with different pasts, each good where it was made.
    const made = (...txns: readonly string[]) => {
      const records = new MapRecords();
      const store = new Store(records);
      for (const txn of txns) write(store, ...txn.split(" "));
      return records;
    };
    const rows: readonly (readonly [string, MapRecords, MapRecords])[] = [
      ["version 3 follows 1", made("a=1", "b=1", "a=2"), made("a=1", "a=2", "a=3")],
      ["version 1 follows 1", made("a=1", "a=2"), made("b=1", "a=1")],
      ["it deletes what is not there", made("b=1", "b=2"), made("a=1", "-a")],
    ];
    for (const [reason, records, donor] of rows) {
      const last = records.names().findLast((name) => name[0] === "i") ?? "";
      records.put(last, donor.get(last) ?? bytesOf(""));
      expect(refusal(records)).toBe(`record "${last}" is refused: ${reason}`);
    }
  });
});

describe("a record of a value", () => {
  it.each(VALUES)("%s missing, cut or under another name is damaged by name", (name) => {
    const whole = saved().get(name) ?? bytesOf("");
    const other = VALUES[(VALUES.indexOf(name) + 1) % VALUES.length] ?? "";
    const changes: readonly ((records: MapRecords) => void)[] = [
      (records) => records.delete(name),
      (records) => records.put(name, whole.slice(0, -1)),
      (records) => records.put(name, bytesOf("")),
      (records) => records.put(name, records.get(other) ?? bytesOf("")),
    ];
    for (const change of changes) {
      const records = saved();
      change(records);
      expect(damagedValues(mustReload(records))).toEqual([name]);
    }
  });

  it("is named with its key where it is thrown, and stops a hash", () => {
    const records = saved();
    const name = VALUES.find((value) => value.startsWith("v00000000000003")) ?? "";
    records.delete(name);
    const store = mustReload(records);
    const meta = store.resolve(one("a"), 4, 0).metas[0];
    if (meta === undefined) throw new Error("a is not there");
    expect(show(store, meta)).toBe("a=it is missing c2 m3 v2");
    expect(() => store.keyValue(meta)).toThrow(DamagedError);
    expect(() => store.keyValue(meta)).toThrow(`record ${name} of key "a" is damaged: it is missing`);
    expect(() => hashOf(store, 4)).toThrow("it is missing");
  });
});

describe("deletion that a crash cut short", () => {
  it("is done again: every state in between loads, answers the same and ends in the same records", () => {
    const records = new MapRecords();
    const store = new Store(records);
    for (const txn of ["a=1 b=1 c=1", "a=2", "-b", "b=2 c=2", "-a", "d=1"]) write(store, ...txn.split(" "));
    store.compact(6);
    const hash = hashOf(store).hash;
    const bytes = store.logicalBytes;
    const between = [records.clone()];
    while (store.compactionStep(0.01)) between.push(records.clone());
    expect(between.length).toBeGreaterThan(8);
    for (const state of between) {
      const loaded = mustReload(state);
      loaded.checkInvariants();
      expect(hashOf(loaded).hash).toBe(hash);
      expect(loaded.logicalBytes).toBe(bytes);
      expect(loaded.history(EVERYTHING, 6, 7, 100)).toEqual(store.history(EVERYTHING, 6, 7, 100));
      while (loaded.compactionStep(100));
      expect(state.names()).toEqual(records.names());
    }
  });
});
