/** What a seed draws before its run: size of the cluster, tunables, how disks and links behave. */
import type { MemberOptions } from "../../src/member/index.ts";
import { Rng } from "../sim/rng.ts";

export interface WorldSettings {
  readonly members: number;
  /** 0: no leader leases. */
  readonly leaseMs: number;
  readonly segmentBytes: number;
  readonly syncMeanUs: number;
  readonly delayMeanUs: number;
  readonly member: Partial<MemberOptions>;
  readonly clients: number;
  readonly watchers: number;
  readonly keys: number;
  readonly valueBytes: number;
  /** World time with faults, microseconds. */
  readonly safetyUs: number;
  /** Mean time between two faults, microseconds. */
  readonly faultEveryUs: number;
}

export function drawSettings(seed: number): WorldSettings {
  const rng = new Rng(seed, "settings");
  const snapshotEntries = rng.pick([5, 10, 30, 200]);
  const leaseMs = rng.pick([0, 0, 150]);
  return {
    members: rng.pick([1, 3, 3, 3, 3, 3, 5]),
    leaseMs,
    segmentBytes: rng.pick([16, 16, 32]) * 1024,
    syncMeanUs: rng.pick([300, 1_000, 4_000]),
    delayMeanUs: rng.pick([200, 400, 1_500]),
    member: {
      electionTimeoutMs: 200,
      heartbeatMs: rng.pick([20, 40]),
      readMode: leaseMs > 0 && rng.int(0, 2) === 0 ? "lease" : "quorum",
      requestTimeoutMs: 1_500,
      maxPendingRequests: rng.pick([4, 100]),
      maxAppendBytes: rng.pick([512, 16 * 1024]),
      snapshotEntries,
      catchUpEntries: Math.floor(snapshotEntries / rng.pick([2, 10])),
      backendIntervalMs: rng.pick([5, 50, 100]),
      backendBatchEntries: rng.pick([5, 1_000]),
      snapshotTimeoutMs: rng.pick([500, 3_000]),
      readSlice: rng.pick([3, 1_000]),
      compactionBatch: rng.pick([3, 100]),
      maxWatchBytes: rng.pick([200, 100_000]),
      watchFragmentBytes: rng.pick([100, 10_000]),
    },
    clients: rng.int(2, 6),
    watchers: rng.int(1, 3),
    keys: rng.pick([2, 5, 12]),
    valueBytes: rng.pick([0, 20, 300, 4_000]),
    safetyUs: 4_000_000,
    faultEveryUs: rng.pick([100_000, 200_000, 500_000, 20_000_000]),
  };
}
