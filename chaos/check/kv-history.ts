/**
 * The history of one run against an etcd store: what clients asked and heard, what watchers were told, what
 * the members held at the end. Plain data, written by the simulator and by the drivers of real clusters
 * alike; the checkers read nothing else. `history-file.ts` gives it a form on disk.
 *
 * Times are numbers of one monotonic clock that all clients share, in microseconds.
 */
import type {
  AlarmRequest,
  AlarmResponse,
  CompactionRequest,
  CompactionResponse,
  DeleteRangeRequest,
  DeleteRangeResponse,
  Event,
  KeyValue,
  KvRequest,
  LeaseGrantRequest,
  LeaseGrantResponse,
  LeaseRevokeRequest,
  LeaseRevokeResponse,
  PutRequest,
  PutResponse,
  RangeRequest,
  RangeResponse,
  TxnRequest,
  TxnResponse,
} from "../../src/pb/kv.ts";
import type { WatchCreate } from "../../src/watch/types.ts";

/** What a client can ask. A lease grant may carry ID 0 and any TTL: the answer tells what was granted. */
export type ClientRequest =
  | RangeRequest
  | PutRequest
  | DeleteRangeRequest
  | TxnRequest
  | CompactionRequest
  | LeaseGrantRequest
  | LeaseRevokeRequest
  | AlarmRequest;

export type ClientResponse =
  | RangeResponse
  | PutResponse
  | DeleteRangeResponse
  | TxnResponse
  | CompactionResponse
  | LeaseGrantResponse
  | LeaseRevokeResponse
  | AlarmResponse;

/** How an operation ended for its client. */
export type OperationOutcome =
  /** `revision`: that of the response header. */
  | { readonly type: "ok"; readonly revision: number; readonly response: ClientResponse }
  /**
   * A definite refusal, which changed nothing. `error`: the complete text, as in `ERR` of src/base/errors.ts.
   */
  | { readonly type: "refused"; readonly error: string }
  /** An answer that leaves open whether it took effect (timeout, broken connection, leader changed). */
  | { readonly type: "unknown"; readonly error: string }
  /** There was no answer until the end of the run. */
  | { readonly type: "pending" };

/** One operation of one client; a client has one in flight. */
export interface KvOperation {
  /** Unique in the history. */
  readonly id: number;
  readonly client: number;
  /** A client, a member and that member's process: what one connection reads may never go back. */
  readonly connection: number;
  /** Name of the member that was asked, for people; empty: not known. */
  readonly member: string;
  readonly call: number;
  /** Infinity unless it was answered with ok or a refusal. */
  readonly returned: number;
  readonly request: ClientRequest;
  readonly outcome: OperationOutcome;
}

/** One response of a watcher, as decoded. */
export interface WatchAnswer {
  /** When it was received. */
  readonly at: number;
  /** Of the header. */
  readonly revision: number;
  readonly created: boolean;
  readonly canceled: boolean;
  /** > 0: cancelled because history up to here is gone. */
  readonly compactRevision: number;
  readonly cancelReason: string;
  /** More of the same revision follows in the next answer. */
  readonly fragment: boolean;
  /** Empty in an answer that is neither `created` nor `canceled`: a progress report. */
  readonly events: readonly Event[];
}

/**
 * One watcher from its creation on. A watcher that was resumed by its client is a new record. A progress
 * report of the whole stream (watch ID -1) is an answer of every watcher that is open on the stream.
 */
export interface WatchRecord {
  /** Unique in the history. */
  readonly id: number;
  readonly client: number;
  /** As of an operation. */
  readonly connection: number;
  readonly member: string;
  /** Watchers of one stream share it. */
  readonly stream: number;
  readonly request: WatchCreate;
  /** When the create request was sent. */
  readonly call: number;
  readonly answers: readonly WatchAnswer[];
  /** When its client asked to cancel it; Infinity: never. */
  readonly cancelAsked: number;
  /** When the connection broke or the client left it; Infinity: open until the end of the run. */
  readonly closed: number;
  /**
   * The run gave it time to hear everything: it is open, its member was healthy, and the store was at rest.
   * Then it must have heard of the final revision, or have been cancelled.
   */
  readonly mustReachEnd: boolean;
}

/** A lease keepalive: a request and its answer on a keepalive stream. */
export interface KeepAliveRecord {
  readonly client: number;
  readonly member: string;
  readonly lease: bigint;
  readonly call: number;
  /** Infinity: no answer. */
  readonly returned: number;
  /** Of the header. */
  readonly revision: number;
  /** Seconds; 0: there is no such lease; undefined: no answer. */
  readonly ttl: number | undefined;
}

/** An answer to a question about one lease (LeaseTimeToLive) or about all of them (LeaseLeases). */
export interface LeaseReadRecord {
  readonly client: number;
  readonly member: string;
  readonly call: number;
  readonly returned: number;
  /** Of the header. */
  readonly revision: number;
  readonly said:
    | {
        readonly type: "one";
        readonly lease: bigint;
        /** Seconds left; -1: there is no such lease. */
        readonly ttl: number;
        /** Seconds; 0: there is no such lease. */
        readonly grantedTtl: number;
        /** In order of bytes; undefined: not asked for. */
        readonly keys: readonly Uint8Array[] | undefined;
      }
    | { readonly type: "all"; readonly leases: readonly bigint[] };
}

/** What a member held when all was at rest. */
export interface MemberDump {
  readonly member: string;
  readonly revision: number;
  /** -1: never compacted. */
  readonly compactRevision: number;
  /** Everything at `revision`, in order of key. */
  readonly kvs: readonly KeyValue[];
  /** In order of ID; undefined: not asked for. */
  readonly leases: readonly LeaseDump[] | undefined;
  /**
   * HashKV, each of the revision and the compact revision that it was made at; may be of any time of the run.
   */
  readonly hashes: readonly HashRecord[];
}

export interface LeaseDump {
  readonly id: bigint;
  /** Seconds, as granted. */
  readonly ttl: number;
  /** In order of bytes. */
  readonly keys: readonly Uint8Array[];
}

/** A member's answer to HashKV at some time of the run. */
export interface HashAnswer extends HashRecord {
  readonly member: string;
}

export interface HashRecord {
  readonly revision: number;
  readonly compactRevision: number;
  readonly hash: number;
}

/** One committed request of the replicated log, in order of index. */
export interface LogRecord {
  readonly index: number;
  /** When it was first known to be committed. */
  readonly at: number;
  /** Equal for two records exactly when they carry one request twice: the second changes nothing. */
  readonly identity: string;
  /** `KvOperation.id` of the client's operation; undefined: a request of the members (an expired lease). */
  readonly operation: number | undefined;
  /** As committed: with the lease ID and the TTL that the member chose. */
  readonly request: KvRequest;
}

/** A stretch of time with a name, for the picture. */
export interface Band {
  readonly from: number;
  /** Infinity: to the end. */
  readonly to: number;
  readonly label: string;
}

/** Who led when, for the picture. */
export interface LeaderBand {
  readonly from: number;
  readonly to: number;
  readonly member: string;
  readonly term: number;
}

/** One run. */
export interface KvHistory {
  /** How to run it again, for people. */
  readonly title: string;
  readonly operations: readonly KvOperation[];
  readonly watches: readonly WatchRecord[];
  readonly keepAlives: readonly KeepAliveRecord[];
  readonly leaseReads: readonly LeaseReadRecord[];
  readonly hashAnswers: readonly HashAnswer[];
  /** Empty: nothing is known of the end. */
  readonly dumps: readonly MemberDump[];
  /**
   * Every committed request; undefined: not known (a real cluster), unknown writes are matched by their
   * values.
   */
  readonly log: readonly LogRecord[] | undefined;
  readonly faults: readonly Band[];
  readonly leaders: readonly LeaderBand[];
  /** When the run ended. */
  readonly end: number;
}

/** Whether an operation reads what its member holds, without asking the others (etcd: `serializable`). */
export function isSerializable(request: ClientRequest): boolean {
  if (request.type === "range") return request.serializable;
  if (request.type !== "txn" || !isReadOnly(request)) return false;
  // etcd: v3_server.go isTxnSerializable: one linearizable range makes the txn linearizable.
  return [...request.success, ...request.failure].every((op) => op?.type === "range" && op.serializable);
}

/** Whether an operation is answered without the log: a range, or a txn of nothing but ranges. */
export function isReadOnly(request: ClientRequest): boolean {
  if (request.type === "range") return true;
  if (request.type !== "txn") return false;
  return [...request.success, ...request.failure].every((op) => op?.type === "range");
}
