/**
 * One number for a whole mesh, so that a gateway and the store can say in 32 bytes that they hold the same. It
 * is the sum of a hash per object: the order of changes does not matter, and a change costs one subtraction
 * and one addition.
 *
 * It detects accidents. Whoever may choose objects freely can make two meshes with one sum; authenticity is
 * another thing. SHA-256 comes from the caller: this folder reaches for nothing outside itself.
 */
import { bytesOf, concatBytes } from "../base/index.ts";

/** SHA-256: 32 bytes of any bytes. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array;

/** Modulus of the sum. */
const RANGE = 1n << 256n;

/** Digest of an empty mesh. */
export const EMPTY_DIGEST = 0n;

/**
 * Digest of one object: SHA-256 of (length, key, length, value), lengths as 32 bits, most significant byte
 * first.
 */
export function objectDigest(sha256: Sha256, key: string, value: Uint8Array): bigint {
  const keyBytes = bytesOf(key);
  const hash = sha256(concatBytes([lengthOf(keyBytes), keyBytes, lengthOf(value), value]));
  let number = 0n;
  for (const byte of hash) number = (number << 8n) | BigInt(byte);
  return number;
}

/** The sum after an object came, went or changed; pass undefined for what is not there. */
export function changeDigest(sum: bigint, before: bigint | undefined, after: bigint | undefined): bigint {
  return (sum - (before ?? 0n) + (after ?? 0n) + RANGE) % RANGE;
}

/** Digest of all objects, in any order. */
export function meshDigest(
  sha256: Sha256,
  objects: Iterable<{ readonly key: string; readonly value: Uint8Array }>,
): bigint {
  let sum = EMPTY_DIGEST;
  for (const { key, value } of objects) sum = changeDigest(sum, undefined, objectDigest(sha256, key, value));
  return sum;
}

/** 64 hexadecimal digits. */
export function digestText(digest: bigint): string {
  return digest.toString(16).padStart(64, "0");
}

function lengthOf(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setUint32(0, bytes.length);
  return out;
}
