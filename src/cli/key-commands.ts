/** `kvctl put`, `get`, `del`, `compaction`. */
import { badArgs, CliError, EXIT } from "./exit.ts";
import { delOf, getOf, putOf } from "./key-requests.ts";
import { clamped, parseInt64 } from "./numbers.ts";
import type { Flags, Session } from "./session.ts";

export async function put(session: Session, args: readonly string[], flags: Flags): Promise<void> {
  session.refuseTable();
  const request = await putOf(args, flags, () => session.system.readInput());
  session.print({ type: "put", answer: await session.client().kv.put(request) });
}

export async function get(session: Session, args: readonly string[], flags: Flags): Promise<void> {
  const request = getOf(args, flags);
  session.refuseTable();
  const valueOnly = flags["printValueOnly"] === true;
  if (valueOnly && session.format !== "simple") {
    throw badArgs("print-value-only is only for `--write-out=simple`");
  }
  session.print({ type: "get", answer: await session.client().kv.range(request), valueOnly });
}

export async function del(session: Session, args: readonly string[], flags: Flags): Promise<void> {
  const request = delOf(args, flags);
  session.refuseTable();
  session.print({ type: "del", answer: await session.client().kv.deleteRange(request) });
}

export async function compaction(session: Session, args: readonly string[], flags: Flags): Promise<void> {
  const [text] = args;
  if (text === undefined || args.length > 1) throw badArgs("compaction command needs 1 argument");
  const revision = parseInt64(text, 10);
  if (revision.type === "refused") throw new CliError(EXIT.error, revision.reason);
  const physical = flags["physical"] === true;
  // Deleting a long history takes its time, and is not undone by going away.
  const options = physical ? { timeoutMs: Number.POSITIVE_INFINITY, signal: session.system.interrupted } : {};
  await session.client().kv.compact({ revision: clamped(revision.value), physical }, options);
  session.system.out(`compacted revision ${revision.value}\n`);
}
