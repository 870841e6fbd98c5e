/**
 * Key IDs in order of key: a list of blocks of IDs. Two binary searches find a key, one over the first keys of the
 * blocks and one inside a block. Keys are compared where they lie, which is cold memory; so a block keeps of each key
 * the first four bytes behind what all its keys begin with, and most often only one key is left to compare.
 *
 * A key stays here while it has a row, also while its newest row is a delete: such a key is *absent*, one whose newest
 * row is a put is *present*. Each block counts its present keys, so counting a range costs two searches and a sum over
 * blocks.
 *
 * (A B+tree would make the insertion of a block logarithmic. Here it moves one pointer per block behind it: with a
 * hundred million keys 400,000 pointers once in 250 insertions.)
 */
import { fail, type Work } from "../base/index.ts";
import { type KeyTable, windowOf } from "./keys.ts";
import type { KeyRange } from "./types.ts";

const BLOCK_KEYS = 512;
/** Below this a block is merged with its neighbour if both together fill at most MERGED_KEYS. */
const SPARSE_KEYS = 128;
const MERGED_KEYS = 384;
/** Keys in a block that is made full at once: some room is left for what comes. */
const FILLED_KEYS = 400;

const NO_WINDOWS = new Uint32Array(0);

export interface IndexBlock {
  /** By which its keys name it. */
  readonly number: number;
  readonly ids: Uint32Array;
  /** Bytes that all its keys begin with; -1: not known, and `windows` neither. */
  common: number;
  /** Of each key the four bytes behind those, as a number; empty while nobody has searched here. */
  windows: Uint32Array;
  size: number;
  /** Number of present keys. */
  present: number;
  /** No key of the block has a revision above this. Invariant: >= main of every newest row. */
  newest: number;
}

/** A place in the index: `slot` may equal the size of its block, and then means the beginning of the next. */
export interface Place {
  block: number;
  slot: number;
}

export class KeyIndex {
  readonly #keys: KeyTable;
  readonly #isPresent: (id: number) => boolean;
  readonly #blocks: IndexBlock[] = [];
  readonly #numbered: (IndexBlock | undefined)[] = [];
  readonly #freeNumbers: number[] = [];
  /** Where the last `find` ended: the key, or where it would go. */
  #block = 0;
  #slot = 0;

  /** @param isPresent whether the newest row of a key is a put; asked when a block is split. */
  constructor(keys: KeyTable, isPresent: (id: number) => boolean) {
    this.#keys = keys;
    this.#isPresent = isPresent;
  }

  /** In order; for reading. No block is empty. */
  get blocks(): readonly IndexBlock[] {
    return this.#blocks;
  }

  /** The block that a key is in. */
  blockOf(id: number): IndexBlock {
    return this.#numbered[this.#keys.block(id)] as IndexBlock;
  }

  /** The ID of a key; -1: it is not here. `KeyTable.lookup` is quicker. */
  find(key: Uint8Array): number {
    const keys = this.#keys;
    const blocks = this.#blocks;
    // Invariant of both searches: everything below lo is <= key, everything from hi on is > key.
    let [lo, hi, knownLo, knownHi] = [0, blocks.length, 0, 0];
    while (lo < hi) {
      const middle = (lo + hi) >>> 1;
      const first = (blocks[middle] as IndexBlock).ids[0] as number;
      const order = keys.compare(key, first, Math.min(knownLo, knownHi));
      if (order === 0) return this.#stop(middle, 0, first);
      if (order > 0) {
        lo = middle + 1;
        knownLo = keys.matched;
      } else {
        hi = middle;
        knownHi = keys.matched;
      }
    }
    if (lo === 0) return this.#stop(0, 0, -1);
    const at = lo - 1;
    const block = blocks[at] as IndexBlock;
    if (block.common < 0) this.#makeWindows(block);
    const { windows, common } = block;
    // It is behind the first key and parts from it inside what all have in common: so it is behind all.
    if (knownLo < common) return this.#stop(at, block.size, -1);
    const window = windowOf(key, common, key.length);
    let low = firstAtLeast(windows, window, 1, block.size);
    let high = firstAtLeast(windows, window + 1, low, block.size);
    while (low < high) {
      const middle = (low + high) >>> 1;
      const id = block.ids[middle] as number;
      const order = keys.compare(key, id, common);
      if (order === 0) return this.#stop(at, middle, id);
      if (order > 0) low = middle + 1;
      else high = middle;
    }
    return this.#stop(at, low, -1);
  }

  /** Takes in the ID of a key that is not here. It is absent until told otherwise. */
  insert(id: number, key: Uint8Array): void {
    if (this.find(key) >= 0) fail("a key is twice in the index", { id });
    let block = this.#blocks[this.#block];
    if (block === undefined) {
      block = this.#open();
      this.#blocks.push(block);
    }
    if (block.size === BLOCK_KEYS) block = this.#split(block);
    this.#addWindow(block, key);
    block.ids.copyWithin(this.#slot + 1, this.#slot, block.size);
    block.ids[this.#slot] = id;
    block.size++;
    this.#keys.setBlock(id, block.number);
  }

  /**
   * Takes in all keys, in order, into an empty index. It counts as filled when each of them was noted too
   * (`noteFilled`), which is quicker in order of ID, where their rows are, than here. Yields how many it has taken in.
   */
  *filling(ids: Uint32Array): Work<void> {
    if (this.#blocks.length > 0) fail("the index is filled already");
    for (let from = 0; from < ids.length; from += FILLED_KEYS) {
      const block = this.#open();
      const part = ids.subarray(from, from + FILLED_KEYS);
      block.ids.set(part);
      block.size = part.length;
      this.#rename(block, 0);
      this.#blocks.push(block);
      yield part.length;
    }
  }

  /** Says once of each key that `filling` took in what its newest row is. */
  noteFilled(id: number, main: number, isPresent: boolean): void {
    const block = this.blockOf(id);
    if (main > block.newest) block.newest = main;
    if (isPresent) block.present++;
  }

  /** Takes out a key, which is absent. */
  remove(id: number): void {
    const found = this.find(this.#keys.bytes(id));
    if (found !== id) fail("a key is not in the index", { id, found });
    const at = this.#block;
    const block = this.#blocks[at] as IndexBlock;
    block.ids.copyWithin(this.#slot, this.#slot + 1, block.size);
    if (block.common >= 0) block.windows.copyWithin(this.#slot, this.#slot + 1, block.size);
    block.size--;
    if (block.size === 0) this.#drop(at);
    else if (block.size < SPARSE_KEYS && !this.#maybeMerge(at)) this.#maybeMerge(at - 1);
  }

  /** The first and the last place of a range, half open; undefined: it is empty. Not for single keys. */
  bounds(range: KeyRange): { readonly lo: Place; readonly hi: Place } | undefined {
    const { key, rangeEnd } = range;
    this.find(key);
    const lo = { block: this.#block, slot: this.#slot };
    if (isOpenEnd(rangeEnd)) return { lo, hi: { block: this.#blocks.length, slot: 0 } };
    this.find(rangeEnd);
    const hi = { block: this.#block, slot: this.#slot };
    const isEmpty = hi.block < lo.block || (hi.block === lo.block && hi.slot <= lo.slot);
    return isEmpty ? undefined : { lo, hi };
  }

  /** @throws AssertionError */
  checkInvariants(): void {
    let before: Uint8Array | undefined;
    let count = 0;
    this.#blocks.forEach((block, at) => {
      if (block.size === 0 || block.size > BLOCK_KEYS)
        fail("size of an index block", { at, size: block.size });
      for (let slot = 0; slot < block.size; slot++) {
        const id = block.ids[slot] as number;
        if (before !== undefined && this.#keys.compare(before, id, 0) >= 0)
          fail("index out of order", { id });
        if (this.blockOf(id) !== block) fail("a key names another block", { id, number: block.number });
        if (block.common >= 0 && block.windows[slot] !== this.#keys.window(id, block.common))
          fail("window of a key", { id, common: block.common, window: block.windows[slot] });
        before = this.#keys.bytes(id);
        count++;
      }
    });
    if (count !== this.#keys.size) fail("index and keys", { index: count, keys: this.#keys.size });
  }

  #stop(block: number, slot: number, id: number): number {
    this.#block = block;
    this.#slot = slot;
    return id;
  }

  /** Splits the full block of the last `find`; returns the half that its place is in. */
  #split(block: IndexBlock): IndexBlock {
    // Keys that come in order fill their blocks: an append opens a block of its own.
    const isAppend = this.#slot === BLOCK_KEYS && this.#block === this.#blocks.length - 1;
    const kept = isAppend ? BLOCK_KEYS : BLOCK_KEYS >>> 1;
    const upper = this.#open();
    upper.ids.set(block.ids.subarray(kept));
    upper.size = BLOCK_KEYS - kept;
    upper.newest = block.newest;
    upper.present = this.#presentIn(upper);
    this.#rename(upper, 0);
    // The keys of a half have more in common than all had.
    if (!isAppend) block.common = -1;
    block.size = kept;
    block.present -= upper.present;
    this.#blocks.splice(this.#block + 1, 0, upper);
    if (this.#slot < kept) return block;
    this.#block++;
    this.#slot -= kept;
    return upper;
  }

  #presentIn(block: IndexBlock): number {
    let present = 0;
    for (let slot = 0; slot < block.size; slot++) if (this.#isPresent(block.ids[slot] as number)) present++;
    return present;
  }

  /** Merges block `at` with the one behind it, if both are there and fit. */
  #maybeMerge(at: number): boolean {
    const block = this.#blocks[at];
    const next = this.#blocks[at + 1];
    if (block === undefined || next === undefined || block.size + next.size > MERGED_KEYS) return false;
    const from = block.size;
    block.ids.set(next.ids.subarray(0, next.size), from);
    block.size += next.size;
    block.common = -1;
    this.#rename(block, from);
    block.present += next.present;
    block.newest = Math.max(block.newest, next.newest);
    this.#drop(at + 1);
    return true;
  }

  /** Looks at the keys of a block for what they have in common, and behind it. */
  #makeWindows(block: IndexBlock): void {
    const keys = this.#keys;
    const { ids, size } = block;
    if (block.windows.length === 0) block.windows = new Uint32Array(BLOCK_KEYS);
    keys.compare(keys.bytes(ids[0] as number), ids[size - 1] as number, 0);
    block.common = keys.matched;
    for (let slot = 0; slot < size; slot++)
      block.windows[slot] = keys.window(ids[slot] as number, block.common);
  }

  /** Makes room for the window of a key at the place of the last `find`, before its ID comes into the block. */
  #addWindow(block: IndexBlock, key: Uint8Array): void {
    const { common, windows, size } = block;
    if (common < 0) return;
    if (size > 0) this.#keys.compare(key, block.ids[0] as number, 0);
    if (size === 0 || this.#keys.matched < common) {
      block.common = -1;
      return;
    }
    windows.copyWithin(this.#slot + 1, this.#slot, size);
    windows[this.#slot] = windowOf(key, common, key.length);
  }

  /** Tells the keys of a block, from a slot on, that they are in it. */
  #rename(block: IndexBlock, from: number): void {
    for (let slot = from; slot < block.size; slot++)
      this.#keys.setBlock(block.ids[slot] as number, block.number);
  }

  #open(): IndexBlock {
    const number = this.#freeNumbers.pop() ?? this.#numbered.length;
    const block = {
      number,
      ids: new Uint32Array(BLOCK_KEYS),
      common: -1,
      windows: NO_WINDOWS,
      size: 0,
      present: 0,
      newest: 0,
    };
    this.#numbered[number] = block;
    return block;
  }

  #drop(at: number): void {
    const [block] = this.#blocks.splice(at, 1);
    if (block === undefined) return;
    this.#numbered[block.number] = undefined;
    this.#freeNumbers.push(block.number);
  }
}

/** The first place in values[lo, hi), which ascend, whose value is at least `least`; `hi`: there is none. */
function firstAtLeast(values: Uint32Array, least: number, lo: number, hi: number): number {
  let [low, high] = [lo, hi];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((values[middle] as number) < least) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Whether a range goes on to the last key. */
export function isOpenEnd(rangeEnd: Uint8Array): boolean {
  return rangeEnd.length === 1 && rangeEnd[0] === 0;
}
