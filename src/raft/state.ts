/**
 * The state of one member's consensus core, and the small moves on it that every part shares. `election.ts`,
 * `follower.ts`, `leader.ts` and `membership.ts` are functions over this state; `raft.ts` is the public class.
 *
 * What leaves in messages falls in two classes (Raft paper, figure 2; thesis §3.8, §10.2.1): `send` for what promises
 * nothing, and `hold` for what may leave only after the state that this input changed is durable: votes, vote requests
 * (they name the end of our log and our term), and every answer to an append, refusals too, because they show our term.
 */
import { assert, type MemberId, NO_MEMBER } from "../base/index.ts";
import type { MonoMs, Random } from "../env/index.ts";
import type { RaftOptions, RaftStart, ReadState } from "./api.ts";
import { isVoter, membersOf } from "./conf.ts";
import { RaftLog } from "./log.ts";
import { Progress } from "./progress.ts";
import { Rounds } from "./rounds.ts";
import type { ConfState, HardState, Message, Role, SnapshotMeta } from "./types.ts";

/**
 * A member promises for this much longer than the lease that it was asked for, so that a leader's clock may run
 * slower than its own by this ratio (DESIGN §6). The safety of lease reads rests on it, and on nothing else in time.
 */
export const PROMISE_FACTOR = 1.1;

/** Leaders exist from this term on: term 1 is that of the bootstrap entry. */
export const FIRST_ELECTED_TERM = 2;

/** Most messages that wait for the disk; a disk that stands still must not cost memory without end. */
export const MAX_HELD_MESSAGES = 4096;

/** A follower's question for a read index that is on its way to the leader. */
export interface RemoteRead {
  readonly requestId: number;
  readonly waiters: readonly number[];
  sentAt: MonoMs;
}

export class RaftState {
  readonly options: RaftOptions;
  readonly id: MemberId;
  readonly random: Random;
  readonly log: RaftLog;

  /** Time of the current input; never falls. */
  now: MonoMs;
  role: Role = "follower";
  /** Invariant: never falls. */
  term: number;
  /** Who got our vote in `term`. Invariant: set once per term. */
  vote: MemberId;
  leader: MemberId = NO_MEMBER;
  conf: ConfState;
  /** Invariant: log.base <= applied <= log.handed. */
  applied: number;
  /** What the disk holds of the hard state. */
  durable: HardState;

  /** When a follower or candidate campaigns. */
  electionDeadline: MonoMs = 0;
  /** When a message of the current leader last came; -Infinity: never. */
  leaderHeardAt: MonoMs = Number.NEGATIVE_INFINITY;
  /** Until when we vote for nobody and do not campaign (DESIGN §6). */
  promiseUntil: MonoMs = Number.NEGATIVE_INFINITY;
  readonly votes = new Map<MemberId, boolean>();
  /** The campaign under way was ordered by the leader (MsgTimeoutNow). */
  transferCampaign = false;

  /** Leader only. */
  heartbeatDue: MonoMs = 0;
  readonly progress = new Map<MemberId, Progress>();
  rounds = new Rounds();
  /** No other configuration entry may be proposed before this index is applied (Raft thesis §4.1). */
  pendingConfIndex = 0;
  /** The transfer under way. `sent`: MsgTimeoutNow is out. */
  transfer: { readonly to: MemberId; readonly deadline: MonoMs; sent: boolean } | undefined;
  /** MsgTimeoutNow went out in this term: no lease reads until the term ends. */
  leaseGivenUp = false;
  /** Payload bytes proposed in this term and not yet committed. */
  uncommittedBytes = 0;
  snapshotsWanted: MemberId[] = [];

  /** Follower only: read-index questions. At most one is on its way, later readers wait for the next. */
  remoteRead: RemoteRead | undefined;
  readonly queuedReads: number[] = [];
  nextRequestId: number;

  /** A snapshot that was accepted and whose state is not loaded yet: nothing is applied, nobody campaigns. */
  installing: SnapshotMeta | undefined;
  /** Its record was not handed to a batch yet. */
  snapshotUnsaved: SnapshotMeta | undefined;

  batchOut: { readonly hardState: HardState; readonly snapshot: boolean } | undefined;
  outbox: Message[] = [];
  held: Message[] = [];
  /** Held for the batch that is out, and for nothing later. */
  heldForBatch: Message[] = [];
  readStates: ReadState[] = [];

  constructor(options: RaftOptions, start: RaftStart, deps: { random: Random; now: MonoMs }) {
    this.options = options;
    this.id = options.id;
    this.random = deps.random;
    this.now = deps.now;
    this.log = new RaftLog(start.base, start.entries, start.applied, start.hardState.commit);
    this.term = start.hardState.term;
    this.vote = start.hardState.vote;
    this.durable = start.hardState;
    this.conf = start.conf;
    this.applied = start.applied;
    // A random start keeps the numbers of different processes of one member apart: a late answer to a question of the
    // process before must not be taken for an answer to one of ours.
    this.nextRequestId = 1 + deps.random.int(0, 2 ** 46);
    // What we promised before the restart is forgotten, so the longest that can have been promised is kept. Only a
    // term with an elected leader that was durable here can have seen a promise (see `heartbeat` in follower.ts).
    if (start.hardState.term >= FIRST_ELECTED_TERM) {
      this.promiseUntil = deps.now + start.longestLeaseMs * PROMISE_FACTOR;
    }
    this.resetElectionDeadline();
  }

  /** Sends without waiting for the disk. */
  send(message: Message): void {
    this.outbox.push(message);
  }

  /**
   * Sends once everything that this member has changed so far is durable. Beyond the limit the message is dropped: it
   * is an answer or a vote request, and its receiver asks or waits again, as after a loss on the way.
   */
  hold(message: Message): void {
    if (this.held.length + this.heldForBatch.length >= MAX_HELD_MESSAGES) return;
    this.held.push(message);
  }

  resetElectionDeadline(): void {
    const base = this.options.electionTimeoutMs;
    this.electionDeadline = this.now + base + this.random.int(0, base);
  }

  /** Whether we have a leader that we heard within an election timeout; then nobody may disturb it (thesis §4.2.3). */
  hasLiveLeader(): boolean {
    if (this.role === "leader") return true;
    return this.leader !== NO_MEMBER && this.now < this.leaderHeardAt + this.options.electionTimeoutMs;
  }

  /** Whether some change of term, vote, log or snapshot has not been handed to a batch. A commit alone can wait. */
  hasUnsaved(): boolean {
    const last = this.batchOut?.hardState ?? this.durable;
    return (
      last.term !== this.term ||
      last.vote !== this.vote ||
      this.snapshotUnsaved !== undefined ||
      this.log.hasUnsaved()
    );
  }

  /** Highest index that is known to be durable at `id`; its own disk is one vote like any other. */
  matchOf = (id: MemberId): number => {
    if (id === this.id) return this.log.persisted;
    return this.progress.get(id)?.match ?? 0;
  };

  /** Whether an entry of the current term is committed: before that a leader does not know what is (thesis §6.4). */
  hasCommittedInTerm(): boolean {
    return this.log.termAt(this.log.committed) === this.term;
  }

  /** Whether the leader may answer reads by its lease now. */
  hasLease(): boolean {
    return (
      this.role === "leader" &&
      this.options.leaseReads &&
      !this.leaseGivenUp &&
      this.pendingConfIndex <= this.applied &&
      this.hasCommittedInTerm() &&
      this.now < this.rounds.leaseUntil
    );
  }

  /** Makes `progress` hold just the members of the configuration but ourselves. */
  syncProgress(): void {
    const members = new Set(membersOf(this.conf));
    for (const id of this.progress.keys()) if (!members.has(id)) this.progress.delete(id);
    for (const id of members) {
      if (id === this.id || this.progress.has(id)) continue;
      const progress = new Progress(this.log.lastIndex + 1, this.options.maxInflightMessages);
      // It counts as heard when it begins: it gets one election timeout to answer before the quorum check.
      progress.heardAt = this.now;
      this.progress.set(id, progress);
    }
  }

  /**
   * Enters a later term. What was held in the one before is dropped: an acknowledgement among it may name entries that
   * the next leader overwrites before they ever reach this disk, and nobody needs an answer of an old term.
   */
  enterTerm(term: number, vote: MemberId): void {
    this.term = term;
    this.vote = vote;
    this.held = [];
  }

  /** Every role change ends in one of these three. @param leader who leads `term`, NO_MEMBER if not known */
  becomeFollower(term: number, leader: MemberId): void {
    assert(term >= this.term, "the term falls", { term, current: this.term });
    if (term > this.term) this.enterTerm(term, NO_MEMBER);
    this.leaveRole();
    this.role = "follower";
    this.setLeader(leader);
    this.resetElectionDeadline();
  }

  /** Ends what belongs to the role and term before: readers, transfers, votes. */
  leaveRole(): void {
    if (this.role === "leader") {
      for (const reader of this.rounds.takeAll()) {
        if (reader.from === NO_MEMBER) this.dropRead(reader.waiter, "leader changed");
      }
      this.progress.clear();
      this.snapshotsWanted = [];
      this.transfer = undefined;
      this.leaseGivenUp = false;
      this.uncommittedBytes = 0;
    }
    this.votes.clear();
    this.transferCampaign = false;
  }

  setLeader(leader: MemberId): void {
    if (leader === this.leader) return;
    this.leader = leader;
    this.leaderHeardAt = Number.NEGATIVE_INFINITY;
    this.dropRemoteReads("leader changed");
  }

  dropRemoteReads(reason: "leader changed" | "no leader"): void {
    for (const waiter of this.remoteRead?.waiters ?? []) this.dropRead(waiter, reason);
    for (const waiter of this.queuedReads) this.dropRead(waiter, reason);
    this.remoteRead = undefined;
    this.queuedReads.length = 0;
  }

  dropRead(waiter: number, reason: "no leader" | "leader changed" | "too many requests"): void {
    this.readStates.push({ type: "dropped", waiter, reason });
  }

  /**
   * Whether this member may stand for election at all: it has a vote, its state is whole, and it knows its own
   * configuration: a committed change that it has not applied may have changed who votes (etcd raft: hup).
   */
  isPromotable(): boolean {
    if (!isVoter(this.conf, this.id) || this.installing !== undefined) return false;
    for (let i = this.applied + 1; i <= this.log.committed; i++) {
      if (this.log.entryAt(i)?.type === "conf") return false;
    }
    return true;
  }
}
