// Goal: reads see every write at once, durable or not, and nothing leaves memory before it is durable. Method: tables
// of what one batch comes to; a random run against two plain maps, one of all writes and one of what is durable.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Overlay } from "../../../src/apply/index.ts";
import { bytesOf } from "../../../src/base/index.ts";

type Op = readonly ["put" | "append", string, string] | readonly ["delete", string];

function run(overlay: Overlay, ops: readonly Op[]): void {
  for (const op of ops) {
    if (op[0] === "delete") overlay.delete(op[1]);
    else overlay[op[0]](op[1], bytesOf(op[2]));
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
      name: "appended records of two kinds come with the others",
      ops: [
        ["append", "i1", "a"],
        ["append", "v1", "b"],
        ["put", "c", "2"],
        ["append", "i2", ""],
      ],
      puts: [
        ["c", "2"],
        ["i1", "a"],
        ["i2", ""],
        ["v1", "b"],
      ],
      deletes: [],
      bytes: 10,
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

  it("does not put what was appended and deleted again", () => {
    const overlay = new Overlay({ get: () => undefined });
    run(overlay, [
      ["append", "i1", "a"],
      ["append", "i2", "b"],
      ["delete", "i1"],
    ]);
    expect(overlay.get("i1")).toBeUndefined();
    expect(overlay.take()).toEqual({ puts: [["i2", bytesOf("b")]], deletes: ["i1"] });
  });

  it("takes no appended record out of order, nor twice", () => {
    const overlay = new Overlay({ get: () => undefined });
    run(overlay, [
      ["append", "i2", "a"],
      ["append", "i2", "b"],
    ]);
    expect(() => overlay.checkInvariants()).toThrow("appended out of order");
  });

  it("is the only one in flight", () => {
    const overlay = new Overlay({ get: () => undefined });
    expect(() => overlay.durable()).toThrow("no backend batch is in flight");
    overlay.take();
    expect(() => overlay.take()).toThrow("a backend batch is in flight");
  });
});

const KNOWN = ["a", "b", "c", "d", ..."1234".split("").flatMap((digit) => [`i${digit}`, `v${digit}`])];

/** Whether a name will be appended, perhaps: it may not be deleted before. */
function isYetToCome(name: string, appended: number): boolean {
  return Number(name.slice(1)) > appended;
}

describe("reads", () => {
  it("see the newest write, through batches that are durable late", () => {
    const step = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.tuple(fc.constant("put" as const), fc.constantFrom("a", "b", "c"), fc.string()),
      },
      {
        weight: 4,
        arbitrary: fc.tuple(fc.constant("append" as const), fc.constantFrom("i", "v"), fc.string()),
      },
      {
        weight: 4,
        arbitrary: fc.tuple(fc.constant("delete" as const), fc.constantFrom("a", "b", "c", "i1", "v2", "i3")),
      },
      { weight: 2, arbitrary: fc.tuple(fc.constant("take" as const)) },
      { weight: 2, arbitrary: fc.tuple(fc.constant("durable" as const)) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const below = new Map<string, Uint8Array>([["c", bytesOf("old")]]);
        const all = new Map(below);
        const overlay = new Overlay(below);
        let taken: ReturnType<Overlay["take"]> | undefined;
        let appended = 0;
        for (const [type, name = "", value = ""] of steps) {
          if (type === "put") {
            overlay.put(name, bytesOf(value));
            all.set(name, bytesOf(value));
          } else if (type === "append" && appended < 4) {
            const next = `${name}${++appended}`;
            overlay.append(next, bytesOf(value));
            all.set(next, bytesOf(value));
          } else if (type === "delete" && !isYetToCome(name, appended)) {
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
          expect(KNOWN.map((known) => overlay.get(known))).toEqual(KNOWN.map((known) => all.get(known)));
        }
      }),
      { numRuns: 300, verbose: 1 },
    );
  });
});
