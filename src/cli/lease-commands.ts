/** `kvctl lease …`. */
import { ERR } from "../base/index.ts";
import { ClientError } from "../client/index.ts";
import { badArgs, CliError, EXIT, messageOf } from "./exit.ts";
import { clamped, parseInt64 } from "./numbers.ts";
import type { Flags, Session } from "./session.ts";
import { leaseText } from "./texts.ts";

export async function leaseGrant(session: Session, args: readonly string[]): Promise<void> {
  const [text] = args;
  if (text === undefined || args.length > 1) throw badArgs("lease grant command needs TTL argument");
  const ttl = parseInt64(text, 10);
  if (ttl.type === "refused") throw badArgs(`bad TTL (${ttl.reason})`);
  try {
    const answer = await session.client().leases.grant({ ttl: clamped(ttl.value) });
    session.print({ type: "leaseGrant", answer });
  } catch (error: unknown) {
    throw worded("failed to grant lease", error);
  }
}

export async function leaseRevoke(session: Session, args: readonly string[]): Promise<void> {
  const [text] = args;
  if (text === undefined || args.length > 1) throw badArgs("lease revoke command needs 1 argument");
  const id = idOf(text);
  try {
    session.print({ type: "leaseRevoke", id, answer: await session.client().leases.revoke(id) });
  } catch (error: unknown) {
    throw worded("failed to revoke lease", error);
  }
}

export async function leaseTimeToLive(
  session: Session,
  args: readonly string[],
  flags: Flags,
): Promise<void> {
  const [text] = args;
  if (text === undefined || args.length > 1)
    throw badArgs("lease timetolive command needs lease ID as argument");
  const keys = flags["keys"] === true;
  const answer = await session.client().leases.timeToLive({ id: idOf(text), keys });
  session.print({ type: "leaseTimeToLive", answer, keys });
}

export async function leaseList(session: Session): Promise<void> {
  session.print({ type: "leaseList", answer: await session.client().leases.list() });
}

/** Once, or until the lease is gone or the user interrupts. */
export async function leaseKeepAlive(session: Session, args: readonly string[], flags: Flags): Promise<void> {
  const [text] = args;
  if (text === undefined || args.length > 1)
    throw badArgs("lease keep-alive command needs lease ID as argument");
  const id = idOf(text);
  const { leases } = session.client();
  if (flags["once"] === true) {
    try {
      session.print({ type: "leaseKept", answer: await leases.keepAliveOnce(id) });
    } catch (error: unknown) {
      if (error instanceof ClientError) throw new CliError(EXIT.badConnection, error.message, error);
      throw error;
    }
    return;
  }
  try {
    for await (const answer of leases.keepAlive(id, session.system.interrupted)) {
      session.print({ type: "leaseKept", answer });
    }
  } catch (error: unknown) {
    if (!(error instanceof ClientError) || error.message !== ERR.leaseNotFound.message) throw error;
    session.system.out(`lease ${leaseText(id)} expired or revoked.\n`);
  }
}

function idOf(text: string): bigint {
  const id = parseInt64(text, 16);
  if (id.type === "ok") return id.value;
  throw badArgs(`bad lease ID arg (${id.reason}), expecting ID in Hex`);
}

function worded(what: string, error: unknown): unknown {
  if (!(error instanceof ClientError)) return error;
  return new CliError(EXIT.error, `${what} (${messageOf(error)})`, error);
}
