/**
 * What a member does for a leader: take entries, answer heartbeats, promise the lease, pass on its own clients'
 * questions. Raft paper §5.3; thesis §6.4; DESIGN §6.
 */
import { type MemberId, NO_MEMBER } from "../base/index.ts";
import type { RaftState } from "./state.ts";
import { PROMISE_FACTOR } from "./state.ts";
import type { AppendRequest, Heartbeat, ReadIndexResponse, SnapshotMeta, StepResult } from "./types.ts";

const OK: StepResult = { type: "ok" };

/** Every message of the current term's leader proves that it is alive. */
export function heardLeader(s: RaftState, leader: MemberId): void {
  if (s.role !== "follower") s.becomeFollower(s.term, leader);
  s.setLeader(leader);
  s.leaderHeardAt = s.now;
  s.resetElectionDeadline();
}

export function handleAppend(s: RaftState, m: AppendRequest): StepResult {
  heardLeader(s, m.from);
  if (m.prevIndex < s.log.committed) {
    // Old news: everything up to our commit index agrees with every leader there can be.
    acknowledge(s, m.from, s.log.committed);
    return OK;
  }
  if (s.log.termAt(m.prevIndex) !== m.prevTerm) {
    rejectAppend(s, m);
    return OK;
  }
  const conflict = s.log.firstConflict(m.entries);
  if (conflict !== undefined) s.log.overwrite(m.entries.slice(conflict.index - m.prevIndex - 1));
  const matched = m.prevIndex + m.entries.length;
  // Only what *this* message proved to agree may be committed: behind it may lie an obsolete tail of our own
  // (Raft paper, figure 2, AppendEntries rule 5, "index of last new entry"; scylladb #9965).
  s.log.maybeCommit(Math.min(m.commit, matched));
  acknowledge(s, m.from, matched);
  return OK;
}

/**
 * Why no correct leader can have sent this to us, or undefined. Asked before the message may change anything, its term
 * included.
 */
export function contradiction(s: RaftState, m: AppendRequest | Heartbeat): string | undefined {
  if (m.term === s.term && (s.role === "leader" || (s.leader !== NO_MEMBER && s.leader !== m.from))) {
    return `two leaders in term ${s.term}`;
  }
  if (m.type === "heartbeat") {
    return m.commit <= s.log.lastIndex
      ? undefined
      : `commit ${m.commit} is beyond the log's last index ${s.log.lastIndex}: ` +
          "this member has lost entries that it had acknowledged, or the message is forged";
  }
  // A leader has every committed entry, so the position that the entries follow cannot differ either. An append that
  // begins below the commit index is answered without being compared: unchecked, it would count as agreement.
  const behind = contradictsCommitted(s, m.prevIndex, m.prevTerm);
  if (behind !== undefined) return behind;
  for (const entry of m.entries) {
    if (entry.index > s.log.committed) break;
    const reason = contradictsCommitted(s, entry.index, entry.term);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

function contradictsCommitted(s: RaftState, index: number, term: number): string | undefined {
  const known = index <= s.log.committed ? s.log.termAt(index) : undefined;
  if (known === undefined || known === term) return undefined;
  return `entry ${index} of term ${term} contradicts the committed one of term ${known}`;
}

function acknowledge(s: RaftState, to: MemberId, index: number): void {
  s.hold({
    type: "appendResponse",
    from: s.id,
    to,
    term: s.term,
    rejected: false,
    index,
    hintIndex: 0,
    hintTerm: 0,
  });
}

/**
 * Names the last place where the logs may still agree, so that the leader skips whole terms instead of probing entry
 * by entry (Raft paper §5.3, end). With a leader's prevTerm of 4 at index 9:
 *
 *     index    1 2 3 4 5 6 7 8 9
 *     here     1 1 2 2 2 5 5 5 5     -> (5, 2): from 6 on our terms are above 4, so nothing there can agree
 */
function rejectAppend(s: RaftState, m: AppendRequest): void {
  const hint = s.log.lastWithTermAtMost(m.prevIndex, m.prevTerm);
  s.hold({
    type: "appendResponse",
    from: s.id,
    to: m.from,
    term: s.term,
    rejected: true,
    index: m.prevIndex,
    hintIndex: hint.index,
    hintTerm: hint.term,
  });
}

export function handleHeartbeat(s: RaftState, m: Heartbeat): StepResult {
  heardLeader(s, m.from);
  s.log.maybeCommit(m.commit);
  const promised = maybePromise(s, m.leaseMs);
  s.send({ type: "heartbeatResponse", from: s.id, to: m.from, term: s.term, round: m.round, promised });
  retryRemoteRead(s);
  return OK;
}

/**
 * Promises the lease if we would still know about it after a crash (DESIGN §6). After a restart a member keeps still
 * for the longest lease that it can have promised, which it learns from its configuration and its log, if its durable
 * term is one in which a leader was elected. So: no promise in a term that is not durable here, and none for longer
 * than the configuration that we have applied says, for an applied entry is a durable one.
 */
function maybePromise(s: RaftState, leaseMs: number): boolean {
  if (leaseMs === 0 || leaseMs > s.conf.leaseMs || s.durable.term < s.term) return false;
  const until = s.now + leaseMs * PROMISE_FACTOR;
  if (until > s.promiseUntil) s.promiseUntil = until;
  return true;
}

/** Asks the leader for a read index: one question at a time, readers that come meanwhile share the next one. */
export function askReadIndex(s: RaftState, waiter: number): void {
  if (s.leader === NO_MEMBER) {
    s.dropRead(waiter, "no leader");
    return;
  }
  const waiting = s.queuedReads.length + (s.remoteRead?.waiters.length ?? 0);
  if (waiting >= s.options.maxPendingReads) {
    s.dropRead(waiter, "too many requests");
    return;
  }
  s.queuedReads.push(waiter);
  if (s.remoteRead === undefined) sendRemoteRead(s);
}

function sendRemoteRead(s: RaftState): void {
  if (s.queuedReads.length === 0) return;
  s.remoteRead = { requestId: s.nextRequestId++, waiters: s.queuedReads.splice(0), sentAt: s.now };
  transmitRemoteRead(s, s.remoteRead.requestId);
}

function transmitRemoteRead(s: RaftState, requestId: number): void {
  s.send({
    type: "readIndex",
    from: s.id,
    to: s.leader,
    term: s.term,
    requestId,
    lease: s.options.leaseReads,
  });
}

/**
 * A question may have been lost; each heartbeat gives an occasion to ask again. The number stays the same: any answer
 * to it was made after its readers had come.
 */
function retryRemoteRead(s: RaftState): void {
  const read = s.remoteRead;
  if (read === undefined || s.now < read.sentAt + s.options.heartbeatMs) return;
  read.sentAt = s.now;
  transmitRemoteRead(s, read.requestId);
}

export function handleReadIndexResponse(s: RaftState, m: ReadIndexResponse): StepResult {
  const read = s.remoteRead;
  if (s.leader !== m.from || read === undefined || read.requestId !== m.requestId) return OK;
  s.remoteRead = undefined;
  for (const waiter of read.waiters) {
    s.readStates.push({ type: "ready", waiter, index: m.index, lease: false });
  }
  sendRemoteRead(s);
  return OK;
}

/** Why a complete snapshot is not wanted, or undefined. */
export function unwantedSnapshot(s: RaftState, meta: SnapshotMeta): string | undefined {
  if (s.role === "leader") return "this member leads";
  if (s.installing !== undefined) return `snapshot ${s.installing.index} is being installed`;
  if (meta.index <= s.log.committed)
    return `index ${meta.index} is not above the commit index ${s.log.committed}`;
  // The log agrees with the snapshot: everything behind it may have been acknowledged, and must stay.
  if (s.log.termAt(meta.index) === meta.term) return `the log has entry ${meta.index} already`;
  return undefined;
}

/** Replaces log and configuration by the snapshot; the state follows when the record is durable. */
export function restoreSnapshot(s: RaftState, meta: SnapshotMeta): void {
  // A candidate named the end of a log that is about to shrink: votes asked for with it must not count any more.
  if (s.role !== "follower") s.becomeFollower(s.term, NO_MEMBER);
  s.log.restore(meta);
  s.installing = meta;
  s.snapshotUnsaved = meta;
}

/** Tells a leader of an older term, or the sender of a snapshot, how far we are. */
export function reportPosition(s: RaftState, to: MemberId): void {
  acknowledge(s, to, s.log.committed);
}
