/**
 * What clients and other members ask of this member: reads, writes, changes of the configuration, hand-over, and
 * proposals that followers forward.
 *
 * A refusal is a promise that the request had and will have no effect, so everything that can refuse comes before the
 * proposal, and nothing after it does.
 */
import { isReadOnlyTxn, isSame, isSerializableTxn, requestProblem } from "../apply/index.ts";
import { ERR, hex, type KvError, unreachable } from "../base/index.ts";
import { decodeEnvelope, type RequestId } from "../pb/index.ts";
import type { LeaseGrantRequest } from "../pb/kv.ts";
import type { ProposedEntry, ProposeRequest } from "../raft/index.ts";
import { answerRead } from "./applying.ts";
import { changeMembers, updateMember } from "./member-changes.ts";
import { proposeBody } from "./proposing.ts";
import type { ReadRequest } from "./requests.ts";
import { spaceProblem } from "./space.ts";
import type { MemberState } from "./state.ts";
import type { Request, WriteRequest } from "./types.ts";

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
    case "updateMember":
      updateMember(s, id, request);
      return;
    case "transferLeader":
      transfer(s, id, request.to);
      return;
    default:
      unreachable(request);
  }
}

/** Announces data directory, name and URLs when this member's record lacks one and there is somebody to tell. */
export function publishIfDue(s: MemberState): void {
  if (!wantsToPublish(s) || !s.publisher.maybeAttempt(s.now)) return;
  // Nobody waits for the outcome: the record shows it.
  const { id, instance, name, clientUrls } = s.options;
  proposeBody(s, { type: "publish", member: id, instance, name, clientUrls });
}

/** Whether a publication is missing and could be made now; when it is due is the publisher's business. */
function wantsToPublish(s: MemberState): boolean {
  if (s.raft.leader === 0n || s.stopping !== undefined || s.install !== undefined) return false;
  const record = s.applied.members.of(s.options.id);
  if (record.removed || !s.isInConf()) return false;
  // Another instance than its own is none that it could publish over; it does not run then (`checkOwnRecord`).
  return record.instance === 0n || !isSame(record, s.options);
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

function isLearner(s: MemberState): boolean {
  return s.raft.conf.learners.includes(s.options.id);
}

function refuse(s: MemberState, id: number, error: KvError): void {
  s.effects.answer({ type: "refused", id, error });
}
