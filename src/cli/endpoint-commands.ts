/** `kvctl endpoint …` and `defrag`: what is asked of each endpoint by itself. */
import { bytesOf, CODE } from "../base/index.ts";
import { ClientError } from "../client/index.ts";
import { CliError, EXIT, messageOf } from "./exit.ts";
import { numberFlag } from "./key-requests.ts";
import { durationText } from "./numbers.ts";
import type { EndpointHealth } from "./reports.ts";
import type { Flags, Session } from "./session.ts";

/** A read that needs a quorum, at every endpoint at once. One that lacks permission has a leader, and is healthy. */
export async function endpointHealth(
  session: Session,
  _args: readonly string[],
  flags: Flags,
): Promise<void> {
  const endpoints = await endpointsOf(session, flags);
  const all = await Promise.all(endpoints.map((endpoint) => healthOf(session, endpoint)));
  session.print({ type: "health", all });
  if (all.some(({ health }) => !health)) throw new CliError(EXIT.error, "unhealthy cluster");
}

async function healthOf(session: Session, endpoint: string): Promise<EndpointHealth> {
  const { clock } = session.system;
  const begun = clock.now();
  let error = "";
  try {
    await session.client([endpoint]).kv.range({ key: bytesOf("health") });
  } catch (cause: unknown) {
    if (!(cause instanceof ClientError && cause.code === CODE.permissionDenied)) error = messageOf(cause);
  }
  return { endpoint, health: error === "", took: durationText(clock.now() - begun), error };
}

export async function endpointStatus(
  session: Session,
  _args: readonly string[],
  flags: Flags,
): Promise<void> {
  const { all, isComplete } = await ofEach(session, flags, "get the status of", async (endpoint) => ({
    endpoint,
    status: await session.client([endpoint]).maintenance.status(),
  }));
  session.print({ type: "status", all });
  if (!isComplete) throw new Silent(EXIT.error);
}

export async function endpointHashKv(
  session: Session,
  _args: readonly string[],
  flags: Flags,
): Promise<void> {
  const revision = numberFlag(flags, "rev", "rev");
  const { all, isComplete } = await ofEach(session, flags, "get the hash of", async (endpoint) => ({
    endpoint,
    hash: await session.client([endpoint]).maintenance.hashKv(revision),
  }));
  session.print({ type: "hashKv", all });
  if (!isComplete) throw new Silent(EXIT.error);
}

export async function defrag(session: Session, _args: readonly string[], flags: Flags): Promise<void> {
  let isComplete = true;
  for (const endpoint of await endpointsOf(session, flags)) {
    try {
      await session.client([endpoint]).maintenance.defragment();
      session.system.out(`Finished defragmenting etcd member[${endpoint}]\n`);
    } catch (error: unknown) {
      if (!(error instanceof ClientError)) throw error;
      session.system.err(`Failed to defragment etcd member[${endpoint}] (${error.message})\n`);
      isComplete = false;
    }
  }
  if (!isComplete) throw new Silent(EXIT.error);
}

/** Ends with a code; all was said. */
export class Silent extends CliError {
  constructor(exitCode: CliError["exitCode"]) {
    super(exitCode, "");
  }
}

/** One after the other; who does not answer is named, and the others are told. */
async function ofEach<T>(
  session: Session,
  flags: Flags,
  what: string,
  ask: (endpoint: string) => Promise<T>,
): Promise<{ all: readonly T[]; isComplete: boolean }> {
  const all: T[] = [];
  let isComplete = true;
  for (const endpoint of await endpointsOf(session, flags)) {
    try {
      all.push(await ask(endpoint));
    } catch (error: unknown) {
      if (!(error instanceof ClientError)) throw error;
      session.system.err(`Failed to ${what} endpoint ${endpoint} (${error.message})\n`);
      isComplete = false;
    }
  }
  return { all, isComplete };
}

/** With `--cluster`: those that the members advertise. */
async function endpointsOf(session: Session, flags: Flags): Promise<readonly string[]> {
  if (flags["cluster"] !== true) return session.endpoints;
  const { members } = await session.client().cluster.list();
  return members.flatMap(({ clientUrls }) => clientUrls);
}
