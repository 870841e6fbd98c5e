/**
 * What goes into one member and what comes out of it: the contract between the synchronous core and whatever drives
 * it, the server in production and the simulator in tests. Plain data.
 *
 * Every input carries `now`, the member's monotonic clock *sampled after the input's bytes were read*. After every
 * input the driver takes the effects and carries them out.
 */
import type { ListedMember, RequestLimits } from "../apply/index.ts";
import type { InstanceId, KvError, MemberId } from "../base/index.ts";
import type { BackendBatch, MonoMs, PersistBatch } from "../env/index.ts";
import type { KvRequest, KvResponse, LeaseCheckpointRequest, RangeRequest, TxnRequest } from "../pb/kv.ts";
import type { ConfChange, ConfState, Message, ProgressState, Role, SnapshotMeta } from "../raft/types.ts";

export type { ListedMember };

/** A client's request. Watches are not requests: they are streams (`Member.watch`). */
export type Request =
  | { readonly type: "write"; readonly write: WriteRequest }
  /** Linearizable, unless the range, or every range of the txn, is serializable. The txn only reads. */
  | { readonly type: "read"; readonly read: RangeRequest | TxnRequest }
  /** Answered by the leader only, others say `not leader`. */
  | { readonly type: "leaseKeepAlive"; readonly lease: bigint }
  | { readonly type: "leaseTimeToLive"; readonly lease: bigint; readonly keys: boolean }
  | { readonly type: "leaseLeases" }
  /** The hash of what is kept up to a revision; 0: the newest. From this member's state as it is. */
  | { readonly type: "hashKv"; readonly revision: number }
  /** A step that adds a member names its peer URLs; one that promotes or demotes has none. Judged by the leader. */
  | { readonly type: "changeMembers"; readonly change: ConfChange }
  /** Where a member listens for its peers from now on. Judged when it is applied, so any member takes it. */
  | { readonly type: "updateMember"; readonly member: MemberId; readonly peerUrls: readonly string[] }
  /** `to`: NO_MEMBER lets the leader choose. */
  | { readonly type: "transferLeader"; readonly to: MemberId };

/** What a client may ask to be written. A lease grant may name ID 0n (the member chooses) and any TTL. */
export type WriteRequest = Exclude<KvRequest, LeaseCheckpointRequest>;

export type Answer =
  /** `index`: the entry that was applied, or the applied index at which was read. `revision`: for the header. */
  | {
      readonly type: "done";
      readonly id: number;
      readonly index: number;
      readonly revision: number;
      readonly response: KvResponse;
    }
  /** `ttl`: seconds that the lease has again; 0: there is no such lease. */
  | {
      readonly type: "leaseKept";
      readonly id: number;
      readonly index: number;
      readonly revision: number;
      readonly ttl: number;
    }
  /** `ttl`: seconds left; -1: there is no such lease. */
  | {
      readonly type: "leaseTtl";
      readonly id: number;
      readonly index: number;
      readonly revision: number;
      readonly ttl: number;
      readonly grantedTtl: number;
      readonly keys: readonly Uint8Array[];
    }
  /** In order of ID. */
  | {
      readonly type: "leases";
      readonly id: number;
      readonly index: number;
      readonly revision: number;
      readonly leases: readonly bigint[];
    }
  | {
      readonly type: "hash";
      readonly id: number;
      readonly revision: number;
      readonly hash: number;
      readonly compactRevision: number;
      readonly hashRevision: number;
    }
  /** The change of the configuration or of a member was applied at `index`, or the transfer was started. */
  | { readonly type: "changed"; readonly id: number; readonly index: number }
  /** Definite: it had and will have no effect. */
  | { readonly type: "refused"; readonly id: number; readonly error: KvError }
  /** The request may still take effect, or may have taken it. */
  | { readonly type: "unknown"; readonly id: number; readonly reason: string };

/** Begin sending the state to a peer. The driver opens a view of the backend and reports `snapshotOpened`. */
export interface SnapshotSend {
  readonly stream: number;
  readonly to: MemberId;
  /** The sender's term; goes into the stream's header. */
  readonly term: number;
}

/** What the driver must do now. Taking them empties them; order inside each list is the order to act in. */
export interface Effects {
  /** Make durable, then call `persisted(now, seq)`. A failure is fatal and never retried. */
  readonly persist: PersistBatch | undefined;
  /** May be dropped, never delayed behind the disk. Heartbeats come before appends to the same peer. */
  readonly messages: readonly Message[];
  /** Write to the current state directory, synced, then call `backendDurable(now, seq)`. */
  readonly backend: BackendBatch | undefined;
  readonly answers: readonly Answer[];
  readonly snapshotSends: readonly SnapshotSend[];
  /** Streams whose view of the backend is to be closed and whose sending is to end. */
  readonly snapshotStops: readonly number[];
  /**
   * The snapshot record is durable: from now on the state directory is `state-<index>`. The driver loads it and calls
   * `snapshotInstalled(now, state)`; older directories may be removed after that.
   */
  readonly installSnapshot: SnapshotMeta | undefined;
  /** A received snapshot was not wanted (stale): its directory may be removed. */
  readonly discardSnapshots: readonly SnapshotMeta[];
  /** Log segments that hold only entries at or below this may go. undefined: no change. */
  readonly releaseLog: number | undefined;
  /** Peer messages that were refused, with the reason, for the log and a counter. */
  readonly refused: readonly { readonly from: MemberId; readonly reason: string }[];
  /** The member cannot go on; the driver stops it. */
  readonly fatal: string | undefined;
}

/** A member's view of itself, for status, metrics and the simulator's invariants. */
export interface MemberStatus {
  readonly id: MemberId;
  readonly role: Role;
  readonly term: number;
  readonly vote: MemberId;
  readonly leader: MemberId;
  readonly commit: number;
  readonly persisted: number;
  readonly applied: number;
  readonly firstIndex: number;
  readonly lastIndex: number;
  readonly conf: ConfState;
  /** While it is the leader: until when a lease read is allowed, by its own clock; -Infinity when not. */
  readonly leaseUntil: MonoMs;
  /** Until when it votes for nobody and does not campaign, by its own clock. */
  readonly promiseUntil: MonoMs;
  /** While it is the leader: whom it is handing over to; 0n: nobody. */
  readonly transferee: MemberId;
  /** While it is the leader: the others. */
  readonly progress: readonly {
    readonly id: MemberId;
    readonly state: ProgressState;
    readonly match: number;
  }[];
}

/** Tunables of one member; each has a default in `member/options.ts` and a range that the simulator draws from. */
export interface MemberOptions {
  readonly id: MemberId;
  readonly instance: InstanceId;
  /** What the cluster is told that this member is called, and where its clients reach it. Either may be empty. */
  readonly name: string;
  readonly clientUrls: readonly string[];
  /** As leader: most learners that it lets in (etcd: --max-learners). */
  readonly maxLearners: number;
  /** Base election timeout, ms; each is drawn from [x, 2x). At least 5 heartbeats. */
  readonly electionTimeoutMs: number;
  readonly heartbeatMs: number;
  /** `lease`: serve linearizable reads by the leader lease where it holds. `quorum`: always by a round. */
  readonly readMode: "quorum" | "lease";
  /** A request without an outcome after this is answered `unknown` (writes) or refused (reads), ms. */
  readonly requestTimeoutMs: number;
  /** Most requests waiting in the member; beyond it `too many requests`. */
  readonly maxPendingRequests: number;
  /** Most entry bytes proposed and not yet committed at the leader; beyond it `too many requests`. */
  readonly maxUncommittedBytes: number;
  /** Most append messages in flight to one peer. */
  readonly maxInflightMessages: number;
  /** Most entry bytes in one append message; at least one entry always goes. */
  readonly maxAppendBytes: number;
  /** The log is cut when this many entries lie between its begin and the backend's consistent index. */
  readonly snapshotEntries: number;
  /** Entries kept below that point for slow followers. */
  readonly catchUpEntries: number;
  /** Backend batches are issued this often, ms, or at `backendBatchEntries` applied entries. */
  readonly backendIntervalMs: number;
  readonly backendBatchEntries: number;
  /** Most snapshot streams sent at once. */
  readonly maxSnapshotStreams: number;
  /** A stream that takes longer than this is given up, ms. */
  readonly snapshotTimeoutMs: number;
  /** Most logical bytes before NOSPACE is raised; Infinity: no bound. That of the leader counts (`space.ts`). */
  readonly quotaBytes: number;
  /** Most operations of a txn, and most encoded bytes of a request. */
  readonly requestLimits: RequestLimits;
  /** Most bytes of events that wait in one watch stream. */
  readonly maxWatchBytes: number;
  /** Watch responses from this size on are split where the client asked for it (etcd: largest request and 512 KiB). */
  readonly watchFragmentBytes: number;
  /** Watchers that ask for it hear of the revision this often when nothing happens, ms. */
  readonly watchProgressMs: number;
  /** Remaining times of leases are replicated this often, ms. */
  readonly leaseCheckpointMs: number;
  /** Units of a large read (a key; 8 and more for its value) that are done in one go: well below 5 ms. */
  readonly readSlice: number;
  /** Compacted revisions that are deleted in one go, and the pause between two, ms (etcd: --compaction-batch-limit). */
  readonly compactionBatch: number;
  readonly compactionPauseMs: number;
}
