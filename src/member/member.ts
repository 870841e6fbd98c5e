/**
 * One member as one synchronous machine: inputs with the time go in, effects come out (types.ts). Nothing here waits,
 * reads a clock or does I/O; the driver carries out the effects and reports back.
 *
 * Every input ends in `#settle`, which brings everything that can move to rest. Its order matters:
 * applying comes before reads (they see the newest state), everything that may append comes before the persist batch
 * is taken (so one batch carries it), and messages come last, because what may be sent depends on what was handed to
 * the disk.
 */

import type { KvStateOfMember, ListedMember } from "../apply/index.ts";
import { assert, ERR, fail, type InstanceId, type MemberId, NO_MEMBER } from "../base/index.ts";
import type { BackendState, MonoMs, Random, RecordReader, RecoveredLog } from "../env/index.ts";
import type { RequestId } from "../pb/index.ts";
import {
  type ConfState,
  type Entry,
  isMember,
  type Message,
  Raft,
  type Role,
  type SnapshotMeta,
} from "../raft/index.ts";
import type { WatchHubApi } from "../watch/index.ts";
import { answerReads, applyCommitted } from "./applying.ts";
import { answerHeld, heldDue, leasesDue, manageLeases, maybePromote, noticeLeadership } from "./leases.ts";
import { type LoadedState, loadWhole, metaOf } from "./loading.ts";
import { judgeRecovered, wrongInstance } from "./open.ts";
import { validateOptions } from "./options.ts";
import { publishIfDue, takeForwarded, takeRequest } from "./requests-in.ts";
import { MemberState } from "./state.ts";
import {
  backendDone,
  compactionDue,
  cutLog,
  deleteCompacted,
  handOverIfDiskIsSlow,
  issueBackendBatch,
  issuePersistBatch,
  persistDone,
  slowDiskAt,
} from "./storage.ts";
import {
  installState,
  manageStreams,
  type ReceivedSnapshot,
  stopStreams,
  streamEnded,
  streamOpened,
  takeSnapshot,
} from "./transfers.ts";
import type { Effects, MemberOptions, MemberStatus, Request } from "./types.ts";

/** Units of catching up that watchers may do in one tick: about two milliseconds. */
const WATCH_SLICE = 2_000;

/** What is known of a member, for the handshake with it. */
export interface PeerRecord {
  /** Whether it is in the applied configuration; the local one may lag behind the cluster's. */
  readonly known: boolean;
  readonly removed: boolean;
  /** 0: not pinned yet, or removed. */
  readonly pinnedInstance: InstanceId;
}

/** A member that can run, or why it may not run on what was recovered. */
export type Opened =
  | { readonly type: "ok"; readonly member: Member }
  | { readonly type: "refused"; readonly reason: string };

/**
 * Opens a member on what its log and its backend hold durably. The effects of opening are taken like any others.
 *
 * @param recovered.log repaired and ready for appends
 * @param recovered.state of the directory that the log's newest snapshot record names
 * @param recovered.below where the records of a whole state are read from now on; undefined: they are kept in memory
 */
export function openMember(
  options: MemberOptions,
  recovered: {
    readonly log: RecoveredLog;
    readonly state: BackendState | LoadedState;
    readonly below?: RecordReader | undefined;
  },
  deps: { readonly random: Random },
  now: MonoMs,
): Opened {
  const { log, state } = recovered;
  const valid = validateOptions(options);
  if (valid.type === "refused") return valid;
  const judged = judgeRecovered(log, metaOf(state));
  if (judged.type === "refused") return judged;
  const loaded = loadWhole(options, state, recovered.below);
  if (loaded.type === "refused") return loaded;
  const { applied, changes } = loaded.state;
  const pinned = applied.members.pinned(options.id);
  if (pinned !== 0n && pinned !== options.instance) {
    return { type: "refused", reason: wrongInstance(options.id, pinned, options.instance) };
  }
  const raft = new Raft(
    {
      id: options.id,
      electionTimeoutMs: options.electionTimeoutMs,
      heartbeatMs: options.heartbeatMs,
      leaseReads: options.readMode === "lease",
      maxInflightMessages: options.maxInflightMessages,
      maxAppendBytes: options.maxAppendBytes,
      maxUncommittedBytes: options.maxUncommittedBytes,
      maxPendingReads: options.maxPendingRequests,
    },
    judged.start,
    { random: deps.random, now },
  );
  const start = { applied, changes, stateDirectory: log.snapshot?.index ?? 0 };
  return { type: "ok", member: new Member(new MemberState(options, raft, start, deps, now)) };
}

/** Made by `openMember`. */
export class Member {
  readonly #s: MemberState;

  constructor(state: MemberState) {
    this.#s = state;
    this.#settle();
  }

  /** Time passed. Due at `nextWake` at the latest; early calls do nothing. */
  tick(now: MonoMs): void {
    if (!this.#begin(now)) return;
    const s = this.#s;
    s.raft.tick(now);
    deleteCompacted(s);
    s.watch.tick(now, WATCH_SLICE);
    const read = s.reads.step();
    if (read !== undefined) s.finishRead(read);
    this.#settle();
  }

  /** A message from a peer that passed the handshake. Refused ones are reported in the effects. */
  step(now: MonoMs, message: Message): void {
    if (!this.#begin(now)) return;
    const s = this.#s;
    if (message.type === "propose") {
      takeForwarded(s, message);
    } else {
      const result = s.raft.step(now, message);
      if (result.type === "refused") s.effects.refuse({ from: message.from, reason: result.reason });
    }
    this.#settle();
  }

  /** A client's request. Exactly one answer with `id` comes, now or later; `id` is the driver's and never reused. */
  request(now: MonoMs, id: number, request: Request): void {
    if (!this.#begin(now)) {
      this.#s.effects.answer({ type: "refused", id, error: ERR.stopped });
      return;
    }
    takeRequest(this.#s, id, request);
    this.#settle();
  }

  /** The persist batch `seq` is durable. */
  persisted(now: MonoMs, seq: number): void {
    if (!this.#begin(now)) return;
    persistDone(this.#s, seq);
    this.#settle();
  }

  /** The backend batch `seq` is durable. */
  backendDurable(now: MonoMs, seq: number): void {
    if (!this.#begin(now)) return;
    backendDone(this.#s, seq);
    this.#settle();
  }

  /** The view of the backend for a stream is open, and stands at `meta`. */
  snapshotOpened(now: MonoMs, stream: number, meta: SnapshotMeta): void {
    if (!this.#begin(now)) return;
    streamOpened(this.#s, stream, meta);
    this.#settle();
  }

  /** A stream ended. @param ok whether the other side has all of it */
  snapshotSent(now: MonoMs, stream: number, ok: boolean): void {
    if (!this.#begin(now)) return;
    streamEnded(this.#s, stream, ok);
    this.#settle();
  }

  /** A snapshot was received, and its directory `state-<index>` is complete and durable. */
  snapshotReceived(now: MonoMs, snapshot: ReceivedSnapshot): void {
    if (!this.#begin(now)) return;
    takeSnapshot(this.#s, snapshot);
    this.#settle();
  }

  /** The state that `installSnapshot` named is loaded. */
  snapshotInstalled(now: MonoMs, state: BackendState | LoadedState, below?: RecordReader): void {
    if (!this.#begin(now)) return;
    installState(this.#s, state, below);
    this.#settle();
  }

  /** The transport lost messages to `peer`. */
  unreachable(now: MonoMs, peer: MemberId): void {
    if (!this.#begin(now)) return;
    this.#s.raft.unreachable(now, peer);
    this.#settle();
  }

  /**
   * Begins to stop: new requests are refused, leadership is handed over, those who wait get their answers as far as
   * an election timeout allows. `isEnded` says when it is done. Calling it again changes nothing.
   */
  stop(now: MonoMs): void {
    if (!this.#begin(now)) return;
    const s = this.#s;
    s.stopping ??= { deadline: now + s.options.electionTimeoutMs, handOver: "due" };
    this.#settle();
  }

  /** What the driver must do now; taking it empties it. */
  takeEffects(): Effects {
    return this.#s.effects.take();
  }

  /** When `tick` is due at the latest; Infinity: never. */
  nextWake(): MonoMs {
    const s = this.#s;
    if (s.ended) return Number.POSITIVE_INFINITY;
    if (s.moreToApply || s.reads.size > 0) return s.now;
    return Math.min(
      s.raft.nextWake(),
      s.pending.nextDeadline(),
      s.install === undefined ? s.backend.nextDue() : Number.POSITIVE_INFINITY,
      s.streams.nextDeadline(),
      slowDiskAt(s),
      leasesDue(s),
      heldDue(s),
      compactionDue(s),
      s.watch.nextWake(s.now),
      s.stopping?.deadline ?? Number.POSITIVE_INFINITY,
    );
  }

  /** It has stopped or failed: every further input is ignored, and requests are refused. */
  get isEnded(): boolean {
    return this.#s.ended;
  }

  /** The configuration as applied; another object whenever it changed. */
  get conf(): ConfState {
    return this.#s.raft.conf;
  }

  /** A snapshot that was accepted is on its way into the log, or being loaded: its directory must stay. */
  get isInstalling(): boolean {
    return this.#s.install !== undefined;
  }

  /** The members of the applied configuration in order of ID; another object whenever something of it changed. */
  members(): readonly ListedMember[] {
    return this.#s.applied.listMembers();
  }

  get role(): Role {
    return this.#s.raft.role;
  }

  get term(): number {
    return this.#s.raft.term;
  }

  /** NO_MEMBER: none is known in this term. */
  get leader(): MemberId {
    return this.#s.raft.leader;
  }

  status(): MemberStatus {
    const { raft, applied } = this.#s;
    return {
      id: raft.id,
      role: raft.role,
      term: raft.term,
      vote: raft.vote,
      leader: raft.leader,
      commit: raft.commit,
      persisted: raft.persistedIndex,
      applied: applied.index,
      firstIndex: raft.firstIndex,
      lastIndex: raft.lastIndex,
      conf: raft.conf,
      leaseUntil: raft.leaseUntil,
      transferee: raft.transferee,
      promiseUntil: raft.promiseUntil,
      progress: raft.progressList(),
    };
  }

  /** Hash over everything applied; equal on all members with equal applied index. Unsigned 32-bit. */
  stateHash(): number {
    return this.#s.applied.hash();
  }

  /** The watch streams. They may be used between inputs; what they wait for asks for a tick (`nextWake`). */
  get watch(): WatchHubApi {
    return this.#s.watch;
  }

  /** Keys, leases and alarms as applied, for reading. */
  get kv(): KvStateOfMember {
    return this.#s.applied.kv;
  }

  /** Under which identity the write `id` was proposed, while it waits. For traces and tests. */
  identityOf(id: number): RequestId | undefined {
    const sequence = this.#s.pending.sequenceOf(id);
    return sequence === undefined ? undefined : this.#s.requestIdOf(sequence);
  }

  /** The entry at `index`; undefined when the log no longer holds it, or not yet. For traces and tests. */
  entryAt(index: number): Entry | undefined {
    const { raft } = this.#s;
    return index < raft.firstIndex || index > raft.lastIndex ? undefined : raft.entryAt(index);
  }

  /** What the handshake with a peer judges by. */
  peerRecord(id: MemberId): PeerRecord {
    const { raft, applied } = this.#s;
    return {
      known: isMember(raft.conf, id),
      removed: applied.members.isRemoved(id),
      pinnedInstance: applied.members.pinned(id),
    };
  }

  /** @throws AssertionError when something does not hold that must hold between two inputs */
  checkInvariants(): void {
    const s = this.#s;
    if (s.ended) return;
    s.raft.checkInvariants();
    s.applied.checkInvariants();
    s.applied.kv.store.checkInvariants();
    s.applied.kv.leases.checkInvariants();
    s.watch.checkInvariants();
    s.pending.checkInvariants();
    s.streams.checkInvariants();
    s.backend.checkInvariants(s.applied.index);
    const { index } = s.applied;
    assert(index === s.raft.applied, "two applied indexes", { state: index, raft: s.raft.applied });
    assert(s.install !== undefined || index <= s.raft.persistedIndex, "applied and not durable", {
      applied: index,
      persisted: s.raft.persistedIndex,
    });
    const durable = s.backend.durableIndex;
    assert(
      s.install !== undefined || s.raft.firstIndex - 1 <= durable,
      "the log was cut beyond the backend",
      {
        first: s.raft.firstIndex,
        durable,
      },
    );
    assert(s.install === undefined || s.install.meta.index > index, "a snapshot behind the state", {
      snapshot: s.install?.meta.index ?? 0,
      applied: index,
    });
  }

  /** Takes the time of an input; false: the member does nothing any more. */
  #begin(now: MonoMs): boolean {
    const s = this.#s;
    if (s.ended) return false;
    if (now < s.now) fail("time went back", { now, before: s.now });
    s.now = now;
    return true;
  }

  #settle(): void {
    const s = this.#s;
    if (s.ended) return;
    this.#noticeRole();
    applyCommitted(s);
    if (s.ended) return;
    maybePromote(s);
    answerReads(s);
    s.effects.answerAll(s.pending.expire(s.now));
    s.effects.answerAll(s.reads.expire(s.now));
    manageLeases(s);
    answerHeld(s);
    publishIfDue(s);
    handOverIfDiskIsSlow(s);
    this.#noticeRole();
    manageStreams(s);
    issuePersistBatch(s);
    issueBackendBatch(s);
    cutLog(s);
    s.effects.addMessages(s.raft.takeMessages());
    this.#maybeEnd();
  }

  /** Begins or ends what belongs to one term of leading. */
  #noticeRole(): void {
    const s = this.#s;
    const leads = s.raft.role === "leader" ? s.raft.term : 0;
    if (leads === s.leadsTerm) return;
    s.leadsTerm = leads;
    noticeLeadership(s);
    if (leads === 0) s.proposed.follow();
    else s.proposed.lead((index) => s.raft.entryAt(index), s.applied.index, s.raft.lastIndex);
  }

  /** While stopping: hands over once, then ends when nobody waits any more, or time is up. */
  #maybeEnd(): void {
    const s = this.#s;
    const stopping = s.stopping;
    if (stopping === undefined) return;
    if (stopping.handOver === "due") {
      const result = s.raft.transferLeadership(s.now, NO_MEMBER);
      stopping.handOver = result.type === "started" ? "started" : "none";
      s.effects.addMessages(s.raft.takeMessages());
    }
    // Not merely until it leads no more: the successor may need this member's vote, which waits for the disk.
    const isHandingOver =
      stopping.handOver === "started" && (s.raft.role === "leader" || s.raft.leader === NO_MEMBER);
    if (s.now < stopping.deadline && (isHandingOver || s.waiting > 0)) return;
    s.effects.answerAll(s.pending.drain(ERR.stopped, ERR.stopped.message));
    s.effects.answerAll(s.reads.drain(ERR.stopped));
    for (const { id } of s.heldKeepAlives) s.effects.answer({ type: "refused", id, error: ERR.stopped });
    s.heldKeepAlives = [];
    stopStreams(s);
    s.ended = true;
  }
}
