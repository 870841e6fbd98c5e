/**
 * Requests that wait in this member: writes for their own entry to be applied here, reads for an index to be applied,
 * configuration changes for their position in the log. Bounded; every one gets exactly one answer.
 *
 * What an answer may claim is the point of this file. "refused" is definite: the request had and will have no effect.
 * A write that left this member may sit in somebody's log, so whatever cuts its wait short is "unknown". A read has no
 * effect at all, so giving it up is a refusal.
 */
import { ERR, fail, Heap, type KvError } from "../base/index.ts";
import type { MonoMs } from "../env/index.ts";
import type { Answer, Request } from "./types.ts";

interface PendingWrite {
  readonly id: number;
  readonly deadline: MonoMs;
}

/** What is answered from the state once it is known to be new enough. */
export type ReadRequest = Extract<
  Request,
  { type: "read" | "leaseKeepAlive" | "leaseTimeToLive" | "leaseLeases" }
>;

interface PendingConf {
  readonly id: number;
  readonly index: number;
  readonly term: number;
  readonly deadline: MonoMs;
}

/** A read that may be answered now. */
export interface ReadyRead {
  readonly id: number;
  readonly request: ReadRequest;
  readonly deadline: MonoMs;
}

interface ReadyAt {
  readonly index: number;
  readonly waiter: number;
}

const NO_ANSWERS: readonly Answer[] = [];

export class PendingRequests {
  readonly #limit: number;
  readonly #timeoutMs: number;
  // One timeout for all and `now` never goes back, so insertion order is deadline order in each of the maps.
  readonly #writes = new Map<number, PendingWrite>();
  readonly #reads = new Map<number, ReadyRead>();
  readonly #confs = new Map<number, PendingConf>();
  /** Reads whose index is known; a waiter that timed out meanwhile is still in here and skipped. */
  #ready = newReadyHeap();
  #lastWaiter = 0;
  #lastConf = 0;

  constructor(limit: number, timeoutMs: number) {
    this.#limit = limit;
    this.#timeoutMs = timeoutMs;
  }

  get size(): number {
    return this.#writes.size + this.#reads.size + this.#confs.size;
  }

  get isFull(): boolean {
    return this.size >= this.#limit;
  }

  /** Waits for the entry with this member's request `sequence`. */
  addWrite(now: MonoMs, id: number, sequence: number): void {
    this.#writes.set(sequence, { id, deadline: now + this.#timeoutMs });
  }

  /** Under which sequence the request `id` waits for its entry; undefined: it does not. For traces and tests. */
  sequenceOf(id: number): number | undefined {
    for (const [sequence, write] of this.#writes) if (write.id === id) return sequence;
    return undefined;
  }

  /** Ends the wait for `sequence` and returns the request's ID; undefined: nobody waits. */
  takeWrite(sequence: number): number | undefined {
    const write = this.#writes.get(sequence);
    if (write !== undefined) this.#writes.delete(sequence);
    return write?.id;
  }

  /** Waits for a read index; returns the waiter number to ask it by, never used twice. */
  addRead(now: MonoMs, id: number, request: ReadRequest): number {
    const waiter = ++this.#lastWaiter;
    this.#reads.set(waiter, { id, request, deadline: now + this.#timeoutMs });
    return waiter;
  }

  /** The waiter may read once `index` is applied. A waiter that is gone is ignored. */
  readAt(waiter: number, index: number): void {
    if (!this.#reads.has(waiter)) return;
    if (this.#ready.size >= 2 * this.#limit) this.#dropGoneReads();
    this.#ready.push({ index, waiter });
  }

  /** The next read whose index is applied; undefined: none. */
  takeReadyRead(applied: number): ReadyRead | undefined {
    for (;;) {
      const first = this.#ready.peek();
      if (first === undefined || first.index > applied) return undefined;
      this.#ready.pop();
      const read = this.takeRead(first.waiter);
      if (read !== undefined) return read;
    }
  }

  /** Ends the wait of `waiter`; undefined: it is gone. */
  takeRead(waiter: number): ReadyRead | undefined {
    const read = this.#reads.get(waiter);
    if (read !== undefined) this.#reads.delete(waiter);
    return read;
  }

  /** Waits for the configuration entry that was appended at (index, term). */
  addConf(now: MonoMs, id: number, index: number, term: number): void {
    // Not keyed by index: a leader that lost its tail and leads again may append another change at the same index
    // while the first one, which may yet come back from another member's log, still waits.
    this.#confs.set(++this.#lastConf, { id, index, term, deadline: now + this.#timeoutMs });
  }

  /**
   * The entry at `index` was applied, and it has this term; returns the answers of who waited for that position.
   *
   * Another term's entry there is a *definite* no: (index, term) names one entry for ever, a leader appends a
   * configuration change once and nobody forwards it, and committed positions are not overwritten. A configuration
   * takes effect by being applied only, so it has had none either.
   */
  takeConfs(index: number, term: number): readonly Answer[] {
    if (this.#confs.size === 0) return NO_ANSWERS;
    const answers: Answer[] = [];
    for (const [key, conf] of this.#confs) {
      if (conf.index !== index) continue;
      this.#confs.delete(key);
      answers.push(
        conf.term === term
          ? { type: "changed", id: conf.id, index }
          : { type: "refused", id: conf.id, error: ERR.notLeader },
      );
    }
    return answers;
  }

  /**
   * A snapshot replaced the entries up to `index`. A write that `isApplied` says was among them took effect, but its
   * outcome (the value before, the comparison) went with the entry; the others go on waiting.
   */
  skipTo(index: number, isApplied: (sequence: number) => boolean): Answer[] {
    const answers: Answer[] = [];
    for (const [sequence, write] of this.#writes) {
      if (!isApplied(sequence)) continue;
      this.#writes.delete(sequence);
      answers.push({ type: "unknown", id: write.id, reason: "applied within a snapshot" });
    }
    for (const [key, conf] of this.#confs) {
      if (conf.index > index) continue;
      this.#confs.delete(key);
      answers.push({ type: "unknown", id: conf.id, reason: "the log position is within a snapshot" });
    }
    return answers;
  }

  /** Gives up on what waited too long. */
  expire(now: MonoMs): readonly Answer[] {
    if (now < this.nextDeadline()) return NO_ANSWERS;
    return this.#giveUp((deadline) => deadline <= now, ERR.timeout, ERR.timeout.message);
  }

  /** Gives up on everything, because the member ends. */
  drain(error: KvError, unknownReason: string): Answer[] {
    return this.#giveUp(() => true, error, unknownReason);
  }

  /** When the first request times out; Infinity: none waits. */
  nextDeadline(): MonoMs {
    if (this.size === 0) return Number.POSITIVE_INFINITY;
    let next = Number.POSITIVE_INFINITY;
    for (const waiting of [this.#writes, this.#reads, this.#confs]) {
      for (const { deadline } of waiting.values()) {
        next = Math.min(next, deadline);
        break;
      }
    }
    return next;
  }

  /** @throws AssertionError */
  checkInvariants(): void {
    if (this.size > this.#limit)
      fail("more requests wait than the limit", { size: this.size, limit: this.#limit });
    for (const waiting of [this.#writes, this.#reads, this.#confs]) {
      let last = Number.NEGATIVE_INFINITY;
      for (const { deadline } of waiting.values()) {
        if (deadline < last) fail("deadlines out of order", { deadline, last });
        last = deadline;
      }
    }
  }

  /** Apply may stand still while reads come and time out; the heap must not grow with them. */
  #dropGoneReads(): void {
    const kept = newReadyHeap();
    for (let at = this.#ready.pop(); at !== undefined; at = this.#ready.pop()) {
      if (this.#reads.has(at.waiter)) kept.push(at);
    }
    this.#ready = kept;
  }

  #giveUp(isDue: (deadline: MonoMs) => boolean, error: KvError, unknownReason: string): Answer[] {
    const answers: Answer[] = [];
    for (const waiting of [this.#writes, this.#confs]) {
      for (const [key, { id, deadline }] of waiting) {
        if (!isDue(deadline)) break;
        waiting.delete(key);
        answers.push({ type: "unknown", id, reason: unknownReason });
      }
    }
    for (const [waiter, { id, deadline }] of this.#reads) {
      if (!isDue(deadline)) break;
      this.#reads.delete(waiter);
      answers.push({ type: "refused", id, error });
    }
    return answers;
  }
}

function newReadyHeap(): Heap<ReadyAt> {
  return new Heap((a, b) => (a.index === b.index ? a.waiter < b.waiter : a.index < b.index));
}
