// Goal: log compaction and snapshots, Raft paper §7; thesis §5.1, §5.3; and what others got wrong (hashicorp/raft
// #697: a conflicting tail that survives the snapshot). Method: stories on the deterministic cluster, tables for the
// receiver's choices on one member alone.
import { describe, expect, test } from "vitest";
import { EMPTY_CONF } from "../../src/raft/index.ts";
import { Net, type NetOptions } from "../support/raft-net.ts";
import { Solo } from "../support/raft-solo.ts";

function behind(options: Partial<NetOptions> = {}, presets?: ConstructorParameters<typeof Net>[1]): Net {
  const net = new Net({ voters: [1, 2, 3], ...options }, presets);
  net.isolate(3);
  net.elect(1);
  for (const text of ["a", "b", "c"]) net.propose(1, text);
  net.settle();
  net.compact(1, 4);
  return net;
}

describe("§7 the leader", () => {
  test("sends entries while it has them, and a snapshot when they are cut", () => {
    const net = behind();
    net.heal();
    net.run(500);
    expect(net.snapshotsSent).toBe(1);
    expect(net.values(3)).toEqual(["a", "b", "c"]);
    expect(net.raft(3).firstIndex).toBeGreaterThan(1);
  });

  test("sends the entries behind the snapshot after it", () => {
    const net = behind();
    net.heal();
    net.run(500);
    net.propose(1, "d");
    net.settle();
    expect(net.values(3)).toEqual(["a", "b", "c", "d"]);
    expect(net.snapshotsSent).toBe(1);
  });

  test("a member that is silent gets none: it may be gone for good", () => {
    const net = new Net({ voters: [1, 2, 3] });
    net.elect(1);
    net.crash(3);
    for (const text of ["a", "b"]) net.propose(1, text);
    net.run(2000);
    net.compact(1, 4);
    net.input(1, (raft, now) => raft.unreachable(now, 3n));
    net.propose(1, "c");
    net.run(10_000);
    expect(net.snapshotsSent).toBe(0);
    net.restart(3);
    net.run(1000);
    expect(net.snapshotsSent).toBe(1);
    expect(net.values(3)).toEqual(["a", "b", "c"]);
  });

  test("a snapshot that is lost is sent again", () => {
    const net = behind({ latencyMs: 30 });
    net.heal();
    expect(net.runUntil(2000, () => net.queue.some(({ body }) => "state" in body))).toBe(true);
    net.dropAll();
    net.run(3000);
    expect(net.values(3)).toEqual(["a", "b", "c"]);
    expect(net.snapshotsSent).toBe(2);
  });

  test("no entries are sent to a member while its snapshot is on the way, heartbeats are", () => {
    const net = behind({ latencyMs: 30 });
    net.heal();
    expect(net.runUntil(2000, () => net.queue.some(({ body }) => "state" in body))).toBe(true);
    const snapshot = net.queue.filter(({ body }) => "state" in body);
    net.queue = net.queue.filter(({ body }) => !("state" in body));
    net.sent = [];
    net.run(500);
    net.propose(1, "d");
    net.run(500);
    const to3 = net.sent.filter((m) => m.to === 3n).map((m) => m.type);
    expect(new Set(to3)).toEqual(new Set(["heartbeat"]));
    net.queue.push(...snapshot);
    net.run(500);
    expect(net.values(3)).toEqual(["a", "b", "c", "d"]);
  });
});

describe("§7 the receiver", () => {
  const conf = { ...EMPTY_CONF, voters: [1n, 2n, 3n] };
  const table: [
    name: string,
    log: number[],
    commit: number,
    at: [number, number],
    terms: number[] | "kept",
  ][] = [
    ["beyond the log: the log is gone", [1, 1], 0, [5, 2], []],
    ["inside the log with another term: the tail is obsolete", [1, 1, 1, 1], 0, [3, 2], []],
    ["inside the log with the same term: the tail stays", [1, 2, 2, 2], 0, [3, 2], "kept"],
    ["the last entry with the same term", [1, 2, 2], 0, [3, 2], "kept"],
    ["at or below the commit index: stale", [1, 1, 1], 3, [2, 1], "kept"],
  ];
  test.each(table)("%s", (_, log, commit, [index, term], terms) => {
    const solo = new Solo({ log, commit, term: 3 });
    const before = solo.terms();
    const result = solo.raft.restoreSnapshot(solo.now, {
      from: 2n,
      to: 1n,
      term: 3,
      meta: { index, term, conf },
    });
    solo.pump();
    expect(result.type).toBe(terms === "kept" ? "ignored" : "accepted");
    expect(solo.terms()).toEqual(terms === "kept" ? before : terms);
    const [report] = solo.sent();
    expect(report).toMatchObject({ type: "appendResponse", rejected: false, index: solo.raft.commit });
    if (terms !== "kept") {
      expect(solo.raft).toMatchObject({ commit: index, lastIndex: index, firstIndex: index + 1 });
    }
  });

  test("the report leaves after the snapshot's record is durable", () => {
    const solo = new Solo({ term: 3, manualPersist: true });
    solo.raft.restoreSnapshot(0, { from: 2n, to: 1n, term: 3, meta: { index: 9, term: 2, conf } });
    solo.pump();
    expect(solo.sent()).toEqual([]);
    expect(solo.raft.takeBatch()).toMatchObject({ snapshot: { index: 9, term: 2 }, entries: [] });
    solo.pump();
    expect(solo.sent()).toEqual([]);
    solo.raft.persisted(0);
    solo.pump();
    expect(solo.sent()).toMatchObject([{ type: "appendResponse", index: 9 }]);
  });

  test("until the state is loaded nothing is applied, and nobody campaigns; heartbeats are answered", () => {
    const solo = new Solo({ term: 3 });
    solo.raft.restoreSnapshot(0, { from: 2n, to: 1n, term: 3, meta: { index: 9, term: 2, conf } });
    solo.pump();
    const entry = { index: 10, term: 3, type: "normal" as const, data: Buffer.from("x") };
    solo.step({ type: "append", term: 3, prevIndex: 9, prevTerm: 2, commit: 10, entries: [entry] });
    expect(solo.raft).toMatchObject({ commit: 10, applied: 0 });
    solo.now += 10_000;
    solo.tick(0);
    expect(solo.raft.role).toBe("follower");
    const beat = { type: "heartbeat", term: 3, round: 1, leaseMs: 0, commit: 10 } as const;
    expect(solo.answer(beat)).toMatchObject([{ type: "heartbeatResponse" }]);
    solo.raft.snapshotInstalled(solo.now, 9);
    solo.pump();
    expect(solo.raft.applied).toBe(10);
    solo.timeout();
    expect(solo.raft.role).toBe("preCandidate");
  });

  test("brings the configuration with it", () => {
    const net = behind();
    net.change(1, { steps: [{ type: "addLearner", id: 4n }] });
    net.settle();
    net.compact(1, net.raft(1).applied);
    net.heal();
    net.run(500);
    expect(net.raft(3).conf).toEqual(net.raft(1).conf);
  });

  test("a leader ignores one, and a candidate that takes one stops asking for votes", () => {
    const meta = { index: 9, term: 2, conf };
    const leader = new Solo();
    leader.lead();
    expect(leader.raft.restoreSnapshot(0, { from: 2n, to: 1n, term: 2, meta }).type).toBe("ignored");
    const candidate = new Solo({ term: 3 });
    candidate.stand();
    candidate.raft.restoreSnapshot(candidate.now, { from: 2n, to: 1n, term: 2, meta });
    candidate.pump();
    candidate.step({ type: "voteResponse", term: 4, pre: false, granted: true });
    expect(candidate.raft.role).toBe("follower");
  });

  test("a second one while the first is being installed is not wanted", () => {
    const solo = new Solo({ term: 3 });
    const take = (index: number) =>
      solo.raft.restoreSnapshot(0, { from: 2n, to: 1n, term: 3, meta: { index, term: 2, conf } });
    expect(take(9).type).toBe("accepted");
    expect(take(12).type).toBe("ignored");
  });

  test("one addressed to somebody else changes nothing", () => {
    const solo = new Solo({ term: 3 });
    const meta = { index: 9, term: 2, conf };
    expect(solo.raft.restoreSnapshot(0, { from: 2n, to: 3n, term: 9, meta }).type).toBe("ignored");
    expect(solo.raft).toMatchObject({ term: 3, lastIndex: 1 });
  });
});

describe("§7 crashes", () => {
  test.each([
    ["before the record is durable: the old log is still there", false],
    ["after it: the snapshot is the state", true],
  ])("%s", (_, durable) => {
    const net = behind();
    net.manualPersist = true;
    net.heal();
    const before = net.member(3).disk.lastIndex;
    for (let i = 0; i < 50 && net.member(3).received === undefined; i++) {
      net.run(100);
      if (net.member(3).received === undefined) net.persistAll();
    }
    expect(net.member(3).received).toBeDefined();
    net.take(3);
    net.crash(3, durable);
    expect(net.member(3).disk.base.index > 0).toBe(durable);
    if (!durable) expect(net.member(3).disk.lastIndex).toBe(before);
    net.manualPersist = false;
    net.persistAll();
    net.restart(3);
    net.run(5000);
    expect(net.values(3)).toEqual(["a", "b", "c"]);
  });

  test("hashicorp/raft #697: a divergent tail goes with the snapshot, and at most two are needed", () => {
    const net = behind({}, { 1: { term: 2 }, 2: { term: 2 }, 3: { log: new Array(8).fill(2) } });
    expect(net.terms(3)).toEqual([1, 2, 2, 2, 2, 2, 2, 2, 2]);
    net.heal();
    net.run(20_000);
    const [leader, follower] = [net.raft(net.leader()), net.raft(3)];
    expect(follower.lastIndex).toBe(leader.lastIndex);
    expect(follower.termAt(follower.lastIndex)).toBe(leader.termAt(leader.lastIndex));
    expect(net.values(3)).toEqual(net.values(net.leader()));
    expect(net.snapshotsSent).toBeLessThanOrEqual(2);
  });
});
