/** Clocks for tests of what waits: one that stands still until it is moved, and the machine's own. */
import type { Cancel, Clock } from "../../src/env/index.ts";

/** Time moves by `advance` alone. Giving way is real, so that sockets are served. */
export class VirtualClock implements Clock {
  #now = 0;
  #timers: { readonly when: number; readonly run: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  wakeAt(when: number, run: () => void): Cancel {
    const timer = { when, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((one) => one !== timer);
    };
  }

  giveWay(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  /** Runs what is due in the next `ms`, in order of time, each at its time. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const due = this.#timers.filter(({ when }) => when <= end).sort((a, b) => a.when - b.when)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((one) => one !== due);
      this.#now = Math.max(this.#now, due.when);
      due.run();
    }
    this.#now = end;
  }
}

/** The machine's own time. */
export const REAL_CLOCK: Clock = {
  now: () => performance.now(),
  wakeAt(when, run) {
    if (when === Number.POSITIVE_INFINITY) return () => undefined;
    const timer = setTimeout(run, Math.max(0, when - performance.now()));
    return () => clearTimeout(timer);
  },
  giveWay: () => new Promise((resolve) => setImmediate(resolve)),
};
