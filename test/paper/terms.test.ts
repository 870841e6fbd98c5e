// Goal: the Raft paper's rules about terms and persistence (§5.1, §5.2, figure 2; thesis §3.3, §3.8).
// Method: one member alone, tables over every kind of message; each test is init, test, check.
import { describe, expect, test } from "vitest";
import { type Incoming, Solo } from "../support/raft-solo.ts";

/** One of each kind that raises terms, of term 5, to a member of term 2. */
const HIGHER: Record<string, { message: Incoming; leader: bigint }> = {
  append: {
    message: { type: "append", term: 5, prevIndex: 0, prevTerm: 0, commit: 0, entries: [] },
    leader: 2n,
  },
  heartbeat: { message: { type: "heartbeat", term: 5, round: 1, leaseMs: 0, commit: 0 }, leader: 2n },
  "append response": {
    message: { type: "appendResponse", term: 5, rejected: false, index: 0, hintIndex: 0, hintTerm: 0 },
    leader: 0n,
  },
  "heartbeat response": {
    message: { type: "heartbeatResponse", term: 5, round: 0, promised: false },
    leader: 0n,
  },
  "refused vote": { message: { type: "voteResponse", term: 5, pre: false, granted: false }, leader: 0n },
  "refused pre-vote": { message: { type: "voteResponse", term: 5, pre: true, granted: false }, leader: 0n },
  "read index": { message: { type: "readIndex", term: 5, requestId: 1, lease: false }, leader: 0n },
  "read index response": {
    message: { type: "readIndexResponse", term: 5, requestId: 1, index: 0 },
    leader: 0n,
  },
};

function inRole(role: "follower" | "preCandidate" | "candidate" | "leader"): Solo {
  const solo = new Solo({ term: 1 });
  if (role === "preCandidate") solo.timeout();
  if (role === "candidate") solo.stand();
  if (role === "leader") solo.lead();
  expect(solo.raft.role).toBe(role);
  solo.sent();
  return solo;
}

describe("§5.1 a member that sees a larger term takes it and becomes a follower", () => {
  for (const role of ["follower", "preCandidate", "candidate", "leader"] as const) {
    test.each(Object.entries(HIGHER))(`${role}, by %s`, (_, { message, leader }) => {
      const solo = inRole(role);
      solo.step(message);
      expect(solo.raft.term).toBe(5);
      expect(solo.raft.role).toBe("follower");
      expect(solo.raft.vote).toBe(0n);
      expect(solo.raft.leader).toBe(leader);
    });
  }

  test("follower without a leader, by a vote request, even when it refuses the vote (§5.2)", () => {
    const solo = new Solo({ term: 3, log: [1, 3] });
    const [answer] = solo.answer({
      type: "voteRequest",
      term: 5,
      pre: false,
      transfer: false,
      lastIndex: 9,
      lastTerm: 2,
    });
    expect(answer).toMatchObject({ granted: false, term: 5 });
    expect(solo.raft.term).toBe(5);
  });
});

describe("§5.1 a request of an old term is rejected", () => {
  test.each([
    ["append", { type: "append", term: 2, prevIndex: 1, prevTerm: 1, commit: 1, entries: [] }],
    ["heartbeat", { type: "heartbeat", term: 2, round: 9, leaseMs: 0, commit: 1 }],
  ] as [string, Incoming][])("%s: it shows the newer term and takes nothing over", (_, message) => {
    const solo = new Solo({ term: 4, log: [1] });
    const deadline = solo.raft.nextWake();
    const answers = solo.answer(message);
    expect(answers).toHaveLength(1);
    expect(answers[0]).toMatchObject({ type: "appendResponse", term: 4, to: 2n });
    expect(solo.raft.leader).toBe(0n);
    expect(solo.raft.commit).toBe(0);
    expect(solo.raft.nextWake()).toBe(deadline);
  });

  test("a vote request: no vote", () => {
    const solo = new Solo({ term: 4, log: [1] });
    const request = { type: "voteRequest", term: 3, transfer: false, lastIndex: 9, lastTerm: 3 } as const;
    expect(solo.answer({ ...request, pre: false })).toEqual([]);
    expect(solo.raft.vote).toBe(0n);
    // A pre-vote gets an answer: without it a member of an old term would never learn of ours (etcd #8501).
    expect(solo.answer({ ...request, pre: true })).toMatchObject([{ granted: false, term: 4 }]);
  });

  test("answers of an old term change nothing", () => {
    const solo = new Solo({ term: 4 });
    solo.lead();
    const before = solo.raft.commit;
    const late = { type: "appendResponse", term: 4, rejected: false, hintIndex: 0, hintTerm: 0 } as const;
    solo.step({ ...late, index: 2 });
    solo.step({ type: "heartbeatResponse", term: 4, round: 1, promised: true });
    solo.step({ type: "voteResponse", term: 4, pre: false, granted: true });
    expect(solo.raft.commit).toBe(before);
    expect(solo.raft.progressList().every((p) => p.match === 0)).toBe(true);
    expect(solo.raft.term).toBe(5);
  });
});

describe("figure 2, thesis §3.8: what is promised is durable first", () => {
  test("a vote leaves after term and vote are on disk", () => {
    const solo = new Solo({ term: 1, manualPersist: true });
    const sent = solo.answer({
      type: "voteRequest",
      term: 2,
      pre: false,
      transfer: false,
      lastIndex: 1,
      lastTerm: 1,
    });
    expect(sent).toEqual([]);
    const batch = solo.raft.takeBatch();
    expect(batch?.hardState).toMatchObject({ term: 2, vote: 2n });
    solo.pump();
    expect(solo.sent()).toEqual([]);
    solo.raft.persisted(solo.now);
    solo.pump();
    expect(solo.sent()).toMatchObject([{ type: "voteResponse", granted: true, term: 2 }]);
  });

  test("an acknowledgement leaves after its entries are on disk, not with the batch before", () => {
    const solo = new Solo({ term: 1, manualPersist: true });
    const append = { type: "append", term: 1, commit: 0 } as const;
    const entry = (index: number) => ({ index, term: 1, type: "normal" as const, data: Buffer.from("x") });
    expect(solo.answer({ ...append, prevIndex: 1, prevTerm: 1, entries: [entry(2)] })).toEqual([]);
    expect(solo.raft.takeBatch()?.entries).toHaveLength(1);
    // The second append comes while the first batch is on its way to the disk.
    expect(solo.answer({ ...append, prevIndex: 2, prevTerm: 1, entries: [entry(3)] })).toEqual([]);
    solo.raft.persisted(solo.now);
    solo.pump();
    expect(solo.sent()).toMatchObject([{ type: "appendResponse", index: 2 }]);
    solo.persist();
    expect(solo.sent()).toMatchObject([{ type: "appendResponse", index: 3 }]);
  });

  test("a refusal waits as well: it shows a term that must not be forgotten", () => {
    const solo = new Solo({ term: 1, manualPersist: true });
    const refused = { type: "append", term: 7, prevIndex: 9, prevTerm: 6, commit: 0, entries: [] } as const;
    expect(solo.answer(refused)).toEqual([]);
    expect(solo.raft.takeBatch()?.hardState?.term).toBe(7);
    solo.raft.persisted(solo.now);
    solo.pump();
    expect(solo.sent()).toMatchObject([{ type: "appendResponse", rejected: true, term: 7 }]);
  });

  test("a candidate asks and counts its own vote only when its vote for itself is on disk", () => {
    const solo = new Solo({ voters: [1], term: 1, manualPersist: true });
    solo.timeout();
    expect(solo.raft.role).toBe("candidate");
    solo.persist();
    expect(solo.raft.role).toBe("leader");

    const three = new Solo({ term: 1, manualPersist: true });
    three.stand();
    expect(three.raft.role).toBe("candidate");
    expect(three.sent().filter((m) => m.type === "voteRequest" && !m.pre)).toEqual([]);
    three.persist();
    expect(three.sent().filter((m) => m.type === "voteRequest" && !m.pre)).toHaveLength(2);
  });

  test("after a restart term, vote and log are what they were", () => {
    const solo = new Solo({ term: 6, vote: 3, log: [1, 4, 6] });
    expect(solo.raft.term).toBe(6);
    expect(solo.terms()).toEqual([1, 4, 6]);
    const request = {
      type: "voteRequest",
      term: 6,
      pre: false,
      transfer: false,
      lastIndex: 9,
      lastTerm: 6,
    } as const;
    expect(solo.answer({ ...request, from: 2n })).toMatchObject([{ granted: false }]);
    expect(solo.answer({ ...request, from: 3n })).toMatchObject([{ granted: true }]);
  });
});
