// Goal: the harness itself tells the truth: a healthy cluster works in it, and each of its checks can fail.
// Method: short runs, and one forged violation per property.
import { describe, expect, test } from "vitest";
import { Net } from "../../support/raft-net.ts";

describe("a healthy cluster", () => {
  test("elects by itself, replicates, applies", () => {
    const net = new Net({ voters: [1, 2, 3], latencyMs: 5 });
    expect(net.runUntil(10_000, () => net.leaders().length === 1)).toBe(true);
    net.propose(net.leader(), "a");
    net.run(100);
    for (const n of [1, 2, 3]) expect(net.values(n)).toEqual(["a"]);
  });

  test("survives a crash of everybody with what was durable", () => {
    const net = new Net({ voters: [1, 2, 3] });
    net.elect(1);
    net.propose(1, "a");
    net.settle();
    for (const n of [1, 2, 3]) net.crash(n);
    for (const n of [1, 2, 3]) net.restart(n);
    net.elect(2);
    for (const n of [1, 2, 3]) expect(net.values(n)).toEqual(["a"]);
  });

  test("catches up a member by snapshot", () => {
    const net = new Net({ voters: [1, 2, 3] });
    net.elect(1);
    net.isolate(3);
    for (const text of ["a", "b", "c"]) net.propose(1, text);
    net.settle();
    net.compact(1, 4);
    net.heal();
    net.run(1000);
    expect(net.values(3)).toEqual(["a", "b", "c"]);
    expect(net.snapshotsSent).toBe(1);
  });
});
