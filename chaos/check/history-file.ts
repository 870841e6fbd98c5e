/**
 * Histories on disk: JSON lines, so that a file can be written as the run goes on, searched with grep, and
 * read back line by line. The first line is the head, each other line one record: `[kind, record]`.
 *
 * What JSON lacks is an object with one name that starts with "$":
 *
 *   bytes      {"$bytes": "..."}   one character per byte (latin1), so that text keys stay legible
 *   bigint     {"$int": "..."}     hexadecimal, as identities are printed
 *   Infinity   {"$infinite": true}
 *   undefined  left out of objects, null in arrays
 */
import type { KvHistory } from "./kv-history.ts";
import { latin1 } from "./model-rules.ts";

/** Version of the format; an unknown one is refused. */
const FORMAT = 1;

/** Fields of a history that are lists; each of their items is a line. */
const LISTS = [
  "operations",
  "watches",
  "keepAlives",
  "leaseReads",
  "hashAnswers",
  "dumps",
  "log",
  "faults",
  "leaders",
] as const;
type ListName = (typeof LISTS)[number];

/** A history as lines of text. */
export function* historyLines(history: KvHistory): Generator<string> {
  const { title, end } = history;
  yield encode(["head", { format: FORMAT, title, end, isLogged: history.log !== undefined }]);
  for (const name of LISTS) for (const record of history[name] ?? []) yield encode([name, record]);
}

/**
 * Reads what `historyLines` wrote. Lines come from this program alone, so records are not validated field by
 * field.
 *
 * @throws Error if a line is none of a history, or of another format.
 */
export function historyOfLines(lines: Iterable<string>): KvHistory {
  const lists: Record<ListName, unknown[]> = {
    operations: [],
    watches: [],
    keepAlives: [],
    leaseReads: [],
    hashAnswers: [],
    dumps: [],
    log: [],
    faults: [],
    leaders: [],
  };
  let head: { readonly title: string; readonly end: number; readonly isLogged: boolean } | undefined;
  let number = 0;
  for (const line of lines) {
    number++;
    if (line === "") continue;
    const [kind, record] = decode(line) as [string, unknown];
    if (head === undefined) {
      head = record as { title: string; end: number; isLogged: boolean; format: number };
      const { format } = record as { format?: number };
      if (kind !== "head" || format !== FORMAT) throw new Error(`not a history of format ${FORMAT}`);
    } else if (isListName(kind)) lists[kind].push(record);
    else throw new Error(`line ${number}: unknown record ${kind}`);
  }
  if (head === undefined) throw new Error("an empty history");
  const { title, end, isLogged } = head;
  const { log, ...rest } = lists;
  return { title, end, ...rest, log: isLogged ? log : undefined } as KvHistory;
}

function isListName(kind: string): kind is ListName {
  return (LISTS as readonly string[]).includes(kind);
}

function encode(value: unknown): string {
  return JSON.stringify(value, (_name, part: unknown) => {
    if (part instanceof Uint8Array) return { $bytes: latin1(part) };
    if (typeof part === "bigint") return { $int: part.toString(16) };
    return part === Number.POSITIVE_INFINITY ? { $infinite: true } : part;
  });
}

function decode(line: string): unknown {
  return JSON.parse(line, (_name, part: unknown) => {
    if (part === null) return undefined;
    if (typeof part !== "object") return part;
    if (Array.isArray(part)) return Array.from(part);
    const { $bytes, $int, $infinite } = part as { $bytes?: string; $int?: string; $infinite?: boolean };
    if ($bytes !== undefined) return Uint8Array.from($bytes, (char) => char.charCodeAt(0));
    if ($int !== undefined) return $int.startsWith("-") ? -BigInt(`0x${$int.slice(1)}`) : BigInt(`0x${$int}`);
    return $infinite === true ? Number.POSITIVE_INFINITY : part;
  });
}
