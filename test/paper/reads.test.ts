// Goal: reads without the log: Raft thesis §6.2 (a leader without a quorum), §6.4 (read index), and what real systems
// got wrong there (etcd #7331, #20418, #21375). Method: one member alone, and stories on the deterministic cluster,
// which itself compares every answer with what was committed when the question came.
import { describe, expect, test } from "vitest";
import type { ReadState } from "../../src/raft/index.ts";
import { Net } from "../support/raft-net.ts";
import { Solo } from "../support/raft-solo.ts";

function leader(options: ConstructorParameters<typeof Solo>[0] = {}): Solo {
  const solo = new Solo(options);
  solo.lead();
  acknowledge(solo, 2n);
  solo.sent();
  return solo;
}

function acknowledge(solo: Solo, from: bigint): void {
  const answer = { type: "appendResponse", rejected: false, hintIndex: 0, hintTerm: 0 } as const;
  solo.step({ ...answer, from, term: solo.raft.term, index: solo.raft.lastIndex });
}

function answerRound(solo: Solo, from: bigint, round: number): void {
  solo.step({ type: "heartbeatResponse", from, term: solo.raft.term, round, promised: false });
}

function ask(solo: Solo, waiter: number): void {
  solo.raft.readIndex(solo.now, waiter);
  solo.pump();
}

/** Rounds sent since the last look. */
function rounds(solo: Solo): number[] {
  return [...new Set(solo.sent().flatMap((m) => (m.type === "heartbeat" ? [m.round] : [])))];
}

const states = (solo: Solo): ReadState[] => solo.raft.takeReadStates();

describe("thesis §6.4 the leader", () => {
  test("answers with the commit index of when it was asked, after a round begun since", () => {
    const solo = leader();
    answerRound(solo, 2n, 1);
    ask(solo, 7);
    expect(rounds(solo)).toEqual([2]);
    expect(states(solo)).toEqual([]);
    answerRound(solo, 3n, 2);
    expect(states(solo)).toEqual([{ type: "ready", waiter: 7, index: 2, lease: false }]);
  });

  test("an answer to a round from before the question does not count (etcd #20418)", () => {
    const solo = leader();
    ask(solo, 7);
    // Round 1 began before the question; while it is unanswered no other begins, and its answers release nobody.
    expect(rounds(solo)).toEqual([]);
    answerRound(solo, 2n, 1);
    expect(states(solo)).toEqual([]);
    expect(rounds(solo)).toEqual([2]);
    // Late and repeated answers to round 1 stay what they are.
    answerRound(solo, 3n, 1);
    answerRound(solo, 2n, 1);
    expect(states(solo)).toEqual([]);
    answerRound(solo, 2n, 2);
    expect(states(solo)).toHaveLength(1);
  });

  test("many readers share a round; those who come later wait for the next", () => {
    const solo = leader();
    answerRound(solo, 2n, 1);
    for (const waiter of [1, 2, 3]) ask(solo, waiter);
    expect(rounds(solo)).toEqual([2]);
    answerRound(solo, 2n, 2);
    // 1 came before round 2 began and made it begin; 2 and 3 came after.
    expect(states(solo).map((s) => s.waiter)).toEqual([1]);
    expect(rounds(solo)).toEqual([3]);
    answerRound(solo, 3n, 3);
    expect(states(solo).map((s) => s.waiter)).toEqual([2, 3]);
  });

  test("a lost round is made good by the next heartbeat", () => {
    const solo = leader();
    answerRound(solo, 2n, 1);
    ask(solo, 1);
    rounds(solo);
    solo.tick(100);
    expect(rounds(solo)).toEqual([3]);
    answerRound(solo, 3n, 3);
    expect(states(solo).map((s) => s.waiter)).toEqual([1]);
  });

  test.each([
    ["3 members: one answer", [1, 2, 3], [2n], true],
    ["5 members: one answer", [1, 2, 3, 4, 5], [2n], false],
    ["5 members: the same answer twice", [1, 2, 3, 4, 5], [2n, 2n], false],
    ["5 members: two", [1, 2, 3, 4, 5], [2n, 4n], true],
    ["3 members: a stranger", [1, 2, 3], [9n], false],
  ])("needs a quorum: %s", (_, voters, answers, done) => {
    const solo = leader({ voters });
    if (voters.length === 5) acknowledge(solo, 3n);
    ask(solo, 1);
    solo.tick(100);
    const [round] = rounds(solo).slice(-1);
    for (const from of answers) answerRound(solo, from, round ?? 0);
    expect(states(solo)).toHaveLength(done ? 1 : 0);
  });

  test("a sole voter answers at once", () => {
    const solo = new Solo({ voters: [1], conf: { learners: [2n] } });
    solo.timeout();
    ask(solo, 1);
    expect(states(solo)).toMatchObject([{ type: "ready", index: 2 }]);
  });

  test("before it has committed an entry of its term it does not know what is committed (etcd #7331)", () => {
    const solo = new Solo({ log: [1, 1, 1], commit: 1 });
    solo.lead();
    ask(solo, 1);
    solo.tick(100);
    for (const round of rounds(solo)) answerRound(solo, 2n, round);
    expect(states(solo)).toEqual([]);
    acknowledge(solo, 2n);
    solo.tick(100);
    for (const round of rounds(solo)) answerRound(solo, 3n, round);
    expect(states(solo)).toEqual([{ type: "ready", waiter: 1, index: 4, lease: false }]);
  });

  test("readers of a leader that is deposed are told so, each once", () => {
    const solo = leader();
    for (const waiter of [1, 2]) ask(solo, waiter);
    solo.step({ type: "heartbeat", from: 3n, term: 9, round: 1, leaseMs: 0, commit: 0 });
    expect(states(solo).map((s) => [s.type, s.waiter])).toEqual([
      ["dropped", 1],
      ["dropped", 2],
    ]);
    expect(states(solo)).toEqual([]);
  });

  test("at most `maxPendingReads` wait", () => {
    const solo = leader({ raft: { maxPendingReads: 2 } });
    for (const waiter of [1, 2, 3]) ask(solo, waiter);
    expect(states(solo)).toEqual([{ type: "dropped", waiter: 3, reason: "too many requests" }]);
  });
});

describe("thesis §6.4 a follower asks the leader and reads locally", () => {
  test("and gets an index that covers everything committed when it asked", () => {
    const net = new Net({ voters: [1, 2, 3] });
    net.elect(1);
    net.propose(1, "a");
    net.settle();
    net.read(3, 1);
    net.run(200);
    expect(net.member(3).reads.get(1)).toMatchObject({ type: "ready", index: 3 });
  });

  test("readers while a question is on its way share the next one", () => {
    const solo = new Solo({ term: 2 });
    solo.step({ type: "heartbeat", term: 2, round: 1, leaseMs: 0, commit: 0 });
    solo.sent();
    for (const waiter of [1, 2, 3]) ask(solo, waiter);
    const [question, ...more] = solo.sent();
    expect(more).toEqual([]);
    if (question?.type !== "readIndex") throw new Error("no question");
    const { requestId } = question;
    solo.step({ type: "readIndexResponse", term: 2, requestId, index: 5 });
    expect(states(solo).map((s) => s.waiter)).toEqual([1]);
    const [second] = solo.sent();
    if (second?.type !== "readIndex") throw new Error("no second question");
    expect(second.requestId).not.toBe(requestId);
    // A repeated answer to the first question is not one to the second.
    solo.step({ type: "readIndexResponse", term: 2, requestId, index: 5 });
    expect(states(solo)).toEqual([]);
    solo.step({ type: "readIndexResponse", term: 2, requestId: second.requestId, index: 6 });
    expect(states(solo).map((s) => [s.waiter, s.type === "ready" && s.index])).toEqual([
      [2, 6],
      [3, 6],
    ]);
  });

  test("a lost question is asked again at the next heartbeat", () => {
    const net = new Net({ voters: [1, 2, 3] });
    net.elect(1);
    net.intercept = (m) => (m.type === "readIndex" ? "drop" : "pass");
    net.read(2, 1);
    net.intercept = () => "pass";
    net.run(500);
    expect(net.member(2).reads.get(1)?.type).toBe("ready");
  });

  test.each([
    ["without a leader", false, "no leader"],
    ["when the leader changes", true, "leader changed"],
  ])("%s the reader is told", (_, hasLeader, reason) => {
    const solo = new Solo({ term: 2 });
    if (hasLeader) solo.step({ type: "heartbeat", term: 2, round: 1, leaseMs: 0, commit: 0 });
    ask(solo, 1);
    if (hasLeader) solo.step({ type: "heartbeat", from: 3n, term: 3, round: 1, leaseMs: 0, commit: 0 });
    expect(states(solo)).toEqual([{ type: "dropped", waiter: 1, reason }]);
  });

  test("an answer of a leader that is no longer ours is not taken (etcd #21375)", () => {
    const solo = new Solo({ term: 2 });
    solo.step({ type: "heartbeat", term: 2, round: 1, leaseMs: 0, commit: 0 });
    solo.sent();
    ask(solo, 1);
    const [question] = solo.sent();
    const requestId = question?.type === "readIndex" ? question.requestId : 0;
    solo.step({ type: "heartbeat", from: 3n, term: 3, round: 1, leaseMs: 0, commit: 0 });
    states(solo);
    ask(solo, 2);
    solo.step({ type: "readIndexResponse", term: 2, requestId, index: 1 });
    expect(states(solo)).toEqual([]);
  });

  test("two processes of one member do not use the same numbers", () => {
    const number = (net: Net) => {
      net.sent = [];
      net.read(3, 1);
      const question = net.sent.find((m) => m.type === "readIndex");
      net.settle();
      return question?.type === "readIndex" ? question.requestId : 0;
    };
    const net = new Net({ voters: [1, 2, 3] });
    net.elect(1);
    const before = number(net);
    net.crash(3);
    net.restart(3);
    net.member(3).reads.clear();
    net.run(200);
    expect(Math.abs(number(net) - before)).toBeGreaterThan(1000);
  });
});

describe("a stale read index after a pause (etcd #20418)", () => {
  test("a leader that was stopped, deposed and wakes up answers nobody from old acknowledgements", () => {
    const net = new Net({ voters: [1, 2, 3] });
    net.elect(1);
    net.run(50);
    // Acknowledgements of the last round reach the leader only after its pause.
    net.intercept = (m) => (m.type === "heartbeatResponse" && m.to === 1n ? "hold" : "pass");
    net.run(100);
    net.intercept = () => "pass";
    net.member(1).paused = true;
    net.run(5000);
    const successor = net.leader();
    expect(successor).not.toBe(1);
    net.propose(successor, "new");
    net.settle();
    // It wakes: a reader is first in line, then the old acknowledgements, only then the news.
    net.read(1, 1);
    for (const m of net.held.splice(0)) net.arrive(m);
    expect(net.member(1).reads.size).toBe(0);
    net.member(1).paused = false;
    net.run(1000);
    expect(net.member(1).reads.get(1)).toMatchObject({ type: "dropped", reason: "leader changed" });
  });
});

describe("thesis §6.2 a leader without a quorum steps down", () => {
  test.each([
    ["nobody answers: within 2 ET", [], false],
    ["one of two others answers: stays", [2], true],
  ])("%s", (_, reachable, stays) => {
    const net = new Net({ voters: [1, 2, 3] });
    net.elect(1);
    for (const n of [2, 3]) if (!reachable.some((r) => r === n)) net.cut(1, n);
    net.run(2000);
    expect(net.raft(1).role === "leader").toBe(stays);
  });

  test("learners and strangers do not keep it up", () => {
    const solo = leader({ conf: { learners: [7n] } });
    for (let i = 0; i < 15 && solo.raft.role === "leader"; i++) {
      solo.tick(100);
      for (const round of rounds(solo)) answerRound(solo, 7n, round);
    }
    expect(solo.raft).toMatchObject({ role: "follower", leader: 0n });
  });

  test("any answer counts as a sign of life, a refused append as well", () => {
    const solo = leader();
    for (let i = 0; i < 30; i++) {
      solo.tick(100);
      const refusal = { type: "appendResponse", rejected: true, hintIndex: 1, hintTerm: 1 } as const;
      solo.step({ ...refusal, from: 3n, term: solo.raft.term, index: 2 });
    }
    expect(solo.raft.role).toBe("leader");
  });
});
