/**
 * Changes of the past and their bytes, for watchers that catch up over the same stretch from different places: what
 * clients do that all come back after a failure. Without it the value of a change would be read and encoded again
 * for each of them.
 *
 * Two generations: when the young one is full it becomes the old one, and what nobody asked for since goes.
 */
import type { Change } from "../mvcc/types.ts";
import { type ByteMeter, EncodedChange } from "./event-batch.ts";

/** A generation is full with so many changes, or so many bytes of events. */
const MAX_CHANGES = 16_384;
const MAX_BYTES = 4 * 1024 * 1024;
/** Changes of one revision that are kept, so that revision and place make one number. */
const MAX_SUBS = 4096;
const MAX_REVISION = Number.MAX_SAFE_INTEGER / MAX_SUBS - 1;

export class ChangeCache {
  #young = new Map<number, EncodedChange>();
  #old = new Map<number, EncodedChange>();
  #meter: ByteMeter = { bytes: 0 };

  /** The change, with its bytes if they were made before. */
  of(change: Change): EncodedChange {
    const { modRevision, sub } = change.meta;
    if (sub >= MAX_SUBS || modRevision > MAX_REVISION) return new EncodedChange(change);
    const key = modRevision * MAX_SUBS + sub;
    let encoded = this.#young.get(key);
    if (encoded !== undefined) return encoded;
    if (this.#young.size >= MAX_CHANGES || this.#meter.bytes >= MAX_BYTES) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#meter = { bytes: 0 };
    }
    encoded = this.#old.get(key) ?? new EncodedChange(change, this.#meter);
    this.#young.set(key, encoded);
    return encoded;
  }

  /** Forgets everything. To be called when history changes: by compaction, or with another store. */
  clear(): void {
    if (this.#young.size === 0 && this.#old.size === 0) return;
    this.#young = new Map();
    this.#old = new Map();
    this.#meter = { bytes: 0 };
  }
}
