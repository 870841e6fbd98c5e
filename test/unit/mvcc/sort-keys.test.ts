// Goal: keys are sorted as bytes are compared, whatever they have in common. Method: sets of keys of many
// shapes, each against a comparison sort; many more keys than are sorted by comparing.
import { describe, expect, it } from "vitest";
import { KeyTable } from "../../../src/mvcc/keys.ts";
import { sortingKeys, sortKeys } from "../../../src/mvcc/sort-keys.ts";

/** Scatters the numbers below 2^31. */
function scatter(n: number): number {
  return (Math.imul(n + 1, 0x9e3779b1) >>> 1) >>> 0;
}

describe("sortKeys", () => {
  it.each([
    ["no keys", 0, (n: number) => `${n}`],
    ["few", 20, (n: number) => `${scatter(n)}`],
    ["numbers", 3000, (n: number) => `${scatter(n)}`],
    ["a long common prefix", 3000, (n: number) => `/registry/pods/default/${"x".repeat(40)}${scatter(n)}`],
    ["two prefixes", 3000, (n: number) => `${n % 2 === 0 ? "/a" : "/abcdefgh"}/${scatter(n) % 5000}`],
    ["keys that begin each other", 200, (n: number) => "a".repeat(n + 1)],
    ["zeros at the end", 200, (n: number) => `a${"\0".repeat(n)}`],
    [
      "zeros among others",
      2000,
      (n: number) => `a${"\0".repeat(n % 7)}${n % 3 === 0 ? "" : scatter(n) % 900}`,
    ],
    [
      "many behind a few that end in zeros",
      3000,
      (n: number) => (n < 6 ? `k/${"\0".repeat(5 - n)}` : `k/\0\0\0\0${scatter(n)}`),
    ],
    ["one byte each", 256, (n: number) => String.fromCharCode(255 - n)],
    ["bytes above 127", 2000, (n: number) => `\xff${String.fromCharCode(scatter(n) % 256, n % 256, n >> 8)}`],
  ])("%s", (_name, count, keyOf) => {
    const texts = [...new Set(Array.from({ length: count }, (_, n) => keyOf(n)))];
    const table = new KeyTable();
    for (const text of texts) table.add(Buffer.from(text, "latin1"));
    const ids = Uint32Array.from(texts.keys());
    sortKeys(table, ids);
    const sorted = [...ids].map((id) => Buffer.from(table.bytes(id)).toString("latin1"));
    expect(sorted).toEqual([...texts].sort((a, b) => (a < b ? -1 : 1)));
  });

  it.each([
    ["numbers behind a common prefix", (n: number) => `/registry/pods/${scatter(n)}`],
    ["a long run behind a key that ends", (n: number) => (n === 0 ? "k" : `k\0\0\0${n}`)],
    ["groups of a few", (n: number) => `${n % 4000}/${n}`],
  ])("can be left every few keys: %s", (_name, keyOf) => {
    const table = new KeyTable();
    const count = 20_000;
    for (let n = 0; n < count; n++) table.add(Buffer.from(keyOf(n), "latin1"));
    const steps = [
      ...sortingKeys(
        table,
        Uint32Array.from({ length: count }, (_, id) => id),
      ),
    ];
    expect(Math.max(...steps)).toBeLessThanOrEqual(1100);
    // Each key is looked at once at least, and a run of the same keys is not looked at for ever.
    const total = steps.reduce((sum, units) => sum + units, 0);
    expect(total).toBeGreaterThan(count * 0.9);
    expect(total).toBeLessThan(count * 12);
  });
});
