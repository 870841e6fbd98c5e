/**
 * What a stream has to send, in order and bounded. Events are offered and refused when they do not fit;
 * answers to the client's own requests are always taken, because a client that waits for them can ask no more
 * than it is let to.
 *
 * Events are shared bytes, so an entry is two references. What `take` gives is made only then.
 */
import { EMPTY_BYTES, fail } from "../base/index.ts";
import { EventBatch } from "./event-batch.ts";
import { Fifo } from "./fifo.ts";
import type { WatchOutput } from "./types.ts";
import type { Watcher } from "./watcher.ts";

/** What an output weighs besides its events: its place here and what it becomes, roughly. */
const OUTPUT_BYTES = 64;
/** What a response has besides its events, when it is measured for splitting: header, watch ID, flags. */
const ENVELOPE_BYTES = 48;

export interface QueueLimits {
  /**
   * Most bytes that wait, an output counted with its events and 64 B. A single larger batch goes through
   * alone.
   */
  readonly maxQueuedBytes: number;
  /** Responses of this size are split for watchers that ask for fragments, if they have two events. */
  readonly fragmentBytes: number;
}

export class OutputQueue {
  readonly #limits: QueueLimits;
  readonly #payloads = new Fifo<EventBatch | WatchOutput>();
  /** Whose the payloads are; undefined: an answer. Always as long as `#payloads`. */
  readonly #owners = new Fifo<Watcher | undefined>();
  #eventBytes = 0;
  /** How many of the payloads have events. Invariant: eventBytes <= maxQueuedBytes, or this is 1. */
  #batches = 0;
  /** Events of the first batch that were taken as fragments. */
  #taken = 0;

  constructor(limits: QueueLimits) {
    this.#limits = limits;
  }

  /** Number of outputs that wait. */
  get length(): number {
    return this.#payloads.length;
  }

  /** Bytes of events that wait. */
  get eventBytes(): number {
    return this.#eventBytes;
  }

  /** What is held against the limit. */
  get weight(): number {
    return this.#eventBytes + this.#payloads.length * OUTPUT_BYTES;
  }

  /** Whether half of the room or more is free: where a stream that was full is served again. */
  get isHalfFree(): boolean {
    return this.weight * 2 <= this.#limits.maxQueuedBytes;
  }

  /** Queues events; false: they do not fit, nothing was done. */
  offer(watcher: Watcher, batch: EventBatch): boolean {
    const waiting = this.#payloads.length;
    const weight = this.#eventBytes + batch.eventBytes + (waiting + 1) * OUTPUT_BYTES;
    // In an empty queue everything fits: a revision larger than the limit could never be told otherwise.
    if (weight > this.#limits.maxQueuedBytes && waiting > 0) return false;
    this.#payloads.push(batch);
    this.#owners.push(watcher);
    this.#eventBytes += batch.eventBytes;
    this.#batches++;
    watcher.queued++;
    return true;
  }

  /** Queues an output without events. @param watcher the one whose queued outputs it counts among, if any */
  push(output: WatchOutput, watcher: Watcher | undefined): void {
    this.#payloads.push(output);
    this.#owners.push(watcher);
    if (watcher !== undefined) watcher.queued++;
  }

  /** Removes and returns the first output, or the first fragment of it. */
  take(): WatchOutput | undefined {
    if (this.#payloads.length === 0) return undefined;
    const payload = this.#payloads.peek();
    const owner = this.#owners.peek();
    if (!(payload instanceof EventBatch)) {
      this.#drop(owner);
      return payload;
    }
    if (owner === undefined) return fail("events of nobody");
    const isWhole =
      !owner.fragment ||
      payload.events.length < 2 ||
      payload.eventBytes + ENVELOPE_BYTES < this.#limits.fragmentBytes;
    if (!isWhole) return this.#takeFragment(payload, owner);
    this.#drop(owner);
    this.#batches--;
    this.#eventBytes -= payload.eventBytes;
    return outputOf(payload, owner.id, {
      events: payload.events,
      eventBytes: payload.eventBytes,
      more: false,
    });
  }

  clear(): void {
    this.#payloads.clear();
    this.#owners.clear();
    this.#eventBytes = 0;
    this.#batches = 0;
    this.#taken = 0;
  }

  /** @throws AssertionError */
  checkInvariants(): void {
    const waiting = this.#payloads.length;
    const bytes = this.#eventBytes;
    const batches = this.#batches;
    if (waiting !== this.#owners.length) fail("payloads and owners differ", { waiting });
    if (bytes > this.#limits.maxQueuedBytes && batches > 1) fail("above the limit", { bytes, batches });
    if (batches > waiting || batches > 0 !== bytes > 0) fail("bytes of no batch", { bytes, batches });
  }

  /** At least one event, and as many as stay below the size of a fragment. */
  #takeFragment(batch: EventBatch, owner: Watcher): WatchOutput {
    const { events } = batch;
    const lo = this.#taken;
    let hi = lo;
    let eventBytes = 0;
    for (; hi < events.length; hi++) {
      const size = (events[hi] ?? EMPTY_BYTES).length;
      if (hi > lo && eventBytes + size + ENVELOPE_BYTES >= this.#limits.fragmentBytes) break;
      eventBytes += size;
    }
    const more = hi < events.length;
    this.#taken = more ? hi : 0;
    this.#eventBytes -= eventBytes;
    if (!more) {
      this.#drop(owner);
      this.#batches--;
    }
    return outputOf(batch, owner.id, { events: events.slice(lo, hi), eventBytes, more });
  }

  #drop(owner: Watcher | undefined): void {
    this.#payloads.shift();
    this.#owners.shift();
    if (owner !== undefined) owner.queued--;
  }
}

function outputOf(
  { revision }: EventBatch,
  watchId: number,
  { events, eventBytes, more }: { events: readonly Uint8Array[]; eventBytes: number; more: boolean },
): WatchOutput {
  return {
    revision,
    watchId,
    created: false,
    canceled: false,
    compactRevision: 0,
    cancelReason: "",
    fragment: more,
    events,
    eventBytes,
  };
}
