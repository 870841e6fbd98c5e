/**
 * What a call ends with when it has no answer. The server's text is kept to the letter, because programs compare it;
 * what the client adds is whether the request can have had an effect.
 */
import { CODE, type Code, ERR, type KvError } from "../base/index.ts";

/** What became of the request: refused, it changed nothing; unknown, it may have happened. */
export type Outcome = "refused" | "unknown";

/** A call without an answer. `code` is that of gRPC, `message` the complete text of the server or of the client. */
export class ClientError extends Error implements KvError {
  readonly code: Code;
  readonly outcome: Outcome;
  /** Who was asked last; undefined: nobody was reached. */
  readonly endpoint: string | undefined;

  constructor(
    error: KvError,
    details: { readonly outcome: Outcome; readonly endpoint?: string | undefined; readonly cause?: unknown },
  ) {
    super(error.message, { cause: details.cause });
    this.name = "ClientError";
    this.code = error.code;
    this.outcome = details.outcome;
    this.endpoint = details.endpoint;
  }
}

/** A watch asked for history that is gone. Read the keys again, and watch from the revision of that read. */
export class CompactedError extends ClientError {
  /** The oldest revision that can still be watched is this one. */
  readonly compactRevision: number;

  constructor(compactRevision: number) {
    super(ERR.compacted, { outcome: "refused" });
    this.name = "CompactedError";
    this.compactRevision = compactRevision;
  }
}

/** The server ended a watch for a reason that a second attempt would meet again. */
export class WatchCanceledError extends ClientError {
  constructor(reason: string) {
    super({ code: CODE.canceled, message: reason }, { outcome: "refused" });
    this.name = "WatchCanceledError";
  }
}

/** The time of the call is over. Text as Go's, which scripts look for. */
export function deadlineExceeded(
  outcome: Outcome,
  endpoint: string | undefined,
  cause?: unknown,
): ClientError {
  const error = { code: CODE.deadlineExceeded, message: "context deadline exceeded" };
  return new ClientError(error, { outcome, endpoint, cause });
}

/** The caller gave up. */
export function canceled(outcome: Outcome, endpoint: string | undefined): ClientError {
  return new ClientError({ code: CODE.canceled, message: "context canceled" }, { outcome, endpoint });
}

/** Nobody listens there, or not in time. */
export function notConnected(endpoint: string): ClientError {
  const error = { code: CODE.unavailable, message: `cannot connect to ${endpoint}` };
  return new ClientError(error, { outcome: "refused", endpoint });
}

/** The answer is none of etcd's messages: the other side is something else, or newer in a way that it should not. */
export function malformedAnswer(method: string, reason: string): ClientError {
  const error = { code: CODE.internal, message: `answer to ${method} does not decode: ${reason}` };
  return new ClientError(error, { outcome: "unknown" });
}
