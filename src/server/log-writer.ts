/**
 * The log's lists of file operations, under way: at most one of an append, one that makes the next segment ahead and
 * one that removes old segments, side by side as `wal/wal.ts` allows. Which operations, in which order, it decides.
 *
 * "Durable" is said when the last operation of an append has returned, and at no other moment.
 */
import { assert } from "../base/index.ts";
import type { FileOp, LogFiles, PersistBatch } from "../env/index.ts";
import type { Wal } from "../wal/index.ts";

export interface LogEvents {
  persisted(seq: number): void;
  /** Once; nothing is reported after it. */
  logFailed(error: unknown): void;
}

export class LogPump {
  readonly #wal: Wal;
  readonly #files: LogFiles;
  readonly #events: LogEvents;
  #isPersisting = false;
  #isPreparing = false;
  #isReleasing = false;
  /** Entries up to this may go; what came while a removal was under way waits for its end. */
  #releaseTo = 0;
  #isOver = false;
  /** At most three. */
  readonly #running = new Set<Promise<void>>();

  constructor(wal: Wal, files: LogFiles, events: LogEvents) {
    this.#wal = wal;
    this.#files = files;
    this.#events = events;
  }

  /** Makes a batch durable, then says so. One at a time. */
  persist(batch: PersistBatch): void {
    assert(!this.#isPersisting, "two persist batches in flight", { seq: batch.seq });
    this.#isPersisting = true;
    this.#run(this.#wal.append(batch), () => {
      this.#isPersisting = false;
      this.#events.persisted(batch.seq);
      this.prepare();
    });
  }

  /** Makes the next segment ahead when it is time to. Called by itself after every batch; once at the start. */
  prepare(): void {
    if (this.#isPreparing || this.#isOver) return;
    const ops = this.#wal.prepare();
    if (ops === undefined) return;
    this.#isPreparing = true;
    this.#run(ops, () => {
      this.#isPreparing = false;
      this.#wal.prepared();
    });
  }

  /** Segments that hold nothing above `index` may go. */
  release(index: number): void {
    this.#releaseTo = Math.max(this.#releaseTo, index);
    if (this.#isReleasing || this.#isOver) return;
    const ops = this.#wal.release(this.#releaseTo);
    if (ops.length === 0) return;
    this.#isReleasing = true;
    this.#run(ops, () => {
      this.#isReleasing = false;
      this.release(this.#releaseTo);
    });
  }

  /** Begins nothing and reports nothing any more; resolves when what was under way has returned. */
  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#running);
  }

  #run(ops: readonly FileOp[], done: () => void): void {
    const running = this.#files
      .run(ops)
      .then(() => {
        if (!this.#isOver) done();
      })
      .catch((error: unknown) => {
        if (this.#isOver) return;
        this.#isOver = true;
        this.#events.logFailed(error);
      })
      .finally(() => {
        this.#running.delete(running);
      });
    this.#running.add(running);
  }
}
