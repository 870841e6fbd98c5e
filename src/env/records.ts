/**
 * The replicated state as named records: what the core writes into its overlay, what a backend keeps, and what a
 * snapshot carries. Names are ASCII without control characters, ordered by code unit, at most 64 characters; each
 * begins with a letter that says whose it is (`apply/records.ts`). Values are opaque bytes, owned by whoever holds the
 * record and never changed.
 */

/** Synchronous reads. The bytes belong to the reader's owner and may not be changed. */
export interface RecordReader {
  /** The newest value; undefined: there is no such record. @throws the storage's error when it cannot be read. */
  get(name: string): Uint8Array | undefined;
}

/** The core's view of its records: reads see every write before them, durable or not. */
export interface Records extends RecordReader {
  /** The bytes may not be changed afterwards. */
  put(name: string, bytes: Uint8Array): void;
  /**
   * Puts a record whose name is behind every name of the same first letter that was ever appended; it may be deleted,
   * and is never put again. Cheaper than `put`: history grows by such records, and nobody has to look one up to do so.
   */
  append(name: string, bytes: Uint8Array): void;
  /** Deleting what is not there is no error. */
  delete(name: string): void;
}
