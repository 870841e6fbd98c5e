/**
 * The one place that turns refusals and answers of a member into gRPC statuses. Texts are etcd's to the letter, since
 * clients map them by text (base/errors.ts); the code on the wire is the one that etcd's server really sends.
 */
import { CODE, type Code, ERR, type KvError } from "../base/index.ts";
import type { Answer } from "../member/types.ts";

/** A status as it travels. */
export interface Status {
  readonly code: Code;
  readonly message: string;
}

function error(code: Code, text: string): KvError {
  return Object.freeze({ code, message: `etcdserver: ${text}` });
}

/** Refusals of the services themselves, of which the replicated state knows nothing. */
export const RPC_ERR = {
  transferTimeout: error(CODE.unknown, "request timed out, leader transfer took too long"),
  canceled: { code: CODE.canceled, message: "context canceled" },
} as const satisfies Record<string, KvError>;

/**
 * Errors that etcd declares with one code and sends with another: they are wrapped on the way in a type that its gRPC
 * library does not know a status of, and arrive as Unknown with the text intact (v3rpc/util.go: toGRPCErrorMap).
 */
const SENT_AS_UNKNOWN: ReadonlySet<string> = new Set([
  ERR.tooManyRequests.message,
  "etcdserver: re-configuration failed due to not enough started members",
]);

/** What a refusal is on the wire. */
export function statusOf(refusal: KvError): Status {
  if (!SENT_AS_UNKNOWN.has(refusal.message)) return refusal;
  return { code: CODE.unknown, message: refusal.message };
}

/** Answers that are no result. */
export type Failure = Extract<Answer, { readonly type: "refused" | "unknown" }>;

/** Why there is no result. An unknown outcome is a timeout to etcd's clients: they must look before they retry. */
export function errorOf(answer: Failure): KvError {
  if (answer.type === "refused") return answer.error;
  return answer.reason === ERR.stopped.message ? ERR.stopped : ERR.timeout;
}
