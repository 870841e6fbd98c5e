/** One watcher: what it wants, and how far it is. */
import { EMPTY_BYTES, latin1Of } from "../base/index.ts";
import type { KeyRange } from "../mvcc/types.ts";
import { WISH } from "./event-batch.ts";
import { NO_END } from "./range-tree.ts";
import type { WatchStreamState } from "./stream.ts";
import type { WatchCreate } from "./types.ts";

/**
 * - synced: every event up to the present revision is in its queue or was taken; it is in the index.
 * - behind: it lacks events from `next` on, which are in the history; its stream knows it as such.
 * - gone: cancelled; nobody holds it but outputs that are still queued.
 */
export type WatcherState = "synced" | "behind" | "gone";

/** What is watched, as bytes for the store and as text for the index. */
export interface WatchedRange extends KeyRange {
  readonly start: string;
  /** Exclusive; "": the key `start` alone; NO_END: all from `start` on. */
  readonly end: string;
}

export class Watcher {
  readonly id: number;
  readonly stream: WatchStreamState;
  readonly range: WatchedRange;
  /** Bits of WISH. */
  readonly wishes: number;
  readonly fragment: boolean;
  readonly progressNotify: boolean;
  /** As asked; 0: from the next revision on. No progress is reported before it is reached (etcd #20221). */
  readonly startRevision: number;
  /**
   * The next revision that it may be told. Never falls, so nothing is told twice and nothing of the past.
   * Invariant: while behind, all below has been queued. While synced it is a lower bound only: what counts
   * then is the revision of the hub, so that telling ten thousand watchers writes to none of them.
   */
  next: number;
  state: WatcherState = "behind";
  /** While synced: its place among the watchers of its range. */
  place = 0;
  /** Its outputs that are queued, except answers to requests. */
  queued = 0;
  /** Whether events were queued for it since the last progress round. */
  busy = false;

  constructor(stream: WatchStreamState, id: number, request: WatchCreate, next: number) {
    this.stream = stream;
    this.id = id;
    this.range = rangeOf(request);
    this.wishes =
      (request.prevKv ? WISH.prevKv : 0) |
      (request.noPut ? WISH.noPut : 0) |
      (request.noDelete ? WISH.noDelete : 0);
    this.fragment = request.fragment;
    this.progressNotify = request.progressNotify;
    this.startRevision = request.startRevision;
    this.next = next;
  }
}

/** The smallest key: what an empty one means in a watch (etcd: v3rpc/watch.go). */
const FIRST_KEY = Uint8Array.of(0);

/** Whether no key can lie in the range that is asked for. */
export function isEmptyRange(request: WatchCreate): boolean {
  const { start, end } = rangeOf(request);
  return end !== "" && start >= end;
}

/** Copies: the request's bytes may be a small part of a large message. */
function rangeOf(request: WatchCreate): WatchedRange {
  const key = request.key.length === 0 ? FIRST_KEY : request.key.slice();
  const rangeEnd = request.rangeEnd.length === 0 ? EMPTY_BYTES : request.rangeEnd.slice();
  const isOpen = rangeEnd.length === 1 && rangeEnd[0] === 0;
  return { key, rangeEnd, start: latin1Of(key), end: isOpen ? NO_END : latin1Of(rangeEnd) };
}
