// Goal: reads see every write at once, durable or not, and nothing leaves memory before it is durable. Method: tables
// of what one batch comes to; a random run against two plain maps, one of all writes and one of what is durable.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Overlay } from "../../../src/apply/index.ts";
import { bytesOf } from "../../../src/base/index.ts";

type Op = readonly ["put", string, string] | readonly ["delete", string];

function run(overlay: Overlay, ops: readonly Op[]): void {
  for (const op of ops) {
    if (op[0] === "put") overlay.put(op[1], bytesOf(op[2]));
    else overlay.delete(op[1]);
  }
}

describe("a batch", () => {
  const rows: readonly {
    name: string;
    ops: readonly Op[];
    puts: string[][];
    deletes: string[];
    bytes: number;
  }[] = [
    { name: "is empty without changes", ops: [], puts: [], deletes: [], bytes: 0 },
    { name: "carries a put", ops: [["put", "a", "1"]], puts: [["a", "1"]], deletes: [], bytes: 2 },
    {
      name: "carries a delete of what it never saw",
      ops: [["delete", "a"]],
      puts: [],
      deletes: ["a"],
      bytes: 1,
    },
    {
      name: "a later put replaces an earlier one",
      ops: [
        ["put", "a", "1"],
        ["put", "a", "22"],
      ],
      puts: [["a", "22"]],
      deletes: [],
      bytes: 4,
    },
    {
      name: "a put after a delete is a put",
      ops: [
        ["delete", "a"],
        ["put", "a", "1"],
      ],
      puts: [["a", "1"]],
      deletes: [],
      bytes: 2,
    },
    {
      name: "a delete after a put is a delete",
      ops: [
        ["put", "a", "1"],
        ["delete", "a"],
      ],
      puts: [],
      deletes: ["a"],
      bytes: 2,
    },
    {
      name: "an empty record is no delete",
      ops: [["put", "a", ""]],
      puts: [["a", ""]],
      deletes: [],
      bytes: 1,
    },
  ];
  it.each(rows)("$name", ({ ops, puts, deletes, bytes }) => {
    const overlay = new Overlay({ get: () => undefined });
    run(overlay, ops);
    expect([overlay.changedBytes, overlay.bytes, overlay.changedEntries]).toEqual([
      bytes,
      bytes,
      puts.length + deletes.length,
    ]);
    const taken = overlay.take();
    expect(taken.puts.map(([name, value]) => [name, Buffer.from(value).toString()])).toEqual(puts);
    expect(taken.deletes).toEqual(deletes);
    expect([overlay.changedBytes, overlay.bytes, overlay.isInFlight]).toEqual([0, bytes, true]);
    overlay.durable();
    expect([overlay.bytes, overlay.entries, overlay.isInFlight]).toEqual([0, 0, false]);
  });

  it("is the only one in flight", () => {
    const overlay = new Overlay({ get: () => undefined });
    expect(() => overlay.durable()).toThrow("no backend batch is in flight");
    overlay.take();
    expect(() => overlay.take()).toThrow("a backend batch is in flight");
  });
});

describe("reads", () => {
  it("see the newest write, through batches that are durable late", () => {
    const step = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.tuple(fc.constant("put" as const), fc.constantFrom("a", "b", "c"), fc.string()),
      },
      { weight: 3, arbitrary: fc.tuple(fc.constant("delete" as const), fc.constantFrom("a", "b", "c")) },
      { weight: 2, arbitrary: fc.tuple(fc.constant("take" as const)) },
      { weight: 2, arbitrary: fc.tuple(fc.constant("durable" as const)) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const below = new Map<string, Uint8Array>([["c", bytesOf("old")]]);
        const all = new Map(below);
        const overlay = new Overlay(below);
        let taken: ReturnType<Overlay["take"]> | undefined;
        for (const [type, name = "", value = ""] of steps) {
          if (type === "put") {
            overlay.put(name, bytesOf(value));
            all.set(name, bytesOf(value));
          } else if (type === "delete") {
            overlay.delete(name);
            all.delete(name);
          } else if (type === "take" && taken === undefined) {
            taken = overlay.take();
          } else if (type === "durable" && taken !== undefined) {
            for (const deleted of taken.deletes) below.delete(deleted);
            for (const [put, bytes] of taken.puts) below.set(put, bytes);
            taken = undefined;
            overlay.durable();
          }
          overlay.checkInvariants();
          for (const known of ["a", "b", "c", "d"]) expect(overlay.get(known)).toEqual(all.get(known));
        }
      }),
      { numRuns: 300, verbose: 1 },
    );
  });
});
