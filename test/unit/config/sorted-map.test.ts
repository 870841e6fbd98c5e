// Goal: the immutable map is a map in key order, and never changes once it is there. Method: property against Map, with
// every version kept and looked at again at the end.
import fc from "fast-check";
import { expect, test } from "vitest";
import { SortedMap } from "../../../src/config/sorted-map.ts";

test("behaves as a Map, in order, and every version stays as it was", () => {
  const change = fc.tuple(fc.integer({ min: 0, max: 40 }), fc.option(fc.integer(), { nil: undefined }));
  fc.assert(
    fc.property(fc.array(change, { maxLength: 120 }), fc.integer({ min: 0, max: 41 }), (changes, from) => {
      let map = SortedMap.empty<number, number>();
      const model = new Map<number, number>();
      const versions: [SortedMap<number, number>, [number, number][]][] = [];
      for (const [key, value] of changes) {
        map = map.with(key, value);
        if (value === undefined) model.delete(key);
        else model.set(key, value);
        versions.push([map, [...model].sort(([a], [b]) => a - b)]);
      }
      for (const [version, entries] of versions) {
        version.checkInvariants();
        expect([...version.entries()]).toEqual(entries);
        expect([...version.entries(from)]).toEqual(entries.filter(([key]) => key >= from));
        expect(version.size).toBe(entries.length);
        expect(version.firstKey()).toBe(entries[0]?.[0]);
        expect(version.lastKey()).toBe(entries.at(-1)?.[0]);
        expect(version.get(from)).toBe(entries.find(([key]) => key === from)?.[1]);
      }
    }),
    { numRuns: 200 },
  );
});

test("a change that changes nothing gives the same map", () => {
  const map = SortedMap.empty<string, object>().set("a", MARK);
  expect(map.set("a", MARK)).toBe(map);
  expect(map.delete("b")).toBe(map);
});

test("stays balanced when keys come in order", () => {
  let map = SortedMap.empty<number, number>();
  for (let i = 0; i < 20_000; i++) map = map.set(i, i);
  for (let i = 0; i < 20_000; i += 2) map = map.delete(i);
  map.checkInvariants();
  expect(map.size).toBe(10_000);
  expect(map.get(19_999)).toBe(19_999);
  expect(map.get(19_998)).toBeUndefined();
});

const MARK = {};
