/**
 * Leases: the replicated table of them and, on the leader, the clock that ends them. One class, because a
 * grant or a revoke concerns both halves at once; but nothing of the clock ever reaches the table, and only
 * the table is saved.
 *
 * A lease is one record, `l` and its ID. Which keys hang on it is not saved: the keys know their lease, so
 * the loader of the store says it again at every start (`attach`).
 *
 * Apply has no clock, so a lease that is granted while this member leads gets its deadline from the next call
 * that brings the time. It then lives a moment longer, never shorter.
 *
 * Behaviour: etcd server/lease/lessor.go. Different from there: the spreading in `deadlinesOf`, which bounds
 * every window of a second, and one queue entry per lease, moved only when it comes to the front.
 */
import { assert, compareIds, ERR, fail, hex, type KvError } from "../base/index.ts";
import type { MonoMs, Records } from "../env/index.ts";
import type { ChangeSet } from "../mvcc/types.ts";
import { LeaseKeys } from "./lease-keys.ts";
import { encodeLease, LessorLoader, recordOfLease } from "./lease-record.ts";
import { deadlinesOf } from "./spread.ts";
import { TimeQueue } from "./time-queue.ts";
import { type LeaseClock, type LeaseInfo, type LeaseTable, MAX_LEASE_TTL } from "./types.ts";

/** A revoke that had no effect is proposed again after so long (etcd: defaultExpiredleaseRetryInterval). */
const RETRY_MS = 3000;
/**
 * Leases with more time left than this have it replicated as often (etcd: defaultLeaseCheckpointInterval).
 */
const CHECKPOINT_INTERVAL_MS = 300_000;

export interface LessorOptions {
  /**
   * Milliseconds between checkpoints of one lease; Infinity: remaining times are never replicated. Default 5
   * min.
   */
  readonly checkpointIntervalMs?: number;
}

interface Lease {
  readonly id: bigint;
  /** Seconds, 1..MAX_LEASE_TTL. */
  readonly grantedTtl: number;
  /** Seconds that the last checkpoint left, 1..grantedTtl; 0: none, it has the full TTL. */
  remainingTtl: number;
  /**
   * While primary: number of the last checkpoint that left it less than its full TTL, 0: none, or none that counts; and
   * which of them is taken back by the checkpoint that was handed out last to do so.
   */
  mark: number;
  takenBack: number;
  readonly keys: LeaseKeys;
  /**
   * Where it hangs on the leader's clock; undefined: not the leader, or no time was given since the grant.
   */
  deadline: MonoMs | undefined;
}

/**
 * Invariants: see `checkInvariants`. Owner: apply calls the table, whoever drives the member calls the clock.
 */
export class Lessor implements LeaseTable, LeaseClock {
  readonly #records: Records;
  readonly #checkpointIntervalMs: number;
  readonly #leases = new Map<bigint, Lease>();
  #primary = false;
  /** Latest time given since promotion. Invariant: not above any time to come. */
  #now: MonoMs = 0;
  /**
   * Deadlines, later those of retries. Invariant: while primary it holds every lease that is not in `#fresh`.
   */
  readonly #expiry = new TimeQueue();
  /** Next checkpoints. Holds a lease only while it may have one. */
  readonly #checkpoints = new TimeQueue();
  /** Granted since the last call that brought the time. Empty unless primary. */
  readonly #fresh: Lease[] = [];
  /**
   * Renewed although a checkpoint says less than the full TTL: that must be taken back. Empty unless primary.
   */
  readonly #renewed = new Set<bigint>();

  constructor(records: Records, options: LessorOptions = {}) {
    this.#records = records;
    this.#checkpointIntervalMs = options.checkpointIntervalMs ?? CHECKPOINT_INTERVAL_MS;
    assert(this.#checkpointIntervalMs >= 1000, "checkpoints more often than the unit of TTLs", {
      checkpointIntervalMs: this.#checkpointIntervalMs,
    });
  }

  /** Takes the saved `l` records; `finish` gives the leases, or names the record that cannot be one. */
  static loader(records: Records, options: LessorOptions = {}): LessorLoader<Lessor> {
    const lessor = new Lessor(records, options);
    return new LessorLoader(lessor, (id, grantedTtl, remainingTtl) => {
      lessor.#add(id, grantedTtl, remainingTtl);
    });
  }

  /**
   * Says that a live key hangs on a lease, while loading. False: there is no such lease, so the records of
   * the store and of the leases do not belong together.
   */
  attach(id: bigint, key: Uint8Array): boolean {
    const lease = this.#leases.get(id);
    lease?.keys.add(key);
    return lease !== undefined;
  }

  /** Number of leases. */
  get size(): number {
    return this.#leases.size;
  }

  has(id: bigint): boolean {
    return this.#leases.has(id);
  }

  get(id: bigint): LeaseInfo | undefined {
    const lease = this.#leases.get(id);
    return lease && { id, grantedTtl: lease.grantedTtl, keys: lease.keys.size };
  }

  ids(): readonly bigint[] {
    return [...this.#leases.keys()].sort(compareIds);
  }

  keysOf(id: bigint): readonly Uint8Array[] {
    return this.#leases.get(id)?.keys.sorted() ?? [];
  }

  /**
   * Grants. The ID is not 0, which means "none" on keys and is answered as etcd answers it
   * (ERR.leaseNotFound). A TTL below 1 can only come from a forged entry; it counts as 1, so that no lease is
   * born dead.
   */
  grant(id: bigint, ttl: number): KvError | undefined {
    if (id === 0n) return ERR.leaseNotFound;
    if (ttl > MAX_LEASE_TTL) return ERR.leaseTtlTooLarge;
    if (this.#leases.has(id)) return ERR.leaseExists;
    const lease = this.#add(id, Math.max(1, ttl), 0);
    this.#save(lease);
    if (this.#primary) this.#fresh.push(lease);
    return undefined;
  }

  revoke(id: bigint): KvError | undefined {
    if (!this.#leases.delete(id)) return ERR.leaseNotFound;
    this.#records.delete(recordOfLease(id));
    this.#expiry.delete(id);
    this.#checkpoints.delete(id);
    this.#renewed.delete(id);
    const fresh = this.#fresh.findIndex((lease) => lease.id === id);
    if (fresh >= 0) this.#fresh.splice(fresh, 1);
    return undefined;
  }

  /**
   * NOTE: changes no deadline. On the leader that proposed it the deadline says the same, or more after a
   * renewal.
   */
  checkpoint(leases: readonly { readonly id: bigint; readonly remainingTtl: number }[]): void {
    for (const { id, remainingTtl } of leases) {
      const lease = this.#leases.get(id);
      if (lease === undefined) continue;
      const remaining = remainingTtl >= lease.grantedTtl ? 0 : Math.max(0, remainingTtl);
      if (remaining === 0 && lease.takenBack === lease.mark) forgetMarks(lease);
      if (remaining === lease.remainingTtl) continue;
      lease.remainingTtl = remaining;
      this.#save(lease);
    }
  }

  changed(set: ChangeSet): void {
    for (const { type, meta, previous } of set.changes) {
      const from = previous?.lease ?? 0n;
      const to = type === "put" ? meta.lease : 0n;
      if (from === to) continue;
      // The lease may be gone already: a revoke deletes the keys and the lease in one entry.
      if (from !== 0n) this.#leases.get(from)?.keys.delete(meta.key);
      if (to === 0n) continue;
      const lease = this.#leases.get(to);
      if (lease === undefined) fail("a key hangs on no lease", { lease: hex(to), revision: set.revision });
      lease.keys.add(meta.key);
    }
  }

  get isPrimary(): boolean {
    return this.#primary;
  }

  promote(now: MonoMs, extendMs: number): void {
    assert(extendMs >= 0, "leases are extended, never cut", { extendMs });
    this.demote();
    this.#primary = true;
    this.#now = now;
    const leases = [...this.#leases.values()];
    const asked = leases.map((lease) => now + secondsOf(lease) * 1000 + extendMs);
    const deadlines = deadlinesOf(leases, asked);
    leases.forEach((lease, i) => {
      forgetMarks(lease);
      if (lease.remainingTtl > 0) lease.mark = 1;
      this.#arm(lease, deadlines[i] as number);
    });
  }

  demote(): void {
    this.#primary = false;
    this.#expiry.clear();
    this.#checkpoints.clear();
    this.#fresh.length = 0;
    this.#renewed.clear();
    for (const lease of this.#leases.values()) lease.deadline = undefined;
  }

  /**
   * NOTE: an expired lease is 0 even before its revoke was proposed: that is only a matter of when
   * `takeExpired` is called next, and a client that hears a TTL here would hold a lease that is about to go.
   */
  renew(now: MonoMs, id: bigint): number | undefined {
    if (!this.#primary) return undefined;
    this.#observe(now);
    const lease = this.#leases.get(id);
    if (lease === undefined || deadlineOf(lease) <= now) return 0;
    // A promotion may have given more than the full TTL; a renewal never takes it back.
    const deadline = Math.max(deadlineOf(lease), now + lease.grantedTtl * 1000);
    lease.deadline = deadline;
    this.#expiry.postpone(id, deadline);
    if (lease.mark > 0) this.#renewed.add(id);
    this.#scheduleCheckpoint(lease);
    return lease.grantedTtl;
  }

  isCheckpointed(id: bigint): boolean {
    return (this.#leases.get(id)?.mark ?? 0) > 0;
  }

  remaining(now: MonoMs, id: bigint): number | undefined {
    if (!this.#primary) return undefined;
    this.#observe(now);
    const lease = this.#leases.get(id);
    return lease && Math.max(0, Math.floor((deadlineOf(lease) - now) / 1000));
  }

  takeExpired(now: MonoMs, max: number): readonly bigint[] {
    if (!this.#primary) return [];
    this.#observe(now);
    const expired: bigint[] = [];
    while (expired.length < max) {
      const id = this.#expiry.due(now);
      if (id === undefined) break;
      expired.push(id);
      this.#expiry.postpone(id, now + RETRY_MS);
    }
    return expired;
  }

  takeCheckpoints(
    now: MonoMs,
    max: number,
  ): readonly { readonly id: bigint; readonly remainingTtl: number }[] {
    if (!this.#primary) return [];
    this.#observe(now);
    const taken: { id: bigint; remainingTtl: number }[] = [];
    for (const id of this.#renewed) {
      if (taken.length >= max) return taken;
      this.#renewed.delete(id);
      const lease = this.#leases.get(id);
      if (lease === undefined) continue;
      lease.takenBack = lease.mark;
      taken.push({ id, remainingTtl: 0 });
    }
    while (taken.length < max) {
      const id = this.#checkpoints.due(now);
      if (id === undefined) break;
      this.#checkpoints.delete(id);
      const lease = this.#leases.get(id);
      if (lease === undefined) continue;
      this.#scheduleCheckpoint(lease);
      const remainingTtl = Math.ceil((deadlineOf(lease) - now) / 1000);
      if (remainingTtl <= 0 || remainingTtl >= secondsOf(lease)) continue;
      lease.mark++;
      taken.push({ id, remainingTtl });
    }
    return taken;
  }

  nextWake(): MonoMs {
    if (!this.#primary) return Number.POSITIVE_INFINITY;
    if (this.#fresh.length > 0 || this.#renewed.size > 0) return this.#now;
    return Math.min(this.#expiry.next(), this.#checkpoints.next());
  }

  /** @throws AssertionError when the clock and the table do not hold the same leases. */
  checkInvariants(): void {
    const waiting = new Set(this.#fresh.map((lease) => lease.id));
    for (const [id, lease] of this.#leases) {
      const { grantedTtl, remainingTtl, deadline } = lease;
      if (id !== lease.id) fail("lease under another ID", { id, is: lease.id });
      if (grantedTtl < 1 || grantedTtl > MAX_LEASE_TTL) fail("TTL out of range", { id, grantedTtl });
      if (remainingTtl < 0 || remainingTtl > grantedTtl) fail("remaining above TTL", { id, remainingTtl });
      const armed = this.#primary && !waiting.has(id);
      if ((deadline !== undefined) !== armed) fail("deadline without clock, or without deadline", { id });
      if (this.#expiry.has(id) !== armed) fail("lease and expiry queue differ", { id, armed });
    }
    for (const id of waiting) if (!this.#leases.has(id)) fail("fresh lease is not in the table", { id });
    for (const id of this.#renewed) if (!this.#leases.has(id)) fail("renewed lease is not there", { id });
    const armed = this.#primary ? this.#leases.size - waiting.size : 0;
    if (this.#expiry.size !== armed) fail("expiry queue holds others", { size: this.#expiry.size, armed });
    this.#expiry.checkInvariants();
    this.#checkpoints.checkInvariants();
  }

  #add(id: bigint, grantedTtl: number, remainingTtl: number): Lease {
    const keys = new LeaseKeys();
    const lease = { id, grantedTtl, remainingTtl, mark: 0, takenBack: 0, keys, deadline: undefined };
    this.#leases.set(id, lease);
    return lease;
  }

  #save(lease: Lease): void {
    this.#records.put(recordOfLease(lease.id), encodeLease(lease.id, lease.grantedTtl, lease.remainingTtl));
  }

  /** Takes the time, and arms what was granted since it was last given. */
  #observe(now: MonoMs): void {
    if (now > this.#now) this.#now = now;
    if (this.#fresh.length === 0) return;
    for (const lease of this.#fresh) this.#arm(lease, this.#now + lease.grantedTtl * 1000);
    this.#fresh.length = 0;
  }

  #arm(lease: Lease, deadline: MonoMs): void {
    lease.deadline = deadline;
    this.#expiry.add(lease.id, deadline);
    this.#scheduleCheckpoint(lease);
  }

  #scheduleCheckpoint(lease: Lease): void {
    if (this.#checkpoints.has(lease.id)) return;
    const interval = this.#checkpointIntervalMs;
    if (deadlineOf(lease) - this.#now > interval) this.#checkpoints.add(lease.id, this.#now + interval);
  }
}

/** Seconds that a new leader gives the lease. */
function secondsOf(lease: Lease): number {
  return lease.remainingTtl > 0 ? lease.remainingTtl : lease.grantedTtl;
}

function deadlineOf(lease: Lease): MonoMs {
  return lease.deadline ?? fail("lease was not armed", { id: hex(lease.id) });
}

function forgetMarks(lease: Lease): void {
  lease.mark = 0;
  lease.takenBack = 0;
}
