/**
 * Changes of the membership: what a leader takes into its log, and what everybody takes for it.
 *
 * Who is a member is the configuration, and only a leader may change it; it judges against what it has applied, which
 * is exact for the configuration itself: the core takes a change only when every earlier one in its log is applied.
 * The URLs of a member are judged when their entry is applied, as a request of etcd's API is. So one gap remains: a
 * member that is added and one that is updated in the same instant may get the same URL, which no safety rests on.
 */
import { EMPTY_BYTES, ERR, type KvError } from "../base/index.ts";
import { confChangeProblem, encodeConfChange, urlsProblem } from "../pb/index.ts";
import { type ConfChange, type ConfChangeStep, type ConfState, isMember } from "../raft/index.ts";
import { droppedError, proposeBody } from "./proposing.ts";
import type { MemberState } from "./state.ts";
import type { Request } from "./types.ts";

/** A learner may be promoted when it has this share of the leader's log, in percent (etcd: readyPercentThreshold). */
const PROMOTE_PERCENT = 90;

/** Proposes a change of the configuration, or refuses it. */
export function changeMembers(s: MemberState, id: number, change: ConfChange): void {
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

/** Proposes new peer URLs of a member; whether they fit is judged at apply. */
export function updateMember(
  s: MemberState,
  id: number,
  { member, peerUrls }: Extract<Request, { type: "updateMember" }>,
): void {
  if (s.waiting >= s.options.maxPendingRequests || s.backend.isFull) {
    refuse(s, id, ERR.tooManyRequests);
    return;
  }
  if (peerUrls.length === 0 || urlsProblem("peerUrls", peerUrls) !== undefined) {
    refuse(s, id, ERR.memberUrlsInvalid);
    return;
  }
  const { conf } = s.raft;
  const isLearner = conf.learners.includes(s.options.id);
  // A stranger's identity would be refused at apply, too; one that is none could not even be encoded.
  const isKnown = isMember(conf, member);
  if (isLearner || !isKnown) {
    refuse(s, id, isLearner ? ERR.notSupportedForLearner : ERR.memberNotFound);
    return;
  }
  const proposed = proposeBody(s, { type: "updateMember", member, peerUrls });
  if ("message" in proposed) refuse(s, id, proposed);
  else s.pending.addWrite(s.now, id, proposed.sequence);
}

function changeProblem(s: MemberState, change: ConfChange): KvError | undefined {
  if (s.raft.role !== "leader") return ERR.notLeader;
  if (s.waiting >= s.options.maxPendingRequests || s.backend.isFull) return ERR.tooManyRequests;
  for (const { peerUrls } of change.steps) {
    if (peerUrls !== undefined && urlsProblem("peerUrls", peerUrls) !== undefined)
      return ERR.memberUrlsInvalid;
  }
  if (confChangeProblem(change) !== undefined) return ERR.changeInvalid;
  for (const step of change.steps) {
    const problem = stepProblem(s, change, step);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function stepProblem(s: MemberState, change: ConfChange, step: ConfChangeStep): KvError | undefined {
  const { conf } = s.raft;
  const { members } = s.applied;
  // A removed ID never returns.
  if (step.type !== "remove" && members.isRemoved(step.id)) return ERR.changeInvalid;
  if (step.peerUrls !== undefined) {
    if (isMember(conf, step.id)) return ERR.memberExists;
    const taken = members.urlsProblem(conf, step.id, step.peerUrls) ?? sharedProblem(change, step);
    if (taken !== undefined) return taken;
  } else if (!isMember(conf, step.id)) {
    return ERR.memberNotFound;
  }
  if (step.type === "addLearner")
    return learnerCount(conf, change) > s.options.maxLearners ? ERR.tooManyLearners : undefined;
  if (step.type !== "addVoter" || step.peerUrls !== undefined) return undefined;
  if (!change.joint && conf.voters.includes(step.id)) return ERR.memberNotLearner;
  return isBehindLearner(s, step.id) ? ERR.learnerNotReady : undefined;
}

/** Two members of one change with one URL. */
function sharedProblem({ steps }: ConfChange, step: ConfChangeStep): KvError | undefined {
  const isShared = steps.some(
    ({ id, peerUrls }) => id !== step.id && peerUrls?.some((url) => step.peerUrls?.includes(url)) === true,
  );
  return isShared ? ERR.peerUrlExists : undefined;
}

/** Learners when the change is done. */
function learnerCount({ learners, learnersNext }: ConfState, { steps }: ConfChange): number {
  const after = new Set([...learners, ...learnersNext]);
  for (const { type, id } of steps) {
    if (type === "addLearner") after.add(id);
    else after.delete(id);
  }
  return after.size;
}

/** A learner far behind would, as a voter, be a member that no quorum can count on (etcd #15096). */
function isBehindLearner(s: MemberState, id: bigint): boolean {
  if (!s.raft.conf.learners.includes(id)) return false;
  const match = s.raft.progressList().find((progress) => progress.id === id)?.match ?? 0;
  return match * 100 < s.raft.lastIndex * PROMOTE_PERCENT;
}

function refuse(s: MemberState, id: number, error: KvError): void {
  s.effects.answer({ type: "refused", id, error });
}
