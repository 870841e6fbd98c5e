/**
 * Rules that several values share. Each returns the broken rule in words that name field and value, or
 * undefined. A decoder refuses by them and an encoder asserts by them, so what one writes the other reads.
 */
import { hex, MAX_ID } from "../base/index.ts";

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
