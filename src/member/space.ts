/**
 * The quota. Apply must not ask for it: it is an option, members restart with another one at different times, and one
 * entry that some refuse and others execute would make them differ for good. So the leader alone judges by its own
 * quota, before it proposes, and says so by an entry, the NOSPACE alarm, which every member obeys from that entry on.
 * In etcd every member judges (v3rpc/quota.go, apply/quota), but there, too, only the alarm is agreed on.
 *
 * Writes that followers forward are judged when the leader has applied them: the quota is overshot by what is on its
 * way then, at most `maxUncommittedBytes` and what is committed and not applied.
 */
import { costOf } from "../apply/index.ts";
import { ERR, type KvError } from "../base/index.ts";
import { proposeOwn } from "./proposing.ts";
import type { MemberState } from "./state.ts";
import type { WriteRequest } from "./types.ts";

/**
 * Why a write that a client brought is not proposed; undefined: there is room, or it is another member's business. The
 * write that reaches the quota is proposed, right behind the alarm that refuses it: as in etcd, whoever is told that
 * there is no space finds the alarm on.
 */
export function spaceProblem(s: MemberState, request: WriteRequest): KvError | undefined {
  const cost = costOf(request);
  if (cost === 0 || !isJudge(s) || s.applied.kv.usedBytes + cost < s.options.quotaBytes) return undefined;
  return maybeRaise(s) ? undefined : ERR.noSpace;
}

/** Something was applied that took room. */
export function noticeGrowth(s: MemberState): void {
  if (isJudge(s) && s.applied.kv.usedBytes >= s.options.quotaBytes) maybeRaise(s);
}

/** What a new leader has not applied yet may have made room, or switched the alarm off. */
function isJudge(s: MemberState): boolean {
  return s.leadsTerm !== 0 && s.stopping === undefined && s.applied.index >= s.promoteFrom;
}

/** Nobody waits for the outcome and the proposal may be lost, so it is repeated, though not with every write. */
function maybeRaise(s: MemberState): boolean {
  if (s.applied.kv.alarms.isFull) {
    s.alarmAt = Number.NEGATIVE_INFINITY;
    return false;
  }
  if (s.now < s.alarmAt) return false;
  s.alarmAt = s.now + s.options.electionTimeoutMs;
  return proposeOwn(s, { type: "alarm", action: "activate", member: s.options.id, alarm: "nospace" });
}
