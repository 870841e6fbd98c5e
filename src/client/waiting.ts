/** Waiting that ends: by the injected clock, or by the caller's signal. */
import type { Clock, MonoMs } from "../env/index.ts";

/** A caller's signal and a point in time as one: the first of them ends the call. */
export class Patience {
  readonly deadline: MonoMs;
  readonly #clock: Clock;
  readonly #controller = new AbortController();
  readonly #release: () => void;

  /** @param deadline Infinity: none */
  constructor(clock: Clock, deadline: MonoMs, signal: AbortSignal | undefined) {
    this.#clock = clock;
    this.deadline = deadline;
    const end = (): void => this.#controller.abort();
    const cancel = clock.wakeAt(deadline, end);
    signal?.addEventListener("abort", end, { once: true });
    if (signal?.aborted === true) end();
    this.#release = () => {
      cancel();
      signal?.removeEventListener("abort", end);
    };
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get isOver(): boolean {
    return this.signal.aborted;
  }

  /** Resolves after so many ms, or when patience is over. */
  pause(ms: number): Promise<void> {
    return waitUntil(this.#clock, this.#clock.now() + ms, this.signal);
  }

  /** Gives timer and listener back. Idempotent. */
  release(): void {
    this.#release();
  }
}

/** Resolves at `when`, or when the signal is aborted. */
export function waitUntil(clock: Clock, when: MonoMs, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = (): void => {
      cancel();
      signal.removeEventListener("abort", end);
      resolve();
    };
    const cancel = clock.wakeAt(when, end);
    signal.addEventListener("abort", end, { once: true });
  });
}
