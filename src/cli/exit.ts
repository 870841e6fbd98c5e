/** How kvctl ends: etcdctl's exit codes, and errors that carry one (etcd: pkg/cobrautl/error.go). */

export const EXIT = {
  ok: 0,
  error: 1,
  badConnection: 2,
  /** For txn and watch. */
  invalidInput: 3,
  badFeature: 4,
  interrupted: 5,
  io: 6,
  badArgs: 128,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Ends a command with a message for people. */
export class CliError extends Error {
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = "CliError";
    this.exitCode = exitCode;
  }
}

/** Arguments that make no sense. */
export function badArgs(message: string): CliError {
  return new CliError(EXIT.badArgs, message);
}

/** What went wrong, for people. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
