/** Which keys a range holds as of a revision: found in memory, without reading a record. */
import { CountJob } from "./counting.ts";
import type { IndexBlock } from "./key-index.ts";
import { NONE } from "./keys.ts";
import type { StoreState } from "./state.ts";
import type { KeyMeta, KeyPage, KeyRange, PageBounds, Resolved } from "./types.ts";
import { ROWS_PER_UNIT } from "./work.ts";

const NOTHING: KeyPage = { metas: [], next: undefined, work: 1 };

/** The next keys of a range as of revision `at`; see `SlicedReader.page`. */
export function pageAt(state: StoreState, range: KeyRange, at: number, bounds: PageBounds): KeyPage {
  if (range.rangeEnd.length === 0) {
    const id = state.find(range.key);
    const row = id < 0 ? NONE : state.visible(id, at);
    return row === NONE ? NOTHING : { metas: [state.meta(row)], next: undefined, work: 1 };
  }
  const found = state.index.bounds(range);
  if (found === undefined) return NOTHING;
  const { blocks } = state.index;
  const { lo, hi } = found;
  const metas: KeyMeta[] = [];
  let work = 0;
  let { block, slot } = lo;
  for (; block <= hi.block && block < blocks.length; block++, slot = 0) {
    const { ids, size } = blocks[block] as IndexBlock;
    const end = block === hi.block ? hi.slot : size;
    for (; slot < end; slot++) {
      const id = ids[slot] as number;
      if (metas.length >= bounds.limit || work >= bounds.budget) {
        return { metas, next: state.keys.bytes(id), work: work + 1 };
      }
      const row = state.visible(id, at);
      work += (1 + state.walked) / ROWS_PER_UNIT;
      if (row === NONE) continue;
      metas.push(state.meta(row));
      work++;
    }
  }
  return { metas, next: undefined, work: work + 1 };
}

/** Keys and their number as of revision `at`, in one go; at most `limit` keys (<= 0: all). */
export function resolveAt(state: StoreState, range: KeyRange, at: number, limit: number): Resolved {
  const most = limit <= 0 ? Number.POSITIVE_INFINITY : limit;
  const { metas, next } = pageAt(state, range, at, { limit: most, budget: Number.POSITIVE_INFINITY });
  if (next === undefined) return { metas, count: metas.length };
  return { metas, count: metas.length + countAt(state, { key: next, rangeEnd: range.rangeEnd }, at) };
}

/** The number of keys as of revision `at`, in one go. */
export function countAt(state: StoreState, range: KeyRange, at: number): number {
  const job = new CountJob(state, range, at);
  if (!job.isDone) job.step(Number.POSITIVE_INFINITY);
  return job.count;
}
