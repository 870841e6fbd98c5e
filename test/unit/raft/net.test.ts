// Goal: the harness itself tells the truth: a healthy cluster works in it, and each of its checks can fail.
// Method: short runs, and one violation per property, brought about by forged votes and entries.
import { describe, expect, test } from "vitest";
import type { Message } from "../../../src/raft/index.ts";
import { Checks } from "../../support/raft-checks.ts";
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

  test("the same seed gives the same run, another one another", () => {
    const trace = (seed: number) => {
      const net = new Net({ voters: [1, 2, 3], latencyMs: 5, seed });
      net.run(5000);
      return net.sent.map((m) => `${m.type} ${m.from}>${m.to} ${m.term}`).join("\n");
    };
    expect(trace(3)).toBe(trace(3));
    expect(trace(3)).not.toBe(trace(4));
  });
});

/** Member 1 leads term 2 and has committed "a" at index 3 with member 2; member 3 knows nothing of it. */
function oneBehind(): Net {
  const net = new Net({ voters: [1, 2, 3] }, { 1: { term: 1 } });
  net.elect(1);
  net.isolate(3);
  net.propose(1, "a");
  net.settle();
  net.heal();
  return net;
}

/** Makes `n` win an election by votes that nobody gave. */
function forgeElection(net: Net, n: number): void {
  net.campaign(n);
  const { raft } = net.member(n);
  const vote = { type: "voteResponse", from: 2n, to: BigInt(n), granted: true } as const;
  net.arrive({ ...vote, term: raft.term + 1, pre: true });
  net.arrive({ ...vote, term: raft.term, pre: false });
}

describe("each check can fail", () => {
  test("election safety", () => {
    const net = new Net({ voters: [1, 2, 3] });
    net.isolate(3);
    net.elect(1);
    net.heal();
    expect(net.raft(3).term).toBe(1);
    expect(() => forgeElection(net, 3)).toThrow("election safety");
  });

  test("leader completeness", () => {
    expect(() => forgeElection(oneBehind(), 3)).toThrow("leader completeness");
  });

  const forged = { type: "append", from: 1n, to: 3n, prevIndex: 2, prevTerm: 2, commit: 2 } as const;
  const entry = (term: number) => ({ index: 3, term, type: "normal" as const, data: Buffer.from("x") });

  test("log matching", () => {
    expect(() => oneBehind().arrive({ ...forged, term: 2, entries: [entry(2)] })).toThrow("log matching");
  });

  test("state machine safety", () => {
    const net = oneBehind();
    expect(() => net.arrive({ ...forged, term: 5, commit: 3, entries: [entry(5)] })).toThrow(
      "state machine safety",
    );
  });

  test("monotonic", () => {
    const net = oneBehind();
    const old = new Net({ voters: [1, 2, 3] }).member(1);
    const checks = new Checks();
    checks.after(net.member(1), []);
    expect(() => checks.after(old, [])).toThrow("monotonic");
    checks.restarted(1n);
    checks.after(old, []);
  });

  const undurable: [name: string, m: Message][] = [
    ["a vote", { type: "voteResponse", from: 3n, to: 1n, term: 9, pre: false, granted: true }],
    [
      "a request for votes",
      {
        type: "voteRequest",
        from: 3n,
        to: 1n,
        term: 9,
        pre: false,
        transfer: false,
        lastIndex: 1,
        lastTerm: 1,
      },
    ],
    [
      "an acknowledgement of entries",
      {
        type: "appendResponse",
        from: 3n,
        to: 1n,
        term: 2,
        rejected: false,
        index: 3,
        hintIndex: 0,
        hintTerm: 0,
      },
    ],
    [
      "a refusal",
      {
        type: "appendResponse",
        from: 3n,
        to: 1n,
        term: 9,
        rejected: true,
        index: 3,
        hintIndex: 0,
        hintTerm: 0,
      },
    ],
    ["a promise", { type: "heartbeatResponse", from: 3n, to: 1n, term: 9, round: 1, promised: true }],
    ["a heartbeat", { type: "heartbeat", from: 3n, to: 1n, term: 9, round: 1, leaseMs: 0, commit: 0 }],
  ];
  test.each(undurable)("durable before sent: %s", (_, m) => {
    const net = oneBehind();
    expect(() => net.checks.sending(net.member(3), m)).toThrow("durable before sent");
  });

  test("one vote per term", () => {
    const net = oneBehind();
    const member = net.member(3);
    const vote = { type: "voteResponse", from: 3n, term: 9, pre: false, granted: true } as const;
    member.disk.hardState = { term: 9, vote: 1n, commit: 1 };
    net.checks.sending(member, { ...vote, to: 1n });
    member.disk.hardState = { term: 9, vote: 2n, commit: 1 };
    expect(() => net.checks.sending(member, { ...vote, to: 2n })).toThrow("one vote per term");
  });

  test("a refusal among correct members", () => {
    const net = oneBehind();
    const beat = { type: "heartbeat", from: 1n, to: 3n, term: 2, round: 1, leaseMs: 0 } as const;
    expect(() => net.arrive({ ...beat, commit: 99 })).toThrow("refused");
  });
});
