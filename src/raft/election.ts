/**
 * Elections: pre-vote, vote, and who may ask for either. Raft paper §5.2, §5.4.1; thesis §9.6 (pre-vote), §4.2.3 and
 * §6.4.1 (a member with a live leader, or bound by a lease, does not help to depose it), §3.10 (transfer).
 */
import { type MemberId, NO_MEMBER } from "../base/index.ts";
import { isVoter, membersOf } from "./conf.ts";
import { becomeLeader } from "./leader.ts";
import { quorumVote } from "./quorum.ts";
import type { RaftState } from "./state.ts";
import type { VoteRequest, VoteResponse } from "./types.ts";

/** The election deadline passed without a sign of a leader. */
export function maybeCampaign(s: RaftState): void {
  if (s.now < s.electionDeadline) return;
  if (s.now < s.promiseUntil) {
    // Bound by a lease: ask again when it has run out, spread as ever so that not all wake at once.
    s.electionDeadline = s.promiseUntil + s.random.int(0, s.options.electionTimeoutMs);
    return;
  }
  if (!s.isPromotable()) {
    s.resetElectionDeadline();
    return;
  }
  preCampaign(s);
}

/** Asks whether an election could be won, without touching the term: a cut-off member must not inflate it. */
function preCampaign(s: RaftState): void {
  s.leaveRole();
  s.role = "preCandidate";
  s.setLeader(NO_MEMBER);
  s.resetElectionDeadline();
  s.votes.set(s.id, true);
  requestVotes(s, true);
  maybeWin(s);
}

/** Stands for election in the next term. @param transfer the leader asked for it and gave up its lease */
export function campaign(s: RaftState, transfer: boolean): void {
  s.leaveRole();
  s.role = "candidate";
  s.setLeader(NO_MEMBER);
  s.enterTerm(s.term + 1, s.id);
  s.transferCampaign = transfer;
  s.resetElectionDeadline();
  // Our own vote counts when it is durable (`ownVoteDurable`), and the requests are held until then. A candidate that
  // forgot that it stood, and how long its log was when it asked, would count answers to questions that it does not
  // remember.
  requestVotes(s, false);
}

function requestVotes(s: RaftState, pre: boolean): void {
  for (const to of membersOf(s.conf)) {
    if (to === s.id || !isVoter(s.conf, to)) continue;
    const request: VoteRequest = {
      type: "voteRequest",
      from: s.id,
      to,
      term: pre ? s.term + 1 : s.term,
      pre,
      lastIndex: s.log.lastIndex,
      lastTerm: s.log.lastTerm,
      transfer: !pre && s.transferCampaign,
    };
    if (pre) s.send(request);
    else s.hold(request);
  }
}

/** A batch became durable: if it holds our vote for ourselves in this term, that vote counts from now on. */
export function ownVoteDurable(s: RaftState): void {
  if (s.role !== "candidate" || s.votes.has(s.id)) return;
  if (s.durable.term !== s.term || s.durable.vote !== s.id) return;
  s.votes.set(s.id, true);
  maybeWin(s);
}

function maybeWin(s: RaftState): void {
  const result = quorumVote(s.conf, s.votes);
  if (result === "won") {
    if (s.role === "preCandidate") campaign(s, false);
    else becomeLeader(s);
  } else if (result === "lost") {
    // Wait for somebody else, or for a better day, in the same term.
    s.becomeFollower(s.term, NO_MEMBER);
  }
}

/** Whether a vote request of a higher term must not even be heard: we have a live leader, or are bound to one. */
export function isBoundToLeader(s: RaftState, request: VoteRequest): boolean {
  if (request.transfer) return false;
  return s.hasLiveLeader() || s.now < s.promiseUntil;
}

/** A request for a vote or a pre-vote, of our term or of a later one. */
export function handleVoteRequest(s: RaftState, m: VoteRequest): void {
  const free =
    s.vote === m.from || (s.vote === NO_MEMBER && s.leader === NO_MEMBER) || (m.pre && m.term > s.term);
  // A request of our own term reaches this line without having passed the check for later terms.
  const granted = free && !isBoundToLeader(s, m) && s.log.isUpToDate(m.lastIndex, m.lastTerm);
  if (granted && !m.pre) {
    s.vote = m.from;
    s.resetElectionDeadline();
  }
  respond(s, m.from, { pre: m.pre, granted, term: granted ? m.term : s.term });
}

/** Tells the sender of an old request which term it is in, so that it can catch up. */
export function refuseOldVoteRequest(s: RaftState, m: VoteRequest): void {
  respond(s, m.from, { pre: m.pre, granted: false, term: s.term });
}

function respond(s: RaftState, to: MemberId, answer: { pre: boolean; granted: boolean; term: number }): void {
  s.hold({ type: "voteResponse", from: s.id, to, ...answer });
}

/** An answer to a request that we made in this term (a granted pre-vote carries the next one). */
export function handleVoteResponse(s: RaftState, m: VoteResponse): void {
  const asked = m.pre ? s.role === "preCandidate" : s.role === "candidate";
  if (!asked) return;
  if (m.pre && m.granted && m.term !== s.term + 1) return;
  if (!isVoter(s.conf, m.from) || s.votes.has(m.from)) return;
  s.votes.set(m.from, m.granted);
  maybeWin(s);
}
