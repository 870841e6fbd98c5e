/**
 * How a lost batch is found. LevelDB passes over a damaged record of its log and applies the ones after it, so what is
 * lost need not be the end (reliability.md §0). Therefore every batch is numbered, writes a *marker* that names the
 * one before it by hash, and deletes the marker of 1,024 batches ago:
 *
 *     !m   head: number and hash of the last batch, index, term, configuration
 *     !b…7 hash of 6 · hash of 7        !b…8 hash of 7 · hash of 8        !b…9 hash of 8 · hash of 9
 *
 * A state has exactly 1,024 markers, from its first moment on. A lost batch leaves a gap, and when it is long ago, the
 * marker that it should have deleted: it is found in either case, whatever was written after it. Only loss at the very
 * end looks like an older state; the log knows better, because it was cut up to what was durable here.
 */
import { finishHash, mixHash, mixHashNumber } from "../base/index.ts";
import type { BackendMeta } from "../env/index.ts";
import { decodeSnapshotMeta, encodeSnapshotMeta } from "../pb/index.ts";

/** Markers in a state. */
export const MARKERS = 1024;
/** Our own records; records of the state begin with a letter, so `RECORDS_FROM` is between. */
export const HEAD_NAME = "!m";
export const MARKER_PREFIX = "!b";
export const RECORDS_FROM = "A";

/** Version of head and markers that this build writes and reads. */
const FORMAT = 1;
const HEAD_BYTES = 13;
const MARKER_BYTES = 16;
const NUMBER_DIGITS = 14;
const WORD = 0x1_0000_0000;

/** The last batch: numbered from 1, through all restarts. */
export interface Head {
  readonly number: number;
  /** Of this batch and all before it, unsigned 32-bit. */
  readonly hash: number;
  readonly meta: BackendMeta;
}

/** What a batch says about itself and the one before it. */
export interface Marker {
  readonly number: number;
  readonly previous: number;
  readonly hash: number;
}

/** The chain of a new state: its markers in order, and their head. */
export function beginChain(meta: BackendMeta): { readonly head: Head; readonly markers: readonly Marker[] } {
  const markers: Marker[] = [];
  let hash = finishHash(mixHashNumber(0, meta.index));
  for (let number = 1; number <= MARKERS; number++) {
    const previous = hash;
    hash = hashOf(previous, number, meta, 0);
    markers.push({ number, previous, hash });
  }
  return { head: { number: MARKERS, hash, meta }, markers };
}

/** The head after one more batch of `changes` changes. Its marker replaces the one numbered `number - MARKERS`. */
export function extendChain(head: Head, meta: BackendMeta, changes: number): { head: Head; marker: Marker } {
  const number = head.number + 1;
  const hash = hashOf(head.hash, number, meta, changes);
  return { head: { number, hash, meta }, marker: { number, previous: head.hash, hash } };
}

function hashOf(previous: number, number: number, meta: BackendMeta, changes: number): number {
  let hash = mixHashNumber(mixHash(previous, changes), number);
  hash = mixHashNumber(mixHashNumber(hash, meta.index), meta.term);
  return finishHash(hash);
}

/** What is missing or too much among the markers, which are in order; undefined: every batch is there. */
export function chainFault(head: Head, markers: readonly Marker[]): string | undefined {
  const from = head.number - MARKERS + 1;
  let due = from;
  let before: Marker | undefined;
  for (const marker of markers) {
    if (marker.number < from) {
      return `batch ${marker.number + MARKERS} is lost: it would have removed the marker of batch ${marker.number}`;
    }
    if (marker.number !== due) return `batch ${due} of ${head.number} is lost: its marker is not there`;
    if (before !== undefined && marker.previous !== before.hash) {
      return `batch ${marker.number} does not follow the batch ${before.number} that is there`;
    }
    before = marker;
    due++;
  }
  if (before?.number !== head.number)
    return `batch ${due} of ${head.number} is lost: its marker is not there`;
  return before.hash === head.hash ? undefined : `batch ${head.number} is not the one that the head names`;
}

/** Name of a marker. */
export function markerName(number: number): string {
  return MARKER_PREFIX + number.toString(16).padStart(NUMBER_DIGITS, "0");
}

export function encodeMarker(marker: Marker): Uint8Array {
  const bytes = new Uint8Array(MARKER_BYTES);
  const view = new DataView(bytes.buffer);
  writeNumber(view, 0, marker.number);
  view.setUint32(8, marker.previous, true);
  view.setUint32(12, marker.hash, true);
  return bytes;
}

/** undefined: these are no bytes of a marker. */
export function decodeMarker(bytes: Uint8Array): Marker | undefined {
  if (bytes.length !== MARKER_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { number: readNumber(view, 0), previous: view.getUint32(8, true), hash: view.getUint32(12, true) };
}

export function encodeHead(head: Head): Uint8Array {
  const meta = encodeSnapshotMeta(head.meta);
  const bytes = new Uint8Array(HEAD_BYTES + meta.length);
  const view = new DataView(bytes.buffer);
  bytes[0] = FORMAT;
  writeNumber(view, 1, head.number);
  view.setUint32(9, head.hash, true);
  bytes.set(meta, HEAD_BYTES);
  return bytes;
}

/** A head that was read, or why it cannot be used. */
export type DecodedHead =
  | { readonly type: "ok"; readonly value: Head }
  | { readonly type: "newer"; readonly reason: string }
  | { readonly type: "malformed"; readonly reason: string };

export function decodeHead(bytes: Uint8Array): DecodedHead {
  const format = bytes[0] ?? 0;
  if (format > FORMAT) {
    return { type: "newer", reason: `format version ${format} is newer than this program reads (${FORMAT})` };
  }
  if (format !== FORMAT || bytes.length < HEAD_BYTES)
    return { type: "malformed", reason: "its head is malformed" };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const meta = decodeSnapshotMeta(bytes.slice(HEAD_BYTES));
  if (meta.type === "refused") return { type: "malformed", reason: `its head is malformed: ${meta.reason}` };
  const value = { number: readNumber(view, 1), hash: view.getUint32(9, true), meta: meta.value };
  return { type: "ok", value };
}

function writeNumber(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true);
  view.setUint32(at + 4, Math.floor(value / WORD), true);
}

function readNumber(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * WORD;
}
