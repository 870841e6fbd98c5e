/**
 * Every key that the store knows, once: its bytes and the row of its newest revision, under a small number, the *key
 * ID*, by which rows and the ordered index name it. A million keys are a million IDs and no JavaScript objects.
 *
 * Bytes lie in blocks that are only ever appended to. Never are they written a second time, so a view of a key stays
 * what it is for as long as somebody holds it; a block of which little is in use is emptied into the newest one and
 * dropped whole.
 *
 *     block   | key ID, length | bytes, padded to 8 | key ID, length | ...        all at multiples of 8
 */
import { fail } from "../base/index.ts";

/** In place of a row or a key ID: none. */
export const NONE = 0xffff_ffff;

const BLOCK_BYTES = 64 * 1024;
/** Positions count units of 8 bytes: 2^13 units in a block, 32 GiB in all. */
const UNIT_SHIFT = 3;
const BLOCK_UNITS_SHIFT = 13;
const UNIT_MASK = (1 << BLOCK_UNITS_SHIFT) - 1;
const MAX_BLOCKS = 2 ** (32 - BLOCK_UNITS_SHIFT);
const HEADER_BYTES = 8;

const COLUMN_SHIFT = 11;
const COLUMN_KEYS = 1 << COLUMN_SHIFT;
const COLUMN_MASK = COLUMN_KEYS - 1;

interface Block {
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  /** Bytes given out; the next key goes here. */
  used: number;
  /** Bytes given out to keys that still exist. Invariant: live <= used. */
  live: number;
}

export class KeyTable {
  readonly #blocks: (Block | undefined)[] = [];
  readonly #freeBlocks: number[] = [];
  /** The block that is appended to; NONE: none yet. */
  #current = NONE;
  /** Two words per key ID: position of its bytes, newest row. Of a free ID: NONE and the next free ID. */
  readonly #columns: Uint32Array[] = [];
  #ids = 0;
  #freeId = NONE;
  #size = 0;
  /** Length of the common prefix that the last `compare` found. */
  #matched = 0;
  /** Where `maybeRelocate` goes on. */
  #relocateAt = 0;

  /** Number of keys. */
  get size(): number {
    return this.#size;
  }

  /** Takes a copy of a key that is not there yet. */
  add(key: Uint8Array): number {
    let id = this.#freeId;
    if (id === NONE) {
      id = this.#ids++;
      if (id === NONE) fail("too many keys");
      if (id >>> COLUMN_SHIFT === this.#columns.length) this.#columns.push(new Uint32Array(2 * COLUMN_KEYS));
    } else {
      this.#freeId = this.newest(id);
    }
    const position = this.#store(id, key, 0, key.length);
    const column = this.#columns[id >>> COLUMN_SHIFT] as Uint32Array;
    column[(id & COLUMN_MASK) << 1] = position;
    column[((id & COLUMN_MASK) << 1) | 1] = NONE;
    this.#size++;
    return id;
  }

  /** Forgets a key. Its ID will be given to another. */
  remove(id: number): void {
    const position = this.#position(id);
    const number = position >>> BLOCK_UNITS_SHIFT;
    const block = this.#blocks[number] as Block;
    block.live -= entryBytes(block.words[(position & UNIT_MASK) * 2 + 1] as number);
    if (block.live === 0 && number !== this.#current) this.#drop(number);
    const column = this.#columns[id >>> COLUMN_SHIFT] as Uint32Array;
    column[(id & COLUMN_MASK) << 1] = NONE;
    column[((id & COLUMN_MASK) << 1) | 1] = this.#freeId;
    this.#freeId = id;
    this.#size--;
  }

  /** Row of the newest revision of a key. */
  newest(id: number): number {
    return (this.#columns[id >>> COLUMN_SHIFT] as Uint32Array)[((id & COLUMN_MASK) << 1) | 1] as number;
  }

  setNewest(id: number, row: number): void {
    (this.#columns[id >>> COLUMN_SHIFT] as Uint32Array)[((id & COLUMN_MASK) << 1) | 1] = row;
  }

  /** The bytes of a key: a view that stays valid and unchanged. */
  bytes(id: number): Uint8Array {
    const position = this.#position(id);
    const block = this.#blocks[position >>> BLOCK_UNITS_SHIFT] as Block;
    const unit = position & UNIT_MASK;
    const length = block.words[unit * 2 + 1] as number;
    return new Uint8Array(block.bytes.buffer, (unit << UNIT_SHIFT) + HEADER_BYTES, length);
  }

  /** Length of a key in bytes. */
  length(id: number): number {
    const position = this.#position(id);
    const block = this.#blocks[position >>> BLOCK_UNITS_SHIFT] as Block;
    return block.words[(position & UNIT_MASK) * 2 + 1] as number;
  }

  /** Length of the prefix that the two keys of the last `compare` had in common. */
  get matched(): number {
    return this.#matched;
  }

  /**
   * Order of `key` against that of `id`: negative when it is before, 0 when equal. Its first `known` bytes are known to
   * be the same; a search that narrows from both sides knows most of a common prefix and need not compare it again.
   */
  compare(key: Uint8Array, id: number, known: number): number {
    const position = this.#position(id);
    const block = this.#blocks[position >>> BLOCK_UNITS_SHIFT] as Block;
    const unit = position & UNIT_MASK;
    const length = block.words[unit * 2 + 1] as number;
    const base = (unit << UNIT_SHIFT) + HEADER_BYTES;
    const { bytes } = block;
    const common = Math.min(key.length, length);
    let i = known;
    for (; i < common; i++) {
      const difference = (key[i] as number) - (bytes[base + i] as number);
      if (difference !== 0) {
        this.#matched = i;
        return difference;
      }
    }
    this.#matched = i;
    return key.length - length;
  }

  /**
   * Empties one block of which less than half is in use. Returns the number of keys moved; 0: there is no such block.
   * Moves at most BLOCK_BYTES.
   */
  maybeRelocate(): number {
    for (; this.#relocateAt < this.#blocks.length; this.#relocateAt++) {
      const block = this.#blocks[this.#relocateAt];
      if (block === undefined || this.#relocateAt === this.#current) continue;
      if (block.live * 2 >= block.used) continue;
      return this.#empty(this.#relocateAt, block);
    }
    this.#relocateAt = 0;
    return 0;
  }

  /** Bytes of memory that the table holds. */
  get memoryBytes(): number {
    let bytes = this.#columns.length * COLUMN_KEYS * 8;
    for (const block of this.#blocks) bytes += block?.bytes.length ?? 0;
    return bytes;
  }

  /** @throws AssertionError */
  checkInvariants(): void {
    const live = new Map<number, number>();
    let size = 0;
    for (let id = 0; id < this.#ids; id++) {
      const position = this.#position(id);
      if (position === NONE) continue;
      size++;
      const number = position >>> BLOCK_UNITS_SHIFT;
      const block = this.#blocks[number];
      if (block === undefined) fail("key in a dropped block", { id, number });
      const at = (position & UNIT_MASK) * 2;
      if (block.words[at] !== id) fail("block names another key", { id, found: block.words[at] });
      live.set(number, (live.get(number) ?? 0) + entryBytes(block.words[at + 1] as number));
    }
    if (size !== this.#size) fail("number of keys", { size, counted: this.#size });
    this.#blocks.forEach((block, number) => {
      if (block === undefined) return;
      const counted = live.get(number) ?? 0;
      if (counted !== block.live) fail("live bytes of a block", { number, counted, live: block.live });
    });
  }

  #position(id: number): number {
    return (this.#columns[id >>> COLUMN_SHIFT] as Uint32Array)[(id & COLUMN_MASK) << 1] as number;
  }

  /** Appends source[lo, hi) as the key of `id`; returns the position. */
  #store(id: number, source: Uint8Array, lo: number, hi: number): number {
    const length = hi - lo;
    const size = entryBytes(length);
    let block = this.#current === NONE ? undefined : (this.#blocks[this.#current] as Block);
    if (block === undefined || block.used + size > block.bytes.length) block = this.#open(size);
    const at = block.used;
    block.words[at >>> 2] = id;
    block.words[(at >>> 2) + 1] = length;
    const { bytes } = block;
    for (let i = 0, to = at + HEADER_BYTES; i < length; i++) bytes[to + i] = source[lo + i] as number;
    block.used += size;
    block.live += size;
    return this.#current * (UNIT_MASK + 1) + (at >>> UNIT_SHIFT);
  }

  /** Makes the block that is appended to from now on, with room for `size`. */
  #open(size: number): Block {
    const before = this.#current;
    const bytes = new Uint8Array(Math.max(BLOCK_BYTES, size));
    const block: Block = { bytes, words: new Uint32Array(bytes.buffer), used: 0, live: 0 };
    const number = this.#freeBlocks.pop() ?? this.#blocks.length;
    if (number >= MAX_BLOCKS) fail("keys of more than 32 GiB");
    this.#blocks[number] = block;
    this.#current = number;
    if (before !== NONE && this.#blocks[before]?.live === 0) this.#drop(before);
    return block;
  }

  #drop(number: number): void {
    this.#blocks[number] = undefined;
    this.#freeBlocks.push(number);
  }

  #empty(number: number, block: Block): number {
    let moved = 0;
    for (let at = 0; at < block.used; ) {
      const id = block.words[at >>> 2] as number;
      const length = block.words[(at >>> 2) + 1] as number;
      // The ID may have gone to another key since; then that key lies elsewhere.
      if (this.#position(id) === number * (UNIT_MASK + 1) + (at >>> UNIT_SHIFT)) {
        const from = at + HEADER_BYTES;
        const position = this.#store(id, block.bytes, from, from + length);
        (this.#columns[id >>> COLUMN_SHIFT] as Uint32Array)[(id & COLUMN_MASK) << 1] = position;
        moved++;
      }
      at += entryBytes(length);
    }
    block.live = 0;
    this.#drop(number);
    return moved + 1;
  }
}

function entryBytes(length: number): number {
  return (HEADER_BYTES + length + 7) & ~7;
}
