/**
 * What a member answers to another one's hello, and a receiver to a snapshot stream. The reason comes from another
 * machine and ends in a log, so it is bounded.
 */
import { bytesOf, fail, textOf } from "../base/index.ts";
import { textProblem } from "./check.ts";
import type { Decoded, PeerVerdict } from "./types.ts";
import { decodeWith, type Reader, readFlag, readText, skipField } from "./wire-read.ts";
import { begin, finish, putFlag, putText } from "./wire-write.ts";

const WHAT = "peer verdict";

/** Longest reason, bytes of UTF-8. */
export const MAX_REASON_BYTES = 2048;

/** Leaves room for new fields. */
const MAX_VERDICT_BYTES = 4096;

/** As the wire has it: both fields are always there to be judged together. */
interface Fields {
  readonly accepted: boolean;
  readonly reason: string;
}

/**
 * A reason above MAX_REASON_BYTES is cut.
 * @throws AssertionError when a refusal has no reason, or one with a lone surrogate
 */
export function encodeVerdict(verdict: PeerVerdict): Uint8Array {
  const accepted = verdict.type === "accepted";
  const reason = verdict.type === "accepted" ? "" : cut(verdict.reason);
  const problem = verdictProblem({ accepted, reason });
  if (problem !== undefined) fail(`cannot encode ${WHAT}: ${problem}`);
  const w = begin();
  putFlag(w, 1, accepted);
  putText(w, 2, reason);
  return finish(w, WHAT, MAX_VERDICT_BYTES);
}

/** Refuses what neither accepts nor says why not. */
export function decodeVerdict(bytes: Uint8Array): Decoded<PeerVerdict> {
  const decoded = decodeWith(WHAT, bytes, MAX_VERDICT_BYTES, readVerdict, verdictProblem);
  if (decoded.type === "refused") return decoded;
  const { accepted, reason } = decoded.value;
  return { type: "ok", value: accepted ? { type: "accepted" } : { type: "refused", reason } };
}

function readVerdict(r: Reader): Fields {
  let accepted = false;
  let reason = "";
  while (r.pos < r.len) {
    const tag = r.tag();
    if (tag >>> 3 === 1) accepted = readFlag(r, tag, "accepted");
    else if (tag >>> 3 === 2) reason = readText(r, tag, "reason");
    else skipField(r, tag);
  }
  return { accepted, reason };
}

function verdictProblem({ accepted, reason }: Fields): string | undefined {
  if (accepted && reason !== "") return "accepted, with a reason why not";
  if (!accepted && reason === "") return "refused without a reason";
  // A text has at most three bytes per unit: only a long one is measured.
  if (reason.length * 3 > MAX_REASON_BYTES && bytesOf(reason).length > MAX_REASON_BYTES) {
    return `reason has more than ${MAX_REASON_BYTES} bytes`;
  }
  return textProblem("reason", reason);
}

/** The first bytes, and no part of a character at their end. */
function cut(reason: string): string {
  if (reason.length * 3 <= MAX_REASON_BYTES) return reason;
  const bytes = bytesOf(reason);
  if (bytes.length <= MAX_REASON_BYTES) return reason;
  return textOf(bytes.subarray(0, MAX_REASON_BYTES - 3)).replace(/\uFFFD+$/, "");
}
