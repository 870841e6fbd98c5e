// Goal: leadership transfer, Raft thesis §3.10. Method: stories on the deterministic cluster, tables where a rule has
// several cases.
import { describe, expect, test } from "vitest";
import { Net } from "../support/raft-net.ts";
import { Solo } from "../support/raft-solo.ts";

function cluster(): Net {
  const net = new Net({ voters: [1, 2, 3], learners: [4] });
  net.elect(1);
  return net;
}

describe("thesis §3.10 leadership transfer", () => {
  test("the target has the whole log: it is leader within one exchange, without an election timeout", () => {
    const net = cluster();
    expect(net.transfer(1, 3)).toEqual({ type: "started", to: 3n });
    net.settle();
    expect(net.leaders()).toEqual([3]);
    expect(net.raft(3).term).toBe(3);
    expect(net.raft(1).leader).toBe(3n);
  });

  test("a target that lags behind gets the log first", () => {
    const net = cluster();
    net.cut(1, 3);
    net.propose(1, "a");
    net.settle();
    net.sent = [];
    net.transfer(1, 3);
    expect(net.sent.some((m) => m.type === "timeoutNow")).toBe(false);
    net.heal();
    net.run(300);
    expect(net.leaders()).toEqual([3]);
    expect(net.values(3)).toEqual(["a"]);
  });

  test("the leader takes no proposals meanwhile, and again when the time is up", () => {
    const net = cluster();
    net.cut(1, 3);
    net.transfer(1, 3);
    expect(net.propose(1, "a")).toEqual({ type: "dropped", reason: "transferring" });
    expect(net.change(1, { steps: [{ type: "remove", id: 3n }] })).toMatchObject({ reason: "transferring" });
    net.run(999);
    expect(net.propose(1, "a")).toMatchObject({ reason: "transferring" });
    net.run(2);
    expect(net.propose(1, "a")).toMatchObject({ type: "appended" });
    net.run(200);
    expect(net.leaders()).toEqual([1]);
  });

  test("a forwarded proposal is not taken either", () => {
    const net = cluster();
    net.cut(1, 3);
    net.transfer(1, 3);
    net.input(2, (raft, now) => raft.forward(now, [{ type: "normal", data: Buffer.from("x") }]));
    net.settle();
    net.run(1200);
    expect(net.values(1)).toEqual([]);
  });

  test.each([
    ["a learner", 4],
    ["a stranger", 9],
    ["the leader itself", 1],
  ])("refused: %s", (_, to) => {
    expect(cluster().transfer(1, to)).toEqual({ type: "refused", reason: "bad transferee" });
  });

  test("refused: by a follower", () => {
    expect(cluster().transfer(2, 3)).toEqual({ type: "refused", reason: "not leader" });
  });

  test("without a name the voter with most of the log is chosen, among those heard lately", () => {
    const net = cluster();
    net.cut(1, 2);
    net.propose(1, "a");
    net.settle();
    expect(net.transfer(1, 0)).toEqual({ type: "started", to: 3n });
  });

  test("asked twice for the same target nothing new begins; another target replaces it", () => {
    const net = cluster();
    net.isolate(3);
    net.propose(1, "a");
    net.settle();
    net.transfer(1, 3);
    net.run(600);
    net.transfer(1, 3);
    net.run(500);
    // The deadline is that of the first request.
    expect(net.propose(1, "b").type).toBe("appended");
    net.settle();
    net.transfer(1, 3);
    net.transfer(1, 2);
    net.settle();
    expect(net.leaders()[0]).toBe(2);
  });

  test("the order overrides a live leader, at the target and at those it asks", () => {
    const net = cluster();
    net.run(500);
    net.sent = [];
    net.transfer(1, 2);
    net.settle();
    const asked = net.sent.filter((m) => m.type === "voteRequest");
    expect(asked.length).toBeGreaterThan(0);
    expect(asked.every((m) => m.type === "voteRequest" && m.transfer && !m.pre)).toBe(true);
    expect(net.leaders()).toEqual([2]);
  });

  test.each([
    ["from the leader of the term", 2n, 2, "candidate"],
    ["from somebody else", 3n, 2, "follower"],
    ["of an old term", 2n, 1, "follower"],
  ])("the order is obeyed only %s", (name, from, term, role) => {
    const solo = new Solo({ term: 2 });
    solo.step({ type: "heartbeat", from: 2n, term: 2, round: 1, leaseMs: 0, commit: 0 });
    solo.step({ type: "timeoutNow", from, term });
    expect([name, solo.raft.role]).toEqual([name, role]);
  });

  test("a learner does not obey", () => {
    const solo = new Solo({ id: 4, conf: { learners: [4n] }, term: 2 });
    solo.step({ type: "heartbeat", term: 2, round: 1, leaseMs: 0, commit: 0 });
    solo.step({ type: "timeoutNow", term: 2 });
    expect(solo.raft.role).toBe("follower");
  });

  test("the target crashes after the order: the old leader stays or another is found, and writes go on", () => {
    const net = cluster();
    net.transfer(1, 3);
    net.crash(3);
    net.run(5000);
    const leader = net.leader();
    expect(net.propose(leader, "a").type).toBe("appended");
    net.run(500);
    expect(net.values(leader)).toEqual(["a"]);
  });

  test("every proposal that was taken before is there after", () => {
    const net = cluster();
    const texts: string[] = [];
    for (let i = 0; i < 40; i++) {
      const leader = net.leader();
      if (net.propose(leader, `v${i}`).type === "appended") texts.push(`v${i}`);
      if (i % 5 === 4) net.transfer(leader, (leader % 3) + 1);
      net.run(60);
    }
    net.run(2000);
    expect(texts.length).toBeGreaterThan(30);
    for (const n of [1, 2, 3]) expect(net.values(n)).toEqual(texts);
  });
});
