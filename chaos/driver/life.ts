/**
 * One life of a process: from its start to its crash or orderly end. Whatever it waits for comes as an event of the
 * world, and nothing of it comes after the end: promises of an ended life never settle, as those of a killed process.
 */
import type { EventQueue } from "../sim/scheduler.ts";
import { type InvariantId, SimViolation } from "../sim/violation.ts";

export class Life {
  readonly slot: number;
  /** Number of the process in the world: rises with every start of the machine. */
  readonly boot: number;
  readonly #queue: EventQueue;
  readonly #report: (violation: SimViolation) => void;
  #isOver = false;

  constructor(
    slot: number,
    boot: number,
    world: { readonly queue: EventQueue; readonly report: (violation: SimViolation) => void },
  ) {
    this.slot = slot;
    this.boot = boot;
    this.#queue = world.queue;
    this.#report = world.report;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  end(): void {
    this.#isOver = true;
  }

  /** Runs at a world time, microseconds, if the process still lives then. */
  at(time: number, label: string, run: () => void): void {
    this.#queue.call(time, { slot: this.slot, boot: this.boot, label }, () => {
      if (!this.#isOver) run();
    });
  }

  after(delayUs: number, label: string, run: () => void): void {
    this.at(this.#queue.now + delayUs, label, run);
  }

  /** Resolves after so many microseconds of world time; never when the life ends before. */
  wait(delayUs: number, label: string): Promise<void> {
    return new Promise((resolve) => this.after(delayUs, label, resolve));
  }

  /** What is found broken inside a port: the product may catch what is thrown, the world remembers it. */
  violate(id: InvariantId, what: string): never {
    const violation = new SimViolation(id, `member ${this.slot}: ${what}`);
    this.#report(violation);
    throw violation;
  }
}
