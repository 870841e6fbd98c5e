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

/** Where the checksum of a value under `name` begins; -1: it is not a name of a record. */
export function seedOf(name: string): number {
  const { length } = name;
  if (length === 0 || length > MAX_NAME) return -1;
  let hash = length;
  for (let i = 0; i < length; i++) {
    const code = name.charCodeAt(i);
    if (code < FIRST_CODE || code > LAST_CODE) return -1;
    hash = mixHash(hash, code);
  }
  return finishHash(hash);
}

/** Values up to this many bytes, seal included, are sealed in memory that is used again and again. */
const MAX_SCRATCH = 4096;
const scratch = new Uint8Array(MAX_SCRATCH);
/** The first n bytes of it, by n: making a view costs more than sealing. */
const scratchViews: (Uint8Array | undefined)[] = new Array(MAX_SCRATCH + 1).fill(undefined);

/**
 * The stored form of a value, to be copied at once: the next call may use the same memory.
 * @throws AssertionError when the name is not one of a record
 */
export function seal(name: string, value: Uint8Array): Uint8Array {
  const seed = seedOf(name);
  if (seed < 0) fail("not a name of a record", { name });
  const size = value.length + SEAL_BYTES;
  const into = storedView(size);
  const crc = checksum(seed, value);
  into.set(value);
  into[size - 4] = crc;
  into[size - 3] = crc >>> 8;
  into[size - 2] = crc >>> 16;
  into[size - 1] = crc >>> 24;
  return into;
}

function storedView(size: number): Uint8Array {
  if (size > MAX_SCRATCH) return new Uint8Array(size);
  const view = scratchViews[size] ?? scratch.subarray(0, size);
  scratchViews[size] = view;
  return view;
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
  const seed = seedOf(name);
  return seed >= 0 && (checksum(seed, value) | 0) === crc ? value : undefined;
}

/** NOTE: the library begins anew when the bytes are at address 0, which those of an empty array sometimes are. */
function checksum(seed: number, value: Uint8Array): number {
  return value.length === 0 ? seed : crc32(value, seed);
}
