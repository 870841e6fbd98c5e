/**
 * Configurations and their changes, as pure functions. What is *when* allowed (one change at a time, after an entry of
 * the current term was committed) is the leader's business in `membership.ts`; here is only what a change makes of a
 * configuration.
 *
 * Raft thesis §4.1 (single changes), §4.3 (joint consensus); etcd raft: confchange/confchange.go.
 */
import { assert, compareIds, LIMITS, type MemberId } from "../base/index.ts";
import type { ConfChange, ConfChangeStep, ConfState } from "./types.ts";

/** The configuration of a member that has learned nothing: it neither votes nor campaigns. */
export const EMPTY_CONF: ConfState = {
  voters: [],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  leaseMs: 0,
};

/** A changed configuration, or why the change does not fit this one. */
export type ConfResult =
  | { readonly type: "ok"; readonly conf: ConfState }
  | { readonly type: "refused"; readonly reason: string };

/** Whether decisions need two majorities. */
export function isJoint(conf: ConfState): boolean {
  return conf.votersOutgoing.length > 0;
}

/** Whether `id` has a vote, in either half. */
export function isVoter(conf: ConfState, id: MemberId): boolean {
  return conf.voters.includes(id) || conf.votersOutgoing.includes(id);
}

/** Whether `id` gets the log, as voter or as learner. */
export function isMember(conf: ConfState, id: MemberId): boolean {
  return isVoter(conf, id) || conf.learners.includes(id);
}

/** Everybody who gets the log: voters of both halves and learners, ascending, each once. */
export function membersOf(conf: ConfState): MemberId[] {
  const all = new Set<MemberId>([...conf.voters, ...conf.votersOutgoing, ...conf.learners]);
  return [...all].sort(compareIds);
}

/** Whether the change asks to leave a joint configuration. */
export function isLeave(change: ConfChange): boolean {
  return change.steps.length === 0 && change.leaseMs === undefined;
}

/** What `change` makes of `conf`. Deterministic: every member applies the same entry to the same effect. */
export function changeConf(conf: ConfState, change: ConfChange): ConfResult {
  if (isLeave(change)) return leaveJoint(conf);
  if (isJoint(conf)) return refused("the configuration is joint; it must be left first");
  const leaseMs = change.leaseMs ?? conf.leaseMs;
  if (leaseMs < 0 || leaseMs > LIMITS.maxLeaseMs || !Number.isInteger(leaseMs)) {
    return refused(`lease of ${leaseMs} ms is not in 0..${LIMITS.maxLeaseMs}`);
  }
  if (change.joint) {
    if (change.leaseMs !== undefined) return refused("a joint change cannot change the lease");
    if (conf.voters.length === 0) return refused("an empty configuration has no outgoing half");
  }
  const next = applySteps(conf, change);
  if (next.voters.length === 0) return refused("it would leave no voter");
  if (membersOf(next).length > LIMITS.maxMembers) return refused(`more than ${LIMITS.maxMembers} members`);
  if (!change.joint && conf.voters.length > 0 && voterDifference(conf.voters, next.voters) > 1) {
    return refused("more than one voter changes; that needs a joint change");
  }
  const result = { ...next, leaseMs };
  checkConf(result);
  return { type: "ok", conf: result };
}

function leaveJoint(conf: ConfState): ConfResult {
  if (!isJoint(conf)) return refused("the configuration is not joint");
  const learners = new Set<MemberId>([...conf.learners, ...conf.learnersNext]);
  const next: ConfState = {
    voters: conf.voters,
    votersOutgoing: [],
    learners: [...learners].sort(compareIds),
    learnersNext: [],
    leaseMs: conf.leaseMs,
  };
  checkConf(next);
  return { type: "ok", conf: next };
}

function applySteps(conf: ConfState, change: ConfChange): ConfState {
  const voters = new Set(conf.voters);
  const learners = new Set(conf.learners);
  const learnersNext = new Set<MemberId>();
  const outgoing = change.joint ? conf.voters : [];
  for (const step of change.steps) applyStep(step, { voters, learners, learnersNext, outgoing });
  return {
    voters: [...voters].sort(compareIds),
    votersOutgoing: outgoing,
    learners: [...learners].sort(compareIds),
    learnersNext: [...learnersNext].sort(compareIds),
    leaseMs: conf.leaseMs,
  };
}

interface Draft {
  readonly voters: Set<MemberId>;
  readonly learners: Set<MemberId>;
  readonly learnersNext: Set<MemberId>;
  readonly outgoing: readonly MemberId[];
}

function applyStep(step: ConfChangeStep, draft: Draft): void {
  draft.voters.delete(step.id);
  draft.learners.delete(step.id);
  draft.learnersNext.delete(step.id);
  if (step.type === "addVoter") draft.voters.add(step.id);
  if (step.type === "addLearner") {
    // A voter of the outgoing half stays a voter until the joint configuration is left: counting it as a learner
    // now would make the outgoing majority smaller than the one that older decisions rest on.
    if (draft.outgoing.includes(step.id)) draft.learnersNext.add(step.id);
    else draft.learners.add(step.id);
  }
}

/** Number of IDs that are in exactly one of the two lists. */
function voterDifference(a: readonly MemberId[], b: readonly MemberId[]): number {
  let difference = 0;
  for (const id of a) if (!b.includes(id)) difference++;
  for (const id of b) if (!a.includes(id)) difference++;
  return difference;
}

/** Asserts the invariants that `ConfState` states. */
export function checkConf(conf: ConfState): void {
  for (const id of conf.learners) {
    assert(!isVoter(conf, id), "a learner has a vote", { id });
  }
  for (const id of conf.learnersNext) {
    assert(conf.votersOutgoing.includes(id), "a next learner is not an outgoing voter", { id });
    assert(!conf.voters.includes(id), "a next learner is an incoming voter", { id });
  }
}

function refused(reason: string): ConfResult {
  return { type: "refused", reason };
}
