/** put, get and del as requests: used by the commands of that name and by the lines of a transaction. */
import { Command, CommanderError } from "commander";
import { bytesOf, EMPTY_BYTES } from "../base/index.ts";
import type { DeleteRangeRequest, PutRequest, RangeRequest, SortOrder, SortTarget } from "../client/index.ts";
import { deleteRequest, prefixEnd, putRequest, rangeRequest } from "../client/index.ts";
import { badArgs, CliError, EXIT } from "./exit.ts";
import { clamped, parseInt64 } from "./numbers.ts";
import { type Flags, textFlag } from "./session.ts";

/** The byte 0 alone: as a key the first one, as an end of a range no end. */
const ZERO = new Uint8Array(1);

/** Options that take a number of revisions or keys. */
const NUMBERS = [
  ["--limit", "most keys that are told"],
  ["--rev", "revision that is read"],
  ["--min-mod-rev", "leave out keys changed before"],
  ["--max-mod-rev", "leave out keys changed after"],
  ["--min-create-rev", "leave out keys created before"],
  ["--max-create-rev", "leave out keys created after"],
] as const;

export function withPutOptions(command: Command): Command {
  return command
    .argument("[args...]", "<key> <value>; the value comes from standard input if it is not given")
    .option("--lease <id>", "lease that the key hangs on, in hexadecimal", "0")
    .option("--prev-kv", "tell the key as it was before")
    .option("--ignore-value", "leave the value as it is")
    .option("--ignore-lease", "leave the lease as it is");
}

export function withGetOptions(command: Command): Command {
  command
    .argument("[args...]", "<key> [range_end]")
    .option("--consistency <l|s>", "linearizable, or what the member that is asked has", "l")
    .option("--order <order>", "ASCEND or DESCEND", "")
    .option("--sort-by <field>", "CREATE, KEY, MODIFY, VALUE or VERSION", "")
    .option("--prefix", "all keys that begin with this")
    .option("--from-key", "all keys from this one on")
    .option("--keys-only", "leave the values out")
    .option("--count-only", "only the number of keys; see it with -w fields or json")
    .option("--print-value-only", "only values, for -w simple");
  for (const [flag, help] of NUMBERS) command.option(`${flag} <n>`, help, "0");
  return command;
}

export function withDelOptions(command: Command): Command {
  return command
    .argument("[args...]", "<key> [range_end]")
    .option("--prefix", "all keys that begin with this")
    .option("--from-key", "all keys from this one on")
    .option("--range", "take two arguments as a range; accepted for etcdctl's sake")
    .option("--prev-kv", "tell the keys as they were");
}

/** @param input standard input, asked for a value that is not given; undefined: there is none here */
export async function putOf(
  args: readonly string[],
  flags: Flags,
  input: (() => Promise<Uint8Array>) | undefined,
): Promise<PutRequest> {
  const [key, value] = args;
  if (key === undefined) throw needsTwo();
  const ignoreValue = flags["ignoreValue"] === true;
  if (ignoreValue && args.length > 1) {
    throw badArgs("put command needs only 1 argument when 'ignore-value' is set");
  }
  const lease = parseInt64(textFlag(flags, "lease"), 16);
  if (lease.type === "refused") throw badArgs(`bad lease ID (${lease.reason}), expecting ID in Hex`);
  const read = async (): Promise<Uint8Array> => {
    if (value !== undefined) return bytesOf(value);
    if (ignoreValue) return EMPTY_BYTES;
    if (input === undefined) throw needsTwo();
    return input();
  };
  return putRequest({
    key: bytesOf(key),
    value: await read(),
    lease: lease.value,
    prevKv: flags["prevKv"] === true,
    ignoreValue,
    ignoreLease: flags["ignoreLease"] === true,
  });
}

function needsTwo(): CliError {
  return badArgs("put command needs 1 argument and input from stdin or 2 arguments");
}

export function getOf(args: readonly string[], flags: Flags): RangeRequest {
  const [key, end] = args;
  if (key === undefined) {
    throw badArgs("get command needs one argument as key and an optional argument as range_end");
  }
  const consistency = textFlag(flags, "consistency");
  if (consistency !== "l" && consistency !== "s") {
    throw new CliError(EXIT.badFeature, `unknown consistency flag "${consistency}"`);
  }
  const range = rangeOf(key, end, flags);
  return rangeRequest({
    ...range,
    ...sortOf(flags),
    serializable: consistency === "s",
    limit: numberFlag(flags, "limit", "limit"),
    revision: numberFlag(flags, "rev", "rev"),
    keysOnly: flags["keysOnly"] === true,
    countOnly: flags["countOnly"] === true,
    minModRevision: numberFlag(flags, "minModRev", "min-mod-rev"),
    maxModRevision: numberFlag(flags, "maxModRev", "max-mod-rev"),
    minCreateRevision: numberFlag(flags, "minCreateRev", "min-create-rev"),
    maxCreateRevision: numberFlag(flags, "maxCreateRev", "max-create-rev"),
  });
}

export function delOf(args: readonly string[], flags: Flags): DeleteRangeRequest {
  const [key, end] = args;
  if (key === undefined || args.length > 2) {
    throw badArgs("del command needs one argument as key and an optional argument as range_end");
  }
  return deleteRequest({ ...rangeOf(key, end, flags), prevKv: flags["prevKv"] === true });
}

/** The keys that arguments and flags mean. An empty key with a range is the first one. */
function rangeOf(
  key: string,
  end: string | undefined,
  flags: Flags,
): { key: Uint8Array; rangeEnd: Uint8Array } {
  const isPrefix = flags["prefix"] === true;
  const isFromKey = flags["fromKey"] === true;
  if (isPrefix && isFromKey) {
    throw badArgs("`--prefix` and `--from-key` cannot be set at the same time, choose one");
  }
  if (end !== undefined) {
    if (isPrefix || isFromKey) {
      throw badArgs("too many arguments, only accept one argument when `--prefix` or `--from-key` is set");
    }
    return { key: bytesOf(key), rangeEnd: bytesOf(end) };
  }
  if (!isPrefix && !isFromKey) return { key: bytesOf(key), rangeEnd: EMPTY_BYTES };
  if (key === "") return { key: ZERO, rangeEnd: ZERO };
  return { key: bytesOf(key), rangeEnd: isPrefix ? prefixEnd(bytesOf(key)) : ZERO };
}

const ORDERS: Readonly<Record<string, SortOrder>> = { "": "none", ASCEND: "ascend", DESCEND: "descend" };
const TARGETS: Readonly<Record<string, SortTarget>> = {
  CREATE: "create",
  KEY: "key",
  MODIFY: "mod",
  VALUE: "value",
  VERSION: "version",
};

function sortOf(flags: Flags): { sortOrder: SortOrder; sortTarget: SortTarget } {
  const order = textFlag(flags, "order").toUpperCase();
  const sortOrder = ORDERS[order];
  if (sortOrder === undefined)
    throw new CliError(EXIT.badFeature, `bad sort order ${textFlag(flags, "order")}`);
  const by = textFlag(flags, "sortBy").toUpperCase();
  const sortTarget = by === "" ? "key" : TARGETS[by];
  if (sortTarget === undefined)
    throw new CliError(EXIT.badFeature, `bad sort target ${textFlag(flags, "sortBy")}`);
  // etcd's client asks for no order where the order is that of the keys anyway.
  return { sortTarget, sortOrder: sortTarget === "key" && sortOrder === "ascend" ? "none" : sortOrder };
}

/** @throws CliError in etcdctl's words */
export function numberFlag(flags: Flags, name: string, flag: string): number {
  const text = textFlag(flags, name);
  const parsed = parseInt64(text, 10);
  if (parsed.type === "ok") return clamped(parsed.value);
  const shown = JSON.stringify(text);
  throw new CliError(EXIT.error, `invalid argument ${shown} for "--${flag}" flag: ${parsed.reason}`);
}

/** Arguments and flags of a command line of its own. @throws CliError */
export function parsedWith(
  make: (command: Command) => Command,
  words: readonly string[],
): { readonly args: readonly string[]; readonly flags: Flags } {
  const command = make(new Command())
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  try {
    command.parse([...words], { from: "user" });
  } catch (error: unknown) {
    if (error instanceof CommanderError) throw badArgs(error.message.replace(/^error: /, ""));
    throw error;
  }
  return { args: command.args, flags: command.opts() };
}
