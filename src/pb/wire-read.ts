/**
 * The reading half of the wire level: fields out of bytes, over protobufjs's Reader, and the one place where
 * a refusal is turned into a value.
 *
 * Inside a decoder a refusal travels as a thrown `Refusal`, because it ends the message from any depth;
 * `decodeWith` catches it, so no decoder throws on bad bytes. The library's own reading of 64-bit integers is
 * not used: it drops bits of overlong varints and makes an object per integer. Identities pass as two 32-bit
 * words, so no Long exists.
 */
import protobuf from "protobufjs/minimal.js";
import { EMPTY_BYTES, fail } from "../base/index.ts";
import { idOf } from "./id-words.ts";
import type { Decoded } from "./types.ts";

export type Reader = protobuf.Reader;

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

/**
 * Up to this many bytes are copied one by one into an array of their own: V8 keeps so small a typed array
 * inside its heap, where it is several times cheaper than a view, which needs an ArrayBuffer object outside
 * of it.
 */
const SMALL_BYTES = 64;

/** Ends the decoding of a message; never leaves this folder. */
export class Refusal extends Error {
  /** The reason names the whole value already, so the decoder's own name is not put before it. */
  readonly complete: boolean;

  constructor(reason: string, complete = false) {
    super(reason);
    this.name = "Refusal";
    this.complete = complete;
  }
}

/**
 * Runs a reader over all of `bytes`, then checks what it read.
 *
 * @param what name of the value, first words of a reason
 * @param maxBytes more than this is refused unread
 * @param read takes every byte; throws Refusal
 * @param problem the rule that the value breaks, or undefined; the same function guards the encoder
 */
export function decodeWith<T>(
  what: string,
  bytes: Uint8Array,
  maxBytes: number,
  read: (r: Reader) => T,
  problem: (value: T) => string | undefined,
): Decoded<T> {
  if (bytes.length > maxBytes) {
    return { type: "refused", reason: `${what}: ${bytes.length} bytes are more than ${maxBytes}` };
  }
  try {
    const value = read(new protobuf.Reader(plain(bytes)));
    const reason = problem(value);
    if (reason === undefined) return { type: "ok", value };
    return { type: "refused", reason: `${what}: ${reason}` };
  } catch (error: unknown) {
    return { type: "refused", reason: refusalReason(what, error) };
  }
}

/**
 * Node's Buffer is a Uint8Array whose `slice` is a view; the readers here need the standard one, which
 * copies.
 */
function plain(bytes: Uint8Array): Uint8Array {
  if (bytes.constructor === Uint8Array) return bytes;
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** The library reports bad input as RangeError and as plain Error; every other class is a bug and goes on. */
function refusalReason(what: string, error: unknown): string {
  if (error instanceof Refusal) return error.complete ? error.message : `${what}: ${error.message}`;
  if (error instanceof RangeError) return `${what}: truncated (${error.message})`;
  if (error instanceof Error && error.constructor === Error) return `${what}: malformed (${error.message})`;
  throw error;
}

/** Reads an unsigned integer up to 2^53 - 1, exactly: one above it is refused, not rounded. */
export function readUint(r: Reader, tag: number, what: string): number {
  if ((tag & 7) !== VARINT) refuseWireType(tag, what);
  const pos = r.pos;
  if (pos < r.len) {
    const byte = r.buf[pos] as number;
    if (byte < 0x80) {
      r.pos = pos + 1;
      return byte;
    }
  }
  return readLongUint(r, what);
}

/**
 * Ten groups of seven bits, collected as words of 28, 28 and 14 bits: all of them exact in 32-bit arithmetic.
 */
function readLongUint(r: Reader, what: string): number {
  const { buf, len } = r;
  let pos = r.pos;
  let lo = 0;
  let mid = 0;
  let hi = 0;
  for (let group = 0; group < 10; group++) {
    if (pos >= len) throw new Refusal(`${what} is truncated`);
    const byte = buf[pos++] as number;
    const bits = byte & 0x7f;
    if (group < 4) lo |= bits << (7 * group);
    else if (group < 8) mid |= bits << (7 * (group - 4));
    else hi |= bits << (7 * (group - 8));
    if (byte < 0x80) {
      r.pos = pos;
      if (hi === 0 && mid < 2 ** 25) return mid * 2 ** 28 + lo;
      const exact = (BigInt(hi) << 56n) | (BigInt(mid) << 28n) | BigInt(lo);
      throw new Refusal(`${what} ${exact} is above ${Number.MAX_SAFE_INTEGER}`);
    }
  }
  throw new Refusal(`${what} is a varint of more than ten bytes`);
}

/** Reads a bool; anything but 0 and 1 is refused, so that equal values have equal bytes. */
export function readFlag(r: Reader, tag: number, what: string): boolean {
  const value = readUint(r, tag, what);
  if (value > 1) throw new Refusal(`${what} ${value} is neither 0 nor 1`);
  return value === 1;
}

/** Reads an identity. */
export function readId(r: Reader, tag: number, what: string): bigint {
  if ((tag & 7) !== FIXED64) refuseWireType(tag, what);
  return readIdWords(r);
}

function readIdWords(r: Reader): bigint {
  const lo = r.fixed32();
  return idOf(lo, r.fixed32());
}

/** Reads packed identities behind those of `into`; more than `max` of them in all are refused. */
export function readIds(r: Reader, tag: number, what: string, into: bigint[], max: number): void {
  const outer = enter(r, tag, what);
  const count = (r.len - r.pos) / 8;
  if (!Number.isInteger(count)) throw new Refusal(`${what}: ${r.len - r.pos} bytes are no whole identities`);
  if (into.length + count > max) {
    throw new Refusal(`${what}: ${into.length + count} identities are more than ${max}`);
  }
  while (r.pos < r.len) into.push(readIdWords(r));
  leave(r, outer);
}

/** Reads an unsigned 32-bit word. */
export function readWord(r: Reader, tag: number, what: string): number {
  if ((tag & 7) !== FIXED32) refuseWireType(tag, what);
  return r.fixed32();
}

/** Reads a string; malformed UTF-8 is refused, because what is sent is made from strings. */
export function readText(r: Reader, tag: number, what: string): string {
  if ((tag & 7) !== LENGTH_DELIMITED) refuseWireType(tag, what);
  try {
    return r.stringVerify();
  } catch (error: unknown) {
    if (error instanceof TypeError) throw new Refusal(`${what} is not valid UTF-8`);
    throw error;
  }
}

/** Appends one string of a list to `into`; more than `max` are refused. */
export function readTexts(r: Reader, tag: number, what: string, into: string[], max: number): void {
  if (into.length === max) throw new Refusal(`more than ${max} ${what}`);
  into.push(readText(r, tag, what));
}

/**
 * Reads bytes that may live on alone, such as a value of a snapshot: a copy, unless they fill half of the
 * buffer that they lie in, so that one small value never pins a large network buffer. Whoever decodes gives
 * up the buffer.
 */
export function readBytes(r: Reader, tag: number, what: string, max: number): Uint8Array {
  const size = enterBytes(r, tag, what, max);
  const start = r.pos;
  r.pos += size;
  if (size <= SMALL_BYTES) return copySmall(r.buf, start, size);
  if (size * 2 < r.buf.buffer.byteLength) return r.buf.slice(start, start + size);
  return new Uint8Array(r.buf.buffer, r.buf.byteOffset + start, size);
}

/**
 * Reads the data of an entry: a view of the message's bytes, which are copied once, as a whole, if they are a
 * small part of their buffer. Entries that came together lie side by side in the log and leave it together,
 * so none of them pins what the log would not hold anyway, and a message of many costs one allocation instead
 * of many.
 */
export function readEntryData(r: Reader, tag: number, what: string, max: number): Uint8Array {
  const size = enterBytes(r, tag, what, max);
  const start = r.pos;
  r.pos += size;
  if (size <= SMALL_BYTES) return copySmall(r.buf, start, size);
  if (r.buf.length * 2 < r.buf.buffer.byteLength) r.buf = r.buf.slice();
  return new Uint8Array(r.buf.buffer, r.buf.byteOffset + start, size);
}

/** Reads bytes that do not outlive the message: a view of it, or a copy if they are few. */
export function readView(r: Reader, tag: number, what: string, max: number): Uint8Array {
  const size = enterBytes(r, tag, what, max);
  const start = r.pos;
  r.pos += size;
  if (size <= SMALL_BYTES) return copySmall(r.buf, start, size);
  return new Uint8Array(r.buf.buffer, r.buf.byteOffset + start, size);
}

/** The length of a field of bytes that are all there. */
function enterBytes(r: Reader, tag: number, what: string, max: number): number {
  if ((tag & 7) !== LENGTH_DELIMITED) refuseWireType(tag, what);
  const size = r.size();
  if (size > max) throw new Refusal(`${what}: ${size} bytes are more than ${max}`);
  if (size > r.len - r.pos) throw new Refusal(`${what} is truncated: ${r.len - r.pos} of ${size} bytes`);
  return size;
}

function copySmall(buf: Uint8Array, start: number, size: number): Uint8Array {
  if (size === 0) return EMPTY_BYTES;
  const copy = new Uint8Array(size);
  for (let i = 0; i < size; i++) copy[i] = buf[start + i] as number;
  return copy;
}

/** Narrows the reader to an embedded message; returns what `leave` needs. */
export function enter(r: Reader, tag: number, what: string): number {
  if ((tag & 7) !== LENGTH_DELIMITED) refuseWireType(tag, what);
  const outer = r.len;
  const end = r.size() + r.pos;
  if (end > outer) throw new Refusal(`${what} is truncated: ${outer - r.pos} of ${end - r.pos} bytes`);
  r.len = end;
  return outer;
}

/** Widens the reader again behind an embedded message that was read to its end. */
export function leave(r: Reader, outer: number): void {
  if (r.pos !== r.len) fail("embedded message not read to its end", { pos: r.pos, end: r.len });
  r.len = outer;
}

/** Passes over a field of a later format. Groups and field 0 never were one. */
export function skipField(r: Reader, tag: number): void {
  const field = tag >>> 3;
  const wireType = tag & 7;
  if (field === 0) throw new Refusal("field number 0");
  const known =
    wireType === VARINT || wireType === FIXED64 || wireType === LENGTH_DELIMITED || wireType === FIXED32;
  if (!known) refuseWireType(tag, `unknown field ${field}`);
  r.skipType(wireType);
}

/** Refuses a singular message or a oneof that is given a second time: which one counts would be a guess. */
export function refuseSecond(present: boolean, what: string): void {
  if (present) throw new Refusal(`${what} is given twice`);
}

/** Refuses a format version from the future at once: what follows it may mean something else. */
export function readVersion(r: Reader, tag: number, what: string, newest: number): number {
  const version = readUint(r, tag, "version");
  if (version > newest) throw new Refusal(newerVersion(what, version, newest), true);
  return version;
}

/** The words in which a newer format is refused. */
export function newerVersion(what: string, version: number, newest: number): string {
  return `${what} version ${version} is newer than this program reads (${newest})`;
}

function refuseWireType(tag: number, what: string): never {
  throw new Refusal(`${what} has wire type ${tag & 7}`);
}
