/**
 * The writing half of the wire level: fields into bytes, over protobufjs's Writer. Defaults are left out and fields
 * are written in the order of their numbers, so equal values have equal bytes.
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

const words = new DataView(new ArrayBuffer(8));

/** One writer is kept between messages; it is out while a message is being written, so a nested one gets its own. */
let spare: Writer | undefined;

/** A writer at its beginning. Ends with `finish`. */
export function begin(): Writer {
  const w = spare ?? protobuf.Writer.create();
  spare = undefined;
  return w;
}

/**
 * The bytes written, in an array of their own.
 * @throws AssertionError above `maxBytes`: nobody would read them
 */
export function finish(w: Writer, what: string, maxBytes: number): Uint8Array {
  const size = w.len;
  if (size > maxBytes) fail(`${what} does not fit its limit`, { size, maxBytes });
  const bytes = w.finishInto(new Uint8Array(size));
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
  if (text !== "") putPresentText(w, field, text);
}

/** Writes a string even if it is empty. */
export function putPresentText(w: Writer, field: number, text: string): void {
  w.uint32((field << 3) | LENGTH_DELIMITED).string(text);
}

/** Writes bytes; none are left out. */
export function putBytes(w: Writer, field: number, bytes: Uint8Array): void {
  if (bytes.length > 0) w.uint32((field << 3) | LENGTH_DELIMITED).bytes(bytes);
}

/** Opens an embedded message; `w.ldelim()` closes it. */
export function open(w: Writer, field: number): void {
  w.uint32((field << 3) | LENGTH_DELIMITED).fork();
}

/** Opens an embedded message whose length is known: nothing has to be moved afterwards, and nothing closes it. */
export function openSized(w: Writer, field: number, size: number): void {
  w.uint32((field << 3) | LENGTH_DELIMITED).uint32(size);
}

/** Bytes that a non-negative safe integer takes as a varint. */
export function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) size++;
  return size;
}
