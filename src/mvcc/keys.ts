/**
 * Every key that the store knows, once: its bytes and the row of its newest revision, under a small number, the *key
 * ID*, by which rows and the ordered index name it. A million keys are a million IDs and no JavaScript objects.
 *
 * A key is looked up by hash; the ordered index would need twenty comparisons, each in memory that is cold. The table
 * of hashes grows by linear hashing, one bucket split per two keys, so no put pays for all the keys before it.
 *
 * Bytes lie in blocks that are only ever appended to. Never are they written a second time, so a view of a key stays
 * what it is for as long as somebody holds it; a block of which little is in use is emptied into the newest one and
 * dropped whole.
 *
 *     block   | key ID, length | bytes, padded to 8 | key ID, length | ...        all at multiples of 8
 */
import { fail, finishHash, mixHashBytes } from "../base/index.ts";

/** In place of a row or a key ID: none. */
export const NONE = 0xffff_ffff;

const BLOCK_BYTES = 64 * 1024;
/** Positions count units of 8 bytes: 2^13 units in a block, 32 GiB in all. */
const UNIT_SHIFT = 3;
const BLOCK_UNITS_SHIFT = 13;
const UNIT_MASK = (1 << BLOCK_UNITS_SHIFT) - 1;
const MAX_BLOCKS = 2 ** (32 - BLOCK_UNITS_SHIFT);
const HEADER_BYTES = 8;

/** Columns: words per key ID. Of a free ID the position is NONE and the newest row the next free ID. */
const WORDS = 5;
const POSITION = 0;
const NEWEST = 1;
/** The next key of the same bucket; NONE: it is the last. */
const NEXT = 2;
const BLOCK = 3;
/** Hash of the key: a bucket is walked and split without a look at bytes, which are somewhere else and cold. */
const HASH = 4;
const COLUMN_SHIFT = 10;
const COLUMN_KEYS = 1 << COLUMN_SHIFT;
const COLUMN_MASK = COLUMN_KEYS - 1;

const HEADS_SHIFT = 10;
const HEADS = 1 << HEADS_SHIFT;
/** Average number of keys in a bucket. */
const BUCKET_KEYS = 2;
/** A bucket with more keys was made by somebody who wants it so; then the ordered index is asked. */
const MAX_CHAIN = 32;
/** What `lookup` says then. */
export const UNDECIDED = -2;

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
  readonly #columns: Uint32Array[] = [];
  /** First key of each bucket. */
  readonly #heads: Uint32Array[] = [new Uint32Array(HEADS).fill(NONE)];
  /** Number of buckets; those below `#buckets - #base` and from `#base` on are split already. */
  #buckets = 1;
  /** Invariant: a power of two, <= #buckets < 2 * #base. */
  #base = 1;
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

  /**
   * The ID of a key; -1: it is not there; UNDECIDED: more than `maxChain` keys have its hash.
   * @param hash of the key, by `hashOf`
   */
  lookup(key: Uint8Array, maxChain = MAX_CHAIN, hash = hashOf(key)): number {
    let id = this.#head(this.#bucketOf(hash));
    for (let steps = 0; id !== NONE; steps++) {
      if (steps === maxChain) return UNDECIDED;
      const column = this.#columns[id >>> COLUMN_SHIFT] as Uint32Array;
      const at = (id & COLUMN_MASK) * WORDS;
      if (((column[at + HASH] as number) | 0) === hash && this.#equals(key, id)) return id;
      id = column[at + NEXT] as number;
    }
    return -1;
  }

  /** Takes a copy of a key that is not there yet. @param hash of the key, by `hashOf` */
  add(key: Uint8Array, hash = hashOf(key)): number {
    let id = this.#freeId;
    if (id === NONE) {
      id = this.#ids++;
      if (id === NONE) fail("too many keys");
      if (id >>> COLUMN_SHIFT === this.#columns.length)
        this.#columns.push(new Uint32Array(WORDS * COLUMN_KEYS));
    } else {
      this.#freeId = this.newest(id);
    }
    this.#setWord(id, POSITION, this.#store(id, key, 0, key.length));
    this.#setWord(id, NEWEST, NONE);
    this.#setWord(id, HASH, hash);
    this.#chain(id, this.#bucketOf(hash));
    this.#size++;
    if (this.#size > this.#buckets * BUCKET_KEYS) this.#splitBucket();
    return id;
  }

  /** Forgets a key. Its ID will be given to another. */
  remove(id: number): void {
    this.#unchain(id);
    const position = this.#position(id);
    const number = position >>> BLOCK_UNITS_SHIFT;
    const block = this.#blocks[number] as Block;
    block.live -= entryBytes(block.words[(position & UNIT_MASK) * 2 + 1] as number);
    if (block.live === 0 && number !== this.#current) this.#drop(number);
    this.#setWord(id, POSITION, NONE);
    this.#setWord(id, NEWEST, this.#freeId);
    this.#freeId = id;
    this.#size--;
  }

  /** Row of the newest revision of a key. */
  newest(id: number): number {
    return this.#word(id, NEWEST);
  }

  setNewest(id: number, row: number): void {
    this.#setWord(id, NEWEST, row);
  }

  /** Number of the index block that the key is in. */
  block(id: number): number {
    return this.#word(id, BLOCK);
  }

  setBlock(id: number, number: number): void {
    this.#setWord(id, BLOCK, number);
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

  /** Four bytes of a key from `from` on as a number that orders as they do; zeros where the key has ended. */
  window(id: number, from: number): number {
    const position = this.#position(id);
    const block = this.#blocks[position >>> BLOCK_UNITS_SHIFT] as Block;
    const unit = position & UNIT_MASK;
    const base = (unit << UNIT_SHIFT) + HEADER_BYTES;
    const end = base + (block.words[unit * 2 + 1] as number);
    return windowOf(block.bytes, base + from, end);
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
    let bytes = this.#columns.length * COLUMN_KEYS * WORDS * 4 + this.#heads.length * HEADS * 4;
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
      const found = this.lookup(this.bytes(id));
      if ((this.#word(id, HASH) | 0) !== hashOf(this.bytes(id))) fail("hash of a key", { id });
      if (found !== id && found !== UNDECIDED) fail("a key is not found by its hash", { id, found });
    }
    if (size !== this.#size) fail("number of keys", { size, counted: this.#size });
    this.#blocks.forEach((block, number) => {
      if (block === undefined) return;
      const counted = live.get(number) ?? 0;
      if (counted !== block.live) fail("live bytes of a block", { number, counted, live: block.live });
    });
  }

  #position(id: number): number {
    return this.#word(id, POSITION);
  }

  #word(id: number, column: number): number {
    return (this.#columns[id >>> COLUMN_SHIFT] as Uint32Array)[(id & COLUMN_MASK) * WORDS + column] as number;
  }

  #setWord(id: number, column: number, value: number): void {
    (this.#columns[id >>> COLUMN_SHIFT] as Uint32Array)[(id & COLUMN_MASK) * WORDS + column] = value;
  }

  #equals(key: Uint8Array, id: number): boolean {
    const position = this.#position(id);
    const block = this.#blocks[position >>> BLOCK_UNITS_SHIFT] as Block;
    const unit = position & UNIT_MASK;
    if (block.words[unit * 2 + 1] !== key.length) return false;
    const base = (unit << UNIT_SHIFT) + HEADER_BYTES;
    const { bytes } = block;
    // From the end: keys of one kind begin alike.
    for (let i = key.length - 1; i >= 0; i--) if (key[i] !== bytes[base + i]) return false;
    return true;
  }

  #bucketOf(hash: number): number {
    const bucket = hash & (2 * this.#base - 1);
    return bucket < this.#buckets ? bucket : bucket - this.#base;
  }

  #head(bucket: number): number {
    return (this.#heads[bucket >>> HEADS_SHIFT] as Uint32Array)[bucket & (HEADS - 1)] as number;
  }

  #setHead(bucket: number, id: number): void {
    (this.#heads[bucket >>> HEADS_SHIFT] as Uint32Array)[bucket & (HEADS - 1)] = id;
  }

  #chain(id: number, bucket: number): void {
    this.#setWord(id, NEXT, this.#head(bucket));
    this.#setHead(bucket, id);
  }

  #unchain(id: number): void {
    const bucket = this.#bucketOf(this.#word(id, HASH) | 0);
    let before = this.#head(bucket);
    const next = this.#word(id, NEXT);
    if (before === id) {
      this.#setHead(bucket, next);
      return;
    }
    for (let after = this.#word(before, NEXT); after !== id; after = this.#word(before, NEXT)) before = after;
    this.#setWord(before, NEXT, next);
  }

  /** Makes one more bucket, out of the keys of another. */
  #splitBucket(): void {
    const from = this.#buckets - this.#base;
    if (this.#buckets >>> HEADS_SHIFT === this.#heads.length)
      this.#heads.push(new Uint32Array(HEADS).fill(NONE));
    this.#buckets++;
    let id = this.#head(from);
    this.#setHead(from, NONE);
    while (id !== NONE) {
      const next = this.#word(id, NEXT);
      this.#chain(id, this.#bucketOf(this.#word(id, HASH) | 0));
      id = next;
    }
    if (this.#buckets === 2 * this.#base) this.#base *= 2;
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
        this.#setWord(id, POSITION, this.#store(id, block.bytes, from, from + length));
        moved++;
      }
      at += entryBytes(length);
    }
    block.live = 0;
    this.#drop(number);
    return moved + 1;
  }
}

/** Four of bytes[at, end) as a number that orders as they do; zeros from `end` on. */
export function windowOf(bytes: Uint8Array, at: number, end: number): number {
  let window = 0;
  for (let i = at; i < at + 4; i++) window = (window << 8) | (i < end ? (bytes[i] as number) : 0);
  return window >>> 0;
}

/** Hash of a key, signed 32-bit. */
export function hashOf(key: Uint8Array): number {
  return finishHash(mixHashBytes(0, key)) | 0;
}

function entryBytes(length: number): number {
  return (HEADER_BYTES + length + 7) & ~7;
}
