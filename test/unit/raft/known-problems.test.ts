// Goal: the problems that etcd raft, raft-rs, hashicorp/raft and others had in the field do not exist here. Method: one
// scenario per problem on the deterministic cluster, with the source named; the numbers are those of the incident or
// of the bound that it teaches. ET is the election timeout.
import { describe, expect, test } from "vitest";
import type { Message } from "../../../src/raft/index.ts";
import { Net, type NetOptions, type Preset } from "../../support/raft-net.ts";

const ET = 1000;

function cluster(options: Partial<NetOptions> = {}): Net {
  const net = new Net({ voters: [1, 2, 3], latencyMs: 5, ...options });
  net.elect(1);
  net.run(50);
  return net;
}

function write(net: Net, text: string): void {
  expect(net.propose(net.leader(), text).type).toBe("appended");
  net.run(300);
}

describe("pre-vote and check-quorum lead from every start (etcd #8243, #8501, #9586; raft-rs #42, #83)", () => {
  const lags = [0, 1, 2];
  // Member 1 has term 4 and 3 entries; the others lag by these.
  const starts = lags.flatMap((t2) =>
    lags.flatMap((t3) => lags.flatMap((l2) => lags.map((l3) => [t2, l2, t3, l3] as const))),
  );

  test("there are 81 of them", () => {
    expect(starts).toHaveLength(81);
  });

  test.each(starts)(
    "terms 4, 4-%i (log -%i), 4-%i (log -%i): a leader within 10 ET that can write",
    (t2, l2, t3, l3) => {
      const full = [1, 1];
      const preset = (term: number, log: number): Preset => ({ term: 4 - term, log: full.slice(0, 2 - log) });
      const net = new Net(
        { voters: [1, 2, 3], latencyMs: 5 },
        { 1: preset(0, 0), 2: preset(t2, l2), 3: preset(t3, l3) },
      );
      expect(net.runUntil(10 * ET, () => net.leaders().length > 0)).toBe(true);
      write(net, "a");
      expect(net.values(net.leader())).toContain("a");
    },
  );

  // The longest log may sit at the member with the oldest term; and one of the three may be gone for good.
  test.each(starts)("log and term lag against each other, one member gone: %i %i %i %i", (t1, l1, t2, l2) => {
    const preset = (term: number, log: number): Preset => ({ term: 4 - term, log: [1, 1].slice(0, 2 - log) });
    const net = new Net(
      { voters: [1, 2, 3], latencyMs: 5 },
      { 1: preset(t1, l1), 2: preset(t2, l2), 3: preset(0, 2) },
    );
    net.crash(3);
    expect(net.runUntil(10 * ET, () => net.leaders().length > 0)).toBe(true);
    write(net, "a");
  });

  test("a candidate of a later term that nobody hears does not hold the others up", () => {
    const net = new Net(
      { voters: [1, 2, 3], latencyMs: 5 },
      { 1: { term: 9 }, 2: { term: 1 }, 3: { term: 1 } },
    );
    net.isolate(1);
    expect(net.runUntil(10 * ET, () => net.leaders().length > 0)).toBe(true);
    net.heal();
    net.run(10 * ET);
    expect(net.leaders()).toHaveLength(1);
    write(net, "a");
  });
});

describe("who comes back disturbs nobody (etcd #14893, #9241, #8499)", () => {
  test("a follower isolated for 30 ET: leader and term are the same afterwards", () => {
    const net = cluster();
    net.isolate(3);
    for (let i = 0; i < 30; i++) {
      net.run(ET);
      if (i % 10 === 0) write(net, `v${i}`);
    }
    const term = net.raft(1).term;
    net.heal();
    net.run(5 * ET);
    expect(net.leaders()).toEqual([1]);
    expect(net.raft(1).term).toBe(term);
    expect(net.values(3)).toEqual(net.values(1));
  });

  test("the same after a crash and 30 ET", () => {
    const net = cluster();
    net.crash(3);
    net.run(30 * ET);
    net.restart(3);
    net.run(5 * ET);
    expect([net.leaders(), net.raft(1).term]).toEqual([[1], 2]);
  });
});

/** Most terms that any member reached. */
const maxTerm = (net: Net) => Math.max(...[...net.members.values()].map((m) => m.raft.term));

describe("partial connectivity (Cloudflare 2020, reliability.md #4)", () => {
  test.each([
    ["the link of the leader", 1, 3],
    ["a link between followers", 2, 3],
  ])("one link of a triangle is cut: %s", (_, a, b) => {
    const net = cluster();
    const before = maxTerm(net);
    net.cut(a, b);
    let led = 0;
    for (let ms = 0; ms < 30 * ET; ms += 10) {
      net.run(10);
      if (net.leaders().length > 0) led += 10;
    }
    expect(led / (30 * ET)).toBeGreaterThan(0.95);
    expect(maxTerm(net) - before).toBeLessThanOrEqual(2);
    write(net, "a");
  });

  test.each([
    [
      "ring",
      [
        [1, 3],
        [1, 4],
        [2, 4],
        [2, 5],
        [3, 5],
      ],
    ],
    [
      "bridge: 3 between 1 2 and 4 5",
      [
        [1, 4],
        [1, 5],
        [2, 4],
        [2, 5],
      ],
    ],
  ])("five members as a %s: somebody leads and writes", (_, cuts) => {
    const net = new Net({ voters: [1, 2, 3, 4, 5], latencyMs: 5 });
    net.elect(1);
    for (const [a, b] of cuts) net.cut(a ?? 0, b ?? 0);
    net.run(10 * ET);
    const before = maxTerm(net);
    net.run(20 * ET);
    expect(maxTerm(net) - before).toBeLessThanOrEqual(2);
    expect(net.leaders()).not.toEqual([]);
    write(net, "a");
    expect(net.values(net.leader())).toEqual(["a"]);
  });

  test("a leader that can send but not receive steps down within 2 ET, the others write within 4 ET", () => {
    const net = cluster();
    net.cutOneWay(2, 1);
    net.cutOneWay(3, 1);
    net.run(2 * ET);
    expect(net.raft(1).role).not.toBe("leader");
    expect(net.runUntil(2 * ET, () => net.leaders().length > 0)).toBe(true);
    write(net, "a");
  });

  test("a leader that can receive but not send is replaced within 4 ET", () => {
    const net = cluster();
    net.cutOneWay(1, 2);
    net.cutOneWay(1, 3);
    expect(net.runUntil(4 * ET, () => net.leaders().some((n) => n !== 1))).toBe(true);
    write(net, "a");
    net.run(2 * ET);
    expect(net.leaders()).not.toContain(1);
  });

  test("a follower that can send but not receive disturbs nobody", () => {
    const net = cluster();
    net.cutOneWay(1, 3);
    net.cutOneWay(2, 3);
    net.run(30 * ET);
    expect([net.leaders(), net.raft(1).term]).toEqual([[1], 2]);
  });
});

describe("answers that come late, twice or out of order (etcd raft #31, #149, #8)", () => {
  test("every append and every answer arrives twice, the second time in another order", () => {
    const net = cluster();
    let twice: Message[] = [];
    net.intercept = (m) => {
      if (m.type.startsWith("append")) twice.unshift(m);
      return "pass";
    };
    for (let i = 0; i < 20; i++) {
      net.propose(1, `v${i}`);
      net.run(7);
      const again = twice;
      twice = [];
      for (const m of again) net.arrive(m);
    }
    net.intercept = () => "pass";
    net.run(500);
    for (const n of [1, 2, 3]) expect(net.values(n)).toHaveLength(20);
  });

  test("a refusal from before the agreement does not move `next` below `match`", () => {
    // Member 3 has to be probed back; the refusals are delivered once more when everything is in place.
    const net = new Net(
      { voters: [1, 2, 3], latencyMs: 5 },
      { 1: { log: [2, 3, 4] }, 2: { log: [2, 3, 4] }, 3: { log: [2, 2, 2, 2] } },
    );
    net.elect(1);
    net.run(500);
    const refusals = net.sent.filter((m) => m.type === "appendResponse" && m.rejected);
    expect(refusals.length).toBeGreaterThan(0);
    net.sent = [];
    for (const m of refusals) net.arrive(m);
    expect(net.sent.filter((m) => m.type === "append")).toEqual([]);
    write(net, "a");
    expect(net.terms(3)).toEqual(net.terms(1));
  });

  test("an acknowledgement of entries that were overwritten while they were being saved is not given (#8)", () => {
    const net = new Net({ voters: [1, 2, 3] });
    net.elect(1);
    net.settle();
    net.manualPersist = true;
    net.isolate(1);
    net.propose(1, "old");
    const [lost] = net.sent.slice(-1);
    expect(lost?.type).toBe("append");
    net.heal();
    if (lost !== undefined) net.arrive({ ...lost, to: 3n });
    expect(net.take(3)).toBe(true);
    // A new leader overwrites position 3 while the disk of 3 still works on the old content.
    const news = { type: "append", from: 2n, to: 3n, term: 9, prevIndex: 2, prevTerm: 2, commit: 2 } as const;
    net.arrive({ ...news, entries: [{ index: 3, term: 9, type: "normal", data: Buffer.from("new") }] });
    net.sent = [];
    net.persist(3);
    // Durable is term 2's entry. What was said about it then is true of the leader of term 2, and of nobody else.
    expect(net.sent.filter((m) => m.type === "appendResponse" && m.term === 9)).toEqual([]);
    expect(net.raft(3).persistedIndex).toBe(2);
    net.persist(3);
    expect(net.sent.filter((m) => m.type === "appendResponse" && m.term === 9)).toMatchObject([{ index: 3 }]);
    expect(net.member(3).disk.termAt(3)).toBe(9);
  });

  test("votes of an earlier candidacy do not count for a later one", () => {
    const net = new Net({ voters: [1, 2, 3, 4, 5] });
    net.intercept = (m) => (m.type === "voteResponse" && !m.pre ? "hold" : "pass");
    net.skip(3 * ET);
    net.campaign(1);
    net.settle();
    expect(net.raft(1).role).toBe("candidate");
    const old = net.held.splice(0);
    // 1 gives up and stands again, now heard by nobody.
    net.isolate(1);
    net.run(3 * ET);
    net.heal();
    net.intercept = () => "drop";
    net.input(1, (raft, now) => raft.tick(now));
    for (const m of old) net.arrive(m);
    expect(net.raft(1).role).not.toBe("leader");
  });
});

describe("slow and silent members", () => {
  test("a follower that acknowledges nothing holds up neither commit nor memory", () => {
    const net = cluster({ raft: { maxInflightMessages: 4 } });
    net.intercept = (m) => (m.type === "appendResponse" && m.from === 3n ? "drop" : "pass");
    net.sent = [];
    for (let i = 0; i < 100; i++) {
      net.propose(1, `v${i}`);
      net.run(10);
    }
    expect(net.values(1)).toHaveLength(100);
    // Its window is full, and each heartbeat's answer lets one more append through.
    const beats = net.sent.filter((m) => m.type === "heartbeatResponse" && m.from === 3n).length;
    const appends = net.sent.filter((m) => m.type === "append" && m.to === 3n && m.entries.length > 0).length;
    expect(appends).toBeLessThanOrEqual(4 + 2 * beats + 2);
    net.intercept = () => "pass";
    net.run(2 * ET);
    expect(net.values(3)).toHaveLength(100);
  });

  test("a leader with a stopped disk commits by the others' disks and applies nothing itself", () => {
    const net = cluster();
    net.manualPersist = true;
    net.propose(1, "a");
    net.run(10);
    net.persist(2);
    net.persist(3);
    net.run(50);
    expect(net.raft(1).commit).toBe(3);
    expect(net.values(1)).toEqual([]);
    net.crash(1);
    net.manualPersist = false;
    net.persistAll();
    net.run(5 * ET);
    expect(net.values(net.leader())).toEqual(["a"]);
  });

  test("a member that lost its disk and kept its identity is refused by itself, not by a crash (etcd #10166)", () => {
    const net = cluster();
    for (let i = 0; i < 5; i++) net.propose(1, `v${i}`);
    net.run(200);
    // Its log ends earlier than what it has acknowledged in this term.
    const member = net.member(3);
    net.crash(3);
    member.disk.entries.length = 1;
    member.disk.hardState = { ...member.disk.hardState, commit: 1 };
    net.restart(3);
    net.allowRefusals = true;
    net.run(500);
    expect(net.refusals.some((reason) => reason.includes("lost entries"))).toBe(true);
    expect(net.member(3).up).toBe(true);
    expect(net.leaders()).toEqual([1]);
  });
});

test("all members crash at every point of a write: nothing acknowledged is lost (reliability.md #23)", () => {
  let survived = 0;
  for (let deliveries = 0; deliveries < 30; deliveries++) {
    const net = new Net({ voters: [1, 2, 3] });
    net.elect(1);
    net.manualPersist = true;
    net.propose(1, "a");
    // Disks and messages take turns; how far they come before the power goes is the loop's choice.
    for (let i = 0; i < deliveries; i++) {
      if (i % 2 === 0) net.persist(1 + ((i / 2) % 3));
      else net.deliver();
    }
    const acknowledged = net.values(1).includes("a");
    for (const n of [1, 2, 3]) net.crash(n);
    net.dropAll();
    net.manualPersist = false;
    for (const n of [1, 2, 3]) net.restart(n);
    net.run(10 * ET);
    if (acknowledged) {
      survived++;
      expect(net.values(net.leader())).toEqual(["a"]);
    }
  }
  expect(survived).toBeGreaterThan(0);
});
