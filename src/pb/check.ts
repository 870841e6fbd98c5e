/**
 * Rules that several values share. Each returns the broken rule in words that name field and value, or
 * undefined. A decoder refuses by them and an encoder asserts by them, so what one writes the other reads.
 */
import { bytesOf, hex, LIMITS, MAX_ID } from "../base/index.ts";

/** Whether a string can be written and read back: UTF-8 has no lone surrogates. */
export function textProblem(what: string, text: string): string | undefined {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    // Most strings have no surrogate at all; only those that have one pay for the expression that pairs them.
    if (unit >= 0xd800 && unit <= 0xdfff) {
      return /\p{Surrogate}/u.test(text) ? `${what} holds a lone surrogate` : undefined;
    }
  }
  return undefined;
}

/** Whether `value` is an integer in [lo, hi]. */
export function uintProblem(what: string, value: number, lo: number, hi: number): string | undefined {
  if (Number.isInteger(value) && value >= lo && value <= hi) return undefined;
  return `${what} ${value} is not an integer in [${lo}, ${hi}]`;
}

/** Whether `id` names somebody. */
export function idProblem(what: string, id: bigint): string | undefined {
  if (id > 0n && id <= MAX_ID) return undefined;
  return id === 0n ? `${what} is missing` : `${what} ${hex(id)} is not a 64-bit identity`;
}

/** Whether index and term of a position agree: both 0 before the first entry, both positive after it. */
export function positionProblem(what: string, index: number, term: number): string | undefined {
  if ((index === 0) === (term === 0)) return undefined;
  return `${what} index ${index} cannot have term ${term}`;
}

/** Whether a member may have this name; it may be empty: nobody gave it one. */
export function nameProblem(name: string): string | undefined {
  const problem = textProblem("name", name);
  if (problem !== undefined) return problem;
  const bytes = bytesOf(name).length;
  return bytes > LIMITS.maxNameBytes
    ? `name of ${bytes} bytes is longer than ${LIMITS.maxNameBytes}`
    : undefined;
}

/** Whether a member may have these URLs. What they look like is asked where they come from. */
export function urlsProblem(what: string, urls: readonly string[]): string | undefined {
  if (urls.length > LIMITS.maxUrls) return `${urls.length} ${what} are more than ${LIMITS.maxUrls}`;
  for (const url of urls) {
    if (url === "") return `one of ${what} is empty`;
    const problem = textProblem(what, url);
    if (problem !== undefined) return problem;
    const bytes = bytesOf(url).length;
    if (bytes > LIMITS.maxUrlBytes) return `${what}: ${bytes} bytes are more than ${LIMITS.maxUrlBytes}`;
  }
  return undefined;
}
