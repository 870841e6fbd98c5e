/**
 * What leases are to those around them. Two halves: what is *replicated* (which leases there are, their TTL, which keys
 * hang on them) changes only by applied entries and is equal on all members; what is *held by the leader* (when a lease
 * runs out) is judged by its clock, is never applied, and leads to nothing but a proposed revoke.
 *
 * TTLs are in seconds, as in etcd; deadlines in ms of the member's monotonic clock.
 */
import type { KvError } from "../base/index.ts";
import type { MonoMs } from "../env/index.ts";
import type { ChangeSet } from "../mvcc/types.ts";

/** Largest TTL that is granted, seconds (etcd: maxLeaseTTL). */
export const MAX_LEASE_TTL = 9_000_000_000;

export interface LeaseInfo {
  readonly id: bigint;
  readonly grantedTtl: number;
  /** Number of keys that hang on it. */
  readonly keys: number;
}

/** The replicated half: called by apply. */
export interface LeaseTable {
  has(id: bigint): boolean;
  get(id: bigint): LeaseInfo | undefined;
  /** IDs of all leases, in order of ID. */
  ids(): readonly bigint[];
  /** Keys of a lease, in order of bytes. */
  keysOf(id: bigint): readonly Uint8Array[];
  /** ERR.leaseExists, ERR.leaseTtlTooLarge, or undefined: granted. */
  grant(id: bigint, ttl: number): KvError | undefined;
  /** Removes the lease; its keys are deleted by apply, before, in the same revision. ERR.leaseNotFound or undefined. */
  revoke(id: bigint): KvError | undefined;
  /** Takes over remaining times, seconds; an ID that is unknown is passed over. */
  checkpoint(leases: readonly { readonly id: bigint; readonly remainingTtl: number }[]): void;
  /** Moves keys between leases after a write: a put attaches (with lease 0: detaches), a delete detaches. */
  changed(set: ChangeSet): void;
}

/** The leader's half. Every method takes the time; none reads a clock. */
export interface LeaseClock {
  /** It leads from now on: every lease gets its full TTL, or what a checkpoint left of it, and `extendMs` more. */
  promote(now: MonoMs, extendMs: number): void;
  /** It leads no more: nothing expires here, no keepalive is answered. */
  demote(): void;
  readonly isPrimary: boolean;
  /**
   * A keepalive. TTL in seconds that the lease has again; 0: there is no such lease; undefined: not the primary.
   * An expired lease that is not revoked yet is not revived: 0 once its revoke was proposed.
   */
  renew(now: MonoMs, id: bigint): number | undefined;
  /**
   * Whether a checkpoint that leaves the lease less than its full TTL is replicated or on its way. A renewal must not
   * be promised to a client before that is taken back (`takeCheckpoints` hands that out), or the next leader would end
   * the lease early (etcd waits as well: lessor.go Renew).
   */
  isCheckpointed(id: bigint): boolean;
  /** Remaining seconds, rounded down, at least 0; undefined: not the primary or no such lease. */
  remaining(now: MonoMs, id: bigint): number | undefined;
  /** Leases whose time is over and whose revoke is due to be proposed; each again after `retryMs` without effect. */
  takeExpired(now: MonoMs, max: number): readonly bigint[];
  /** Remaining times that are due to be replicated. */
  takeCheckpoints(
    now: MonoMs,
    max: number,
  ): readonly { readonly id: bigint; readonly remainingTtl: number }[];
  /** When one of the two above has something; Infinity: never. */
  nextWake(): MonoMs;
}
