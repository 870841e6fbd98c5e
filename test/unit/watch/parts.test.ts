// Goal: the parts of the hub do what simpler ones would: the range tree finds what a list finds, the queue in a ring is
// a queue, the cache forgets. Method: random calls against arrays, with a printed seed; then the bounds by hand.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytesOf } from "../../../src/base/index.ts";
import type { Change } from "../../../src/mvcc/index.ts";
import { ChangeCache } from "../../../src/watch/change-cache.ts";
import { Fifo } from "../../../src/watch/fifo.ts";
import { NO_END, RangeTree } from "../../../src/watch/range-tree.ts";
import { DumbStore } from "../../support/dumb-store.ts";
import { drain, WatchWorld } from "./watch-kit.ts";

describe("range tree", () => {
  const key = fc.string({ unit: fc.constantFrom("a", "b", "c", "\u00ff"), minLength: 0, maxLength: 3 });
  const end = fc.oneof(key, fc.constant(NO_END));
  const step = fc.record({ start: key, end, isRemoval: fc.boolean(), probe: key });

  it("finds what a list finds", () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 50, maxLength: 300, size: "max" }), (steps) => {
        const tree = new RangeTree<string>();
        const list = new Map<string, { start: string; end: string }>();
        for (const { start, end, isRemoval, probe } of steps) {
          const name = `${start}|${end}`;
          if (start < end && !list.has(name) && !isRemoval) {
            tree.add(start, end, name);
            list.set(name, { start, end });
          } else if (list.has(name)) {
            tree.remove(start, end);
            list.delete(name);
          }
          tree.checkInvariants();
          const found: string[] = [];
          tree.find(probe, found);
          const wanted = [...list].filter(([, range]) => range.start <= probe && probe < range.end);
          expect(found.sort()).toEqual(wanted.map(([wantedName]) => wantedName).sort());
          expect([tree.size, tree.get(start, end)]).toEqual([list.size, list.has(name) ? name : undefined]);
        }
      }),
      { numRuns: 60 },
    );
  });

  it("is balanced for ranges that come in order, and then go", () => {
    const tree = new RangeTree<number>();
    const start = (n: number): string => String(n).padStart(5, "0");
    for (let n = 0; n < 2000; n++) tree.add(start(n), NO_END, n);
    tree.checkInvariants();
    for (let n = 0; n < 2000; n += 2) tree.remove(start(n), NO_END);
    tree.checkInvariants();
    const found: number[] = [];
    tree.find(start(5), found);
    expect(found).toEqual([1, 3, 5]);
    expect(() => tree.remove(start(0), NO_END)).toThrow("not there");
    expect(() => tree.add("b", "a", 1)).toThrow("empty range");
  });
});

describe("fifo", () => {
  it("is a queue", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -3, max: 9 }), { maxLength: 200 }), (steps) => {
        const fifo = new Fifo<number>();
        const list: number[] = [];
        for (const [i, count] of steps.entries()) {
          for (let n = 0; n < count; n++) {
            fifo.push(i + n);
            list.push(i + n);
          }
          for (let n = count; n < 0 && list.length > 0; n++) {
            expect(fifo.peek()).toBe(list[0]);
            expect(fifo.shift()).toBe(list.shift());
          }
          expect(fifo.length).toBe(list.length);
        }
        fifo.clear();
        expect(fifo.length).toBe(0);
        expect(() => fifo.shift()).toThrow("empty");
      }),
    );
  });
});

describe("change cache", () => {
  const change = (modRevision: number, sub = 0): Change => ({
    type: "put",
    meta: { key: bytesOf("a"), createRevision: 1, modRevision, sub, version: 1, lease: 0n },
    value: new Uint8Array(1000),
    previous: undefined,
  });

  it("knows a change again by revision and place", () => {
    const cache = new ChangeCache();
    const first = cache.of(change(5));
    expect(cache.of(change(5))).toBe(first);
    expect(cache.of(change(5, 1))).not.toBe(first);
    expect(cache.of(change(6))).not.toBe(first);
    cache.clear();
    expect(cache.of(change(5))).not.toBe(first);
  });

  it.each([
    ["in number", 40_000, false],
    ["in bytes", 10_000, true],
  ])("is bounded %s, and keeps what is asked for", (_name, count, isEncoded) => {
    const cache = new ChangeCache();
    const store = new DumbStore();
    const [used, unused] = [cache.of(change(1)), cache.of(change(2))];
    for (let revision = 3; revision < count; revision++) {
      const encoded = cache.of({ ...change(revision), type: "delete" });
      if (isEncoded) {
        const set = store.write({ put: "a", value: "x".repeat(1000) });
        expect(
          encoded.bytes(
            { ...store, event: () => store.event(set?.changes[0] as Change, false) } as never,
            false,
          ).length,
        ).toBeGreaterThan(1000);
        store.sets.length = 0;
      }
      cache.of(change(1));
    }
    expect(cache.of(change(1))).toBe(used);
    expect(cache.of(change(2))).not.toBe(unused);
  });

  it("is forgotten when the store is compacted: a previous value that is gone is told to nobody", () => {
    const world = new WatchWorld();
    for (let i = 0; i < 4; i++) world.write({ put: "a" });
    const streams = [world.open(), world.open()];
    for (const stream of streams) world.watch(stream, "a", { startRevision: 4, prevKv: true });
    world.tick(1);
    world.compact(4);
    world.settle();
    expect(streams.map((stream) => drain(stream)[1])).toEqual([
      "0@5: a=v4@4(was v3@3) a=v5@5(was v4@4)",
      "0@5: a=v4@4 a=v5@5(was v4@4)",
    ]);
  });
});
