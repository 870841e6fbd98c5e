/**
 * Canonical JSON after RFC 8785: one value, one text, so that equal objects have equal bytes and equal
 * digests. Numbers are held to safe integers: no object has others, and their text is the same in every
 * language.
 */
import { bytesOf } from "../base/index.ts";
import { pointer } from "./finding.ts";
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
  const steps: (string | number)[] = [];
  const text = write(value, steps);
  if (typeof text === "string") return { type: "text", text };
  const path = steps.reduce<string>((above, step) => pointer(above, step), "");
  return { type: "refused", path, reason: text.reason };
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

interface Refused {
  readonly reason: string;
}

/** `steps` is where the value lies; after a refusal it leads to what was refused. */
function write(value: unknown, steps: (string | number)[]): string | Refused {
  if (steps.length > MAX_DEPTH) return { reason: `nested more than ${MAX_DEPTH} deep` };
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "string") return writeText(value);
  if (typeof value === "number") {
    if (!Number.isSafeInteger(value)) return { reason: `${value} is not an integer below 2^53` };
    // JSON has a negative zero, RFC 8785 writes it as 0.
    return String(value === 0 ? 0 : value);
  }
  if (Array.isArray(value)) return writeList(value, steps);
  if (typeof value !== "object") return { reason: `${typeof value} is not JSON` };
  return writeMembers(value as Readonly<Record<string, unknown>>, steps);
}

function writeList(items: readonly unknown[], steps: (string | number)[]): string | Refused {
  let out = "[";
  for (let i = 0; i < items.length; i++) {
    steps.push(i);
    const text = write(items[i], steps);
    if (typeof text !== "string") return text;
    steps.pop();
    out += i === 0 ? text : `,${text}`;
  }
  return `${out}]`;
}

function writeMembers(
  value: Readonly<Record<string, unknown>>,
  steps: (string | number)[],
): string | Refused {
  let out = "{";
  // Sorts by UTF-16 units, as RFC 8785 asks.
  for (const name of Object.keys(value).sort()) {
    steps.push(name);
    const key = writeText(name);
    const text = typeof key === "string" ? write(value[name], steps) : key;
    if (typeof key !== "string" || typeof text !== "string") return text;
    steps.pop();
    out += out === "{" ? `${key}:${text}` : `,${key}:${text}`;
  }
  return `${out}}`;
}

function writeText(value: string): string | Refused {
  if (LONE_SURROGATE.test(value)) return { reason: "half of a surrogate pair has no UTF-8 form" };
  return JSON.stringify(value);
}
