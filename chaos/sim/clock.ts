/**
 * A member's monotonic clock as a function of world time: an offset and a rate that changes only by `setRate`.
 * It goes on while the process is stopped, as CLOCK_MONOTONIC does; a paused process just cannot look at it.
 *
 * Rates lie in [1, 1 + bound]: any two clocks differ by at most the ratio that the leader lease allows for
 * (DESIGN §6: promises are kept 1.1 times as long as the lease runs).
 */
import type { MonoMs } from "../../src/env/index.ts";

/** Largest ratio of two clock rates that the lease is built for, as parts per million above 1. */
export const DRIFT_BOUND_PPM = 100_000;

/** Invariant: `now` never goes backwards, over every change of rate. */
export class MemberClock {
  /** World time and local time, both in microseconds, at the last change of rate. */
  #worldBase = 0;
  #localBase: number;
  #ratePpm: number;

  /** @param offsetUs local time at world time 0. @param driftPpm how much faster than the world, >= 0. */
  constructor(offsetUs: number, driftPpm: number) {
    this.#localBase = offsetUs;
    this.#ratePpm = 1_000_000 + driftPpm;
  }

  get ratePpm(): number {
    return this.#ratePpm;
  }

  /** The member's time, milliseconds, at a world time in microseconds. */
  now(world: number): MonoMs {
    return this.#localUs(world) / 1000;
  }

  /** The first world microsecond at which the member's clock shows at least `local` milliseconds. */
  worldAt(local: MonoMs): number {
    if (local === Number.POSITIVE_INFINITY) return local;
    const ahead = local * 1000 - this.#localBase;
    return this.#worldBase + Math.ceil((ahead * 1_000_000) / this.#ratePpm);
  }

  setRate(world: number, driftPpm: number): void {
    this.#localBase = this.#localUs(world);
    this.#worldBase = world;
    this.#ratePpm = 1_000_000 + driftPpm;
  }

  #localUs(world: number): number {
    return this.#localBase + ((world - this.#worldBase) * this.#ratePpm) / 1_000_000;
  }
}
