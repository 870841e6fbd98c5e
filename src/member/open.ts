/**
 * What must hold between a recovered log and the state beside it before a member may run on them (DESIGN §5 "Open").
 * Each is durable by itself, so a crash can leave them apart; a state *ahead* of its log can only be loss or a mix-up
 * of directories, and a member that ran on would answer for entries that it no longer has.
 */
import { hex } from "../base/index.ts";
import type { BackendMeta, RecoveredLog } from "../env/index.ts";
import { decodeConfChange } from "../pb/index.ts";
import type { RaftStart } from "../raft/api.ts";

/** Where the consensus core starts, or why this data directory is refused. */
export type Judged =
  | { readonly type: "ok"; readonly start: RaftStart }
  | { readonly type: "refused"; readonly reason: string };

/** Judges a log and a state, and derives what the consensus core starts from. */
export function judgeRecovered(log: RecoveredLog, state: BackendMeta): Judged {
  const reason = faultOf(log, state);
  if (reason !== undefined) return { type: "refused", reason };
  const lease = longestLease(log, state);
  if (lease.type === "refused") return lease;
  return {
    type: "ok",
    start: {
      // The hard state's commit may lag behind what was applied. Starting below the applied index would hand out
      // entries a second time.
      hardState: { ...log.hardState, commit: Math.max(log.hardState.commit, state.index) },
      base: log.base,
      entries: log.entries,
      applied: state.index,
      conf: state.conf,
      longestLeaseMs: lease.ms,
    },
  };
}

function faultOf(log: RecoveredLog, state: BackendMeta): string | undefined {
  const { base, entries, hardState, snapshot } = log;
  const last = base.index + entries.length;
  const lastTerm = entries.at(-1)?.term ?? base.term;
  if (snapshot !== undefined && snapshot.index > state.index) {
    return `the log names a snapshot at index ${snapshot.index}, the state ends at ${state.index}`;
  }
  if (last < state.index) return `the log ends at index ${last}, the state at ${state.index}`;
  if (base.index > state.index)
    return `the log begins after index ${base.index}, the state ends at ${state.index}`;
  if (hardState.commit > last)
    return `the log ends at index ${last}, it was committed up to ${hardState.commit}`;
  if (hardState.term < lastTerm)
    return `the log ends in term ${lastTerm}, the hard state says ${hardState.term}`;
  // Equal index and another term: log and state come from different histories.
  const term = state.index === base.index ? base.term : entries[state.index - base.index - 1]?.term;
  if (term !== state.term) {
    return `index ${state.index} has term ${String(term)} in the log and ${state.term} in the state`;
  }
  return undefined;
}

/**
 * The longest lease that this member can have promised before it stopped: of the configuration that it had applied, of
 * its snapshot, and of every configuration change in its log, applied by then or not, because which ones it had
 * applied is forgotten.
 */
function longestLease(
  log: RecoveredLog,
  state: BackendMeta,
): { readonly type: "ok"; readonly ms: number } | { readonly type: "refused"; readonly reason: string } {
  let ms = Math.max(state.conf.leaseMs, log.snapshot?.conf.leaseMs ?? 0);
  for (const entry of log.entries) {
    if (entry.type !== "conf") continue;
    const change = decodeConfChange(entry.data);
    if (change.type === "refused") {
      return { type: "refused", reason: `entry ${entry.index} cannot be applied: ${change.reason}` };
    }
    ms = Math.max(ms, change.value.leaseMs ?? 0);
  }
  return { type: "ok", ms };
}

/** What a member says when its identity is pinned to another data directory, and what the operator does about it. */
export function wrongInstance(id: bigint, pinned: bigint, instance: bigint): string {
  return (
    `member ${hex(id)} is pinned to data directory ${hex(pinned)}, this one is ${hex(instance)}: ` +
    "it lost its data or a copy of it runs, and has forgotten its votes. " +
    `Remove it (kvctl member remove ${hex(id)}) and add it under a new ID (kvctl member add --learner).`
  );
}
