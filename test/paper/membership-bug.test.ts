// Goal: the bug in the thesis's single-server membership changes (Ongaro, raft-dev, 10 July 2015, "bug in
// single-server membership changes") does not exist here. Method: its three traces, each run three times: as the
// product is; with the thesis's rule that a configuration counts from when it is appended, but with the correction (a
// leader first commits an entry of its own term); and without the correction, where the harness must find the damage:
// that shows that the trace is the right one and that the checks see it.
import { describe, expect, test } from "vitest";
import type { ConfChange, ConfChangeStep } from "../../src/raft/index.ts";
import { SafetyError } from "../support/raft-checks.ts";
import { encodeChange, showConf } from "../support/raft-disk.ts";
import { Net } from "../support/raft-net.ts";

const add = (n: number): ConfChangeStep => ({ type: "addVoter", id: BigInt(n) });
const remove = (n: number): ConfChangeStep => ({ type: "remove", id: BigInt(n) });

interface Trace {
  /** S1's change, which reaches nobody. */
  readonly d: ConfChangeStep;
  /** S2's change, in the next term. */
  readonly e: ConfChangeStep;
  /** A majority of C with E. */
  readonly eQuorum: readonly number[];
  /** A majority of C with D, which has only S1 in common with what S2 knows of; disjoint from `eQuorum`. */
  readonly dQuorum: readonly number[];
}

/** C is always {1 2 3 4}. */
const TRACES: [name: string, trace: Trace][] = [
  ["one add, one remove", { d: add(5), e: remove(1), eQuorum: [2, 3], dQuorum: [1, 4, 5] }],
  ["two adds", { d: add(5), e: add(6), eQuorum: [2, 3, 6], dQuorum: [1, 4, 5] }],
  ["two removes", { d: remove(4), e: remove(1), eQuorum: [2, 4], dQuorum: [1, 3] }],
];

const changeOf = (step: ConfChangeStep): ConfChange => ({ joint: false, steps: [step], leaseMs: undefined });

/** S1 led term 2 and appended D, which reached nobody; S2 was elected by 2 3 4 and has sent nothing yet. */
function twoLeaders({ d }: Trace): Net {
  const net = new Net({ voters: [1, 2, 3, 4], spares: [5, 6] });
  for (const n of [1, 2, 3, 4]) net.compact(n, 1);
  net.elect(1);
  net.isolate(1);
  expect(net.change(1, { steps: [d] }).type).toBe("appended");
  net.settle();
  net.intercept = (m) => (m.type === "append" ? "hold" : "pass");
  net.elect(2);
  net.intercept = () => "pass";
  return net;
}

/** S1 comes back and finds just the members that make a majority of its D. */
function s1Stands(net: Net, { dQuorum }: Trace, confFromLog: boolean): void {
  net.heal();
  net.partition(dQuorum);
  net.crash(1);
  net.dropAll();
  net.restart(1, confFromLog);
  net.elect(1);
}

/** All members of the newest configuration end with the same applied log. */
function mustConverge(net: Net): void {
  net.heal();
  net.run(20_000);
  const leader = net.leader();
  net.propose(leader, "end");
  net.run(1000);
  for (const id of net.raft(leader).conf.voters) expect(net.values(Number(id))).toEqual(net.values(leader));
}

describe("Ongaro 2015: the three traces", () => {
  test.each(TRACES)("%s: as the product is, S1 cannot win and E stays", (_, trace) => {
    const net = twoLeaders(trace);
    // S2 may not even propose E before its own no-op is committed, and that takes a majority of C.
    expect(net.change(2, { steps: [trace.e] })).toEqual({
      type: "dropped",
      reason: "a configuration change is pending",
    });
    net.release();
    net.settle();
    expect(net.change(2, { steps: [trace.e] }).type).toBe("appended");
    net.run(300);
    const conf = showConf(net.raft(2).conf);
    expect(conf).not.toBe("{1 2 3 4}");
    expect(() => s1Stands(net, trace, false)).toThrow("member 1 was not elected");
    mustConverge(net);
    expect(showConf(net.raft(net.leader()).conf)).toBe(conf);
  });

  /** S2's E counts from when it is appended, at those who got it. */
  function commitE(net: Net, trace: Trace): void {
    net.heal();
    net.partition(trace.eQuorum);
    for (const n of trace.eQuorum) net.crash(n);
    net.dropAll();
    for (const n of trace.eQuorum) net.restart(n, true);
    net.elect(2);
    net.run(500);
    const index = net.member(2).disk.entries.find((e) => e.type === "conf")?.index ?? 0;
    expect(net.raft(2).commit).toBeGreaterThanOrEqual(index);
  }

  test.each(TRACES)("%s: with the correction alone S1 cannot win", (_, trace) => {
    const net = twoLeaders(trace);
    net.release();
    net.settle();
    net.partition(trace.eQuorum);
    expect(net.change(2, { steps: [trace.e] }).type).toBe("appended");
    net.settle();
    commitE(net, trace);
    expect(() => s1Stands(net, trace, true)).toThrow("member 1 was not elected");
  });

  test.each(TRACES)("%s: without it S1 wins and a committed entry is lost", (_, trace) => {
    const net = twoLeaders(trace);
    net.partition(trace.eQuorum);
    // A plain proposal passes by every rule about configuration changes.
    const data = encodeChange(changeOf(trace.e));
    net.input(2, (raft, now) => raft.propose(now, [{ type: "conf", data }]));
    net.release();
    net.settle();
    commitE(net, trace);
    expect(() => s1Stands(net, trace, true)).toThrow(SafetyError);
  });
});
