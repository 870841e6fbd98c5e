/** The failures of a state on disk, each with the place and with what to do: an operator reads nothing else. */

const REPLACE =
  "Remove this member from the cluster and add it again under a new ID with an empty data directory; " +
  "the other members send it the state. Keep a copy of this directory if you want to find the cause.";

/** What is on disk is not what was written, or cannot be used. Fatal: the member stops, the others go on. */
export class BackendError extends Error {
  /** The state's directory. */
  readonly directory: string;

  constructor(directory: string, message: string, advice: string, options?: { readonly cause: unknown }) {
    super(`state directory ${directory}: ${message}. ${advice}`, options);
    this.name = "BackendError";
    this.directory = directory;
  }
}

/** A record, a marker or a whole file is damaged or gone. */
export function damaged(directory: string, what: string, cause?: unknown): BackendError {
  return new BackendError(directory, what, REPLACE, cause === undefined ? undefined : { cause });
}

/** A record whose bytes are not those that were written under its name. Its bytes are given to nobody. */
export function damagedRecord(directory: string, name: string): BackendError {
  return damaged(directory, `record ${JSON.stringify(name)} is damaged: its checksum is wrong`);
}

/** The database or the file system gave an error. */
export function failed(directory: string, what: string, cause: unknown): BackendError {
  const reason = reasonOf(cause);
  return new BackendError(
    directory,
    `${what} failed: ${reason}`,
    "If the disk is full, free space; if it has errors, replace it and add the member again; then start the member.",
    { cause },
  );
}

/** Database errors carry their reason one level down. */
export function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  return cause.cause instanceof Error ? `${cause.message} (${cause.cause.message})` : cause.message;
}
