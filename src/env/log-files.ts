/**
 * The log storage port: the few file operations that a write-ahead log needs. The log decides synchronously *which*
 * operations, in which order, with which bytes (`wal/`); an executor carries them out: `node:fs` in production, a
 * simulated disk in the simulator, a journalling twin in tests.
 *
 * Paths are names inside one flat directory, without separators. What is durable:
 * - bytes of a file, after a `sync` of that file that was issued after the write returned without error;
 * - the *name* of a file (create, rename, remove), after a `syncDir` issued after it returned without error.
 * Nothing else is: after a crash any subset of the unsynced writes of a file may be there, at any mix of 512 B
 * sectors, and any subset of the unsynced directory changes.
 */
export type FileOp =
  /** Makes an empty file for reading and writing. It must not exist. */
  | { readonly type: "create"; readonly name: string }
  /** Writes all of `bytes` at `offset`, growing the file where needed. The bytes may not change until it is done. */
  | { readonly type: "write"; readonly name: string; readonly offset: number; readonly bytes: Uint8Array }
  /** `fdatasync`: the file's bytes and length are durable when this returns. */
  | { readonly type: "sync"; readonly name: string }
  /** Gives a file another name, replacing what had it. */
  | { readonly type: "rename"; readonly from: string; readonly to: string }
  | { readonly type: "remove"; readonly name: string }
  /** `fsync` of the directory: names are durable when this returns. */
  | { readonly type: "syncDir" };

/**
 * Carries out operations in order, each after the one before it returned. Rejects at the first that fails, with the
 * operation and the cause; the caller treats that as fatal and never retries (reliability.md #26).
 */
export interface LogFiles {
  run(ops: readonly FileOp[]): Promise<void>;
}

/** What recovery reads: a directory as it was found, before anything is written to it. Synchronous. */
export interface LogDirectory {
  /** Names and lengths in bytes of all files, in any order. */
  list(): readonly { readonly name: string; readonly bytes: number }[];
  /** The whole content of one file. @throws the file system's error when it cannot be read. */
  read(name: string): Uint8Array;
}
