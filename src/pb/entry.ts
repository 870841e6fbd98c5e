/**
 * Entries as an append and a forwarded proposal carry them. Their sizes are computed ahead: with sixteen
 * megabytes in an entry, writing first and moving the bytes to make room for the length would cost more than
 * the length is worth.
 */
import { EMPTY_BYTES, LIMITS } from "../base/index.ts";
import type { Entry, ProposedEntry } from "../raft/types.ts";
import { type Reader, Refusal, readEntryData, readUint, skipField } from "./wire-read.ts";
import { openSized, putBytes, putUint, varintSize, type Writer } from "./wire-write.ts";

const NORMAL = 1;
const CONF = 2;

/** Field numbers of Entry and ProposedEntry in raft.proto; all of their tags take one byte. */
const ENTRY = { index: 1, term: 2, type: 3, data: 4 } as const;
const PROPOSED = { type: 1, data: 2 } as const;

/** Bytes of the field that carries `entry`, tag and length included, for a field number below 16. */
export function entryFieldSize(entry: Entry): number {
  const size = entrySize(entry);
  return 1 + varintSize(size) + size;
}

function entrySize(entry: Entry): number {
  return 1 + varintSize(entry.index) + 1 + varintSize(entry.term) + 2 + bytesFieldSize(entry.data);
}

/** As entryFieldSize. */
export function proposedFieldSize(entry: ProposedEntry): number {
  const size = 2 + bytesFieldSize(entry.data);
  return 1 + varintSize(size) + size;
}

function bytesFieldSize(data: Uint8Array): number {
  return data.length === 0 ? 0 : 1 + varintSize(data.length) + data.length;
}

/** Writes a valid entry as field `field`. */
export function writeEntry(w: Writer, field: number, entry: Entry): void {
  openSized(w, field, entrySize(entry));
  putUint(w, ENTRY.index, entry.index);
  putUint(w, ENTRY.term, entry.term);
  putUint(w, ENTRY.type, entry.type === "normal" ? NORMAL : CONF);
  putBytes(w, ENTRY.data, entry.data);
}

/** Writes a valid proposed entry as field `field`. */
export function writeProposed(w: Writer, field: number, entry: ProposedEntry): void {
  openSized(w, field, 2 + bytesFieldSize(entry.data));
  putUint(w, PROPOSED.type, entry.type === "normal" ? NORMAL : CONF);
  putBytes(w, PROPOSED.data, entry.data);
}

/** An entry, up to the reader's end. */
export function readEntry(r: Reader): Entry {
  let index = 0;
  let term = 0;
  let type = 0;
  let data = EMPTY_BYTES;
  while (r.pos < r.len) {
    const tag = r.tag();
    switch (tag >>> 3) {
      case ENTRY.index:
        index = readUint(r, tag, "entry index");
        break;
      case ENTRY.term:
        term = readUint(r, tag, "entry term");
        break;
      case ENTRY.type:
        type = readUint(r, tag, "entry type");
        break;
      case ENTRY.data:
        data = readEntryData(r, tag, "entry data", LIMITS.maxEntryBytes);
        break;
      default:
        skipField(r, tag);
    }
  }
  return { index, term, type: entryType(type), data };
}

/** An entry without a position, up to the reader's end. */
export function readProposed(r: Reader): ProposedEntry {
  let type = 0;
  let data = EMPTY_BYTES;
  while (r.pos < r.len) {
    const tag = r.tag();
    if (tag >>> 3 === PROPOSED.type) type = readUint(r, tag, "entry type");
    else if (tag >>> 3 === PROPOSED.data) data = readEntryData(r, tag, "entry data", LIMITS.maxEntryBytes);
    else skipField(r, tag);
  }
  return { type: entryType(type), data };
}

function entryType(number: number): "normal" | "conf" {
  if (number === NORMAL) return "normal";
  if (number === CONF) return "conf";
  throw new Refusal(`entry type ${number} is unknown`);
}
