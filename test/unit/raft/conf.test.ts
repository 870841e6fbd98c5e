// Goal: what a change makes of a configuration. Method: a table of changes, and properties over random chains of them:
// the invariants of ConfState hold, and every majority of a configuration meets every majority of the next one, which
// is what makes the change safe (Raft thesis §4.1, §4.3).
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LIMITS } from "../../../src/base/index.ts";
import { checkConf } from "../../../src/raft/conf.ts";
import {
  type ConfChange,
  type ConfChangeStep,
  type ConfState,
  changeConf,
  EMPTY_CONF,
  isJoint,
  isMember,
  isVoter,
  membersOf,
} from "../../../src/raft/index.ts";
import { showConf } from "../../support/raft-disk.ts";

/** `+1 ~2 -3`: add voter 1, add learner 2, remove 3. `joint` before it; `lease=5` behind; empty: leave. */
function change(text: string): ConfChange {
  const words = text.split(" ").filter((word) => word !== "");
  const steps: ConfChangeStep[] = [];
  let leaseMs: number | undefined;
  for (const word of words) {
    const id = () => BigInt(word.slice(1));
    if (word.startsWith("+")) steps.push({ type: "addVoter", id: id() });
    else if (word.startsWith("~")) steps.push({ type: "addLearner", id: id() });
    else if (word.startsWith("-")) steps.push({ type: "remove", id: id() });
    else if (word.startsWith("lease=")) leaseMs = Number(word.slice(6));
  }
  return { joint: words[0] === "joint", steps, leaseMs };
}

/** Applies the changes in turn to nothing; the last result, or the reason of the refusal. */
function made(...texts: string[]): string {
  let conf: ConfState = EMPTY_CONF;
  for (const text of texts) {
    const result = changeConf(conf, change(text));
    if (result.type === "refused") return `refused: ${result.reason}`;
    conf = result.conf;
  }
  return showConf(conf);
}

describe("a change", () => {
  const table: [name: string, changes: string[], result: string][] = [
    ["bootstrap of many", ["+1 +2 +3"], "{1 2 3}"],
    ["bootstrap with a learner", ["+1 ~2"], "{1; 2}"],
    ["lists are sorted", ["+3 +1 +2", "~9", "~8"], "{1 2 3; 8 9}"],
    ["add a voter", ["+1", "+2"], "{1 2}"],
    ["add one that is there", ["+1 +2", "+2"], "{1 2}"],
    ["add a learner", ["+1", "~2"], "{1; 2}"],
    ["promote a learner", ["+1 ~2", "+2"], "{1 2}"],
    ["demote a voter", ["+1 +2", "~2"], "{1; 2}"],
    ["remove a voter", ["+1 +2 +3", "-2"], "{1 3}"],
    ["remove a learner", ["+1 ~2", "-2"], "{1}"],
    ["remove a stranger", ["+1", "-7"], "{1}"],
    ["several learners at once", ["+1", "~2 ~3"], "{1; 2 3}"],
    ["remove and add again in one change", ["+1 +2", "-2 +2"], "{1 2}"],
    ["joint: add and remove", ["+1 +2 +3", "joint +4 -1"], "{2 3 4|1 2 3}"],
    ["joint: left", ["+1 +2 +3", "joint +4 -1", ""], "{2 3 4}"],
    ["joint: demotion waits for the end", ["+1 +2 +3", "joint ~3 +4"], "{1 2 4|1 2 3; next 3}"],
    ["joint: demotion done", ["+1 +2 +3", "joint ~3 +4", ""], "{1 2 4; 3}"],
    ["joint: a new learner need not wait", ["+1 +2", "joint ~3 +4"], "{1 2 4|1 2; 3}"],
    ["joint: removed, then added as a learner", ["+1 +2", "joint -2 ~2"], "{1|1 2; next 2}"],
    ["joint: demoted, then promoted again", ["+1 +2", "joint ~2 +2"], "{1 2|1 2}"],
    ["joint: promotion", ["+1 ~2", "joint +2"], "{1 2|1}"],
    ["joint of one change is allowed", ["+1", "joint +2", ""], "{1 2}"],
    [
      "two voters need a joint change",
      ["+1", "+2 +3"],
      "refused: more than one voter changes; that needs a joint change",
    ],
    [
      "a replacement needs one too",
      ["+1 +2", "+3 -2"],
      "refused: more than one voter changes; that needs a joint change",
    ],
    ["no voter left", ["+1", "-1"], "refused: it would leave no voter"],
    ["no voter left by demotion", ["+1", "~1"], "refused: it would leave no voter"],
    ["no voter at bootstrap", ["~1"], "refused: it would leave no voter"],
    ["joint from nothing", ["joint +1"], "refused: an empty configuration has no outgoing half"],
    [
      "joint on joint",
      ["+1", "joint +2", "joint +3"],
      "refused: the configuration is joint; it must be left first",
    ],
    [
      "a simple change on joint",
      ["+1", "joint +2", "~3"],
      "refused: the configuration is joint; it must be left first",
    ],
    [
      "a lease change on joint",
      ["+1", "joint +2", "lease=5"],
      "refused: the configuration is joint; it must be left first",
    ],
    ["leave what is not joint", ["+1", ""], "refused: the configuration is not joint"],
    [
      "a lease with a joint change",
      ["+1", "joint +2 lease=5"],
      "refused: a joint change cannot change the lease",
    ],
    ["a negative lease", ["+1", "lease=-1"], `refused: lease of -1 ms is not in 0..${LIMITS.maxLeaseMs}`],
    [
      "a fraction of a lease",
      ["+1", "lease=1.5"],
      `refused: lease of 1.5 ms is not in 0..${LIMITS.maxLeaseMs}`,
    ],
  ];
  test.each(table)("%s", (_, changes, result) => {
    expect(made(...changes)).toBe(result);
  });

  test("of the lease: kept unless given, 0 is given", () => {
    const lease = (conf: ConfState, text: string) => {
      const result = changeConf(conf, change(text));
      return result.type === "ok" ? result.conf : conf;
    };
    let conf = lease(EMPTY_CONF, "+1 lease=500");
    expect(conf.leaseMs).toBe(500);
    conf = lease(conf, "+2");
    expect(conf.leaseMs).toBe(500);
    conf = lease(lease(conf, "joint +3"), "");
    expect(conf.leaseMs).toBe(500);
    conf = lease(conf, "lease=0");
    expect(conf).toMatchObject({ leaseMs: 0, voters: [1n, 2n, 3n] });
  });

  test("beyond the largest cluster is refused", () => {
    const many = Array.from({ length: LIMITS.maxMembers }, (_, i) => `~${i + 2}`).join(" ");
    expect(made("+1", many)).toContain("refused: more than");
  });

  test("changes nothing in its argument", () => {
    const conf: ConfState = Object.freeze({ ...EMPTY_CONF, voters: Object.freeze([1n, 2n]) });
    changeConf(conf, change("joint +3 ~2"));
    expect(showConf(conf)).toBe("{1 2}");
  });
});

test.each([
  ["a learner with a vote", { voters: [1n], learners: [1n] }],
  ["a learner with an outgoing vote", { voters: [1n], votersOutgoing: [2n], learners: [2n] }],
  ["a next learner without an outgoing vote", { voters: [1n], votersOutgoing: [1n], learnersNext: [3n] }],
  ["a next learner with an incoming vote", { voters: [1n, 2n], votersOutgoing: [2n], learnersNext: [2n] }],
  ["a next learner outside a joint configuration", { voters: [1n], learnersNext: [2n] }],
])("checkConf refuses %s", (_, part) => {
  expect(() => checkConf({ ...EMPTY_CONF, ...part })).toThrow();
});

describe("properties of random chains of changes", () => {
  const stepArb = fc.record({
    type: fc.constantFrom("addVoter" as const, "addLearner" as const, "remove" as const),
    id: fc.bigInt(1n, 6n),
  });
  const changeArb: fc.Arbitrary<ConfChange> = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        joint: fc.boolean(),
        steps: fc.array(stepArb, { maxLength: 4 }),
        leaseMs: fc.constant(undefined),
      }),
    },
    { weight: 1, arbitrary: fc.constant({ joint: true, steps: [], leaseMs: undefined }) },
  );
  const chainArb = fc.tuple(fc.integer({ min: 1, max: 5 }), fc.array(changeArb, { maxLength: 12 }));
  const RUNS = { numRuns: 2000, seed: 20260102, verbose: 1 } as const;

  function chain([voters, changes]: [number, ConfChange[]]): ConfState[] {
    let conf: ConfState = { ...EMPTY_CONF, voters: Array.from({ length: voters }, (_, i) => BigInt(i + 1)) };
    const confs = [conf];
    for (const next of changes) {
      const result = changeConf(conf, next);
      if (result.type === "refused") continue;
      conf = result.conf;
      confs.push(conf);
    }
    return confs;
  }

  test("the invariants hold, lists are sorted without repeats", () => {
    fc.assert(
      fc.property(chainArb, (input) => {
        for (const conf of chain(input)) {
          checkConf(conf);
          expect(conf.voters.length).toBeGreaterThan(0);
          if (!isJoint(conf)) expect(conf.learnersNext).toEqual([]);
          for (const list of [conf.voters, conf.votersOutgoing, conf.learners, conf.learnersNext]) {
            expect(list).toEqual([...new Set(list)].sort());
          }
          const members = membersOf(conf);
          for (let id = 1n; id <= 6n; id++) expect(members.includes(id)).toBe(isMember(conf, id));
          for (const id of conf.voters) expect(isVoter(conf, id)).toBe(true);
        }
      }),
      RUNS,
    );
  });

  /** Whether `set` decides in `conf`, written down once more. */
  function decides(conf: ConfState, set: ReadonlySet<bigint>): boolean {
    const half = (ids: readonly bigint[]) =>
      ids.length === 0 || ids.filter((id) => set.has(id)).length * 2 > ids.length;
    return half(conf.voters) && half(conf.votersOutgoing);
  }

  test("every quorum of a configuration meets every quorum of the next", () => {
    fc.assert(
      fc.property(chainArb, (input) => {
        const confs = chain(input);
        confs.slice(1).forEach((next, i) => {
          const before = confs[i] ?? next;
          for (let mask = 0; mask < 1 << 6; mask++) {
            const set = new Set([1n, 2n, 3n, 4n, 5n, 6n].filter((id) => (mask >> (Number(id) - 1)) & 1));
            const rest = new Set([1n, 2n, 3n, 4n, 5n, 6n].filter((id) => !set.has(id)));
            // If a set and its complement could both decide, two quorums would not meet.
            if (decides(before, set) && decides(next, rest)) {
              throw new Error(`${showConf(before)} -> ${showConf(next)}: ${[...set]} and ${[...rest]}`);
            }
          }
        });
      }),
      { ...RUNS, numRuns: 500 },
    );
  });
});
