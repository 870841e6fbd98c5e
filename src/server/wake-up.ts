/**
 * The member's next tick: one timer at the time that the member names, or a turn of the event loop when that is now,
 * so that a member with work left never keeps its sockets waiting.
 */
import type { Cancel, Clock, MonoMs } from "../env/index.ts";

export class WakeUp {
  readonly #clock: Clock;
  readonly #tick: () => void;
  readonly #failed: (error: unknown) => void;
  /** Infinity: no timer runs. */
  #at: MonoMs = Number.POSITIVE_INFINITY;
  #cancel: Cancel | undefined;
  /** A turn of the event loop was asked for; a tick follows. */
  #isSoon = false;
  #isOver = false;

  constructor(clock: Clock, tick: () => void, failed: (error: unknown) => void) {
    this.#clock = clock;
    this.#tick = tick;
    this.#failed = failed;
  }

  /** The next tick is due then, whatever was said before. Infinity: never. */
  arrange(due: MonoMs): void {
    if (this.#isOver || this.#isSoon || due === this.#at) return;
    this.#clear();
    if (due <= this.#clock.now()) {
      this.#isSoon = true;
      this.#clock.giveWay().then(() => this.#soon(), this.#failed);
    } else if (due !== Number.POSITIVE_INFINITY) {
      this.#at = due;
      this.#cancel = this.#clock.wakeAt(due, () => {
        this.#clear();
        if (!this.#isOver) this.#tick();
      });
    }
  }

  stop(): void {
    this.#isOver = true;
    this.#clear();
  }

  #soon(): void {
    this.#isSoon = false;
    if (!this.#isOver) this.#tick();
  }

  #clear(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#at = Number.POSITIVE_INFINITY;
  }
}
