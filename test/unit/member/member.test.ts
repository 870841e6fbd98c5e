// Goal: three real members elect, replicate, answer at the right member, time out and restart. Method: the in-memory
// harness with immediate delivery; every step also checks the members' own invariants.
import { describe, expect, it } from "vitest";
import type { Answer } from "../../../src/member/index.ts";
import { Cluster } from "../../support/member-harness.ts";

const IDS = [1n, 2n, 3n];

function hashes(cluster: Cluster): Set<string> {
  const found = new Set<string>();
  for (const { member } of cluster.nodes.values()) {
    if (member) found.add(`${member.status().applied}:${member.stateHash()}`);
  }
  return found;
}

function value(answer: Answer | undefined): string | undefined {
  if (answer?.type !== "read") throw new Error(`not a read: ${JSON.stringify(answer)}`);
  return answer.value;
}

describe("requests", () => {
  it("answers a put and a get through the leader", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    const put = cluster.request(leader, { type: "put", key: "a", value: "1" });
    const written = cluster.answer(leader, put);
    expect(written).toMatchObject({ type: "written", done: true, previous: undefined });
    const get = cluster.request(leader, { type: "get", key: "a", serializable: false });
    const index = written?.type === "written" ? written.index : 0;
    expect(cluster.answer(leader, get)).toMatchObject({ type: "read", value: "1", modIndex: index });
  });

  it("answers a put and a get through a follower, at that follower", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    const follower = cluster.other(leader);
    const put = cluster.request(follower, { type: "put", key: "a", value: "1" });
    cluster.advance(200);
    expect(cluster.answer(follower, put)).toMatchObject({ type: "written", done: true });
    expect(cluster.answer(leader, put)).toBeUndefined();
    const get = cluster.request(follower, { type: "get", key: "a", serializable: false });
    cluster.advance(200);
    expect(value(cluster.answer(follower, get))).toBe("1");
  });

  const steps = [
    {
      name: "cas of an absent key that expects a value",
      op: { type: "cas", key: "k", expect: "x", value: "1" },
      done: false,
      previous: undefined,
    },
    {
      name: "cas of an absent key that expects none",
      op: { type: "cas", key: "k", expect: undefined, value: "1" },
      done: true,
      previous: undefined,
    },
    {
      name: "cas that expects none of a present key",
      op: { type: "cas", key: "k", expect: undefined, value: "2" },
      done: false,
      previous: "1",
    },
    {
      name: "cas that expects the value",
      op: { type: "cas", key: "k", expect: "1", value: "2" },
      done: true,
      previous: "1",
    },
    { name: "put", op: { type: "put", key: "k", value: "3" }, done: true, previous: "2" },
    { name: "delete", op: { type: "delete", key: "k" }, done: true, previous: "3" },
    { name: "delete of an absent key", op: { type: "delete", key: "k" }, done: true, previous: undefined },
  ] as const;
  it("carries out each kind of write", () => {
    const cluster = Cluster.start([1n]);
    cluster.elect();
    for (const { name, op, done, previous } of steps) {
      const id = cluster.request(1n, op);
      expect(cluster.answer(1n, id), name).toMatchObject({ type: "written", done, previous });
    }
  });

  it("refuses what cannot be taken, and says why", () => {
    const cluster = Cluster.start(IDS);
    const early = cluster.request(1n, { type: "put", key: "a", value: "1" });
    expect(cluster.answer(1n, early)).toMatchObject({ type: "refused", reason: "no leader" });
    const read = cluster.request(1n, { type: "get", key: "a", serializable: false });
    expect(cluster.answer(1n, read)).toMatchObject({ type: "refused", reason: "no leader" });
    const local = cluster.request(1n, { type: "get", key: "a", serializable: true });
    expect(value(cluster.answer(1n, local))).toBeUndefined();
    const leader = cluster.elect();
    const follower = cluster.other(leader);
    const rows = [
      {
        at: leader,
        request: { type: "put", key: "a", value: "x".repeat(17_000_000) },
        reason: "request is too large",
      },
      { at: leader, request: { type: "put", key: "\ud800", value: "" }, reason: "request is malformed" },
      {
        at: leader,
        request: { type: "cas", key: "a", expect: "\udfff", value: "" },
        reason: "request is malformed",
      },
      { at: leader, request: { type: "transferLeader", to: 99n }, reason: "bad transferee" },
      { at: follower, request: { type: "transferLeader", to: 0n }, reason: "not leader" },
    ] as const;
    for (const { at, request, reason } of rows) {
      expect(cluster.answer(at, cluster.request(at, request))).toMatchObject({ type: "refused", reason });
    }
    const astral = cluster.request(leader, { type: "put", key: "\u{1f600}", value: "\u{1f600}" });
    expect(cluster.answer(leader, astral)).toMatchObject({ type: "written" });
  });

  it("gives up after the timeout: writes unknown, reads refused", () => {
    const cluster = Cluster.start(IDS, { requestTimeoutMs: 500 });
    const leader = cluster.elect();
    cluster.isolate(leader);
    const put = cluster.request(leader, { type: "put", key: "a", value: "1" });
    const get = cluster.request(leader, { type: "get", key: "a", serializable: false });
    cluster.advance(499);
    expect(cluster.answer(leader, put)).toBeUndefined();
    cluster.advance(1);
    expect(cluster.answer(leader, put)).toMatchObject({ type: "unknown", reason: "timed out" });
    expect(cluster.answer(leader, get)).toMatchObject({ type: "refused" });
  });

  it("bounds what waits", () => {
    const cluster = Cluster.start(IDS, { maxPendingRequests: 3 });
    const leader = cluster.elect();
    cluster.isolate(leader);
    const ids = [1, 2, 3].map((n) => cluster.request(leader, { type: "put", key: "a", value: String(n) }));
    const refused = [
      cluster.request(leader, { type: "put", key: "a", value: "4" }),
      cluster.request(leader, { type: "get", key: "a", serializable: false }),
      cluster.request(leader, { type: "changeMembers", change: { joint: false, steps: [], leaseMs: 5 } }),
    ];
    for (const id of refused) {
      expect(cluster.answer(leader, id)).toMatchObject({ type: "refused", reason: "too many requests" });
    }
    for (const id of ids) expect(cluster.answer(leader, id)).toBeUndefined();
  });

  it("keeps a write that an old leader took apart from the one that overwrote it", () => {
    const cluster = Cluster.start(IDS, { requestTimeoutMs: 60_000 });
    const old = cluster.elect();
    cluster.isolate(old);
    const lost = cluster.request(old, { type: "put", key: "a", value: "lost" });
    const change = cluster.request(old, {
      type: "changeMembers",
      change: { joint: false, steps: [], leaseMs: 9 },
    });
    cluster.until(() => cluster.leader() !== old && cluster.leader() !== 0n);
    cluster.until(() => {
      const leader = cluster.leader();
      const id = cluster.request(leader, { type: "put", key: "a", value: "kept" });
      return cluster.answer(leader, id)?.type === "written";
    });
    cluster.heal();
    cluster.advance(3_000);
    expect(cluster.answer(old, lost)).toBeUndefined();
    // Its position holds another entry now: definite.
    expect(cluster.answer(old, change)).toMatchObject({ type: "refused", reason: "not leader" });
    const get = cluster.request(old, { type: "get", key: "a", serializable: false });
    cluster.advance(500);
    expect(value(cluster.answer(old, get))).toBe("kept");
    expect(hashes(cluster).size).toBe(1);
  });
});

describe("duplicates", () => {
  it("appends a forwarded proposal once, and applies it once", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    const follower = cluster.other(leader);
    cluster.request(follower, { type: "put", key: "a", value: "1" });
    const proposal = cluster.sent.findLast((message) => message.type === "propose");
    expect(proposal).toBeDefined();
    const before = cluster.member(leader).status().lastIndex;
    if (proposal) for (let i = 0; i < 3; i++) cluster.deliver(proposal);
    expect(cluster.member(leader).status().lastIndex).toBe(before);
  });

  it("recognises a duplicate that is appended and not yet applied", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    const follower = cluster.other(leader);
    cluster.passes = (message) => message.type === "propose";
    cluster.request(follower, { type: "put", key: "a", value: "1" });
    const proposal = cluster.sent.findLast((message) => message.type === "propose");
    const before = cluster.member(leader).status().lastIndex;
    if (proposal) cluster.deliver(proposal);
    expect(cluster.member(leader).status().lastIndex).toBe(before);
  });

  it("recognises a duplicate in the tail that a new leader inherits, and applies a second copy to nothing", () => {
    const cluster = Cluster.start(IDS, { requestTimeoutMs: 60_000 });
    const old = cluster.elect();
    const follower = cluster.other(old);
    const third = cluster.other(old, follower);
    cluster.node(third).member && cluster.crash(cluster.node(third));
    // The follower gets the entry but its acknowledgement is lost: appended on both, committed on none.
    cluster.passes = (message) => message.from === old || message.type === "propose";
    const put = cluster.request(follower, { type: "put", key: "a", value: "1" });
    const proposal = cluster.sent.findLast((message) => message.type === "propose");
    cluster.crash(cluster.node(old));
    cluster.heal();
    cluster.open(cluster.node(third));
    // No proposal may be lost on an old leader here: the follower holds the entry, so it must win.
    cluster.until(() => cluster.leader() === follower);
    const index = cluster.member(follower).status().lastIndex;
    if (proposal) cluster.deliver({ ...proposal, from: third, to: follower });
    expect(cluster.member(follower).status().lastIndex).toBe(index);
    cluster.advance(500);
    expect(cluster.answer(follower, put)).toMatchObject({ type: "written", previous: undefined });
    cluster.open(cluster.node(old));
    cluster.advance(2_000);
    expect(hashes(cluster).size).toBe(1);
  });

  it("does not append what apply could not read, and says what it refused", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    const from = cluster.other(leader);
    const { term, lastIndex } = cluster.member(leader).status();
    const entries = [
      { type: "normal", data: new Uint8Array([0xff]) },
      { type: "conf", data: new Uint8Array(0) },
    ] as const;
    cluster.input(leader, (member, now) =>
      member.step(now, { type: "propose", from, to: leader, term, entries }),
    );
    expect(cluster.member(leader).status().lastIndex).toBe(lastIndex);
    expect(cluster.node(leader).refused.slice(-2)).toEqual([
      expect.stringContaining("forwarded entry"),
      "configuration changes are not forwarded",
    ]);
  });
});

describe("restart", () => {
  it("comes back from what was durable, with the same hash", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    for (let i = 0; i < 20; i++) cluster.request(leader, { type: "put", key: `k${i % 3}`, value: String(i) });
    cluster.advance(500);
    const before = hashes(cluster);
    expect(before.size).toBe(1);
    for (const node of cluster.nodes.values()) cluster.crash(node);
    for (const node of cluster.nodes.values()) cluster.open(node);
    const again = cluster.elect();
    const get = cluster.request(again, { type: "get", key: "k1", serializable: false });
    expect(value(cluster.answer(again, get))).toBe("19");
    cluster.advance(500);
    expect(hashes(cluster).size).toBe(1);
  });

  it("applies what the backend lost again, and what it kept not again", () => {
    const cluster = Cluster.start([1n]);
    cluster.elect();
    const node = cluster.node(1n);
    cluster.advance(200);
    node.holdBackend = true;
    const first = cluster.request(1n, { type: "cas", key: "a", expect: undefined, value: "1" });
    expect(cluster.answer(1n, first)).toMatchObject({ done: true });
    const { applied } = cluster.member(1n).status();
    expect(node.disk.state.index).toBeLessThan(applied);
    cluster.crash(node);
    node.holdBackend = false;
    cluster.open(node);
    // Commit is learned again from the consistent index at least, and by leading for the rest.
    cluster.until(() => cluster.member(1n).status().applied >= applied);
    const get = cluster.request(1n, { type: "get", key: "a", serializable: true });
    expect(value(cluster.answer(1n, get))).toBe("1");
  });

  it("forgets an entry that was never durable", () => {
    const cluster = Cluster.start([1n]);
    cluster.elect();
    cluster.advance(200);
    const node = cluster.node(1n);
    node.holdLog = true;
    const put = cluster.request(1n, { type: "put", key: "a", value: "1" });
    cluster.advance(10);
    expect(cluster.answer(1n, put)).toBeUndefined();
    cluster.crash(node);
    node.holdLog = false;
    cluster.open(node);
    cluster.elect();
    const get = cluster.request(1n, { type: "get", key: "a", serializable: false });
    expect(value(cluster.answer(1n, get))).toBeUndefined();
  });
});

describe("persist before send", () => {
  it("lets no acknowledgement, vote or vote request out before its batch is durable", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    cluster.advance(1_000);
    const follower = cluster.other(leader);
    const node = cluster.node(follower);
    const third = cluster.other(leader, follower);
    cluster.crash(cluster.node(third));
    node.holdLog = true;
    cluster.sent.length = 0;
    const put = cluster.request(leader, { type: "put", key: "a", value: "1" });
    cluster.advance(300);
    const { lastIndex } = cluster.member(leader).status();
    const acks = () =>
      cluster.sent.filter((m) => m.from === follower && m.type === "appendResponse" && m.index >= lastIndex);
    expect(acks()).toEqual([]);
    expect(cluster.answer(leader, put)).toBeUndefined();
    // Heartbeats are answered all the while: the leader stays.
    expect(cluster.sent.some((m) => m.from === follower && m.type === "heartbeatResponse")).toBe(true);
    expect(cluster.leader()).toBe(leader);
    cluster.flush(node);
    expect(acks().length).toBeGreaterThan(0);
    expect(cluster.answer(leader, put)).toMatchObject({ type: "written" });
  });

  it("votes only when the vote is durable", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    cluster.advance(1_000);
    const voter = cluster.other(leader);
    cluster.node(voter).holdLog = true;
    cluster.crash(cluster.node(leader));
    cluster.sent.length = 0;
    cluster.advance(8_000);
    const votes = cluster.sent.filter(
      (m) => m.from === voter && m.type === "voteResponse" && !m.pre && m.granted,
    );
    expect(votes).toEqual([]);
    expect(cluster.leader()).toBe(0n);
    cluster.flush(cluster.node(voter));
    cluster.until(() => cluster.leader() !== 0n);
  });

  it("does not commit by its own undurable log", () => {
    const cluster = Cluster.start([1n]);
    cluster.elect();
    cluster.node(1n).holdLog = true;
    const { commit } = cluster.member(1n).status();
    const put = cluster.request(1n, { type: "put", key: "a", value: "1" });
    expect(cluster.member(1n).status().commit).toBe(commit);
    cluster.flush(cluster.node(1n));
    expect(cluster.answer(1n, put)).toMatchObject({ type: "written" });
  });

  it("asserts on a completion out of turn", () => {
    const cluster = Cluster.start([1n]);
    cluster.elect();
    expect(() => cluster.member(1n).persisted(cluster.now, 999)).toThrow("batch completed out of turn");
    expect(() => cluster.member(1n).backendDurable(cluster.now, 999)).toThrow("completed out of turn");
    expect(() => cluster.member(1n).tick(cluster.now - 1)).toThrow("time went back");
  });
});

describe("much at once", () => {
  it("applies a long backlog in shares, and asks to go on at once", () => {
    const cluster = Cluster.start([1n]);
    cluster.elect();
    const node = cluster.node(1n);
    cluster.advance(200);
    node.holdLog = true;
    for (let i = 0; i < 3_000; i++) cluster.request(1n, { type: "put", key: "a", value: String(i) });
    const { applied } = cluster.member(1n).status();
    cluster.flush(node);
    // The first request's batch was out alone; the rest is in the next one.
    const shares = [cluster.member(1n).status().applied - applied];
    while (cluster.member(1n).nextWake() <= cluster.now) {
      const before = cluster.member(1n).status().applied;
      cluster.input(1n, (m, now) => m.tick(now));
      shares.push(cluster.member(1n).status().applied - before);
    }
    expect(shares.reduce((sum, share) => sum + share, 0)).toBe(3_000);
    expect(Math.max(...shares)).toBeLessThanOrEqual(1_025);
    expect(shares.length).toBeGreaterThan(2);
  });

  it("stops applying and taking proposals while the backend is far behind, and goes on when it is not", () => {
    const cluster = Cluster.start([1n, 2n]);
    const leader = cluster.elect();
    const follower = cluster.other(leader);
    cluster.advance(1_000);
    const value = "x".repeat(1024 * 1024);
    const behind = cluster.node(follower);
    behind.holdBackend = true;
    for (let i = 0; i < 72; i++) cluster.request(leader, { type: "put", key: `k${i % 4}`, value });
    cluster.advance(500);
    const { applied, commit } = cluster.member(follower).status();
    expect([commit - applied > 5, applied > 50]).toEqual([true, true]);
    const put = { type: "put", key: "k", value: "1" } as const;
    const refused = cluster.request(follower, put);
    expect(cluster.answer(follower, refused)).toMatchObject({ type: "refused", reason: "too many requests" });
    cluster.flushBackend(behind);
    cluster.advance(500);
    expect(cluster.member(follower).status().applied).toBe(cluster.member(leader).status().commit);
    const taken = cluster.request(follower, put);
    cluster.advance(200);
    expect(cluster.answer(follower, taken)).toMatchObject({ type: "written" });
    expect(hashes(cluster).size).toBe(1);
  });
});
