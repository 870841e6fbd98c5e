// Goal: a stored value is read back only under its own name and only as it was written. Method: every flipped bit and
// every cut of small stored values; values of all sizes around the limit of shared memory.
import { describe, expect, it } from "vitest";
import { seal, unsealed } from "../../../src/backend/seal.ts";
import { bytesOf } from "../../../src/base/index.ts";

function stored(name: string, value: Uint8Array): Uint8Array {
  return seal(name, value).slice();
}

describe("seal", () => {
  it.each([0, 1, 7, 256, 4091, 4092, 4093, 100_000])("gives back a value of %i bytes", (size) => {
    const value = new Uint8Array(size).map((_, i) => i * 31);
    expect(unsealed("v1", stored("v1", value))).toEqual(value);
    expect(unsealed("v1", Buffer.from(stored("v1", value)))?.constructor).toBe(Uint8Array);
  });

  it("does not mix values up in the memory that it uses again", () => {
    const first = stored("a", bytesOf("one"));
    const second = stored("b", bytesOf("two"));
    expect([unsealed("a", first), unsealed("b", second)]).toEqual([bytesOf("one"), bytesOf("two")]);
  });

  it.each(["", "x", "some value"])("finds every flipped bit and every cut of %j", (text) => {
    const good = stored("name", bytesOf(text));
    for (let bit = 0; bit < good.length * 8; bit++) {
      const bad = good.slice();
      bad[bit >> 3] = (bad[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(unsealed("name", bad), `bit ${bit}`).toBeUndefined();
    }
    for (let length = 0; length < good.length; length++) {
      expect(unsealed("name", good.slice(0, length)), `${length} bytes`).toBeUndefined();
    }
  });

  it.each([
    ["another name", "namf"],
    ["a longer name", "name0"],
    ["letters in another order", "anme"],
    ["a name that is none", "nam\u0000"],
    ["a name beyond ASCII", "nam\u00e9"],
    ["no name", ""],
  ])("refuses a value under %s", (_name, name) => {
    expect(unsealed(name, stored("name", bytesOf("value")))).toBeUndefined();
    expect(unsealed(name, stored("name", new Uint8Array(0)))).toBeUndefined();
  });

  it.each(["", "tab\t", "käse", "x".repeat(65)])("does not seal under %j", (name) => {
    expect(() => seal(name, bytesOf("v"))).toThrow("not a name of a record");
  });
});
