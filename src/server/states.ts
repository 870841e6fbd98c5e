/**
 * The state directories of a member while it runs: the one in use and its writer, those that snapshots fill, and those
 * that are left over. The log alone says which one counts; this file sees to it that none is removed or replaced that
 * the log names or is about to name.
 *
 *     receive ── complete ── accepted ── record durable ── open and load ── in use
 *        └────────── held: nothing is removed ──────────────────┘  old one closed, then the leftovers go
 */
import { assert } from "../base/index.ts";
import type { Backend, BackendBatch, BackendDirectory, ReceivingState } from "../env/index.ts";

export interface StateEvents {
  backendDurable(seq: number): void;
  /** The state in use, or the directory, gave an error. */
  stateFailed(error: unknown): void;
  /** Whether a complete directory waits to be taken into use. */
  isInstalling(): boolean;
}

export class States {
  readonly #directory: BackendDirectory;
  readonly #events: StateEvents;
  #backend: Backend;
  #index: number;
  /** Complete directories, the one in use among them. */
  readonly #complete: Set<number>;
  /** While above 0 nothing is removed. */
  #holds = 0;
  #tidying: Promise<void> | undefined;
  #isOver = false;

  constructor(
    directory: BackendDirectory,
    start: { readonly backend: Backend; readonly index: number },
    events: StateEvents,
  ) {
    this.#directory = directory;
    this.#backend = start.backend;
    this.#index = start.index;
    this.#complete = new Set([start.index]);
    this.#events = events;
  }

  /** The state in use. */
  get backend(): Backend {
    return this.#backend;
  }

  /** Writes a batch to the state that is in use now, then says so. One at a time (the member's business). */
  write(batch: BackendBatch): void {
    this.#backend.write(batch).then(
      () => {
        if (!this.#isOver) this.#events.backendDurable(batch.seq);
      },
      (error: unknown) => {
        if (!this.#isOver) this.#events.stateFailed(error);
      },
    );
  }

  /** Keeps every directory until the function that it gives is called. That function is idempotent. */
  async hold(): Promise<() => void> {
    while (this.#tidying !== undefined) await this.#tidying;
    this.#holds++;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#holds--;
      this.maybeTidy();
    };
  }

  /** Whether all of a state is there. Ask while you hold. */
  isComplete(index: number): boolean {
    return this.#complete.has(index);
  }

  /** Begins to fill a directory. Hold meanwhile. */
  receive(index: number): Promise<ReceivingState> {
    assert(!this.#complete.has(index), "a complete state would be replaced", { index });
    return this.#directory.receive(index);
  }

  /** A directory that was filled is complete and durable. */
  noteComplete(index: number): void {
    this.#complete.add(index);
  }

  /** Opens a complete directory; it is not in use yet. Hold meanwhile. */
  open(index: number): Promise<Backend> {
    return this.#directory.open(index);
  }

  /** Takes an opened directory into use and gives back the one before, to be closed by the caller, who holds. */
  replace(backend: Backend, index: number): Backend {
    const before = this.#backend;
    this.#backend = backend;
    this.#index = index;
    this.#complete.add(index);
    return before;
  }

  /** Removes what is left over, unless somebody holds or a snapshot is about to be installed. */
  maybeTidy(): void {
    if (this.#isOver || this.#holds > 0 || this.#tidying !== undefined) return;
    if (this.#complete.size < 2 || this.#events.isInstalling()) return;
    this.#tidying = this.#tidy().finally(() => {
      this.#tidying = undefined;
    });
  }

  /** Begins nothing and reports nothing any more, and closes the state in use when its batch has returned. */
  async close(): Promise<void> {
    this.#isOver = true;
    await this.#tidying;
    await this.#backend.close();
  }

  async #tidy(): Promise<void> {
    const index = this.#index;
    try {
      await this.#directory.removeOthers(index);
      this.#complete.clear();
      this.#complete.add(index);
    } catch (error) {
      if (!this.#isOver) this.#events.stateFailed(error);
    }
  }
}
