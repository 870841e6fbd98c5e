/** Values as Go programs print them: quoted strings, JSON, tables. etcdctl's users parse this, so bytes count. */
import { textOf } from "../base/index.ts";

const SHORT: Readonly<Record<string, string>> = {
  "\u0007": "\\a",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
  "\\": "\\\\",
  '"': '\\"',
};
const PRINTABLE = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u;

/** Bytes in double quotes, escaped so that they can be read back (Go: `%q`). */
export function quoted(bytes: Uint8Array): string {
  const out: string[] = [];
  for (const [char, raw] of characters(bytes)) out.push(raw === undefined ? escaped(char) : byteEscape(raw));
  return `"${out.join("")}"`;
}

function escaped(char: string): string {
  const short = SHORT[char];
  if (short !== undefined) return short;
  if (PRINTABLE.test(char)) return char;
  const code = char.codePointAt(0) ?? 0;
  if (code < 0x80) return byteEscape(code);
  return code > 0xffff ? `\\U${hexOf(code, 8)}` : `\\u${hexOf(code, 4)}`;
}

/** Characters of UTF-8; a byte that is part of none comes alone, with its value. */
function* characters(bytes: Uint8Array): Generator<readonly [char: string, raw: number | undefined]> {
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes[at] ?? 0);
    const char = textOf(bytes.subarray(at, at + length));
    const isWhole = length > 0 && at + length <= bytes.length && [...char].length === 1;
    const isValid = isWhole && (char !== "\ufffd" || bytes[at] === 0xef);
    if (isValid) {
      yield [char, undefined];
      at += length;
    } else {
      yield ["", bytes[at]];
      at++;
    }
  }
}

function sequenceLength(first: number): number {
  if (first < 0x80) return 1;
  if (first < 0xc2) return 0;
  return first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
}

function byteEscape(byte: number): string {
  return `\\x${hexOf(byte, 2)}`;
}

function hexOf(value: number | bigint, width: number): string {
  return value.toString(16).padStart(width, "0");
}

/** Every byte as `\xNN`. */
export function hexEscaped(bytes: Uint8Array): string {
  return [...bytes].map(byteEscape).join("");
}

/** A lease's identity in 16 digits. */
export function leaseText(id: bigint): string {
  return hexOf(BigInt.asUintN(64, id), 16);
}

/** A member's or cluster's identity, as etcdctl has it where it lines up. */
export function idText(id: bigint): string {
  return id.toString(16).padStart(16, " ");
}

/** What has a place in JSON here; bytes become base64. */
export type Json = string | number | bigint | boolean | Uint8Array | undefined | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [name: string]: Json;
}

/** JSON as Go writes it: 64-bit numbers in digits, and `<`, `>`, `&` escaped. undefined becomes null. */
export function json(value: Json): string {
  if (value === undefined) return "null";
  if (typeof value === "string") return jsonString(value);
  if (value instanceof Uint8Array) return `"${Buffer.from(value).toString("base64")}"`;
  if (isList(value)) return `[${value.map(json).join(",")}]`;
  if (typeof value !== "object") return String(value);
  return `{${Object.entries(value)
    .map(([name, field]) => `${jsonString(name)}:${json(field)}`)
    .join(",")}}`;
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

function jsonString(text: string): string {
  const unsafe = /[<>&\u2028\u2029]/g;
  return JSON.stringify(text).replace(unsafe, (char) => `\\u${hexOf(char.charCodeAt(0), 4)}`);
}

/** Leaves out what is zero, false, empty or undefined, as etcd's messages do in JSON. */
export function sparse(fields: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => !isZero(value)));
}

function isZero(value: Json): boolean {
  if (value instanceof Uint8Array || isList(value)) return value.length === 0;
  return value === undefined || value === 0 || value === 0n || value === "" || value === false;
}

/** A table with a frame: headings in capitals and centred, cells to the right. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = headings.map((heading, i) =>
    Math.max(width(heading), ...rows.map((row) => width(row[i] ?? ""))),
  );
  const line = `+${widths.map((w) => "-".repeat(w + 2)).join("+")}+`;
  const rowText = (cells: readonly string[], pad: (cell: string, w: number) => string): string =>
    `|${cells.map((cell, i) => ` ${pad(cell, widths[i] ?? 0)} `).join("|")}|`;
  const body = rows.map((row) => rowText(row, toTheRight));
  const head = rowText(
    headings.map((heading) => heading.toUpperCase()),
    centred,
  );
  return `${[line, head, line, ...body, line].join("\n")}\n`;
}

function width(text: string): number {
  return [...text].length;
}

function toTheRight(cell: string, w: number): string {
  return " ".repeat(w - width(cell)) + cell;
}

function centred(cell: string, w: number): string {
  const left = Math.floor((w - width(cell)) / 2);
  return " ".repeat(left) + cell + " ".repeat(w - width(cell) - left);
}
