// Goal: leases behave as etcd's, row by row, and nothing of the clock reaches the table. Method: named rows
// over a Lessor with records in a map and a hand-held clock; the bounds with ten thousand leases.
import { describe, expect, it } from "vitest";
import { bytesOf, ERR, textOf } from "../../../src/base/index.ts";
import { Lessor, MAX_LEASE_TTL } from "../../../src/lease/index.ts";
import type { Change } from "../../../src/mvcc/types.ts";
import { MapRecords } from "../../support/map-records.ts";

function make(options = {}): { lessor: Lessor; records: MapRecords } {
  const records = new MapRecords();
  return { lessor: new Lessor(records, options), records };
}

function reload(records: MapRecords): Lessor {
  const loader = Lessor.loader(records);
  for (const [name, bytes] of [...records.map].sort()) loader.add(name, bytes);
  const loaded = loader.finish();
  if (loaded.type === "refused") throw new Error(loaded.reason);
  return loaded.lessor;
}

function write(type: Change["type"], key: string, to: bigint, from?: bigint): Change {
  const meta = (lease: bigint) => ({
    key: bytesOf(key),
    createRevision: 1,
    modRevision: 1,
    sub: 0,
    version: 1,
    lease,
  });
  const previous = from === undefined ? undefined : meta(from);
  return { type, meta: meta(to), value: type === "put" ? bytesOf("v") : undefined, previous };
}

const keys = (lessor: Lessor, id: bigint): string[] => lessor.keysOf(id).map(textOf);

describe("grant", () => {
  it.each([
    ["a new lease", 1n, 10, undefined, 10],
    ["the largest TTL", 1n, MAX_LEASE_TTL, undefined, MAX_LEASE_TTL],
    ["the largest ID", 2n ** 63n - 1n, 10, undefined, 10],
    ["a negative ID (#14239)", -5n, 10, undefined, 10],
    ["a TTL too large (#17642)", 1n, MAX_LEASE_TTL + 1, ERR.leaseTtlTooLarge, undefined],
    ["a TTL of a clamped int64", 1n, Number.MAX_SAFE_INTEGER, ERR.leaseTtlTooLarge, undefined],
    ["ID 0 is no lease", 0n, 10, ERR.leaseNotFound, undefined],
    ["a forged TTL of 0", 1n, 0, undefined, 1],
    ["a forged negative TTL", 1n, -7, undefined, 1],
  ])("%s", (_name, id, ttl, problem, granted) => {
    const { lessor, records } = make();
    expect(lessor.grant(id, ttl)).toBe(problem);
    expect(lessor.get(id)?.grantedTtl).toBe(granted);
    expect(records.map.size).toBe(granted === undefined ? 0 : 1);
    expect(reload(records).get(id)).toEqual(lessor.get(id));
    lessor.checkInvariants();
  });

  it("refuses an ID in use and leaves the lease as it was", () => {
    const { lessor } = make();
    lessor.grant(7n, 10);
    expect(lessor.grant(7n, 99)).toBe(ERR.leaseExists);
    expect(lessor.get(7n)).toEqual({ id: 7n, grantedTtl: 10, keys: 0 });
  });

  it("lists IDs in order of ID", () => {
    const { lessor, records } = make();
    for (const id of [9n, -1n, 100n, 2n]) lessor.grant(id, 5);
    expect(lessor.ids()).toEqual([-1n, 2n, 9n, 100n]);
    expect(reload(records).ids()).toEqual([-1n, 2n, 9n, 100n]);
    expect([...records.map.keys()]).toContain("l0000000000000064");
  });
});

describe("revoke", () => {
  it("removes the lease and its record; a second one is not found", () => {
    const { lessor, records } = make();
    lessor.grant(1n, 5);
    expect(lessor.revoke(1n)).toBeUndefined();
    expect(lessor.revoke(1n)).toBe(ERR.leaseNotFound);
    expect(lessor.has(1n)).toBe(false);
    expect(records.map.size).toBe(0);
  });

  it("an ID may be granted again, with no key of its former life (#13932)", () => {
    const { lessor } = make();
    lessor.promote(0, 0);
    lessor.grant(1n, 5);
    lessor.changed({ revision: 2, changes: [write("put", "a", 1n)] });
    lessor.takeExpired(0, 10);
    lessor.revoke(1n);
    lessor.grant(1n, 50);
    expect(keys(lessor, 1n)).toEqual([]);
    expect(lessor.takeExpired(6000, 10)).toEqual([]);
    lessor.checkInvariants();
  });
});

describe("keys", () => {
  const changes: readonly { name: string; change: Change; first: string[]; second: string[] }[] = [
    { name: "put attaches", change: write("put", "b", 1n), first: ["a", "b"], second: [] },
    { name: "put without lease detaches", change: write("put", "a", 0n, 1n), first: [], second: [] },
    { name: "put moves", change: write("put", "a", 2n, 1n), first: [], second: ["a"] },
    { name: "put with the same lease stays", change: write("put", "a", 1n, 1n), first: ["a"], second: [] },
    { name: "delete detaches", change: write("delete", "a", 0n, 1n), first: [], second: [] },
    { name: "delete of a key without lease", change: write("delete", "x", 0n, 0n), first: ["a"], second: [] },
  ];
  it.each(changes)("$name", ({ change, first, second }) => {
    const { lessor } = make();
    lessor.grant(1n, 5);
    lessor.grant(2n, 5);
    lessor.changed({ revision: 2, changes: [write("put", "a", 1n)] });
    lessor.changed({ revision: 3, changes: [change] });
    expect([keys(lessor, 1n), keys(lessor, 2n)]).toEqual([first, second]);
    expect(lessor.get(1n)?.keys).toBe(first.length);
  });

  it("come in order of bytes, and byte for byte", () => {
    const { lessor } = make();
    lessor.grant(1n, 5);
    const wanted = [[0], [0, 255], [97], [97, 0], [195, 169], [255], [255, 255]].map((b) =>
      Uint8Array.from(b),
    );
    for (const key of [...wanted].reverse()) expect(lessor.attach(1n, key)).toBe(true);
    const long = new Uint8Array(10_000).fill(98);
    lessor.attach(1n, long);
    expect(lessor.keysOf(1n)).toEqual([...wanted.slice(0, 4), long, ...wanted.slice(4)]);
  });

  it("attach knows no lease that is not there", () => {
    expect(make().lessor.attach(1n, bytesOf("a"))).toBe(false);
  });

  it("keys of a revoked lease may be deleted before or after", () => {
    const { lessor } = make();
    lessor.grant(1n, 5);
    lessor.changed({ revision: 2, changes: [write("put", "a", 1n)] });
    lessor.revoke(1n);
    lessor.changed({ revision: 3, changes: [write("delete", "a", 0n, 1n)] });
    expect(lessor.keysOf(1n)).toEqual([]);
  });

  it("a put on no lease is a bug", () => {
    expect(() => make().lessor.changed({ revision: 2, changes: [write("put", "a", 1n)] })).toThrow(
      "no lease",
    );
  });
});

describe("expiry", () => {
  it("only the primary answers", () => {
    const { lessor } = make();
    lessor.grant(1n, 1);
    expect(lessor.isPrimary).toBe(false);
    expect(lessor.renew(9e9, 1n)).toBeUndefined();
    expect(lessor.remaining(9e9, 1n)).toBeUndefined();
    expect(lessor.takeExpired(9e9, 10)).toEqual([]);
    expect(lessor.takeCheckpoints(9e9, 10)).toEqual([]);
    expect(lessor.nextWake()).toBe(Number.POSITIVE_INFINITY);
  });

  it("comes when the time is over, again after 3 s, and ends with the revoke", () => {
    const { lessor } = make();
    lessor.grant(1n, 2);
    lessor.promote(1000, 0);
    expect(lessor.nextWake()).toBe(3000);
    expect(lessor.takeExpired(2999, 10)).toEqual([]);
    expect(lessor.takeExpired(3000, 10)).toEqual([1n]);
    expect(lessor.takeExpired(5999, 10)).toEqual([]);
    expect(lessor.nextWake()).toBe(6000);
    expect(lessor.takeExpired(6000, 10)).toEqual([1n]);
    lessor.revoke(1n);
    expect(lessor.takeExpired(60_000, 10)).toEqual([]);
    expect(lessor.nextWake()).toBe(Number.POSITIVE_INFINITY);
  });

  it("gives at most max, earliest first, ties by ID", () => {
    const { lessor } = make();
    lessor.grant(3n, 1);
    lessor.grant(2n, 2);
    lessor.grant(1n, 1);
    lessor.promote(0, 0);
    expect(lessor.takeExpired(5000, 2)).toEqual([1n, 3n]);
    expect(lessor.takeExpired(5000, 2)).toEqual([2n]);
    expect(lessor.takeExpired(5000, 2)).toEqual([]);
  });

  it("a grant on the leader counts from the next time it is told", () => {
    const { lessor } = make();
    lessor.promote(500, 0);
    lessor.grant(1n, 2);
    expect(lessor.nextWake()).toBe(500);
    lessor.checkInvariants();
    expect(lessor.takeExpired(1000, 10)).toEqual([]);
    expect(lessor.nextWake()).toBe(3000);
    expect(lessor.remaining(1001, 1n)).toBe(1);
    expect(lessor.takeExpired(3000, 10)).toEqual([1n]);
  });

  it("remaining is rounded down and never negative", () => {
    const { lessor } = make();
    lessor.grant(1n, 10);
    lessor.promote(0, 0);
    const seen = [0, 1, 8999.5, 9001, 10_000, 99_000].map((now) => lessor.remaining(now, 1n));
    expect(seen).toEqual([10, 9, 1, 0, 0, 0]);
    expect(lessor.remaining(0, 5n)).toBeUndefined();
  });
});

describe("keepalive", () => {
  it("gives the full TTL again; an unknown lease has 0", () => {
    const { lessor } = make();
    lessor.grant(1n, 10);
    lessor.promote(0, 0);
    expect(lessor.renew(9000, 1n)).toBe(10);
    expect(lessor.remaining(9000, 1n)).toBe(10);
    expect(lessor.takeExpired(18_999, 10)).toEqual([]);
    expect(lessor.takeExpired(19_000, 10)).toEqual([1n]);
    expect(lessor.renew(9000, 2n)).toBe(0);
  });

  it("does not revive an expired lease (#20616), revoke proposed or not", () => {
    const { lessor } = make();
    lessor.grant(1n, 10);
    lessor.promote(0, 0);
    expect(lessor.renew(10_000, 1n)).toBe(0);
    expect(lessor.takeExpired(10_000, 1)).toEqual([1n]);
    expect(lessor.renew(10_001, 1n)).toBe(0);
    expect(lessor.takeExpired(13_000, 1)).toEqual([1n]);
  });

  it("never moves a deadline earlier", () => {
    const { lessor } = make();
    lessor.grant(1n, 2);
    lessor.promote(0, 60_000);
    expect(lessor.renew(1000, 1n)).toBe(2);
    expect(lessor.takeExpired(61_999, 1)).toEqual([]);
    expect(lessor.takeExpired(62_000, 1)).toEqual([1n]);
  });
});

describe("promotion", () => {
  it("gives the full TTL and the extension, whatever was left before", () => {
    const { lessor } = make();
    lessor.grant(1n, 10);
    lessor.promote(0, 1000);
    lessor.demote();
    lessor.checkInvariants();
    lessor.promote(9000, 1000);
    expect(lessor.nextWake()).toBe(20_000);
  });

  it("forgets the revokes that it had proposed", () => {
    const { lessor } = make();
    lessor.grant(1n, 1);
    lessor.promote(0, 0);
    lessor.takeExpired(1000, 1);
    lessor.demote();
    lessor.promote(1500, 0);
    expect(lessor.renew(1500, 1n)).toBe(1);
  });

  it("spreads a pile-up: at most 750 in any second, none early, none lost, within one second per 750", () => {
    const { lessor } = make();
    for (let id = 1n; id <= 10_000n; id++) lessor.grant(id, 5 + Number(id % 3n));
    lessor.promote(100, 50);
    const due = new Map<bigint, number>();
    for (let now = 0; due.size < 10_000 && now < 60_000; now += 10) {
      for (const id of lessor.takeExpired(now, 10_000)) if (!due.has(id)) due.set(id, now);
    }
    const times = [...due.values()].sort((a, b) => a - b);
    const early = [...due].filter(([id, now]) => now < 150 + 1000 * (5 + Number(id % 3n)));
    expect(early).toEqual([]);
    const crowded = times.filter((time, i) => i >= 750 && time - (times[i - 750] as number) < 990);
    expect(crowded).toEqual([]);
    expect(times.length).toBe(10_000);
    expect(times[9999]).toBeLessThanOrEqual(5150 + 14 * 1000 + 10);
    lessor.checkInvariants();
  });

  it("750 leases are no pile-up", () => {
    const { lessor } = make();
    for (let id = 1n; id <= 750n; id++) lessor.grant(id, 5);
    lessor.promote(0, 0);
    expect(lessor.takeExpired(5000, 1000)).toHaveLength(750);
  });
});

describe("checkpoints", () => {
  it("come every interval for leases with more than it left, and a new leader goes by them", () => {
    const { lessor, records } = make();
    lessor.grant(1n, 1000);
    lessor.grant(2n, 300);
    lessor.promote(0, 0);
    expect(lessor.takeCheckpoints(299_999, 10)).toEqual([]);
    const first = lessor.takeCheckpoints(300_000, 10);
    expect(first).toEqual([{ id: 1n, remainingTtl: 700 }]);
    lessor.checkpoint(first);
    expect(lessor.remaining(300_000, 1n)).toBe(700);
    expect(lessor.takeCheckpoints(600_000, 10)).toEqual([{ id: 1n, remainingTtl: 400 }]);
    const other = reload(records);
    other.promote(0, 500);
    expect(other.takeExpired(700_499, 10)).toEqual([2n]);
    expect(other.takeExpired(700_500, 10)).toContain(1n);
  });

  it("TTL is not reset by leader changes (#9888, #13508, #17132)", () => {
    const { lessor } = make();
    lessor.grant(1n, 3600);
    let now = 0;
    for (let change = 0; change < 10; change++) {
      lessor.promote(now, 1000);
      now += 301_000;
      lessor.checkpoint(lessor.takeCheckpoints(now, 10));
      lessor.demote();
    }
    lessor.promote(now, 0);
    // Ten leaders gave at most their extension each, and what was left of a second.
    expect(lessor.remaining(now, 1n)).toBeLessThanOrEqual(3600 - Math.floor(now / 1000) + 20);
    expect(lessor.remaining(now, 1n)).toBeGreaterThanOrEqual(3600 - Math.floor(now / 1000));
  });

  it("a lease counts as checkpointed from the hand-out of a checkpoint until the newest one is taken back", () => {
    const { lessor } = make({ checkpointIntervalMs: 5_000 });
    lessor.grant(1n, 30);
    lessor.promote(0, 0);
    expect(lessor.isCheckpointed(1n)).toBe(false);
    const first = lessor.takeCheckpoints(5_000, 10);
    expect(first).toEqual([{ id: 1n, remainingTtl: 25 }]);
    // On its way, not applied: the next leader may go by it all the same.
    expect(lessor.isCheckpointed(1n)).toBe(true);
    expect(lessor.renew(6_000, 1n)).toBe(30);
    const back = lessor.takeCheckpoints(6_000, 10);
    expect(back).toEqual([{ id: 1n, remainingTtl: 0 }]);
    const second = lessor.takeCheckpoints(11_000, 10);
    expect(second).toEqual([{ id: 1n, remainingTtl: 25 }]);
    lessor.checkpoint(first);
    lessor.checkpoint(back);
    // The second was handed out behind what took the first one back.
    expect(lessor.isCheckpointed(1n)).toBe(true);
    lessor.checkpoint(second);
    expect(lessor.renew(12_000, 1n)).toBe(30);
    lessor.checkpoint(lessor.takeCheckpoints(12_000, 10));
    expect(lessor.isCheckpointed(1n)).toBe(false);
  });

  it("a renewal takes a checkpoint back, once", () => {
    const { lessor, records } = make();
    lessor.grant(1n, 1000);
    lessor.checkpoint([{ id: 1n, remainingTtl: 20 }]);
    lessor.promote(0, 0);
    expect(lessor.nextWake()).toBe(20_000);
    expect(lessor.renew(10_000, 1n)).toBe(1000);
    expect(lessor.nextWake()).toBe(10_000);
    const taken = lessor.takeCheckpoints(10_000, 10);
    expect(taken).toEqual([{ id: 1n, remainingTtl: 0 }]);
    lessor.checkpoint(taken);
    lessor.renew(11_000, 1n);
    expect(lessor.takeCheckpoints(11_000, 10)).toEqual([]);
    const other = reload(records);
    other.promote(0, 0);
    expect(other.nextWake()).toBe(300_000);
    expect(other.remaining(0, 1n)).toBe(1000);
  });

  it("an unknown ID is passed over; a value beyond the TTL means the full one", () => {
    const { lessor, records } = make();
    lessor.grant(1n, 10);
    lessor.checkpoint([
      { id: 9n, remainingTtl: 5 },
      { id: 1n, remainingTtl: 99 },
    ]);
    expect(records.map.size).toBe(1);
    lessor.promote(0, 0);
    expect(lessor.remaining(0, 1n)).toBe(10);
  });

  it("Infinity turns them off", () => {
    const { lessor } = make({ checkpointIntervalMs: Number.POSITIVE_INFINITY });
    lessor.grant(1n, 1_000_000);
    lessor.promote(0, 0);
    expect(lessor.nextWake()).toBe(1e9);
    expect(lessor.takeCheckpoints(900_000_000, 10)).toEqual([]);
  });
});

describe("loading", () => {
  const good = (): [string, Uint8Array] => {
    const { lessor, records } = make();
    lessor.grant(255n, 10);
    return [...records.map][0] as [string, Uint8Array];
  };
  const changedAt = (at: number, value: number): Uint8Array => {
    const bytes = good()[1].slice();
    new DataView(bytes.buffer).setFloat64(at, value, true);
    return bytes;
  };
  const rows: readonly [string, string, Uint8Array, string][] = [
    ["another name", "l00ff", good()[1], "no lease's name"],
    ["name in capitals", "l00000000000000FF", good()[1], "no lease's name"],
    ["a record of another lease", "l0000000000000001", good()[1], "is of lease ff"],
    ["too short", "l00000000000000ff", good()[1].slice(1), "23 bytes"],
    ["empty", "l00000000000000ff", new Uint8Array(0), "0 bytes"],
    ["TTL 0", "l00000000000000ff", changedAt(8, 0), "TTL of 0"],
    ["TTL beyond the largest", "l00000000000000ff", changedAt(8, MAX_LEASE_TTL + 1), "TTL of"],
    ["TTL is no number", "l00000000000000ff", changedAt(8, Number.NaN), "TTL of NaN"],
    ["half a second left", "l00000000000000ff", changedAt(16, 0.5), "0.5 s left"],
    ["as much left as granted", "l00000000000000ff", changedAt(16, 10), "10 s left of 10"],
  ];
  it.each(rows)("refuses by name: %s", (_name, name, bytes, reason) => {
    const loader = Lessor.loader(new MapRecords());
    loader.add(name, bytes);
    loader.add(...good());
    const loaded = loader.finish();
    expect(loaded.type === "refused" && loaded.reason).toContain(reason);
    expect(loaded.type === "refused" && loaded.reason).toContain(JSON.stringify(name));
  });

  it("refuses a record that comes twice", () => {
    const loader = Lessor.loader(new MapRecords());
    loader.add(...good());
    loader.add(...good());
    expect(loader.finish()).toMatchObject({ type: "refused", reason: expect.stringContaining("twice") });
  });
});

describe("bounds", () => {
  it("granting and revoking long leases leaves nothing behind", () => {
    const { lessor } = make();
    lessor.promote(0, 0);
    for (let i = 1n; i <= 5000n; i++) {
      lessor.grant(i, MAX_LEASE_TTL);
      lessor.renew(Number(i), i);
      lessor.revoke(i);
      if (i % 500n === 0n) lessor.checkInvariants();
    }
    expect(lessor.size).toBe(0);
    lessor.checkInvariants();
  });
});
