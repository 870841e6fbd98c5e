/**
 * When a member announces its data directory's instance, its name and its clients' URLs. It does so as an ordinary
 * request, because only an entry can pin it on all members alike; and again for as long as its record says something
 * else, because a request may be lost. It needs no wake-up of its own: there is somebody to tell only while heartbeats
 * come or go.
 */
import type { MonoMs } from "../env/index.ts";

/** The wait doubles from one election timeout up to this many. */
const MAX_BACKOFF_TIMEOUTS = 16;

export class Publisher {
  readonly #electionTimeoutMs: number;
  #nextAt: MonoMs = Number.NEGATIVE_INFINITY;
  #backoff = 1;

  constructor(electionTimeoutMs: number) {
    this.#electionTimeoutMs = electionTimeoutMs;
  }

  /** Whether to try now; if so, counts as an attempt. */
  maybeAttempt(now: MonoMs): boolean {
    if (now < this.#nextAt) return false;
    this.#nextAt = now + this.#electionTimeoutMs * this.#backoff;
    this.#backoff = Math.min(this.#backoff * 2, MAX_BACKOFF_TIMEOUTS);
    return true;
  }
}
