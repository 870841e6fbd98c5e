import { fail } from "../base/index.ts";
import type { FileOp, LogDirectory, PersistBatch } from "../env/index.ts";
import type { WalOptions, WalRecovery } from "./types.ts";

/** File operations that make a new, empty log in an empty directory, and the log. Do them before the first append. */
export function createWal(_options: WalOptions): { readonly ops: readonly FileOp[]; readonly wal: Wal } {
  return fail("not there yet");
}

/** Reads the log in `directory`. Writes nothing; the operations in `repair` must be done before the first append. */
export function recoverWal(_directory: LogDirectory, _options: WalOptions): WalRecovery {
  return fail("not there yet");
}

/** The log: decides which file operations make a batch durable. One append is in flight at most. */
export class Wal {
  /** Operations that make `batch` durable, in order; it is durable when the last one, a `sync`, is done. */
  append(_batch: PersistBatch): readonly FileOp[] {
    return fail("not there yet");
  }

  /**
   * Once more than half of the current segment is used: operations that fill the next one ahead, to be run beside
   * appends; call `prepared` when they are done. undefined: nothing to do now, or the last ones are not done.
   */
  prepare(): readonly FileOp[] | undefined {
    return fail("not there yet");
  }

  /** The operations of the last `prepare` are done. */
  prepared(): void {
    fail("not there yet");
  }

  /**
   * Operations that remove whole segments whose every entry is at or below `index`, which must be durably applied.
   * They may run beside appends, after those of earlier releases. Empty: nothing to remove.
   */
  release(_index: number): readonly FileOp[] {
    return fail("not there yet");
  }

  /** Index of the last entry, or of the base when there is none; 0 for an empty log. */
  get lastIndex(): number {
    return 0;
  }

  /** Length of all live segments, bytes. */
  get bytes(): number {
    return 0;
  }

  /** Number of live segments, at least 1. */
  get segments(): number {
    return 0;
  }

  /** @throws AssertionError when the log's view of itself is inconsistent. */
  checkInvariants(): void {
    fail("not there yet");
  }
}
