// Goal: the claims about elections: Raft paper §5.2, §5.4.1, §5.5, §5.6; thesis §3.4, §3.6.1, §4.2.3, §9.6.
// Method: tables over one member alone, and short stories on the deterministic cluster.
import { describe, expect, test } from "vitest";
import { Net } from "../support/raft-net.ts";
import { Solo } from "../support/raft-solo.ts";

const ASK = { type: "voteRequest", pre: false, transfer: false, lastIndex: 1, lastTerm: 1 } as const;

describe("§5.2 roles and timeouts", () => {
  test("a member starts as a follower", () => {
    expect(new Solo({ term: 3 }).raft.role).toBe("follower");
  });

  test("a leader sends heartbeats to everybody at its interval", () => {
    const solo = new Solo();
    solo.lead();
    solo.tick(99);
    expect(solo.sent()).toEqual([]);
    solo.tick(1);
    expect(solo.sent().map((m) => [m.type, m.to])).toEqual([
      ["heartbeat", 2n],
      ["heartbeat", 3n],
    ]);
  });

  test("the timeout is drawn from [ET, 2 ET) again each time", () => {
    const drawn = new Set<number>();
    const solo = new Solo({ raft: { electionTimeoutMs: 1000 } });
    for (let i = 0; i < 200; i++) {
      solo.step({ type: "heartbeat", term: 2, round: i + 1, leaseMs: 0, commit: 0 });
      const wait = solo.raft.nextWake() - solo.now;
      expect(wait).toBeGreaterThanOrEqual(1000);
      expect(wait).toBeLessThan(2000);
      drawn.add(wait);
    }
    expect(drawn.size).toBeGreaterThan(150);
  });

  test.each([
    ["a heartbeat", { type: "heartbeat", term: 1, round: 1, leaseMs: 0, commit: 0 }],
    ["an append", { type: "append", term: 1, prevIndex: 1, prevTerm: 1, commit: 0, entries: [] }],
    ["a granted vote", { ...ASK, term: 2 }],
  ] as const)("%s puts the timeout off", (_, message) => {
    const solo = new Solo({ term: 1 });
    solo.tick(900);
    solo.step(message);
    expect(solo.raft.nextWake()).toBeGreaterThanOrEqual(solo.now + 1000);
  });

  test.each([
    ["a refused vote", { ...ASK, term: 1, lastIndex: 0, lastTerm: 0 }],
    ["a granted pre-vote", { ...ASK, pre: true, term: 2 }],
    ["a message of an old leader", { type: "heartbeat", term: 1, round: 1, leaseMs: 0, commit: 0 }],
  ] as const)("%s does not", (name, message) => {
    const solo = new Solo({ term: name === "a message of an old leader" ? 2 : 1 });
    const deadline = solo.raft.nextWake();
    solo.tick(900);
    solo.step(message);
    expect(solo.raft.nextWake()).toBe(deadline);
  });

  test("a candidate raises its term by one, votes for itself and asks all other voters", () => {
    const solo = new Solo({ term: 4, log: [1, 4], conf: { learners: [9n] } });
    solo.stand();
    expect(solo.raft).toMatchObject({ role: "candidate", term: 5, vote: 1n });
    const asked = solo.sent().filter((m) => m.type === "voteRequest" && !m.pre);
    expect(asked).toMatchObject([
      { to: 2n, term: 5, lastIndex: 2, lastTerm: 4 },
      { to: 3n, term: 5, lastIndex: 2, lastTerm: 4 },
    ]);
  });
});

describe("§5.2 outcome of an election", () => {
  const table: [name: string, voters: number, granted: number[], refused: number[], role: string][] = [
    ["1 of 1", 1, [], [], "leader"],
    ["2 of 2", 2, [2], [], "leader"],
    ["1 of 2, no answer", 2, [], [], "candidate"],
    ["1 of 2, refused", 2, [], [2], "follower"],
    ["2 of 3", 3, [2], [], "leader"],
    ["2 of 3, one refused", 3, [2], [3], "leader"],
    ["1 of 3, one answer missing", 3, [], [2], "candidate"],
    ["1 of 3", 3, [], [2, 3], "follower"],
    ["2 of 4 is no majority", 4, [2], [], "candidate"],
    ["3 of 4", 4, [2, 3], [], "leader"],
    ["2 of 5", 5, [2], [3, 4], "candidate"],
    ["3 of 5", 5, [2, 3], [4, 5], "leader"],
    ["2 of 5, three refused", 5, [2], [3, 4, 5], "follower"],
  ];
  test.each(table)("%s", (_, count, granted, refused, role) => {
    const solo = new Solo({ voters: Array.from({ length: count }, (_x, i) => i + 1), term: 1 });
    solo.stand();
    const answer = { type: "voteResponse", term: 2, pre: false } as const;
    for (const n of refused) solo.step({ ...answer, from: BigInt(n), granted: false });
    for (const n of granted) solo.step({ ...answer, from: BigInt(n), granted: true });
    expect(solo.raft.role).toBe(role);
    expect(solo.raft.term).toBe(2);
  });

  test("a repeated answer counts once, a learner's or a stranger's not at all", () => {
    const solo = new Solo({ voters: [1, 2, 3, 4, 5], conf: { learners: [8n] }, term: 1 });
    solo.stand();
    for (const from of [2n, 2n, 2n, 8n, 9n])
      solo.step({ type: "voteResponse", from, term: 2, pre: false, granted: true });
    expect(solo.raft.role).toBe("candidate");
  });

  test("a granted pre-vote is not a vote", () => {
    const solo = new Solo({ term: 1 });
    solo.stand();
    solo.step({ type: "voteResponse", from: 3n, term: 3, pre: true, granted: true });
    solo.step({ type: "voteResponse", from: 3n, term: 2, pre: true, granted: true });
    expect(solo.raft.role).toBe("candidate");
  });

  test("an append of the same term makes a candidate a follower of its sender", () => {
    const solo = new Solo({ term: 1 });
    solo.stand();
    solo.step({ type: "append", term: 2, prevIndex: 1, prevTerm: 1, commit: 0, entries: [] });
    expect(solo.raft).toMatchObject({ role: "follower", leader: 2n, term: 2, vote: 1n });
  });

  test("a split vote ends by a new timeout in a new term", () => {
    const net = new Net({ voters: [1, 2, 3, 4] });
    net.intercept = (m) =>
      m.type === "voteRequest" && !m.pre && m.from + m.to !== 4n && m.from + m.to !== 6n ? "drop" : "pass";
    net.skip(2000);
    net.campaign(1);
    net.campaign(2);
    net.settle();
    expect([net.raft(1).role, net.raft(2).role]).toEqual(["candidate", "candidate"]);
    expect([net.raft(3).vote, net.raft(4).vote]).toEqual([1n, 2n]);
    net.intercept = () => "pass";
    net.run(6000);
    expect(net.leaders()).toHaveLength(1);
    expect(net.raft(1).term).toBeGreaterThan(2);
  });
});

describe("§5.2 one vote per term, first come first served", () => {
  test.each([
    ["no vote yet", 0, 2, true],
    ["voted for the same, who asks again", 2, 2, true],
    ["voted for another", 3, 2, false],
    ["voted for itself", 1, 2, false],
  ])("%s", (_, vote, from, granted) => {
    const solo = new Solo({ term: 5, vote });
    const sent = solo.answer({ ...ASK, term: 5, from: BigInt(from) });
    expect(sent).toMatchObject([{ type: "voteResponse", granted, term: 5 }]);
  });

  test("a later term gives a new vote", () => {
    const solo = new Solo({ term: 5, vote: 3 });
    expect(solo.answer({ ...ASK, term: 6 })).toMatchObject([{ granted: true, term: 6 }]);
  });

  test("a member that follows a leader of this term gives nobody its vote in it", () => {
    const solo = new Solo({ term: 5 });
    solo.step({ type: "heartbeat", from: 3n, term: 5, round: 1, leaseMs: 0, commit: 0 });
    solo.now += 60_000;
    expect(solo.answer({ ...ASK, term: 5 })).toMatchObject([{ granted: false }]);
  });
});

describe("§5.4.1 the vote goes only to a log that is at least as new", () => {
  const table: [name: string, own: number[], lastTerm: number, lastIndex: number, granted: boolean][] = [
    ["equal", [1, 2], 2, 2, true],
    ["same term, longer", [1, 2], 2, 3, true],
    ["same term, shorter", [1, 2], 2, 1, false],
    ["newer term, shorter", [1, 2, 2], 3, 1, true],
    ["older term, longer", [1, 2], 1, 9, false],
    ["older term, equal", [1, 2], 1, 2, false],
    ["against an empty log", [], 0, 0, true],
    ["an empty log asks", [1], 0, 0, false],
  ];
  for (const pre of [false, true]) {
    test.each(table)(`${pre ? "pre-vote" : "vote"}: %s`, (_, own, lastTerm, lastIndex, granted) => {
      const solo = new Solo({ log: own, term: 4 });
      const [answer] = solo.answer({ ...ASK, pre, term: 5, lastTerm, lastIndex });
      expect(answer).toMatchObject({ granted, pre });
    });
  }
});

describe("thesis §9.6 pre-vote", () => {
  test("asks for the next term and stays in its own; disk and vote are not touched", () => {
    const solo = new Solo({ term: 3, vote: 2, manualPersist: true });
    solo.timeout();
    expect(solo.raft).toMatchObject({ role: "preCandidate", term: 3, vote: 2n });
    expect(solo.sent()).toMatchObject([
      { pre: true, term: 4 },
      { pre: true, term: 4 },
    ]);
    expect(solo.raft.takeBatch()).toBeUndefined();
  });

  test("giving one changes neither term nor vote, and several may get it", () => {
    const solo = new Solo({ term: 3, vote: 2 });
    for (const from of [2n, 3n]) {
      const sent = solo.answer({ ...ASK, pre: true, term: 4, from, lastIndex: 1, lastTerm: 3 });
      expect(sent).toMatchObject([{ pre: true, granted: true, term: 4 }]);
    }
    expect(solo.raft).toMatchObject({ term: 3, vote: 2n });
  });

  test("without a majority of pre-votes the term never grows", () => {
    const net = new Net({ voters: [1, 2, 3] });
    net.elect(1);
    net.isolate(3);
    net.run(30_000);
    expect(net.raft(3).term).toBe(net.raft(1).term);
  });

  test.each([
    ["refused by all", [2, 3], "follower"],
    ["one refusal of three", [2], "preCandidate"],
  ])("%s", (_, refused, role) => {
    const solo = new Solo({ term: 3 });
    solo.timeout();
    for (const n of refused)
      solo.step({ type: "voteResponse", from: BigInt(n), term: 3, pre: true, granted: false });
    expect(solo.raft).toMatchObject({ role, term: 3 });
  });

  test("an answer to the pre-vote of an earlier term does not count", () => {
    const solo = new Solo({ term: 3 });
    solo.timeout();
    solo.step({ type: "voteResponse", from: 2n, term: 3, pre: true, granted: true });
    expect(solo.raft.role).toBe("preCandidate");
  });
});

describe("thesis §4.2.3 nobody helps to disturb a leader that is alive", () => {
  test.each([
    ["pre-vote just after a heartbeat", true, 10, false, false],
    ["vote just after a heartbeat", false, 10, false, false],
    ["pre-vote an instant before the election timeout", true, 999, false, false],
    ["pre-vote an election timeout later", true, 1000, false, true],
    ["vote an election timeout later", false, 1000, false, true],
    ["vote by order of the leader", false, 10, true, true],
  ])("%s", (_, pre, laterMs, transfer, granted) => {
    const solo = new Solo({ term: 2 });
    solo.step({ type: "heartbeat", from: 3n, term: 2, round: 1, leaseMs: 0, commit: 0 });
    solo.now += laterMs;
    const sent = solo.answer({ ...ASK, pre, transfer, term: 3, lastIndex: 1, lastTerm: 2 });
    expect(sent.some((m) => m.type === "voteResponse" && m.granted)).toBe(granted);
    if (!granted) expect(solo.raft).toMatchObject({ term: 2, leader: 3n });
  });

  test("a leader does not hear requests of later terms while it leads", () => {
    const solo = new Solo({ term: 1 });
    solo.lead();
    expect(solo.answer({ ...ASK, term: 9, lastIndex: 9, lastTerm: 8 })).toEqual([]);
    expect(solo.raft).toMatchObject({ role: "leader", term: 2 });
  });
});

describe("§5.5 requests may come twice, and crashed members come back", () => {
  test("the same vote request again gets the same answer", () => {
    const solo = new Solo({ term: 1 });
    const first = solo.answer({ ...ASK, term: 2 });
    expect(solo.answer({ ...ASK, term: 2 })).toEqual(first);
  });

  test("a crashed follower catches up when it is back", () => {
    const net = new Net({ voters: [1, 2, 3] });
    net.elect(1);
    net.crash(3);
    for (const text of ["a", "b"]) net.propose(1, text);
    net.run(500);
    net.restart(3);
    net.run(500);
    expect(net.values(3)).toEqual(["a", "b"]);
  });
});

describe("§5.6 with broadcast time << election timeout a leader is found and kept", () => {
  test.each([
    [3, 1],
    [3, 50],
    [5, 50],
    [7, 20],
  ])("%i members, %i ms per message", (count, latencyMs) => {
    const voters = Array.from({ length: count }, (_x, i) => i + 1);
    const net = new Net({ voters, latencyMs });
    expect(net.runUntil(10_000, () => net.leaders().length === 1)).toBe(true);
    const term = net.raft(net.leader()).term;
    net.run(20_000);
    expect(net.raft(net.leader()).term).toBe(term);
  });
});
