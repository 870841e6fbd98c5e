// Goal: every rule of the leader lease (Raft thesis §6.4.1; DESIGN §6), each by a test that fails without it.
// Method: one member alone with a hand-moved clock. The rules that need a whole cluster are in lease-clock.test.ts.
import { describe, expect, test } from "vitest";
import { bytesOf } from "../../src/base/index.ts";
import { PROMISE_FACTOR } from "../../src/raft/index.ts";
import { encodeChange } from "../support/raft-disk.ts";
import { Solo, type SoloOptions } from "../support/raft-solo.ts";

const LEASE_MS = 900;
const NEVER = Number.NEGATIVE_INFINITY;

/** A leader of term 2 with its no-op committed; only round 1 was sent, at `solo.now`. */
function leader(options: SoloOptions = {}): Solo {
  const solo = new Solo({ leaseMs: LEASE_MS, ...options, raft: { leaseReads: true, ...options.raft } });
  solo.lead();
  const { voters, votersOutgoing } = solo.raft.conf;
  for (const from of new Set([...voters, ...votersOutgoing])) if (from !== 1n) acknowledge(solo, from);
  solo.sent();
  return solo;
}

function acknowledge(solo: Solo, from: bigint): void {
  const answer = { type: "appendResponse", rejected: false, hintIndex: 0, hintTerm: 0 } as const;
  solo.step({ ...answer, from, term: solo.raft.term, index: solo.raft.lastIndex });
}

function promise(solo: Solo, from: number, round: number, promised = true): void {
  solo.step({ type: "heartbeatResponse", from: BigInt(from), term: solo.raft.term, round, promised });
}

/** Reads at the leader. */
function read(solo: Solo): "lease" | "round" | "waits" {
  solo.raft.readIndex(solo.now, 1);
  const [state] = solo.raft.takeReadStates();
  solo.pump();
  if (state === undefined) return "waits";
  if (state.type === "dropped") throw new Error(state.reason);
  return state.lease ? "lease" : "round";
}

/** Sends the next round, `ms` later, and returns its number. */
function nextRound(solo: Solo, ms = 100): number {
  solo.tick(ms);
  const beat = solo.sent().find((m) => m.type === "heartbeat");
  if (beat?.type !== "heartbeat") throw new Error("no round was sent");
  return beat.round;
}

const VOTE = { type: "voteRequest", transfer: false, lastIndex: 9, lastTerm: 2 } as const;
const BEAT = { type: "heartbeat", commit: 0, round: 1, leaseMs: LEASE_MS } as const;

/** A follower whose election timeout is far shorter than the lease, so that only the promise binds it. */
function follower(options: SoloOptions = {}): Solo {
  const raft = { electionTimeoutMs: 50, heartbeatMs: 10, ...options.raft };
  return new Solo({ term: 2, leaseMs: LEASE_MS, ...options, raft });
}

describe("the leader: when the lease holds", () => {
  test("it runs from when the round was sent, not from when it was answered", () => {
    const solo = leader();
    const sentAt = solo.now;
    solo.now += 400;
    promise(solo, 2, 1);
    expect(solo.raft.leaseUntil).toBe(sentAt + LEASE_MS);
  });

  test("a late answer to an old round counts from the send time of that round", () => {
    const solo = leader();
    const first = solo.now;
    expect(nextRound(solo)).toBe(2);
    expect(nextRound(solo)).toBe(3);
    promise(solo, 2, 1);
    expect(solo.raft.leaseUntil).toBe(first + LEASE_MS);
    promise(solo, 3, 3);
    expect(solo.raft.leaseUntil).toBe(first + 200 + LEASE_MS);
    promise(solo, 2, 2);
    expect(solo.raft.leaseUntil).toBe(first + 200 + LEASE_MS);
  });

  test("an answer to a round whose send time is forgotten extends nothing", () => {
    const solo = leader();
    for (let i = 0; i < 70; i++) {
      nextRound(solo);
      // They answer, so the leader stays, but they promise nothing.
      promise(solo, 2, i + 2, false);
    }
    promise(solo, 2, 1);
    expect(solo.raft.leaseUntil).toBe(NEVER);
  });

  test("until its last instant, and not at its end", () => {
    const solo = leader();
    promise(solo, 2, 1);
    const end = solo.raft.leaseUntil;
    solo.now = end - 0.001;
    expect(read(solo)).toBe("lease");
    solo.now = end;
    expect(read(solo)).toBe("waits");
  });

  test.each([
    ["3 members, one promise", [1, 2, 3], [2], true],
    ["3 members, none", [1, 2, 3], [], false],
    ["5 members, one promise", [1, 2, 3, 4, 5], [2], false],
    ["5 members, two promises", [1, 2, 3, 4, 5], [2, 5], true],
    ["4 members, one promise", [1, 2, 3, 4], [2], false],
    ["2 members, none", [1, 2], [], false],
  ])("it needs a quorum of promises: %s", (_, voters, promises, holds) => {
    const solo = leader({ voters });
    for (const n of promises) promise(solo, n, 1);
    expect(solo.raft.leaseUntil > NEVER).toBe(holds);
  });

  test("a sole voter is its own quorum", () => {
    const solo = leader({ voters: [1] });
    solo.tick(100);
    expect(solo.raft.leaseUntil).toBe(solo.now + LEASE_MS);
  });

  test("a learner's promise does not count", () => {
    const solo = leader({ conf: { learners: [7n, 8n] } });
    promise(solo, 7, 1);
    promise(solo, 8, 1);
    expect(solo.raft.leaseUntil).toBe(NEVER);
  });

  test("an answer without the promise confirms a read and gives no lease", () => {
    const solo = leader();
    promise(solo, 2, 1, false);
    promise(solo, 3, 1, false);
    expect(solo.raft.leaseUntil).toBe(NEVER);
    expect(read(solo)).toBe("waits");
  });

  /**
   * A leader leaves a joint configuration as soon as it is applied, and while the leaving is pending there is no lease.
   * What is left is a leader that hands over to a member that lags behind: it proposes nothing and may still read.
   */
  function jointLeader(shared: readonly bigint[]): Solo {
    const conf = { voters: [1n, 2n, 3n, ...shared], votersOutgoing: [1n, 4n, 9n, ...shared] };
    const solo = new Solo({ leaseMs: LEASE_MS, conf, raft: { leaseReads: true } });
    solo.lead();
    solo.raft.transferLeadership(solo.now, 3n);
    for (const from of [2n, 4n, 9n, ...shared]) acknowledge(solo, from);
    expect(solo.raft.commit).toBe(2);
    return solo;
  }

  test.each([
    ["promises of the incoming half only", [], [2, 3], false],
    ["promises of the outgoing half only", [], [4, 9], false],
    ["promises of both halves", [], [2, 4], true],
    ["two members of both halves: 3 of 6 are no majority", [5n, 6n, 7n], [5, 6], false],
    ["the same, and one of the incoming half", [5n, 6n, 7n], [5, 6, 2], false],
    ["the same, and one of each half", [5n, 6n, 7n], [5, 6, 2, 4], true],
    ["three members of both halves", [5n, 6n, 7n], [5, 6, 7], true],
  ] as [string, bigint[], number[], boolean][])("joint configuration: %s", (_, shared, promises, holds) => {
    const solo = jointLeader(shared);
    for (const n of promises) promise(solo, n, 1);
    expect(solo.raft.leaseUntil > NEVER).toBe(holds);
  });

  test("not before an entry of its own term is committed", () => {
    // Everything older is applied, so that nothing but the missing entry stands in the way.
    const solo = new Solo({ leaseMs: LEASE_MS, commit: 1, raft: { leaseReads: true } });
    solo.lead();
    promise(solo, 2, 1);
    expect(solo.raft.applied).toBe(1);
    expect(solo.raft.leaseUntil).toBe(NEVER);
    acknowledge(solo, 2n);
    expect(solo.raft.leaseUntil).toBe(solo.now + LEASE_MS);
  });

  test("it ends with the term, and the next term begins without one", () => {
    const solo = leader();
    promise(solo, 2, 1);
    solo.step({ type: "heartbeatResponse", from: 3n, term: 9, round: 1, promised: false });
    expect(solo.raft).toMatchObject({ role: "follower", leaseUntil: NEVER });
    solo.lead();
    acknowledge(solo, 2n);
    expect(solo.raft.leaseUntil).toBe(NEVER);
  });

  test.each([
    ["leaseMs 0 in the configuration", { leaseMs: 0 }],
    ["the member does not serve lease reads", { raft: { leaseReads: false } }],
  ] as [string, SoloOptions][])("it is not asked for: %s", (_, options) => {
    const solo = leader(options);
    solo.tick(100);
    const beats = solo.sent().filter((m) => m.type === "heartbeat");
    expect(beats).toHaveLength(2);
    for (const beat of beats) expect(beat).toMatchObject({ leaseMs: 0 });
    promise(solo, 2, 2);
    expect(solo.raft.leaseUntil).toBe(NEVER);
  });

  test("leaseMs comes from the replicated configuration", () => {
    const solo = leader({ leaseMs: 123 });
    nextRound(solo);
    promise(solo, 2, 2);
    expect(solo.raft.leaseUntil).toBe(solo.now + 123);
  });

  test("a round that only extends the past does not shorten a lease", () => {
    const solo = leader();
    promise(solo, 2, nextRound(solo));
    const until = solo.raft.leaseUntil;
    promise(solo, 3, 1);
    expect(solo.raft.leaseUntil).toBe(until);
  });
});

describe("the leader: what ends the lease", () => {
  function withLease(): Solo {
    const solo = leader();
    promise(solo, 2, 1);
    expect(read(solo)).toBe("lease");
    return solo;
  }

  test("from MsgTimeoutNow on there is none until the term ends, though the transfer fails", () => {
    const solo = withLease();
    expect(solo.raft.transferLeadership(solo.now, 2n)).toEqual({ type: "started", to: 2n });
    solo.pump();
    expect(solo.sent().some((m) => m.type === "timeoutNow")).toBe(true);
    expect(solo.raft.leaseUntil).toBe(NEVER);
    // The transfer runs into its deadline. The order may still arrive, and override what was promised.
    for (let i = 0; i < 30; i++) {
      const round = nextRound(solo);
      promise(solo, 2, round);
      promise(solo, 3, round);
      expect(solo.raft.leaseUntil).toBe(NEVER);
    }
    expect(solo.raft.propose(solo.now, [{ type: "normal", data: bytesOf("x") }]).type).toBe("appended");
    solo.tick(100);
    for (const m of solo.sent()) if (m.type === "heartbeat") expect(m.leaseMs).toBe(0);
  });

  test("a transfer that has not ordered anything yet leaves it", () => {
    const solo = withLease();
    solo.raft.propose(solo.now, [{ type: "normal", data: bytesOf("x") }]);
    solo.raft.transferLeadership(solo.now, 2n);
    solo.pump();
    expect(solo.sent().some((m) => m.type === "timeoutNow")).toBe(false);
    expect(read(solo)).toBe("lease");
  });

  const change = { joint: false, steps: [{ type: "addVoter" as const, id: 4n }], leaseMs: undefined };

  test("while a configuration change is pending there is none", () => {
    const solo = withLease();
    solo.raft.proposeConfChange(solo.now, change, encodeChange(change));
    solo.pump();
    expect(solo.raft.leaseUntil).toBe(NEVER);
    const round = nextRound(solo);
    promise(solo, 2, round);
    promise(solo, 3, round);
    expect(solo.raft.leaseUntil).toBe(NEVER);
  });

  test("a change voids it: only rounds begun after it was applied count", () => {
    const solo = withLease();
    solo.raft.proposeConfChange(solo.now, change, encodeChange(change));
    solo.pump();
    const before = nextRound(solo);
    acknowledge(solo, 2n);
    expect(solo.raft.conf.voters).toEqual([1n, 2n, 3n, 4n]);
    for (const n of [2, 3, 4]) promise(solo, n, before);
    expect(solo.raft.leaseUntil).toBe(NEVER);
    const after = nextRound(solo);
    promise(solo, 2, after);
    expect(solo.raft.leaseUntil).toBe(NEVER);
    promise(solo, 4, after);
    expect(solo.raft.leaseUntil).toBe(solo.now + LEASE_MS);
  });

  test("a new leaseMs counts only for rounds begun after it was applied", () => {
    const solo = withLease();
    const longer = { joint: false, steps: [], leaseMs: 5000 };
    solo.raft.proposeConfChange(solo.now, longer, encodeChange(longer));
    solo.pump();
    const before = nextRound(solo);
    acknowledge(solo, 2n);
    expect(solo.raft.conf.leaseMs).toBe(5000);
    for (const n of [2, 3]) promise(solo, n, before);
    expect(solo.raft.leaseUntil).toBe(NEVER);
    const after = nextRound(solo);
    promise(solo, 2, after);
    expect(solo.raft.leaseUntil).toBe(solo.now + 5000);
  });

  test("a change that an older leader left in the log counts as pending", () => {
    const conf = { joint: false, steps: [], leaseMs: 700 };
    const solo = new Solo({ leaseMs: LEASE_MS, term: 2, raft: { leaseReads: true } });
    solo.step({
      type: "append",
      term: 2,
      prevIndex: 1,
      prevTerm: 1,
      commit: 0,
      entries: [{ index: 2, term: 2, type: "conf", data: encodeChange(conf) }],
    });
    solo.now += 60_000;
    solo.lead();
    promise(solo, 2, 1);
    expect(solo.raft.leaseUntil).toBe(NEVER);
    acknowledge(solo, 2n);
    expect(solo.raft.conf.leaseMs).toBe(700);
    promise(solo, 3, nextRound(solo));
    expect(solo.raft.leaseUntil).toBe(solo.now + 700);
  });
});

describe("the follower: what it promises", () => {
  test("for leaseMs x 1.1 from when the heartbeat came", () => {
    expect(PROMISE_FACTOR).toBe(1.1);
    const solo = follower({ now: 5000 });
    const sent = solo.answer({ ...BEAT, term: 2, leaseMs: 500 });
    expect(sent).toMatchObject([{ type: "heartbeatResponse", promised: true, round: 1 }]);
    expect(solo.raft.promiseUntil).toBeCloseTo(5000 + 550, 6);
    solo.now += 100;
    solo.answer({ ...BEAT, term: 2, leaseMs: 200 });
    expect(solo.raft.promiseUntil).toBeCloseTo(5000 + 550, 6);
  });

  test.each([
    ["no pre-vote", true],
    ["no vote", false],
  ])("%s until it has run out, though the election timeout has passed long ago", (_, pre) => {
    const solo = follower();
    solo.answer({ ...BEAT, term: 2 });
    solo.now = solo.raft.promiseUntil - 0.001;
    const ask = { ...VOTE, pre, term: 3, from: 3n } as const;
    const during = solo.answer(ask);
    expect(during.filter((m) => m.type === "voteResponse" && m.granted)).toEqual([]);
    expect(solo.raft.term).toBe(2);
    solo.now = solo.raft.promiseUntil;
    expect(solo.answer(ask)).toMatchObject([{ type: "voteResponse", granted: true }]);
  });

  test("no vote in its own term either", () => {
    // It restarted and has forgotten whom it followed in term 2.
    const solo = follower({ longestLeaseMs: LEASE_MS });
    const ask = { ...VOTE, pre: false, term: 2, from: 3n } as const;
    expect(solo.answer(ask)).toMatchObject([{ granted: false }]);
    solo.now = solo.raft.promiseUntil;
    expect(solo.answer(ask)).toMatchObject([{ granted: true }]);
  });

  test("no campaign of its own until it has run out, then within an election timeout", () => {
    const solo = follower();
    solo.answer({ ...BEAT, term: 2 });
    while (solo.raft.nextWake() < solo.raft.promiseUntil) {
      solo.timeout();
      expect(solo.raft.role).toBe("follower");
      expect(solo.sent()).toEqual([]);
    }
    expect(solo.raft.nextWake()).toBeLessThan(solo.raft.promiseUntil + 50);
    solo.timeout();
    expect(solo.raft.role).toBe("preCandidate");
  });

  test("a vote by order of the leader overrides the promise, for the leader gave up its lease", () => {
    const solo = follower();
    solo.answer({ ...BEAT, term: 2 });
    const sent = solo.answer({ ...VOTE, pre: false, term: 3, from: 3n, transfer: true });
    expect(sent).toMatchObject([{ granted: true, term: 3 }]);
  });

  test("only in a term that is durable: a crash would forget the term, and with it that there was a promise", () => {
    const solo = follower({ term: 2, manualPersist: true });
    expect(solo.answer({ ...BEAT, term: 3 })).toMatchObject([{ type: "heartbeatResponse", promised: false }]);
    expect(solo.raft.promiseUntil).toBe(solo.now);
    solo.persist();
    expect(solo.answer({ ...BEAT, term: 3, round: 2 })).toMatchObject([{ promised: true, round: 2 }]);
  });

  test.each([
    ["as long as the applied configuration says", LEASE_MS, true],
    ["longer than it says", LEASE_MS + 1, false],
    ["none asked for", 0, false],
  ])("%s", (_, leaseMs, promised) => {
    const solo = follower();
    expect(solo.answer({ ...BEAT, term: 2, leaseMs })).toMatchObject([{ promised }]);
    expect(solo.raft.promiseUntil > solo.now).toBe(promised);
  });

  test("nothing to a leader of an old term", () => {
    const solo = follower({ term: 3 });
    expect(solo.answer({ ...BEAT, term: 2 })).toMatchObject([{ type: "appendResponse", term: 3 }]);
    expect(solo.raft.promiseUntil).toBe(solo.now);
  });
});

describe("the member that restarts", () => {
  test("keeps still for the longest promise that it can have made", () => {
    const solo = follower({ longestLeaseMs: LEASE_MS, now: 100 });
    const end = 100 + LEASE_MS * 1.1;
    expect(solo.raft.promiseUntil).toBeCloseTo(end, 6);
    for (const pre of [true, false]) {
      const sent = solo.answer({ ...VOTE, pre, term: 3 });
      expect(sent.filter((m) => m.type === "voteResponse" && m.granted)).toEqual([]);
    }
    while (solo.raft.nextWake() < end) {
      solo.timeout();
      expect(solo.raft.role).toBe("follower");
    }
    solo.timeout();
    expect(solo.raft.role).toBe("preCandidate");
  });

  test.each([
    ["one that never saw an elected leader need not", 1, LEASE_MS, NEVER],
    ["one that did, must", 2, LEASE_MS, LEASE_MS * 1.1],
    ["without leases there is nothing to wait for", 2, 0, 0],
  ])("%s", (_, term, longestLeaseMs, until) => {
    expect(follower({ term, longestLeaseMs, leaseMs: longestLeaseMs }).raft.promiseUntil).toBeCloseTo(
      until,
      6,
    );
  });

  test("the wait does not bind it to a leader: it follows and answers at once", () => {
    const solo = follower({ longestLeaseMs: LEASE_MS });
    expect(solo.answer({ ...BEAT, term: 7 })).toMatchObject([{ type: "heartbeatResponse", term: 7 }]);
    expect(solo.raft.leader).toBe(2n);
  });
});

describe("a follower's reads under the lease", () => {
  const ask = { type: "readIndex", requestId: 77, from: 3n } as const;

  test("are answered at once if the follower takes it, else after a round", () => {
    const solo = leader();
    promise(solo, 2, 1);
    const at = { term: 2, index: solo.raft.commit };
    expect(solo.answer({ ...ask, term: 2, lease: true })).toMatchObject([
      { type: "readIndexResponse", ...at },
    ]);
    const sent = solo.answer({ ...ask, requestId: 78, term: 2, lease: false });
    expect(sent.filter((m) => m.type === "readIndexResponse")).toEqual([]);
  });

  test.each([true, false])("the follower says what it takes: leaseReads %s", (leaseReads) => {
    const solo = follower({ raft: { leaseReads } });
    solo.answer({ ...BEAT, term: 2 });
    solo.raft.readIndex(solo.now, 5);
    solo.pump();
    expect(solo.sent()).toMatchObject([{ type: "readIndex", lease: leaseReads }]);
  });
});
