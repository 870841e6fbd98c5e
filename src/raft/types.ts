/**
 * The words of the consensus core: entries, configurations, messages, and what leaves the core. Plain data, no
 * behaviour. Terms and indexes are 1-based; 0 means "none" (the position before the first entry).
 */
import type { MemberId } from "../base/index.ts";

/**
 * One position of the replicated log. The core never looks into `data`.
 * - `normal`: an entry envelope (pb/), or empty: the no-op that a new leader appends.
 * - `conf`: an encoded ConfChange (pb/), or empty: leave the joint configuration.
 */
export interface Entry {
  readonly index: number;
  readonly term: number;
  readonly type: "normal" | "conf";
  /** Owned by the entry: nobody may change it after it was proposed. */
  readonly data: Uint8Array;
}

/** What must be durable before a member answers in a term (Raft paper, figure 2, "persistent state"). */
export interface HardState {
  readonly term: number;
  /** The candidate that got this member's vote in `term`, or NO_MEMBER. */
  readonly vote: MemberId;
  /** A lower bound of the commit index; it may lag, and then it is learned again. */
  readonly commit: number;
}

/**
 * A cluster configuration (Raft thesis §4; joint consensus §4.3). Every list is sorted ascending without repeats.
 * While `votersOutgoing` is not empty the configuration is joint: decisions need a majority of both halves.
 *
 * Invariants: voters and learners are disjoint, votersOutgoing and learners are disjoint;
 * learnersNext is a subset of votersOutgoing; not joint => learnersNext is empty.
 */
export interface ConfState {
  readonly voters: readonly MemberId[];
  readonly votersOutgoing: readonly MemberId[];
  readonly learners: readonly MemberId[];
  /** Voters of the outgoing half that become learners when the joint configuration is left. */
  readonly learnersNext: readonly MemberId[];
  /** Length of the leader lease in milliseconds, the same for all members; 0: no leader leases at all. */
  readonly leaseMs: number;
}

export type ConfChangeStep = {
  readonly type: "addVoter" | "addLearner" | "remove";
  readonly id: MemberId;
  /**
   * Where a member that is added listens for its peers, at least one; consensus does not look at it. undefined: it is
   * a member already, or nobody said it. Never with `remove`.
   */
  readonly peerUrls?: readonly string[];
};

/**
 * A change of the configuration.
 * - No steps and no `leaseMs`: leave the joint configuration.
 * - `joint: false`: at most one voter is added or removed (Raft thesis §4.1), except from the empty configuration
 *   (bootstrap), from which any number of voters may be added.
 * - `joint: true`: any number of steps; the leader leaves the joint configuration by itself once it is applied.
 */
export interface ConfChange {
  readonly joint: boolean;
  readonly steps: readonly ConfChangeStep[];
  /** The new lease length, milliseconds in [0, LIMITS.maxLeaseMs]; undefined keeps it. Never in a joint change. */
  readonly leaseMs: number | undefined;
}

/** Names a point of the log that a snapshot stands for. */
export interface SnapshotMeta {
  readonly index: number;
  readonly term: number;
  readonly conf: ConfState;
}

interface Envelope {
  readonly from: MemberId;
  readonly to: MemberId;
  /** The sender's term; for a pre-vote request, and for a granted one's response, the term that would follow. */
  readonly term: number;
}

/** Asks for a vote, or, with `pre`, whether a vote would be given (Raft thesis §3.4, §9.6). */
export interface VoteRequest extends Envelope {
  readonly type: "voteRequest";
  readonly pre: boolean;
  readonly lastIndex: number;
  readonly lastTerm: number;
  /** Sent on MsgTimeoutNow: the old leader gave up its lease, so promises to it do not bind (DESIGN §6). */
  readonly transfer: boolean;
}

export interface VoteResponse extends Envelope {
  readonly type: "voteResponse";
  readonly pre: boolean;
  readonly granted: boolean;
}

/** AppendEntries (Raft paper §5.3). Entries are contiguous from prevIndex + 1. */
export interface AppendRequest extends Envelope {
  readonly type: "append";
  readonly prevIndex: number;
  readonly prevTerm: number;
  readonly commit: number;
  readonly entries: readonly Entry[];
}

/**
 * Answers an append.
 * - accepted: `index` is the last index known to equal the leader's log, and it is durable at the sender.
 * - rejected: `index` is the rejected prevIndex; (hintIndex, hintTerm) is the last position at or below it that may
 *   still match (etcd raft's fast conflict backtracking; Raft paper §5.3 end).
 */
export interface AppendResponse extends Envelope {
  readonly type: "appendResponse";
  readonly rejected: boolean;
  readonly index: number;
  readonly hintIndex: number;
  readonly hintTerm: number;
}

/** Carries no entries, so it never waits behind them. */
export interface Heartbeat extends Envelope {
  readonly type: "heartbeat";
  /** Number of this heartbeat round, from 1, unique and rising within the term. */
  readonly round: number;
  /** The lease that the leader asks for; 0: none. */
  readonly leaseMs: number;
  /** min(match of the receiver, the leader's commit index). */
  readonly commit: number;
}

export interface HeartbeatResponse extends Envelope {
  readonly type: "heartbeatResponse";
  readonly round: number;
  /** The sender keeps the promise of DESIGN §6 for this round's lease. */
  readonly promised: boolean;
}

/** Leader transfer (Raft thesis §3.10): campaign at once. */
export interface TimeoutNow extends Envelope {
  readonly type: "timeoutNow";
}

/** Entries that a follower forwards to the leader. */
export interface ProposeRequest extends Envelope {
  readonly type: "propose";
  readonly entries: readonly ProposedEntry[];
}

export interface ProposedEntry {
  readonly type: "normal" | "conf";
  readonly data: Uint8Array;
}

/** A follower asks for a read index (Raft thesis §6.4). */
export interface ReadIndexRequest extends Envelope {
  readonly type: "readIndex";
  /** Chosen by the follower; never used twice, not even by a later process of the same member. */
  readonly requestId: number;
  /** The follower accepts an answer that rests on the leader lease. */
  readonly lease: boolean;
}

export interface ReadIndexResponse extends Envelope {
  readonly type: "readIndexResponse";
  readonly requestId: number;
  readonly index: number;
}

/** What one member sends another on the consensus connection. */
export type Message =
  | VoteRequest
  | VoteResponse
  | AppendRequest
  | AppendResponse
  | Heartbeat
  | HeartbeatResponse
  | TimeoutNow
  | ProposeRequest
  | ReadIndexRequest
  | ReadIndexResponse;

export type MessageType = Message["type"];

export type Role = "follower" | "preCandidate" | "candidate" | "leader";

/** A message was taken, or it was refused for a reason and changed nothing. */
export type StepResult = { readonly type: "ok" } | { readonly type: "refused"; readonly reason: string };

/** How the leader sees one other member (etcd raft: tracker/progress.go). */
export type ProgressState = "probe" | "replicate" | "snapshot";
