/** What the execution of requests needs from those beside it, and what it gives back. */
import type { KvError } from "../../base/index.ts";
import type {
  ChangeSet,
  DamagedRecord,
  KeyMeta,
  KeyRange,
  Resolved,
  SlicedReader,
  StoreView,
  WriteTxn,
} from "../../mvcc/types.ts";
import type { KvResponse, RangeResponse, TxnResponse } from "../../pb/kv.ts";

/** The part of the multi-version store that executing requests rests on. */
export interface KvStore extends StoreView, SlicedReader {
  /** Replicated size of what is kept, bytes: equal on all members that applied the same entries. */
  readonly logicalBytes: number;
  /** Opens the one write transaction. */
  begin(): WriteTxn;
  /** Moves the floor: ERR.compacted, ERR.futureRevision, or undefined: done. What is below is deleted later. */
  compact(revision: number): KvError | undefined;
}

/** What store and write transaction have in common for a reader: the transaction sees its own writes. */
export interface KeyReader extends SlicedReader {
  resolve(range: KeyRange, revision: number, limit: number): Resolved;
  value(meta: KeyMeta): Uint8Array | DamagedRecord;
}

/** Is told of every change in the step that makes it visible, in order, each once. Neither fails nor waits. */
export interface ChangeListener {
  changed(set: ChangeSet): void;
  compacted(revision: number): void;
}

/** What executing a request came to. `Response` is the kind of answer that the request has. */
export type Outcome<Response> =
  | {
      readonly type: "done";
      /** The store's revision after it, for the header. */
      readonly revision: number;
      readonly response: Response;
    }
  /** Refused: nothing was changed, the revision included. */
  | { readonly type: "refused"; readonly error: KvError }
  /**
   * A record that it rests on is damaged on this member's disk. The reason names key and record. Of a write: the
   * member must stop at once, its state may be half changed. Of a read: nothing happened.
   */
  | { readonly type: "fatal"; readonly reason: string };

export type KvOutcome = Outcome<KvResponse>;
export type RangeOutcome = Outcome<RangeResponse>;
export type TxnOutcome = Outcome<TxnResponse>;

export function done<R>(revision: number, response: R): Outcome<R> {
  return { type: "done", revision, response };
}

export function refused(error: KvError): Extract<KvOutcome, { type: "refused" }> {
  return { type: "refused", error };
}
