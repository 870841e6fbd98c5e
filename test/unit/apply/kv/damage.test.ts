// Goal: what is damaged on disk is named, never answered and never taken for something else. Method: save a small
// state, change or drop one record after the other, and come up again, read, or write on it.
import { describe, expect, it } from "vitest";
import { bytesOf } from "../../../../src/base/index.ts";
import type { KvRequest } from "../../../../src/pb/kv.ts";
import { compare, del, grant, KvWorld, put, range, txn } from "../../../support/kv-world.ts";

const NOSPACE: KvRequest = { type: "alarm", action: "activate", member: 3n, alarm: "nospace" };

function saved(): KvWorld {
  const world = new KvWorld(
    grant(7n),
    put("a", "1", { lease: 7n }),
    put("b", "2"),
    put("a", "3", { lease: 7n }),
  );
  world.mustDo({ type: "compaction", revision: 2, physical: false });
  world.mustDo(NOSPACE);
  world.save();
  return world;
}

function names(world: KvWorld, prefix: string): string[] {
  return [...world.records.keys()].filter((name) => name.startsWith(prefix)).sort();
}

describe("coming up", () => {
  it("from what was saved gives the same state", () => {
    const world = saved();
    const fingerprint = world.fingerprint();
    expect(world.restart()).toBeUndefined();
    expect(world.fingerprint()).toEqual(fingerprint);
    expect(names(world, "").map((name) => name[0])).toEqual(["a", "c", "i", "i", "i", "l", "v", "v", "v"]);
  });

  it.each(["a", "c", "i", "l"])("refuses every record %s with a flipped bit, by name", (prefix) => {
    for (const name of names(saved(), prefix)) {
      const length = saved().records.get(name)?.length ?? 0;
      for (let at = 0; at < length; at++) {
        const world = saved();
        const bytes = Uint8Array.from(world.records.get(name) ?? []);
        bytes[at] = (bytes[at] ?? 0) ^ 0x40;
        world.records.set(name, bytes);
        const reason = world.restart();
        // A TTL is a number like another; that its bits are right is vouched for by the backend's checksum.
        if (prefix === "l" && reason === undefined) continue;
        expect(reason, `${name} byte ${at}`).toContain(name);
      }
    }
  });

  it.each(["a", "c", "i", "l"])("refuses every record %s that was cut short, by name", (prefix) => {
    for (const name of names(saved(), prefix)) {
      const world = saved();
      world.records.set(name, (world.records.get(name) ?? bytesOf("")).slice(0, -1));
      expect(world.restart()).toContain(name);
    }
  });

  const strangers = ["a", "an", "ax0000000000000003", "an000000000000000g", "l1", "i1", "cx"];
  it.each(strangers)("refuses a record named %s", (name) => {
    const world = saved();
    world.records.set(name, new Uint8Array([1]));
    expect(world.restart()).toContain(JSON.stringify(name));
  });

  it("refuses a key on a lease of which there is no record", () => {
    const world = saved();
    for (const name of names(world, "l")) world.records.delete(name);
    expect(world.restart()).toContain("puts its key on lease 7");
  });
});

describe("a damaged value", () => {
  const damages: readonly { name: string; damage: (world: KvWorld, record: string) => void }[] = [
    { name: "gone", damage: (world, record) => world.records.delete(record) },
    {
      name: "flipped",
      damage: (world, record) => {
        const bytes = Uint8Array.from(world.records.get(record) ?? []);
        bytes[0] = (bytes[0] ?? 0) ^ 1;
        world.records.set(record, bytes);
      },
    },
    {
      name: "another's",
      damage: (world, record) => {
        const other = names(world, "v").find((name) => name !== record) ?? "";
        world.records.set(record, world.records.get(other) ?? bytesOf(""));
      },
    },
  ];
  const off: KvRequest = { ...NOSPACE, action: "deactivate" };
  const a = compare("a", { type: "value", value: bytesOf("3") });

  it.each(damages)("$name: reads tell, by key and record, and go on beside it", ({ damage }) => {
    const world = saved();
    const record = names(world, "v")[2] ?? "";
    damage(world, record);
    expect(world.restart()).toBeUndefined();
    const { state } = world;
    const fatal = { type: "fatal", reason: expect.stringContaining(`value of key "a" in record ${record}`) };
    expect(state.range(range("a"))).toEqual(fatal);
    expect(state.range(range("a", "z"))).toEqual(fatal);
    expect(state.readTxn(txn([], [range("a")]))).toEqual(fatal);
    expect(state.readTxn(txn([a]))).toEqual(fatal);
    // What does not need it is answered: another key, an older revision, keys only.
    expect(state.range(range("b")).type).toBe("done");
    expect(state.range(range("a", "", { revision: 2 })).type).toBe("done");
    expect(state.range(range("a", "", { keysOnly: true })).type).toBe("done");
  });

  const writes: readonly { name: string; request: KvRequest }[] = [
    { name: "put with prev_kv", request: put("a", "4", { prevKv: true }) },
    { name: "put with ignore_value", request: put("a", "", { ignoreValue: true }) },
    { name: "delete with prev_kv", request: del("a", "z", true) },
    { name: "txn that compares it", request: txn([a], [put("b")]) },
    { name: "txn that reads it", request: txn([], [put("b"), range("a")]) },
  ];
  it.each(writes)("stops the member that needs it to apply: $name", ({ request }) => {
    const world = saved();
    const record = names(world, "v")[2] ?? "";
    world.records.delete(record);
    world.restart();
    world.mustDo(off);
    expect(world.apply(request)).toEqual({ type: "fatal", reason: expect.stringContaining(record) });
  });

  it("is overwritten and deleted without being read", () => {
    const world = saved();
    for (const name of names(world, "v")) world.records.delete(name);
    world.restart();
    world.mustDo(off);
    expect([put("a", "4"), del("b")].map((request) => world.apply(request).type)).toEqual(["done", "done"]);
    expect(world.keys()).toEqual(["a=4"]);
  });
});
