/**
 * What the multi-version store gives to those above it: the apply chain writes, ranges read, watchers read history.
 * The class `Store` in `store.ts` implements `StoreView` and hands out `WriteTxn`.
 *
 * A *revision* is a positive integer `main`, one per write transaction that changed something; changes inside one are
 * told apart by `sub`, from 0. The empty store is at revision 1, the first change is revision 2.
 */
import type { KvError } from "../base/index.ts";
import type { Event, KeyValue } from "../pb/kv.ts";

/** One key as of one revision: everything but its value, out of memory, without reading a record. */
export interface KeyMeta {
  /** A view or a copy; valid for ever, never changed. */
  readonly key: Uint8Array;
  readonly createRevision: number;
  readonly modRevision: number;
  readonly sub: number;
  readonly version: number;
  readonly lease: bigint;
}

/** A range of keys: `rangeEnd` empty: one key; the byte 0 alone: every key from `key` on; else [key, rangeEnd). */
export interface KeyRange {
  readonly key: Uint8Array;
  readonly rangeEnd: Uint8Array;
}

/** Keys in order, and how many there are in all. */
export interface Resolved {
  /** At most `limit`. */
  readonly metas: readonly KeyMeta[];
  readonly count: number;
}

/** How far a page of keys may go. */
export interface PageBounds {
  /** Most keys. */
  readonly limit: number;
  /** Units of work (`work.ts`) after which it is cut. */
  readonly budget: number;
}

/** Some keys of a range, in order. */
export interface KeyPage {
  readonly metas: readonly KeyMeta[];
  /** The first key that was not looked at; undefined: that was all of the range. */
  readonly next: Uint8Array | undefined;
  /** Units of work that it took, at least 1. */
  readonly work: number;
}

/** A count under way. */
export interface CountWork {
  readonly isDone: boolean;
  /** Once it is done. */
  readonly count: number;
  /** Does about `budget` units of work (`work.ts`), above 0. Returns how many it did. */
  step(budget: number): number;
}

/**
 * What long ranges are worked out with: everything that looks at many keys goes in slices. The revision must be
 * readable and pinned from the first slice to the last; <= 0: the newest, in one slice.
 */
export interface SlicedReader {
  /** The next keys of a range. Go on from `next`. */
  page(range: KeyRange, revision: number, bounds: PageBounds): KeyPage;
  startCount(range: KeyRange, revision: number): CountWork;
  /**
   * A client that was given the keys of a range up to `lastKey` will ask for those behind, and how many there are:
   * `rest`. Nothing depends on whether it is remembered.
   */
  noteRest(rangeEnd: Uint8Array, revision: number, lastKey: Uint8Array, rest: number): void;
}

/** One change, as the live notification and the history give it. */
export interface Change {
  readonly type: "put" | "delete";
  /** Of a delete: key, modRevision and sub; the rest is zero. */
  readonly meta: KeyMeta;
  /** The value written; undefined: read it by `Store.value(meta)`. Of a delete: undefined. */
  readonly value: Uint8Array | undefined;
  /**
   * What the key was just before, so an earlier change of the same revision too; undefined: it was absent. What a
   * watcher is told is what it was before the revision (`StoreView.event`).
   */
  readonly previous: KeyMeta | undefined;
}

/** All changes of one revision, in order of `sub`. Never empty. */
export interface ChangeSet {
  readonly revision: number;
  readonly changes: readonly Change[];
}

/** A value that a record does not hold as it was written: told, never returned. */
export interface DamagedRecord {
  readonly type: "damaged";
  /** Name of the record, for the operator. */
  readonly record: string;
  readonly key: Uint8Array;
  readonly reason: string;
}

/** Reads at any revision in [compactRevision, revision]. Everything here is synchronous. */
export interface StoreView {
  /** Of the last change; 1 while there is none. */
  readonly revision: number;
  /** History below is gone; the state *at* it is readable. -1: never compacted. */
  readonly compactRevision: number;
  /** undefined, or why a read at `revision` (<= 0: the newest) is refused: ERR.compacted or ERR.futureRevision. */
  readProblem(revision: number): KvError | undefined;
  /**
   * Keys of a range as of a revision that `readProblem` allows or that is pinned (<= 0: the newest), in key order.
   * `count` is exact whatever `limit` is (<= 0: all).
   */
  resolve(range: KeyRange, revision: number, limit: number): Resolved;
  /** The number of keys only. */
  count(range: KeyRange, revision: number): number;
  /** The value of a key; reads one record. */
  value(meta: KeyMeta): Uint8Array | DamagedRecord;
  /** Both together. @throws DamagedError naming key and record. */
  keyValue(meta: KeyMeta): KeyValue;
  /**
   * History, for watchers that catch up: the change sets of revisions in [from, to] that touch the range, oldest
   * first, cut after the revision with which `maxChanges` examined changes are reached; `next` is where to go on
   * (to + 1: done). Requires compactRevision <= from, to <= revision. The changes *at* compactRevision are all still
   * there, deletes included (each is the newest of its key at it), and watchers may start there (etcd #18089, #19179).
   */
  history(
    range: KeyRange,
    from: number,
    to: number,
    maxChanges: number,
  ): { readonly sets: readonly ChangeSet[]; readonly next: number };
  /**
   * Completes a change: reads what it does not carry. `prevKv` is what the key was at the revision before, only when
   * asked for and still there; never of a put that created the key.
   */
  event(change: Change, prevKv: boolean): Event;
  /**
   * While pinned, nothing at or above `revision` is deleted physically, and it can be read although a compaction has
   * passed it. Returns the release.
   */
  pin(revision: number): () => void;
}

/**
 * One transaction that writes; the only one at a time. Reads inside see its own writes. Nothing is visible outside, and
 * no watcher hears of it, until `end`.
 */
export interface WriteTxn extends SlicedReader {
  /** What its changes are numbered with: revision of the store + 1. */
  readonly revision: number;
  /** Number of changes so far. */
  readonly changed: number;
  resolve(range: KeyRange, revision: number, limit: number): Resolved;
  value(meta: KeyMeta): Uint8Array | DamagedRecord;
  keyValue(meta: KeyMeta): KeyValue;
  /** Writes a key. Returns what it was before. The arrays may not be changed afterwards. */
  put(key: Uint8Array, value: Uint8Array, lease: bigint): KeyMeta | undefined;
  /** Deletes every key of the range, in key order. Returns what they were. */
  deleteRange(range: KeyRange): readonly KeyMeta[];
  /** Makes it visible; the revision rises by one if there was a change. Returns the changes. */
  end(): ChangeSet | undefined;
}
