// Goal: the clock assumption of the leader lease (DESIGN §6; Raft thesis §6.4.1) is exactly the stated one, and the
// promises survive crashes. Method: the worst schedule for the lease, built by hand on the deterministic cluster: the
// leader is cut off right after a round was promised, its clock is slower than the others', and they elect as soon as
// they may. The election timeout is far below the lease, so that nothing but the promise holds them back; the old
// leader is a stopped process that wakes for one read at a time, before any timer of its own.
import { describe, expect, test } from "vitest";
import { Net, type NetOptions } from "../support/raft-net.ts";

const LEASE_MS = 1000;

function cluster(options: Partial<NetOptions> = {}): Net {
  const raft = {
    leaseReads: true,
    electionTimeoutMs: 20,
    heartbeatMs: 4,
    maxPendingReads: 10_000,
    ...options.raft,
  };
  const net = new Net({ voters: [1, 2, 3], leaseMs: LEASE_MS, throwOnStaleRead: false, ...options, raft });
  net.elect(1);
  net.run(4);
  net.settle();
  expect(net.raft(1).leaseUntil).toBeGreaterThan(net.localNow(net.member(1)));
  return net;
}

/** Cuts the leader off and reads at it every ms until well after the others have elected and written. */
function readWhileDeposed(net: Net): { wroteAfterMs: number; leaseReads: number; stale: number } {
  net.isolate(1);
  net.member(1).paused = true;
  const start = net.now;
  let wroteAfterMs = Number.NaN;
  let waiter = 0;
  for (let ms = 0; ms < 2 * LEASE_MS; ms++) {
    net.run(1);
    const successor = net.leaders().find((n) => n !== 1);
    if (Number.isNaN(wroteAfterMs) && successor !== undefined) {
      net.propose(successor, "new");
      net.settle();
      wroteAfterMs = net.now - start;
    }
    net.read(1, ++waiter);
  }
  const leaseReads = [...net.member(1).reads.values()].filter((r) => r.type === "ready" && r.lease).length;
  return { wroteAfterMs, leaseReads, stale: net.staleReads.length };
}

describe("leader lease under clock drift", () => {
  test.each([
    ["equal clocks", 1, 1],
    ["the leader's is slower by 1.05", 1 / 1.05, 1],
    ["the leader's is slower by 1.1, the bound", 1 / 1.1, 1],
    ["the others' are faster by 1.1, the bound", 1, 1.1],
    ["both off, 1.1 together", 0.97, 0.97 * 1.1],
    ["the leader's is faster: shorter lease, no danger", 1.1, 1],
  ])("within the bound no read is stale: %s", (_, leaderRate, otherRate) => {
    const net = cluster();
    net.setRate(1, leaderRate);
    net.setRate(2, otherRate);
    net.setRate(3, otherRate);
    net.run(8);
    const { wroteAfterMs, leaseReads, stale } = readWhileDeposed(net);
    expect(leaseReads).toBeGreaterThan(800);
    // The others were held back by nothing but the promise, so the schedule is as close as it can be.
    expect(wroteAfterMs).toBeLessThan((LEASE_MS * 1.1) / otherRate + 60);
    expect(stale).toBe(0);
  });

  test.each([
    ["the leader's is slower by 1.2", 1 / 1.2, 1],
    ["the others' are faster by 1.2", 1, 1.2],
    ["both off, 1.21 together", 1 / 1.1, 1.1],
  ])("beyond it the same schedule reads stale: %s", (_, leaderRate, otherRate) => {
    const net = cluster();
    net.setRate(1, leaderRate);
    net.setRate(2, otherRate);
    net.setRate(3, otherRate);
    net.run(8);
    expect(readWhileDeposed(net).stale).toBeGreaterThan(0);
  });

  test("members that crash and come back keep still for the longest promise that they can have made", () => {
    // The same schedule, but both others crash and come back at once, and remember no promise.
    const net = cluster();
    net.isolate(1);
    for (const n of [2, 3]) net.crash(n);
    for (const n of [2, 3]) net.restart(n);
    const { wroteAfterMs, leaseReads, stale } = readWhileDeposed(net);
    expect(wroteAfterMs).toBeGreaterThan(LEASE_MS);
    expect(leaseReads).toBeGreaterThan(800);
    expect(stale).toBe(0);
  });

  test("they may forget a lease that was raised: the log still says how long it was", () => {
    const net = cluster({ leaseMs: 100 });
    expect(net.change(1, { leaseMs: LEASE_MS }).type).toBe("appended");
    net.settle();
    net.run(8);
    expect(net.raft(2).conf.leaseMs).toBe(LEASE_MS);
    for (const n of [2, 3]) net.crash(n);
    for (const n of [2, 3]) net.restart(n);
    const { wroteAfterMs, stale } = readWhileDeposed(net);
    expect(wroteAfterMs).toBeGreaterThan(LEASE_MS);
    expect(stale).toBe(0);
  });

  test("a delayed MsgTimeoutNow deposes a leader that went on: it has no lease then", () => {
    const net = cluster();
    net.intercept = (m) => (m.type === "timeoutNow" ? "hold" : "pass");
    net.transfer(1, 2);
    net.run(100);
    expect(net.leaders()).toEqual([1]);
    net.intercept = () => "pass";
    net.member(1).paused = true;
    net.release();
    expect(net.deliver((m) => "type" in m && m.type === "timeoutNow")).toBe(true);
    net.isolate(1);
    net.settle();
    expect(net.leaders()[0]).toBe(2);
    net.propose(2, "new");
    net.settle();
    net.read(1, 1);
    expect(net.staleReads).toEqual([]);
    expect(net.member(1).reads.size).toBe(0);
  });

  test("the leader that was cut off for shorter than its lease goes on reading by it", () => {
    const net = cluster({ raft: { electionTimeoutMs: 2000 } });
    net.isolate(1);
    net.run(500);
    net.read(1, 1);
    expect(net.member(1).reads.get(1)).toMatchObject({ type: "ready", lease: true });
  });
});
