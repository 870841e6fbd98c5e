// Goal: CRC-32C is the one that everybody else means, also in parts. Method: published vectors (RFC 3720
// B.4), every split of a message against the whole, a bitwise version on all lengths that the unrolled loop
// treats differently.
import { describe, expect, it } from "vitest";
import { bytesOf, crc32c } from "../../../src/base/index.ts";

const ascending = Uint8Array.from({ length: 67 }, (_, i) => (i * 37 + 11) & 255);

describe("crc32c", () => {
  it.each([
    ["nothing", new Uint8Array(0), 0],
    ["the check of the catalogue", bytesOf("123456789"), 0xe3069283],
    ["32 zeros", new Uint8Array(32), 0x8a9136aa],
    ["32 ones", new Uint8Array(32).fill(255), 0x62a8ab43],
    ["32 ascending", Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
  ])("%s", (_name, bytes, expected) => {
    expect(crc32c(bytes)).toBe(expected);
  });

  it("continues over any split", () => {
    const whole = crc32c(ascending);
    for (let at = 0; at <= ascending.length; at++) {
      expect(crc32c(ascending, crc32c(ascending, 0, 0, at), at)).toBe(whole);
    }
  });

  it("is the bitwise one at every length and offset", () => {
    for (let lo = 0; lo < 9; lo++) {
      for (let hi = lo; hi <= ascending.length; hi++) {
        expect(crc32c(ascending, 0, lo, hi)).toBe(bitwise(ascending.subarray(lo, hi)));
      }
    }
  });
});

function bitwise(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ 0x82f63b78;
  }
  return ~crc >>> 0;
}
