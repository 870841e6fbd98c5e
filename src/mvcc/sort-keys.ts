/**
 * Sorts all keys at once, for a restart: a million insertions into the ordered index, each with twenty comparisons in
 * cold memory, take seconds. Here a group of keys skips what all of them begin with, is sorted by the next four bytes
 * as numbers, and each run of equal ones is a group again. It can be left at every few keys, because a million of them
 * still take a good part of a second.
 */
import { runToEnd, type Work } from "../base/index.ts";
import type { KeyTable } from "./keys.ts";

/** Up to so many keys comparing them is quicker than a pass over their bytes. */
const FEW = 16;
/** Up to so many keys are sorted in one go; about a third of a millisecond. */
const SMALL = 1024;
const WINDOW_BYTES = 4;
/** Bits of a window that one pass over a large group sorts by: three passes sort by all. */
const DIGIT_BITS = 11;
const DIGITS = 1 << DIGIT_BITS;
/** Where the low word of a 64-bit number is in memory. */
const LOW = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? 0 : 1;

/** Keys with their first `known` bytes in common, at [lo, hi) of all IDs. */
interface Group {
  readonly lo: number;
  readonly hi: number;
  readonly known: number;
}

/** Sorts key IDs by their keys. */
export function sortKeys(keys: KeyTable, ids: Uint32Array): void {
  runToEnd(sortingKeys(keys, ids));
}

/** As `sortKeys`, in steps: yields about how many keys it has looked at since it last did, never much above SMALL. */
export function* sortingKeys(keys: KeyTable, ids: Uint32Array): Work<void> {
  const groups: Group[] = [{ lo: 0, hi: ids.length, known: 0 }];
  // Small groups are counted together, or leaving would cost more than sorting.
  let done = 0;
  for (let group = groups.pop(); group !== undefined; group = groups.pop()) {
    const { lo, hi, known } = group;
    const part = ids.subarray(lo, hi);
    if (part.length <= FEW) {
      insertEach(keys, part, known);
    } else {
      const windows = new Windows(part.length);
      if (part.length <= SMALL) {
        windows.read(keys, part, commonPrefix(keys, part, known));
        windows.sortFew(part);
      } else {
        yield* windows.sorting(keys, part, known);
      }
      yield* splitting(keys, { part, lo, windows }, groups);
    }
    done += part.length;
    if (done < SMALL) continue;
    yield Math.min(done, SMALL);
    done = 0;
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

/** Length of what the keys and `first` begin with, given that it is at least `known` and at most `common`. */
function commonPrefix(
  keys: KeyTable,
  ids: Uint32Array,
  known: number,
  first = ids[0],
  common = 2 ** 32,
): number {
  const key = keys.bytes(first as number);
  let length = Math.min(common, key.length);
  for (let i = 0; i < ids.length && length > known; i++) {
    keys.compare(key, ids[i] as number, known);
    length = Math.min(length, keys.matched);
  }
  return length;
}

/** Four bytes of each key of a group, as numbers that order as they do; they move with the IDs. */
class Windows {
  #values: Uint32Array;
  /** Length of what is before the windows: all keys have it in common. */
  from = 0;
  /** Whether a key ends inside its window. */
  hasShort = false;

  constructor(size: number) {
    this.#values = new Uint32Array(size);
  }

  at(i: number): number {
    return this.#values[i] as number;
  }

  /** Reads the windows of the keys [lo, lo + part.length) of the group. */
  read(keys: KeyTable, part: Uint32Array, from: number, lo = 0): void {
    this.from = from;
    for (let i = 0; i < part.length; i++) {
      const id = part[i] as number;
      this.#values[lo + i] = keys.window(id, from);
      this.hasShort ||= keys.length(id) < from + WINDOW_BYTES;
    }
  }

  /** Sorts at most SMALL keys. */
  sortFew(ids: Uint32Array): void {
    const { length } = ids;
    beforeFew.set(ids);
    for (let i = 0; i < length; i++) {
      fewWords[2 * i + LOW] = i;
      fewWords[2 * i + 1 - LOW] = this.#values[i] as number;
    }
    few.subarray(0, length).sort();
    for (let i = 0; i < length; i++) {
      ids[i] = beforeFew[fewWords[2 * i + LOW] as number] as number;
      this.#values[i] = fewWords[2 * i + 1 - LOW] as number;
    }
  }

  /** Reads and sorts many: passes over all of them, by the lowest digit of their windows first. */
  *sorting(keys: KeyTable, ids: Uint32Array, known: number): Work<void> {
    const { length } = ids;
    let common = 2 ** 32;
    for (let lo = 0; lo < length && common > known; lo += SMALL) {
      const part = ids.subarray(lo, lo + SMALL);
      common = commonPrefix(keys, part, known, ids[0], common);
      yield part.length;
    }
    for (let lo = 0; lo < length; lo += SMALL) {
      const part = ids.subarray(lo, lo + SMALL);
      this.read(keys, part, common, lo);
      yield part.length;
    }
    let from: Columns = { ids, values: this.#values };
    let to: Columns = { ids: new Uint32Array(length), values: new Uint32Array(length) };
    for (let shift = 0; shift < 32; shift += DIGIT_BITS) {
      const places = new Uint32Array(DIGITS);
      yield* counting(from.values, shift, places);
      if (beginEach(places, length)) continue;
      yield* moving(from, to, shift, places);
      [from, to] = [to, from];
    }
    this.#values = from.values;
    if (from.ids !== ids) ids.set(from.ids);
  }
}

const few = new BigUint64Array(SMALL);
const fewWords = new Uint32Array(few.buffer);
const beforeFew = new Uint32Array(SMALL);

interface Columns {
  readonly ids: Uint32Array;
  readonly values: Uint32Array;
}

/** Such passes look at no key: so many of their steps are as long as one with a key. */
const CHEAP = 8;

function digitOf(value: number, shift: number): number {
  return (value >>> shift) & (DIGITS - 1);
}

/** Counts how often each digit is there. */
function* counting(values: Uint32Array, shift: number, counts: Uint32Array): Work<void> {
  for (let lo = 0; lo < values.length; lo += SMALL * CHEAP) {
    const hi = Math.min(values.length, lo + SMALL * CHEAP);
    for (let i = lo; i < hi; i++) (counts[digitOf(values[i] as number, shift)] as number)++;
    yield SMALL;
  }
}

/** Makes of counts the places where each digit begins. True: there is only one digit, so nothing would move. */
function beginEach(counts: Uint32Array, total: number): boolean {
  let place = 0;
  for (let digit = 0; digit < DIGITS; digit++) {
    const count = counts[digit] as number;
    if (count === total) return true;
    counts[digit] = place;
    place += count;
  }
  return false;
}

function* moving(from: Columns, to: Columns, shift: number, places: Uint32Array): Work<void> {
  const { length } = from.ids;
  for (let lo = 0; lo < length; lo += SMALL * CHEAP) {
    const hi = Math.min(length, lo + SMALL * CHEAP);
    for (let i = lo; i < hi; i++) {
      const value = from.values[i] as number;
      const digit = digitOf(value, shift);
      const place = places[digit] as number;
      places[digit] = place + 1;
      to.values[place] = value;
      to.ids[place] = from.ids[i] as number;
    }
    yield SMALL;
  }
}

/** Makes groups of the runs of equal windows, and sorts those that are only a few keys. */
function* splitting(
  keys: KeyTable,
  { part, lo, windows }: { readonly part: Uint32Array; readonly lo: number; readonly windows: Windows },
  groups: Group[],
): Work<void> {
  const known = windows.from + WINDOW_BYTES;
  let [begin, sorted] = [0, 0];
  for (let end = 1; end <= part.length; end++) {
    if (end % (SMALL * CHEAP) === 0) yield SMALL;
    if (end < part.length && windows.at(end) === windows.at(begin)) continue;
    if (end - begin > 1 && windows.hasShort)
      begin += yield* shortFirst(keys, part.subarray(begin, end), known);
    if (end - begin > FEW) groups.push({ lo: lo + begin, hi: lo + end, known });
    else if (end - begin > 1) {
      insertEach(keys, part.subarray(begin, end), known);
      sorted += end - begin;
    }
    begin = end;
    if (sorted < SMALL) continue;
    yield sorted;
    sorted = 0;
  }
}

/**
 * Keys that end inside their window can have the window of others and not their bytes: `a`, `a\0` and `a\0b`. Brings
 * those of one run to its front, in order, which is that of their lengths; they are at most four. Returns how many.
 */
function* shortFirst(keys: KeyTable, run: Uint32Array, end: number): Work<number> {
  let count = 0;
  for (let i = 0; i < run.length; i++) {
    if (i % SMALL === SMALL - 1) yield SMALL;
    const id = run[i] as number;
    if (keys.length(id) >= end) continue;
    run[i] = run[count] as number;
    let at = count++;
    for (; at > 0 && keys.length(run[at - 1] as number) > keys.length(id); at--)
      run[at] = run[at - 1] as number;
    run[at] = id;
  }
  return count;
}
