/**
 * What a leader does: append, replicate, count, answer readers, hand over. Raft paper §5.3, §5.4.2; thesis §3.10
 * (transfer), §6.2 (stepping down without a quorum), §6.4 (reads), §10.2.1 (pipelining).
 */
import { assert, type MemberId, NO_MEMBER } from "../base/index.ts";
import type { ProposeResult, TransferResult } from "./api.ts";
import { isVoter } from "./conf.ts";
import type { Progress } from "./progress.ts";
import { quorumReached } from "./quorum.ts";
import { type Reader, Rounds } from "./rounds.ts";
import type { RaftState } from "./state.ts";
import type { AppendResponse, Entry, HeartbeatResponse, ProposedEntry, StepResult } from "./types.ts";

const OK: StepResult = { type: "ok" };
/** Entries per append message; the byte limit nearly always comes first. */
const MAX_APPEND_ENTRIES = 4096;

export function becomeLeader(s: RaftState): void {
  assert(s.role === "candidate", "only a candidate becomes leader", { role: s.role });
  s.leaveRole();
  s.role = "leader";
  s.setLeader(s.id);
  s.rounds = new Rounds();
  s.syncProgress();
  // A configuration entry may be among those that we have not applied: until they all are, no other (thesis §4.1).
  s.pendingConfIndex = s.log.lastIndex;
  s.heartbeatDue = s.now + s.options.heartbeatMs;
  // The no-op: entries of older terms are committed only under one of our own (Raft paper §5.4.2), and readers wait
  // for it (thesis §6.4).
  appendEntries(s, [{ type: "normal", data: NO_DATA }]);
  broadcastAppend(s);
  beginRound(s);
}

const NO_DATA = new Uint8Array(0);

/** Puts entries at the end of the log. They count for us once they are durable here. Returns the first one's index. */
export function appendEntries(s: RaftState, entries: readonly ProposedEntry[]): number {
  const first = s.log.lastIndex + 1;
  let index = first;
  for (const { type, data } of entries) {
    const entry: Entry = { index, term: s.term, type, data };
    s.log.append(entry);
    s.uncommittedBytes += data.length;
    index++;
  }
  return first;
}

/** Proposals of this member's own clients, or forwarded ones. */
export function propose(s: RaftState, entries: readonly ProposedEntry[]): ProposeResult {
  if (s.role !== "leader") return { type: "dropped", reason: "not leader" };
  if (s.transfer !== undefined) return { type: "dropped", reason: "transferring" };
  let bytes = 0;
  for (const entry of entries) bytes += entry.data.length;
  // One proposal always goes when nothing is under way, however large: otherwise it could never go.
  if (s.uncommittedBytes > 0 && s.uncommittedBytes + bytes > s.options.maxUncommittedBytes) {
    return { type: "dropped", reason: "too many requests" };
  }
  const index = appendEntries(s, entries);
  broadcastAppend(s);
  return { type: "appended", index, term: s.term };
}

export function broadcastAppend(s: RaftState): void {
  for (const [to, progress] of s.progress) sendAppends(s, to, progress);
}

/** Sends as much as the window allows. */
function sendAppends(s: RaftState, to: MemberId, progress: Progress): void {
  while (maybeSendAppend(s, to, progress, false)) if (progress.state !== "replicate") break;
}

/**
 * Sends one append, if the member may get one. @param evenIfEmpty it carries a commit index worth sending alone
 * Returns whether one was sent.
 */
export function maybeSendAppend(
  s: RaftState,
  to: MemberId,
  progress: Progress,
  evenIfEmpty: boolean,
): boolean {
  if (progress.isPaused()) return false;
  const prevIndex = progress.next - 1;
  const prevTerm = s.log.termAt(prevIndex);
  if (prevTerm === undefined) return wantSnapshot(s, to, progress);
  const entries =
    progress.next > s.log.lastIndex
      ? []
      : s.log.slice(progress.next, s.options.maxAppendBytes, MAX_APPEND_ENTRIES);
  if (entries.length === 0 && !evenIfEmpty) return false;
  s.send({
    type: "append",
    from: s.id,
    to,
    term: s.term,
    prevIndex,
    prevTerm,
    commit: s.log.committed,
    entries,
  });
  progress.sent(entries.length);
  return true;
}

/** What the member needs next was cut from the log. A silent one gets no snapshot: it may be gone for good. */
function wantSnapshot(s: RaftState, to: MemberId, progress: Progress): false {
  if (s.now >= progress.heardAt + s.options.electionTimeoutMs) return false;
  progress.becomeSnapshot();
  s.snapshotsWanted.push(to);
  return false;
}

export function handleAppendResponse(s: RaftState, m: AppendResponse): StepResult {
  const progress = s.progress.get(m.from);
  if (progress === undefined) return OK;
  if (m.index > s.log.lastIndex) {
    const what = m.rejected ? `an append behind ${m.index} was refused` : `${m.index} was acknowledged`;
    return refused(`${what}, but the leader's log ends at ${s.log.lastIndex}`);
  }
  progress.heardAt = s.now;
  if (m.rejected) {
    const at = m.hintTerm > 0 ? s.log.lastWithTermAtMost(m.hintIndex, m.hintTerm) : { index: m.hintIndex };
    if (progress.maybeBacktrack(m.index, at.index)) maybeSendAppend(s, m.from, progress, true);
    return OK;
  }
  const wasPaused = progress.isPaused();
  const news = progress.maybeMatch(m.index);
  if (progress.state === "probe") {
    // Any accepted append shows where the logs agree, also one that brought nothing new.
    progress.becomeReplicate();
  } else if (progress.state === "snapshot" && progress.match >= s.log.baseIndex) {
    // It came far enough by itself, or by the snapshot: the log has what it needs next.
    progress.becomeReplicate();
  }
  const committed = news && maybeCommit(s);
  if (committed) broadcastCommit(s);
  else if (wasPaused) maybeSendAppend(s, m.from, progress, true);
  sendAppends(s, m.from, progress);
  if (news) maybeFinishTransfer(s, m.from, progress);
  return OK;
}

/**
 * Commits what a quorum has on disk, if its last entry is of this term: an entry of an older term can be on a quorum
 * and still be overwritten (Raft paper §5.4.2, figure 8).
 */
export function maybeCommit(s: RaftState): boolean {
  const index = quorumReached(s.conf, s.matchOf);
  if (index <= s.log.committed || s.log.termAt(index) !== s.term) return false;
  const before = s.log.committed;
  s.log.maybeCommit(index);
  for (let i = before + 1; i <= index; i++) s.uncommittedBytes -= s.log.entryAt(i)?.data.length ?? 0;
  // Entries of older terms were never added to the sum.
  if (s.uncommittedBytes < 0) s.uncommittedBytes = 0;
  for (const reader of s.rounds.takeEarly()) addReader(s, reader);
  return true;
}

/** Tells everybody what is committed, without waiting for the next entries. */
export function broadcastCommit(s: RaftState): void {
  for (const [to, progress] of s.progress) maybeSendAppend(s, to, progress, true);
}

/** Sends a heartbeat to everybody. Rounds confirm reads and carry the lease. */
export function beginRound(s: RaftState): void {
  const round = s.rounds.begin(s.now);
  const leaseMs = s.options.leaseReads && !s.leaseGivenUp ? s.conf.leaseMs : 0;
  for (const [to, progress] of s.progress) {
    // Never more than the member has: it may not commit what it has not got (etcd #10166).
    const commit = Math.min(progress.match, s.log.committed);
    s.send({ type: "heartbeat", from: s.id, to, term: s.term, round, leaseMs, commit });
  }
  // A sole voter is its own quorum, with learners or without.
  confirmRounds(s);
}

export function handleHeartbeatResponse(s: RaftState, m: HeartbeatResponse): StepResult {
  const progress = s.progress.get(m.from);
  if (progress === undefined) return OK;
  if (m.round > s.rounds.round) {
    return refused(`heartbeat round ${m.round} was answered, but the newest is ${s.rounds.round}`);
  }
  progress.heardAt = s.now;
  if (m.round > progress.ackedRound) progress.ackedRound = m.round;
  if (m.promised && m.round > progress.promisedRound) progress.promisedRound = m.round;
  progress.heartbeatAnswered();
  if (progress.match < s.log.lastIndex || progress.state === "probe")
    maybeSendAppend(s, m.from, progress, true);
  confirmRounds(s);
  return OK;
}

/** Takes stock of what rounds a quorum has answered and promised. Learners have no say in either. */
export function confirmRounds(s: RaftState): void {
  const newest = s.rounds.round;
  const acked = quorumReached(s.conf, (id) => (id === s.id ? newest : (s.progress.get(id)?.ackedRound ?? 0)));
  const promised = quorumReached(s.conf, (id) =>
    id === s.id ? newest : (s.progress.get(id)?.promisedRound ?? 0),
  );
  if (promised > 0) s.rounds.promise(promised, s.conf.leaseMs);
  for (const { reader, index } of s.rounds.confirm(acked)) answerReader(s, reader, index, false);
  if (s.rounds.wantsRound()) beginRound(s);
}

/** A reader, local or of a follower. Its index is the commit index now (DESIGN §6); the rest is showing it is ours. */
export function addReader(s: RaftState, reader: Reader): void {
  if (s.rounds.pending >= s.options.maxPendingReads) {
    if (reader.from === NO_MEMBER) s.dropRead(reader.waiter, "too many requests");
    return;
  }
  if (!s.hasCommittedInTerm()) {
    s.rounds.waitForCommit(reader);
    return;
  }
  if (reader.lease && s.hasLease()) {
    answerReader(s, reader, s.log.committed, true);
    return;
  }
  s.rounds.wait(reader, s.log.committed);
  if (s.rounds.wantsRound()) beginRound(s);
}

function answerReader(s: RaftState, reader: Reader, index: number, lease: boolean): void {
  if (reader.from === NO_MEMBER) {
    s.readStates.push({ type: "ready", waiter: reader.waiter, index, lease });
    return;
  }
  s.send({
    type: "readIndexResponse",
    from: s.id,
    to: reader.from,
    term: s.term,
    requestId: reader.waiter,
    index,
  });
}

/** The leader's part of the clock: rounds, the quorum check, the end of a transfer that did not come off. */
export function tickLeader(s: RaftState): void {
  if (s.transfer !== undefined && s.now >= s.transfer.deadline) s.transfer = undefined;
  if (s.now < s.heartbeatDue) return;
  s.heartbeatDue = s.now + s.options.heartbeatMs;
  const heardAt = quorumReached(s.conf, (id) => (id === s.id ? s.now : (s.progress.get(id)?.heardAt ?? 0)));
  if (s.now - heardAt > s.options.electionTimeoutMs) {
    // Without a quorum nothing can be committed, and somebody else may be the leader already (thesis §6.2).
    s.becomeFollower(s.term, NO_MEMBER);
    return;
  }
  beginRound(s);
}

/** Begins to hand leadership to `to`, or to the voter that has most of the log. */
export function transferLeadership(s: RaftState, to: MemberId): TransferResult {
  if (s.role !== "leader") return { type: "refused", reason: "not leader" };
  const target = to === NO_MEMBER ? bestSuccessor(s) : to;
  const progress = target === undefined ? undefined : s.progress.get(target);
  if (target === undefined || progress === undefined || !isVoter(s.conf, target)) {
    return { type: "refused", reason: "bad transferee" };
  }
  if (s.transfer?.to === target) return { type: "started", to: target };
  s.transfer = { to: target, deadline: s.now + s.options.electionTimeoutMs, sent: false };
  maybeFinishTransfer(s, target, progress);
  if (!s.transfer.sent) maybeSendAppend(s, target, progress, false);
  return { type: "started", to: target };
}

/** The voter to lead next: it was heard lately, and has the most. */
export function bestSuccessor(s: RaftState): MemberId | undefined {
  let best: MemberId | undefined;
  let most = -1;
  for (const [id, progress] of s.progress) {
    if (!isVoter(s.conf, id) || progress.match <= most) continue;
    if (s.now >= progress.heardAt + s.options.electionTimeoutMs) continue;
    best = id;
    most = progress.match;
  }
  return best;
}

/** Sends MsgTimeoutNow once the successor has the whole log (thesis §3.10). */
function maybeFinishTransfer(s: RaftState, id: MemberId, progress: Progress): void {
  const transfer = s.transfer;
  if (transfer === undefined || transfer.to !== id || transfer.sent) return;
  if (progress.match !== s.log.lastIndex) return;
  transfer.sent = true;
  sendTimeoutNow(s, id);
}

/**
 * Orders `to` to campaign. The votes that it asks for override the promises made to us, so from here on there are no
 * lease reads until the term ends, also if the transfer comes to nothing: the order may be delayed (DESIGN §6).
 */
export function sendTimeoutNow(s: RaftState, to: MemberId): void {
  s.leaseGivenUp = true;
  s.rounds.voidLease();
  s.send({ type: "timeoutNow", from: s.id, to, term: s.term });
}

function refused(reason: string): StepResult {
  return { type: "refused", reason };
}
