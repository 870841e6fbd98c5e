/**
 * Patterns of routes and policies: the regular part of what people write, parsed into a tree. What needs
 * backtracking (back references, looking around) is refused by name, because one such pattern can stop a
 * gateway with one request.
 *
 * A pattern always describes the whole text, so anchors are taken only where they say nothing.
 */

/** Longest pattern, UTF-16 units. */
export const MAX_PATTERN = 512;
/** Most steps of the automaton of one pattern, after `{m,n}` is written out. */
export const MAX_PROGRAM = 1000;
/** Deepest nesting of groups. */
const MAX_GROUPS = 50;
/** Largest count in `{m,n}`. */
const MAX_COUNT = 250;
const LAST_UNIT = 0xffff;

/** Inclusive ranges of UTF-16 units. */
export type Ranges = readonly (readonly [number, number])[];

export type RegexTree =
  | { readonly type: "empty" }
  | { readonly type: "set"; readonly ranges: Ranges }
  | { readonly type: "sequence"; readonly parts: readonly RegexTree[] }
  | { readonly type: "either"; readonly parts: readonly RegexTree[] }
  /** `max` undefined: without end. */
  | {
      readonly type: "repeat";
      readonly part: RegexTree;
      readonly min: number;
      readonly max: number | undefined;
    };

export type ParsedRegex =
  | { readonly type: "tree"; readonly tree: RegexTree }
  /** `at` is the offset in the pattern. */
  | { readonly type: "refused"; readonly at: number; readonly reason: string };

const DIGIT: Ranges = [[0x30, 0x39]];
const WORD: Ranges = [
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
];
const SPACE: Ranges = [
  [0x09, 0x0d],
  [0x20, 0x20],
];
const ANY: Ranges = [[0, LAST_UNIT]];

/** Parses a pattern, or says at which character it cannot be taken, and why. */
export function parseRegex(pattern: string): ParsedRegex {
  if (pattern.length > MAX_PATTERN) {
    return { type: "refused", at: MAX_PATTERN, reason: `longer than ${MAX_PATTERN} characters` };
  }
  const parser = new Parser(pattern);
  try {
    const tree = parser.pattern();
    const size = sizeOf(tree);
    if (size > MAX_PROGRAM) {
      const reason = `repetitions written out give ${size} steps, at most ${MAX_PROGRAM} are taken`;
      return { type: "refused", at: 0, reason };
    }
    return { type: "tree", tree };
  } catch (error) {
    // The parser's own way out of its recursion; anything else is a bug.
    if (error instanceof Refused) return { type: "refused", at: error.at, reason: error.message };
    throw error;
  }
}

class Refused extends Error {
  readonly at: number;

  constructor(at: number, reason: string) {
    super(reason);
    this.at = at;
  }
}

class Parser {
  readonly #pattern: string;
  #at = 0;
  #depth = 0;

  constructor(pattern: string) {
    this.#pattern = pattern;
  }

  pattern(): RegexTree {
    if (this.#peek() === "^") this.#at++;
    const tree = this.#either();
    if (this.#at < this.#pattern.length) this.#refuse("this ) closes nothing");
    return tree;
  }

  #either(): RegexTree {
    const parts = [this.#sequence()];
    while (this.#take("|")) parts.push(this.#sequence());
    const [only] = parts;
    return parts.length === 1 && only !== undefined ? only : { type: "either", parts };
  }

  #sequence(): RegexTree {
    const parts: RegexTree[] = [];
    while (this.#at < this.#pattern.length && this.#peek() !== "|" && this.#peek() !== ")") {
      if (this.#peek() === "$" && this.#at === this.#pattern.length - 1) this.#at++;
      else parts.push(this.#repeated());
    }
    return parts.length === 0 ? { type: "empty" } : { type: "sequence", parts };
  }

  #repeated(): RegexTree {
    const part = this.#atom();
    const counts = this.#counts();
    if (counts === undefined) return part;
    // Lazy or greedy is the same for a match of the whole text.
    this.#take("?");
    if (this.#peek() === "+") this.#refuse("possessive repetition is not regular");
    if ("*{".includes(this.#peek() || "-")) this.#refuse("nothing to repeat");
    return { type: "repeat", part, ...counts };
  }

  #counts(): { min: number; max: number | undefined } | undefined {
    if (this.#take("*")) return { min: 0, max: undefined };
    if (this.#take("+")) return { min: 1, max: undefined };
    if (this.#take("?")) return { min: 0, max: 1 };
    if (this.#peek() !== "{") return undefined;
    const found = /^\{(\d{1,4})(,(\d{0,4}))?\}/.exec(this.#pattern.slice(this.#at));
    if (found === null) return this.#refuse("a { needs counts as in {2,5}; write \\{ for the character");
    const min = Number(found[1]);
    const max = found[2] === undefined ? min : found[3] === "" ? undefined : Number(found[3]);
    if (max !== undefined && max < min) this.#refuse("the counts are in the wrong order");
    if (Math.max(min, max ?? 0) > MAX_COUNT) this.#refuse(`counts go up to ${MAX_COUNT}`);
    this.#at += found[0].length;
    return { min, max };
  }

  #atom(): RegexTree {
    const unit = this.#peek();
    switch (unit) {
      case "(":
        return this.#group();
      case "[":
        return { type: "set", ranges: this.#bracket() };
      case ".":
        this.#at++;
        return { type: "set", ranges: ANY };
      case "\\":
        return { type: "set", ranges: this.#escape() };
      case "^":
      case "$":
        return this.#refuse("an anchor inside: the pattern describes the whole text anyway");
      case "*":
      case "+":
      case "?":
      case "{":
        return this.#refuse("nothing to repeat");
      default:
        this.#at++;
        return { type: "set", ranges: single(unit) };
    }
  }

  #group(): RegexTree {
    const open = this.#at;
    this.#at++;
    if (this.#take("?")) {
      if (!this.#take(":")) {
        const kind = this.#pattern.slice(this.#at, this.#at + 2);
        if (kind.startsWith("=") || kind.startsWith("!") || kind === "<=" || kind === "<!") {
          this.#refuse("looking around is not regular");
        }
        this.#refuse("only plain groups are known: ( ) and (?: )");
      }
    }
    if (++this.#depth > MAX_GROUPS) this.#refuse(`groups nested more than ${MAX_GROUPS} deep`);
    const tree = this.#either();
    this.#depth--;
    if (!this.#take(")")) throw new Refused(open, "this ( is not closed");
    return tree;
  }

  /** A class of characters, from its `[` on. */
  #bracket(): Ranges {
    const open = this.#at;
    this.#at++;
    const negated = this.#take("^");
    const ranges: (readonly [number, number])[] = [];
    for (;;) {
      const unit = this.#peek();
      if (unit === "") throw new Refused(open, "this [ is not closed");
      if (unit === "]") break;
      if (unit === "[" && this.#pattern[this.#at + 1] === ":") this.#refuse("named classes are not known");
      const low = this.#bracketItem();
      const from = low.length === 1 ? low[0] : undefined;
      const isRange = this.#peek() === "-" && !["]", undefined].includes(this.#pattern[this.#at + 1]);
      if (!isRange || from === undefined || from[0] !== from[1]) {
        ranges.push(...low);
        continue;
      }
      this.#at++;
      const high = this.#bracketItem()[0];
      if (high === undefined || high[0] !== high[1]) return this.#refuse("a range ends in a character");
      if (high[0] < from[0]) this.#refuse("the range is in the wrong order");
      ranges.push([from[0], high[0]]);
    }
    if (ranges.length === 0) this.#refuse("an empty class matches nothing");
    this.#at++;
    return negated ? complement(ranges) : ranges;
  }

  #bracketItem(): Ranges {
    if (this.#peek() === "\\") return this.#escape();
    const unit = this.#peek();
    this.#at++;
    return single(unit);
  }

  #escape(): Ranges {
    const unit = this.#pattern[this.#at + 1];
    if (unit === undefined) return this.#refuse("a pattern cannot end in \\");
    const known = ESCAPES[unit];
    if (known === undefined) {
      if (/[1-9]/.test(unit)) this.#refuse("back references are not regular");
      if (/[A-Za-z0-9]/.test(unit)) this.#refuse(`the escape \\${unit} is not known`);
    }
    this.#at += 2;
    return known ?? single(unit);
  }

  #peek(): string {
    return this.#pattern[this.#at] ?? "";
  }

  #take(unit: string): boolean {
    if (this.#peek() !== unit) return false;
    this.#at++;
    return true;
  }

  #refuse(reason: string): never {
    throw new Refused(this.#at, reason);
  }
}

const ESCAPES: Readonly<Record<string, Ranges>> = {
  d: DIGIT,
  D: complement(DIGIT),
  w: WORD,
  W: complement(WORD),
  s: SPACE,
  S: complement(SPACE),
  t: single("\t"),
  n: single("\n"),
  r: single("\r"),
};

function single(unit: string): Ranges {
  const code = unit.charCodeAt(0);
  return [[code, code]];
}

function complement(ranges: Ranges): Ranges {
  const out: (readonly [number, number])[] = [];
  let next = 0;
  for (const [low, high] of [...ranges].sort((a, b) => a[0] - b[0])) {
    if (low > next) out.push([next, low - 1]);
    next = Math.max(next, high + 1);
  }
  if (next <= LAST_UNIT) out.push([next, LAST_UNIT]);
  return out;
}

/** Steps of the automaton, as `regex.ts` builds it, or Infinity. */
function sizeOf(tree: RegexTree): number {
  switch (tree.type) {
    case "empty":
      return 1;
    case "set":
      return 1;
    case "sequence":
      return tree.parts.reduce((sum, part) => sum + sizeOf(part), 0);
    case "either":
      return tree.parts.reduce((sum, part) => sum + sizeOf(part) + 2, 0);
    case "repeat":
      return (sizeOf(tree.part) + 2) * Math.max(tree.max ?? tree.min + 1, 1) + 1;
  }
}
