/** `kvctl txn`: comparisons, then what is done if they hold, then what is done if not, each up to an empty line. */
import { bytesOf, EMPTY_BYTES } from "../base/index.ts";
import type { Compare, CompareResult, RequestOp } from "../client/index.ts";
import { badArgs, CliError, EXIT } from "./exit.ts";
import {
  delOf,
  getOf,
  parsedWith,
  putOf,
  withDelOptions,
  withGetOptions,
  withPutOptions,
} from "./key-requests.ts";
import { clamped, parseInt64 } from "./numbers.ts";
import type { Flags, Session } from "./session.ts";
import { unquoted, wordsOf } from "./words.ts";

export async function txn(session: Session, args: readonly string[], flags: Flags): Promise<void> {
  if (args.length > 0) throw badArgs("txn command does not accept argument");
  session.refuseTable();
  const { system } = session;
  const lines = system.inputLines();
  const prompt = (text: string): void => {
    if (flags["interactive"] === true) system.out(`${text}\n`);
  };
  prompt("compares:");
  const compare = (await linesUntilEmpty(lines)).map(compareOf);
  prompt("success requests (get, put, del):");
  const success = await Promise.all((await linesUntilEmpty(lines)).map(requestOf));
  prompt("failure requests (get, put, del):");
  const failure = await Promise.all((await linesUntilEmpty(lines)).map(requestOf));
  session.print({ type: "txn", answer: await session.client().kv.txn({ compare, success, failure }) });
}

async function linesUntilEmpty(lines: AsyncIterator<string>): Promise<readonly string[]> {
  const read: string[] = [];
  for (;;) {
    const { done, value } = await lines.next();
    if (done === true) throw new CliError(EXIT.invalidInput, "EOF");
    const line = value.trim();
    if (line === "") return read;
    read.push(line);
  }
}

const RESULTS: Readonly<Record<string, CompareResult>> = {
  "=": "equal",
  "!=": "notEqual",
  ">": "greater",
  "<": "less",
};

/** `mod("key") > "0"`. @throws CliError */
export function compareOf(line: string): Compare {
  const invalid = (message: string): CliError => new CliError(EXIT.invalidInput, message);
  const open = line.indexOf("(");
  if (open < 0) throw invalid(`malformed comparison: ${line}`);
  const match = /^\(\s*("(?:[^"\\]|\\.)*")\s*\)\s*(\S+)\s*("(?:[^"\\]|\\.)*")/.exec(line.slice(open));
  if (match === null) throw invalid(`malformed comparison: ${line}`);
  const name = line.slice(0, open).trim();
  const result = RESULTS[match[2] ?? ""];
  const target = targetOf(name, unquoted(match[3] ?? ""));
  if (target === "unknown") throw invalid(`malformed comparison: ${line} (unknown target ${name})`);
  if (target === undefined || result === undefined) throw invalid(`invalid txn compare request: ${line}`);
  return { result, key: bytesOf(unquoted(match[1] ?? "")), rangeEnd: EMPTY_BYTES, target };
}

/** undefined: the value is no number, and the target has one. */
function targetOf(name: string, text: string): Compare["target"] | "unknown" {
  switch (name) {
    case "ver":
    case "version":
      return numberTarget("version", text);
    case "c":
    case "create":
      return numberTarget("create", text);
    case "m":
    case "mod":
      return numberTarget("mod", text);
    case "val":
    case "value":
      return { type: "value", value: bytesOf(text) };
    case "lease": {
      const id = parseInt64(text, 16);
      return id.type === "ok" ? { type: "lease", value: id.value } : undefined;
    }
    default:
      return "unknown";
  }
}

function numberTarget(type: "version" | "create" | "mod", text: string): Compare["target"] {
  const number = parseInt64(text, 10);
  return number.type === "ok" ? { type, value: clamped(number.value) } : undefined;
}

async function requestOf(line: string): Promise<RequestOp> {
  const [name, ...words] = wordsOf(line);
  switch (name) {
    case "put": {
      const { args, flags } = parsedWith(withPutOptions, words);
      return putOf(args, flags, undefined);
    }
    case "get": {
      const { args, flags } = parsedWith(withGetOptions, words);
      return getOf(args, flags);
    }
    case "del": {
      const { args, flags } = parsedWith(withDelOptions, words);
      return delOf(args, flags);
    }
    default:
      throw new CliError(EXIT.invalidInput, `invalid txn request: ${line}`);
  }
}
