/**
 * The writing half of the wire level: fields into bytes, over protobufjs's Writer. Defaults are left out and
 * fields are written in the order of their numbers, so equal values have equal bytes.
 *
 * Nothing is checked here: an encoder checks its whole value before it writes the first byte.
 */
import protobuf from "protobufjs/minimal.js";
import { fail } from "../base/index.ts";

export type Writer = protobuf.Writer;

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

/** A writer that grew beyond this, in bytes, is not kept for the next message. */
const MAX_SPARE_BYTES = 65_536;

/** Up to this many bytes a loop copies faster than `set`, which needs a view of the writer's buffer first. */
const LOOP_BYTES = 128;

/**
 * V8 keeps the bytes of a typed array up to this size inside its heap, which is cheaper than any part of a
 * block.
 */
const V8_INLINE_BYTES = 64;

/** Size of a block. */
const BLOCK_BYTES = 65_536;
/** A queue may keep one event of a block and let go of the others: what that wastes stays small. */
const EVENT_BLOCK_BYTES = 8192;
/** What is larger than this part of a block gets memory of its own. */
const MAX_PART = 1 / 16;

const words = new DataView(new ArrayBuffer(8));

/**
 * One writer is kept between messages; it is out while a message is being written, so a nested one gets its
 * own.
 */
let spare: Writer | undefined;

/**
 * A block of memory that is given out in parts, and how much of it is. Parts are never taken back: the collector has
 * them.
 */
interface Block {
  bytes: ArrayBuffer;
  used: number;
}

/** Messages, which are soon forgotten, entries, which the log keeps, and events, which queues keep, lie apart. */
const transient: Block = { bytes: new ArrayBuffer(BLOCK_BYTES), used: 0 };
const logged: Block = { bytes: new ArrayBuffer(BLOCK_BYTES), used: 0 };
const events: Block = { bytes: new ArrayBuffer(EVENT_BLOCK_BYTES), used: 0 };

/** A writer at its beginning. Ends with `finish`. */
export function begin(): Writer {
  const w = spare ?? protobuf.Writer.create();
  spare = undefined;
  return w;
}

/**
 * The bytes written, in an array of their own: they may be kept, as an entry in the log is.
 * @throws AssertionError above `maxBytes`: nobody would read them
 */
export function finish(w: Writer, what: string, maxBytes: number): Uint8Array {
  mustFit(w, what, maxBytes);
  return drain(w, new Uint8Array(w.len));
}

/**
 * The bytes written, as a part of a block that many share: for what is sent and forgotten. A typed array of
 * more than 64 bytes costs V8 about a microsecond, a part of a block a tenth of it; but one that is kept
 * keeps the block.
 * @throws AssertionError above `maxBytes`
 */
export function finishTransient(w: Writer, what: string, maxBytes: number): Uint8Array {
  mustFit(w, what, maxBytes);
  return drain(w, partOf(transient, w.len));
}

/**
 * The bytes written, as a part of a block that only entries of the log share: those that are made one after the other
 * lie side by side in the log and leave it together, so none of them keeps a block that the log would not keep anyway.
 * @throws AssertionError above `maxBytes`
 */
export function finishLogged(w: Writer, what: string, maxBytes: number): Uint8Array {
  mustFit(w, what, maxBytes);
  return drain(w, partOf(logged, w.len));
}

/** Memory for one encoded event, zeroed; it may be a part of a block that only events share. */
export function eventPart(size: number): Uint8Array {
  return partOf(events, size);
}

function partOf(block: Block, size: number): Uint8Array {
  const whole = block.bytes.byteLength;
  if (size <= V8_INLINE_BYTES || size > whole * MAX_PART) return new Uint8Array(size);
  if (size > whole - block.used) {
    block.bytes = new ArrayBuffer(whole);
    block.used = 0;
  }
  const part = new Uint8Array(block.bytes, block.used, size);
  block.used += size;
  return part;
}

function mustFit(w: Writer, what: string, maxBytes: number): void {
  if (w.len > maxBytes) fail(`${what} does not fit its limit`, { size: w.len, maxBytes });
}

/** Moves what was written into `bytes`, which have its length, and keeps the writer for the next message. */
function drain(w: Writer, bytes: Uint8Array): Uint8Array {
  const size = bytes.length;
  if (size <= LOOP_BYTES) {
    const { buf } = w;
    for (let i = 0; i < size; i++) bytes[i] = buf[i] as number;
  } else {
    w.finishInto(bytes);
  }
  w.reset();
  if (size <= MAX_SPARE_BYTES) spare = w;
  return bytes;
}

/** Writes an unsigned integer; 0 is the default and is left out. */
export function putUint(w: Writer, field: number, value: number): void {
  if (value === 0) return;
  w.uint32((field << 3) | VARINT);
  putVarint(w, value);
}

/** Writes an unsigned integer even if it is 0: for fields whose absence means something. */
export function putPresentUint(w: Writer, field: number, value: number): void {
  w.uint32((field << 3) | VARINT);
  putVarint(w, value);
}

function putVarint(w: Writer, value: number): void {
  if (value < 2 ** 32) w.uint32(value);
  else w.uint64(value);
}

/** Writes a bool; false is left out. */
export function putFlag(w: Writer, field: number, value: boolean): void {
  if (value) w.uint32((field << 3) | VARINT).uint32(1);
}

/** Writes an identity; 0 is left out. */
export function putId(w: Writer, field: number, id: bigint): void {
  if (id === 0n) return;
  w.uint32((field << 3) | FIXED64);
  putIdWords(w, id);
}

/** Writes identities, packed; none are left out. */
export function putIds(w: Writer, field: number, ids: readonly bigint[]): void {
  if (ids.length === 0) return;
  w.uint32((field << 3) | LENGTH_DELIMITED).uint32(ids.length * 8);
  for (const id of ids) putIdWords(w, id);
}

function putIdWords(w: Writer, id: bigint): void {
  words.setBigUint64(0, id, true);
  w.fixed32(words.getUint32(0, true));
  w.fixed32(words.getUint32(4, true));
}

/** Writes an unsigned 32-bit word; 0 is left out. */
export function putWord(w: Writer, field: number, value: number): void {
  if (value !== 0) w.uint32((field << 3) | FIXED32).fixed32(value);
}

/** Writes a string; the empty one is left out. */
export function putText(w: Writer, field: number, text: string): void {
  if (text !== "") w.uint32((field << 3) | LENGTH_DELIMITED).string(text);
}

/** Writes the strings of a list, the empty ones too. */
export function putTexts(w: Writer, field: number, texts: readonly string[]): void {
  for (const text of texts) w.uint32((field << 3) | LENGTH_DELIMITED).string(text);
}

/** Writes bytes; none are left out. */
export function putBytes(w: Writer, field: number, bytes: Uint8Array): void {
  if (bytes.length > 0) w.uint32((field << 3) | LENGTH_DELIMITED).bytes(bytes);
}

/** Opens an embedded message; `w.ldelim()` closes it. */
export function open(w: Writer, field: number): void {
  w.uint32((field << 3) | LENGTH_DELIMITED).fork();
}

/**
 * Opens an embedded message whose length is known: nothing has to be moved afterwards, and nothing closes it.
 */
export function openSized(w: Writer, field: number, size: number): void {
  w.uint32((field << 3) | LENGTH_DELIMITED).uint32(size);
}

/** Bytes that a non-negative safe integer takes as a varint. */
export function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) size++;
  return size;
}
