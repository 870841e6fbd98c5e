/**
 * CRC-32C (Castagnoli), as etcd hashes its revisions with and as our own records are sealed with. Finds every single
 * burst of up to 32 bits; no protection against somebody who wants a collision.
 */

/** The polynomial 0x1EDC6F41, bits reversed. */
const POLYNOMIAL = 0x82f63b78;
const TABLES = 8;

/**
 * TABLE[256 * k + b]: what byte `b` contributes when k more bytes follow it. Eight bytes are then eight independent
 * look-ups, several times as fast in JavaScript as a chain of single ones.
 */
const TABLE = makeTable();

/**
 * Checksum of bytes[lo, hi), unsigned 32-bit. `crc` continues a checksum: crc32c(b, crc32c(a)) is that of a then b.
 * Of nothing: 0.
 */
export function crc32c(bytes: Uint8Array, crc = 0, lo = 0, hi = bytes.length): number {
  const table = TABLE;
  let c = ~crc;
  let i = lo;
  for (const whole = lo + ((hi - lo) & ~7); i < whole; i += 8) {
    c ^=
      (bytes[i] as number) |
      ((bytes[i + 1] as number) << 8) |
      ((bytes[i + 2] as number) << 16) |
      ((bytes[i + 3] as number) << 24);
    c =
      (table[1792 + (c & 255)] as number) ^
      (table[1536 + ((c >>> 8) & 255)] as number) ^
      (table[1280 + ((c >>> 16) & 255)] as number) ^
      (table[1024 + (c >>> 24)] as number) ^
      (table[768 + (bytes[i + 4] as number)] as number) ^
      (table[512 + (bytes[i + 5] as number)] as number) ^
      (table[256 + (bytes[i + 6] as number)] as number) ^
      (table[bytes[i + 7] as number] as number);
  }
  for (; i < hi; i++) c = (table[(c ^ (bytes[i] as number)) & 255] as number) ^ (c >>> 8);
  return ~c >>> 0;
}

function makeTable(): Int32Array {
  const table = new Int32Array(256 * TABLES);
  for (let byte = 0; byte < 256; byte++) {
    let c = byte;
    for (let bit = 0; bit < 8; bit++) c = (c & 1) === 0 ? c >>> 1 : (c >>> 1) ^ POLYNOMIAL;
    table[byte] = c;
  }
  for (let at = 256; at < table.length; at++) {
    const c = table[at - 256] as number;
    table[at] = (table[c & 255] as number) ^ (c >>> 8);
  }
  return table;
}
