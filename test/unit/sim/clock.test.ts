// Goal: a member's clock only goes forward and is invertible. Method: tables of rates, and changes of rate on the way.
import { describe, expect, it } from "vitest";
import { DRIFT_BOUND_PPM, MemberClock } from "../../../chaos/sim/clock.ts";
import { Rng } from "../../../chaos/sim/rng.ts";

describe("MemberClock", () => {
  const rates = [
    { name: "true", drift: 0, after: 1_000 },
    { name: "at the bound", drift: DRIFT_BOUND_PPM, after: 1_100 },
    { name: "at twice the bound", drift: 2 * DRIFT_BOUND_PPM, after: 1_200 },
  ];
  for (const { name, drift, after } of rates) {
    it(`a ${name} clock shows ${after} ms after a second`, () => {
      const clock = new MemberClock(5_000_000, drift);
      expect(clock.now(1_000_000) - clock.now(0)).toBe(after);
    });
  }

  it("never goes back over changes of rate, and wakes nobody early by more than rounding", () => {
    const rng = new Rng(1, "clock");
    const clock = new MemberClock(123, 0);
    let world = 0;
    let before = clock.now(0);
    for (let i = 0; i < 5_000; i++) {
      world += rng.int(0, 100_000);
      if (rng.int(0, 10) === 0) clock.setRate(world, rng.int(0, 200_000));
      const now = clock.now(world);
      expect(now).toBeGreaterThanOrEqual(before);
      before = now;
      const due = now + rng.int(0, 2_000);
      const wake = clock.worldAt(due);
      expect(clock.now(wake)).toBeGreaterThan(due - 0.002);
      expect(clock.now(wake - 2)).toBeLessThanOrEqual(due);
    }
    expect(clock.worldAt(Number.POSITIVE_INFINITY)).toBe(Number.POSITIVE_INFINITY);
  });
});
