/**
 * Fields of etcd's messages: signed 64-bit varints, enums and bools as every client of etcd may send them. Unlike our
 * own formats these are lenient where protobuf is: a bool is any non-zero integer, an integer of any size is taken, and
 * of a field given twice the last one counts. What an integer then means is decided by whoever answers.
 */
import { idOf } from "./id-words.ts";
import { type Reader, Refusal, readView } from "./wire-read.ts";
import { putUint, type Writer } from "./wire-write.ts";

const VARINT = 0;
const LENGTH_DELIMITED = 2;
const MAX = Number.MAX_SAFE_INTEGER;

/** Largest lease ID and smallest one. */
export const MAX_INT64 = 2n ** 63n - 1n;
export const MIN_INT64 = -(2n ** 63n);

/** The last varint read, as two signed words: the hot path makes no object and no bigint of it. */
let lo = 0;
let hi = 0;

/** Ten groups of seven bits; what does not fit into 64 bits is dropped, as Go's decoder does. */
function readWords(r: Reader, tag: number, what: string): void {
  if ((tag & 7) !== VARINT) throw new Refusal(`${what} has wire type ${tag & 7}`);
  const { buf, len } = r;
  let pos = r.pos;
  lo = 0;
  hi = 0;
  for (let shift = 0; shift < 70; shift += 7) {
    if (pos >= len) throw new Refusal(`${what} is truncated`);
    const byte = buf[pos++] as number;
    const bits = byte & 0x7f;
    if (shift < 28) {
      lo |= bits << shift;
    } else if (shift === 28) {
      lo |= bits << 28;
      hi = bits >>> 4;
    } else {
      hi |= bits << (shift - 32);
    }
    if (byte < 0x80) {
      r.pos = pos;
      return;
    }
  }
  throw new Refusal(`${what} is a varint of more than ten bytes`);
}

/** Reads an int64 as a number: exact within 2^53 - 1, clamped to it beyond. */
export function readInt64(r: Reader, tag: number, what: string): number {
  readWords(r, tag, what);
  const value = hi * 2 ** 32 + (lo >>> 0);
  return Math.max(-MAX, Math.min(value, MAX));
}

/** Reads a uint64 as a number: exact up to 2^53 - 1, clamped to it beyond. */
export function readUint64(r: Reader, tag: number, what: string): number {
  readWords(r, tag, what);
  return Math.min((hi >>> 0) * 2 ** 32 + (lo >>> 0), MAX);
}

/** Reads an int64 exactly, for lease IDs. */
export function readLong(r: Reader, tag: number, what: string): bigint {
  readWords(r, tag, what);
  if (lo === 0 && hi === 0) return 0n;
  const id = idOf(lo >>> 0, hi >>> 0);
  return hi < 0 ? BigInt.asIntN(64, id) : id;
}

/** Reads a uint64 exactly, for members and clusters. */
export function readUlong(r: Reader, tag: number, what: string): bigint {
  readWords(r, tag, what);
  return idOf(lo >>> 0, hi >>> 0);
}

/** Reads an enum: its lower 32 bits, signed. */
export function readEnum(r: Reader, tag: number, what: string): number {
  readWords(r, tag, what);
  return lo;
}

/** Reads a bool: whatever is not 0 is true. */
export function readBool(r: Reader, tag: number, what: string): boolean {
  readWords(r, tag, what);
  return (lo | hi) !== 0;
}

/**
 * Reads bytes: a view of the message, however small a part of its buffer that is, or a copy if they are few. A request
 * lives no longer than the entry or the call that it came with; who keeps a key or a value copies it.
 */
export function readBlob(r: Reader, tag: number, what: string): Uint8Array {
  return readView(r, tag, what, MAX);
}

/** Varints longer than 32 bits are put together here. Part n has n bytes of it, so that no view is made. */
const scratch = new Uint8Array(10);
const scratchParts = Array.from({ length: 11 }, (_, n) => scratch.subarray(0, n));

/** Writes an int64 given as a safe integer; 0 is left out. */
export function putInt64(w: Writer, field: number, value: number): void {
  if (value >= 0) putUint(w, field, value);
  else putPresentLong(w, field, BigInt(value));
}

/** Writes an int64 or uint64; 0 is left out. */
export function putLong(w: Writer, field: number, value: bigint): void {
  if (value !== 0n) putPresentLong(w, field, value);
}

/** Writes an int64 or uint64 even if it is 0: for the parts of a oneof. */
export function putPresentLong(w: Writer, field: number, value: bigint): void {
  w.uint32((field << 3) | VARINT);
  if (value >= 0n && value < 2n ** 32n) {
    w.uint32(Number(value));
    return;
  }
  // Two words first: shifting a bigint makes a new one for every byte.
  const unsigned = BigInt.asUintN(64, value);
  let low = Number(unsigned & 0xffff_ffffn);
  let high = Number(unsigned >> 32n);
  let at = 0;
  while (high !== 0 || low > 127) {
    scratch[at++] = (low & 127) | 128;
    low = ((low >>> 7) | (high << 25)) >>> 0;
    high >>>= 7;
  }
  scratch[at++] = low;
  w.raw(scratchParts[at] as Uint8Array);
}

/** Writes bytes even if there are none: for the parts of a oneof. */
export function putPresentBytes(w: Writer, field: number, bytes: Uint8Array): void {
  w.uint32((field << 3) | LENGTH_DELIMITED).bytes(bytes);
}

/** Bytes that an int64 takes as a varint. */
export function longSize(value: bigint): number {
  if (value < 0n) return 10;
  let size = 1;
  for (let rest = value; rest >= 128n; rest >>= 7n) size++;
  return size;
}
