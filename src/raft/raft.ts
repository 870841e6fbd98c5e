/**
 * The consensus core of one member: messages, time and completions in; messages, batches to persist, committed entries
 * and read states out. Synchronous, without clock, chance, disk or network of its own (`api.ts` has the contract).
 *
 * The rules about terms stand here, in one place, for every kind of message; what a message means within its term is
 * in `follower.ts`, `election.ts` and `leader.ts`. The shape follows etcd raft: Step, then the step of the role.
 */
import { assert, type MemberId, NO_MEMBER, unreachable } from "../base/index.ts";
import type { MonoMs, Random } from "../env/index.ts";
import type {
  ProposeResult,
  RaftBatch,
  RaftOptions,
  RaftStart,
  ReadState,
  SnapshotWanted,
  TransferResult,
} from "./api.ts";
import { dumpState } from "./dump.ts";
import {
  campaign,
  handleVoteRequest,
  handleVoteResponse,
  isBoundToLeader,
  maybeCampaign,
  ownVoteDurable,
  refuseOldVoteRequest,
} from "./election.ts";
import {
  askReadIndex,
  contradiction,
  handleAppend,
  handleHeartbeat,
  handleReadIndexResponse,
  heardLeader,
  reportPosition,
  restoreSnapshot,
  unwantedSnapshot,
} from "./follower.ts";
import {
  addReader,
  broadcastCommit,
  handleAppendResponse,
  handleHeartbeatResponse,
  maybeCommit,
  propose,
  tickLeader,
  transferLeadership,
} from "./leader.ts";
import { applyConfChange, maybeLeaveJoint, proposeConfChange } from "./membership.ts";
import { RaftState } from "./state.ts";
import type {
  ConfChange,
  ConfState,
  Entry,
  HardState,
  Message,
  ProgressState,
  ProposedEntry,
  Role,
  SnapshotMeta,
  StepResult,
} from "./types.ts";
import { impossibleMessage } from "./validate.ts";

const OK: StepResult = { type: "ok" };

export class Raft {
  readonly #s: RaftState;

  /** @param deps.now the time at which the member starts; promises of the process before are kept from here */
  constructor(options: RaftOptions, start: RaftStart, deps: { random: Random; now: MonoMs }) {
    this.#s = new RaftState(options, start, deps);
  }

  get id(): MemberId {
    return this.#s.id;
  }
  get role(): Role {
    return this.#s.role;
  }
  get term(): number {
    return this.#s.term;
  }
  get vote(): MemberId {
    return this.#s.vote;
  }
  /** Who leads this term, or NO_MEMBER. */
  get leader(): MemberId {
    return this.#s.leader;
  }
  get commit(): number {
    return this.#s.log.committed;
  }
  get persistedIndex(): number {
    return this.#s.log.persisted;
  }
  get applied(): number {
    return this.#s.applied;
  }
  get firstIndex(): number {
    return this.#s.log.firstIndex;
  }
  get lastIndex(): number {
    return this.#s.log.lastIndex;
  }
  get conf(): ConfState {
    return this.#s.conf;
  }
  get uncommittedBytes(): number {
    return this.#s.uncommittedBytes;
  }
  get promiseUntil(): MonoMs {
    return this.#s.promiseUntil;
  }
  /** Until when reads may rest on the lease, by this member's clock; -Infinity when they may not. */
  /** Whom this leader is handing over to, or NO_MEMBER. */
  get transferee(): MemberId {
    return this.#s.transfer?.to ?? NO_MEMBER;
  }
  get leaseUntil(): MonoMs {
    return this.#s.hasLease() ? this.#s.rounds.leaseUntil : Number.NEGATIVE_INFINITY;
  }

  /** Term of the entry at `index`; undefined where the log does not reach. */
  termAt(index: number): number | undefined {
    return this.#s.log.termAt(index);
  }

  /** The entry at `index`, or undefined. */
  entryAt(index: number): Entry | undefined {
    return this.#s.log.entryAt(index);
  }

  /** While leading: the others, in no particular order. */
  progressList(): { id: MemberId; state: ProgressState; match: number }[] {
    const list: { id: MemberId; state: ProgressState; match: number }[] = [];
    for (const [id, progress] of this.#s.progress)
      list.push({ id, state: progress.state, match: progress.match });
    return list;
  }

  /** When `tick` is due at the latest. */
  nextWake(): MonoMs {
    const s = this.#s;
    if (s.role !== "leader") return s.electionDeadline;
    return s.transfer === undefined ? s.heartbeatDue : Math.min(s.heartbeatDue, s.transfer.deadline);
  }

  /** Time passed. May be called at any time; early calls do nothing. */
  tick(now: MonoMs): void {
    this.#at(now);
    if (this.#s.role === "leader") {
      tickLeader(this.#s);
      // A transfer that came to nothing may have kept the leader from it, and nothing else may ever be applied.
      maybeLeaveJoint(this.#s);
    } else {
      maybeCampaign(this.#s);
    }
  }

  /** A message of another member. @param now sampled after its bytes were read */
  step(now: MonoMs, m: Message): StepResult {
    const reason = impossibleMessage(this.#s.id, m);
    if (reason !== undefined) return { type: "refused", reason };
    this.#at(now);
    const s = this.#s;
    if (m.term < s.term) return this.#stepOldTerm(m);
    if (m.type === "append" || m.type === "heartbeat") {
      const contradicts = contradiction(s, m);
      if (contradicts !== undefined) return { type: "refused", reason: contradicts };
    }
    if (m.term > s.term && !this.#adoptTerm(m)) return OK;
    return this.#stepThisTerm(m);
  }

  /** Leader only: appends to the log. */
  propose(now: MonoMs, entries: readonly ProposedEntry[]): ProposeResult {
    this.#at(now);
    return propose(this.#s, entries);
  }

  /** Leader only: appends a configuration change, if one may be made now. @param data the change, encoded */
  proposeConfChange(now: MonoMs, change: ConfChange, data: Uint8Array): ProposeResult {
    this.#at(now);
    return proposeConfChange(this.#s, change, data);
  }

  /** Sends entries to the leader. Returns false when none is known, or when this member is it. */
  forward(now: MonoMs, entries: readonly ProposedEntry[]): boolean {
    this.#at(now);
    const s = this.#s;
    if (s.leader === NO_MEMBER || s.leader === s.id) return false;
    s.send({ type: "propose", from: s.id, to: s.leader, term: s.term, entries });
    return true;
  }

  /** Asks for a read index; the outcome comes by `takeReadStates`. @param waiter any number of the caller's */
  readIndex(now: MonoMs, waiter: number): void {
    this.#at(now);
    if (this.#s.role === "leader") {
      addReader(this.#s, { from: NO_MEMBER, waiter, lease: this.#s.options.leaseReads });
    } else {
      askReadIndex(this.#s, waiter);
    }
  }

  /** Leader only: hands leadership over. @param to a voter; NO_MEMBER: whoever has the most of the log */
  transferLeadership(now: MonoMs, to: MemberId): TransferResult {
    this.#at(now);
    return transferLeadership(this.#s, to);
  }

  /** Everything not yet durable, or undefined when there is nothing, or when the batch before is still on its way. */
  takeBatch(): RaftBatch | undefined {
    const s = this.#s;
    if (s.batchOut !== undefined || !s.hasUnsaved()) return undefined;
    const hardState: HardState = { term: s.term, vote: s.vote, commit: s.log.committed };
    const snapshot = s.snapshotUnsaved;
    s.snapshotUnsaved = undefined;
    s.batchOut = { hardState, snapshot: snapshot !== undefined };
    s.heldForBatch = s.held;
    s.held = [];
    return { snapshot, entries: s.log.takeUnsaved(), hardState, afterPersist: s.heldForBatch };
  }

  /** The batch last taken is durable. Its `afterPersist` may be sent now; they come out by `takeMessages`. */
  persisted(now: MonoMs): void {
    this.#at(now);
    const s = this.#s;
    const out = s.batchOut;
    assert(out !== undefined, "a batch was reported durable that was never taken");
    s.batchOut = undefined;
    s.durable = out.hardState;
    s.log.saved();
    for (const message of s.heldForBatch) s.outbox.push(message);
    s.heldForBatch = [];
    ownVoteDurable(s);
    // The leader's own disk is one vote of the quorum, and it may be the last one missing.
    if (s.role === "leader" && maybeCommit(s)) broadcastCommit(s);
  }

  /**
   * What may be sent now. What was held goes with the batch that it depends on: it comes out here by itself only when
   * it depends on nothing that is not durable.
   */
  takeMessages(): Message[] {
    const s = this.#s;
    if (s.held.length > 0 && !s.hasUnsaved()) {
      const target = s.batchOut === undefined ? s.outbox : s.heldForBatch;
      for (const message of s.held) target.push(message);
      s.held = [];
    }
    const messages = s.outbox;
    if (messages.length > 0) s.outbox = [];
    return messages;
  }

  /** Committed entries that are durable here, in order, each once. None while a snapshot is being installed. */
  takeCommitted(maxEntries: number, maxBytes: number): Entry[] {
    if (this.#s.installing !== undefined) return [];
    return this.#s.log.takeCommitted(maxEntries, maxBytes);
  }

  takeReadStates(): ReadState[] {
    const states = this.#s.readStates;
    if (states.length > 0) this.#s.readStates = [];
    return states;
  }

  takeSnapshotsWanted(): readonly SnapshotWanted[] {
    const wanted = this.#s.snapshotsWanted;
    if (wanted.length === 0) return [];
    this.#s.snapshotsWanted = [];
    return wanted.map((to) => ({ to }));
  }

  /** The caller applied the configuration entry at `index`: it takes effect now. Call before `appliedTo(index)`. */
  applyConfChange(now: MonoMs, index: number, change: ConfChange): ConfState {
    this.#at(now);
    assert(index > this.#s.applied && index <= this.#s.log.handed, "configuration applied out of order", {
      index,
      applied: this.#s.applied,
      handed: this.#s.log.handed,
    });
    return applyConfChange(this.#s, change);
  }

  /** The caller applied everything up to `index`. */
  appliedTo(now: MonoMs, index: number): void {
    this.#at(now);
    const s = this.#s;
    assert(index >= s.applied && index <= s.log.handed, "applied out of order", {
      index,
      applied: s.applied,
      handed: s.log.handed,
    });
    s.applied = index;
    maybeLeaveJoint(s);
  }

  /** Drops log entries up to and with `index`, which the state's backend has durably. */
  compact(index: number): void {
    assert(index <= this.#s.applied, "cut beyond applied", { index, applied: this.#s.applied });
    this.#s.log.compact(index);
  }

  /**
   * A complete snapshot lies durable in its directory. When it is accepted, the next batch carries its record, and the
   * caller loads the state once that batch is durable.
   */
  restoreSnapshot(
    now: MonoMs,
    m: { readonly from: MemberId; readonly to: MemberId; readonly term: number; readonly meta: SnapshotMeta },
  ): { readonly type: "accepted" } | { readonly type: "ignored"; readonly reason: string } {
    this.#at(now);
    const s = this.#s;
    if (m.to !== s.id) return { type: "ignored", reason: "it is for another member" };
    if (m.term > s.term) s.becomeFollower(m.term, m.from);
    else if (m.term === s.term && s.role !== "leader") heardLeader(s, m.from);
    const reason = unwantedSnapshot(s, m.meta);
    if (reason !== undefined) {
      if (s.role !== "leader") reportPosition(s, m.from);
      return { type: "ignored", reason };
    }
    // What a snapshot holds is committed whoever sent it, so an older term does not make it worse.
    restoreSnapshot(s, m.meta);
    reportPosition(s, m.from);
    return { type: "accepted" };
  }

  /** The state of the accepted snapshot is loaded: applied jumps to its index. */
  snapshotInstalled(now: MonoMs, index: number): void {
    this.#at(now);
    const s = this.#s;
    const meta = s.installing;
    assert(meta !== undefined && meta.index === index, "another snapshot was installed", { index });
    s.installing = undefined;
    s.applied = index;
    s.conf = meta.conf;
  }

  /** The view that will be sent to `to` stands at `index`. */
  snapshotOpened(now: MonoMs, to: MemberId, index: number): void {
    this.#at(now);
    const progress = this.#s.progress.get(to);
    if (progress?.state === "snapshot") progress.pendingSnapshot = index;
  }

  /** Sending the snapshot to `to` ended; `ok`: all of it was taken by the other side. */
  snapshotStatus(now: MonoMs, to: MemberId, ok: boolean): void {
    this.#at(now);
    const progress = this.#s.progress.get(to);
    if (progress?.state !== "snapshot") return;
    if (!ok) progress.snapshotFailed();
    progress.becomeProbe();
    // Not at once: the member needs time to install it, and a failed one may fail again. Its next heartbeat answer
    // opens the way.
    progress.probeSent = true;
  }

  /** The transport lost something that was for `peer`: what is on the way to it may not arrive. */
  unreachable(now: MonoMs, peer: MemberId): void {
    this.#at(now);
    const progress = this.#s.progress.get(peer);
    if (progress?.state === "replicate") progress.becomeProbe();
  }

  /** Asserts everything that must hold between two inputs. */
  checkInvariants(): void {
    const s = this.#s;
    const unsaved = s.snapshotUnsaved !== undefined || s.batchOut?.snapshot === true;
    s.log.checkInvariants(unsaved);
    assert(s.applied <= s.log.handed, "applied > handed", { applied: s.applied, handed: s.log.handed });
    assert(s.durable.term <= s.term, "durable term > term", { durable: s.durable.term, term: s.term });
    if (s.role === "leader") {
      assert(s.leader === s.id && s.vote === s.id, "a leader without its own vote", { leader: s.leader });
      for (const progress of s.progress.values()) progress.checkInvariants(s.log.lastIndex);
      assert(s.durable.term === s.term, "a leader whose term is not durable", { term: s.term });
    } else {
      assert(s.progress.size === 0, "progress without leading", { role: s.role });
    }
    if (s.role === "candidate")
      assert(s.vote === s.id, "a candidate that voted for another", { vote: s.vote });
    if (s.role === "preCandidate" || s.role === "candidate") {
      assert(s.leader === NO_MEMBER, "a candidate with a leader", { leader: s.leader });
    }
  }

  /** As `checkInvariants`, and the whole log; its cost grows with the log. */
  checkInvariantsDeep(): void {
    this.checkInvariants();
    this.#s.log.checkEntries();
  }

  /** Everything that decides what this member will do, as text (dump.ts). Cost grows with the log. */
  dump(): string {
    return dumpState(this.#s);
  }

  #at(now: MonoMs): void {
    if (now > this.#s.now) this.#s.now = now;
  }

  /**
   * The sender is behind. A leader or candidate of an old term is told, so that it steps down or catches up: with
   * pre-vote it would otherwise never learn of a later term that had no leader (etcd raft: Step, etcd #8501).
   */
  #stepOldTerm(m: Message): StepResult {
    const s = this.#s;
    if (m.type === "append" || m.type === "heartbeat") {
      reportPosition(s, m.from);
    } else if (m.type === "voteRequest") {
      if (m.pre) refuseOldVoteRequest(s, m);
    } else if (m.type === "propose" || m.type === "readIndex") {
      // Both are questions of a client, and older than no term: the asker may just not have heard of ours.
      return this.#stepThisTerm(m);
    }
    return OK;
  }

  /** The sender is ahead. Returns false when the message must not even be heard. */
  #adoptTerm(m: Message): boolean {
    const s = this.#s;
    if (m.type === "voteRequest") {
      // A pre-vote changes nobody's term. A vote request is not heard while we are bound to a leader: otherwise a
      // member that was cut off, or was removed and does not know it, could depose a leader that serves everybody.
      if (m.pre) return true;
      if (isBoundToLeader(s, m)) return false;
      s.becomeFollower(m.term, NO_MEMBER);
      return true;
    }
    if (m.type === "voteResponse" && m.pre && m.granted) return true;
    const fromLeader = m.type === "append" || m.type === "heartbeat" || m.type === "timeoutNow";
    s.becomeFollower(m.term, fromLeader ? m.from : NO_MEMBER);
    return true;
  }

  #stepThisTerm(m: Message): StepResult {
    const s = this.#s;
    switch (m.type) {
      case "voteRequest":
        handleVoteRequest(s, m);
        return OK;
      case "voteResponse":
        handleVoteResponse(s, m);
        return OK;
      case "append":
        return handleAppend(s, m);
      case "heartbeat":
        return handleHeartbeat(s, m);
      case "appendResponse":
        return s.role === "leader" ? handleAppendResponse(s, m) : OK;
      case "heartbeatResponse":
        return s.role === "leader" ? handleHeartbeatResponse(s, m) : OK;
      case "timeoutNow":
        if (s.role === "follower" && s.leader === m.from && s.isPromotable()) campaign(s, true);
        return OK;
      case "propose":
        if (s.role === "leader") propose(s, m.entries);
        return OK;
      case "readIndex":
        if (s.role === "leader") addReader(s, { from: m.from, waiter: m.requestId, lease: m.lease });
        return OK;
      case "readIndexResponse":
        return handleReadIndexResponse(s, m);
      default:
        return unreachable(m);
    }
  }
}
