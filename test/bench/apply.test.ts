// Goal: the benchmark of apply measures what was done. Method: a short run; every put must be heard of by the listener,
// over compactions too, and every key be read. Nothing is said about time.
import { describe, expect, test } from "vitest";
import { applyAll, putEntries, readAll } from "./apply.ts";

describe("apply", () => {
  test("every put is done and heard of", () => {
    const options = { entries: 12_000, valueBytes: 256, keyBytes: 32, keys: 500, compactEvery: 5_000 };
    expect(applyAll(putEntries(options), options)).toBe(12_000);
  });

  test("every key is read", () => {
    expect(readAll(2000, 100).keysRead).toBe(2000);
  });
});
