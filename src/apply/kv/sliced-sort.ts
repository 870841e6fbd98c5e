/**
 * A stable merge sort that can be left and continued: a million keys take a second to sort, which the event loop does
 * not have. Short runs are sorted whole, then merged pairwise, each item moved being one unit of work.
 */

/** Items sorted in one go at first; well below a millisecond. */
const RUN = 256;

export class SlicedSort<T> {
  readonly #compare: (a: T, b: T) => number;
  #from: T[];
  /** Where the pass under way merges to; as long as `#from` once it is full. */
  #to: T[] = [];
  /** Everything before is in sorted runs of RUN. */
  #prepared = 0;
  /** Length of the sorted runs in `#from`. */
  #width = RUN;
  /** The pair of runs being merged begins here; `#left` and `#right` are what comes next out of each. */
  #pair = 0;
  #left = 0;
  #right = 0;

  /** Takes over `items`. */
  constructor(items: T[], compare: (a: T, b: T) => number) {
    this.#from = items;
    this.#compare = compare;
  }

  /** Once `step` has returned true. */
  get items(): T[] {
    return this.#from;
  }

  /** Does about `budget` units, at least one. True: sorted. */
  step(budget: number): boolean {
    const total = this.#from.length;
    let left = budget;
    while (left > 0) {
      if (this.#prepared < total) {
        this.#prepare();
        left -= RUN;
      } else if (this.#width >= total) {
        return true;
      } else {
        left -= this.#merge(left);
      }
    }
    return this.#prepared >= total && this.#width >= total;
  }

  #prepare(): void {
    const lo = this.#prepared;
    const run = this.#from.slice(lo, lo + RUN).sort(this.#compare);
    for (let i = 0; i < run.length; i++) this.#from[lo + i] = run[i] as T;
    this.#prepared = lo + run.length;
    this.#right = Math.min(RUN, this.#from.length);
  }

  /** Moves at most `budget` items of the pass. Returns how many, at least 1. */
  #merge(budget: number): number {
    const from = this.#from;
    const to = this.#to;
    const middle = Math.min(this.#pair + this.#width, from.length);
    const end = Math.min(middle + this.#width, from.length);
    let moved = 0;
    while (moved < budget && (this.#left < middle || this.#right < end)) {
      // The left run wins a tie: its items came first.
      const takeLeft =
        this.#right >= end ||
        (this.#left < middle && this.#compare(from[this.#left] as T, from[this.#right] as T) <= 0);
      to.push(from[takeLeft ? this.#left++ : this.#right++] as T);
      moved++;
    }
    if (this.#left >= middle && this.#right >= end) this.#nextPair(end);
    return Math.max(moved, 1);
  }

  #nextPair(end: number): void {
    this.#pair = end;
    if (end >= this.#from.length) {
      this.#from = this.#to;
      this.#to = [];
      this.#width *= 2;
      this.#pair = 0;
    }
    this.#left = this.#pair;
    this.#right = Math.min(this.#pair + this.#width, this.#from.length);
  }
}
