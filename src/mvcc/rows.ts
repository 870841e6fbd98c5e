/**
 * The revision table: one row per change, in order of revision, so that it is the history; and linked per key from the
 * newest row back, so that it is what every key was. Rows are numbers in typed arrays, never objects.
 *
 * A row keeps its number (ID) until compaction moves it. Rows lie in chunks, and an ID names a chunk and a place in
 * it; the order of revisions is that of the chunks in `order` and of the rows in each. Compaction takes rows from the
 * front of one chunk and packs the survivors into a fresh one before it, so between its slices all is in order.
 *
 *     order:  [packed][packed .. ][  .. being read][waiting][waiting][being appended ..  ]
 */
import { fail } from "../base/index.ts";
import { NONE } from "./keys.ts";

const CHUNK_SHIFT = 10;
export const CHUNK_ROWS = 1 << CHUNK_SHIFT;
const ROW_MASK = CHUNK_ROWS - 1;
const MAX_CHUNKS = 2 ** (32 - CHUNK_SHIFT) - 1;

/** Columns beyond 32 bits. */
const NUMBERS = 3;
const MAIN = 0;
const CREATE = 1;
/** 0: the row is a delete. */
const VERSION = 2;

const WORDS = 7;
const SUB = 0;
const KEY = 1;
const OLDER = 2;
const NEWER = 3;
const LEASE_LOW = 4;
const LEASE_HIGH = 5;
const VALUE_BYTES = 6;

export interface RowChunk {
  readonly number: number;
  readonly numbers: Float64Array;
  readonly words: Uint32Array;
  /** Its rows are [begin, end). Invariant: begin < end for every chunk in `order`. */
  begin: number;
  end: number;
  /** Bytes that its rows, when they were appended, made garbage of (see `Floor`). */
  garbage: number;
}

/** A row to append; its links are made by `append`. */
export interface NewRow {
  readonly main: number;
  readonly sub: number;
  readonly key: number;
  readonly createRevision: number;
  readonly version: number;
  readonly leaseLow: number;
  readonly leaseHigh: number;
  readonly valueBytes: number;
}

/** A place in the order of rows. */
export interface RowPlace {
  /** Index into `order`; its length: behind the last row. */
  chunk: number;
  row: number;
}

export class RowTable {
  readonly #chunks: (RowChunk | undefined)[] = [];
  readonly #freeChunks: number[] = [];
  readonly #order: RowChunk[] = [];
  #size = 0;

  /** Chunks in order of revision; for reading. */
  get order(): readonly RowChunk[] {
    return this.#order;
  }

  /** Number of rows. */
  get size(): number {
    return this.#size;
  }

  /** The last row; NONE: there is none. */
  get last(): number {
    const chunk = this.#order[this.#order.length - 1];
    return chunk === undefined ? NONE : idOf(chunk, chunk.end - 1);
  }

  /** Appends a row behind all others, linked to `older`, the row of its key before it. Returns its ID. */
  append(row: NewRow, older: number, garbage: number): number {
    let chunk = this.#order[this.#order.length - 1];
    if (chunk === undefined || chunk.end === CHUNK_ROWS) {
      chunk = this.#open();
      this.#order.push(chunk);
    }
    const at = chunk.end++;
    const { numbers, words } = chunk;
    const n = at * NUMBERS;
    numbers[n + MAIN] = row.main;
    numbers[n + CREATE] = row.createRevision;
    numbers[n + VERSION] = row.version;
    const w = at * WORDS;
    words[w + SUB] = row.sub;
    words[w + KEY] = row.key;
    words[w + OLDER] = older;
    words[w + NEWER] = NONE;
    words[w + LEASE_LOW] = row.leaseLow;
    words[w + LEASE_HIGH] = row.leaseHigh;
    words[w + VALUE_BYTES] = row.valueBytes;
    chunk.garbage += garbage;
    this.#size++;
    const id = idOf(chunk, at);
    if (older !== NONE) this.#setWord(older, NEWER, id);
    return id;
  }

  main(id: number): number {
    return this.#number(id, MAIN);
  }

  createRevision(id: number): number {
    return this.#number(id, CREATE);
  }

  version(id: number): number {
    return this.#number(id, VERSION);
  }

  isDelete(id: number): boolean {
    return this.#number(id, VERSION) === 0;
  }

  sub(id: number): number {
    return this.#word(id, SUB);
  }

  key(id: number): number {
    return this.#word(id, KEY);
  }

  /** The row of the same key before; NONE: none is left. */
  older(id: number): number {
    return this.#word(id, OLDER);
  }

  /** The row of the same key after; NONE: it is the newest. */
  newer(id: number): number {
    return this.#word(id, NEWER);
  }

  leaseLow(id: number): number {
    return this.#word(id, LEASE_LOW);
  }

  leaseHigh(id: number): number {
    return this.#word(id, LEASE_HIGH);
  }

  valueBytes(id: number): number {
    return this.#word(id, VALUE_BYTES);
  }

  /** The ID of a row by its place in a chunk. */
  id(chunk: RowChunk, row: number): number {
    return idOf(chunk, row);
  }

  /** Place of the first row at or after (main, sub). */
  seek(main: number, sub: number): RowPlace {
    const order = this.#order;
    let [lo, hi] = [0, order.length];
    while (lo < hi) {
      const middle = (lo + hi) >>> 1;
      const chunk = order[middle] as RowChunk;
      if (isBefore(chunk, chunk.end - 1, main, sub)) lo = middle + 1;
      else hi = middle;
    }
    const chunk = order[lo];
    if (chunk === undefined) return { chunk: lo, row: 0 };
    let [first, end] = [chunk.begin, chunk.end - 1];
    while (first < end) {
      const middle = (first + end) >>> 1;
      if (isBefore(chunk, middle, main, sub)) first = middle + 1;
      else end = middle;
    }
    return { chunk: lo, row: first };
  }

  /** Number of rows at or after revision `main`, rounded up to chunks. */
  countFrom(main: number): number {
    return (this.#order.length - this.seek(main, 0).chunk) * CHUNK_ROWS;
  }

  /** Unlinks a row that has no older one, at the front of order[at]; nobody asks for it again. */
  drop(at: number): void {
    const chunk = this.#order[at] as RowChunk;
    const id = idOf(chunk, chunk.begin);
    const newer = this.newer(id);
    if (this.older(id) !== NONE) fail("a row is dropped before an older one", { id });
    if (newer !== NONE) this.#setWord(newer, OLDER, NONE);
    this.#size--;
    this.#consume(at);
  }

  /** Moves the row at the front of order[at] to the end of `target`, which is before it. Returns its new ID. */
  move(at: number, target: RowChunk): number {
    const chunk = this.#order[at] as RowChunk;
    const from = chunk.begin;
    const to = target.end++;
    for (let i = 0; i < NUMBERS; i++) {
      target.numbers[to * NUMBERS + i] = chunk.numbers[from * NUMBERS + i] as number;
    }
    for (let i = 0; i < WORDS; i++) target.words[to * WORDS + i] = chunk.words[from * WORDS + i] as number;
    const id = idOf(target, to);
    const older = this.older(id);
    const newer = this.newer(id);
    if (older !== NONE) this.#setWord(older, NEWER, id);
    if (newer !== NONE) this.#setWord(newer, OLDER, id);
    this.#consume(at);
    return id;
  }

  /** A fresh chunk before order[at]; something must be moved into it at once. */
  openBefore(at: number): RowChunk {
    const chunk = this.#open();
    this.#order.splice(at, 0, chunk);
    return chunk;
  }

  /** Bytes of memory that the table holds. */
  get memoryBytes(): number {
    return this.#order.length * CHUNK_ROWS * (NUMBERS * 8 + WORDS * 4);
  }

  /** @throws AssertionError */
  checkInvariants(): void {
    let size = 0;
    let [main, sub] = [0, -1];
    for (const chunk of this.#order) {
      if (this.#chunks[chunk.number] !== chunk)
        fail("a chunk under another number", { number: chunk.number });
      if (chunk.begin >= chunk.end) fail("an empty chunk", { begin: chunk.begin, end: chunk.end });
      for (let row = chunk.begin; row < chunk.end; row++) {
        const id = idOf(chunk, row);
        if (!isBefore(chunk, row, main, sub + 1)) [main, sub] = [this.main(id), this.sub(id)];
        else fail("rows out of order", { main: this.main(id), sub: this.sub(id), after: main });
        this.#checkLinks(id);
        size++;
      }
    }
    if (size !== this.#size) fail("number of rows", { size, counted: this.#size });
    if (this.#chunks.length - this.#freeChunks.length !== this.#order.length) fail("a chunk is lost");
  }

  #checkLinks(id: number): void {
    const older = this.older(id);
    const newer = this.newer(id);
    if (older !== NONE && (this.newer(older) !== id || this.key(older) !== this.key(id)))
      fail("link", { id });
    if (newer !== NONE && (this.older(newer) !== id || this.key(newer) !== this.key(id)))
      fail("link", { id });
    if (older !== NONE && this.main(older) > this.main(id)) fail("an older row is newer", { id, older });
  }

  #open(): RowChunk {
    const number = this.#freeChunks.pop() ?? this.#chunks.length;
    if (number >= MAX_CHUNKS) fail("too many revisions in memory");
    const chunk: RowChunk = {
      number,
      numbers: new Float64Array(CHUNK_ROWS * NUMBERS),
      words: new Uint32Array(CHUNK_ROWS * WORDS),
      begin: 0,
      end: 0,
      garbage: 0,
    };
    this.#chunks[number] = chunk;
    return chunk;
  }

  /** The front row of order[at] is gone. */
  #consume(at: number): void {
    const chunk = this.#order[at] as RowChunk;
    chunk.begin++;
    if (chunk.begin < chunk.end) return;
    this.#order.splice(at, 1);
    this.#chunks[chunk.number] = undefined;
    this.#freeChunks.push(chunk.number);
  }

  #number(id: number, column: number): number {
    const chunk = this.#chunks[id >>> CHUNK_SHIFT] as RowChunk;
    return chunk.numbers[(id & ROW_MASK) * NUMBERS + column] as number;
  }

  #word(id: number, column: number): number {
    return (this.#chunks[id >>> CHUNK_SHIFT] as RowChunk).words[(id & ROW_MASK) * WORDS + column] as number;
  }

  #setWord(id: number, column: number, value: number): void {
    (this.#chunks[id >>> CHUNK_SHIFT] as RowChunk).words[(id & ROW_MASK) * WORDS + column] = value;
  }
}

function idOf(chunk: RowChunk, row: number): number {
  return chunk.number * CHUNK_ROWS + row;
}

function isBefore(chunk: RowChunk, row: number, main: number, sub: number): boolean {
  const rowMain = chunk.numbers[row * NUMBERS + MAIN] as number;
  return rowMain < main || (rowMain === main && (chunk.words[row * WORDS + SUB] as number) < sub);
}
