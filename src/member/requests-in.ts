/**
 * What clients and other members ask of this member: reads, writes, changes of the configuration, hand-over, and
 * proposals that followers forward.
 *
 * A refusal is a promise that the request had and will have no effect, so everything that can refuse comes before the
 * proposal, and nothing after it does.
 */
import { EMPTY_BYTES, hex, LIMITS, unreachable } from "../base/index.ts";
import {
  confChangeProblem,
  decodeEnvelope,
  ENVELOPE_VERSION,
  type EntryBody,
  encodeConfChange,
  encodeEnvelope,
  type RequestId,
} from "../pb/index.ts";
import type { ConfChange, ProposedEntry, ProposeRequest, ProposeResult } from "../raft/index.ts";
import { answerRead } from "./applying.ts";
import type { MemberState } from "./state.ts";
import type { RefusedReason, Request } from "./types.ts";

/** Largest key and value of a request together, in UTF-8 bytes; the envelope around them needs some room too. */
export const MAX_REQUEST_BYTES = LIMITS.maxEntryBytes - 4096;

/** A learner may be promoted when it has this share of the leader's log, in percent (etcd: readyPercentThreshold). */
const PROMOTE_PERCENT = 90;

type Write = Extract<Request, { type: "put" | "cas" | "delete" }>;

/** Takes a client's request. */
export function takeRequest(s: MemberState, id: number, request: Request): void {
  if (s.stopping !== undefined) {
    refuse(s, id, "stopped");
    return;
  }
  switch (request.type) {
    case "put":
    case "cas":
    case "delete":
      write(s, id, request);
      return;
    case "get":
      if (request.serializable) answerRead(s, id, request.key);
      else readLinearizable(s, id, request.key);
      return;
    case "changeMembers":
      changeMembers(s, id, request.change);
      return;
    case "transferLeader": {
      const result = s.raft.transferLeadership(s.now, request.to);
      if (result.type === "refused") refuse(s, id, result.reason);
      else s.effects.answer({ type: "done", id, index: s.applied.index });
      return;
    }
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

function write(s: MemberState, id: number, body: Write): void {
  const reason = writeProblem(s, body);
  if (reason !== undefined) {
    refuse(s, id, reason);
    return;
  }
  const proposed = proposeBody(s, body);
  if (typeof proposed === "string") refuse(s, id, proposed);
  else s.pending.addWrite(s.now, id, proposed.sequence);
}

function writeProblem(s: MemberState, body: Write): RefusedReason | undefined {
  if (s.pending.isFull || s.backend.isFull) return "too many requests";
  if (isLearner(s)) return "learner";
  const texts = [body.key];
  if (body.type !== "delete") texts.push(body.value);
  if (body.type === "cas" && body.expect !== undefined) texts.push(body.expect);
  let units = 0;
  for (const text of texts) units += text.length;
  // A UTF-16 unit is at most three bytes of UTF-8, so most requests need not be measured.
  if (units * 3 > MAX_REQUEST_BYTES && utf8Bytes(texts) > MAX_REQUEST_BYTES) return "request is too large";
  for (const text of texts) if (LONE_SURROGATE.test(text)) return "request is malformed";
  return undefined;
}

/** A string that has no UTF-8 form; encoding it would write another key or value than was asked for. */
const LONE_SURROGATE = /\p{Surrogate}/u;

function utf8Bytes(texts: readonly string[]): number {
  const encoder = new TextEncoder();
  let bytes = 0;
  for (const text of texts) bytes += encoder.encode(text).length;
  return bytes;
}

/** Appends the request here or sends it to the leader; returns its identity, or why it went nowhere. */
function proposeBody(s: MemberState, body: EntryBody): RequestId | RefusedReason {
  const requestId = s.nextRequestId();
  const data = encodeEnvelope({
    version: ENVELOPE_VERSION,
    requestId,
    user: "",
    authRevision: 0,
    guardRevision: 0,
    body,
  });
  if (s.raft.role !== "leader") {
    return s.raft.forward(s.now, [{ type: "normal", data }]) ? requestId : "no leader";
  }
  const result = s.raft.propose(s.now, [{ type: "normal", data }]);
  if (result.type === "dropped") return droppedReason(result.reason);
  s.proposed.add(requestId);
  return requestId;
}

function readLinearizable(s: MemberState, id: number, key: string): void {
  if (s.pending.isFull) refuse(s, id, "too many requests");
  else if (isLearner(s)) refuse(s, id, "learner");
  else s.raft.readIndex(s.now, s.pending.addRead(s.now, id, key));
}

function changeMembers(s: MemberState, id: number, change: ConfChange): void {
  const reason = changeProblem(s, change);
  if (reason !== undefined) {
    refuse(s, id, reason);
    return;
  }
  const isLeave = change.steps.length === 0 && change.leaseMs === undefined;
  const data = isLeave ? EMPTY_BYTES : encodeConfChange(change);
  const result = s.raft.proposeConfChange(s.now, change, data);
  if (result.type === "dropped") refuse(s, id, droppedReason(result.reason));
  else s.pending.addConf(s.now, id, result.index, result.term);
}

function changeProblem(s: MemberState, change: ConfChange): RefusedReason | undefined {
  if (s.raft.role !== "leader") return "not leader";
  if (s.pending.isFull || s.backend.isFull) return "too many requests";
  if (confChangeProblem(change) !== undefined) return "configuration change is invalid";
  for (const step of change.steps) {
    if (step.type === "remove") continue;
    // A removed ID never returns. What the applied records say is exact here: the core takes a change only when every
    // earlier one in its log is applied.
    if (s.applied.members.isRemoved(step.id)) return "configuration change is invalid";
    if (step.type === "addVoter" && isBehindLearner(s, step.id)) {
      return "a member to be promoted is not caught up";
    }
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

function droppedReason(reason: Extract<ProposeResult, { type: "dropped" }>["reason"]): RefusedReason {
  // While it hands over, a leader is as good as none; whoever follows will take the request.
  return reason === "transferring" ? "no leader" : reason;
}

function refuse(s: MemberState, id: number, reason: RefusedReason): void {
  s.effects.answer({ type: "refused", id, reason });
}
