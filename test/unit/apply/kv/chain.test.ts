// Goal: leases and alarms decide as etcd's do (etcd.md §1.4, §1.5), at the same entry on every member, and requests
// count against the quota as there. Method: tables of short histories; a refusal must leave everything alone.
import { describe, expect, it } from "vitest";
import { costOf } from "../../../../src/apply/index.ts";
import { ERR, type KvError } from "../../../../src/base/index.ts";
import type { AlarmRequest, KvRequest } from "../../../../src/pb/kv.ts";
import { compaction, del, grant, KvWorld, put, range, txn } from "../../../support/kv-world.ts";

const revoke = (id: bigint): KvRequest => ({ type: "leaseRevoke", id });
const alarm = (action: AlarmRequest["action"], kind: AlarmRequest["alarm"], member = 1n): AlarmRequest => ({
  type: "alarm",
  action,
  member,
  alarm: kind,
});

describe("leases", () => {
  it("Grant: answers the TTL that it granted, at the current revision", () => {
    expect(new KvWorld(put("a")).apply(grant(7n, 30))).toEqual({
      type: "done",
      revision: 2,
      response: { type: "leaseGrant", id: 7n, ttl: 30 },
    });
  });

  const refusals: readonly { name: string; before?: KvRequest[]; request: KvRequest; error: KvError }[] = [
    {
      name: "Grant: TTL above 9,000,000,000",
      request: grant(1n, 9_000_000_001),
      error: ERR.leaseTtlTooLarge,
    },
    { name: "Grant: duplicate ID", before: [grant(1n)], request: grant(1n), error: ERR.leaseExists },
    {
      name: "Grant: the TTL is looked at before the ID",
      before: [grant(1n)],
      request: grant(1n, 9_000_000_001),
      error: ERR.leaseTtlTooLarge,
    },
    { name: "Revoke: missing", request: revoke(1n), error: ERR.leaseNotFound },
    { name: "Revoke: once", before: [grant(1n), revoke(1n)], request: revoke(1n), error: ERR.leaseNotFound },
  ];
  it.each(refusals)("$name", ({ before = [], request, error }) => {
    const world = new KvWorld(...before);
    const fingerprint = world.fingerprint();
    expect(world.apply(request)).toEqual({ type: "refused", error });
    expect(world.fingerprint()).toEqual(fingerprint);
  });

  it("Grant: the largest TTL is granted", () => {
    expect(new KvWorld().apply(grant(-1n, 9_000_000_000)).type).toBe("done");
  });

  it("Revoke: all keys in order, in one revision", () => {
    const on = { lease: 1n };
    const world = new KvWorld(grant(1n), put("c", "", on), put("a", "", on), put("b"), put("\xff", "", on));
    expect(world.apply(revoke(1n))).toEqual({ type: "done", revision: 6, response: { type: "leaseRevoke" } });
    expect(world.heard.slice(4)).toEqual(["6 delete a", "6 delete c", "6 delete \xc3\xbf"]);
    expect(world.keys()).toEqual(["b="]);
    expect(world.state.leases.ids()).toEqual([]);
  });

  it("Revoke: without keys the revision stays", () => {
    const world = new KvWorld(grant(1n), put("a", "", { lease: 1n }), del("a"));
    expect(world.apply(revoke(1n))).toMatchObject({ type: "done", revision: 3 });
    expect(world.heard).toEqual(["2 put a", "3 delete a"]);
  });

  it("Checkpoint: changes no revision, and passes over unknown leases", () => {
    const world = new KvWorld(grant(1n, 60));
    const leases = [
      { id: 1n, remainingTtl: 20 },
      { id: 2n, remainingTtl: 20 },
    ];
    expect(world.apply({ type: "leaseCheckpoint", leases })).toEqual({
      type: "done",
      revision: 1,
      response: { type: "leaseCheckpoint" },
    });
    world.state.leases.promote(0, 0);
    expect(world.state.leases.remaining(0, 1n)).toBe(20);
  });

  it("a revoke can be followed by a grant of the same ID, whose keys are its own", () => {
    const world = new KvWorld(grant(1n), put("a", "", { lease: 1n }), revoke(1n), grant(1n), put("b"));
    expect(world.apply(put("a", "2", { lease: 1n })).type).toBe("done");
    expect(world.state.leases.keysOf(1n).length).toBe(1);
  });
});

describe("alarms", () => {
  const all: readonly KvRequest[] = [
    put("a"),
    del("a"),
    txn([], [put("a")]),
    txn([], [], [put("a")]),
    txn([], [txn([], [], [put("a")])]),
    txn([], [del("a")]),
    txn([], [range("a")]),
    compaction(1),
    grant(3n),
    revoke(2n),
    { type: "leaseCheckpoint", leases: [] },
    alarm("deactivate", "nospace", 9n),
  ];
  it("come before what else is wrong with a lease (etcd: the chain of appliers)", () => {
    const tooLong = grant(1n, 9_000_000_001);
    const world = new KvWorld(grant(1n), alarm("activate", "nospace"));
    expect(world.apply(tooLong)).toEqual({ type: "refused", error: ERR.noSpace });
    world.mustDo(alarm("activate", "corrupt"));
    expect(world.apply(tooLong)).toEqual({ type: "refused", error: ERR.corrupt });
  });

  const rows: readonly { kind: AlarmRequest["alarm"]; error: KvError; refused: readonly number[] }[] = [
    { kind: "nospace", error: ERR.noSpace, refused: [0, 2, 3, 4, 8] },
    { kind: "corrupt", error: ERR.corrupt, refused: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] },
  ];
  it.each(rows)("$kind refuses what it must and nothing else", ({ kind, error, refused }) => {
    all.forEach((request, i) => {
      const world = new KvWorld(put("x"), grant(2n), alarm("activate", kind));
      const outcome = world.apply(request);
      const name = `${i} ${request.type}`;
      if (refused.includes(i)) expect(outcome, name).toEqual({ type: "refused", error });
      else expect(outcome.type, name).toBe("done");
      world.mustDo(alarm("deactivate", kind));
      expect(world.apply(put("y")).type, name).toBe("done");
    });
  });

  it("neither refuses reads: they do not pass the chain (etcd: v3_server.go)", () => {
    const world = new KvWorld(put("x"), alarm("activate", "nospace"), alarm("activate", "corrupt"));
    expect(world.state.range(range("x")).type).toBe("done");
    expect(world.state.readTxn(txn([], [range("x")])).type).toBe("done");
    const error = ERR.futureRevision;
    expect(world.state.range(range("x", "", { revision: 99 }))).toEqual({ type: "refused", error });
    expect(world.apply(put("y"))).toEqual({ type: "refused", error: ERR.corrupt });
  });

  it("are per member and kind, and answered as they are switched", () => {
    const world = new KvWorld();
    const answer = (...alarms: object[]) => ({
      type: "done",
      revision: 1,
      response: { type: "alarm", alarms },
    });
    const one = { member: 1n, alarm: "nospace" };
    expect(world.apply(alarm("deactivate", "nospace"))).toEqual(answer());
    expect(world.apply(alarm("activate", "nospace"))).toEqual(answer(one));
    expect(world.apply(alarm("activate", "nospace"))).toEqual(answer(one));
    world.mustDo(alarm("activate", "nospace", 2n));
    world.mustDo(alarm("activate", "corrupt", 2n));
    expect(world.apply(alarm("deactivate", "nospace"))).toEqual(answer(one));
    expect(world.state.alarms.list()).toEqual([
      { member: 2n, alarm: "corrupt" },
      { member: 2n, alarm: "nospace" },
    ]);
    expect(world.state.alarms.isFull).toBe(true);
    world.save();
    expect(world.restart()).toBeUndefined();
    expect(world.state.alarms.list().length).toBe(2);
  });
});

describe("quota", () => {
  const costs: readonly { name: string; request: KvRequest; cost: number }[] = [
    { name: "put: 256 and key and value", request: put("ab", "123"), cost: 261 },
    { name: "lease: 64", request: grant(1n), cost: 64 },
    { name: "delete", request: del("a"), cost: 0 },
    { name: "compaction", request: compaction(1), cost: 0 },
    { name: "revoke", request: revoke(1n), cost: 0 },
    {
      name: "txn: the puts of the costlier branch",
      request: txn([], [put("a")], [put("a"), put("b")]),
      cost: 514,
    },
    {
      name: "txn: nested ones too",
      request: txn([], [put("a"), txn([], [put("b")], [put("c", "1")])]),
      cost: 515,
    },
    { name: "txn without a put", request: txn([], [del("a"), range("b")]), cost: 0 },
  ];
  it.each(costs)("cost of $name", ({ request, cost }) => {
    expect(costOf(request)).toBe(cost);
  });

  it("counts leases, also after a restart", () => {
    const world = new KvWorld(grant(1n), grant(2n), put("a"));
    const used = world.state.usedBytes;
    expect(used).toBe(world.state.store.logicalBytes + 128);
    world.save();
    world.restart();
    expect(world.state.usedBytes).toBe(used);
  });
});
