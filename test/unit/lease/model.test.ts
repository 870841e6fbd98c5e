// Goal: the lessor is the same function as the simplest one that can be written down. Method: random calls on
// both, every answer compared, invariants after each; reloads from the records in between. The seed is
// printed on failure.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { textOf } from "../../../src/base/index.ts";
import type { Records } from "../../../src/env/index.ts";
import { Lessor } from "../../../src/lease/index.ts";
import type { KeyMeta } from "../../../src/mvcc/types.ts";

const RETRY_MS = 3000;
const INTERVAL_MS = 20_000;
const OPTIONS = { checkpointIntervalMs: INTERVAL_MS };

interface ModelLease {
  ttl: number;
  left: number;
  /** undefined: not told the time yet. */
  deadline: number | undefined;
  proposed: number | undefined;
}

/** Leases in a map, searched from end to end for every answer. */
class Model {
  readonly leases = new Map<bigint, ModelLease>();
  readonly keyLease = new Map<string, bigint>();
  primary = false;

  observe(now: number): void {
    for (const lease of this.leases.values()) lease.deadline ??= now + lease.ttl * 1000;
  }
  promote(now: number, extendMs: number): void {
    this.primary = true;
    for (const lease of this.leases.values()) {
      lease.deadline = now + (lease.left || lease.ttl) * 1000 + extendMs;
      lease.proposed = undefined;
    }
  }
  renew(now: number, id: bigint): number | undefined {
    if (!this.primary) return undefined;
    this.observe(now);
    const lease = this.leases.get(id);
    if (lease === undefined || (lease.deadline as number) <= now) return 0;
    lease.deadline = Math.max(lease.deadline as number, now + lease.ttl * 1000);
    return lease.ttl;
  }
  remaining(now: number, id: bigint): number | undefined {
    if (!this.primary) return undefined;
    this.observe(now);
    const lease = this.leases.get(id);
    return lease && Math.max(0, Math.floor(((lease.deadline as number) - now) / 1000));
  }
  expired(now: number, max: number): bigint[] {
    if (!this.primary) return [];
    this.observe(now);
    const due: { id: bigint; at: number }[] = [];
    for (const [id, lease] of this.leases) {
      const at = lease.proposed === undefined ? (lease.deadline as number) : lease.proposed + RETRY_MS;
      if (at <= now) due.push({ id, at });
    }
    due.sort((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1));
    const taken = due.slice(0, max).map(({ id }) => id);
    for (const id of taken) (this.leases.get(id) as ModelLease).proposed = now;
    return taken;
  }
  keysOf(id: bigint): string[] {
    return [...this.keyLease]
      .filter(([, lease]) => lease === id)
      .map(([key]) => key)
      .sort();
  }
}

const id = fc.bigInt(1n, 12n);
const ms = fc.integer({ min: 0, max: 6000 });
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant("grant"), id, n: fc.integer({ min: 1, max: 60 }) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("revoke"), id, n: ms }) },
  { weight: 6, arbitrary: fc.record({ type: fc.constant("put"), id: fc.bigInt(0n, 12n), n: ms }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant("delete"), id, n: ms }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("promote"), id, n: ms }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("demote"), id, n: ms }) },
  { weight: 8, arbitrary: fc.record({ type: fc.constant("renew"), id, n: ms }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant("remaining"), id, n: ms }) },
  { weight: 8, arbitrary: fc.record({ type: fc.constant("expired"), id, n: ms }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant("checkpoints"), id, n: ms }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("reload"), id, n: ms }) },
);

class World {
  readonly map = new Map<string, Uint8Array>();
  readonly records: Records = {
    get: (name) => this.map.get(name),
    put: (name, bytes) => void this.map.set(name, bytes),
    append: (name, bytes) => void this.map.set(name, bytes),
    delete: (name) => void this.map.delete(name),
  };
  lessor = new Lessor(this.records, OPTIONS);
  readonly model = new Model();
  now = 1000;
  revision = 1;

  write(key: string, lease: bigint | undefined): void {
    const before = this.model.keyLease.get(key);
    if (lease === undefined && before === undefined) return;
    const meta = (of: bigint): KeyMeta => ({
      key: Uint8Array.from(key, (c) => c.charCodeAt(0)),
      createRevision: 1,
      modRevision: this.revision,
      sub: 0,
      version: 1,
      lease: of,
    });
    this.revision++;
    this.lessor.changed({
      revision: this.revision,
      changes: [
        {
          type: lease === undefined ? "delete" : "put",
          meta: meta(lease ?? 0n),
          value: undefined,
          previous: before === undefined ? undefined : meta(before),
        },
      ],
    });
    if (lease === undefined) this.model.keyLease.delete(key);
    else this.model.keyLease.set(key, lease);
  }

  reload(): void {
    const loader = Lessor.loader(this.records, OPTIONS);
    for (const [name, bytes] of this.map) loader.add(name, bytes);
    const loaded = loader.finish();
    if (loaded.type === "refused") throw new Error(loaded.reason);
    this.lessor = loaded.lessor;
    for (const [key, lease] of this.model.keyLease) {
      if (lease !== 0n)
        this.lessor.attach(
          lease,
          Uint8Array.from(key, (c) => c.charCodeAt(0)),
        );
    }
    this.model.primary = false;
  }
}

function apply(world: World, { type, id, n }: { type: string; id: bigint; n: number }): void {
  const { lessor, model } = world;
  const lease = model.leases.get(id);
  switch (type) {
    case "grant":
      expect(lessor.grant(id, n) === undefined).toBe(lease === undefined);
      if (lease === undefined)
        model.leases.set(id, { ttl: n, left: 0, deadline: undefined, proposed: undefined });
      return;
    case "revoke":
      for (const key of model.keysOf(id)) world.write(key, undefined);
      expect(lessor.revoke(id) === undefined).toBe(lease !== undefined);
      model.leases.delete(id);
      return;
    case "put":
      if (id === 0n || lease !== undefined) world.write(`k${n % 7}`, id);
      return;
    case "delete":
      world.write(`k${n % 7}`, undefined);
      return;
    case "promote":
      lessor.promote(world.now, n);
      model.promote(world.now, n);
      return;
    case "demote":
      lessor.demote();
      model.primary = false;
      return;
    case "reload":
      world.reload();
      return;
  }
  world.now += n;
  if (type === "renew") expect(lessor.renew(world.now, id)).toBe(model.renew(world.now, id));
  if (type === "remaining") expect(lessor.remaining(world.now, id)).toBe(model.remaining(world.now, id));
  if (type === "expired") {
    const wake = lessor.nextWake();
    const wanted = model.expired(world.now, 1 + (n % 4));
    if (wanted.length > 0) expect(wake).toBeLessThanOrEqual(world.now);
    expect(lessor.takeExpired(world.now, 1 + (n % 4))).toEqual(wanted);
  }
  if (type === "checkpoints") {
    model.observe(world.now);
    const taken = lessor.takeCheckpoints(world.now, 1 + (n % 4));
    for (const { id, remainingTtl } of taken) {
      const of = model.leases.get(id) as ModelLease;
      expect(remainingTtl).toBeLessThan(of.left || of.ttl);
      if (remainingTtl > 0)
        expect(remainingTtl).toBe(Math.ceil(((of.deadline as number) - world.now) / 1000));
      else expect(of.left).toBeGreaterThan(0);
      of.left = remainingTtl;
    }
    lessor.checkpoint(taken);
  }
}

describe("lessor", () => {
  it("answers as the model does", () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 120, size: "max" }), (steps) => {
        const world = new World();
        for (const one of steps) {
          apply(world, one);
          if (!world.model.primary)
            for (const lease of world.model.leases.values()) lease.deadline = undefined;
          world.lessor.checkInvariants();
          const ids = [...world.model.leases.keys()].sort((a, b) => (a < b ? -1 : 1));
          expect(world.lessor.ids()).toEqual(ids);
          for (const id of ids) {
            expect(world.lessor.keysOf(id).map(textOf)).toEqual(world.model.keysOf(id));
          }
        }
      }),
      { numRuns: 150 },
    );
  });
});
