/**
 * The boundary of the consensus core: what it is built from, what it hands out, and what it answers. `raft.ts` is the
 * class; `member/` is its only production caller.
 *
 * The contract in five lines:
 * 1. Every input carries `now`; nothing here reads a clock. `nextWake()` says when `tick` is due at the latest.
 * 2. `takeMessages()` may be sent at once. What promises durability leaves only through `RaftBatch.afterPersist`.
 * 3. `takeBatch()` hands out everything not yet durable; at most one batch is out, until `persisted(now)`.
 * 4. `takeCommitted()` yields entries in order, each once, never beyond min(commit, persisted).
 * 5. A configuration takes effect when the caller applies its entry by `applyConfChange`.
 */
import type { MemberId } from "../base/index.ts";
import type { ConfState, Entry, HardState, Message, SnapshotMeta } from "./types.ts";

export interface RaftOptions {
  readonly id: MemberId;
  /** Base election timeout, ms; each is drawn from [x, 2x). */
  readonly electionTimeoutMs: number;
  readonly heartbeatMs: number;
  /** Whether this member may serve reads by a leader lease. */
  readonly leaseReads: boolean;
  readonly maxInflightMessages: number;
  readonly maxAppendBytes: number;
  readonly maxUncommittedBytes: number;
  /** Most readers waiting for an index, here and as leader for others; beyond it they are dropped. */
  readonly maxPendingReads: number;
}

/** What the core starts from: the durable past. */
export interface RaftStart {
  readonly hardState: HardState;
  readonly base: { readonly index: number; readonly term: number };
  readonly entries: readonly Entry[];
  /** Applied so far, with the configuration as of it. base.index <= applied <= last entry. */
  readonly applied: number;
  readonly conf: ConfState;
  /** Longest lease that this member can have promised before it stopped, ms: the largest of conf and log. */
  readonly longestLeaseMs: number;
}

/** Everything that must become durable together, and the messages that promise it. */
export interface RaftBatch {
  readonly snapshot: SnapshotMeta | undefined;
  readonly entries: readonly Entry[];
  readonly hardState: HardState | undefined;
  /** To be sent after the batch is durable, never before. */
  readonly afterPersist: readonly Message[];
}

export type ProposeResult =
  /** Appended to the leader's log; the position may still be overwritten by another leader. */
  | { readonly type: "appended"; readonly index: number; readonly term: number }
  | {
      readonly type: "dropped";
      readonly reason:
        | "not leader"
        | "transferring"
        | "too many requests"
        | "a configuration change is pending"
        | "configuration change is invalid";
    };

export type TransferResult =
  | { readonly type: "started"; readonly to: MemberId }
  | { readonly type: "refused"; readonly reason: "not leader" | "bad transferee" };

/** Outcome of `readIndex(waiter)`. Each waiter gets exactly one. */
export type ReadState =
  /** Read when applied >= index. `lease`: it rested on the leader lease. */
  | { readonly type: "ready"; readonly waiter: number; readonly index: number; readonly lease: boolean }
  | {
      readonly type: "dropped";
      readonly waiter: number;
      readonly reason: "no leader" | "leader changed" | "too many requests";
    };

/** The leader wants `to` to get the state as a snapshot; the caller answers by `snapshotOpened` or `snapshotStatus`. */
export interface SnapshotWanted {
  readonly to: MemberId;
}
