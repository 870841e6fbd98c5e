/**
 * What is left to count of ranges that are read page by page. A client that lists a million keys at one revision asks
 * for a page from behind the last key on, and each time for the count of all that follows: the count before, less the
 * keys that it was given. The past does not change, so what is remembered here is never wrong; it is only forgotten.
 */
import { equalBytes } from "../base/index.ts";
import type { KeyRange } from "./types.ts";

/** Listings that may be under way at a time before they forget each other. */
const REMEMBERED = 16;

interface Rest {
  readonly at: number;
  readonly rangeEnd: Uint8Array;
  /** The last key of the page before. */
  readonly lastKey: Uint8Array;
  readonly count: number;
}

export class PageCounts {
  readonly #rests: (Rest | undefined)[] = new Array<Rest | undefined>(REMEMBERED).fill(undefined);
  #next = 0;

  /** The number of keys of a range as of `at`; undefined: it does not go on from a page that is remembered. */
  find(range: KeyRange, at: number): number | undefined {
    for (const rest of this.#rests) {
      if (rest?.at !== at || !follows(range.key, rest.lastKey)) continue;
      if (equalBytes(rest.rangeEnd, range.rangeEnd)) return rest.count;
    }
    return undefined;
  }

  /** Behind `lastKey` are `count` keys of a range as of `at`, which is published. */
  remember(rangeEnd: Uint8Array, at: number, lastKey: Uint8Array, count: number): void {
    this.#rests[this.#next] = { at, rangeEnd, lastKey, count };
    this.#next = (this.#next + 1) % REMEMBERED;
  }
}

/** Whether `key` is the smallest one behind `lastKey`: the same and a zero. */
function follows(key: Uint8Array, lastKey: Uint8Array): boolean {
  const { length } = lastKey;
  if (key.length !== length + 1 || key[length] !== 0) return false;
  for (let i = length - 1; i >= 0; i--) if (key[i] !== lastKey[i]) return false;
  return true;
}
