/**
 * The multi-version store: every key at every revision since the last compaction. Keys, revisions and their order are
 * in memory; values are records, read one by one. Everything that must outlive a restart is written as records in the
 * very call that changes it, so whoever owns the records decides what is atomic with what.
 *
 * Synchronous and deterministic: answers, `logicalBytes` and hashes are functions of the calls that changed something,
 * never of how far physical deletion has come.
 */
import { ERR, fail, type KvError, runToEnd, type Work } from "../base/index.ts";
import type { Records } from "../env/index.ts";
import type { Event, KeyValue } from "../pb/kv.ts";
import { Compactor } from "./compaction.ts";
import { CountJob, countOf } from "./counting.ts";
import { type HashJob, startHash } from "./hash.ts";
import { eventOf, type History, historyOf, keyValueOf } from "./history.ts";
import { type LeasedVisitor, StateLoader } from "./load.ts";
import { PageCounts } from "./page-counts.ts";
import { countAt, pageAt, resolveAt } from "./reading.ts";
import type { Refused } from "./records.ts";
import { StoreState } from "./state.ts";
import type {
  Change,
  CountWork,
  DamagedRecord,
  KeyMeta,
  KeyPage,
  KeyRange,
  PageBounds,
  Resolved,
  SlicedReader,
  StoreView,
  WriteTxn,
} from "./types.ts";
import { Txn } from "./write.ts";

export class Store implements StoreView, SlicedReader {
  readonly #state: StoreState;
  readonly #compactor: Compactor;
  readonly #pages = new PageCounts();

  /**
   * The empty store over records that hold nothing of a store; a saved one comes from `Store.loader`.
   * @param loaded given by the loader only
   */
  constructor(records: Records, loaded: StoreState = new StoreState(records)) {
    this.#state = loaded;
    this.#compactor = new Compactor(loaded);
  }

  /** Builds the store that was saved in these records. */
  static loader(records: Records): StoreLoader {
    return new StoreLoader(records);
  }

  get revision(): number {
    return this.#state.revision;
  }

  get compactRevision(): number {
    return this.#state.compactRevision;
  }

  /**
   * Replicated size, bytes: keys, values and a constant for every revision that compaction has not dropped. Equal on
   * all members that applied the same; the quota is judged by it. An open transaction counts.
   */
  get logicalBytes(): number {
    return this.#state.logicalBytes;
  }

  /** Bytes of memory that keys and revisions take, without the ordered index (about 6 bytes per key). */
  get memoryBytes(): number {
    return this.#state.keys.memoryBytes + this.#state.rows.memoryBytes;
  }

  /** Opens the only write transaction. Until its `end` nothing of it is visible here. */
  begin(): WriteTxn {
    return new Txn(this.#state);
  }

  readProblem(revision: number): KvError | undefined {
    if (revision <= 0) return undefined;
    if (revision > this.#state.revision) return ERR.futureRevision;
    return revision < this.#state.compactRevision ? ERR.compacted : undefined;
  }

  resolve(range: KeyRange, revision: number, limit: number): Resolved {
    return resolveAt(this.#state, range, this.#mustRead(revision), limit);
  }

  page(range: KeyRange, revision: number, bounds: PageBounds): KeyPage {
    return pageAt(this.#state, range, this.#mustRead(revision), bounds);
  }

  startCount(range: KeyRange, revision: number): CountWork {
    const at = this.#mustRead(revision);
    const known = this.#pages.find(range, at);
    return known === undefined ? new CountJob(this.#state, range, at) : countOf(known);
  }

  noteRest(rangeEnd: Uint8Array, revision: number, lastKey: Uint8Array, rest: number): void {
    this.#pages.remember(rangeEnd, this.#mustRead(revision), lastKey, rest);
  }

  count(range: KeyRange, revision: number): number {
    return countAt(this.#state, range, this.#mustRead(revision));
  }

  value(meta: KeyMeta): Uint8Array | DamagedRecord {
    return this.#state.value(meta);
  }

  keyValue(meta: KeyMeta): KeyValue {
    return keyValueOf(this.#state, meta);
  }

  history(range: KeyRange, from: number, to: number, maxChanges: number): History {
    const { compactRevision, revision } = this.#state;
    if (from < compactRevision || to > revision) {
      fail("history out of bounds", { from, to, compactRevision, revision });
    }
    return historyOf(this.#state, range, { from, to, maxChanges });
  }

  event(change: Change, prevKv: boolean): Event {
    return eventOf(this.#state, change, prevKv);
  }

  pin(revision: number): () => void {
    return this.#pin(revision <= 0 ? this.revision : revision);
  }

  /**
   * Forgets history below `revision`: from now on it is refused. Deletion follows in `compactionStep`. undefined: done;
   * ERR.compacted, also at the floor itself; ERR.futureRevision. `compact(0)` is allowed once, as in etcd.
   */
  compact(revision: number): KvError | undefined {
    return this.#compactor.compact(revision);
  }

  /**
   * Deletes what compaction dropped, in about `budget` units of work (`work.ts`). Whether there is more to do now; what
   * is pinned waits, so ask again (`compactionPending`) after a release.
   */
  compactionStep(budget: number): boolean {
    return this.#compactor.step(budget);
  }

  /** Whether `compactionStep` has something to do. */
  get compactionPending(): boolean {
    return this.#compactor.hasWork;
  }

  /** Whether everything that compaction at `revision` dropped is deleted; what a physical compaction waits for. */
  isCompacted(revision: number): boolean {
    return this.#state.physical >= revision;
  }

  /**
   * Begins to hash everything up to `revision` (<= 0: the newest), as etcd's HashKV does. Finish or cancel the job: it
   * holds a pin. ERR.compacted or ERR.futureRevision.
   */
  startHash(revision: number): HashJob | KvError {
    return startHash(this.#state, revision, (at) => this.#pin(at));
  }

  /** Checks everything against everything; for tests. @throws AssertionError */
  checkInvariants(): void {
    this.#state.checkInvariants();
  }

  #mustRead(revision: number): number {
    const { compactRevision, revision: newest } = this.#state;
    const at = revision <= 0 ? newest : revision;
    const isHeld = at >= compactRevision || this.#isPinnedUpTo(at);
    if (!isHeld || at > newest) fail("read out of bounds", { at, compactRevision, newest });
    return at;
  }

  /** Whether somebody holds this revision or an earlier one: then all of it is still there. */
  #isPinnedUpTo(revision: number): boolean {
    for (const pinned of this.#state.pins.keys()) if (pinned <= revision) return true;
    return false;
  }

  #pin(revision: number): () => void {
    const { pins, compactRevision } = this.#state;
    if (revision < compactRevision) fail("a pin below the floor", { revision, compactRevision });
    pins.set(revision, (pins.get(revision) ?? 0) + 1);
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      const count = pins.get(revision) ?? 0;
      if (count > 1) pins.set(revision, count - 1);
      else pins.delete(revision);
    };
  }
}

/** Takes the records `c` and `i<revision>` in order of name, then gives the store. */
export class StoreLoader {
  readonly #records: Records;
  readonly #loader: StateLoader;

  constructor(records: Records) {
    this.#records = records;
    this.#loader = new StateLoader(records);
  }

  /** Takes the next record; the bytes are not kept. */
  add(name: string, bytes: Uint8Array): void {
    this.#loader.add(name, bytes);
  }

  /** The store, or why its records cannot be trusted, naming the first that cannot. */
  finish(): { readonly type: "ok"; readonly store: Store } | Refused {
    return runToEnd(this.finishing());
  }

  /**
   * As `finish`, in steps: yields about how many keys or revisions it has been through.
   * @param visit is told of every present key that hangs on a lease, in no order
   */
  *finishing(visit?: LeasedVisitor): Work<{ readonly type: "ok"; readonly store: Store } | Refused> {
    const finished = yield* this.#loader.finishing(visit);
    if (finished.type === "refused") return finished;
    return { type: "ok", store: new Store(this.#records, finished.state) };
  }
}
