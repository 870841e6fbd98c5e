/**
 * Canonical JSON after RFC 8785: one value, one text, so that equal objects have equal bytes and equal
 * digests. Numbers are held to safe integers: no object has others, and their text is the same in every
 * language.
 */
import { bytesOf } from "../base/index.ts";
import { compareText, pointer } from "./finding.ts";
import type { Json } from "./schema.ts";

/** Deepest nesting of a value; the deepest of our kinds has fewer than ten levels. */
export const MAX_DEPTH = 32;

const LONE_SURROGATE = /\p{Cs}/u;

export type Canonical =
  | { readonly type: "text"; readonly text: string }
  /** Not representable: where, and why. */
  | { readonly type: "refused"; readonly path: string; readonly reason: string };

/** The canonical text of a value, or why it has none. */
export function canonicalText(value: unknown): Canonical {
  const refusals: { path: string; reason: string }[] = [];
  const text = write(value, "", 0, (path, reason) => {
    refusals.push({ path, reason });
    return "";
  });
  const [refused] = refusals;
  return refused === undefined ? { type: "text", text } : { type: "refused", ...refused };
}

/** UTF-8 bytes of the canonical text of a value that was checked. */
export function canonicalBytes(value: Json): Uint8Array {
  return bytesOf(mustCanonicalText(value));
}

/** @throws Error for a value with no canonical text. For values that were checked. */
export function mustCanonicalText(value: Json): string {
  const result = canonicalText(value);
  if (result.type === "refused") throw new Error(`no canonical JSON at ${result.path}: ${result.reason}`);
  return result.text;
}

type Refuse = (path: string, reason: string) => string;

function write(value: unknown, path: string, depth: number, refuse: Refuse): string {
  if (depth > MAX_DEPTH) return refuse(path, `nested more than ${MAX_DEPTH} deep`);
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "string") return writeText(value, path, refuse);
  if (typeof value === "number") {
    if (!Number.isSafeInteger(value)) return refuse(path, `${value} is not an integer below 2^53`);
    // JSON has a negative zero, RFC 8785 writes it as 0.
    return String(value === 0 ? 0 : value);
  }
  if (Array.isArray(value)) {
    return `[${value.map((item, i) => write(item, pointer(path, i), depth + 1, refuse)).join(",")}]`;
  }
  if (typeof value !== "object") return refuse(path, `${typeof value} is not JSON`);
  const members = Object.entries(value).sort(([a], [b]) => compareText(a, b));
  const parts = members.map(([name, item]) => {
    const at = pointer(path, name);
    return `${writeText(name, at, refuse)}:${write(item, at, depth + 1, refuse)}`;
  });
  return `{${parts.join(",")}}`;
}

function writeText(value: string, path: string, refuse: Refuse): string {
  if (LONE_SURROGATE.test(value)) return refuse(path, "half of a surrogate pair has no UTF-8 form");
  return JSON.stringify(value);
}
