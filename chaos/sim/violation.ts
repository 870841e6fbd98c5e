/** A broken invariant. It is thrown out of the event loop and ends the run of its seed. */

/** Names of everything that can be found wrong; shrinking keeps the name while it drops faults. */
export type InvariantId =
  | "assertion"
  | "election-safety"
  | "election-quorum-durable"
  | "term-without-candidate"
  | "leader-without-quorum"
  | "leader-append-only"
  | "log-matching"
  | "leader-completeness"
  | "state-machine-safety"
  | "configuration-equality"
  | "monotonic-term"
  | "monotonic-commit"
  | "monotonic-applied"
  | "one-vote-per-term"
  | "vote-durable-before-sent"
  | "ack-durable-before-sent"
  | "term-durable-before-sent"
  | "persisted-is-durable"
  | "commit-on-durable-quorum"
  | "commit-is-committed"
  | "ack-on-durable-quorum"
  | "recovery-keeps-durable"
  | "state-directory-present"
  | "one-pending-configuration"
  | "configuration-overlap"
  | "lease-exclusive"
  | "stale-read"
  | "bounded-queue"
  | "slow-disk-hands-over"
  | "released-is-allowed"
  | "refused-at-open"
  | "fatal"
  | "liveness"
  | "convergence"
  | "answer-once"
  | "history"
  | "wiped-member-excluded"
  | "lease-lives-its-time"
  | "fault-atlas"
  | "closed-port-used"
  | "left-open";

export class SimViolation extends Error {
  readonly id: InvariantId;

  constructor(id: InvariantId, message: string) {
    super(message);
    this.name = "SimViolation";
    this.id = id;
  }
}

/** Throws; for use where the condition was found broken. */
export function violate(id: InvariantId, message: string): never {
  throw new SimViolation(id, message);
}

/** A thrown value as a violation: not only an AssertionError, any error inside a member is a defect of it. */
export function violationOf(error: unknown): SimViolation {
  if (error instanceof SimViolation) return error;
  return new SimViolation(
    "assertion",
    error instanceof Error ? (error.stack ?? error.message) : String(error),
  );
}
