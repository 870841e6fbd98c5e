// Goal: a seed of the second tier means one run, and runs are clean. Method: a few seeds twice in one process, in
// another order, must give the same traces; different seeds give different ones.
import { describe, expect, it } from "vitest";
import { runDriver } from "../../../chaos/driver/run.ts";

describe("the second tier", () => {
  it("gives the same trace for a seed, and is clean", async () => {
    const first = new Map<number, string>();
    for (const seed of [3, 4, 12]) {
      const { violation, hash, acknowledged } = await runDriver(seed, false);
      expect(violation, String(seed)).toBeUndefined();
      expect(acknowledged).toBeGreaterThan(50);
      first.set(seed, hash);
    }
    expect(new Set(first.values()).size).toBe(3);
    // A timeline changes nothing of the run that it tells.
    for (const seed of [12, 3]) expect((await runDriver(seed, true)).hash).toBe(first.get(seed));
  });
});
