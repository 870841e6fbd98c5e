/**
 * When the configuration may change, and what follows when it has. A change takes effect when its entry is applied.
 *
 * The rules (Raft thesis §4.1, §4.2.2, §4.3, and Ongaro's 2015 correction, raft-dev "bug in single-server membership
 * changes"): a leader proposes a change only after it has committed an entry of its own term, and only when every
 * earlier change in its log is applied. Without the first rule two leaders of neighbouring terms can each complete a
 * change whose majorities do not meet.
 */
import { NO_MEMBER } from "../base/index.ts";
import type { ProposeResult } from "./api.ts";
import { changeConf, isJoint, isVoter } from "./conf.ts";
import {
  appendEntries,
  bestSuccessor,
  broadcastAppend,
  broadcastCommit,
  maybeCommit,
  sendTimeoutNow,
} from "./leader.ts";
import type { RaftState } from "./state.ts";
import type { ConfChange, ConfState } from "./types.ts";

/** @param data the encoded change, which becomes the entry's data */
export function proposeConfChange(s: RaftState, change: ConfChange, data: Uint8Array): ProposeResult {
  if (s.role !== "leader") return dropped("not leader");
  if (s.transfer !== undefined) return dropped("transferring");
  if (!s.hasCommittedInTerm() || s.pendingConfIndex > s.applied)
    return dropped("a configuration change is pending");
  if (changeConf(s.conf, change).type === "refused") return dropped("configuration change is invalid");
  const index = appendEntries(s, [{ type: "conf", data }]);
  s.pendingConfIndex = index;
  broadcastAppend(s);
  return { type: "appended", index, term: s.term };
}

/**
 * Applies a committed change. One that does not fit is a no-op: whether it fits follows from the log alone, so it is
 * the same no-op everywhere.
 */
export function applyConfChange(s: RaftState, change: ConfChange): ConfState {
  const result = changeConf(s.conf, change);
  if (result.type === "refused") return s.conf;
  s.conf = result.conf;
  if (s.role === "leader") leaderConfChanged(s);
  else if (s.role !== "follower") s.becomeFollower(s.term, NO_MEMBER);
  return s.conf;
}

function leaderConfChanged(s: RaftState): void {
  s.syncProgress();
  // Promises were counted over the old configuration; the new one elects by other majorities (DESIGN §6).
  s.rounds.voidLease();
  if (s.transfer !== undefined && !isVoter(s.conf, s.transfer.to)) s.transfer = undefined;
  // A smaller quorum may already have what the larger one was still waiting for.
  if (maybeCommit(s)) broadcastCommit(s);
  broadcastAppend(s);
  if (!isVoter(s.conf, s.id)) stepDownRemoved(s);
}

/**
 * A leader that is no voter any more has led its own removal to the end (thesis §4.2.2) and goes. It names a
 * successor, so that the others need not wait for an election timeout.
 */
function stepDownRemoved(s: RaftState): void {
  broadcastCommit(s);
  const successor = bestSuccessor(s);
  if (successor !== undefined) sendTimeoutNow(s, successor);
  s.becomeFollower(s.term, NO_MEMBER);
}

/** Once a joint configuration is applied, the leader leaves it. Called after every apply; a lost try is made again. */
export function maybeLeaveJoint(s: RaftState): void {
  if (s.role !== "leader" || !isJoint(s.conf) || s.transfer !== undefined) return;
  if (!s.hasCommittedInTerm() || s.pendingConfIndex > s.applied) return;
  s.pendingConfIndex = appendEntries(s, [{ type: "conf", data: LEAVE_JOINT }]);
  broadcastAppend(s);
}

/** An empty change is the one that leaves a joint configuration. */
const LEAVE_JOINT = new Uint8Array(0);

function dropped(reason: Extract<ProposeResult, { type: "dropped" }>["reason"]): ProposeResult {
  return { type: "dropped", reason };
}
