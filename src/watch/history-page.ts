/**
 * A piece of history for watchers that catch up, as batches that are made one by one: a stream that has no
 * room after the first costs no second one. Watchers that fell behind at the same moment ask for the same
 * piece, so the last page serves them all, and its bytes are made once for all of them.
 */
import type { DamagedError } from "../mvcc/index.ts";
import type { StoreView } from "../mvcc/types.ts";
import type { ChangeCache } from "./change-cache.ts";
import { batchOf, type EncodedChange, EventBatch, WISHES } from "./event-batch.ts";
import type { WatchedRange } from "./watcher.ts";

/** What of a page is told in one output. */
export interface PageBatch {
  readonly batch: EventBatch;
  /** First revision of which it holds events, and where to go on behind it. */
  readonly first: number;
  readonly next: number;
}

export interface Reading {
  readonly from: number;
  readonly revision: number;
  readonly maxChanges: number;
  readonly batchBytes: number;
  readonly cache: ChangeCache;
}

interface PageSet {
  readonly revision: number;
  readonly changes: readonly EncodedChange[];
}

/** Batches of the page for one combination of wishes, as far as they were made. */
interface Made {
  readonly batches: PageBatch[];
  /** Sets that are in them. */
  sets: number;
}

export class HistoryPage {
  readonly range: WatchedRange;
  readonly from: number;
  /** The store's revision when it was read. */
  readonly revision: number;
  /** Where to go on behind it; above `revision`: there is no more. */
  readonly next: number;
  readonly #store: StoreView;
  readonly #batchBytes: number;
  readonly #sets: readonly PageSet[];
  #madeBytes = 0;
  readonly #made = new Array<Made | undefined>(WISHES).fill(undefined);

  /**
   * Reads history from a revision to the present, at most about `maxChanges` changes of it. A batch is closed by
   * the revision with which it reaches `batchBytes`.
   */
  constructor(store: StoreView, range: WatchedRange, reading: Reading) {
    const { from, revision, maxChanges, batchBytes, cache } = reading;
    this.#store = store;
    this.#batchBytes = batchBytes;
    this.range = range;
    this.from = from;
    this.revision = revision;
    const { sets, next } = store.history(range, from, revision, maxChanges);
    this.#sets = sets.map((set) => ({
      revision: set.revision,
      changes: set.changes.map((change) => cache.of(change)),
    }));
    this.next = next;
  }

  /** Changes in it. */
  get changes(): number {
    let count = 0;
    for (const set of this.#sets) count += set.changes.length;
    return count;
  }

  /** Bytes of all batches that were made so far. */
  get madeBytes(): number {
    return this.#madeBytes;
  }

  /** Whether it is what a watcher of this range needs that goes on at this revision. */
  serves(range: WatchedRange, from: number, revision: number): boolean {
    return (
      this.from === from &&
      this.revision === revision &&
      this.range.start === range.start &&
      this.range.end === range.end
    );
  }

  /** The batch with this number, from 0, for these wishes; undefined: there are no more. */
  batch(wishes: number, number: number): PageBatch | DamagedError | undefined {
    this.#made[wishes] ??= { batches: [], sets: 0 };
    const made = this.#made[wishes];
    if (number < made.batches.length) return made.batches[number];
    const events: Uint8Array[] = [];
    let first = 0;
    let bytes = 0;
    while (made.sets < this.#sets.length && bytes < this.#batchBytes) {
      const set = this.#sets[made.sets] as PageSet;
      const part = batchOf(set.changes, { revision: this.revision, wishes, store: this.#store });
      if (part instanceof Error) {
        // What is before the damage is told first.
        if (events.length > 0) break;
        return part;
      }
      made.sets++;
      if (part === "nothing") continue;
      if (events.length === 0) first = set.revision;
      events.push(...part.events);
      bytes += part.eventBytes;
    }
    if (events.length === 0) return undefined;
    this.#madeBytes += bytes;
    const last = this.#sets[made.sets - 1] as PageSet;
    const done = { batch: new EventBatch(this.revision, events), first, next: last.revision + 1 };
    made.batches.push(done);
    return done;
  }
}
