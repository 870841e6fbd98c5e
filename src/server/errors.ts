/** How opening and running end when they do not end well. The first failure is final: nothing is tried again. */
import { BackendError } from "../backend/errors.ts";
import { AssertionError } from "../base/index.ts";
import type { WalRefusal } from "../wal/index.ts";

/** Which part gave up: `program` is a bug, `member` is what the core says of the replicated state or its identity. */
export type FailedPart = "log" | "state" | "member" | "peers" | "program";

/** The member cannot go on, or could not be opened. `message` names the file or record and the operation. */
export class DriverError extends Error {
  readonly part: FailedPart;

  constructor(part: FailedPart, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "DriverError";
    this.part = part;
  }
}

/** The data directory is not one to run on. Nothing was changed in it. */
export function refusedLog({ file, offset, reason, advice }: WalRefusal): DriverError {
  return new DriverError("log", `log file ${file}, offset ${offset}: ${reason}. ${advice}`);
}

/** Names a thrown value by the part that it came from; an assertion is a bug wherever it struck. */
export function failureOf(part: FailedPart, thrown: unknown): DriverError {
  if (thrown instanceof DriverError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new DriverError(partOf(thrown) ?? part, message, thrown);
}

function partOf(thrown: unknown): FailedPart | undefined {
  if (thrown instanceof AssertionError) return "program";
  // The member reads the state, so its disk may fail in the middle of an input.
  return thrown instanceof BackendError ? "state" : undefined;
}
