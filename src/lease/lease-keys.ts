/**
 * The keys of one lease, in memory only. Kept as latin1 text, one character per byte: a string is a third of
 * the memory of a byte array of its own, hashes by content, and orders by character exactly as the bytes
 * order.
 */
import { bytesOfLatin1, latin1Of } from "../base/index.ts";

export class LeaseKeys {
  readonly #keys = new Set<string>();

  get size(): number {
    return this.#keys.size;
  }

  /** Adding what is there changes nothing. The bytes are copied. */
  add(key: Uint8Array): void {
    this.#keys.add(latin1Of(key));
  }

  /** Deleting what is not there is no error. */
  delete(key: Uint8Array): void {
    this.#keys.delete(latin1Of(key));
  }

  /** Copies of the keys, in order of bytes. */
  sorted(): readonly Uint8Array[] {
    return [...this.#keys].sort().map(bytesOfLatin1);
  }
}
