/**
 * Whether one path through a txn would write a key twice. etcd: api/v3rpc/key.go, checkIntervals; what it finds is
 * contract, and so is what it does not:
 *
 * - the same key put in `success` and in `failure` is fine, only one of them runs;
 * - deletes may overlap each other;
 * - a delete in a *later* nested txn is not held against a put of an earlier one;
 * - a delete "from key on" (rangeEnd is the byte 0) is an empty interval here and overlaps nothing.
 *
 * In the last two a key may change twice in one revision, which the store can carry.
 */
import { latin1Of } from "../../base/index.ts";
import type { DeleteRangeRequest, RequestOp } from "../../pb/kv.ts";

type Branch = readonly (RequestOp | undefined)[];

/** Half-open, bytes as latin1 text: one unit per byte, so that text order is byte order. */
interface Interval {
  readonly lo: string;
  readonly hi: string;
}

/** What a list of operations may write. */
interface Writes {
  /** Every key that is put on any path. */
  readonly puts: Set<string>;
  /** Sorted and disjoint. */
  deletes: readonly Interval[];
}

/** Whether a path through this branch puts a key twice, or puts a key that it deletes. */
export function hasOverlap(branch: Branch): boolean {
  return writesOf(branch) === undefined;
}

/** undefined: an overlap was found. */
function writesOf(branch: Branch): Writes | undefined {
  // Deletes of this level first: they count against the puts of every nested txn, before or after them.
  const own: Interval[] = [];
  for (const op of branch) if (op?.type === "deleteRange") noteDelete(op, own);
  const writes: Writes = { puts: new Set(), deletes: merged(own) };
  for (const op of branch) {
    if (op?.type !== "txn") continue;
    const success = writesOf(op.success);
    const failure = success === undefined ? undefined : writesOf(op.failure);
    if (success === undefined || failure === undefined) return undefined;
    if (!takePuts(writes, success.puts, undefined)) return undefined;
    if (!takePuts(writes, failure.puts, success.puts)) return undefined;
    if (success.deletes.length + failure.deletes.length > 0) {
      writes.deletes = merged([...writes.deletes, ...success.deletes, ...failure.deletes]);
    }
  }
  for (const op of branch) {
    if (op?.type !== "put") continue;
    const key = latin1Of(op.key);
    if (writes.puts.has(key) || isDeleted(writes.deletes, key)) return undefined;
    writes.puts.add(key);
  }
  return writes;
}

function noteDelete(op: DeleteRangeRequest, into: Interval[]): void {
  const lo = latin1Of(op.key);
  const hi = op.rangeEnd.length === 0 ? `${lo}\0` : latin1Of(op.rangeEnd);
  if (lo < hi) into.push({ lo, hi });
}

/** Adds puts of one branch of a nested txn; `alternative` are those of its other branch. False: an overlap. */
function takePuts(
  writes: Writes,
  puts: ReadonlySet<string>,
  alternative: ReadonlySet<string> | undefined,
): boolean {
  for (const key of puts) {
    if (writes.puts.has(key) && alternative?.has(key) !== true) return false;
    if (isDeleted(writes.deletes, key)) return false;
    writes.puts.add(key);
  }
  return true;
}

/** Sorts intervals and joins those that touch. */
function merged(intervals: Interval[]): readonly Interval[] {
  if (intervals.length < 2) return intervals;
  intervals.sort((a, b) => (a.lo < b.lo ? -1 : a.lo > b.lo ? 1 : 0));
  const out: { lo: string; hi: string }[] = [];
  for (const { lo, hi } of intervals) {
    const last = out[out.length - 1];
    if (last === undefined || lo > last.hi) out.push({ lo, hi });
    else if (hi > last.hi) last.hi = hi;
  }
  return out;
}

function isDeleted(deletes: readonly Interval[], key: string): boolean {
  let lo = 0;
  let hi = deletes.length;
  while (lo < hi) {
    const middle = (lo + hi) >> 1;
    if ((deletes[middle] as Interval).lo <= key) lo = middle + 1;
    else hi = middle;
  }
  return lo > 0 && key < (deletes[lo - 1] as Interval).hi;
}
