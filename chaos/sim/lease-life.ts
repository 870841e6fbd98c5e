/**
 * Whether leases live as long as they must, judged on the world's clock: a lease that a leader renewed, or that was
 * granted, may not be revoked by the members before its TTL is over on the fastest clock that is allowed.
 */
import { type LogRecord, Model } from "../check/index.ts";
import { violate } from "./violation.ts";

/** Rounding between members' milliseconds and the world's microseconds. */
const SLACK_US = 2_000;

interface Renewal {
  readonly at: number;
  readonly ttl: number;
}

/** The judge of one run. Times in world microseconds. */
export class LeaseLife {
  readonly #renewals = new Map<bigint, Renewal[]>();

  /** The leader says now that a lease has its TTL again, seconds. */
  kept(lease: bigint, ttl: number, at: number): void {
    if (ttl <= 0) return;
    const renewals = this.#renewals.get(lease);
    if (renewals === undefined) this.#renewals.set(lease, [{ at, ttl }]);
    else renewals.push({ at, ttl });
  }

  /**
   * @param log committed requests in order; a revoke that no client asked for is the leader's
   * @param driftPpm how much faster than the world a clock may run
   * @returns how many leases were expired
   */
  judge(log: readonly LogRecord[], driftPpm: number): number {
    let expired = 0;
    const alive = new Map<bigint, Renewal>();
    const model = new Model();
    const seen = new Set<string>();
    for (const { index, at, identity, request, operation } of log) {
      if (seen.has(identity)) continue;
      seen.add(identity);
      const isDone = model.apply(request).error === undefined;
      if (request.type === "leaseGrant" && isDone) alive.set(request.id, { at, ttl: request.ttl });
      const granted = request.type === "leaseRevoke" && isDone ? alive.get(request.id) : undefined;
      if (request.type !== "leaseRevoke" || granted === undefined) continue;
      alive.delete(request.id);
      if (operation !== undefined) continue;
      expired++;
      for (const renewal of [granted, ...(this.#renewals.get(request.id) ?? [])]) {
        const least = (renewal.ttl * 1_000_000 * 1_000_000) / (1_000_000 + driftPpm) - SLACK_US;
        if (renewal.at < granted.at || renewal.at > at || at - renewal.at >= least) continue;
        violate(
          "lease-lives-its-time",
          `lease ${request.id.toString(16)} got ${renewal.ttl} s at ${renewal.at}, entry ${index} revokes it at ${at}`,
        );
      }
    }
    return expired;
  }
}
