// Goal: membership changes, identities and hand-over at the member's level. Method: the in-memory harness; members
// join, are promoted and removed, come back with another data directory, stall and stop.
import { describe, expect, it } from "vitest";
import { ERR } from "../../../src/base/index.ts";
import { encodeEnvelope } from "../../../src/pb/index.ts";
import type { ConfChangeStep } from "../../../src/raft/index.ts";
import { Cluster, peerUrlOf } from "../../support/member-harness.ts";
import { get, getLocal, kvsOf, put, valueRead } from "../../support/member-requests.ts";

const IDS = [1n, 2n, 3n];

function change(cluster: Cluster, at: bigint, steps: ConfChangeStep[], joint = false): number {
  return cluster.request(at, { type: "changeMembers", change: { joint, steps, leaseMs: undefined } });
}

/** A step that brings a member in. */
function add(type: "addVoter" | "addLearner", id: bigint): ConfChangeStep {
  return { type, id, peerUrls: [peerUrlOf(id)] };
}

describe("membership", () => {
  it("adds a learner, promotes it, removes another", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    cluster.request(leader, put("a", "1"));
    cluster.add(4n);
    const added = change(cluster, leader, [add("addLearner", 4n)]);
    cluster.advance(500);
    expect(cluster.answer(leader, added)).toMatchObject({ type: "changed" });
    expect(cluster.member(4n).status()).toMatchObject({ conf: { learners: [4n] } });
    const rows = [put("a", "2"), get("a")] as const;
    for (const request of rows) {
      const id = cluster.request(4n, request);
      expect(cluster.answer(4n, id)).toMatchObject({ type: "refused", error: ERR.notSupportedForLearner });
    }
    const local = cluster.request(4n, getLocal("a"));
    expect(valueRead(cluster.answer(4n, local))).toBe("1");
    const promoted = change(cluster, leader, [{ type: "addVoter", id: 4n }]);
    cluster.advance(500);
    expect(cluster.answer(leader, promoted)).toMatchObject({ type: "changed" });
    const gone = cluster.other(leader, 4n);
    const removed = change(cluster, leader, [{ type: "remove", id: gone }]);
    cluster.advance(500);
    expect(cluster.answer(leader, removed)).toMatchObject({ type: "changed" });
    const { conf } = cluster.member(4n).status();
    expect([conf.voters.length, conf.voters.includes(gone), conf.learners]).toEqual([3, false, []]);
    expect(cluster.member(4n).peerRecord(gone)).toEqual({ known: false, removed: true, pinnedInstance: 0n });
    // A removed ID never returns.
    const back = change(cluster, leader, [add("addLearner", gone)]);
    expect(cluster.answer(leader, back)).toMatchObject({
      type: "refused",
      error: ERR.changeInvalid,
    });
  });

  it("promotes nobody who is not caught up", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    for (let i = 0; i < 30; i++) cluster.request(leader, put("a", String(i)));
    change(cluster, leader, [add("addLearner", 4n)]);
    cluster.advance(500);
    const early = change(cluster, leader, [{ type: "addVoter", id: 4n }]);
    expect(cluster.answer(leader, early)).toMatchObject({
      type: "refused",
      error: ERR.learnerNotReady,
    });
    cluster.add(4n);
    cluster.advance(1_000);
    const late = change(cluster, leader, [{ type: "addVoter", id: 4n }]);
    expect(cluster.answer(leader, late)).toMatchObject({ type: "changed" });
  });

  it("leaves a joint configuration by itself", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    cluster.add(4n);
    cluster.add(5n);
    const out = cluster.other(leader, 4n, 5n);
    const id = change(
      cluster,
      leader,
      [add("addVoter", 4n), add("addVoter", 5n), { type: "remove", id: out }],
      true,
    );
    cluster.advance(2_000);
    expect(cluster.answer(leader, id)).toMatchObject({ type: "changed" });
    const { conf } = cluster.member(5n).status();
    expect(conf.votersOutgoing).toEqual([]);
    expect(conf.voters).toEqual([1n, 2n, 3n, 4n, 5n].filter((voter) => voter !== out));
    expect(cluster.member(5n).peerRecord(out).removed).toBe(true);
  });

  it("lets a leader remove itself", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    const id = change(cluster, leader, [{ type: "remove", id: leader }]);
    cluster.until(() => ![0n, leader].includes(cluster.leader()));
    expect(cluster.answer(leader, id)).toMatchObject({ type: "changed" });
    expect(cluster.member(cluster.leader()).status().conf.voters).not.toContain(leader);
  });

  const refusals = [
    { name: "a member again", steps: [add("addVoter", 2n)], error: ERR.memberExists },
    {
      name: "a URL that is taken",
      steps: [{ type: "addLearner", id: 4n, peerUrls: ["http://new:1", peerUrlOf(2n)] }],
      error: ERR.peerUrlExists,
    },
    {
      name: "an empty URL",
      steps: [{ ...add("addLearner", 4n), peerUrls: [""] }],
      error: ERR.memberUrlsInvalid,
    },
    {
      name: "17 URLs",
      steps: [{ ...add("addLearner", 4n), peerUrls: Array.from({ length: 17 }, (_, i) => `http://a:${i}`) }],
      error: ERR.memberUrlsInvalid,
    },
    { name: "promotion of a voter", steps: [{ type: "addVoter", id: 2n }], error: ERR.memberNotLearner },
    { name: "promotion of a stranger", steps: [{ type: "addVoter", id: 9n }], error: ERR.memberNotFound },
    { name: "removal of a stranger", steps: [{ type: "remove", id: 9n }], error: ERR.memberNotFound },
  ] as const;
  it.each(refusals)("refuses $name, as etcd does", ({ steps, error }) => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    expect(cluster.answer(leader, change(cluster, leader, [...steps]))).toMatchObject({
      type: "refused",
      error,
    });
  });

  it("lets in as many learners as it is told to", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    change(cluster, leader, [add("addLearner", 4n)]);
    cluster.advance(200);
    const second = change(cluster, leader, [add("addLearner", 5n)]);
    expect(cluster.answer(leader, second)).toMatchObject({ type: "refused", error: ERR.tooManyLearners });
  });

  const invalid = [
    { name: "member 0", change: { joint: false, steps: [{ type: "addVoter", id: 0n }], leaseMs: undefined } },
    { name: "lease too long", change: { joint: false, steps: [], leaseMs: 60_001 } },
    { name: "fraction of a lease", change: { joint: false, steps: [], leaseMs: 0.5 } },
    {
      name: "lease in a joint change",
      change: { joint: true, steps: [{ type: "addVoter", id: 9n }], leaseMs: 1 },
    },
    { name: "leave without being joint", change: { joint: false, steps: [], leaseMs: undefined } },
    {
      name: "two voters at once",
      change: {
        joint: false,
        steps: [add("addVoter", 8n), add("addVoter", 9n)],
        leaseMs: undefined,
      },
    },
  ] as const;
  it.each(invalid)("refuses an invalid change: $name", ({ change: invalidChange }) => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    const id = cluster.request(leader, { type: "changeMembers", change: invalidChange });
    expect(cluster.answer(leader, id)).toMatchObject({
      type: "refused",
      error: ERR.changeInvalid,
    });
    const follower = cluster.other(leader);
    const there = cluster.request(follower, { type: "changeMembers", change: invalidChange });
    expect(cluster.answer(follower, there)).toMatchObject({ type: "refused", error: ERR.notLeader });
  });
});

describe("identity", () => {
  it("pins every member's data directory", () => {
    const cluster = Cluster.start(IDS);
    cluster.elect();
    cluster.advance(3_000);
    for (const id of IDS) {
      for (const peer of IDS) {
        const pinnedInstance = cluster.node(peer).options.instance;
        expect(cluster.member(id).peerRecord(peer)).toEqual({ known: true, removed: false, pinnedInstance });
      }
    }
    expect(cluster.member(1n).peerRecord(9n)).toEqual({ known: false, removed: false, pinnedInstance: 0n });
    // And then nothing more is said about it.
    const { lastIndex } = cluster.member(1n).status();
    cluster.advance(60_000);
    expect(cluster.member(1n).status().lastIndex).toBe(lastIndex);
  });

  it("publishes again when the first attempt was lost", () => {
    const cluster = Cluster.start(IDS);
    cluster.passes = (message) => message.type !== "propose";
    const leader = cluster.elect();
    const follower = cluster.other(leader);
    cluster.advance(5_000);
    expect(cluster.member(leader).peerRecord(follower).pinnedInstance).toBe(0n);
    cluster.heal();
    cluster.advance(16_000);
    expect(cluster.member(leader).peerRecord(follower).pinnedInstance).toBe(
      cluster.node(follower).options.instance,
    );
  });

  it("takes no publication for another member", () => {
    const cluster = Cluster.start(IDS);
    cluster.passes = (message) => message.type !== "propose";
    const leader = cluster.elect();
    const follower = cluster.other(leader);
    const third = cluster.other(leader, follower);
    const stolen = cluster.sent.find((message) => message.type === "propose" && message.from === follower);
    expect(stolen).toBeDefined();
    cluster.heal();
    if (stolen) cluster.deliver({ ...stolen, from: third });
    expect(cluster.node(leader).refused.at(-1)).toContain(`publication of ${follower} forwarded by ${third}`);
  });

  it("stops a member whose identity is pinned to another data directory", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    cluster.advance(3_000);
    const victim = cluster.other(leader);
    cluster.crash(cluster.node(victim));
    // Here no handshake refuses it, so it hears of its own record with the log.
    // A new leader knows nothing of how far it once was, and sends it everything.
    const wiped = cluster.add(victim, { instance: 4711n });
    cluster.request(leader, { type: "transferLeader", to: cluster.other(leader, victim) });
    cluster.advance(3_000);
    expect(wiped.fatal).toMatch(/is pinned to data directory .* it lost its data or a copy of it runs/);
    expect(wiped.fatal).toContain(`kvctl member remove ${victim}`);
    expect(cluster.member(victim).isEnded).toBe(true);
    const id = cluster.request(victim, getLocal("a"));
    expect(cluster.answer(victim, id)).toMatchObject({ type: "refused", error: ERR.stopped });
    expect(cluster.member(victim).nextWake()).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("hand-over", () => {
  it("hands over when the leader's disk stalls, once per stall", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    cluster.advance(1_000);
    const node = cluster.node(leader);
    node.holdLog = true;
    cluster.request(leader, put("a", "1"));
    cluster.sent.length = 0;
    cluster.advance(499);
    expect(cluster.sent.some((m) => m.type === "timeoutNow")).toBe(false);
    cluster.advance(1);
    expect(cluster.sent.filter((m) => m.type === "timeoutNow").length).toBe(1);
    cluster.until(() => ![0n, leader].includes(cluster.leader()));
    cluster.advance(5_000);
    expect(cluster.sent.filter((m) => m.type === "timeoutNow").length).toBe(1);
    cluster.flush(node);
  });

  it("tries once per stall when it comes to nothing", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    cluster.advance(1_000);
    const node = cluster.node(leader);
    cluster.passes = (message) => message.type !== "timeoutNow";
    for (const attempts of [1, 2]) {
      node.holdLog = true;
      cluster.advance(2_000);
      cluster.request(leader, put("a", "1"));
      cluster.advance(5_000);
      cluster.flush(node);
      expect(cluster.leader()).toBe(leader);
      expect(cluster.sent.filter((m) => m.type === "timeoutNow").length).toBe(attempts);
    }
  });

  it("appends later what was dropped while it handed over", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    const follower = cluster.other(leader);
    cluster.advance(1_000);
    cluster.passes = (message) => message.type !== "timeoutNow";
    cluster.request(leader, { type: "transferLeader", to: follower });
    const own = cluster.request(leader, put("b", "1"));
    expect(cluster.answer(leader, own)).toMatchObject({ type: "refused", error: ERR.noLeader });
    const putId = cluster.request(follower, put("a", "1"));
    expect(cluster.node(leader).refused.at(-1)).toBe("proposal dropped: transferring");
    const proposal = cluster.sent.findLast((message) => message.type === "propose");
    cluster.advance(1_500);
    expect(cluster.leader()).toBe(leader);
    if (proposal) cluster.deliver(proposal);
    cluster.advance(200);
    expect(cluster.answer(follower, putId)).toMatchObject({ type: "done" });
  });

  it("does not hand over for a disk that is merely busy", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    cluster.advance(1_000);
    const node = cluster.node(leader);
    for (let i = 0; i < 5; i++) {
      node.holdLog = true;
      cluster.request(leader, put("a", String(i)));
      cluster.advance(400);
      cluster.flush(node);
    }
    expect(cluster.leader()).toBe(leader);
  });

  it("stops gracefully: leadership first, waiting requests answered, new ones refused", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    cluster.advance(1_000);
    const node = cluster.node(leader);
    node.holdLog = true;
    const waiting = cluster.request(leader, put("a", "1"));
    // Others commit it without this disk; the answer needs it.
    cluster.input(leader, (m, now) => m.stop(now));
    cluster.input(leader, (m, now) => m.stop(now));
    const late = cluster.request(leader, getLocal("a"));
    expect(cluster.answer(leader, late)).toMatchObject({ type: "refused", error: ERR.stopped });
    expect(cluster.member(leader).isEnded).toBe(false);
    cluster.flush(node);
    cluster.advance(200);
    expect(cluster.answer(leader, waiting)).toMatchObject({ type: "done" });
    expect(cluster.member(leader).isEnded).toBe(true);
    const successor = cluster.leader();
    expect([0n, leader]).not.toContain(successor);
    // Inputs that come late are ignored.
    cluster.input(leader, (m, now) => m.tick(now));
    cluster.input(leader, (m, now) => m.persisted(now, 999));
  });

  it("ends after an election timeout whoever still waits", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    cluster.isolate(leader);
    const putId = cluster.request(leader, put("a", "1"));
    const getId = cluster.request(leader, get("a"));
    cluster.input(leader, (m, now) => m.stop(now));
    cluster.advance(1_000);
    expect(cluster.answer(leader, putId)).toMatchObject({ type: "unknown", reason: ERR.stopped.message });
    expect(cluster.answer(leader, getId)?.type).toBe("refused");
    expect(cluster.member(leader).isEnded).toBe(true);
  });

  it("stays until its successor leads, because that one may need its vote", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    cluster.advance(1_000);
    const held = IDS.filter((id) => id !== leader).map((id) => cluster.node(id));
    for (const node of held) node.holdLog = true;
    cluster.input(leader, (m, now) => m.stop(now));
    cluster.advance(300);
    expect(cluster.member(leader).isEnded).toBe(false);
    for (const node of held) cluster.flush(node);
    cluster.until(() => ![0n, leader].includes(cluster.leader()));
    cluster.advance(100);
    expect(cluster.member(leader).isEnded).toBe(true);
  });

  it("stops at once when it is alone and nobody waits", () => {
    const cluster = Cluster.start([1n]);
    cluster.elect();
    cluster.input(1n, (m, now) => m.stop(now));
    expect(cluster.member(1n).isEnded).toBe(true);
  });
});

describe("reads", () => {
  it("needs a round in quorum mode and none under a lease", () => {
    for (const readMode of ["quorum", "lease"] as const) {
      const cluster = Cluster.start(IDS, { leaseMs: 400, readMode });
      const leader = cluster.elect();
      cluster.advance(1_000);
      cluster.request(leader, put("a", "1"));
      cluster.advance(150);
      cluster.isolate(leader);
      const getId = cluster.request(leader, get("a"));
      if (readMode === "lease") {
        expect(valueRead(cluster.answer(leader, getId))).toBe("1");
      } else {
        expect(cluster.answer(leader, getId)).toBeUndefined();
      }
      // Without acknowledged rounds the lease runs out, and then a lease read waits as well.
      cluster.advance(401);
      const later = cluster.request(leader, get("a"));
      expect(cluster.answer(leader, later)?.type).not.toBe("done");
      expect(cluster.member(leader).status().leaseUntil).toBe(Number.NEGATIVE_INFINITY);
    }
  });

  it("waits at a follower until what the leader had committed is applied", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    cluster.advance(1_000);
    const follower = cluster.other(leader);
    const node = cluster.node(follower);
    node.holdLog = true;
    cluster.request(leader, put("a", "1"));
    const getId = cluster.request(follower, get("a"));
    const stale = cluster.request(follower, getLocal("a"));
    cluster.advance(100);
    expect(kvsOf(cluster.answer(follower, stale))).toEqual([]);
    expect(cluster.answer(follower, getId)).toBeUndefined();
    cluster.flush(node);
    cluster.advance(200);
    expect(valueRead(cluster.answer(follower, getId))).toBe("1");
  });
});

describe("names and addresses", () => {
  const moved = (member: bigint, ...peerUrls: string[]) =>
    ({ type: "updateMember", member, peerUrls }) as const;

  it("are the same on all members: URLs from the first entry, names from their owners", () => {
    const cluster = Cluster.start(IDS);
    cluster.elect();
    cluster.advance(2_000);
    const listed = (id: bigint) => ({
      id,
      name: `m${id}`,
      peerUrls: [peerUrlOf(id)],
      clientUrls: [`http://member-${id}:2379`],
      isLearner: false,
    });
    for (const id of IDS) expect(cluster.member(id).members()).toEqual(IDS.map(listed));
  });

  it("follow a member that was started with others, and survive restarts", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    cluster.advance(2_000);
    const node = cluster.node(cluster.other(leader));
    const before = cluster.member(leader).members();
    cluster.crash(node);
    cluster.nodes.set(node.id, {
      ...node,
      options: { ...node.options, name: "new", clientUrls: ["http://n:1"] },
    });
    cluster.open(cluster.node(node.id));
    cluster.advance(3_000);
    const found = cluster
      .member(leader)
      .members()
      .find(({ id }) => id === node.id);
    expect(found).toMatchObject({ name: "new", clientUrls: ["http://n:1"], peerUrls: [peerUrlOf(node.id)] });
    expect(cluster.member(leader).members()).not.toBe(before);
    const other = cluster.node(leader);
    cluster.crash(other);
    cluster.open(other);
    expect(cluster.member(leader).members()).toContainEqual(found);
  });

  it("are not changed by a data directory that is not the member's own", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    cluster.advance(2_000);
    const before = cluster.member(leader).members();
    const data = encodeEnvelope({
      version: 1,
      requestId: { instance: 99n, sequence: 1 },
      user: "",
      authRevision: 0,
      guardRevision: 0,
      body: { type: "publish", member: cluster.other(leader), instance: 5n, name: "thief", clientUrls: [] },
    });
    const from = cluster.other(leader);
    const { term } = cluster.member(leader).status();
    cluster.deliver({ type: "propose", from, to: leader, term, entries: [{ type: "normal", data }] });
    cluster.advance(500);
    expect(cluster.node(leader).refused).toEqual([]);
    expect(cluster.member(leader).members()).toBe(before);
  });

  it("a member's URLs are changed at any member, and not to those of another", () => {
    const cluster = Cluster.start(IDS);
    const follower = cluster.other(cluster.elect());
    expect(cluster.ask(follower, moved(2n, "http://moved:1"))).toMatchObject({ type: "changed" });
    for (const id of IDS)
      cluster.until(() => cluster.member(id).members()[1]?.peerUrls[0] === "http://moved:1");
    expect(cluster.ask(follower, moved(2n, "http://moved:1"))).toMatchObject({ type: "changed" });
    const rows = [
      { request: moved(1n, "http://moved:1"), error: ERR.peerUrlExists },
      { request: moved(9n, "http://b:1"), error: ERR.memberNotFound },
      { request: moved(1n), error: ERR.memberUrlsInvalid },
      { request: moved(1n, "x".repeat(1_025)), error: ERR.memberUrlsInvalid },
    ];
    for (const { request, error } of rows) {
      expect(cluster.ask(follower, request)).toMatchObject({ type: "refused", error });
    }
    expect(cluster.member(follower).members()[0]?.peerUrls).toEqual([peerUrlOf(1n)]);
  });
});
