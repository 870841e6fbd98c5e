// Goal: keys are sorted as bytes are compared, whatever they have in common. Method: sets of keys of many
// shapes, each against a comparison sort; many more keys than are sorted by comparing.
import { describe, expect, it } from "vitest";
import { KeyTable } from "../../../src/mvcc/keys.ts";
import { sortKeys } from "../../../src/mvcc/sort-keys.ts";

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
});
