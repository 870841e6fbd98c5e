/**
 * Small values side by side in larger pieces of memory. A storage gives each value an ArrayBuffer of its own, and a
 * million of those that are alive hold up the collection of garbage for longer than the event loop may stand still.
 */

/** Values above this are kept as they are. */
const MAX_KEPT_BYTES = 4096;
const FIRST_BYTES = 1024;
const MOST_BYTES = 65_536;

export class Slab {
  #bytes = new Uint8Array(0);
  #used = 0;
  #size = FIRST_BYTES;

  /** The same bytes, of which no more is held than a piece of memory shared with its neighbours. */
  keep(value: Uint8Array): Uint8Array {
    const { length } = value;
    if (length > MAX_KEPT_BYTES) return value;
    if (this.#used + length > this.#bytes.length) this.#grow(length);
    const kept = this.#bytes.subarray(this.#used, this.#used + length);
    kept.set(value);
    this.#used += length;
    return kept;
  }

  /** A range of few keys takes little, a range of many few pieces. */
  #grow(length: number): void {
    this.#bytes = new Uint8Array(Math.max(length, this.#size));
    this.#used = 0;
    this.#size = Math.min(this.#size * 2, MOST_BYTES);
  }
}
