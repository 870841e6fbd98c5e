/** How the benchmarks measure: wall and processor time, and how long one slice of work holds the event loop. */

/** What slices of work took, each by itself. */
export interface SliceSums {
  readonly slices: number;
  /** Longest, and what all but one in a hundred stayed below; 0 without a slice. */
  readonly maxMs: number;
  readonly p99Ms: number;
  /** The most processor time, of all threads: less than `maxMs` where others had the processor. */
  readonly maxCpuMs: number;
  readonly seconds: number;
}

/** Times slices of work. Garbage that is collected in one counts as a part of it. */
export class SliceTimes {
  readonly #ms: number[] = [];
  #maxCpuMs = 0;

  get slices(): number {
    return this.#ms.length;
  }

  time<T>(slice: () => T): T {
    const cpu = process.cpuUsage();
    const begin = performance.now();
    const result = slice();
    this.#ms.push(performance.now() - begin);
    const { user, system } = process.cpuUsage(cpu);
    this.#maxCpuMs = Math.max(this.#maxCpuMs, (user + system) / 1000);
    return result;
  }

  figures(): SliceSums {
    const sorted = [...this.#ms].sort((a, b) => a - b);
    const at = (share: number): number => sorted[Math.ceil(sorted.length * share) - 1] ?? 0;
    const seconds = sorted.reduce((sum, ms) => sum + ms, 0) / 1000;
    return { slices: sorted.length, maxMs: at(1), p99Ms: at(0.99), maxCpuMs: this.#maxCpuMs, seconds };
  }
}

/** What some work took. */
export interface Cost {
  readonly seconds: number;
  /** Processor time of the whole process, all threads: less disturbed by what else runs on the machine. */
  readonly cpuSeconds: number;
  /** Longest time for which the event loop had no turn; 0 for work that gives it none, or when nobody watched. */
  readonly blockMs: number;
}

/**
 * Watches for how long the event loop has no turn, by turns of its own: `monitorEventLoopDelay` rests on a timer and
 * sees nothing below a millisecond. Keeps the loop busy, so it is for measuring only.
 */
export class LoopWatch {
  #longestMs = 0;
  #last = 0;
  #isOn = true;

  constructor() {
    this.#last = performance.now();
    this.#turn();
  }

  /** Stops watching. Milliseconds of the longest time between two turns. */
  stop(): number {
    this.#isOn = false;
    this.#note();
    return this.#longestMs;
  }

  #turn(): void {
    setImmediate(() => {
      if (!this.#isOn) return;
      this.#note();
      this.#turn();
    });
  }

  #note(): void {
    const now = performance.now();
    this.#longestMs = Math.max(this.#longestMs, now - this.#last);
    this.#last = now;
  }
}

/** Runs it and says what it took; it gives the event loop no turn. */
export function timed(run: () => void): Omit<Cost, "blockMs"> {
  const cpu = process.cpuUsage();
  const begin = performance.now();
  run();
  const seconds = (performance.now() - begin) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { seconds, cpuSeconds: (user + system) / 1e6 };
}

/**
 * Runs it and says what it took.
 * @param isWatched whether the event loop is watched, which takes all processor time that would be idle
 */
export async function timedAsync(run: () => Promise<void>, isWatched = true): Promise<Cost> {
  const watch = isWatched ? new LoopWatch() : undefined;
  const cpu = process.cpuUsage();
  const begin = performance.now();
  await run();
  const seconds = (performance.now() - begin) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { seconds, cpuSeconds: (user + system) / 1e6, blockMs: watch?.stop() ?? 0 };
}
