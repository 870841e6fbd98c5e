// Goal: the immutable map by hash is a map, never changes once it is there, and lives with keys of one hash. Method:
// property against Map with every version looked at again, and its shape checked; keys of one hash found by search; the
// order of keys must not depend on how the map came to be.
import fc from "fast-check";
import { expect, test } from "vitest";
import { HashMap, hashOf } from "../../../src/config/hash-map.ts";

/** Different keys with the same 32 bits, and some that share only their beginning. */
const CLASHING = clashing();
const KEYS = [...CLASHING, ...Array.from({ length: 60 }, (_, i) => `key-${i}`)];

test("behaves as a Map, and every version stays as it was", () => {
  const change = fc.tuple(
    fc.oneof(fc.constantFrom(...CLASHING), fc.constantFrom(...KEYS)),
    fc.option(fc.integer(), { nil: undefined }),
  );
  fc.assert(
    fc.property(fc.array(change, { maxLength: 150 }), (changes) => {
      let map = HashMap.empty<number>();
      const model = new Map<string, number>();
      const versions: [HashMap<number>, Map<string, number>][] = [];
      for (const [key, value] of changes) {
        map = map.with(key, value);
        if (value === undefined) model.delete(key);
        else model.set(key, value);
        versions.push([map, new Map(model)]);
      }
      for (const [version, entries] of versions) {
        expect(new Map(version.entries())).toEqual(entries);
        version.checkInvariants();
        expect(version.size).toBe(entries.size);
        for (const key of KEYS) expect(version.get(key)).toBe(entries.get(key));
      }
      // Built anew in the other direction; keys of one hash may stand the other way round.
      let anew = HashMap.empty<number>();
      for (const [key, value] of [...model].reverse()) anew = anew.with(key, value);
      expect([...anew.keys()].map(hashOf)).toEqual([...map.keys()].map(hashOf));
    }),
    { numRuns: 200 },
  );
});

test("a change that changes nothing gives the same map", () => {
  const map = HashMap.empty<number>().with("a", 1);
  expect(map.with("a", 1)).toBe(map);
  expect(map.with("b", undefined)).toBe(map);
});

test("many keys come and go", () => {
  let map = HashMap.empty<number>();
  for (let i = 0; i < 20_000; i++) map = map.with(`host-${i}.example`, i);
  expect(map.size).toBe(20_000);
  for (let i = 0; i < 20_000; i++) expect(map.get(`host-${i}.example`)).toBe(i);
  for (let i = 0; i < 20_000; i++) map = map.with(`host-${i}.example`, undefined);
  expect(map.size).toBe(0);
  expect([...map.keys()]).toEqual([]);
});

/** Two pairs of texts of one hash. By the birthday they come up among some 100,000 texts. */
function clashing(): string[] {
  const seen = new Map<number, string>();
  const found: string[] = [];
  for (let i = 0; found.length < 4; i++) {
    const key = `c${i.toString(36)}`;
    const other = seen.get(hashOf(key));
    if (other !== undefined) found.push(other, key);
    seen.set(hashOf(key), key);
  }
  return found;
}
