/**
 * When applied changes go to the backend, and how much may be applied that is not durable there. One batch is in
 * flight; each carries its index, so the backend's consistent index and its data are one atomic write.
 */
import { assert, fail } from "../base/index.ts";
import type { BackendBatch, MonoMs } from "../env/index.ts";

/** A batch goes out early at this many bytes of applied entries. */
export const BACKEND_BATCH_BYTES = 4 * 1024 * 1024;
/**
 * Most applied and not durable in the backend, in bytes of entries and in entries. Beyond either, apply stands still
 * and proposals are refused: the memory that a slow backend costs is bounded, and the log behind it can be cut again.
 */
export const OVERLAY_BYTES = 64 * 1024 * 1024;
export const OVERLAY_ENTRIES = 200_000;
/** Fixed cost of an entry in the byte counts, so that empty entries count too. */
const ENTRY_OVERHEAD_BYTES = 64;

export interface BackendLimits {
  readonly intervalMs: number;
  readonly batchEntries: number;
}

interface InFlight {
  readonly seq: number;
  readonly index: number;
  readonly entries: number;
  readonly bytes: number;
}

export class BackendBatches {
  readonly #limits: BackendLimits;
  #lastSeq = 0;
  #inFlight: InFlight | undefined;
  /** The backend's consistent index. Invariant: <= applied index of the state. */
  #durableIndex: number;
  /** Applied and in no batch yet. */
  #entries = 0;
  #bytes = 0;
  /** When the first of those was applied; undefined when there is none. */
  #since: MonoMs | undefined;

  constructor(limits: BackendLimits, durableIndex: number) {
    this.#limits = limits;
    this.#durableIndex = durableIndex;
  }

  /** All entries up to this are in the backend, durably. */
  get durableIndex(): number {
    return this.#durableIndex;
  }

  /** Whether so much is applied and not durable that nothing more may be applied or proposed. */
  get isFull(): boolean {
    const entries = this.#entries + (this.#inFlight?.entries ?? 0);
    const bytes = this.#bytes + (this.#inFlight?.bytes ?? 0);
    return entries >= OVERLAY_ENTRIES || bytes >= OVERLAY_BYTES;
  }

  /** An entry of `bytes` was applied. */
  noteApplied(now: MonoMs, bytes: number): void {
    this.#since ??= now;
    this.#entries++;
    this.#bytes += bytes + ENTRY_OVERHEAD_BYTES;
  }

  /** Records were deleted that no entry asked for: they want a batch, too. */
  noteDeleted(now: MonoMs): void {
    this.#since ??= now;
  }

  /** Whether a batch is to be issued now. */
  isDue(now: MonoMs): boolean {
    if (this.#inFlight !== undefined || this.#since === undefined) return false;
    return (
      this.#entries >= this.#limits.batchEntries ||
      this.#bytes >= BACKEND_BATCH_BYTES ||
      this.isFull ||
      now >= this.#since + this.#limits.intervalMs
    );
  }

  /** When `isDue` becomes true by itself; Infinity: not by time. */
  nextDue(): MonoMs {
    if (this.#inFlight !== undefined || this.#since === undefined) return Number.POSITIVE_INFINITY;
    return this.#since + this.#limits.intervalMs;
  }

  /** Numbers a batch of everything applied up to `content.index` and counts it as in flight. */
  issue(content: Omit<BackendBatch, "seq">): BackendBatch {
    assert(this.#inFlight === undefined, "two backend batches in flight");
    assert(content.index >= this.#durableIndex, "backend batch goes back", {
      index: content.index,
      durable: this.#durableIndex,
    });
    const seq = ++this.#lastSeq;
    this.#inFlight = { seq, index: content.index, entries: this.#entries, bytes: this.#bytes };
    this.#forgetApplied();
    return { seq, ...content };
  }

  /** The batch in flight is durable. */
  durable(seq: number): void {
    if (this.#inFlight?.seq !== seq) {
      fail("backend batch completed out of turn", { seq, inFlight: this.#inFlight?.seq ?? 0 });
    }
    // Not simply the batch's index: a snapshot may have been installed while it was written, into another directory.
    this.#durableIndex = Math.max(this.#durableIndex, this.#inFlight.index);
    this.#inFlight = undefined;
  }

  /** The state was replaced by a durable one at `index`; what was applied before it needs no batch any more. */
  restart(index: number): void {
    this.#durableIndex = Math.max(this.#durableIndex, index);
    this.#forgetApplied();
  }

  /** @throws AssertionError */
  checkInvariants(applied: number): void {
    if (this.#durableIndex > applied) {
      fail("the backend is ahead of apply", { durable: this.#durableIndex, applied });
    }
    if (this.#inFlight !== undefined && this.#inFlight.index > applied) {
      fail("a backend batch is ahead of apply", { index: this.#inFlight.index, applied });
    }
    const expected = applied - (this.#inFlight?.index ?? this.#durableIndex);
    if (this.#entries > 0 && this.#entries > expected) {
      fail("more entries are due than were applied", { entries: this.#entries, expected });
    }
  }

  #forgetApplied(): void {
    this.#entries = 0;
    this.#bytes = 0;
    this.#since = undefined;
  }
}
