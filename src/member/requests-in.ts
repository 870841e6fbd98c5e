/**
 * What clients and other members ask of this member: reads, writes, changes of the configuration, hand-over, and
 * proposals that followers forward.
 *
 * A refusal is a promise that the request had and will have no effect, so everything that can refuse comes before the
 * proposal, and nothing after it does.
 */
import { isReadOnlyTxn, isSerializableTxn, requestProblem } from "../apply/index.ts";
import { EMPTY_BYTES, ERR, hex, type KvError, unreachable } from "../base/index.ts";
import { confChangeProblem, decodeEnvelope, encodeConfChange, type RequestId } from "../pb/index.ts";
import type { LeaseGrantRequest } from "../pb/kv.ts";
import type { ConfChange, ProposedEntry, ProposeRequest } from "../raft/index.ts";
import { answerRead } from "./applying.ts";
import { droppedError, proposeBody } from "./proposing.ts";
import type { ReadRequest } from "./requests.ts";
import { spaceProblem } from "./space.ts";
import type { MemberState } from "./state.ts";
import type { Request, WriteRequest } from "./types.ts";

/** A learner may be promoted when it has this share of the leader's log, in percent (etcd: readyPercentThreshold). */
const PROMOTE_PERCENT = 90;
/** Most entries committed and not applied; beyond it writes are refused (etcd: maxGapBetweenApplyAndCommitIndex). */
export const MAX_APPLY_LAG = 5_000;

/** Takes a client's request. */
export function takeRequest(s: MemberState, id: number, request: Request): void {
  if (s.stopping !== undefined) {
    refuse(s, id, ERR.stopped);
    return;
  }
  switch (request.type) {
    case "write":
      // The log is for what changes something.
      if (request.write.type === "txn") read(s, id, { type: "read", read: request.write });
      else write(s, id, request.write);
      return;
    case "read":
      read(s, id, request);
      return;
    case "leaseKeepAlive":
    case "leaseTimeToLive":
      // Only the leader knows how long a lease has left.
      if (s.leadsTerm === 0) refuse(s, id, ERR.notLeader);
      else readLinearizable(s, id, request);
      return;
    case "leaseLeases":
      readLinearizable(s, id, request);
      return;
    case "hashKv":
      if (isFull(s)) refuse(s, id, ERR.tooManyRequests);
      else s.finishRead(s.reads.start(s.applied, id, request, s.now + s.options.requestTimeoutMs));
      return;
    case "changeMembers":
      changeMembers(s, id, request.change);
      return;
    case "transferLeader":
      transfer(s, id, request.to);
      return;
    default:
      unreachable(request);
  }
}

/** Announces this member's data directory, when its record lacks it and there is somebody to tell. */
export function publishIfDue(s: MemberState): void {
  if (!wantsToPublish(s) || !s.publisher.maybeAttempt(s.now)) return;
  // Nobody waits for the outcome: the record shows it.
  proposeBody(s, { type: "publish", member: s.options.id, instance: s.options.instance });
}

/** Whether a publication is missing and could be made now; when it is due is the publisher's business. */
function wantsToPublish(s: MemberState): boolean {
  const { id } = s.options;
  return (
    s.raft.leader !== 0n &&
    s.stopping === undefined &&
    s.install === undefined &&
    s.applied.members.pinned(id) === 0n &&
    !s.applied.members.isRemoved(id) &&
    s.isInConf()
  );
}

/**
 * Takes entries that a follower forwards. Each is read before it is appended, because an entry that apply cannot read
 * stops every member; and each request is appended once, however often its message arrives.
 */
export function takeForwarded(s: MemberState, message: ProposeRequest): void {
  const reason = forwardProblem(s, message);
  if (reason !== undefined) {
    s.effects.refuse({ from: message.from, reason });
    return;
  }
  const entries: ProposedEntry[] = [];
  const ids: RequestId[] = [];
  for (const entry of message.entries) {
    const judged = judgeForwarded(s, message, entry);
    if (typeof judged === "string") {
      s.effects.refuse({ from: message.from, reason: judged });
    } else if (judged !== undefined) {
      entries.push(entry);
      ids.push(judged);
      // Before the next one is judged: one message may hold a request twice.
      s.proposed.add(judged);
    }
  }
  if (entries.length === 0) return;
  const result = s.raft.propose(s.now, entries);
  if (result.type === "appended") return;
  for (const id of ids) s.proposed.remove(id);
  s.effects.refuse({ from: message.from, reason: `proposal dropped: ${result.reason}` });
}

function forwardProblem(s: MemberState, message: ProposeRequest): string | undefined {
  const { id } = s.options;
  if (message.to !== id || message.from === id) {
    return `proposal from ${hex(message.from)} to ${hex(message.to)} reached ${hex(id)}`;
  }
  if (s.applied.members.isRemoved(message.from)) return `proposal of removed member ${hex(message.from)}`;
  if (s.leadsTerm === 0 || s.stopping !== undefined) return "proposal dropped: not leader";
  if (s.backend.isFull) return "proposal dropped: too many requests";
  return undefined;
}

/** The identity to append it under; undefined: it is in the log already; or why it is refused. */
function judgeForwarded(
  s: MemberState,
  message: ProposeRequest,
  entry: ProposedEntry,
): RequestId | string | undefined {
  if (entry.type === "conf") return "configuration changes are not forwarded";
  const decoded = decodeEnvelope(entry.data);
  if (decoded.type === "refused") return `forwarded entry: ${decoded.reason}`;
  const { requestId, body } = decoded.value;
  if (body.type === "publish" && body.member !== message.from) {
    return `publication of ${hex(body.member)} forwarded by ${hex(message.from)}`;
  }
  return s.proposed.has(requestId) || s.applied.isSeen(requestId) ? undefined : requestId;
}

function write(s: MemberState, id: number, request: WriteRequest): void {
  const problem = writeProblem(s, request);
  if (problem !== undefined) {
    refuse(s, id, problem);
    return;
  }
  const granted = request.type === "leaseGrant" ? effectiveGrant(s, request) : request;
  const proposed = proposeBody(s, { type: "kv", request: granted });
  if ("message" in proposed) refuse(s, id, proposed);
  else s.pending.addWrite(s.now, id, proposed.sequence);
}

function writeProblem(s: MemberState, request: WriteRequest): KvError | undefined {
  // Space comes first, as in etcd; a TTL that is too large is judged by apply, behind the alarms.
  const invalid = spaceProblem(s, request) ?? requestProblem(request, s.options.requestLimits);
  if (invalid !== undefined) return invalid;
  if (isLearner(s)) return ERR.notSupportedForLearner;
  const lag = s.raft.commit - s.applied.index;
  return isFull(s) || s.backend.isFull || lag > MAX_APPLY_LAG ? ERR.tooManyRequests : undefined;
}

function isFull(s: MemberState): boolean {
  return s.waiting >= s.options.maxPendingRequests;
}

/** What is granted: an ID that was not named is drawn, and a TTL below the minimum is raised to it. */
function effectiveGrant(s: MemberState, request: LeaseGrantRequest): LeaseGrantRequest {
  // A lease must outlive an election, or every change of the leader would end it (etcd: minTTL).
  const minTtl = Math.ceil((s.options.electionTimeoutMs * 3) / 2 / 1000);
  const id = request.id === 0n ? drawLease(s) : request.id;
  return { type: "leaseGrant", id, ttl: Math.max(request.ttl, minTtl) };
}

/** A positive int63 that no lease has here. Should another member draw the same, the second grant is refused. */
function drawLease(s: MemberState): bigint {
  for (;;) {
    const id = (BigInt(s.random.int(0, 2 ** 31)) << 32n) | BigInt(s.random.int(1, 2 ** 32));
    if (!s.applied.kv.leases.has(id)) return id;
  }
}

function read(s: MemberState, id: number, request: Extract<Request, { type: "read" }>): void {
  const asked = request.read;
  if (asked.type === "txn" && !isReadOnlyTxn(asked)) {
    write(s, id, asked);
    return;
  }
  const problem = requestProblem(asked, s.options.requestLimits);
  if (problem !== undefined) refuse(s, id, problem);
  else if (asked.type === "txn" ? isSerializableTxn(asked) : asked.serializable) {
    if (isFull(s)) refuse(s, id, ERR.tooManyRequests);
    else answerRead(s, { id, request, deadline: s.now + s.options.requestTimeoutMs });
  } else readLinearizable(s, id, request);
}

function readLinearizable(s: MemberState, id: number, request: ReadRequest): void {
  if (isFull(s)) refuse(s, id, ERR.tooManyRequests);
  else if (isLearner(s)) refuse(s, id, ERR.notSupportedForLearner);
  else s.raft.readIndex(s.now, s.pending.addRead(s.now, id, request));
}

function transfer(s: MemberState, id: number, to: bigint): void {
  const result = s.raft.transferLeadership(s.now, to);
  if (result.type === "started") s.effects.answer({ type: "changed", id, index: s.applied.index });
  else refuse(s, id, result.reason === "not leader" ? ERR.notLeader : ERR.badLeaderTransferee);
}

function changeMembers(s: MemberState, id: number, change: ConfChange): void {
  const problem = changeProblem(s, change);
  if (problem !== undefined) {
    refuse(s, id, problem);
    return;
  }
  const isLeave = change.steps.length === 0 && change.leaseMs === undefined;
  const data = isLeave ? EMPTY_BYTES : encodeConfChange(change);
  const result = s.raft.proposeConfChange(s.now, change, data);
  if (result.type === "dropped") refuse(s, id, droppedError(result.reason));
  else s.pending.addConf(s.now, id, result.index, result.term);
}

function changeProblem(s: MemberState, change: ConfChange): KvError | undefined {
  if (s.raft.role !== "leader") return ERR.notLeader;
  if (isFull(s) || s.backend.isFull) return ERR.tooManyRequests;
  if (confChangeProblem(change) !== undefined) return ERR.changeInvalid;
  for (const step of change.steps) {
    if (step.type === "remove") continue;
    // A removed ID never returns. What the applied records say is exact here: the core takes a change only when every
    // earlier one in its log is applied.
    if (s.applied.members.isRemoved(step.id)) return ERR.changeInvalid;
    if (step.type === "addVoter" && isBehindLearner(s, step.id)) return ERR.learnerNotReady;
  }
  return undefined;
}

/** A learner far behind would, as a voter, be a member that no quorum can count on (etcd #15096). */
function isBehindLearner(s: MemberState, id: bigint): boolean {
  if (!s.raft.conf.learners.includes(id)) return false;
  const match = s.raft.progressList().find((progress) => progress.id === id)?.match ?? 0;
  return match * 100 < s.raft.lastIndex * PROMOTE_PERCENT;
}

function isLearner(s: MemberState): boolean {
  return s.raft.conf.learners.includes(s.options.id);
}

function refuse(s: MemberState, id: number, error: KvError): void {
  s.effects.answer({ type: "refused", id, error });
}
