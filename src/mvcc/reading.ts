/** Which keys a range holds as of a revision: found in memory, without reading a record. */

import { type IndexBlock, isOpenEnd, type Place } from "./key-index.ts";
import { NONE } from "./keys.ts";
import type { StoreState } from "./state.ts";
import type { KeyMeta, KeyRange, Resolved } from "./types.ts";

const NOTHING: Resolved = { metas: [], count: 0 };

/** Keys and their number as of revision `at`; at most `limit` keys (<= 0: all). */
export function resolveAt(state: StoreState, range: KeyRange, at: number, limit: number): Resolved {
  if (range.rangeEnd.length === 0) {
    const row = findRow(state, range.key, at);
    return row === NONE ? NOTHING : { metas: [state.meta(row)], count: 1 };
  }
  const bounds = state.index.bounds(range);
  if (bounds === undefined) return NOTHING;
  const metas: KeyMeta[] = [];
  const most = limit <= 0 ? Number.POSITIVE_INFINITY : limit;
  const { blocks } = state.index;
  const { hi } = bounds;
  let { block, slot } = bounds.lo;
  for (; block <= hi.block && block < blocks.length; block++, slot = 0) {
    const { ids, size } = blocks[block] as IndexBlock;
    const end = block === hi.block ? hi.slot : size;
    for (; slot < end && metas.length < most; slot++) {
      const row = state.visible(ids[slot] as number, at);
      if (row !== NONE) metas.push(state.meta(row));
    }
    if (metas.length >= most) break;
  }
  return { metas, count: metas.length + countBetween(state, { block, slot }, hi, at) };
}

/** The number of keys as of revision `at`. */
export function countAt(state: StoreState, range: KeyRange, at: number): number {
  if (range.rangeEnd.length === 0) return findRow(state, range.key, at) === NONE ? 0 : 1;
  const bounds = state.index.bounds(range);
  return bounds === undefined ? 0 : countBetween(state, bounds.lo, bounds.hi, at);
}

/** Whether a key lies in a range. */
export function isInRange(state: StoreState, id: number, range: KeyRange): boolean {
  const { keys } = state;
  if (range.rangeEnd.length === 0) return keys.compare(range.key, id, 0) === 0;
  if (keys.compare(range.key, id, 0) > 0) return false;
  return isOpenEnd(range.rangeEnd) || keys.compare(range.rangeEnd, id, 0) > 0;
}

function findRow(state: StoreState, key: Uint8Array, at: number): number {
  const id = state.find(key);
  return id < 0 ? NONE : state.visible(id, at);
}

/** Present keys between two places. A block without a revision above `at` knows its number. */
function countBetween(state: StoreState, lo: Place, hi: Place, at: number): number {
  const { blocks } = state.index;
  let count = 0;
  let { block, slot } = lo;
  for (; block <= hi.block && block < blocks.length; block++, slot = 0) {
    const { ids, size, present, newest } = blocks[block] as IndexBlock;
    const end = block === hi.block ? hi.slot : size;
    if (slot === 0 && end === size && newest <= at) {
      count += present;
      continue;
    }
    for (; slot < end; slot++) if (state.visible(ids[slot] as number, at) !== NONE) count++;
  }
  return count;
}
