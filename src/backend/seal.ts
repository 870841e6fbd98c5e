/**
 * Checksums of records. LevelDB gives back what lies in its files without looking at its own checksums, so each value
 * carries one of ours, over the value and the name under which it was written: a value under another name is as
 * damaged as one with a flipped bit.
 *
 *     stored value = value · CRC-32 (little-endian) of the value, begun with a hash of the name
 */
import { crc32 } from "node:zlib";
import { fail, finishHash, mixHash } from "../base/index.ts";

/** Bytes that a stored value has more than the value. */
export const SEAL_BYTES = 4;
/** Longest name of a record (env/records.ts). */
const MAX_NAME = 64;
/** Names are printable ASCII: then their order by UTF-16 unit is that of their bytes, which is LevelDB's. */
const FIRST_CODE = 0x20;
const LAST_CODE = 0x7e;

/** Where the checksum of a value under `name` begins. @throws AssertionError when it is no name of a record */
export function seedOf(name: string): number {
  const { length } = name;
  if (length === 0 || length > MAX_NAME) fail("not a name of a record", { name });
  let hash = length;
  for (let i = 0; i < length; i++) {
    const code = name.charCodeAt(i);
    if (code < FIRST_CODE || code > LAST_CODE) fail("not a name of a record", { name });
    hash = mixHash(hash, code);
  }
  return finishHash(hash);
}

/** Writes value and seal into `into` at `at`, which has room for them. */
export function sealInto(into: Uint8Array, at: number, name: string, value: Uint8Array): void {
  const crc = checksumOf(name, value);
  into.set(value, at);
  const end = at + value.length;
  into[end] = crc;
  into[end + 1] = crc >>> 8;
  into[end + 2] = crc >>> 16;
  into[end + 3] = crc >>> 24;
}

/** A sealed value of its own. */
export function sealed(name: string, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(value.length + SEAL_BYTES);
  sealInto(bytes, 0, name, value);
  return bytes;
}

/** The value in a stored one, as a view; undefined: it is not what was written under that name. */
export function unsealed(name: string, stored: Uint8Array): Uint8Array | undefined {
  const end = stored.length - SEAL_BYTES;
  if (end < 0) return undefined;
  // NOTE: not subarray, which of a Buffer gives a Buffer.
  const value = new Uint8Array(stored.buffer, stored.byteOffset, end);
  const crc =
    (stored[end] as number) |
    ((stored[end + 1] as number) << 8) |
    ((stored[end + 2] as number) << 16) |
    ((stored[end + 3] as number) << 24);
  return (checksumOf(name, value) | 0) === crc ? value : undefined;
}

/** NOTE: the library begins anew when the bytes are at address 0, which those of an empty array sometimes are. */
function checksumOf(name: string, value: Uint8Array): number {
  const seed = seedOf(name);
  return value.length === 0 ? seed : crc32(value, seed);
}
