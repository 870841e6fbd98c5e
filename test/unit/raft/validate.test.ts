// Goal: what no correct member sends is refused with a reason and changes nothing. Method: a table of forged messages,
// each to a member in every role; everything that can be seen of the member is compared before and after. At the end
// the counterpart: random runs of correct members with loss, repetition and crashes never see a refusal.
import { describe, expect, test } from "vitest";
import { LIMITS } from "../../../src/base/index.ts";
import type { Raft } from "../../../src/raft/index.ts";
import { seededRandom } from "../../support/raft-disk.ts";
import { Net } from "../../support/raft-net.ts";
import { entriesFrom, entryOf, type Incoming, Solo } from "../../support/raft-solo.ts";

function view(raft: Raft): unknown {
  const entries = [];
  for (let i = raft.firstIndex; i <= raft.lastIndex; i++) entries.push(raft.entryAt(i));
  const { role, term, vote, leader, commit, persistedIndex, applied, conf, promiseUntil, leaseUntil } = raft;
  const seen = { role, term, vote, leader, commit, persistedIndex, applied, conf, promiseUntil, leaseUntil };
  return {
    ...seen,
    entries,
    wake: raft.nextWake(),
    progress: raft.progressList(),
    bytes: raft.uncommittedBytes,
  };
}

/** Term 4, log 1 1 2 3 3 (a leader: one more of its own term); 1..3 are committed. */
function member(role: "follower" | "preCandidate" | "candidate" | "leader"): Solo {
  const solo = new Solo({
    term: role === "follower" || role === "preCandidate" ? 4 : 3,
    log: [1, 1, 2, 3, 3],
    commit: 3,
  });
  if (role === "preCandidate") solo.timeout();
  if (role === "candidate") solo.stand();
  if (role === "leader") solo.lead();
  if (role === "follower") solo.step({ type: "heartbeat", term: 4, round: 1, leaseMs: 0, commit: 0 });
  solo.sent();
  expect([solo.raft.role, solo.raft.term]).toEqual([role, 4]);
  return solo;
}

const append = { type: "append", term: 4, prevIndex: 5, prevTerm: 3, commit: 3, entries: [] } as const;
const beat = { type: "heartbeat", term: 4, round: 1, leaseMs: 0, commit: 0 } as const;
const vote = {
  type: "voteRequest",
  term: 5,
  pre: false,
  transfer: false,
  lastIndex: 9,
  lastTerm: 4,
} as const;
const ack = {
  type: "appendResponse",
  term: 4,
  rejected: false,
  index: 5,
  hintIndex: 0,
  hintTerm: 0,
} as const;
const answer = { type: "heartbeatResponse", term: 4, round: 1, promised: true } as const;

const IMPOSSIBLE: [name: string, message: Incoming, reason: string][] = [
  ["another addressee", { ...beat, to: 3n }, "addressed to 3"],
  ["our own ID", { ...beat, from: 1n }, "claims to come from 1"],
  ["nobody's ID", { ...beat, from: 0n }, "claims to come from 0"],
  ["term 0", { ...beat, term: 0 }, "term 0 is out of range"],
  ["a huge term", { ...vote, term: LIMITS.maxTerm + 1 }, "out of range"],
  ["a term beyond the exact integers", { ...beat, term: 2 ** 63 }, "out of range"],
  ["a term that is no number", { ...beat, term: Number.NaN }, "out of range"],
  ["a fraction of a term", { ...answer, term: 4.5 }, "out of range"],
  ["a negative term", { ...ack, term: -1 }, "out of range"],
  ["vote: a last index out of range", { ...vote, lastIndex: LIMITS.maxIndex + 1 }, "lastIndex"],
  ["vote: a last term above its own", { ...vote, lastTerm: 6 }, "lastTerm 6 is not in 0..5"],
  ["append: prevIndex out of range", { ...append, prevIndex: 2 ** 60 }, "prevIndex"],
  ["append: negative prevIndex", { ...append, prevIndex: -1 }, "prevIndex"],
  ["append: prevTerm above its term", { ...append, prevTerm: 5 }, "prevTerm"],
  ["append: an index without a term", { ...append, prevTerm: 0 }, "prevIndex 5 has prevTerm 0"],
  ["append: a term without an index", { ...append, prevIndex: 0 }, "prevIndex 0 has prevTerm 3"],
  ["append: commit out of range", { ...append, commit: 2 ** 53 }, "commit"],
  [
    "append: the first entry leaves a gap",
    { ...append, entries: [entryOf(7, 4)] },
    "7 stands where 6 belongs",
  ],
  [
    "append: the first entry repeats prevIndex",
    { ...append, entries: [entryOf(5, 4)] },
    "5 stands where 6 belongs",
  ],
  [
    "append: a gap inside",
    { ...append, entries: [entryOf(6, 4), entryOf(8, 4)] },
    "8 stands where 7 belongs",
  ],
  [
    "append: a term below prevTerm",
    { ...append, entries: entriesFrom(6, [2]) },
    "entry 6 has term 2 between 3 and 4",
  ],
  [
    "append: terms that fall",
    { ...append, entries: entriesFrom(6, [4, 3]) },
    "entry 7 has term 3 between 4 and 4",
  ],
  ["append: a term above the message's", { ...append, entries: entriesFrom(6, [5]) }, "entry 6 has term 5"],
  [
    "append: an entry without a term",
    { ...append, prevIndex: 0, prevTerm: 0, entries: entriesFrom(1, [0]) },
    "term 0",
  ],
  [
    "append: an index out of range",
    { ...append, prevIndex: LIMITS.maxIndex, entries: entriesFrom(LIMITS.maxIndex + 1, [4]) },
    "last index",
  ],
  ["heartbeat: commit out of range", { ...beat, commit: -3 }, "commit"],
  ["heartbeat: round out of range", { ...beat, round: 1e300 }, "round"],
  ["heartbeat: a lease that is too long", { ...beat, leaseMs: LIMITS.maxLeaseMs + 1 }, "leaseMs"],
  ["heartbeat: a negative lease", { ...beat, leaseMs: -1 }, "leaseMs"],
  ["heartbeat response: round out of range", { ...answer, round: -1 }, "round"],
  ["append response: index out of range", { ...ack, index: 2 ** 53 }, "index"],
  ["append response: hint out of range", { ...ack, rejected: true, hintIndex: -1 }, "hintIndex"],
  [
    "read index response: index out of range",
    { type: "readIndexResponse", term: 4, requestId: 1, index: -1 },
    "index",
  ],
];

/** Judged against what the member knows; the roles in which it can know it. */
const CONTRADICTIONS: [
  name: string,
  role: "follower" | "preCandidate" | "candidate" | "leader",
  message: Incoming,
  reason: string,
][] = [
  [
    "an append from a second leader of the term",
    "follower",
    { ...append, from: 3n },
    "two leaders in term 4",
  ],
  [
    "a heartbeat from a second leader of the term",
    "follower",
    { ...beat, from: 3n },
    "two leaders in term 4",
  ],
  ["an append in the term that it leads", "leader", append, "two leaders in term 4"],
  ["a heartbeat in the term that it leads", "leader", beat, "two leaders in term 4"],
  [
    "a heartbeat that commits beyond the log",
    "follower",
    { ...beat, commit: 6 },
    "commit 6 is beyond the log's last index 5",
  ],
  ["the same, of a later term", "follower", { ...beat, term: 9, commit: 6 }, "commit 6 is beyond"],
  ["the same, to a leader of an older term", "leader", { ...beat, term: 9, commit: 7 }, "commit 7 is beyond"],
  [
    "an append that overwrites a committed entry",
    "follower",
    { ...append, prevIndex: 2, prevTerm: 1, entries: entriesFrom(3, [4]) },
    "entry 3 of term 4 contradicts the committed one of term 2",
  ],
  [
    "the same, of a later term",
    "candidate",
    { ...append, term: 9, prevIndex: 1, prevTerm: 1, entries: entriesFrom(2, [1, 3]) },
    "entry 3 of term 3 contradicts",
  ],
  [
    "the same, to a leader of an older term",
    "leader",
    { ...append, term: 9, prevIndex: 0, prevTerm: 0, entries: entriesFrom(1, [1, 1, 9]) },
    "entry 3 of term 9 contradicts",
  ],
  [
    "an append behind a committed entry of another term",
    "follower",
    { ...append, prevIndex: 3, prevTerm: 3 },
    "entry 3 of term 3 contradicts the committed one of term 2",
  ],
  [
    "an append behind an older committed entry of another term",
    "follower",
    { ...append, prevIndex: 2, prevTerm: 2 },
    "entry 2 of term 2 contradicts the committed one of term 1",
  ],
  [
    "an acknowledgement beyond the leader's log",
    "leader",
    { ...ack, index: 7 },
    "7 was acknowledged, but the leader's log ends at 6",
  ],
  [
    "a refusal of an append beyond the leader's log",
    "leader",
    { ...ack, rejected: true, index: 7, hintIndex: 5, hintTerm: 3 },
    "an append behind 7 was refused, but the leader's log ends at 6",
  ],
  [
    "an answer to a round that was never sent",
    "leader",
    { ...answer, round: 2 },
    "round 2 was answered, but the newest is 1",
  ],
];

function mustRefuse(solo: Solo, message: Incoming, reason: string): void {
  const before = view(solo.raft);
  const result = solo.step(message);
  expect(result).toMatchObject({ type: "refused", reason: expect.stringContaining(reason) });
  expect(view(solo.raft)).toEqual(before);
  expect(solo.sent()).toEqual([]);
  expect(solo.raft.takeBatch()).toBeUndefined();
  expect(solo.raft.takeReadStates()).toEqual([]);
  expect(solo.raft.takeSnapshotsWanted()).toEqual([]);
}

for (const role of ["follower", "preCandidate", "candidate", "leader"] as const) {
  test.each(IMPOSSIBLE)(`${role}: %s`, (_, message, reason) => {
    mustRefuse(member(role), message, reason);
  });
}

test.each(CONTRADICTIONS)("%s, to a %s", (_, role, message, reason) => {
  mustRefuse(member(role), message, reason);
});

describe("what looks like it and is not", () => {
  test.each([
    ["an append may carry a commit beyond its entries", "follower", { ...append, commit: 100 }],
    ["the largest term", "follower", { ...vote, term: LIMITS.maxTerm }],
    [
      "an append that repeats committed entries",
      "follower",
      { ...append, prevIndex: 0, prevTerm: 0, entries: entriesFrom(1, [1, 1, 2]) },
    ],
    [
      "an append that overwrites what is not committed",
      "follower",
      { ...append, prevIndex: 3, prevTerm: 2, entries: entriesFrom(4, [4]) },
    ],
    ["a message of an old leader", "leader", { ...append, term: 3 }],
    ["a heartbeat at the end of the log", "follower", { ...beat, commit: 5 }],
    ["an acknowledgement of everything", "leader", { ...ack, index: 6 }],
    ["an acknowledgement to whom leads no more", "follower", { ...ack, index: 99 }],
  ] as [string, "follower" | "leader", Incoming][])("%s", (_, role, message) => {
    expect(member(role).step(message)).toEqual({ type: "ok" });
  });
});

test("correct members never see a refusal, whatever is lost, repeated, delayed or crashes", () => {
  let delivered = 0;
  for (let seed = 1; seed <= 12; seed++) {
    const random = seededRandom(seed);
    const net = new Net({ voters: [1, 2, 3], latencyMs: 5, seed });
    net.intercept = (m) => {
      delivered++;
      const draw = random.int(0, 100);
      if (draw < 10) return "hold";
      if (draw < 20) net.held.push(m);
      return draw < 40 ? "drop" : "pass";
    };
    for (let i = 0; i < 60; i++) {
      const n = random.int(1, 4);
      const draw = random.int(0, 10);
      if (draw === 0 && net.member(n).up) net.crash(n);
      else if (draw < 4 && !net.member(n).up) net.restart(n);
      else if (draw < 8) for (const leader of net.leaders()) net.propose(leader, `${seed}.${i}`);
      else if (net.member(n).up && net.raft(n).applied > 5) net.compact(n, net.raft(n).applied - 2);
      // Late ones come back in the order in which they were held, far behind the rest.
      if (i % 7 === 0) net.release();
      net.run(random.int(1, 700));
    }
    expect(net.refusals, `seed ${seed}`).toEqual([]);
  }
  expect(delivered).toBeGreaterThan(5000);
});
