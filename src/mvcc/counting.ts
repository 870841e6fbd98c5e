/**
 * How many keys a range has as of a revision, counted in slices: a range of a million keys that have all changed since
 * is looked at key by key, which the event loop has no time for in one go.
 *
 * There are two ways, and the cheaper one is taken. Forwards, over the index: a block without a revision above the one
 * asked for knows its number, in others every key is looked at. Backwards, over history: the keys that are present now,
 * less what was created since, and what was deleted since. Writes, compaction and deletion may come between two slices
 * as long as the revision is pinned: the first way goes on from a key, the second from a change, never from a place.
 */
import { fail } from "../base/index.ts";
import { type IndexBlock, isOpenEnd, type Place } from "./key-index.ts";
import { NONE } from "./keys.ts";
import type { StoreState } from "./state.ts";
import type { CountWork, KeyRange } from "./types.ts";
import { ROWS_PER_UNIT } from "./work.ts";

/** A range of more index blocks than this may be counted backwards from now. */
const MANY_BLOCKS = 4;
/** Keys in a block, about, for the choice between the two ways to count. */
const TYPICAL_BLOCK_KEYS = 300;

type Way = "forwards" | "backwards" | "done";

export class CountJob implements CountWork {
  readonly #state: StoreState;
  readonly #range: KeyRange;
  readonly #at: number;
  #way: Way;
  #count = 0;
  /** Forwards: the first key that was not looked at. */
  #next: Uint8Array;
  /** Backwards: the next change, and the last revision, that of the keys that were counted as present. */
  #main = 0;
  #sub = 0;
  #last = 0;

  /** @param at a readable revision that is pinned, or all is done in one step */
  constructor(state: StoreState, range: KeyRange, at: number) {
    this.#state = state;
    this.#range = range;
    this.#at = at;
    this.#next = range.key;
    this.#way = this.#begin();
  }

  get isDone(): boolean {
    return this.#way === "done";
  }

  get count(): number {
    if (this.#way !== "done") fail("the count is not done", { at: this.#at });
    return this.#count;
  }

  step(budget: number): number {
    if (budget <= 0) fail("a step without a budget", { budget });
    const rows = budget * ROWS_PER_UNIT;
    if (this.#way === "forwards") return this.#forwards(rows) / ROWS_PER_UNIT;
    return this.#way === "backwards" ? this.#backwards(rows) / ROWS_PER_UNIT : 0;
  }

  #begin(): Way {
    const state = this.#state;
    if (this.#range.rangeEnd.length === 0) {
      const id = state.find(this.#next);
      this.#count = id >= 0 && state.visible(id, this.#at) !== NONE ? 1 : 0;
      return "done";
    }
    const bounds = state.index.bounds(this.#range);
    if (bounds === undefined) return "done";
    const { lo, hi } = bounds;
    const blocks = hi.block - lo.block;
    const changes = state.rows.countFrom(this.#at + 1);
    if (blocks <= MANY_BLOCKS || changes >= blocks * TYPICAL_BLOCK_KEYS) return "forwards";
    this.#count = presentBetween(state, lo, hi);
    this.#main = this.#at + 1;
    this.#last = state.rows.last === NONE ? 0 : state.rows.main(state.rows.last);
    return "backwards";
  }

  /** Returns the number of rows looked at. */
  #forwards(budget: number): number {
    const state = this.#state;
    const { blocks } = state.index;
    const bounds = state.index.bounds({ key: this.#next, rangeEnd: this.#range.rangeEnd });
    let examined = 0;
    if (bounds !== undefined) {
      const { lo, hi } = bounds;
      let { block, slot } = lo;
      for (; block <= hi.block && block < blocks.length; block++, slot = 0) {
        const { ids, size, present, newest } = blocks[block] as IndexBlock;
        const end = block === hi.block ? hi.slot : size;
        if (slot === end) continue;
        if (examined >= budget) {
          this.#next = state.keys.bytes(ids[slot] as number);
          return examined;
        }
        if (slot === 0 && end === size && newest <= this.#at) {
          this.#count += present;
          examined++;
          continue;
        }
        for (; slot < end; slot++) {
          if (state.visible(ids[slot] as number, this.#at) !== NONE) this.#count++;
          examined += 1 + state.walked;
        }
      }
    }
    this.#way = "done";
    return examined + 1;
  }

  /** Returns the number of rows looked at. */
  #backwards(budget: number): number {
    const state = this.#state;
    const { rows } = state;
    let examined = 0;
    let isCut = false;
    state.eachRowFrom(this.#main, this.#sub, this.#last, (row, main) => {
      if (examined >= budget) {
        isCut = true;
        this.#main = main;
        this.#sub = rows.sub(row);
        return false;
      }
      examined++;
      // A delete is written for keys that are there only, and the first version for those that are not.
      const change = rows.isDelete(row) ? -1 : rows.version(row) === 1 ? 1 : 0;
      if (change !== 0 && isInRange(state, rows.key(row), this.#range)) this.#count -= change;
      return true;
    });
    if (!isCut) this.#way = "done";
    return examined + 1;
  }
}

/** A count that is known already. */
export function countOf(count: number): CountWork {
  return { isDone: true, count, step: () => 0 };
}

/** Whether a key lies in a range. */
export function isInRange(state: StoreState, id: number, range: KeyRange): boolean {
  const { keys } = state;
  if (range.rangeEnd.length === 0) return keys.compare(range.key, id, 0) === 0;
  if (keys.compare(range.key, id, 0) > 0) return false;
  return isOpenEnd(range.rangeEnd) || keys.compare(range.rangeEnd, id, 0) > 0;
}

/** Keys that are present now: whole blocks know their number, so this is a sum over blocks. */
function presentBetween(state: StoreState, lo: Place, hi: Place): number {
  const { blocks } = state.index;
  let count = 0;
  let { block, slot } = lo;
  for (; block <= hi.block && block < blocks.length; block++, slot = 0) {
    const { ids, size, present } = blocks[block] as IndexBlock;
    const end = block === hi.block ? hi.slot : size;
    if (slot === 0 && end === size) {
      count += present;
      continue;
    }
    for (; slot < end; slot++) {
      if (!state.rows.isDelete(state.keys.newest(ids[slot] as number))) count++;
    }
  }
  return count;
}
