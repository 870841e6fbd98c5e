/**
 * Identities as two 32-bit words, which is what the wire has and what costs nothing to compare. Making a
 * bigint allocates, and comparing two that are not the same object reads both; but the identities that a
 * process sees are few, so the last ones made are handed out again.
 */

/**
 * A power of two. A cluster has at most 64 members, and a table a few times as large rarely makes two meet.
 */
const SLOTS = 256;

const lows = new Uint32Array(SLOTS);
const highs = new Uint32Array(SLOTS);
/** Invariant: ids[i] has the words lows[i] and highs[i]. */
const ids: bigint[] = new Array<bigint>(SLOTS).fill(0n);
const words = new DataView(new ArrayBuffer(8));

/**
 * The identity with these words, both unsigned 32-bit. A slot is overwritten by the next identity that falls
 * on it.
 */
export function idOf(lo: number, hi: number): bigint {
  const slot = (lo ^ (lo >>> 8) ^ hi) & (SLOTS - 1);
  if (lows[slot] === lo && highs[slot] === hi) return ids[slot] as bigint;
  words.setUint32(0, lo, true);
  words.setUint32(4, hi, true);
  const id = words.getBigUint64(0, true);
  lows[slot] = lo;
  highs[slot] = hi;
  ids[slot] = id;
  return id;
}
