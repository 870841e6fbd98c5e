/**
 * Sorts all keys at once, for a restart: a million insertions into the ordered index, each with twenty comparisons in
 * cold memory, take seconds. Here a group of keys skips what all of them begin with, is sorted by the next four bytes
 * as numbers, and each run of equal ones is a group again.
 */
import type { KeyTable } from "./keys.ts";

/** Up to so many keys comparing them is quicker than a pass over their bytes. */
const FEW = 16;
const WINDOW_BYTES = 4;
/** Where the low word of a 64-bit number is in memory. */
const LOW = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? 0 : 1;

/** Sorts key IDs by their keys. */
export function sortKeys(keys: KeyTable, ids: Uint32Array): void {
  // Groups that wait, by their first place, their end, and the length that their keys have in common.
  const groups: (readonly [lo: number, hi: number, known: number])[] = [[0, ids.length, 0]];
  for (let group = groups.pop(); group !== undefined; group = groups.pop()) {
    const [lo, hi, known] = group;
    const part = ids.subarray(lo, hi);
    if (part.length <= FEW) {
      insertEach(keys, part, known);
      continue;
    }
    const common = commonPrefix(keys, part, known);
    const sorted = sortByWindow(keys, part, common);
    let begin = 0;
    for (let end = 1; end <= part.length; end++) {
      if (end < part.length && windowAt(sorted, end) === windowAt(sorted, begin)) continue;
      const run = part.subarray(begin, end);
      // Only keys that end inside the window can share it and not its bytes: `a` and `a\0`.
      if (run.length > 1 && run.some((id) => keys.length(id) < common + WINDOW_BYTES))
        sortByComparing(keys, run);
      else if (run.length > 1) groups.push([lo + begin, lo + end, common + WINDOW_BYTES]);
      begin = end;
    }
  }
}

/** Insertion sort of a few keys that have their first `known` bytes in common. */
function insertEach(keys: KeyTable, ids: Uint32Array, known: number): void {
  for (let i = 1; i < ids.length; i++) {
    const id = ids[i] as number;
    const key = keys.bytes(id);
    let at = i;
    for (; at > 0 && keys.compare(key, ids[at - 1] as number, known) < 0; at--)
      ids[at] = ids[at - 1] as number;
    ids[at] = id;
  }
}

function sortByComparing(keys: KeyTable, ids: Uint32Array): void {
  ids.sort((a, b) => keys.compare(keys.bytes(a), b, 0));
}

/** Length of what all keys begin with, given that it is at least `known`. */
function commonPrefix(keys: KeyTable, ids: Uint32Array, known: number): number {
  const first = keys.bytes(ids[0] as number);
  let common = first.length;
  for (let i = 1; i < ids.length && common > known; i++) {
    keys.compare(first, ids[i] as number, known);
    common = Math.min(common, keys.matched);
  }
  return common;
}

/** Sorts by the bytes from `from` on, zeros where a key has ended. Returns the windows, as the high words. */
function sortByWindow(keys: KeyTable, ids: Uint32Array, from: number): Uint32Array {
  const before = ids.slice();
  const numbers = new BigUint64Array(ids.length);
  const words = new Uint32Array(numbers.buffer);
  for (let i = 0; i < before.length; i++) {
    words[2 * i + LOW] = i;
    words[2 * i + 1 - LOW] = keys.window(before[i] as number, from);
  }
  numbers.sort();
  for (let i = 0; i < before.length; i++) ids[i] = before[words[2 * i + LOW] as number] as number;
  return words;
}

function windowAt(words: Uint32Array, i: number): number {
  return words[2 * i + 1 - LOW] as number;
}
