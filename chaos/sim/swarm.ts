/**
 * Draws the plan of a seed: first which faults and which requests it has at all (swarm testing: a run without
 * partitions finds what a run with everything hides), then their rates, then sizes and tunables.
 */
import { type Drift, FAULT_KINDS, type Fault, type FaultKind, type Plan, type SeedConfig } from "./plan.ts";
import { Rng } from "./rng.ts";

/** What a power loss waits for, in its low bits (`MOMENTS` in faults.ts): a segment that is about to begin. */
const ROLLING = 5;
/** How often that happens in a seed whose log is cut short. */
const ROLLS = 8;
/** Share of seeds without any fault, parts per million. */
const CALM_PPM = 30_000;
/** Faults begin once the first leader had time to appear. */
const FIRST_FAULT_US = 2_500_000;

/** What the command line may force on every seed. */
export interface SwarmOptions {
  readonly drift: Drift;
  /** Every seed is made to show a stale lease, if there is one: for the proof that the lease check bites. */
  readonly leaseProof: boolean;
}

export const NO_OPTIONS: SwarmOptions = { drift: "within", leaseProof: false };

/** How often a kind comes when it is enabled, and how long it lasts, milliseconds. */
interface Rate {
  readonly weight: number;
  readonly shortMs: number;
  readonly longMs: number;
}

const RATES: Readonly<Record<FaultKind, Rate>> = {
  kill: { weight: 10, shortMs: 50, longMs: 4_000 },
  powerLoss: { weight: 16, shortMs: 50, longMs: 4_000 },
  crashSeveral: { weight: 4, shortMs: 50, longMs: 3_000 },
  powerCut: { weight: 4, shortMs: 50, longMs: 1_000 },
  pause: { weight: 8, shortMs: 100, longMs: 6_000 },
  partition: { weight: 10, shortMs: 200, longMs: 5_000 },
  oneWayPartition: { weight: 8, shortMs: 200, longMs: 4_000 },
  clog: { weight: 5, shortMs: 100, longMs: 3_000 },
  lossBurst: { weight: 5, shortMs: 200, longMs: 4_000 },
  duplicateBurst: { weight: 5, shortMs: 200, longMs: 4_000 },
  slowNetwork: { weight: 4, shortMs: 200, longMs: 4_000 },
  garbage: { weight: 4, shortMs: 200, longMs: 4_000 },
  slowDisk: { weight: 5, shortMs: 200, longMs: 4_000 },
  diskStall: { weight: 8, shortMs: 50, longMs: 5_000 },
  diskError: { weight: 4, shortMs: 100, longMs: 3_000 },
  diskFull: { weight: 4, shortMs: 500, longMs: 3_000 },
  bitRot: { weight: 4, shortMs: 50, longMs: 500 },
  wipe: { weight: 4, shortMs: 1_000, longMs: 3_000 },
  clockRate: { weight: 4, shortMs: 500, longMs: 10_000 },
  gracefulStop: { weight: 5, shortMs: 100, longMs: 3_000 },
  addMember: { weight: 7, shortMs: 0, longMs: 1 },
  removeMember: { weight: 5, shortMs: 0, longMs: 1 },
  jointChange: { weight: 6, shortMs: 0, longMs: 1 },
  transfer: { weight: 7, shortMs: 0, longMs: 1 },
  leaseChange: { weight: 4, shortMs: 0, longMs: 1 },
  usurp: { weight: 20, shortMs: 1_000, longMs: 8_000 },
  jointUsurp: { weight: 6, shortMs: 1_000, longMs: 6_000 },
};

/** The plan of a seed. The same (seed, options) give the same plan on every machine. */
export function drawPlan(seed: number, options: SwarmOptions): Plan {
  const config = drawConfig(new Rng(seed, "tunables"), options);
  const rng = new Rng(seed, "faults");
  if (options.leaseProof)
    return { seed, config: proofOf(config), faults: drawIsolations(rng, config), skip: [] };
  return { seed, config, faults: config.calm ? [] : drawFaults(rng, config), skip: [] };
}

/**
 * What makes a lease dangerous if it lasts longer than the promises to it: it is as long as it may be, all reads use
 * it, and a new leader commits at once.
 */
function proofOf(config: SeedConfig): SeedConfig {
  return {
    ...config,
    members: 3,
    learners: 0,
    calm: false,
    leaseMs: Math.floor((config.electionTimeoutMs * 9) / 10),
    readMode: "lease",
    syncMeanUs: 100,
    network: { ...config.network, delayMeanUs: 100, lossPpm: 0 },
  };
}

/** The leader is cut off again and again, while its clients still reach it. */
function drawIsolations(rng: Rng, config: SeedConfig): Fault[] {
  const faults: Fault[] = [];
  const timeoutUs = config.electionTimeoutMs * 1000;
  for (
    let at = FIRST_FAULT_US;
    at < config.safetyMs * 1000;
    at += timeoutUs * 3 + rng.exponential(timeoutUs)
  ) {
    // An odd pick aims at the leader; the rest of it names the shape "isolate".
    faults.push({ at, kind: "partition", pick: 1, bits: rng.next(), forUs: timeoutUs * 2 });
  }
  return faults;
}

function drawConfig(rng: Rng, options: SwarmOptions): SeedConfig {
  const calm = rng.chance(CALM_PPM);
  const members = rng.pick([1, 3, 3, 3, 3, 3, 3, 5]);
  const electionTimeoutMs = rng.int(200, 2001);
  const heartbeatMs = Math.max(1, Math.floor(electionTimeoutMs / rng.int(5, 10)));
  // Now and then longer than an election timeout: then only the promise keeps voters from deposing a leader.
  const percent = rng.int(0, 3) === 0 ? rng.int(91, 250) : rng.int(30, 91);
  const lease = rng.int(0, 3) === 0 ? 0 : Math.floor((electionTimeoutMs * percent) / 100);
  const readMode = rng.pick(["quorum", "lease", "lease", "mixed"] as const);
  const snapshotEntries = rng.pick([5, 10, 20, 50, 100, 300, 1000]);
  const delayMeanUs = rng.pick([100, 300, 1_000, 3_000, 8_000]);
  const fifo = rng.int(0, 3) === 0;
  const drawn: SeedConfig = {
    members,
    learners: rng.pick([0, 0, 0, 1, 2]),
    calm,
    electionTimeoutMs,
    heartbeatMs,
    leaseMs: lease,
    drift: options.drift,
    readMode,
    requestTimeoutMs: electionTimeoutMs * 2 + rng.int(200, 3_000),
    maxPendingRequests: rng.pick([2, 8, 64, 1_000]),
    maxUncommittedBytes: rng.pick([256, 4_096, 1_000_000]),
    maxInflightMessages: rng.pick([1, 2, 8, 64, 256]),
    maxAppendBytes: rng.pick([1, 200, 2_000, 65_536]),
    snapshotEntries,
    catchUpEntries: rng.int(0, 3) === 0 ? 0 : rng.int(0, snapshotEntries + 1),
    backendIntervalMs: rng.pick([10, 50, 100, 300]),
    backendBatchEntries: rng.pick([1, 10, 1_000]),
    maxSnapshotStreams: rng.pick([1, 2]),
    snapshotTimeoutMs: rng.int(1_000, 4_000),
    segmentBytes: rng.pick([16, 16, 32, 64]) * 1024,
    chunkBytes: rng.pick([64, 300, 2_000, 65_536]),
    network: {
      delayMeanUs,
      fifo,
      lossPpm: fifo ? rng.pick([0, 0, 500]) : rng.pick([0, 0, 1_000, 10_000, 50_000]),
      duplicatePpm: rng.pick([0, 1_000, 20_000, 100_000]),
      capacity: rng.pick([4, 16, 64, 1_000]),
    },
    syncMeanUs: rng.pick([100, 400, 1_000, 3_000]),
    clients: rng.int(3, 9),
    keys: rng.int(1, 6),
    wander: rng.pick([2, 16, 16, 200]),
    operationsPerSecond: rng.int(9, 13),
    mix: [],
    watchers: rng.pick([0, 1, 2, 3]),
    maxWatchBytes: rng.pick([200, 3_000, 1_000_000]),
    watchFragmentBytes: rng.pick([100, 2_000, 2_000_000]),
    compactionBatch: rng.pick([1, 5, 1_000]),
    readSlice: rng.pick([1, 4, 1_000]),
    leaseCheckpointMs: rng.pick([1_000, 5_000, 300_000]),
    quotaBytes: rng.int(0, 8) === 0 ? 0 : 2 ** 31,
    safetyMs: rng.int(57_000, 65_000),
    // Batches of many sectors can be torn in more ways than those of one.
    valueBytes: rng.pick([0, 0, 700, 2_500]),
  };
  const isQuotaSmall = drawn.quotaBytes === 0;
  // Now and then so small that it is reached, and only deletes, compactions and an operator help.
  const quotaBytes = isQuotaSmall ? 5_000 + drawn.valueBytes * 14 : drawn.quotaBytes;
  const config = { ...drawn, quotaBytes, mix: drawMix(rng, isQuotaSmall) };
  return rng.int(0, 10) === 0 ? cutShort(config) : config;
}

/**
 * The log is cut as often and as far as it can be, and its segments are small: the last one may hold a single batch,
 * not yet durable, when its predecessor would be free to go.
 */
function cutShort(config: SeedConfig): SeedConfig {
  const least = { snapshotEntries: 1, catchUpEntries: 0, segmentBytes: 16 * 1024, backendIntervalMs: 10 };
  return { ...config, ...least, valueBytes: 2_500 };
}

function isCutShort(config: SeedConfig): boolean {
  return config.catchUpEntries === 0 && config.snapshotEntries === 1 && config.valueBytes === 2_500;
}

/** Weights of `REQUEST_KINDS`. There is always a write and a linearizable read. */
function drawMix(rng: Rng, isQuotaSmall: boolean): number[] {
  const optional = (weight: number): number => (rng.int(0, 4) === 0 ? 0 : weight);
  const leases = rng.int(0, 3) > 0;
  return [
    rng.int(4, 12),
    optional(rng.int(1, 5)),
    optional(rng.int(2, 10)),
    rng.int(4, 12),
    optional(rng.int(1, 5)),
    optional(rng.int(1, 5)),
    optional(rng.int(1, 3)),
    optional(1),
    leases ? 2 : 0,
    leases ? optional(1) : 0,
    leases ? rng.int(2, 6) : 0,
    leases ? optional(1) : 0,
    leases ? optional(1) : 0,
    optional(1),
    isQuotaSmall ? 1 : 0,
  ];
}

function drawFaults(rng: Rng, config: SeedConfig): Fault[] {
  const enabled: FaultKind[] = FAULT_KINDS.filter(() => rng.int(0, 100) < 55);
  if (enabled.length === 0) enabled.push("kill", "partition");
  let total = 0;
  for (const kind of enabled) total += RATES[kind].weight;
  const meanGapUs = rng.pick([1_200_000, 1_800_000, 2_500_000, 3_500_000]);
  const faults: Fault[] = [];
  for (let at = FIRST_FAULT_US; at < config.safetyMs * 1000; at += 10_000 + rng.exponential(meanGapUs)) {
    const kind = drawKind(enabled, rng.int(0, total));
    const { shortMs, longMs } = RATES[kind];
    // Short ones are as interesting as long ones: a power of the range, by drawing the upper end first.
    const reach = rng.int(shortMs, longMs) + 1;
    const forUs = rng.int(shortMs, Math.max(reach, shortMs + 1)) * 1000 + rng.int(0, 1000);
    faults.push({ at, kind, pick: rng.next(), bits: rng.next(), forUs });
  }
  return isCutShort(config) ? [...faults, ...drawRolls(rng, config)] : faults;
}

/** The power goes, again and again, when a segment is about to begin. */
function drawRolls(rng: Rng, config: SeedConfig): Fault[] {
  const faults: Fault[] = [];
  for (let i = 0; i < ROLLS; i++) {
    const at = rng.int(FIRST_FAULT_US, config.safetyMs * 1000);
    const bits = ((rng.next() & ~7) | ROLLING) >>> 0;
    faults.push({ at, kind: "powerLoss", pick: rng.next(), bits, forUs: 200_000 + rng.int(0, 500_000) });
  }
  return faults;
}

/** The kind that a ticket in [0, sum of all weights) falls on. */
function drawKind(enabled: readonly FaultKind[], ticket: number): FaultKind {
  let below = 0;
  for (const kind of enabled) {
    below += RATES[kind].weight;
    if (ticket < below) return kind;
  }
  return "kill";
}
