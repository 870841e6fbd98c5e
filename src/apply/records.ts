/**
 * Names and number formats of the records that the replicated state is saved as. Every record name begins with one
 * letter that says whose it is, so that no client's key can ever name a record of the machinery.
 *
 * These bytes are read back after a restart and travel in snapshots: the formats are frozen with the envelope version.
 */
import { fail } from "../base/index.ts";

/** Member records: this letter, then the member's ID in hex. */
export const MEMBER_PREFIX = "m";
/** Requests seen: this letter, then the request instance in hex. */
export const REQUESTS_PREFIX = "r";
/** The running hash over everything applied. */
export const HASH_RECORD = "h";

/** Where changed records go: the lists of the next backend batch. */
export interface RecordChanges {
  readonly puts: (readonly [key: string, value: Uint8Array])[];
  readonly deletes: string[];
}

/** A record could be loaded, or the reason why the state cannot be trusted. */
export type Loaded = { readonly type: "ok" } | { readonly type: "refused"; readonly reason: string };

export const LOADED: Loaded = { type: "ok" };

/** Writes a non-negative safe integer as 8 bytes, little-endian. */
export function writeNumber(view: DataView, at: number, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) fail("not a record number", { value });
  view.setUint32(at, value >>> 0, true);
  view.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
}

/** Reads what `writeNumber` wrote; undefined when the bytes hold no safe integer. */
export function readNumber(view: DataView, at: number): number | undefined {
  const value = view.getUint32(at, true) + view.getUint32(at + 4, true) * 0x1_0000_0000;
  return Number.isSafeInteger(value) ? value : undefined;
}

/** A view over exactly these bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The ID in a record name behind its letter; undefined when it is not one in the form that `hex` writes. */
export function idOfRecord(name: string): bigint | undefined {
  const digits = name.slice(1);
  return /^[1-9a-f][0-9a-f]{0,15}$/.test(digits) ? BigInt(`0x${digits}`) : undefined;
}
