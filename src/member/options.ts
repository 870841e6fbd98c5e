/** Defaults and bounds of a member's tunables. The simulator draws from inside the same bounds. */
import { DEFAULT_QUOTA_BYTES, DEFAULT_REQUEST_LIMITS } from "../apply/index.ts";
import { LIMITS, MAX_ID } from "../base/index.ts";
import { nameProblem, urlsProblem } from "../pb/index.ts";
import type { MemberOptions } from "./types.ts";

/** Everything but the identity, which has no default. */
export const DEFAULT_OPTIONS: Omit<MemberOptions, "id" | "instance"> = {
  name: "",
  clientUrls: [],
  maxLearners: 1,
  electionTimeoutMs: 1_000,
  heartbeatMs: 100,
  readMode: "quorum",
  requestTimeoutMs: 7_000,
  maxPendingRequests: 10_000,
  maxUncommittedBytes: 32 * 1024 * 1024,
  maxInflightMessages: 256,
  maxAppendBytes: 128 * 1024,
  snapshotEntries: 10_000,
  catchUpEntries: 5_000,
  backendIntervalMs: 100,
  backendBatchEntries: 10_000,
  maxSnapshotStreams: 2,
  snapshotTimeoutMs: 300_000,
  quotaBytes: DEFAULT_QUOTA_BYTES,
  requestLimits: DEFAULT_REQUEST_LIMITS,
  maxWatchBytes: 16 * 1024 * 1024,
  watchFragmentBytes: 2 * 1024 * 1024,
  watchProgressMs: 600_000,
  leaseCheckpointMs: 300_000,
  readSlice: 1_000,
  compactionBatch: 1_000,
  compactionPauseMs: 10,
};

type NumberOption = {
  [K in keyof MemberOptions]: MemberOptions[K] extends number ? K : never;
}[keyof MemberOptions];

/** Inclusive bounds. Times are whole milliseconds. The quota may also be Infinity. */
const BOUNDS: Readonly<Record<Exclude<NumberOption, "quotaBytes">, readonly [lo: number, hi: number]>> = {
  maxLearners: [0, LIMITS.maxMembers],
  electionTimeoutMs: [10, 600_000],
  heartbeatMs: [1, 120_000],
  requestTimeoutMs: [1, 3_600_000],
  maxPendingRequests: [1, 1_000_000],
  maxUncommittedBytes: [1, 2 ** 32],
  maxInflightMessages: [1, 65_536],
  maxAppendBytes: [1, 16 * 1024 * 1024],
  snapshotEntries: [1, 1_000_000_000],
  catchUpEntries: [0, 1_000_000_000],
  backendIntervalMs: [1, 60_000],
  backendBatchEntries: [1, 1_000_000],
  maxSnapshotStreams: [1, 64],
  snapshotTimeoutMs: [1, 86_400_000],
  maxWatchBytes: [1, 2 ** 32],
  watchFragmentBytes: [1, 2 ** 32],
  watchProgressMs: [100, 86_400_000],
  leaseCheckpointMs: [1_000, 86_400_000],
  readSlice: [1, 1_000_000],
  compactionBatch: [1, 1_000_000],
  compactionPauseMs: [0, 60_000],
};

const NUMBER_OPTIONS = Object.keys(BOUNDS) as (keyof typeof BOUNDS)[];

/** Checks every option by itself and those that depend on each other; the first fault is named with its values. */
export function validateOptions(
  options: MemberOptions,
): { readonly type: "ok" } | { readonly type: "refused"; readonly reason: string } {
  for (const name of ["id", "instance"] as const) {
    if (options[name] <= 0n || options[name] > MAX_ID) {
      return refused(`${name} ${options[name].toString(16)} is not an identity`);
    }
  }
  const told = nameProblem(options.name) ?? urlsProblem("clientUrls", options.clientUrls);
  if (told !== undefined) return refused(told);
  for (const name of NUMBER_OPTIONS) {
    const [lo, hi] = BOUNDS[name];
    const value = options[name];
    if (!Number.isSafeInteger(value) || value < lo || value > hi) {
      return refused(`${name} ${value} is not a whole number in [${lo}, ${hi}]`);
    }
  }
  if (!(options.quotaBytes > 0)) return refused(`quotaBytes ${options.quotaBytes} is not above 0`);
  if (options.readMode !== "quorum" && options.readMode !== "lease") {
    return refused(`readMode ${String(options.readMode)} is neither quorum nor lease`);
  }
  // Fewer beats per timeout, and one lost message or a slow moment costs an election.
  if (options.electionTimeoutMs < 5 * options.heartbeatMs) {
    return refused(
      `electionTimeoutMs ${options.electionTimeoutMs} is below 5 x heartbeatMs ${options.heartbeatMs}`,
    );
  }
  // Otherwise the log would be due for cutting with nothing to cut.
  if (options.catchUpEntries > options.snapshotEntries) {
    return refused(
      `catchUpEntries ${options.catchUpEntries} is above snapshotEntries ${options.snapshotEntries}`,
    );
  }
  return { type: "ok" };
}

function refused(reason: string): { readonly type: "refused"; readonly reason: string } {
  return { type: "refused", reason };
}
