/**
 * What one run is made of, as plain data: the configuration, the faults and which requests are left out. A plan is
 * drawn from a seed, stored as JSON, shrunk, and replayed; everything else in a run follows from it.
 */
import type { NetworkSettings } from "./links.ts";

/** How far clocks may drift apart: inside the bound of DESIGN §6, at its extremes, or beyond it. */
export type Drift = "within" | "bound" | "twice";

/** Everything that a seed draws before the run begins. Times in milliseconds unless named otherwise. */
export interface SeedConfig {
  /** Voters at the begin: 1, 3 or 5. */
  readonly members: number;
  /** Learners that are added in the first seconds. */
  readonly learners: number;
  /** No faults at all. */
  readonly calm: boolean;
  readonly electionTimeoutMs: number;
  readonly heartbeatMs: number;
  /** 0: no leader leases. */
  readonly leaseMs: number;
  readonly drift: Drift;
  readonly readMode: "quorum" | "lease" | "mixed";
  readonly requestTimeoutMs: number;
  readonly maxPendingRequests: number;
  readonly maxUncommittedBytes: number;
  readonly maxInflightMessages: number;
  readonly maxAppendBytes: number;
  readonly snapshotEntries: number;
  readonly catchUpEntries: number;
  readonly backendIntervalMs: number;
  readonly backendBatchEntries: number;
  readonly maxSnapshotStreams: number;
  readonly snapshotTimeoutMs: number;
  readonly segmentBytes: number;
  readonly chunkBytes: number;
  readonly network: NetworkSettings;
  readonly syncMeanUs: number;
  readonly clients: number;
  readonly keys: number;
  /** A client that was served moves on to another member once in so many operations. */
  readonly wander: number;
  /** Over all clients together, while they are answered at once. */
  readonly operationsPerSecond: number;
  /** Weights of `REQUEST_KINDS` (requests.ts); 0: this seed has none. */
  readonly mix: readonly number[];
  /** Clients that watch. */
  readonly watchers: number;
  /** Most bytes of events that wait for one of them. */
  readonly maxWatchBytes: number;
  readonly watchFragmentBytes: number;
  readonly compactionBatch: number;
  readonly readSlice: number;
  readonly leaseCheckpointMs: number;
  readonly quotaBytes: number;
  /** Written values are padded to anything up to this many bytes more; 0: not at all. */
  readonly valueBytes: number;
  readonly safetyMs: number;
}

export const FAULT_KINDS = [
  "kill",
  "powerLoss",
  "crashSeveral",
  "powerCut",
  "pause",
  "partition",
  "oneWayPartition",
  "clog",
  "lossBurst",
  "duplicateBurst",
  "slowNetwork",
  "garbage",
  "slowDisk",
  "diskStall",
  "diskError",
  "diskFull",
  "bitRot",
  "wipe",
  "clockRate",
  "gracefulStop",
  "addMember",
  "removeMember",
  "jointChange",
  "transfer",
  "leaseChange",
  "usurp",
  "jointUsurp",
] as const;

export type FaultKind = (typeof FAULT_KINDS)[number];

/**
 * One fault. What it hits is decided when it happens, from `pick`, among what is there: so it keeps a meaning when
 * faults before it are left out.
 */
export interface Fault {
  /** World time in microseconds. */
  readonly at: number;
  readonly kind: FaultKind;
  /** Chance for the choice of the target, 32 bits. The low bit asks for the leader. */
  readonly pick: number;
  /** More chance, 32 bits, for what the kind needs. */
  readonly bits: number;
  /** How long it lasts, microseconds. */
  readonly forUs: number;
}

export interface Plan {
  readonly seed: number;
  readonly config: SeedConfig;
  readonly faults: readonly Fault[];
  /** Operations that the clients leave out, as client * 100000 + number. */
  readonly skip: readonly number[];
}

/** Number of an operation in `Plan.skip`. */
export function operationKey(client: number, number: number): number {
  return client * 100_000 + number;
}
