/** Which keys a range holds as of a revision: found in memory, without reading a record. */

import { type IndexBlock, isOpenEnd, type Place } from "./key-index.ts";
import { NONE } from "./keys.ts";
import type { PageCounts } from "./page-counts.ts";
import type { StoreState } from "./state.ts";
import type { KeyMeta, KeyRange, Resolved } from "./types.ts";

const NOTHING: Resolved = { metas: [], count: 0 };

/** A range of more index blocks than this may be counted backwards from now. */
const MANY_BLOCKS = 4;
/** Keys in a block, about, for the choice between the two ways to count. */
const TYPICAL_BLOCK_KEYS = 300;

/**
 * Keys and their number as of revision `at`; at most `limit` keys (<= 0: all).
 * @param pages counts of pages before; only where `at` is published and will not change
 */
export function resolveAt(
  state: StoreState,
  range: KeyRange,
  at: number,
  limit: number,
  pages?: PageCounts,
): Resolved {
  if (range.rangeEnd.length === 0) {
    const row = findRow(state, range.key, at);
    return row === NONE ? NOTHING : { metas: [state.meta(row)], count: 1 };
  }
  const bounds = state.index.bounds(range);
  if (bounds === undefined) return NOTHING;
  const metas: KeyMeta[] = [];
  const most = limit <= 0 ? Number.POSITIVE_INFINITY : limit;
  const { blocks } = state.index;
  const { lo, hi } = bounds;
  let { block, slot } = lo;
  for (; block <= hi.block && block < blocks.length; block++, slot = 0) {
    const { ids, size } = blocks[block] as IndexBlock;
    const end = block === hi.block ? hi.slot : size;
    for (; slot < end && metas.length < most; slot++) {
      const row = state.visible(ids[slot] as number, at);
      if (row !== NONE) metas.push(state.meta(row));
    }
    if (metas.length >= most) break;
  }
  if (metas.length < most) return { metas, count: metas.length };
  const counted = pages?.find(range, at);
  const count =
    counted ??
    (isCountedBack(state, lo, hi, at)
      ? countBack(state, range, { lo, hi }, at)
      : metas.length + countBetween(state, { block, slot }, hi, at));
  const last = metas[metas.length - 1];
  if (last !== undefined) pages?.remember(range.rangeEnd, at, last.key, count - metas.length);
  return { metas, count };
}

/** The number of keys as of revision `at`. */
export function countAt(state: StoreState, range: KeyRange, at: number): number {
  if (range.rangeEnd.length === 0) return findRow(state, range.key, at) === NONE ? 0 : 1;
  const bounds = state.index.bounds(range);
  if (bounds === undefined) return 0;
  const { lo, hi } = bounds;
  return isCountedBack(state, lo, hi, at)
    ? countBack(state, range, bounds, at)
    : countBetween(state, lo, hi, at);
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

/**
 * Whether it is quicker to count what is present now and go back over the changes since `at` than to look at every key.
 * A client that pages through a million keys at one revision asks for the count with every page.
 */
function isCountedBack(state: StoreState, lo: Place, hi: Place, at: number): boolean {
  const spanned = hi.block - lo.block;
  return spanned > MANY_BLOCKS && state.rows.countFrom(at + 1) < spanned * TYPICAL_BLOCK_KEYS;
}

/** The keys that are present now, less those created since `at`, and those deleted since. */
function countBack(
  state: StoreState,
  range: KeyRange,
  bounds: { readonly lo: Place; readonly hi: Place },
  at: number,
): number {
  const { rows, keys } = state;
  let count = countBetween(state, bounds.lo, bounds.hi, Number.POSITIVE_INFINITY);
  state.eachRow(at + 1, Number.POSITIVE_INFINITY, (row) => {
    const older = rows.older(row);
    // Only the first change of a key since then tells what it was.
    if (older !== NONE && rows.main(older) > at) return true;
    const wasPresent = older !== NONE && !rows.isDelete(older);
    const isPresent = !rows.isDelete(keys.newest(rows.key(row)));
    if (wasPresent !== isPresent && isInRange(state, rows.key(row), range)) count += wasPresent ? 1 : -1;
    return true;
  });
  return count;
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
