/** What crosses between the core and the state's backend: applied batches in, the state at open out. */
import type { ConfState } from "../raft/types.ts";

/**
 * A batch of applied changes for the state's backend, atomic with its consistent index. Numbered from 1 without gaps,
 * at most one in flight. Issued only when the log holds `index` durably.
 */
export interface BackendBatch {
  readonly seq: number;
  /** The consistent index: all entries up to it are in the state once this batch is. */
  readonly index: number;
  readonly term: number;
  /** The configuration as of `index`. */
  readonly conf: ConfState;
  readonly puts: readonly (readonly [key: string, value: Uint8Array])[];
  readonly deletes: readonly string[];
}

/** The state as the backend holds it: what a member opens, and what a snapshot carries. */
export interface BackendState {
  readonly index: number;
  readonly term: number;
  readonly conf: ConfState;
  readonly records: ReadonlyMap<string, Uint8Array>;
}
