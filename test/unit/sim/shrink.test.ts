// Goal: shrinking finds what a failure needs and keeps nothing else. Method: ddmin over predicates
// whose answer is known.
import { describe, expect, it } from "vitest";
import { ddmin } from "../../../chaos/sim/shrink.ts";

const ITEMS = Array.from({ length: 64 }, (_, i) => i);

describe("ddmin", () => {
  const cases = [
    { name: "one item", needs: [17] },
    { name: "two items far apart", needs: [3, 60] },
    { name: "three neighbours", needs: [30, 31, 32] },
    { name: "every seventh", needs: [0, 7, 14, 21, 28, 35, 42, 49, 56, 63] },
    { name: "nothing", needs: [] },
  ];
  for (const { name, needs } of cases) {
    it(`keeps exactly what is needed: ${name}`, () => {
      const fails = (kept: readonly number[]): boolean => needs.every((item) => kept.includes(item));
      expect(ddmin(ITEMS, fails, 10_000)).toEqual(needs);
    });
  }

  it("stops at its budget with something that still fails", () => {
    let runs = 0;
    const fails = (kept: readonly number[]): boolean => {
      runs++;
      return kept.includes(5) && kept.includes(50);
    };
    const kept = ddmin(ITEMS, fails, 4);
    expect(runs).toBe(4);
    expect(kept).toContain(5);
    expect(kept).toContain(50);
  });
});
