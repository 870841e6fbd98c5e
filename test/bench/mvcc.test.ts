// Goal: the benchmark of the store measures work that was done. Method: a short run; every key must be there
// at the end, as counted after a restart and as paged through at an old revision. Nothing is said about
// time.
import { describe, expect, test } from "vitest";
import { exerciseStore, measureMemory } from "./mvcc.ts";

describe("the store", () => {
  test("ends with every key and every revision", () => {
    const figures = exerciseStore({ keys: 3000, updates: 6000, valueBytes: 64 });
    expect(figures).toMatchObject({ counted: 3000, paged: 3000, revision: 9001 });
  });

  test("takes memory", () => {
    expect(measureMemory(20_000).arrays).toBeGreaterThan(20_000 * 64);
  });
});
