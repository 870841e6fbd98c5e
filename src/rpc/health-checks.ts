/** What probes ask of a member over HTTP: whether it is well, alive, ready; names and words are etcd's. */
import { EMPTY_BYTES } from "../base/index.ts";
import type { Request } from "../member/types.ts";
import { errorOf } from "./error-map.ts";
import type { MemberFacade } from "./facade.ts";

/** Outcome of /health. */
export interface Health {
  readonly isHealthy: boolean;
  /** Empty if it is healthy. */
  readonly reason: string;
}

/**
 * Whether the member is well: no alarm, a leader, and a read that succeeds.
 *
 * @param options.exclude kinds of alarms that do not count, as in `NOSPACE`
 * @param options.serializable only the member's own state is asked, so that one without a leader passes
 */
export async function checkHealth(
  facade: MemberFacade,
  options: { readonly exclude: readonly string[]; readonly serializable: boolean },
): Promise<Health> {
  for (const { alarm } of facade.store().alarms) {
    const name = alarm.toUpperCase();
    if (!options.exclude.includes(name)) return { isHealthy: false, reason: `ALARM ${name}` };
  }
  if (!options.serializable && facade.status().leader === 0n) {
    return { isHealthy: false, reason: "RAFT NO LEADER" };
  }
  const problem = await readProblem(facade, options.serializable);
  if (problem === undefined) return { isHealthy: true, reason: "" };
  return { isHealthy: false, reason: `RANGE ERROR:${problem}` };
}

type Check = (facade: MemberFacade) => Promise<string | undefined>;

/** Each gives what is wrong, or undefined. */
const CHECKS = {
  serializable_read: (facade) => readProblem(facade, true),
  linearizable_read: (facade) => readProblem(facade, false),
  data_corruption: async (facade) =>
    facade.store().alarms.some(({ alarm }) => alarm === "corrupt") ? "alarm activated: CORRUPT" : undefined,
  non_learner: async (facade) =>
    facade.status().conf.learners.includes(facade.member) ? "not supported for learner" : undefined,
} as const satisfies Record<string, Check>;

export type CheckName = keyof typeof CHECKS;

/** The checks behind /livez and /readyz, in order. */
export const PROBES: Readonly<Record<"livez" | "readyz", readonly CheckName[]>> = {
  livez: ["serializable_read"],
  readyz: ["data_corruption", "serializable_read", "linearizable_read", "non_learner"],
};

/** Runs checks in order; the report has one line for each. */
export async function runChecks(
  facade: MemberFacade,
  names: readonly CheckName[],
): Promise<{ readonly isOk: boolean; readonly report: string }> {
  let isOk = true;
  let report = "";
  for (const name of names) {
    const problem = await CHECKS[name](facade);
    if (problem !== undefined) isOk = false;
    report += problem === undefined ? `[+]${name} ok\n` : `[-]${name} failed: ${problem}\n`;
  }
  return { isOk, report };
}

async function readProblem(facade: MemberFacade, serializable: boolean): Promise<string | undefined> {
  const answer = await facade.request(probeRead(serializable));
  return answer.type === "refused" || answer.type === "unknown" ? errorOf(answer).message : undefined;
}

/** Reads a key that nobody has: how long it takes depends on the member, not on the data. */
export function probeRead(serializable: boolean): Request {
  return {
    type: "read",
    read: {
      type: "range",
      key: new Uint8Array(1),
      rangeEnd: EMPTY_BYTES,
      limit: 1,
      revision: 0,
      sortOrder: "none",
      sortTarget: "key",
      serializable,
      keysOnly: true,
      countOnly: false,
      minModRevision: 0,
      maxModRevision: 0,
      minCreateRevision: 0,
      maxCreateRevision: 0,
    },
  };
}
