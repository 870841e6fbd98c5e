/**
 * The directory of one member: its lock, its identity, and where log and state lie.
 *
 *     <data-dir>/member/identity.json   cluster, member and instance; written once, before anything else
 *     <data-dir>/member/founded         empty; from the first time on that the log held something
 *     <data-dir>/member/wal             the log
 *     <data-dir>/member/state           the states
 *
 * The instance is drawn when the directory is made: it is how the others notice that a member lost its data.
 */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import type { ClusterId, InstanceId, MemberId } from "../base/index.ts";
import { hex } from "../base/index.ts";
import { type DirectoryLock, lockDirectory } from "../wal/index.ts";

const FORMAT = 1;

export interface Identity {
  readonly cluster: ClusterId;
  readonly member: MemberId;
  readonly instance: InstanceId;
}

export interface DataDirectory {
  readonly identity: Identity;
  /** Whether the identity was there before: a member that comes back. */
  readonly isOld: boolean;
  readonly walPath: string;
  readonly statePath: string;
  readonly lock: DirectoryLock;
  /** The log holds something from now on: without it this directory is not one to start from any more. Idempotent. */
  markFounded(): void;
}

/** A data directory that cannot be used; the message names it and what to do. */
export class DataDirectoryError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "DataDirectoryError";
  }
}

/**
 * Makes the directory if it is not there, locks it and reads its identity.
 *
 * @param found gives the identity of a new directory, all but the instance; it may refuse by rejecting
 * @throws DirectoryLockedError, DataDirectoryError
 */
export async function openDataDirectory(
  path: string,
  found: () => Promise<Omit<Identity, "instance">>,
): Promise<DataDirectory> {
  const member = join(path, "member");
  const walPath = join(member, "wal");
  const statePath = join(member, "state");
  for (const folder of [member, walPath, statePath]) mkdirSync(folder, { recursive: true, mode: 0o700 });
  const lock = await lockDirectory(member);
  try {
    const file = join(member, "identity.json");
    const isOld = existsSync(file);
    if (!isOld) writeIdentity(file, { ...(await found()), instance: newInstance() });
    const founded = join(member, "founded");
    if (existsSync(founded) && !readdirSync(walPath).some((name) => name.endsWith(".wal")))
      throw lostLog(walPath);
    const markFounded = (): void => {
      if (!existsSync(founded)) writeDurably(founded, "");
    };
    return { identity: readIdentity(file), isOld, walPath, statePath, lock, markFounded };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

function newInstance(): InstanceId {
  return randomBytes(8).readBigUInt64BE(0) || 1n;
}

function writeIdentity(file: string, identity: Identity): void {
  const text = JSON.stringify({
    format: FORMAT,
    cluster: hex(identity.cluster),
    member: hex(identity.member),
    instance: hex(identity.instance),
  });
  writeDurably(file, `${text}\n`);
}

/** Durable when this returns: the file, its name, and the names of the folders above it. */
function writeDurably(file: string, text: string): void {
  const temporary = `${file}.tmp`;
  const descriptor = openSync(temporary, "w", 0o600);
  writeSync(descriptor, text);
  fsyncSync(descriptor);
  closeSync(descriptor);
  renameSync(temporary, file);
  const member = dirname(file);
  for (const folder of [member, dirname(member)]) {
    const opened = openSync(folder, "r");
    fsyncSync(opened);
    closeSync(opened);
  }
}

function readIdentity(file: string): Identity {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(file, "utf8"));
  } catch (cause) {
    throw damaged(file, "it is no JSON", cause);
  }
  const fields =
    typeof parsed === "object" && parsed !== null ? Object.fromEntries(Object.entries(parsed)) : {};
  if (fields["format"] !== FORMAT) {
    throw damaged(
      file,
      `its format ${String(fields["format"])} is not one that this program reads (${FORMAT})`,
    );
  }
  const id = (name: string): bigint => {
    const text: unknown = fields[name];
    if (typeof text !== "string" || !/^[0-9a-f]{1,16}$/.test(text)) throw damaged(file, `it has no ${name}`);
    return BigInt(`0x${text}`);
  };
  return { cluster: id("cluster"), member: id("member"), instance: id("instance") };
}

/** Begun anew under the old identity it would have forgotten its votes, and nobody could tell. */
function lostLog(walPath: string): DataDirectoryError {
  return new DataDirectoryError(
    `${walPath}: the log of this member is gone. ` +
      "Restore it, or remove the member and add it again with an empty data directory.",
  );
}

function damaged(file: string, reason: string, cause?: unknown): DataDirectoryError {
  const advice = "Restore it, or remove the member and add it again with an empty data directory.";
  return new DataDirectoryError(`${file}: ${reason}. ${advice}`, { cause });
}
