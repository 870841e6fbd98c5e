// Goal: what is kept stays within its bounds: compacted revisions are deleted in parts, the quota refuses what would
// grow, and who lags behind takes no writes. Method: the in-memory harness with small parts, small quotas, held disks.
import { describe, expect, it } from "vitest";
import { costOf } from "../../../src/apply/index.ts";
import { ERR, type KvError } from "../../../src/base/index.ts";
import { bootstrapLog, type Request, type WriteRequest } from "../../../src/member/index.ts";
import { MAX_APPLY_LAG } from "../../../src/member/requests-in.ts";
import { compare, put as putOp, range, txn } from "../../support/kv-world.ts";
import { Cluster, type Node } from "../../support/member-harness.ts";
import {
  compact,
  get,
  getLocal,
  grant,
  kvsOf,
  put,
  remove,
  valueRead,
  write,
} from "../../support/member-requests.ts";

const IDS = [1n, 2n, 3n];

/** Records of values that are durable. */
function valuesOnDisk(node: Node): number {
  return [...node.disk.state.records.keys()].filter((name) => name[0] === "v").length;
}

function letLead(cluster: Cluster, id: bigint): bigint {
  const leader = cluster.elect();
  if (leader !== id) cluster.ask(leader, { type: "transferLeader", to: id });
  cluster.until(() => cluster.leader() === id);
  return cluster.elect();
}

describe("deleting what was compacted", () => {
  /** One member that has 300 revisions of one key. */
  function compacted(readsDisk: boolean): { cluster: Cluster; node: Node; revision: number } {
    const options = { readsDisk, compactionBatch: 20, compactionPauseMs: 50, backendIntervalMs: 10 };
    const cluster = Cluster.start([1n], options);
    cluster.elect();
    for (let i = 0; i < 300; i++) cluster.ask(1n, put("k", String(i)), 0);
    cluster.ask(1n, put("other", "1"));
    cluster.advance(3_000);
    return { cluster, node: cluster.node(1n), revision: cluster.member(1n).kv.store.revision };
  }

  it.each([false, true])(
    "goes on by itself, part by part, when nothing is applied (disk: %s)",
    (readsDisk) => {
      const { cluster, node, revision } = compacted(readsDisk);
      expect(valuesOnDisk(node)).toBe(301);
      cluster.ask(1n, compact(revision));
      const { applied } = cluster.member(1n).status();
      cluster.advance(20);
      const seen: number[] = [];
      // 15 parts, a pause of 50 ms after each, and the batches; waking only with the heartbeats would take longer.
      for (let ms = 0; ms < 1_000; ms += 25) {
        cluster.advance(25);
        const values = valuesOnDisk(node);
        if (values !== seen.at(-1)) seen.push(values);
        expect(node.disk.state.index).toBe(applied);
      }
      expect(seen.at(-1)).toBe(2);
      expect(seen.length).toBeGreaterThan(10);
      for (let i = 1; i < seen.length; i++)
        expect((seen[i - 1] ?? 0) - (seen[i] ?? 0)).toBeLessThanOrEqual(21);
      expect(cluster.member(1n).status().applied).toBe(applied);
      // Then there is peace: no batch and no wake-up is left over.
      expect(cluster.member(1n).nextWake()).toBeGreaterThan(cluster.now + 10);
      expect(kvsOf(cluster.ask(1n, get("k")))).toMatchObject([{ version: 300 }]);
    },
  );

  it.each([false, true])("begins anew after a crash in the middle (disk: %s)", (readsDisk) => {
    const { cluster, node, revision } = compacted(readsDisk);
    cluster.ask(1n, compact(revision));
    cluster.advance(300);
    const left = valuesOnDisk(node);
    expect([left > 2, left < 301]).toEqual([true, true]);
    node.holdBackend = true;
    cluster.advance(300);
    cluster.crash(node);
    node.holdBackend = false;
    expect(valuesOnDisk(node)).toBe(left);
    cluster.open(node);
    cluster.elect();
    cluster.advance(3_000);
    expect(valuesOnDisk(node)).toBe(2);
    expect(valueRead(cluster.ask(1n, get("k")))).toBe("299");
    expect(cluster.member(1n).kv.store.isCompacted(revision)).toBe(true);
  });

  it("waits without waking while the backend is far behind", () => {
    const { cluster, node, revision } = compacted(true);
    node.holdBackend = true;
    cluster.ask(1n, compact(revision));
    const value = "x".repeat(1024 * 1024);
    for (let i = 0; i < 66; i++) cluster.request(1n, put("large", value));
    const { store } = cluster.member(1n).kv;
    expect(cluster.ask(1n, put("k", "1"))).toMatchObject({ error: ERR.tooManyRequests });
    expect(store.compactionPending).toBe(true);
    cluster.advance(3_000);
    expect(store.isCompacted(revision)).toBe(false);
    expect(cluster.member(1n).nextWake()).toBeGreaterThan(cluster.now);
    cluster.flushBackend(node);
    cluster.advance(3_000);
    expect(store.isCompacted(revision)).toBe(true);
  });
});

describe("the quota", () => {
  const deactivate = (member: bigint) =>
    write({ type: "alarm", action: "deactivate", member, alarm: "nospace" });
  const value = "x".repeat(500);

  it("refuses what would grow, at every member and over restarts, until room is made and the alarm is off", () => {
    const cluster = Cluster.start(IDS, { quotaBytes: 10_000 });
    const leader = cluster.elect();
    const follower = cluster.other(leader);
    let puts = 0;
    while (puts < 100 && cluster.ask(follower, put("k", value)).type === "done") puts++;
    expect([puts > 10, puts < 25]).toEqual([true, true]);
    cluster.advance(500);
    expect(IDS.map((id) => cluster.member(id).kv.alarms.isFull)).toEqual([true, true, true]);
    for (const node of cluster.nodes.values()) cluster.crash(node);
    for (const node of cluster.nodes.values()) cluster.open(node);
    const at = cluster.elect();
    const { revision } = cluster.member(at).kv.store;
    expect(cluster.member(at).kv.alarms.list()).toEqual([{ member: leader, alarm: "nospace" }]);
    const growing: readonly Request[] = [
      put("a", ""),
      grant(60),
      write(txn([compare("none", { type: "version", value: 1 })], [putOp("a", "")], [range("k")])),
    ];
    for (const request of growing) {
      for (const id of IDS) expect(cluster.ask(id, request)).toMatchObject({ error: ERR.noSpace });
    }
    expect(cluster.member(at).kv.store.revision).toBe(revision);
    expect(valueRead(cluster.ask(at, get("k")))).toBe(value);
    expect(cluster.ask(at, remove("k")).type).toBe("done");
    expect(cluster.ask(at, compact(revision + 1)).type).toBe("done");
    // Room alone is not enough: an operator says that it is well.
    expect(cluster.ask(at, put("a", "1"))).toMatchObject({ error: ERR.noSpace });
    expect(cluster.ask(at, deactivate(leader))).toMatchObject({
      response: { alarms: [{ alarm: "nospace" }] },
    });
    expect(cluster.ask(at, put("a", "1")).type).toBe("done");
    cluster.advance(500);
    const hashes = IDS.map((id) => cluster.member(id).stateHash());
    expect(new Set(hashes).size).toBe(1);
  });

  it("is that of the leader: members with other quotas stay equal, whoever leads", () => {
    const cluster = new Cluster();
    const { log } = bootstrapLog({ voters: IDS.map((id) => ({ id, peerUrls: [] })), leaseMs: 0 });
    for (const id of IDS) cluster.add(id, { quotaBytes: 5_000 * Number(id) }, log);
    const small = letLead(cluster, 1n);
    let puts = 0;
    while (puts < 100 && cluster.ask(small, put("k", value)).type === "done") puts++;
    expect([puts > 4, puts < 10]).toEqual([true, true]);
    expect(cluster.ask(small, deactivate(small))).toMatchObject({ response: { alarms: [{}] } });
    const large = letLead(cluster, 3n);
    // Forwarded by the member whose own quota is used up.
    for (let more = 0; more < 5; more++) expect(cluster.ask(small, put("k", value)).type).toBe("done");
    cluster.advance(500);
    expect(cluster.member(large).kv.alarms.list()).toEqual([]);
    expect(new Set(IDS.map((id) => cluster.member(id).stateHash())).size).toBe(1);
    expect(new Set(IDS.map((id) => cluster.member(id).kv.usedBytes)).size).toBe(1);
  });

  /** A put takes less than it costs beforehand; leases take what they cost, and so come close to any quota. */
  function fill(cluster: Cluster): void {
    cluster.elect();
    for (const request of [put("x", "1"), grant(60), grant(60), grant(60), grant(60), grant(60)]) {
      expect(cluster.ask(1n, request).type).toBe("done");
    }
  }

  const crossing: readonly { name: string; request: WriteRequest }[] = [
    { name: "put", request: putOp("a", "1") },
    { name: "txn", request: txn([], [putOp("a", "1")]) },
    { name: "grant", request: { type: "leaseGrant", id: 2n, ttl: 60 } },
  ];
  it.each(crossing)("refuses a $name that would reach it, changing nothing, and raises NOSPACE", (row) => {
    const { request } = row;
    // Up to the quota, not at it (etcd: backendQuota.Available); what the first put leaves is known from a twin.
    const twin = Cluster.start([1n]);
    fill(twin);
    const quotaBytes = twin.member(1n).kv.usedBytes + costOf(request);
    for (const [spare, type] of [
      [1, "done"],
      [0, "refused"],
    ] as const) {
      const cluster = Cluster.start([1n], { quotaBytes: quotaBytes + spare });
      fill(cluster);
      const { revision } = cluster.member(1n).kv.store;
      const node = cluster.node(1n);
      node.holdLog = true;
      const id = cluster.request(1n, write(request));
      // Whoever is refused finds the alarm on, so nobody is before it is durable.
      expect(cluster.answer(1n, id)).toBeUndefined();
      cluster.flush(node);
      cluster.advance(100);
      expect(cluster.answer(1n, id)?.type).toBe(type);
      if (type === "done") continue;
      expect(cluster.answer(1n, id)).toMatchObject({ error: ERR.noSpace });
      expect(cluster.member(1n).kv.store.revision).toBe(revision);
      expect(cluster.member(1n).kv.alarms.list()).toEqual([{ member: 1n, alarm: "nospace" }]);
      // The alarm alone forbids it, too, with room or without.
      expect(cluster.ask(1n, remove("x")).type).toBe("done");
      expect(cluster.ask(1n, compact(revision + 1)).type).toBe("done");
      expect(cluster.ask(1n, write(request))).toMatchObject({ error: ERR.noSpace });
      expect(cluster.ask(1n, deactivate(1n)).type).toBe("done");
      expect(cluster.ask(1n, write(request)).type).toBe("done");
    }
  });

  it("stops everything that writes when the state is said to be corrupt, and no read", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    cluster.ask(leader, put("k", "1"));
    const alarm = { type: "alarm", member: leader, alarm: "corrupt" } as const;
    cluster.ask(leader, write({ ...alarm, action: "activate" }));
    cluster.advance(200);
    const rows: readonly (readonly [Request, KvError])[] = [
      [put("k", "2"), ERR.corrupt],
      [grant(60), ERR.corrupt],
    ];
    for (const [request, error] of rows) {
      expect(cluster.ask(cluster.other(leader), request)).toMatchObject({ type: "refused", error });
    }
    for (const request of [getLocal("k"), get("k"), write(txn([], [range("k")]))]) {
      expect(cluster.ask(cluster.other(leader), request).type).toBe("done");
    }
    cluster.ask(leader, write({ ...alarm, action: "deactivate" }));
    expect(valueRead(cluster.ask(leader, get("k")))).toBe("1");
  });
});

describe("a member that lags behind", () => {
  it("takes no write while more is committed and not applied than the bound, and reads go on", () => {
    const cluster = Cluster.start([1n]);
    cluster.elect();
    const node = cluster.node(1n);
    cluster.advance(200);
    node.holdLog = true;
    for (let i = 0; i < MAX_APPLY_LAG + 2_100; i++) cluster.request(1n, put("a", String(i)));
    cluster.flush(node);
    const lag = () => cluster.member(1n).status().commit - cluster.member(1n).status().applied;
    expect(lag()).toBeGreaterThan(MAX_APPLY_LAG);
    const refused = cluster.request(1n, put("a", "late"));
    const read = cluster.request(1n, getLocal("a"));
    expect(cluster.answer(1n, refused)).toMatchObject({ type: "refused", error: ERR.tooManyRequests });
    expect(cluster.answer(1n, read)?.type).toBe("done");
    while (lag() > MAX_APPLY_LAG) cluster.input(1n, (member, now) => member.tick(now));
    expect(cluster.ask(1n, put("a", "late")).type).toBe("done");
    expect(valueRead(cluster.ask(1n, get("a")))).toBe("late");
  });
});
