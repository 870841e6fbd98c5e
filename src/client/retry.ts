/**
 * When a call may be made again. A read may whenever another member could answer. A write may only if it surely changed
 * nothing: a client that repeats a write whose fate it does not know can undo what came in between
 * (etcd: client/v3/retry.go).
 */
import { CODE, ERR } from "../base/index.ts";
import type { Random } from "../env/index.ts";
import type { ClientError } from "./errors.ts";

/** Whether a second execution would do harm. */
export type CallKind = "read" | "write";

/** First and longest pause between two rounds over all endpoints, ms. */
const FIRST_PAUSE_MS = 25;
const LONGEST_PAUSE_MS = 1_000;
/** Share of a pause that is drawn, so that clients of a member that failed do not come back at once. */
const JITTER = 0.2;

/** Refusals of a member that cannot serve now; the request was not proposed. */
const NOT_PROPOSED: ReadonlySet<string> = new Set([ERR.noLeader.message]);

/** Whether another attempt is allowed and could help. */
export function mayRetry(kind: CallKind, error: ClientError): boolean {
  if (error.code !== CODE.unavailable) return false;
  return kind === "read" || error.outcome === "refused";
}

/** Whether a status says that the request was not executed. */
export function surelyRefused(code: number, message: string): boolean {
  if (NOT_PROPOSED.has(message)) return true;
  // These can be given while the request is under way; what else a server says, it says before.
  return code !== CODE.unavailable && code !== CODE.canceled && !UNCERTAIN.has(code);
}

const UNCERTAIN: ReadonlySet<number> = new Set([
  CODE.unknown,
  CODE.deadlineExceeded,
  CODE.internal,
  CODE.dataLoss,
]);

/** Pause before a round, ms. @param round from 1 */
export function pauseMs(round: number, random: Random): number {
  const whole = Math.min(FIRST_PAUSE_MS * 2 ** Math.min(round - 1, 16), LONGEST_PAUSE_MS);
  return whole * (1 - JITTER) + (whole * JITTER * random.int(0, 1_001)) / 1_000;
}
