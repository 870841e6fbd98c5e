// Goal: no order of deliveries, losses, repetitions, timeouts and crashes of a small cluster breaks a safety
// property. Method: exhaustive search (explorer.ts) to the last world of each scope; and one-line breaks of
// the core, each of which the search must find. `EXPLORE=large npx vitest run test/explore` searches larger
// scopes, for minutes.
import { describe, expect, test } from "vitest";
import { Raft } from "../../src/raft/index.ts";
import { brokenRaft, type Patch } from "./broken-raft.ts";
import { Counterexample, Explorer, type Scope } from "./explorer.ts";
import type { RaftClass } from "./local.ts";
import {
  ALONE,
  EARLY_READS,
  ELECTIONS,
  FIGURE_8,
  LARGE_SCOPES,
  PAIR,
  READS,
  SCOPES,
  TWO_TERMS,
} from "./scopes.ts";

const LARGE_TIMEOUT_MS = 3_600_000;
const isLarge = process.env["EXPLORE"] === "large";

describe("every world is safe", () => {
  test.each(isLarge ? [...SCOPES, ...LARGE_SCOPES] : SCOPES)(
    "$name",
    (scope) => {
      const report = new Explorer(scope, Raft).run();
      console.log(
        `${scope.name}: ${report.worlds} worlds, depth ${report.depth}, ${report.transitions} steps, ` +
          `${report.memberStates} member states, ${report.messages} messages`,
      );
      expect(report.leaders, "somebody was elected").toBeGreaterThanOrEqual(1);
      if (!scope.lost.includes("append")) expect(report.maxCommitted).toBeGreaterThanOrEqual(2);
    },
    LARGE_TIMEOUT_MS,
  );
});

const QUICK_ELECTIONS: Scope = {
  ...ELECTIONS,
  budget: { ...ELECTIONS.budget, timeouts: 3 },
  members: ELECTIONS.members.map((m) => ({ ...m, slowDisk: false })),
};

describe("the reductions of the search lose no member state", () => {
  test("elections of three", () => {
    const small: Scope = { ...QUICK_ELECTIONS, budget: { ...ELECTIONS.budget, crashes: 0 } };
    const reduced = new Explorer(small, Raft).run();
    const plain = new Explorer(small, Raft, { reduce: false }).run();
    expect(plain.worlds).toBeGreaterThan(reduced.worlds);
    expect(plain.memberStates).toBe(reduced.memberStates);
    expect(plain.messages).toBe(reduced.messages);
  });

  test("two members that replicate", () => {
    const small: Scope = { ...PAIR, budget: { ...PAIR.budget, proposals: 0, crashes: 0 } };
    const reduced = new Explorer(small, Raft).run();
    const plain = new Explorer(small, Raft, { reduce: false }).run();
    expect(plain.worlds).toBeGreaterThan(reduced.worlds);
    expect(plain.memberStates).toBe(reduced.memberStates);
    expect(plain.messages).toBe(reduced.messages);
  });
});

interface Break extends Patch {
  readonly name: string;
  readonly scope: Scope;
  readonly property: RegExp;
}

const BREAKS: readonly Break[] = [
  {
    name: "entries of older terms are committed by counting (paper §5.4.2)",
    file: "leader.ts",
    from: " || s.log.termAt(index) !== s.term) return false;",
    to: ") return false;",
    scope: FIGURE_8,
    property: /Leader Completeness|State Machine Safety|two commits/,
  },
  {
    name: "a vote is not made durable",
    file: "state.ts",
    from: "      last.vote !== this.vote ||\n",
    to: "",
    scope: ELECTIONS,
    property: /sent before durable/,
  },
  {
    name: "a restart forgets the vote, which is then given twice",
    file: "state.ts",
    from: "this.vote = start.hardState.vote;",
    to: "this.vote = NO_MEMBER;",
    scope: QUICK_ELECTIONS,
    property: /Election Safety/,
  },
  {
    name: "a follower does not compare the term at prevIndex",
    file: "follower.ts",
    from: "if (s.log.termAt(m.prevIndex) !== m.prevTerm) {",
    to: "if (s.log.termAt(m.prevIndex) === undefined) {",
    scope: FIGURE_8,
    property: /Log Matching|State Machine Safety|Leader Completeness/,
  },
  {
    name: "a vote goes to a log that is behind (paper §5.4.1)",
    file: "election.ts",
    from: " && s.log.isUpToDate(m.lastIndex, m.lastTerm);",
    to: ";",
    scope: TWO_TERMS,
    property: /Leader Completeness|overwrite of a committed entry|contradicts/,
  },
  {
    name: "the leader counts its own disk before it is done",
    file: "state.ts",
    from: "if (id === this.id) return this.log.persisted;",
    to: "if (id === this.id) return this.log.lastIndex;",
    scope: ALONE,
    property: /two commits|Leader Completeness|State Machine Safety/,
  },
  {
    name: "an append is acknowledged before it is durable",
    file: "follower.ts",
    from: "function acknowledge(s: RaftState, to: MemberId, index: number): void {\n  s.hold({",
    to: "function acknowledge(s: RaftState, to: MemberId, index: number): void {\n  s.send({",
    scope: PAIR,
    property: /sent before durable/,
  },
  {
    name: "a read is confirmed by a round from before it came (etcd #20418)",
    file: "rounds.ts",
    from: "this.#waiting.push({ reader, round: this.#round + 1, index });",
    to: "this.#waiting.push({ reader, round: this.#round, index });",
    scope: READS,
    property: /stale read/,
  },
  {
    name: "a leader reads before it has committed in its term",
    file: "leader.ts",
    from: "  if (!s.hasCommittedInTerm()) {\n    s.rounds.waitForCommit(reader);",
    to: "  if (s.log.committed === 0) {\n    s.rounds.waitForCommit(reader);",
    scope: EARLY_READS,
    property: /stale read/,
  },
];

describe("a broken core is caught", () => {
  test.each(BREAKS)("$name", async ({ scope, property, ...patch }) => {
    const broken = await brokenRaft(patch);
    const found = search(scope, broken);
    console.log(`${patch.name}: ${found?.property ?? "not found"}, ${found?.steps.length ?? 0} steps`);
    expect(found?.message).toMatch(property);
  });

  test("a break that does not apply is no break", async () => {
    await expect(brokenRaft({ file: "leader.ts", from: "no such text", to: "" })).rejects.toThrow("0 times");
  });
});

function search(scope: Scope, raftClass: RaftClass): Counterexample | undefined {
  try {
    new Explorer(scope, raftClass).run();
  } catch (error) {
    if (error instanceof Counterexample) return error;
    throw error;
  }
  return undefined;
}
