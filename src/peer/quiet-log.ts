/**
 * Log lines about what strangers do, at most one of a kind per address and interval: a scanner or a member that was
 * removed and keeps calling must not fill the disk.
 */
import type { Clock, LogFields, Logger, MonoMs } from "../env/index.ts";

/** Addresses and kinds that are remembered; beyond, the oldest is forgotten, and may be told of earlier. */
const MAX_REMEMBERED = 1024;

type Level = "warn" | "info" | "debug";

interface Told {
  readonly until: MonoMs;
  /** Lines left out since. */
  suppressed: number;
}

export class QuietLog {
  readonly #intervalMs: number;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #told = new Map<string, Told>();

  /** @param intervalMs 0: every line is written */
  constructor(intervalMs: number, log: Logger, clock: Clock) {
    this.#intervalMs = intervalMs;
    this.#log = log;
    this.#clock = clock;
  }

  /** Writes the line, with the number of those left out before it, or counts it. */
  write(level: Level, address: string, fields: LogFields, event: string): void {
    const key = `${address} ${event}`;
    const told = this.#told.get(key);
    const now = this.#clock.now();
    if (told !== undefined && now < told.until) {
      told.suppressed++;
      return;
    }
    this.#told.delete(key);
    if (this.#intervalMs > 0) this.#remember(key, now + this.#intervalMs);
    const suppressed = told === undefined || told.suppressed === 0 ? {} : { suppressed: told.suppressed };
    this.#log[level]({ address, ...fields, ...suppressed }, event);
  }

  #remember(key: string, until: MonoMs): void {
    if (this.#told.size >= MAX_REMEMBERED) {
      const oldest = this.#told.keys().next();
      if (oldest.done !== true) this.#told.delete(oldest.value);
    }
    this.#told.set(key, { until, suppressed: 0 });
  }
}
