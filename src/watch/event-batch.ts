/**
 * Events as bytes, made once and shared. A change is encoded when the first watcher needs it, without and
 * with the previous value separately; a batch is what all watchers of one range with the same wishes get of
 * one revision.
 */
import { DamagedError } from "../mvcc/index.ts";
import type { Change, StoreView } from "../mvcc/types.ts";
import { encodeWatchEvent } from "../pb/index.ts";

/** Bits of a watcher's wishes; watchers with equal bits share batches. */
export const WISH = { prevKv: 1, noPut: 2, noDelete: 4 } as const;
/** Number of combinations of wishes. */
export const WISHES = 8;

/** Counts the bytes that were made. */
export interface ByteMeter {
  bytes: number;
}

/** A change and its bytes. */
export class EncodedChange {
  readonly change: Change;
  readonly #meter: ByteMeter | undefined;
  #plain: Uint8Array | undefined;
  #withPrevious: Uint8Array | undefined;

  constructor(change: Change, meter?: ByteMeter) {
    this.change = change;
    this.#meter = meter;
  }

  /** An mvccpb.Event with tag and length of WatchResponse.events; shared. @throws DamagedError */
  bytes(store: StoreView, prevKv: boolean): Uint8Array {
    // Without a previous key the two are the same bytes.
    if (prevKv && this.change.previous !== undefined) {
      this.#withPrevious ??= this.#encode(store, true);
      return this.#withPrevious;
    }
    this.#plain ??= this.#encode(store, false);
    return this.#plain;
  }

  #encode(store: StoreView, prevKv: boolean): Uint8Array {
    const bytes = encodeWatchEvent(store.event(this.change, prevKv));
    if (this.#meter !== undefined) this.#meter.bytes += bytes.length;
    return bytes;
  }
}

/** Events for the queue of a stream; never empty, never changed. */
export class EventBatch {
  /** For the header: the store's revision when this was made. */
  readonly revision: number;
  readonly events: readonly Uint8Array[];
  /** Bytes of `events` together. */
  readonly eventBytes: number;

  constructor(revision: number, events: readonly Uint8Array[]) {
    this.revision = revision;
    this.events = events;
    let eventBytes = 0;
    for (const event of events) eventBytes += event.length;
    this.eventBytes = eventBytes;
  }
}

/** Whether a watcher with these wishes gets the change. */
export function isWished(change: Change, wishes: number): boolean {
  return (wishes & (change.type === "put" ? WISH.noPut : WISH.noDelete)) === 0;
}

/**
 * What one revision is to watchers with certain wishes: a batch, nothing, or the reason why it cannot be
 * told.
 */
export type Made = EventBatch | "nothing" | DamagedError;

/** Makes the batch of one revision's changes. */
export function batchOf(
  changes: readonly EncodedChange[],
  { revision, wishes, store }: { revision: number; wishes: number; store: StoreView },
): Made {
  const events: Uint8Array[] = [];
  try {
    for (const encoded of changes) {
      if (isWished(encoded.change, wishes)) events.push(encoded.bytes(store, (wishes & WISH.prevKv) !== 0));
    }
  } catch (error) {
    // A value that was damaged on disk is the trouble of those who watch it, not of the write that is being
    // told.
    if (error instanceof DamagedError) return error;
    throw error;
  }
  return events.length === 0 ? "nothing" : new EventBatch(revision, events);
}
