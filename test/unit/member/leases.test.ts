// Goal: leases end when their time is over on the leader's clock, never earlier, and with them their keys, on all
// members alike; who leads no more decides nothing. Method: the in-memory harness, whose time moves only when a test
// moves it.
import { describe, expect, it } from "vitest";
import { ERR, textOf } from "../../../src/base/index.ts";
import type { Answer } from "../../../src/member/index.ts";
import { range } from "../../support/kv-world.ts";
import { Cluster } from "../../support/member-harness.ts";
import { getLocal, grant, kvsOf, put, responseOf, revisionOf, write } from "../../support/member-requests.ts";

const IDS = [1n, 2n, 3n];
const LEASE = 7n;
const keepAlive = { type: "leaseKeepAlive", lease: LEASE } as const;
const timeToLive = { type: "leaseTimeToLive", lease: LEASE, keys: true } as const;

/** A cluster whose leader has granted a lease of so many seconds, with the keys a and b on it. */
function leased(ttl: number, options: Parameters<typeof Cluster.start>[1] = {}) {
  const cluster = Cluster.start(IDS, options);
  const leader = cluster.elect();
  cluster.advance(1_000);
  const granted = cluster.ask(leader, grant(ttl, LEASE));
  for (const key of ["b", "a"]) cluster.ask(leader, put(key, "1", { lease: LEASE }));
  return { cluster, leader, granted };
}

function ttlOf(answer: Answer): number {
  if (answer.type !== "leaseTtl") throw new Error(`not a TTL: ${answer.type}`);
  return answer.ttl;
}

function moveLeader(cluster: Cluster): bigint {
  const to = cluster.other(cluster.leader());
  cluster.ask(cluster.leader(), { type: "transferLeader", to });
  cluster.until(() => cluster.leader() === to);
  return cluster.elect();
}

/** Whether the lease is there, as the members see it that are up. */
function holders(cluster: Cluster): boolean[] {
  return [...cluster.nodes.keys()].map((id) => cluster.member(id).kv.leases.has(LEASE));
}

describe("granting", () => {
  it("raises a TTL below the minimum, keeps any other, and takes an ID once", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    const rows = [
      { ttl: -5, id: 3n, granted: 2 },
      { ttl: 1, id: 4n, granted: 2 },
      { ttl: 3, id: -1n, granted: 3 },
      { ttl: 9_000_000_000, id: 5n, granted: 9_000_000_000 },
    ];
    for (const { ttl, id, granted } of rows) {
      const answer = cluster.ask(leader, grant(ttl, id));
      expect(responseOf(answer)).toEqual({ type: "leaseGrant", id, ttl: granted });
    }
    expect(cluster.ask(cluster.other(leader), grant(60, 5n))).toMatchObject({ error: ERR.leaseExists });
    expect(cluster.ask(leader, { type: "leaseLeases" })).toMatchObject({ leases: [-1n, 3n, 4n, 5n] });
  });

  it("draws an ID when none is named, another one each time", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    const drawn = new Set<bigint>();
    for (let i = 0; i < 20; i++) {
      const response = responseOf(cluster.ask(i % 2 ? leader : cluster.other(leader), grant(60)));
      if (response.type !== "leaseGrant") throw new Error(response.type);
      expect(response.id > 0n && response.id < 2n ** 63n, String(response.id)).toBe(true);
      drawn.add(response.id);
    }
    expect(drawn.size).toBe(20);
    expect(cluster.ask(cluster.other(leader), { type: "leaseLeases" })).toMatchObject({
      type: "leases",
      leases: [...drawn].sort((a, b) => (a < b ? -1 : 1)),
    });
  });
});

describe("expiry", () => {
  it("takes the keys along in one revision, on all members, and not a moment early", () => {
    const { cluster, leader, granted } = leased(3);
    expect(granted).toMatchObject({ type: "done", response: { ttl: 3 } });
    const kept = revisionOf(cluster.ask(leader, put("c", "1")));
    const begin = cluster.now;
    cluster.advance(2_900);
    expect(holders(cluster)).toEqual([true, true, true]);
    cluster.until(() => holders(cluster).every((has) => !has), 500);
    expect(cluster.now - begin).toBeGreaterThanOrEqual(2_900);
    for (const id of IDS) {
      const all = cluster.ask(id, { type: "read", read: range("a", "z", { serializable: true }) });
      expect(kvsOf(all).map(({ key }) => textOf(key))).toEqual(["c"]);
      expect(revisionOf(all)).toBe(kept + 1);
    }
  });

  it("wakes the member by itself, at the very moment", () => {
    const cluster = Cluster.start([1n]);
    cluster.elect();
    cluster.advance(3_037);
    cluster.ask(1n, grant(3, LEASE), 0);
    cluster.advance(2_999);
    expect(holders(cluster)).toEqual([true]);
    cluster.advance(1);
    expect(holders(cluster)).toEqual([false]);
  });

  it("revokes however many end at once", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    for (let id = 100n; id < 160n; id++) cluster.ask(leader, grant(2, id));
    const before = cluster.member(leader).status().lastIndex;
    cluster.advance(2_500);
    expect(cluster.member(leader).kv.leases.size).toBe(0);
    // Each once.
    expect(cluster.member(leader).status().lastIndex).toBeLessThanOrEqual(before + 60 + 2);
  });

  it("proposes a revoke again that came to nothing", () => {
    const { cluster, leader } = leased(2);
    cluster.passes = (message) => message.type !== "timeoutNow";
    cluster.advance(1_900);
    // While it hands over, a leader drops its proposals.
    cluster.ask(leader, { type: "transferLeader", to: cluster.other(leader) });
    cluster.advance(500);
    expect(holders(cluster)).toEqual([true, true, true]);
    cluster.advance(3_000);
    expect(cluster.leader()).toBe(leader);
    expect(holders(cluster)).toEqual([false, false, false]);
  });

  it("need not be waited for: a revoke takes the keys along, too", () => {
    const { cluster, leader } = leased(30);
    const revoke = write({ type: "leaseRevoke", id: LEASE });
    expect(cluster.ask(cluster.other(leader), revoke)).toMatchObject({ type: "done" });
    expect(cluster.ask(leader, getLocal("a"))).toMatchObject({ response: { count: 0 } });
    expect(cluster.ask(leader, revoke)).toMatchObject({ type: "refused", error: ERR.leaseNotFound });
  });
});

describe("keepalive", () => {
  it("gives the full time again, at the leader only", () => {
    const { cluster, leader } = leased(3);
    for (let i = 0; i < 5; i++) {
      cluster.advance(2_000);
      expect(cluster.ask(leader, keepAlive)).toMatchObject({ type: "leaseKept", ttl: 3 });
    }
    expect(cluster.ask(cluster.other(leader), keepAlive)).toMatchObject({ error: ERR.notLeader });
    const unknown = { type: "leaseKeepAlive", lease: 99n } as const;
    expect(cluster.ask(leader, unknown)).toMatchObject({ type: "leaseKept", ttl: 0 });
    cluster.advance(3_200);
    expect(cluster.ask(leader, keepAlive)).toMatchObject({ type: "leaseKept", ttl: 0 });
  });

  it("waits until a quorum says that it still leads", () => {
    const { cluster, leader } = leased(30);
    cluster.isolate(leader);
    const requests = [keepAlive, timeToLive].map((request) => cluster.request(leader, request));
    for (const id of requests) expect(cluster.answer(leader, id)).toBeUndefined();
    cluster.advance(8_000);
    for (const id of requests) expect(cluster.answer(leader, id)?.type).toBe("refused");
  });

  it("is refused when leadership is lost while it waits for what is committed to be applied", () => {
    const { cluster, leader } = leased(30);
    const node = cluster.node(leader);
    // It knows of a commit that its own disk does not hold yet, so the read waits for it.
    node.holdLog = true;
    cluster.request(leader, put("c", "1"));
    const waiting = cluster.request(leader, keepAlive);
    cluster.advance(50);
    expect(cluster.answer(leader, waiting)).toBeUndefined();
    cluster.until(() => ![0n, leader].includes(cluster.leader()));
    cluster.flush(node);
    cluster.advance(500);
    expect(cluster.answer(leader, waiting)).toMatchObject({ type: "refused", error: ERR.notLeader });
  });
});

describe("keepalive of a lease whose time is over", () => {
  /** The revoke is in the leader's log and cannot be committed yet; two keepalives came after that. */
  function dying(options: Parameters<typeof Cluster.start>[1] = {}) {
    const { cluster, leader } = leased(3, options);
    cluster.passes = (message) => message.type !== "append";
    cluster.advance(3_100);
    const ids = [1, 2].map(() => cluster.request(leader, keepAlive));
    for (const id of ids) expect(cluster.answer(leader, id)).toBeUndefined();
    expect(holders(cluster)).toEqual([true, true, true]);
    return { cluster, leader, ids };
  }

  it("waits for the revoke, and hears then that it is gone", () => {
    const { cluster, leader, ids } = dying();
    cluster.heal();
    cluster.advance(300);
    for (const id of ids) expect(cluster.answer(leader, id)).toMatchObject({ type: "leaseKept", ttl: 0 });
    expect(holders(cluster)).toEqual([false, false, false]);
  });

  it("is refused when the revoke takes too long, and counts as waiting until then", () => {
    const { cluster, leader, ids } = dying({ requestTimeoutMs: 900, maxPendingRequests: 2 });
    const third = cluster.request(leader, keepAlive);
    expect(cluster.answer(leader, third)).toMatchObject({ error: ERR.tooManyRequests });
    cluster.advance(899);
    expect(cluster.answer(leader, ids[0] ?? 0)).toBeUndefined();
    cluster.advance(1);
    for (const id of ids) expect(cluster.answer(leader, id)).toMatchObject({ error: ERR.timeout });
  });

  it("is refused by who leads no more, or stops", () => {
    const lost = dying();
    lost.cluster.isolate(lost.leader);
    lost.cluster.until(() => lost.cluster.member(lost.leader).status().role !== "leader");
    for (const id of lost.ids) {
      expect(lost.cluster.answer(lost.leader, id)).toMatchObject({ error: ERR.notLeader });
    }
    const ending = dying();
    ending.cluster.isolate(ending.leader);
    ending.cluster.input(ending.leader, (member, now) => member.stop(now));
    ending.cluster.advance(1_000);
    expect(ending.cluster.member(ending.leader).isEnded).toBe(true);
    for (const id of ending.ids) expect(ending.cluster.answer(ending.leader, id)?.type).toBe("refused");
  });
});

describe("time to live", () => {
  it("is told by the leader, with the keys in order if they are asked for", () => {
    const { cluster, leader } = leased(10);
    cluster.advance(3_500);
    const keys = [new Uint8Array([97]), new Uint8Array([98])];
    expect(cluster.ask(leader, timeToLive)).toMatchObject({ type: "leaseTtl", ttl: 6, grantedTtl: 10, keys });
    expect(cluster.ask(leader, { ...timeToLive, keys: false })).toMatchObject({ ttl: 6, keys: [] });
    const gone = cluster.ask(leader, { ...timeToLive, lease: 99n });
    expect(gone).toMatchObject({ type: "leaseTtl", ttl: -1, grantedTtl: 0, keys: [] });
    const elsewhere = cluster.ask(cluster.other(leader), timeToLive);
    expect(elsewhere).toMatchObject({ type: "refused", error: ERR.notLeader });
  });

  it("is asked of nobody who is a learner", () => {
    const { cluster, leader } = leased(10);
    cluster.add(4n);
    const change = {
      joint: false,
      steps: [{ type: "addLearner", id: 4n, peerUrls: ["http://member-4:2380"] }],
      leaseMs: undefined,
    } as const;
    cluster.ask(leader, { type: "changeMembers", change });
    cluster.advance(500);
    const rows = [
      { request: { type: "leaseLeases" }, error: ERR.notSupportedForLearner },
      { request: grant(5), error: ERR.notSupportedForLearner },
      { request: keepAlive, error: ERR.notLeader },
    ] as const;
    for (const { request, error } of rows) expect(cluster.ask(4n, request)).toMatchObject({ error });
  });
});

describe("another leader", () => {
  it("keeps the time from then on, alone, and gives every lease its full TTL and an election timeout", () => {
    const { cluster, leader } = leased(3);
    cluster.advance(2_000);
    const next = moveLeader(cluster);
    expect(next).not.toBe(leader);
    const primary = IDS.filter((id) => cluster.member(id).kv.leases.isPrimary);
    expect(primary).toEqual([next]);
    const left = cluster.ask(next, timeToLive);
    expect(ttlOf(left)).toBe(4);
    cluster.advance(3_500);
    expect(holders(cluster)).toEqual([true, true, true]);
    cluster.advance(1_000);
    expect(holders(cluster)).toEqual([false, false, false]);
  });

  it("lets an old one decide nothing that it cannot commit", () => {
    const { cluster, leader } = leased(3);
    cluster.isolate(leader);
    cluster.until(() => ![0n, leader].includes(cluster.leader()));
    const next = cluster.leader();
    for (let i = 0; i < 5; i++) {
      expect(cluster.ask(next, keepAlive)).toMatchObject({ type: "leaseKept", ttl: 3 });
      cluster.advance(1_500);
    }
    // For the old one the lease is over; its own copy is not touched by that.
    expect(holders(cluster)).toEqual([true, true, true]);
    expect(cluster.member(leader).kv.leases.isPrimary).toBe(false);
    cluster.heal();
    cluster.advance(1_000);
    expect(cluster.ask(cluster.elect(), getLocal("a"))).toMatchObject({ response: { count: 1 } });
  });

  it("goes on from the last checkpoint, unless the lease was renewed since", () => {
    const { cluster, leader } = leased(60, { leaseCheckpointMs: 1_000 });
    cluster.advance(20_000);
    const second = moveLeader(cluster);
    expect(second).not.toBe(leader);
    // 20 s are over, 1 s is added, and the last checkpoint is at most a second old.
    const left = ttlOf(cluster.ask(second, timeToLive));
    expect(left).toBeGreaterThanOrEqual(40);
    expect(left).toBeLessThanOrEqual(42);
    cluster.ask(second, keepAlive);
    cluster.advance(500);
    moveLeader(cluster);
    expect(ttlOf(cluster.ask(cluster.leader(), timeToLive))).toBeGreaterThanOrEqual(59);
  });

  it.each([false, true])("finds leases and their keys after a restart (records on disk: %s)", (readsDisk) => {
    const { cluster } = leased(10, { readsDisk });
    for (const node of cluster.nodes.values()) cluster.crash(node);
    for (const node of cluster.nodes.values()) cluster.open(node);
    const leader = cluster.elect();
    cluster.advance(1_000);
    expect(cluster.ask(leader, timeToLive)).toMatchObject({ grantedTtl: 10, keys: [{}, {}] });
    cluster.advance(11_500);
    expect(cluster.ask(leader, getLocal("a"))).toMatchObject({ response: { count: 0 } });
  });
});
