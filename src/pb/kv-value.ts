/**
 * Keys with their values, and changes of them: mvccpb.KeyValue and mvccpb.Event. A watch event is encoded once for all
 * its watchers and for each change, so both are written straight into an array of their final size.
 */
import { EMPTY_BYTES, fail, LIMITS } from "../base/index.ts";
import type { Event, KeyValue } from "./kv.ts";
import { longSize, putLong, readBlob, readEnum, readInt64, readLong } from "./kv-wire.ts";
import type { Decoded } from "./types.ts";
import { decodeWith, enter, leave, type Reader, Refusal, skipField } from "./wire-read.ts";
import { eventPart, openSized, putBytes, putUint, varintSize, type Writer } from "./wire-write.ts";

const EVENT_DELETE = 1;
/** Number of `events` in WatchResponse. */
const WATCH_EVENTS = 11;

/** A position in an array of which the size was computed before. */
interface Cursor {
  readonly bytes: Uint8Array;
  at: number;
}

/** The bytes are the caller's. @throws AssertionError when a number is not a safe integer >= 0 */
export function encodeKeyValue(kv: KeyValue): Uint8Array {
  const size = keyValueSize(kv);
  const cursor = { bytes: new Uint8Array(size), at: 0 };
  writeKeyValue(cursor, kv);
  return filled(cursor);
}

/** The bytes may share their ArrayBuffer with those of other events. @throws as encodeKeyValue */
export function encodeEvent(event: Event): Uint8Array {
  const cursor = { bytes: eventPart(eventSize(event)), at: 0 };
  writeEvent(cursor, event);
  return filled(cursor);
}

/** As encodeEvent, with tag and length of WatchResponse.events: such arrays in a row are that field of a response. */
export function encodeWatchEvent(event: Event): Uint8Array {
  const size = eventSize(event);
  const cursor = { bytes: eventPart(1 + varintSize(size) + size), at: 0 };
  writeTag(cursor, WATCH_EVENTS, 2);
  writeVarint(cursor, size);
  writeEvent(cursor, event);
  return filled(cursor);
}

/** Bytes of an encoded KeyValue. */
export function keyValueSize(kv: KeyValue): number {
  return (
    blobSize(kv.key) +
    uintSize(kv.createRevision) +
    uintSize(kv.modRevision) +
    uintSize(kv.version) +
    blobSize(kv.value) +
    (kv.lease === 0n ? 0 : 1 + longSize(kv.lease))
  );
}

function eventSize(event: Event): number {
  return (
    (event.type === "delete" ? 2 : 0) +
    embeddedSize(event.kv) +
    (event.prevKv === undefined ? 0 : embeddedSize(event.prevKv))
  );
}

function embeddedSize(kv: KeyValue): number {
  const size = keyValueSize(kv);
  return 1 + varintSize(size) + size;
}

function blobSize(bytes: Uint8Array): number {
  return bytes.length === 0 ? 0 : 1 + varintSize(bytes.length) + bytes.length;
}

/** Everything is measured before it is written, so this is where a number is judged. */
function uintSize(value: number): number {
  if (value === 0) return 0;
  if (!Number.isSafeInteger(value) || value < 0) fail("not a revision or a version", { value });
  return 1 + varintSize(value);
}

function writeEvent(c: Cursor, event: Event): void {
  if (event.type === "delete") {
    writeTag(c, 1, 0);
    writeVarint(c, EVENT_DELETE);
  }
  writeEmbedded(c, 2, event.kv);
  if (event.prevKv !== undefined) writeEmbedded(c, 3, event.prevKv);
}

function writeEmbedded(c: Cursor, field: number, kv: KeyValue): void {
  writeTag(c, field, 2);
  writeVarint(c, keyValueSize(kv));
  writeKeyValue(c, kv);
}

function writeKeyValue(c: Cursor, kv: KeyValue): void {
  writeBlob(c, 1, kv.key);
  writeUint(c, 2, kv.createRevision);
  writeUint(c, 3, kv.modRevision);
  writeUint(c, 4, kv.version);
  writeBlob(c, 5, kv.value);
  if (kv.lease === 0n) return;
  writeTag(c, 6, 0);
  writeLong(c, kv.lease);
}

function writeTag(c: Cursor, field: number, wireType: number): void {
  c.bytes[c.at++] = (field << 3) | wireType;
}

function writeUint(c: Cursor, field: number, value: number): void {
  if (value === 0) return;
  writeTag(c, field, 0);
  writeVarint(c, value);
}

function writeVarint(c: Cursor, value: number): void {
  let rest = value;
  for (; rest >= 2 ** 31; rest = Math.floor(rest / 128)) c.bytes[c.at++] = (rest % 128) | 128;
  for (; rest >= 128; rest >>>= 7) c.bytes[c.at++] = (rest & 127) | 128;
  c.bytes[c.at++] = rest;
}

function writeLong(c: Cursor, value: bigint): void {
  let rest = BigInt.asUintN(64, value);
  for (; rest >= 128n; rest >>= 7n) c.bytes[c.at++] = Number(rest & 127n) | 128;
  c.bytes[c.at++] = Number(rest);
}

function writeBlob(c: Cursor, field: number, bytes: Uint8Array): void {
  if (bytes.length === 0) return;
  writeTag(c, field, 2);
  writeVarint(c, bytes.length);
  if (bytes.length <= 64) {
    for (let i = 0; i < bytes.length; i++) c.bytes[c.at + i] = bytes[i] as number;
  } else {
    c.bytes.set(bytes, c.at);
  }
  c.at += bytes.length;
}

/** Writes a KeyValue as a field of a larger message, even if it is all zeros. */
export function putKeyValue(w: Writer, field: number, kv: KeyValue): void {
  const size = keyValueSize(kv);
  openSized(w, field, size);
  const begun = w.len;
  putBytes(w, 1, kv.key);
  putUint(w, 2, kv.createRevision);
  putUint(w, 3, kv.modRevision);
  putUint(w, 4, kv.version);
  putBytes(w, 5, kv.value);
  putLong(w, 6, kv.lease);
  if (w.len - begun !== size) fail("computed size is not what was written", { size, written: w.len - begun });
}

/** Size and content are computed apart: that they agree is checked here, not by a client. */
function filled(c: Cursor): Uint8Array {
  if (c.at !== c.bytes.length) {
    fail("computed size is not what was written", { size: c.bytes.length, written: c.at });
  }
  return c.bytes;
}

/** Key and value may be views of `bytes`: the caller gives them up. */
export function decodeKeyValue(bytes: Uint8Array): Decoded<KeyValue> {
  return decodeWith("key value", bytes, LIMITS.maxMessageBytes, readKeyValue, noProblem);
}

/** Keys and values may be views of `bytes`: the caller gives them up. */
export function decodeEvent(bytes: Uint8Array): Decoded<Event> {
  return decodeWith("event", bytes, LIMITS.maxMessageBytes, readEvent, noProblem);
}

function noProblem(): undefined {
  return undefined;
}

/** Reads a KeyValue up to the reader's end. */
export function readKeyValue(r: Reader): KeyValue {
  let key = EMPTY_BYTES;
  let createRevision = 0;
  let modRevision = 0;
  let version = 0;
  let value = EMPTY_BYTES;
  let lease = 0n;
  while (r.pos < r.len) {
    const tag = r.tag();
    switch (tag >>> 3) {
      case 1:
        key = readBlob(r, tag, "key");
        break;
      case 2:
        createRevision = readCount(r, tag, "createRevision");
        break;
      case 3:
        modRevision = readCount(r, tag, "modRevision");
        break;
      case 4:
        version = readCount(r, tag, "version");
        break;
      case 5:
        value = readBlob(r, tag, "value");
        break;
      case 6:
        lease = readLong(r, tag, "lease");
        break;
      default:
        skipField(r, tag);
    }
  }
  return { key, createRevision, modRevision, version, value, lease };
}

/** A revision or version of a stored key: below 0 nobody wrote it. */
function readCount(r: Reader, tag: number, what: string): number {
  const value = readInt64(r, tag, what);
  if (value < 0) throw new Refusal(`${what} ${value} is negative`);
  return value;
}

/** Reads an embedded KeyValue. */
export function readKeyValueField(r: Reader, tag: number, what: string): KeyValue {
  const outer = enter(r, tag, what);
  const kv = readKeyValue(r);
  leave(r, outer);
  return kv;
}

const NO_KV: KeyValue = {
  key: EMPTY_BYTES,
  createRevision: 0,
  modRevision: 0,
  version: 0,
  value: EMPTY_BYTES,
  lease: 0n,
};

/** Reads an Event up to the reader's end. */
export function readEvent(r: Reader): Event {
  let type: Event["type"] = "put";
  let kv = NO_KV;
  let prevKv: KeyValue | undefined;
  while (r.pos < r.len) {
    const tag = r.tag();
    const field = tag >>> 3;
    if (field === 1) {
      const number = readEnum(r, tag, "type");
      if (number !== 0 && number !== EVENT_DELETE) throw new Refusal(`event type ${number} is unknown`);
      type = number === EVENT_DELETE ? "delete" : "put";
    } else if (field === 2) {
      kv = readKeyValueField(r, tag, "kv");
    } else if (field === 3) {
      prevKv = readKeyValueField(r, tag, "prevKv");
    } else {
      skipField(r, tag);
    }
  }
  return { type, kv, prevKv };
}
