// Goal: a request is taken once, within the stated bounds. Method: random takes against a model that keeps every
// sequence in a set, with saving and loading in between; then the bounds one by one.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MAX_SEEN_INSTANCES, RequestsSeen, SEEN_WINDOW } from "../../../src/apply/index.ts";

/** Everything ever taken, per instance; older than the window counts as seen; least recently applied goes first. */
class Model {
  readonly sets = new Map<bigint, { taken: Set<number>; highest: number; lastIndex: number }>();
  readonly max: number;
  constructor(max: number) {
    this.max = max;
  }
  has(instance: bigint, sequence: number): boolean {
    const found = this.sets.get(instance);
    if (found === undefined) return false;
    return found.taken.has(sequence) || sequence <= found.highest - SEEN_WINDOW;
  }
  take(instance: bigint, sequence: number, index: number): boolean {
    if (this.has(instance, sequence)) return false;
    let found = this.sets.get(instance);
    if (found === undefined) {
      if (this.sets.size === this.max) {
        const oldest = [...this.sets].sort((a, b) => a[1].lastIndex - b[1].lastIndex)[0];
        if (oldest) this.sets.delete(oldest[0]);
      }
      found = { taken: new Set(), highest: 0, lastIndex: 0 };
      this.sets.set(instance, found);
    }
    found.taken.add(sequence);
    found.highest = Math.max(found.highest, sequence);
    found.lastIndex = index;
    return true;
  }
}

/** Saved records as a backend would keep them. */
class Saved {
  readonly records = new Map<string, Uint8Array>();
  save(seen: RequestsSeen): void {
    const changes = { puts: [] as [string, Uint8Array][], deletes: [] as string[] };
    seen.takeChanges(changes);
    for (const name of changes.deletes) this.records.delete(name);
    for (const [name, bytes] of changes.puts) this.records.set(name, bytes);
  }
  load(max: number): RequestsSeen {
    const seen = new RequestsSeen(max);
    // A backend returns records in the order of their names, which is not the order of forgetting.
    expect(seen.load(new Map([...this.records].sort()))).toEqual({ type: "ok" });
    return seen;
  }
}

const step = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.record({ instance: fc.bigInt(1n, 6n), jump: fc.integer({ min: -40, max: 3 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ instance: fc.bigInt(1n, 6n), jump: fc.integer({ min: -2200, max: 2200 }) }),
  },
  // Around a whole turn of the window, where the bits of a turn ago lie.
  {
    weight: 8,
    arbitrary: fc.record({ instance: fc.bigInt(1n, 2n), jump: fc.integer({ min: 1018, max: 1028 }) }),
  },
  { weight: 4, arbitrary: fc.constant("reload" as const) },
);

describe("requests seen", () => {
  it("agrees with a set of everything taken", () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 50, maxLength: 300 }), (steps) => {
        const model = new Model(4);
        const saved = new Saved();
        let seen = new RequestsSeen(4);
        const highest = new Map<bigint, number>();
        let index = 0;
        for (const s of steps) {
          if (s === "reload") {
            saved.save(seen);
            seen = saved.load(4);
            continue;
          }
          const top = highest.get(s.instance) ?? 3000;
          const sequence = Math.max(1, top + s.jump);
          highest.set(s.instance, Math.max(top, sequence));
          const id = { instance: s.instance, sequence };
          index++;
          const isSeen = model.has(s.instance, sequence);
          const found = [seen.has(id), seen.maybeTake(id, index), seen.has(id), seen.size];
          const expected = [isSeen, model.take(s.instance, sequence, index), true, model.sets.size];
          // Compared by hand first: a matcher per step would take most of the time.
          if (found.some((value, at) => value !== expected[at])) expect(found).toEqual(expected);
          seen.checkInvariants();
        }
      }),
      { numRuns: 200, verbose: 1 },
    );
  });

  it("never takes a request without identity for one it knows", () => {
    const seen = new RequestsSeen();
    const nobody = { instance: 0n, sequence: 0 };
    expect([seen.maybeTake(nobody, 1), seen.maybeTake(nobody, 2), seen.has(nobody)]).toEqual([
      true,
      true,
      false,
    ]);
    expect(seen.size).toBe(0);
  });

  it("counts what is older than the window as seen", () => {
    const seen = new RequestsSeen();
    seen.maybeTake({ instance: 1n, sequence: 5000 }, 1);
    const rows = [
      { sequence: 5000, isSeen: true },
      { sequence: 4999, isSeen: false },
      { sequence: 5000 - SEEN_WINDOW + 1, isSeen: false },
      { sequence: 5000 - SEEN_WINDOW, isSeen: true },
      { sequence: 1, isSeen: true },
      { sequence: 5001, isSeen: false },
    ];
    for (const { sequence, isSeen } of rows)
      expect(seen.has({ instance: 1n, sequence }), `${sequence}`).toBe(isSeen);
  });

  it("does not take a sequence that was jumped over for the one a whole window before it", () => {
    const seen = new RequestsSeen();
    for (let sequence = 1; sequence <= 1030; sequence++) seen.maybeTake({ instance: 1n, sequence }, sequence);
    seen.maybeTake({ instance: 1n, sequence: 1034 }, 1031);
    const jumped = [1031, 1032, 1033].map((sequence) => seen.has({ instance: 1n, sequence }));
    expect(jumped).toEqual([false, false, false]);
  });

  it("remembers a bounded number of instances, the least recently applied one goes", () => {
    const seen = new RequestsSeen();
    let index = 0;
    for (let i = 1; i <= MAX_SEEN_INSTANCES; i++)
      seen.maybeTake({ instance: BigInt(i), sequence: 1 }, ++index);
    seen.maybeTake({ instance: 1n, sequence: 2 }, ++index);
    // A duplicate does not count as use.
    seen.maybeTake({ instance: 2n, sequence: 1 }, ++index);
    seen.maybeTake({ instance: 99_999n, sequence: 1 }, ++index);
    expect(seen.size).toBe(MAX_SEEN_INSTANCES);
    expect(seen.has({ instance: 1n, sequence: 1 })).toBe(true);
    expect(seen.has({ instance: 2n, sequence: 1 })).toBe(false);
  });

  it("refuses records that it did not write", () => {
    const saved = new Saved();
    const seen = new RequestsSeen();
    seen.maybeTake({ instance: 0xabn, sequence: 7 }, 3);
    saved.save(seen);
    const bytes = saved.records.get("rab") ?? new Uint8Array();
    const rows = [
      { name: "short", records: [["rab", bytes.subarray(1)]] },
      { name: "not an id", records: [["rAB", bytes]] },
      { name: "leading zero", records: [["r0ab", bytes]] },
      { name: "no highest", records: [["rab", bytes.map((b, i) => (i < 8 ? 0 : b))]] },
      { name: "huge highest", records: [["rab", bytes.map((b, i) => (i < 8 ? 255 : b))]] },
      {
        name: "too many",
        records: [
          ["rab", bytes],
          ["rac", bytes],
          ["rad", bytes],
        ],
      },
    ] as const;
    for (const { name, records } of rows) {
      const loaded = new RequestsSeen(2).load(new Map<string, Uint8Array>(records));
      expect(loaded.type, name).toBe("refused");
    }
  });
});
