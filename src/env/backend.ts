/** What crosses between the core and the state's backend: applied batches in, the state at open out. */
import type { ConfState } from "../raft/types.ts";
import type { RecordReader } from "./records.ts";

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

/** What a state says about itself: all entries up to `index` are in it and none after, and the configuration then. */
export interface BackendMeta {
  /** The consistent index; 0: nothing was ever applied. */
  readonly index: number;
  /** Term of the entry at `index`; 0 exactly when index is 0. */
  readonly term: number;
  readonly conf: ConfState;
}

export type BackendRecord = readonly [name: string, value: Uint8Array];

/**
 * Takes records in order of their names, a bounded number at a time; the arrays are the visitor's. What it returns is
 * waited for, so a slow visitor is not overrun. What it throws ends the scan.
 */
export type RecordVisitor = (chunk: readonly BackendRecord[]) => void | Promise<void>;

/** A state as of one moment, whatever is written meanwhile. It keeps old versions of records alive: close it. */
export interface BackendSnapshot {
  readonly meta: BackendMeta;
  /**
   * Visits all records whose names begin with one of the prefixes, in order of names. The prefixes ascend and none
   * begins with another; the empty one alone: all records. Gives way to the event loop between chunks.
   * @throws the storage's error, naming record and directory, at the first record that is not what was written
   */
  scan(prefixes: readonly string[], visit: RecordVisitor): Promise<void>;
  /** Idempotent. */
  close(): Promise<void>;
}

/** One open state. Reads see every batch whose `write` has returned, and none of the one in flight in part. */
export interface Backend extends RecordReader {
  /** As of the last batch whose `write` has returned. */
  readonly meta: BackendMeta;
  /**
   * Makes a batch durable, all of it or nothing, together with its index, term and configuration. One at a time. After
   * a failure it is not known what the disk holds: every later call fails the same way, and the member stops.
   */
  write(batch: BackendBatch): Promise<void>;
  /** Many records, read beside the event loop; in the order of the names. */
  getMany(names: readonly string[]): Promise<(Uint8Array | undefined)[]>;
  /** As of now, and as BackendSnapshot.scan. */
  scan(prefixes: readonly string[], visit: RecordVisitor): Promise<void>;
  /** The state as of now. */
  snapshot(): BackendSnapshot;
  /** Waits for a batch in flight. Idempotent. */
  close(): Promise<void>;
}

/** A state that is being received. Nothing of it counts before `complete` has returned and the log names it. */
export interface ReceivingState {
  /** Records in strictly ascending order of names, also across calls. @throws when they are not; the disk's error */
  add(records: readonly BackendRecord[]): Promise<void>;
  /** All of it is durable when this returns; it is not open. Only once. */
  complete(meta: BackendMeta): Promise<void>;
  /** Removes it. Also after a failure; not after `complete`. */
  discard(): Promise<void>;
}

/** The states of one member: `state-<index>`, of which the log says which one is in use (DESIGN §5). */
export interface BackendDirectory {
  /**
   * Opens the state that the log names; 0: that of a member without a snapshot, made when it is not there yet.
   * @throws the storage's error when it is not there, damaged, or of a newer format
   */
  open(index: number): Promise<Backend>;
  /** Begins a state that a snapshot up to `index` >= 1 will fill, in place of a leftover that nobody completed. */
  receive(index: number): Promise<ReceivingState>;
  /** Removes every state but this one, durably. */
  removeOthers(index: number): Promise<void>;
}
