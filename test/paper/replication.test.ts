// Goal: the claims about log replication and commitment: Raft paper §5.3, §5.4.2, figures 2, 7, 8; thesis §3.5,
// §3.6.2, §10.2.1. Method: tables over one member alone, and stories on the deterministic cluster.
import { describe, expect, test } from "vitest";
import { seededRandom } from "../support/raft-disk.ts";
import { Net } from "../support/raft-net.ts";
import { entriesFrom, Solo } from "../support/raft-solo.ts";

/** Acknowledges at the leader `solo` what member `from` has. */
function ack(solo: Solo, from: number, index: number): void {
  const answer = { type: "appendResponse", rejected: false, hintIndex: 0, hintTerm: 0 } as const;
  solo.step({ ...answer, from: BigInt(from), term: solo.raft.term, index });
}

describe("§5.3 the consistency check of an append", () => {
  const table: [
    name: string,
    own: number[],
    prev: [number, number],
    add: number[],
    result: number[] | "refused",
  ][] = [
    ["at the end", [1, 1], [2, 1], [2], [1, 1, 2]],
    ["empty, matching", [1, 1], [2, 1], [], [1, 1]],
    ["from the very beginning", [], [0, 0], [1], [1]],
    ["already there", [1, 1, 2], [1, 1], [1, 2], [1, 1, 2]],
    ["already there, and more: nothing is cut", [1, 1, 2, 2], [1, 1], [1], [1, 1, 2, 2]],
    ["partly there", [1, 1], [1, 1], [1, 2], [1, 1, 2]],
    ["conflict at the first entry", [1, 1, 1], [1, 1], [2, 2], [1, 2, 2]],
    ["conflict in the middle", [1, 1, 2, 2], [1, 1], [1, 3], [1, 1, 3]],
    ["conflict cuts everything behind it", [1, 1, 2, 2, 2], [1, 1], [3], [1, 3]],
    ["gap", [1, 1], [3, 1], [2], "refused"],
    ["other term at prevIndex", [1, 1], [2, 2], [2], "refused"],
    ["figure 7a: one entry missing", [1, 1, 1, 4, 4, 5, 5, 6, 6], [10, 6], [6], "refused"],
    ["figure 7b", [1, 1, 1, 4], [10, 6], [6], "refused"],
    [
      "figure 7c: one too many",
      [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
      [10, 6],
      [7],
      [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7],
    ],
    [
      "figure 7d: two of a later term",
      [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
      [10, 6],
      [8],
      [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 8],
    ],
    ["figure 7e", [1, 1, 1, 4, 4, 4, 4], [10, 6], [8], "refused"],
    ["figure 7f", [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3], [10, 6], [8], "refused"],
  ];
  test.each(table)("%s", (_, own, [prevIndex, prevTerm], add, result) => {
    const solo = new Solo({ log: own, term: 8 });
    const entries = entriesFrom(prevIndex + 1, add);
    const [answer] = solo.answer({ type: "append", term: 8, prevIndex, prevTerm, commit: 0, entries });
    if (result === "refused") {
      expect(answer).toMatchObject({ rejected: true, index: prevIndex });
      expect(solo.terms()).toEqual(own);
    } else {
      expect(answer).toMatchObject({ rejected: false, index: prevIndex + add.length });
      expect(solo.terms()).toEqual(result);
    }
  });
});

describe("figure 2: a follower's commit index", () => {
  const table: [name: string, own: number[], prev: number, add: number[], commit: number, result: number][] =
    [
      ["the leader's", [1, 1, 1], 3, [], 2, 2],
      ["at most the last new entry", [1, 1, 1, 1], 1, [1], 4, 2],
      [
        "an own tail behind the last proved entry stays uncommitted (scylladb #9965)",
        [1, 1, 1, 1],
        2,
        [],
        4,
        2,
      ],
      ["with the entries of the message", [1], 1, [2, 2], 3, 3],
      ["does not fall", [1, 1, 1], 3, [], 0, 1],
    ];
  test.each(table)("%s", (_, own, prevIndex, add, commit, result) => {
    const solo = new Solo({ log: own, term: 2, commit: 1 });
    const entries = entriesFrom(prevIndex + 1, add);
    solo.step({ type: "append", term: 2, prevIndex, prevTerm: 1, commit, entries });
    expect(solo.raft.commit).toBe(result);
  });

  test("an append that begins below the commit index is answered with the commit index", () => {
    const solo = new Solo({ log: [1, 1, 1], term: 2, commit: 3 });
    const late = { type: "append", term: 2, prevIndex: 1, prevTerm: 1, commit: 1 } as const;
    expect(solo.answer({ ...late, entries: entriesFrom(2, [1]) })).toMatchObject([
      { rejected: false, index: 3 },
    ]);
    expect(solo.terms()).toEqual([1, 1, 1]);
  });
});

describe("§5.3 the leader", () => {
  test("appends, and sends every proposal to all others at once (thesis §10.2.1: pipelined)", () => {
    const net = new Net({ voters: [1, 2, 3] });
    net.elect(1);
    net.sent = [];
    net.propose(1, "a");
    net.propose(1, "b");
    const appends = net.sent.filter((m) => m.type === "append");
    expect(appends.map((m) => [m.to, m.prevIndex, m.entries.length])).toEqual([
      [2n, 2, 1],
      [3n, 2, 1],
      [2n, 3, 1],
      [3n, 3, 1],
    ]);
  });

  test("never overwrites or deletes entries of its own log (Leader Append-Only)", () => {
    const solo = new Solo({ log: [1, 1, 1] });
    solo.lead();
    const before = solo.terms();
    const forged = { type: "append", term: solo.raft.term, prevIndex: 1, prevTerm: 1, commit: 0 } as const;
    expect(solo.step({ ...forged, entries: entriesFrom(2, [2]) }).type).toBe("refused");
    expect(solo.terms()).toEqual(before);
  });

  const commits: [name: string, voters: number, acks: Record<number, number>, commit: number][] = [
    ["alone", 1, {}, 4],
    ["2 members: needs both", 2, {}, 0],
    ["2 members: both", 2, { 2: 4 }, 4],
    ["3 members: one other", 3, { 2: 4 }, 4],
    ["3 members: the other is behind", 3, { 2: 3 }, 3],
    ["5 members: one other is not enough", 5, { 2: 4 }, 0],
    ["5 members: two others", 5, { 2: 4, 3: 3 }, 3],
    ["5 members: all", 5, { 2: 4, 3: 4, 4: 4, 5: 2 }, 4],
  ];
  test.each(commits)("§5.3 commits what a majority has: %s", (_, count, acks, commit) => {
    const solo = new Solo({ voters: Array.from({ length: count }, (_x, i) => i + 1) });
    solo.lead();
    for (const text of ["a", "b"]) solo.raft.propose(solo.now, [{ type: "normal", data: Buffer.from(text) }]);
    solo.pump();
    // 1 is of term 1, 2 the no-op, 3 and 4 are the proposals.
    for (const [n, index] of Object.entries(acks)) ack(solo, Number(n), index);
    expect(solo.raft.commit).toBe(commit);
  });

  test("its own disk is one vote like any other (thesis §10.2.1)", () => {
    const solo = new Solo({ manualPersist: true });
    solo.stand();
    solo.persist();
    solo.step({ type: "voteResponse", term: 2, pre: false, granted: true });
    expect(solo.raft.role).toBe("leader");
    expect(solo.sent().some((m) => m.type === "append" && m.entries.length === 1)).toBe(true);
    ack(solo, 2, 2);
    expect(solo.raft.commit).toBe(0);
    solo.persist();
    expect(solo.raft.commit).toBe(2);
  });

  test("others may commit before the leader's disk is done (thesis §10.2.1)", () => {
    const solo = new Solo({ manualPersist: true });
    solo.stand();
    solo.persist();
    solo.step({ type: "voteResponse", term: 2, pre: false, granted: true });
    ack(solo, 2, 2);
    ack(solo, 3, 2);
    expect(solo.raft.commit).toBe(2);
    // It is committed, but this member may not apply what it could still lose.
    expect(solo.raft.applied).toBe(1);
    solo.persist();
    expect(solo.raft.applied).toBe(2);
  });

  test("a learner's acknowledgement does not count (thesis §4.2.1)", () => {
    const solo = new Solo({ conf: { learners: [7n, 8n] } });
    solo.lead();
    ack(solo, 7, 2);
    ack(solo, 8, 2);
    expect(solo.raft.commit).toBe(0);
    ack(solo, 2, 2);
    expect(solo.raft.commit).toBe(2);
  });

  test("committing an entry commits all before it, and followers learn it with the next message", () => {
    const net = new Net({ voters: [1, 2, 3] }, { 1: { log: [1, 1] } });
    net.elect(1);
    expect([1, 2, 3].map((n) => net.raft(n).commit)).toEqual([4, 4, 4]);
    expect(net.values(3)).toEqual(["2.1", "3.1"]);
  });

  test("entries are applied in order, each once", () => {
    const net = new Net({ voters: [1, 2, 3] });
    net.elect(1);
    const texts = Array.from({ length: 50 }, (_x, i) => `v${i}`);
    for (const text of texts) net.propose(1, text);
    net.settle();
    for (const n of [1, 2, 3]) expect(net.values(n)).toEqual(texts);
  });

  test("keeps trying until a follower has everything, whatever is lost", () => {
    const net = new Net({ voters: [1, 2, 3] });
    net.elect(1);
    const random = seededRandom(42);
    net.intercept = (m) => (m.type.startsWith("append") && random.int(0, 3) > 0 ? "drop" : "pass");
    for (let i = 0; i < 20; i++) net.propose(1, `v${i}`);
    net.run(20_000);
    expect(net.values(2)).toHaveLength(20);
    expect(net.values(3)).toHaveLength(20);
  });
});

describe("§5.4.2 only entries of the current term are committed by counting", () => {
  test.each([
    ["an entry of an older term on all members is not", 2, 0],
    ["with the first entry of its own term all before it are", 4, 4],
  ])("%s", (_, acked, commit) => {
    const solo = new Solo({ log: [1, 2, 2], term: 3 });
    solo.lead();
    ack(solo, 2, acked);
    ack(solo, 3, acked);
    expect(solo.raft.commit).toBe(commit);
  });

  test("a new leader appends an empty entry of its term at once", () => {
    const net = new Net({ voters: [1, 2, 3] });
    net.elect(2);
    expect(net.terms(2)).toEqual([1, 2]);
    expect(net.raft(2).entryAt(2)?.data).toHaveLength(0);
    expect(net.raft(2).commit).toBe(2);
  });

  /**
   * Figure 8, index 3 at S1 is of term 2, at S5 of term 3. In (c) S1 leads term 4 and has brought its entry of term 2
   * to a majority, but nothing of term 4.
   */
  function figure8(): Net {
    const net = new Net(
      { voters: [1, 2, 3, 4, 5] },
      {
        1: { term: 3, log: [1, 2] },
        2: { term: 3, log: [1, 2] },
        3: { term: 3, log: [1] },
        4: { term: 3, log: [1] },
        5: { term: 3, log: [1, 3] },
      },
    );
    net.partition([1, 2, 3]);
    // Of the new leader's appends only the part with the entry of term 2 arrives.
    net.intercept = (m) => (m.type === "append" && m.entries.some((e) => e.term === 4) ? "hold" : "pass");
    net.elect(1);
    for (const n of [2n, 3n]) {
      const { from, term } = { from: 1n, term: 4 };
      const entry = net.raft(1).entryAt(3);
      if (entry === undefined) throw new Error("entry 3 is gone");
      const append = { type: "append", from, to: n, term, prevIndex: 2, prevTerm: 1, commit: 1 } as const;
      net.arrive({ ...append, entries: [entry] });
    }
    net.settle();
    return net;
  }

  test("figure 8 (c): the entry of term 2 is on a majority and not committed", () => {
    const net = figure8();
    expect([1, 2, 3].map((n) => net.raft(n).termAt(3))).toEqual([2, 2, 2]);
    expect(net.raft(1).commit).toBe(1);
  });

  test("figure 8 (d): S5 may still win and overwrite it everywhere", () => {
    const net = figure8();
    net.crash(1);
    net.heal();
    net.held = [];
    net.intercept = () => "pass";
    net.elect(5);
    net.settle();
    for (const n of [2, 3, 4, 5]) expect(net.terms(n)).toEqual([1, 1, 3, 5]);
    net.restart(1);
    net.run(1000);
    expect(net.terms(1)).toEqual([1, 1, 3, 5]);
  });

  test("figure 8 (e): once an entry of term 4 is on a majority S5 cannot win any more", () => {
    const net = figure8();
    net.intercept = () => "pass";
    net.release();
    net.settle();
    expect(net.raft(1).commit).toBe(4);
    net.crash(1);
    net.heal();
    expect(() => net.elect(5)).toThrow("was not elected");
    net.elect(3);
    expect(net.values(3)).toEqual(["2.1", "3.2"]);
  });
});

describe("§5.3 end: fast backtracking", () => {
  const hints: [name: string, own: number[], prev: [number, number], hint: [number, number]][] = [
    ["the log is too short: its end", [1, 1, 2], [9, 4], [3, 2]],
    ["later terms of our own are skipped", [1, 1, 2, 2, 2, 5, 5, 5, 5], [9, 4], [5, 2]],
    ["one whole term", [1, 3, 3, 3, 3], [5, 2], [1, 1]],
    ["nothing can agree", [5, 5, 5], [3, 2], [0, 0]],
    ["a smaller term at prevIndex: there", [1, 1, 2, 2], [4, 4], [4, 2]],
    ["empty log", [], [3, 2], [0, 0]],
  ];
  test.each(hints)("follower: %s", (_, own, [prevIndex, prevTerm], [hintIndex, hintTerm]) => {
    const solo = new Solo({ log: own, term: 6 });
    const [answer] = solo.answer({ type: "append", term: 6, prevIndex, prevTerm, commit: 0, entries: [] });
    expect(answer).toMatchObject({ rejected: true, index: prevIndex, hintIndex, hintTerm });
  });

  const probes: [name: string, own: number[], hint: [number, number], next: number][] = [
    ["the leader skips its own later terms", [1, 3, 3, 3, 3, 5, 5, 5, 5], [9, 2], 1],
    ["the hint's term is ours: behind it", [1, 3, 3, 3, 3, 5, 5, 5, 5], [5, 3], 5],
    ["the hint lies inside one of our terms", [1, 1, 1, 4, 4, 4], [3, 1], 3],
    ["no term in the hint: to its index", [1, 1, 1], [0, 0], 0],
  ];
  test.each(probes)("leader: %s", (_, own, [hintIndex, hintTerm], prevIndex) => {
    const solo = new Solo({ log: own, term: 6 });
    solo.lead();
    const [answer] = solo.answer({
      type: "appendResponse",
      term: 7,
      rejected: true,
      index: own.length,
      hintIndex: Math.min(hintIndex, own.length),
      hintTerm,
    });
    expect(answer).toMatchObject({ type: "append", to: 2n, prevIndex });
  });

  test.each([
    ["20 entries, 3 terms each", [2, 4, 6], [3, 5, 7]],
    ["the follower has one long old term", [2, 2, 2], [3, 5, 7]],
    ["the leader has one long term", [2, 4, 6], [7, 7, 7]],
  ])("at most one round trip per term and one more: %s", (_, followerTerms, leaderTerms) => {
    const stretch = (terms: number[]) => terms.flatMap((term) => new Array<number>(20).fill(term));
    const net = new Net(
      { voters: [1, 2, 3] },
      {
        1: { log: stretch(leaderTerms) },
        2: { log: stretch(followerTerms) },
        3: { log: stretch(leaderTerms) },
      },
    );
    net.elect(1);
    const rejected = net.sent.filter((m) => m.type === "appendResponse" && m.from === 2n && m.rejected);
    expect(rejected.length).toBeGreaterThan(0);
    expect(rejected.length).toBeLessThanOrEqual(4);
    net.run(500);
    expect(net.terms(2)).toEqual(net.terms(1));
  });
});

describe("thesis §3.5 Log Matching", () => {
  const LOGS = [[], [2], [2, 2], [3], [2, 3], [3, 3], [2, 2, 3], [2, 4, 4], [3, 4]];
  /** Whether no index holds one term behind two different pasts: such logs cannot stand beside each other. */
  const possible = (a: readonly number[], b: readonly number[]) =>
    a.every((term, i) => term !== b[i] || a.slice(0, i).every((before, j) => before === b[j]));

  test.each(
    LOGS.flatMap((a, i) => LOGS.slice(i + 1).map((b) => [a, b] as const)).filter(([a, b]) => possible(a, b)),
  )("follower 1 1 %j and leader 1 1 %j (or the other way round) end equal", (a, b) => {
    const newer = (x: readonly number[], y: readonly number[]) =>
      (x[x.length - 1] ?? 1) - (y[y.length - 1] ?? 1) || x.length - y.length;
    const [low, high] = newer(a, b) <= 0 ? [a, b] : [b, a];
    const net = new Net({ voters: [1, 2, 3] }, { 1: { log: high }, 2: { log: low }, 3: { log: low } });
    net.elect(1);
    net.run(500);
    for (const n of [2, 3]) expect(net.terms(n)).toEqual(net.terms(1));
  });
});

describe("thesis §10.2.1 limits of the pipeline", () => {
  test("at most `maxInflightMessages` appends with entries are unanswered", () => {
    const net = new Net({ voters: [1, 2, 3], raft: { maxInflightMessages: 4 } });
    net.elect(1);
    net.sent = [];
    for (let i = 0; i < 20; i++) net.propose(1, `v${i}`);
    const to2 = net.sent.filter((m) => m.type === "append" && m.to === 2n && m.entries.length > 0);
    expect(to2).toHaveLength(4);
    net.settle();
    expect(net.values(2)).toHaveLength(20);
  });

  test("proposals beyond `maxUncommittedBytes` are dropped until some are committed", () => {
    const net = new Net({ voters: [1, 2, 3], raft: { maxUncommittedBytes: 10 } });
    net.elect(1);
    expect(net.propose(1, "12345678901234")).toMatchObject({ type: "appended" });
    expect(net.propose(1, "x")).toEqual({ type: "dropped", reason: "too many requests" });
    net.settle();
    expect(net.propose(1, "x")).toMatchObject({ type: "appended" });
  });

  test("an append carries at most `maxAppendBytes`, but always one entry", () => {
    const net = new Net({ voters: [1, 2], raft: { maxAppendBytes: 5 } });
    net.elect(1);
    net.isolate(2);
    for (const text of ["aaaa", "bbbb", "cccccccccc"]) net.propose(1, text);
    net.settle();
    net.heal();
    net.sent = [];
    net.run(1000);
    const sizes = net.sent.flatMap((m) => (m.type === "append" ? [m.entries.length] : []));
    expect(Math.max(...sizes)).toBe(1);
    expect(net.values(2)).toEqual(["aaaa", "bbbb", "cccccccccc"]);
  });
});
