/** Clock, log files and lock of one process, over the simulated machine. Every completion is an event of its life. */
import type { Cancel, Clock, FileOp, MonoMs } from "../../src/env/index.ts";
import type { ClosableLogFiles } from "../../src/server/index.ts";
import type { MemberClock } from "../sim/clock.ts";
import type { SimDisk } from "../sim/disk.ts";
import type { Rng } from "../sim/rng.ts";
import type { EventQueue } from "../sim/scheduler.ts";
import type { Life } from "./life.ts";

/** Lists of file operations that a log may have under way: an append, the next segment, a removal. */
const MAX_LISTS = 3;

export class SimClock implements Clock {
  readonly #life: Life;
  readonly #clock: MemberClock;
  readonly #queue: EventQueue;
  readonly #rng: Rng;

  constructor(
    life: Life,
    parts: { readonly clock: MemberClock; readonly queue: EventQueue; readonly rng: Rng },
  ) {
    this.#life = life;
    this.#clock = parts.clock;
    this.#queue = parts.queue;
    this.#rng = parts.rng;
  }

  now(): MonoMs {
    return this.#clock.now(this.#queue.now);
  }

  wakeAt(when: MonoMs, run: () => void): Cancel {
    let isOff = false;
    // Timers come late, now and then by a lot.
    const late = this.#rng.int(0, 40) === 0 ? this.#rng.int(0, 30_000) : this.#rng.int(0, 300);
    const at = this.#clock.worldAt(when);
    if (at === Number.POSITIVE_INFINITY) return () => undefined;
    this.#life.at(at + late, "timer", () => {
      if (!isOff) run();
    });
    return () => {
      isOff = true;
    };
  }

  giveWay(): Promise<void> {
    return this.#life.wait(10 + this.#rng.int(0, 60), "turn");
  }
}

/** Log files on the simulated disk. As with the real writer, the first failure is final. */
export class SimFiles implements ClosableLogFiles {
  readonly #life: Life;
  readonly #disk: SimDisk;
  readonly #queue: EventQueue;
  readonly #running = new Set<Promise<void>>();
  #failure: Error | undefined;
  #isClosed = false;

  constructor(life: Life, disk: SimDisk, queue: EventQueue) {
    this.#life = life;
    this.#disk = disk;
    this.#queue = queue;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  run(ops: readonly FileOp[]): Promise<void> {
    const running = this.#run(ops);
    this.#running.add(running);
    const forget = (): void => {
      this.#running.delete(running);
    };
    running.then(forget, forget);
    return running;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#running);
  }

  async #run(ops: readonly FileOp[]): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#isClosed) this.#life.violate("closed-port-used", "it writes to a closed log");
    if (ops.length === 0) return;
    const { list, end } = this.#disk.start(this.#queue.now, ops);
    if (this.#disk.queued > MAX_LISTS) {
      this.#life.violate("bounded-queue", `${this.#disk.queued} lists of disk operations`);
    }
    await new Promise<void>((resolve) => this.#life.at(end, "log", resolve));
    const { failure } = this.#disk.finish(this.#queue.now, list);
    if (failure === undefined) return;
    this.#failure ??= new Error(failure);
    throw this.#failure;
  }
}

/** The lock of a data directory: two lives with one directory would be the end of it. */
export class SimLock {
  readonly #onRelease: () => void;
  #isHeld = true;

  /** @param onRelease judges whether everything else is closed by then */
  constructor(onRelease: () => void) {
    this.#onRelease = onRelease;
  }

  get isHeld(): boolean {
    return this.#isHeld;
  }

  async release(): Promise<void> {
    if (this.#isHeld) this.#onRelease();
    this.#isHeld = false;
  }
}
