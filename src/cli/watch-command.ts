/** `kvctl watch`: prints what happens to keys, or runs a program for every event; interactively several at once. */
import type { Command } from "commander";
import { bytesOf, EMPTY_BYTES } from "../base/index.ts";
import {
  type ClientError,
  CompactedError,
  prefixEnd,
  type Told,
  WatchCanceledError,
} from "../client/index.ts";
import { badArgs, CliError, EXIT, messageOf } from "./exit.ts";
import { numberFlag, parsedWith } from "./key-requests.ts";
import { NO_HEADER } from "./reports.ts";
import type { Flags, Session } from "./session.ts";
import { quoted } from "./texts.ts";
import { wordsOf } from "./words.ts";

export function withWatchOptions(command: Command): Command {
  return command
    .argument("[args...]", "<key> [range_end] [-- program argument...]")
    .option("-i, --interactive", "read what is to be watched from standard input")
    .option("--prefix", "all keys that begin with this")
    .option("--rev <n>", "first revision that is told", "0")
    .option("--prev-kv", "tell each key as it was before")
    .option("--progress-notify", "tell revisions up to which nothing happened");
}

/** What is watched, and what is run for it. */
interface Wanted {
  readonly key: string;
  readonly rangeEnd: string | undefined;
  /** Empty: nothing is run. */
  readonly program: readonly string[];
  readonly flags: Flags;
}

/** @param program what stands behind `--` */
export async function watch(
  session: Session,
  args: readonly string[],
  program: readonly string[],
  flags: Flags,
): Promise<void> {
  session.refuseTable();
  if (flags["interactive"] === true) return interactive(session);
  const { env } = session.system;
  const [key = env["ETCDCTL_WATCH_KEY"], rangeEnd = rangeEndOf(args, env)] = args;
  if (key === undefined || args.length > 2) throw badArgs("bad number of arguments");
  const isOver = await watchOne(session, { key, rangeEnd, program, flags });
  if (isOver) throw new CliError(EXIT.interrupted, "watch is canceled by the server");
}

function rangeEndOf(args: readonly string[], env: Session["system"]["env"]): string | undefined {
  return args.length === 0 ? env["ETCDCTL_WATCH_RANGE_END"] : undefined;
}

async function interactive(session: Session): Promise<void> {
  const lines = session.system.inputLines();
  const running: Promise<boolean>[] = [];
  for (;;) {
    const { done, value } = await lines.next();
    if (done === true) {
      throw new CliError(EXIT.invalidInput, "Error reading watch request line: EOF");
    }
    const words = wordsOf(value.trim());
    const wanted = wantedOf(words);
    if (typeof wanted === "string") {
      session.system.err(`Invalid command ${value.trim()} (${wanted})\n`);
      continue;
    }
    const one = watchOne(session, wanted);
    one.catch((error: unknown) => session.system.err(`Error: ${messageOf(error)}\n`));
    running.push(one);
  }
}

/** The watch that a line asks for, or what is wrong with it. */
function wantedOf(words: readonly string[]): Wanted | string {
  const [name, ...rest] = words;
  if (name !== "watch") return "only support watch";
  const dashes = rest.indexOf("--");
  const program = dashes < 0 ? [] : rest.slice(dashes + 1);
  const { args, flags } = parsedWith(withWatchOptions, dashes < 0 ? rest : rest.slice(0, dashes));
  const [key, rangeEnd] = args;
  if (key === undefined) return "command type or key is not provided";
  return { key, rangeEnd, program, flags };
}

/** Watches until it is interrupted (false) or the server ends it (true). */
async function watchOne(session: Session, wanted: Wanted): Promise<boolean> {
  const { flags } = wanted;
  const isPrefix = flags["prefix"] === true;
  if (isPrefix && wanted.rangeEnd !== undefined)
    throw badArgs("`range_end` and `--prefix` are mutually exclusive");
  const key = isPrefix && wanted.key === "" ? new Uint8Array(1) : bytesOf(wanted.key);
  const end = wanted.rangeEnd === undefined ? EMPTY_BYTES : bytesOf(wanted.rangeEnd);
  const prefix = wanted.key === "" ? new Uint8Array(1) : prefixEnd(key);
  const told = session.client().watch({
    key,
    rangeEnd: isPrefix ? prefix : end,
    startRevision: numberFlag(flags, "rev", "rev"),
    prevKv: flags["prevKv"] === true,
    progressNotify: flags["progressNotify"] === true,
    signal: session.system.interrupted,
  });
  try {
    for await (const one of told) await tell(session, wanted, one);
    return false;
  } catch (error: unknown) {
    if (!(error instanceof CompactedError || error instanceof WatchCanceledError)) throw error;
    tellEnd(session, error);
    return true;
  }
}

async function tell(session: Session, wanted: Wanted, told: Told): Promise<void> {
  if (told.type === "created") return;
  if (told.type === "progress") {
    session.system.out(`progress notify: ${told.header.revision}\n`);
    return;
  }
  const { header, events } = told;
  session.print({ type: "watch", answer: { header, events, compactRevision: 0, canceled: false } });
  if (wanted.program.length === 0) return;
  for (const event of events) {
    const failure = await session.system.run(wanted.program, {
      ETCD_WATCH_REVISION: String(header.revision),
      ETCD_WATCH_EVENT_TYPE: quoted(bytesOf(event.type.toUpperCase())),
      ETCD_WATCH_KEY: quoted(event.kv.key),
      ETCD_WATCH_VALUE: quoted(event.kv.value),
    });
    if (failure !== undefined) {
      const command = wanted.program.map((word) => quoted(bytesOf(word))).join(" ");
      throw new CliError(EXIT.error, `command [${command}] error (${failure})`);
    }
  }
}

function tellEnd(session: Session, error: ClientError): void {
  session.system.err(`watch was canceled (${error.message})\n`);
  const compactRevision = error instanceof CompactedError ? error.compactRevision : 0;
  if (session.format === "simple") return;
  session.print({
    type: "watch",
    answer: { header: NO_HEADER, events: [], compactRevision, canceled: true },
  });
}
