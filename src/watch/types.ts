/**
 * What watch streams are to those around them. A *stream* belongs to one client connection and carries many watchers;
 * its queue is bounded in bytes and holds encoded events that all watchers share. Nobody is told of anything out of
 * order, and nothing that happens to a slow stream slows a write.
 *
 * The hub is synchronous and takes time as an argument; `transport/` drains the queues.
 */
import type { MonoMs } from "../env/index.ts";
import type { ChangeSet } from "../mvcc/types.ts";

/** WatchCreateRequest (etcd rpc.proto). */
export interface WatchCreate {
  /** Empty: from the smallest key on, as etcd takes it. */
  readonly key: Uint8Array;
  readonly rangeEnd: Uint8Array;
  /** 0: from the next revision on. Negative: refused with `compacted`. Future revisions are waited for. */
  readonly startRevision: number;
  readonly progressNotify: boolean;
  readonly noPut: boolean;
  readonly noDelete: boolean;
  readonly prevKv: boolean;
  readonly fragment: boolean;
  /** 0: the stream chooses. Else refused when it is in use on the stream. */
  readonly watchId: number;
}

/**
 * One response of a stream, still in parts: the transport writes the header (cluster, member, term are its business)
 * and these fields. `events` are encoded mvccpb.Event messages, each with tag and length of the field `events` of
 * WatchResponse (11), shared between watchers: they may not be changed.
 */
export interface WatchOutput {
  /** Revision for the header: that of the store when this was made. */
  readonly revision: number;
  /** -1: of no watcher (a refused create, a progress report on request). */
  readonly watchId: number;
  readonly created: boolean;
  readonly canceled: boolean;
  /** > 0: the watcher was cancelled because history up to here is gone. */
  readonly compactRevision: number;
  readonly cancelReason: string;
  /** More of the same revision follows in the next output of this watcher. */
  readonly fragment: boolean;
  readonly events: readonly Uint8Array[];
  /** Bytes of `events` together. */
  readonly eventBytes: number;
}

/** One client connection's watchers. */
export interface WatchStream {
  /** Queues `created` before any event of it, or `created` and `canceled` with the reason. The watch ID, or -1. */
  create(now: MonoMs, request: WatchCreate): number;
  /** Queues `canceled`; an unknown ID is passed over. */
  cancel(watchId: number): void;
  /** Queues a progress report (watch ID -1) if every watcher is synced; otherwise nothing, the client asks again. */
  requestProgress(): void;
  /** The next response, in order; undefined: nothing is ready. Taking makes room in the queue. */
  take(): WatchOutput | undefined;
  /** Bytes of events that are queued. */
  readonly queuedBytes: number;
  readonly watchers: number;
  /** Ends all watchers; nothing more is queued. */
  close(): void;
}

/** All streams of a member. */
export interface WatchHubApi {
  /** @param onReady called, synchronously and at most once until the queue was drained, when `take` has something. */
  open(onReady: () => void): WatchStream;
  /** A write transaction was applied; in order, each once, in the same step as the apply. Never fails, never waits. */
  notify(set: ChangeSet): void;
  /** The store was compacted at `revision`. Unsynced watchers below it are cancelled when they come to be served. */
  compacted(revision: number): void;
  /** The store was replaced by a snapshot at `revision`, compacted at `compactRevision`. */
  restored(revision: number, compactRevision: number): void;
  /** Work that waits: catching up, victims, progress. Does at most about `budget` units (one per change examined). */
  tick(now: MonoMs, budget: number): void;
  /** When `tick` has something to do by time; `now` when there is work at once; Infinity: never. */
  nextWake(now: MonoMs): MonoMs;
}
