// Goal: the claims about membership changes: Raft paper §6; thesis §4.1 (single changes), §4.2.1 (catching up), §4.2.2
// (removing the leader), §4.2.3 (disruptive members), §4.3 (joint consensus), §4.4. Method: stories on the
// deterministic cluster. A change takes effect here when it is applied, not when it is appended (etcd's way), so the
// claims about *when* are tested in that form.
import { describe, expect, test } from "vitest";
import type { ConfChangeStep } from "../../src/raft/index.ts";
import { seededRandom, showConf } from "../support/raft-disk.ts";
import { Net, type NetOptions } from "../support/raft-net.ts";

const add = (n: number): ConfChangeStep => ({ type: "addVoter", id: BigInt(n) });
const learn = (n: number): ConfChangeStep => ({ type: "addLearner", id: BigInt(n) });
const remove = (n: number): ConfChangeStep => ({ type: "remove", id: BigInt(n) });

function cluster(options: Partial<NetOptions> = {}): Net {
  const net = new Net({ voters: [1, 2, 3], spares: [4, 5], ...options });
  net.elect(1);
  return net;
}

/** Configuration of each running member, most as `{1 2 3}`. */
function confs(net: Net): Record<number, string> {
  return Object.fromEntries(
    [...net.members].filter(([, m]) => m.up).map(([n, m]) => [n, showConf(m.raft.conf)]),
  );
}

describe("thesis §4.1 one voter at a time", () => {
  test("a voter is added, gets the log, and counts", () => {
    const net = cluster();
    net.propose(1, "a");
    expect(net.change(1, { steps: [add(4)] })).toMatchObject({ type: "appended" });
    net.run(300);
    expect(confs(net)).toMatchObject({ 1: "{1 2 3 4}", 2: "{1 2 3 4}", 3: "{1 2 3 4}", 4: "{1 2 3 4}" });
    expect(net.values(4)).toEqual(["a"]);
    net.crash(2);
    net.crash(3);
    net.propose(1, "b");
    net.settle();
    // 2 of 4 are no majority.
    expect(net.values(1)).toEqual(["a"]);
    net.restart(3);
    net.run(500);
    expect(net.values(4)).toEqual(["a", "b"]);
  });

  test("a voter is removed and does not count any more", () => {
    const net = cluster();
    net.change(1, { steps: [remove(3)] });
    net.settle();
    expect(confs(net)).toMatchObject({ 1: "{1 2}", 2: "{1 2}" });
    net.crash(2);
    net.propose(1, "a");
    net.run(300);
    expect(net.values(1)).toEqual([]);
  });

  test.each([
    ["two voters at once", { steps: [add(4), add(5)] }],
    ["one in, one out", { steps: [add(4), remove(3)] }],
    ["the last voter of a configuration", { steps: [remove(1), remove(2), remove(3)] }],
    ["leaving a joint configuration that is none", { steps: [], leaseMs: undefined }],
    ["a lease that is too long", { steps: [], leaseMs: 10_000_000 }],
  ])("refused: %s", (_, change) => {
    const net = cluster();
    expect(net.change(1, change)).toEqual({ type: "dropped", reason: "configuration change is invalid" });
    expect(net.raft(1).lastIndex).toBe(2);
  });

  test("only by the leader", () => {
    expect(cluster().change(2, { steps: [add(4)] })).toEqual({ type: "dropped", reason: "not leader" });
  });

  const pending = { type: "dropped", reason: "a configuration change is pending" };

  test("not before the change before is applied, though it is committed", () => {
    const net = cluster();
    net.change(1, { steps: [add(4)] });
    expect(net.change(1, { steps: [add(5)] })).toEqual(pending);
    net.member(1).applyPaused = true;
    net.settle();
    expect(net.raft(1).commit).toBe(3);
    expect(net.change(1, { steps: [add(5)] })).toEqual(pending);
    net.member(1).applyPaused = false;
    net.pump(1);
    net.settle();
    expect(net.change(1, { steps: [add(5)] })).toMatchObject({ type: "appended" });
  });

  test("not before an entry of the leader's own term is committed (Ongaro 2015)", () => {
    const net = cluster();
    net.intercept = (m) => (m.type === "appendResponse" ? "hold" : "pass");
    net.elect(2);
    expect(net.change(2, { steps: [add(4)] })).toEqual(pending);
    net.intercept = () => "pass";
    net.release();
    net.settle();
    expect(net.change(2, { steps: [add(4)] })).toMatchObject({ type: "appended" });
  });

  test("not while one that an older leader left in the log is not applied", () => {
    const net = cluster();
    net.cut(1, 3);
    net.intercept = (m) => (m.type === "appendResponse" && m.to === 1n ? "drop" : "pass");
    net.change(1, { steps: [add(4)] });
    net.settle();
    net.intercept = () => "pass";
    net.member(2).applyPaused = true;
    net.elect(2);
    net.settle();
    expect(net.raft(2).commit).toBe(4);
    expect(net.change(2, { steps: [add(5)] })).toEqual(pending);
  });

  test("a change that was overwritten had no effect anywhere", () => {
    const net = cluster();
    net.partition([1]);
    net.change(1, { steps: [add(4)] });
    net.settle();
    net.elect(2);
    net.heal();
    net.run(500);
    expect(confs(net)).toMatchObject({ 1: "{1 2 3}", 2: "{1 2 3}", 3: "{1 2 3}", 4: "{}" });
  });

  test("from one member up to five and down again, writing all the time", () => {
    const net = new Net({ voters: [1], spares: [2, 3, 4, 5] });
    net.elect(1);
    const expected: string[] = [];
    const write = () => {
      expected.push(`v${expected.length}`);
      net.propose(net.leader(), `v${expected.length - 1}`);
      net.run(300);
    };
    for (const n of [2, 3, 4, 5]) {
      net.change(net.leader(), { steps: [add(n)] });
      net.run(300);
      write();
    }
    for (const n of [1, 2, 3, 4]) {
      net.change(net.leader(), { steps: [remove(n)] });
      net.run(3000);
      write();
    }
    expect(showConf(net.raft(5).conf)).toBe("{5}");
    expect(net.leaders()).toEqual([5]);
    expect(net.values(5)).toEqual(expected);
  });
});

describe("what makes 'takes effect when applied' safe", () => {
  test("whoever has a later change in its durable log also knows durably that the earlier is committed", () => {
    // Otherwise it could stand for election with a configuration two changes old, whose majorities need not meet the
    // newest one's.
    const net = cluster();
    net.change(1, { steps: [add(4)] });
    net.settle();
    // The commit of the first change is known only with what carries the second one.
    net.change(1, { steps: [add(5)] });
    net.settle();
    for (const n of [2, 3, 4]) {
      const { disk } = net.member(n);
      const changes = disk.entries.filter((e) => e.type === "conf").map((e) => e.index);
      const [first, second] = changes.slice(-2);
      expect(disk.lastIndex).toBeGreaterThanOrEqual(second ?? 0);
      expect(disk.hardState.commit).toBeGreaterThanOrEqual(first ?? 0);
    }
  });

  test("who has a committed change unapplied does not campaign", () => {
    const net = cluster();
    net.member(2).applyPaused = true;
    net.change(1, { steps: [add(4)] });
    net.settle();
    net.crash(1);
    for (let i = 0; i < 5; i++) net.campaign(2);
    expect(net.raft(2).role).toBe("follower");
    net.member(2).applyPaused = false;
    net.pump(2);
    net.elect(2);
  });
});

describe("thesis §4.2.1 catching up as a learner", () => {
  test("a learner gets everything and counts for nothing", () => {
    const net = cluster();
    net.change(1, { steps: [learn(4)] });
    net.run(300);
    net.propose(1, "a");
    net.settle();
    expect(net.values(4)).toEqual(["a"]);
    net.partition([1, 4]);
    net.propose(1, "b");
    net.run(500);
    expect(net.values(1)).toEqual(["a"]);
  });

  test("it never campaigns, and is asked for no vote", () => {
    const net = cluster();
    net.change(1, { steps: [learn(4)] });
    net.run(300);
    net.sent = [];
    net.partition([4]);
    net.run(30_000);
    expect([net.raft(4).role, net.raft(4).term]).toEqual(["follower", 2]);
    expect(net.sent.filter((m) => m.type === "voteRequest" && (m.from === 4n || m.to === 4n))).toEqual([]);
  });

  test("it gives its vote when asked: it may be a voter and not know it yet", () => {
    const net = cluster();
    net.change(1, { steps: [learn(4)] });
    net.run(300);
    const { from, to } = { from: 2n, to: 4n };
    net.skip(5000);
    net.arrive({
      type: "voteRequest",
      from,
      to,
      term: 9,
      pre: false,
      transfer: false,
      lastIndex: 9,
      lastTerm: 8,
    });
    expect(net.raft(4).vote).toBe(2n);
  });

  test("caught up it is promoted without a gap in availability", () => {
    const net = cluster();
    for (let i = 0; i < 100; i++) net.propose(1, `v${i}`);
    net.settle();
    net.compact(1, 50);
    net.change(1, { steps: [learn(4)] });
    net.run(1000);
    expect(net.raft(4).commit).toBe(net.raft(1).commit);
    net.change(1, { steps: [add(4)] });
    net.settle();
    expect(confs(net)[4]).toBe("{1 2 3 4}");
    net.crash(3);
    net.propose(1, "now");
    net.settle();
    expect(net.values(4)).toHaveLength(101);
  });

  test("a voter becomes a learner and stops counting", () => {
    const net = cluster();
    net.change(1, { steps: [learn(3)] });
    net.settle();
    expect(confs(net)).toMatchObject({ 1: "{1 2; 3}", 3: "{1 2; 3}" });
    net.isolate(2);
    net.propose(1, "a");
    net.run(300);
    expect(net.values(1)).toEqual([]);
  });
});

describe("thesis §4.2.2 removing the leader", () => {
  test.each([
    [2, [1, 2]],
    [3, [1, 2, 3]],
    [5, [1, 2, 3, 4, 5]],
  ])("of %i members: it leads until the change is committed, then names a successor", (_, voters) => {
    const net = new Net({ voters });
    net.elect(1);
    net.change(1, { steps: [remove(1)] });
    expect(net.raft(1).role).toBe("leader");
    net.settle();
    expect(net.raft(1).role).toBe("follower");
    const [successor] = net.leaders();
    expect(successor).not.toBe(1);
    expect(successor).toBeDefined();
    expect(net.raft(successor ?? 0).conf.voters).not.toContain(1n);
    net.propose(successor ?? 0, "a");
    net.settle();
    for (const n of voters.slice(1)) expect(net.values(n)).toEqual(["a"]);
  });

  test.each([
    [2, 1],
    [2, 2],
    [3, 3],
    [3, 4],
    [5, 5],
    [5, 6],
  ])(
    "of %i members with every second message lost (seed %i): the rest is writable within 20 ET",
    (count, seed) => {
      const net = new Net({ voters: Array.from({ length: count }, (_x, i) => i + 1), latencyMs: 5, seed });
      net.elect(1);
      const random = seededRandom(seed);
      net.intercept = () => (random.int(0, 2) === 0 ? "drop" : "pass");
      net.change(1, { steps: [remove(1)] });
      net.run(5000);
      net.intercept = () => "pass";
      const removed = () => net.leaders().some((n) => n !== 1 && !net.raft(n).conf.voters.includes(1n));
      // The loss may have deposed the leader before the change was committed; then it is asked for again.
      const done = net.runUntil(20_000, () => {
        if (removed()) return true;
        const [leader] = net.leaders();
        if (leader !== undefined) net.change(leader, { steps: [remove(1)] });
        return false;
      });
      expect(done).toBe(true);
      net.propose(net.leader(), "a");
      net.run(1000);
      expect(net.values(count)).toEqual(["a"]);
    },
  );

  test("it does not count itself for what comes after its removal", () => {
    const net = cluster();
    net.change(1, { steps: [remove(1)] });
    net.settle();
    expect(net.raft(1).progressList()).toEqual([]);
    net.crash(3);
    net.crash(1);
    const leader = net.leaders()[0] ?? 2;
    net.propose(leader, "a");
    net.run(2000);
    expect(net.values(2)).toEqual([]);
  });

  test("the last voter cannot be removed", () => {
    const net = new Net({ voters: [1] });
    net.elect(1);
    expect(net.change(1, { steps: [remove(1)] })).toMatchObject({
      reason: "configuration change is invalid",
    });
  });
});

describe("thesis §4.2.3 a removed member that does not know it disturbs nobody", () => {
  test.each([
    ["it campaigns again and again for 50 ET", false],
    ["and it had a later term already", true],
  ])("%s", (_, laterTerm) => {
    const net = cluster();
    net.isolate(3);
    net.change(1, { steps: [remove(3)] });
    net.settle();
    if (laterTerm) {
      net.member(3).raft.step(net.localNow(net.member(3)), {
        type: "voteResponse",
        from: 2n,
        to: 3n,
        term: 40,
        pre: true,
        granted: false,
      });
      net.pump(3);
    }
    net.heal();
    const term = net.raft(1).term;
    net.run(50_000);
    expect(net.leaders()).toEqual([1]);
    expect(net.raft(1).term).toBe(term);
  });
});

describe("§6, thesis §4.3 joint consensus", () => {
  test("from {1 2 3} to {3 4 5} through the joint configuration, left without being asked", () => {
    const net = cluster();
    const seen = new Set<string>();
    net.intercept = () => {
      seen.add(showConf(net.raft(1).conf));
      return "pass";
    };
    net.change(1, { joint: true, steps: [add(4), add(5), remove(1), remove(2)] });
    net.run(5000);
    expect([...seen].slice(0, 2)).toEqual(["{1 2 3}", "{3 4 5|1 2 3}"]);
    for (const n of [3, 4, 5]) expect(showConf(net.raft(n).conf)).toBe("{3 4 5}");
    expect(net.leaders()).toHaveLength(1);
    expect([3, 4, 5]).toContain(net.leader());
    net.propose(net.leader(), "a");
    net.settle();
    expect(net.values(4)).toEqual(["a"]);
  });

  /** A leader 1 in the joint configuration {1 4 5|1 2 3} that cannot leave it. */
  function joint(): Net {
    const net = cluster();
    net.change(1, { steps: [learn(4)] });
    net.run(300);
    net.change(1, { steps: [learn(5)] });
    net.run(300);
    net.change(1, { joint: true, steps: [add(4), add(5), remove(2), remove(3)] });
    net.intercept = (m) =>
      m.type === "append" && m.entries.some((e) => e.type === "conf" && e.data.length === 0)
        ? "hold"
        : "pass";
    net.settle();
    expect(showConf(net.raft(1).conf)).toBe("{1 4 5|1 2 3}");
    net.intercept = () => "pass";
    net.held = [];
    return net;
  }

  test.each([
    ["all but one of each half", [2, 4], true],
    ["the incoming half alone", [4, 5], false],
    ["the outgoing half alone", [2, 3], false],
  ])("a commit needs both majorities: %s", (_, reachable, commits) => {
    const net = joint();
    for (const n of [2, 3, 4, 5]) if (!reachable.includes(n)) net.cut(1, n);
    const before = net.raft(1).commit;
    net.propose(1, "a");
    net.run(900);
    expect(net.raft(1).commit > before).toBe(commits);
  });

  test.each([
    ["one of each half and the candidate", [1, 3, 5], true],
    ["the incoming half alone", [1, 4, 5], false],
    ["the outgoing half alone", [1, 2, 3], false],
  ])("an election needs both majorities: %s", (_, group, wins) => {
    const net = joint();
    net.crash(1);
    net.restart(1);
    net.partition(group);
    if (wins) net.elect(1);
    else expect(() => net.elect(1)).toThrow("not elected");
  });

  test("a leader that falls in the middle leaves the change to the next one", () => {
    const net = joint();
    net.crash(1);
    net.run(10_000);
    expect(net.leaders()).toHaveLength(1);
    net.restart(1);
    net.run(5000);
    for (const n of [1, 4, 5]) expect(showConf(net.raft(n).conf)).toBe("{1 4 5}");
  });

  test("a leader that could not leave it because of a transfer leaves it when that has failed", () => {
    const net = cluster();
    net.isolate(5);
    net.cut(1, 3);
    net.change(1, { joint: true, steps: [add(4), remove(3)] });
    net.input(1, (raft, now) => raft.transferLeadership(now, 3n));
    net.settle();
    expect(showConf(net.raft(1).conf)).toBe("{1 2 4|1 2 3}");
    net.run(3000);
    expect(showConf(net.raft(net.leader()).conf)).toBe("{1 2 4}");
  });

  test("no other change meanwhile", () => {
    const net = joint();
    expect(net.change(1, { steps: [learn(3)] }).type).toBe("dropped");
    expect(net.change(1, { joint: true, steps: [add(3)] }).type).toBe("dropped");
  });

  test("a voter that is to become a learner keeps its vote until the end", () => {
    const net = cluster();
    net.change(1, { joint: true, steps: [learn(3), add(4)] });
    net.intercept = (m) =>
      m.type === "append" && m.entries.some((e) => e.type === "conf" && e.data.length === 0)
        ? "hold"
        : "pass";
    net.settle();
    expect(showConf(net.raft(1).conf)).toBe("{1 2 4|1 2 3; next 3}");
    net.intercept = () => "pass";
    net.release();
    net.run(500);
    for (const n of [1, 2, 3, 4]) expect(showConf(net.raft(n).conf)).toBe("{1 2 4; 3}");
  });

  test("crash of everybody at every step: all come back to one configuration", () => {
    for (let deliveries = 0; deliveries < 60; deliveries++) {
      const net = cluster();
      net.change(1, { joint: true, steps: [add(4), add(5), remove(2), remove(3)] });
      for (let i = 0; i < deliveries; i++) net.deliver();
      for (const n of net.members.keys()) net.crash(n);
      net.dropAll();
      for (const n of net.members.keys()) net.restart(n);
      net.run(15_000);
      const conf = showConf(net.raft(net.leader()).conf);
      expect(["{1 2 3}", "{1 4 5}"]).toContain(conf);
      net.propose(net.leader(), "a");
      net.settle();
      const { voters } = net.raft(net.leader()).conf;
      for (const id of voters) expect(net.values(Number(id))).toEqual(["a"]);
    }
  });
});

describe("thesis §4.4 availability", () => {
  test("3 members with one down: a fourth can be added, and the dead one removed (etcd #21669)", () => {
    const net = cluster();
    net.crash(3);
    net.change(1, { steps: [add(4)] });
    net.run(500);
    expect(confs(net)[1]).toBe("{1 2 3 4}");
    net.change(1, { steps: [remove(3)] });
    net.run(500);
    expect(confs(net)).toMatchObject({ 1: "{1 2 4}", 2: "{1 2 4}", 4: "{1 2 4}" });
  });
});
