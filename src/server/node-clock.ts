/** The clock of a process: the only file of this folder that knows Node's. */
import type { Cancel, Clock, MonoMs } from "../env/index.ts";

/** Longest time of a Node timer; what is later is waited for in parts. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export class NodeClock implements Clock {
  now(): MonoMs {
    return performance.now();
  }

  wakeAt(when: MonoMs, run: () => void): Cancel {
    if (when === Number.POSITIVE_INFINITY) return () => undefined;
    let timer: NodeJS.Timeout;
    const wait = (): void => {
      // Rounded up, and looked at again: a timer may fire a fraction of a millisecond before its time.
      const left = Math.min(Math.max(0, Math.ceil(when - performance.now())), MAX_TIMER_MS);
      timer = setTimeout(() => (performance.now() < when ? wait() : run()), left);
    };
    wait();
    return () => clearTimeout(timer);
  }

  giveWay(): Promise<void> {
    return new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}
