// Goal: the benchmark of apply measures puts that were done. Method: a short run; every put must be heard of by the
// listener, over compactions too. Nothing is said about time.
import { describe, expect, test } from "vitest";
import { applyAll, putEntries } from "./apply.ts";

describe("apply", () => {
  test("every put is done and heard of", () => {
    const options = { entries: 12_000, valueBytes: 256, keyBytes: 32, keys: 500, compactEvery: 5_000 };
    expect(applyAll(putEntries(options), options)).toBe(12_000);
  });
});
