/**
 * What crosses between the core and the durable log: batches in, a recovered log out. How it looks on disk is the
 * business of `wal/`; with which file operations it gets there, of `log-files.ts`.
 */
import type { Entry, HardState, SnapshotMeta } from "../raft/types.ts";

/**
 * What the log must make durable in one step. Batches are numbered from 1 without gaps and at most one is in flight.
 * Order inside a batch as recovery sees it: snapshot record, entries, hard state.
 */
export interface PersistBatch {
  readonly seq: number;
  /** The log up to this point is replaced by a snapshot whose complete directory is already durable. */
  readonly snapshot: SnapshotMeta | undefined;
  /** Contiguous. The first may lie at or below the log's last index: what was there and after is overwritten. */
  readonly entries: readonly Entry[];
  readonly hardState: HardState | undefined;
}

/** What the log gave back (wal/recovery.ts). */
export interface RecoveredLog {
  readonly hardState: HardState;
  /** The newest snapshot record, which names the state directory `state-<index>`; undefined: `state-0`. */
  readonly snapshot: SnapshotMeta | undefined;
  /** The position before the first entry; (0, 0) when the log was never cut. */
  readonly base: { readonly index: number; readonly term: number };
  /** Contiguous from base.index + 1. */
  readonly entries: readonly Entry[];
}
