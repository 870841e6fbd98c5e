/**
 * A growing set of 64-bit hashes, eight bytes each: ten million worlds in a JavaScript Set would take
 * gigabytes.
 */
const START_SLOTS = 1 << 16;
const MAX_LOAD = 0.6;

export class HashSet {
  #slots = START_SLOTS;
  #low = new Int32Array(START_SLOTS);
  #high = new Int32Array(START_SLOTS);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Adds the hash (low, high), two 32-bit words. Returns whether it was new. */
  add(low: number, high: number): boolean {
    // An empty slot is (0, 0), so that hash is told as its neighbour.
    const first = low === 0 && high === 0 ? 1 : low | 0;
    if (!this.#insert(first, high | 0)) return false;
    this.#size++;
    if (this.#size > this.#slots * MAX_LOAD) this.#grow();
    return true;
  }

  #insert(low: number, high: number): boolean {
    const mask = this.#slots - 1;
    let at = (low ^ Math.imul(high, 0x9e3779b1)) & mask;
    for (;;) {
      const [l, h] = [this.#low[at] as number, this.#high[at] as number];
      if (l === low && h === high) return false;
      if (l === 0 && h === 0) {
        this.#low[at] = low;
        this.#high[at] = high;
        return true;
      }
      at = (at + 1) & mask;
    }
  }

  #grow(): void {
    const [low, high] = [this.#low, this.#high];
    this.#slots *= 2;
    this.#low = new Int32Array(this.#slots);
    this.#high = new Int32Array(this.#slots);
    for (let i = 0; i < low.length; i++) {
      const [l, h] = [low[i] as number, high[i] as number];
      if (l !== 0 || h !== 0) this.#insert(l, h);
    }
  }
}
