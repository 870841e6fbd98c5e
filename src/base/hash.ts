/**
 * Non-cryptographic 32-bit hashing for traces, invariants and state comparison. Never used where an adversary
 * chooses the input, and never where a disk must be trusted: the log has a CRC.
 */

/** Mixes one 32-bit word into a running hash (the mixing step of MurmurHash3, public domain). */
export function mixHash(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = (k << 15) | (k >>> 17);
  k = Math.imul(k, 0x1b873593);
  let h = hash ^ k;
  h = (h << 13) | (h >>> 19);
  return (Math.imul(h, 5) + 0xe6546b64) | 0;
}

/** Mixes a non-negative safe integer: low and high word. */
export function mixHashNumber(hash: number, value: number): number {
  return mixHash(mixHash(hash, value | 0), Math.floor(value / 0x1_0000_0000) | 0);
}

/** Mixes bytes[lo, hi), four at a time, length included, so that a split elsewhere gives another hash. */
export function mixHashBytes(hash: number, bytes: Uint8Array, lo = 0, hi = bytes.length): number {
  let h = mixHash(hash, hi - lo);
  let i = lo;
  for (const whole = lo + ((hi - lo) & ~3); i < whole; i += 4) {
    h = mixHash(
      h,
      (bytes[i] as number) |
        ((bytes[i + 1] as number) << 8) |
        ((bytes[i + 2] as number) << 16) |
        ((bytes[i + 3] as number) << 24),
    );
  }
  let tail = 0;
  for (let shift = 0; i < hi; i++, shift += 8) tail |= (bytes[i] as number) << shift;
  return mixHash(h, tail);
}

/** Mixes a string by its UTF-16 units. */
export function mixHashText(hash: number, text: string): number {
  let h = mixHash(hash, text.length);
  for (let i = 0; i < text.length; i++) h = mixHash(h, text.charCodeAt(i));
  return h;
}

/** Final avalanche, so that near inputs give far results. Returns an unsigned 32-bit integer. */
export function finishHash(hash: number): number {
  let h = hash;
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  h ^= h >>> 16;
  return h >>> 0;
}
