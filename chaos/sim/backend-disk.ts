/**
 * The state's backend in the simulator: directories `state-<index>`, of which one is current. A batch becomes durable
 * whole after a latency; one that is under way in a crash is kept or lost whole. A received snapshot fills a complete
 * directory of its own. What is here is what survives; there is no cache.
 */
import { fail } from "../../src/base/index.ts";
import type { BackendBatch, BackendState, RecordReader } from "../../src/env/index.ts";
import type { SnapshotMeta } from "../../src/raft/types.ts";
import type { Rng } from "./rng.ts";

interface StateDirectory {
  state: BackendState;
  readonly records: Map<string, Uint8Array>;
}

/** One batch in so many takes long. */
const STALL_EVERY = 60;
const MAX_STALL_US = 3_000_000;

/** Invariant: the consistent index of a directory never goes down. */
export class BackendDisk {
  readonly #rng: Rng;
  readonly #directories = new Map<number, StateDirectory>();
  #current = 0;
  #inFlight: { readonly batch: BackendBatch; readonly directory: number } | undefined;

  /** @param first the state of `state-0`. */
  constructor(rng: Rng, first: BackendState) {
    this.#rng = rng;
    this.#put(0, first);
  }

  /** The consistent index of the current directory. */
  get index(): number {
    return this.#state(this.#current).state.index;
  }

  /** Number in the current directory's name. */
  get current(): number {
    return this.#current;
  }

  get busy(): boolean {
    return this.#inFlight !== undefined;
  }

  has(directory: number): boolean {
    return this.#directories.has(directory);
  }

  /** Starts a batch on the current directory. Returns its latency in microseconds. */
  start(batch: BackendBatch, slowFactor: number): number {
    if (this.#inFlight !== undefined) fail("two backend batches in flight", { seq: batch.seq });
    this.#inFlight = { batch, directory: this.#current };
    // Now and then the disk is busy with something else for long: what must wait for the batch waits.
    const stall = this.#rng.int(0, STALL_EVERY) === 0 ? this.#rng.int(0, MAX_STALL_US) : 0;
    return (300 + this.#rng.exponential(1500)) * slowFactor + stall;
  }

  /** The batch under way is durable; returns its number. */
  finish(): number {
    const done = this.#inFlight;
    if (done === undefined) fail("no backend batch in flight");
    this.#inFlight = undefined;
    this.#apply(done.batch, done.directory);
    return done.batch.seq;
  }

  crash(): void {
    const lost = this.#inFlight;
    this.#inFlight = undefined;
    if (lost !== undefined && this.#rng.int(0, 2) === 0) this.#apply(lost.batch, lost.directory);
  }

  wipe(first: BackendState): void {
    this.#inFlight = undefined;
    this.#directories.clear();
    this.#current = 0;
    this.#put(0, first);
  }

  /** Reads from the directory that is current now, as it will be then. */
  reader(): RecordReader {
    return this.#state(this.#current).records;
  }

  /** What a member opens, or a snapshot stream sends: a copy, as of now. */
  view(): BackendState {
    const { state, records } = this.#state(this.#current);
    return { index: state.index, term: state.term, conf: state.conf, records: new Map(records) };
  }

  /** A complete, synced directory of a received snapshot. */
  writeDirectory(state: BackendState): void {
    if (state.index === this.#current)
      fail("a snapshot would replace the open state", { index: state.index });
    this.#put(state.index, state);
  }

  removeDirectory(index: number): void {
    if (index !== this.#current) this.#directories.delete(index);
  }

  /**
   * The log's newest snapshot record names this directory: it is the current one from now on, and older ones go.
   * Returns whether it was there.
   */
  select(meta: SnapshotMeta | undefined): boolean {
    const index = meta === undefined ? 0 : meta.index;
    if (!this.#directories.has(index)) return false;
    this.#current = index;
    for (const other of [...this.#directories.keys()]) if (other < index) this.#directories.delete(other);
    return true;
  }

  /** At a start: directories that no record names are leftovers. */
  removeOthers(): void {
    for (const other of [...this.#directories.keys()]) {
      if (other !== this.#current) this.#directories.delete(other);
    }
  }

  #put(index: number, state: BackendState): void {
    this.#directories.set(index, { state, records: new Map(state.records) });
  }

  #state(index: number): StateDirectory {
    return this.#directories.get(index) ?? fail("no such state directory", { index });
  }

  #apply(batch: BackendBatch, directory: number): void {
    const target = this.#directories.get(directory);
    // A snapshot took the directory's place while the batch was under way.
    if (target === undefined) return;
    if (batch.index < target.state.index) {
      fail("consistent index went down", { from: target.state.index, to: batch.index });
    }
    for (const [key, value] of batch.puts) target.records.set(key, value);
    for (const key of batch.deletes) target.records.delete(key);
    target.state = { index: batch.index, term: batch.term, conf: batch.conf, records: target.records };
  }
}
