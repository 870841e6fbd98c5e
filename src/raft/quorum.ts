/**
 * Majorities and pairs of majorities. Pure functions of a configuration and of what each voter has reached; nothing
 * here knows what the numbers mean. A joint configuration decides only when both halves do (Raft thesis §4.3).
 *
 * etcd raft: quorum/majority.go, quorum/joint.go.
 */
import type { MemberId } from "../base/index.ts";
import type { ConfState } from "./types.ts";

/** What is known of an election. */
export type VoteResult = "won" | "lost" | "pending";

/**
 * The largest value that a majority of `voters` has reached, by `reached`. An empty half decides nothing and so holds
 * nothing back: Infinity.
 */
export function majorityReached(voters: readonly MemberId[], reached: (id: MemberId) => number): number {
  const n = voters.length;
  if (n === 0) return Number.POSITIVE_INFINITY;
  if (n === 1) return reached(voters[0] as MemberId);
  const values: number[] = [];
  for (const id of voters) {
    // Insertion sort, descending: a configuration has at most a handful of voters.
    const value = reached(id);
    let at = values.length;
    values.push(value);
    while (at > 0 && (values[at - 1] as number) < value) {
      values[at] = values[at - 1] as number;
      at--;
    }
    values[at] = value;
  }
  // Of 5 sorted descending, positions 0..2 are a majority, and all of them reached the value at position 2.
  return values[n >> 1] as number;
}

/** The largest value that the configuration as a whole has reached: the smaller one of its halves. */
export function quorumReached(conf: ConfState, reached: (id: MemberId) => number): number {
  const incoming = majorityReached(conf.voters, reached);
  if (conf.votersOutgoing.length === 0) return incoming;
  return Math.min(incoming, majorityReached(conf.votersOutgoing, reached));
}

/** Outcome of an election in one half; `votes` has an entry for each voter that answered. */
export function majorityVote(voters: readonly MemberId[], votes: ReadonlyMap<MemberId, boolean>): VoteResult {
  if (voters.length === 0) return "won";
  let granted = 0;
  let missing = 0;
  for (const id of voters) {
    const vote = votes.get(id);
    if (vote === undefined) missing++;
    else if (vote) granted++;
  }
  const needed = (voters.length >> 1) + 1;
  if (granted >= needed) return "won";
  return granted + missing >= needed ? "pending" : "lost";
}

/** Outcome of an election in the whole configuration. */
export function quorumVote(conf: ConfState, votes: ReadonlyMap<MemberId, boolean>): VoteResult {
  const incoming = majorityVote(conf.voters, votes);
  const outgoing = majorityVote(conf.votersOutgoing, votes);
  if (incoming === outgoing) return incoming;
  if (incoming === "lost" || outgoing === "lost") return "lost";
  return "pending";
}
