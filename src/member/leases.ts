/**
 * What the leader does for leases: revokes those whose time is over, and replicates how much time others have left.
 * Both are proposals like any other; only when they are applied do they mean anything (DESIGN §6).
 */
import { ERR } from "../base/index.ts";
import { cameTooLongAgo } from "./applying.ts";
import { proposeOwn } from "./proposing.ts";
import type { MemberState } from "./state.ts";

/** Most revokes that one input proposes. */
const REVOKES = 16;
/** Most leases in one checkpoint (etcd: maxLeaseCheckpointBatchSize). */
const CHECKPOINTS = 1_000;

/** Begins to lead, or ends to: then no lease expires here. */
export function noticeLeadership(s: MemberState): void {
  s.applied.kv.leases.demote();
  s.promoteFrom = s.raft.lastIndex;
  s.alarmAt = Number.NEGATIVE_INFINITY;
}

/**
 * Begins to keep the time of leases, once everything is applied that the leaders before replicated: a checkpoint that
 * one of them took back would otherwise cut a lease short.
 */
export function maybePromote(s: MemberState): void {
  const { leases } = s.applied.kv;
  if (s.leadsTerm === 0 || leases.isPrimary || s.applied.index < s.promoteFrom) return;
  // A client that could not reach the leader before must have the chance to find the new one.
  leases.promote(s.now, s.options.electionTimeoutMs);
}

/** Proposes what is due. What comes to nothing is due again later. */
export function manageLeases(s: MemberState): void {
  const { leases } = s.applied.kv;
  if (s.leadsTerm === 0 || s.stopping !== undefined || s.install !== undefined || s.now < leases.nextWake())
    return;
  for (const id of leases.takeExpired(s.now, REVOKES)) proposeOwn(s, { type: "leaseRevoke", id });
  const checkpoints = leases.takeCheckpoints(s.now, CHECKPOINTS);
  if (checkpoints.length > 0) proposeOwn(s, { type: "leaseCheckpoint", leases: checkpoints });
}

/** When `manageLeases` has something to do; Infinity: never. */
export function leasesDue(s: MemberState): number {
  if (s.leadsTerm === 0 || s.stopping !== undefined || s.install !== undefined)
    return Number.POSITIVE_INFINITY;
  return s.applied.kv.leases.nextWake();
}

/** Answers the keepalives for which what they waited for was applied, and gives up on those that wait too long. */
export function answerHeld(s: MemberState): void {
  if (s.heldKeepAlives.length === 0) return;
  const { index, kv } = s.applied;
  const { leases, store } = kv;
  s.heldKeepAlives = s.heldKeepAlives.filter(({ id, lease, isOver, deadline }) => {
    const isGone = !leases.has(lease);
    if (!isGone && !leases.isPrimary) {
      s.effects.answer({ type: "refused", id, error: ERR.notLeader });
    } else if (!isGone && (deadline <= s.now || (!isOver && cameTooLongAgo(s, deadline)))) {
      s.effects.answer({ type: "refused", id, error: ERR.timeout });
    } else if (isGone || (!isOver && !leases.isCheckpointed(lease))) {
      const ttl = isGone ? 0 : (leases.renew(s.now, lease) ?? 0);
      s.effects.answer({ type: "leaseKept", id, index, revision: store.revision, ttl });
    } else {
      return true;
    }
    return false;
  });
}

/** When the first of them is given up; Infinity: none waits. */
export function heldDue(s: MemberState): number {
  return s.heldKeepAlives.reduce((due, { deadline }) => Math.min(due, deadline), Number.POSITIVE_INFINITY);
}
