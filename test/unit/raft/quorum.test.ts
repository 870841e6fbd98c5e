// Goal: majorities and pairs of them. Method: tables, and a property test against a model that is too dumb to be wrong:
// it enumerates every subset of the voters and asks whether it is a majority.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EMPTY_CONF } from "../../../src/raft/index.ts";
import {
  majorityReached,
  majorityVote,
  quorumReached,
  quorumVote,
  type VoteResult,
} from "../../../src/raft/quorum.ts";

const RUNS = { numRuns: 2000, seed: 20260101, verbose: 1 } as const;

/** All subsets of `ids` that are a majority of it; of nobody, the empty one. */
function majorities(ids: readonly bigint[]): bigint[][] {
  const found: bigint[][] = [];
  for (let mask = 0; mask < 1 << ids.length; mask++) {
    const subset = ids.filter((_, i) => (mask & (1 << i)) !== 0);
    if (2 * subset.length > ids.length || ids.length === 0) found.push(subset);
  }
  return found;
}

/** The largest value such that some majority consists only of members that have reached it. */
function dumbReached(ids: readonly bigint[], reached: (id: bigint) => number): number {
  return Math.max(...majorities(ids).map((set) => Math.min(...set.map(reached), Number.POSITIVE_INFINITY)));
}

function dumbVote(ids: readonly bigint[], votes: ReadonlyMap<bigint, boolean>): VoteResult {
  const all = majorities(ids);
  if (all.some((set) => set.every((id) => votes.get(id) === true))) return "won";
  if (all.some((set) => set.every((id) => votes.get(id) !== false))) return "pending";
  return "lost";
}

const idsArb = fc.uniqueArray(fc.bigInt(1n, 9n), { maxLength: 7 }).map((ids) => ids.sort());
const valuesArb = fc.array(fc.nat(6), { minLength: 10, maxLength: 10 });
const votesArb = fc.array(fc.constantFrom(true, false, undefined), { minLength: 10, maxLength: 10 });

function votesOf(answers: readonly (boolean | undefined)[]): Map<bigint, boolean> {
  const votes = new Map<bigint, boolean>();
  answers.forEach((answer, id) => {
    if (answer !== undefined) votes.set(BigInt(id), answer);
  });
  return votes;
}

describe("against the dumb model", () => {
  test("majorityReached", () => {
    fc.assert(
      fc.property(idsArb, valuesArb, (ids, values) => {
        const reached = (id: bigint) => values[Number(id)] ?? 0;
        expect(majorityReached(ids, reached)).toBe(dumbReached(ids, reached));
      }),
      RUNS,
    );
  });

  test("majorityVote", () => {
    fc.assert(
      fc.property(idsArb, votesArb, (ids, answers) => {
        const votes = votesOf(answers);
        expect(majorityVote(ids, votes)).toBe(dumbVote(ids, votes));
      }),
      RUNS,
    );
  });

  test("quorumReached: what both halves have reached", () => {
    fc.assert(
      fc.property(idsArb, idsArb, valuesArb, (voters, votersOutgoing, values) => {
        const reached = (id: bigint) => values[Number(id)] ?? 0;
        const conf = { ...EMPTY_CONF, voters, votersOutgoing };
        const dumb = Math.min(dumbReached(voters, reached), dumbReached(votersOutgoing, reached));
        expect(quorumReached(conf, reached)).toBe(dumb);
      }),
      RUNS,
    );
  });

  test("quorumVote: won by both, lost by one", () => {
    fc.assert(
      fc.property(idsArb, idsArb, votesArb, (voters, votersOutgoing, answers) => {
        const votes = votesOf(answers);
        const halves = [dumbVote(voters, votes), dumbVote(votersOutgoing, votes)];
        const dumb = halves.includes("lost") ? "lost" : halves.includes("pending") ? "pending" : "won";
        expect(quorumVote({ ...EMPTY_CONF, voters, votersOutgoing }, votes)).toBe(dumb);
      }),
      RUNS,
    );
  });
});

describe("by hand", () => {
  test.each([
    ["nobody holds nothing back", [], Number.POSITIVE_INFINITY],
    ["one", [7], 7],
    ["two: the slower", [7, 3], 3],
    ["three: the middle", [7, 3, 5], 5],
    ["four: the third", [7, 3, 5, 4], 4],
    ["five: the middle", [1, 2, 3, 4, 5], 3],
    ["equal values", [4, 4, 4], 4],
    ["who is not known has reached 0", [9, 0, 0], 0],
  ])("majorityReached: %s", (_, values, reached) => {
    const ids = values.map((_v, i) => BigInt(i + 1));
    expect(majorityReached(ids, (id) => values[Number(id) - 1] ?? 0)).toBe(reached);
  });

  test("the joint quorum is the smaller of the halves, though together they are many", () => {
    const conf = { ...EMPTY_CONF, voters: [1n, 2n, 3n], votersOutgoing: [4n, 5n, 6n] };
    const reached = (id: bigint) => (id <= 3n ? 9 : id === 4n ? 8 : 2);
    expect(quorumReached(conf, reached)).toBe(2);
  });
});
