/**
 * Matches a whole text in time linear in its length: an automaton that is in many places at once, whose sets
 * of places are remembered as they come up. No pattern and no text makes it try anything twice.
 *
 * Sources: Thompson, Regular Expression Search Algorithm (1968); Cox, Regular Expression Matching Can Be
 * Simple And Fast (the remembered sets, and forgetting them all when there are too many).
 */
import { parseRegex, type RegexTree } from "./regex-parse.ts";

/** Most sets of places that one pattern remembers; then it begins anew. */
const MAX_STATES = 128;
const ASCII = 128;

type Step =
  /** Goes to the next step on a unit of one of the classes. */
  | { readonly type: "set"; readonly classes: Uint8Array }
  /** Goes to both without a unit. */
  | { type: "split"; to: number; or: number }
  | { readonly type: "end" };

/** A set of places. */
interface State {
  readonly places: readonly number[];
  readonly final: boolean;
  /** By class of the next unit; undefined: not computed yet. */
  readonly next: (State | undefined)[];
}

export type CompiledRegex =
  | { readonly type: "regex"; readonly regex: Regex }
  | { readonly type: "refused"; readonly at: number; readonly reason: string };

/** A compiled pattern, or at which character it cannot be taken, and why. */
export function compileRegex(pattern: string): CompiledRegex {
  const parsed = parseRegex(pattern);
  if (parsed.type === "refused") return parsed;
  return { type: "regex", regex: new Regex(pattern, parsed.tree) };
}

/** Matching fills a bounded memory of states; the answers do not depend on it. */
export class Regex {
  readonly pattern: string;
  readonly #steps: Step[] = [];
  /** First units of the classes of units between which the pattern makes no difference, ascending, from 0. */
  readonly #classStarts: readonly number[];
  readonly #asciiClass = new Uint16Array(ASCII);
  readonly #states = new Map<string, State>();
  #first: State;

  constructor(pattern: string, tree: RegexTree) {
    this.pattern = pattern;
    this.#classStarts = classStartsOf(tree);
    for (let unit = 0; unit < ASCII; unit++) this.#asciiClass[unit] = this.#findClass(unit);
    this.#build(tree);
    this.#steps.push({ type: "end" });
    this.#first = this.#stateOf([0]);
  }

  /** Whether the pattern describes the whole text. */
  test(text: string): boolean {
    let state = this.#first;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      const group = unit < ASCII ? (this.#asciiClass[unit] as number) : this.#findClass(unit);
      const next = state.next[group] ?? this.#advance(state, group);
      if (next.places.length === 0) return false;
      state = next;
    }
    return state.final;
  }

  #advance(state: State, group: number): State {
    const targets: number[] = [];
    for (const place of state.places) {
      const step = this.#steps[place];
      if (step?.type === "set" && step.classes[group] === 1) targets.push(place + 1);
    }
    if (this.#states.size >= MAX_STATES) {
      this.#states.clear();
      this.#first = this.#stateOf([0]);
    }
    const next = this.#stateOf(targets);
    state.next[group] = next;
    return next;
  }

  /** The state of all places that are reached from `from` without a unit. */
  #stateOf(from: readonly number[]): State {
    const seen = new Set<number>();
    const open = [...from];
    for (let place = open.pop(); place !== undefined; place = open.pop()) {
      if (seen.has(place)) continue;
      seen.add(place);
      const step = this.#steps[place];
      if (step?.type === "split") open.push(step.or, step.to);
    }
    const places = [...seen].filter((place) => this.#steps[place]?.type !== "split").sort((a, b) => a - b);
    const key = places.join(",");
    const known = this.#states.get(key);
    if (known !== undefined) return known;
    const final = places.some((place) => this.#steps[place]?.type === "end");
    const state: State = { places, final, next: [] };
    this.#states.set(key, state);
    return state;
  }

  #findClass(unit: number): number {
    let low = 0;
    let high = this.#classStarts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((this.#classStarts[middle] as number) <= unit) low = middle;
      else high = middle;
    }
    return low;
  }

  /** Appends the steps of a tree; a match of it ends at the step after them. */
  #build(tree: RegexTree): void {
    switch (tree.type) {
      case "empty":
        return;
      case "set": {
        const classes = new Uint8Array(this.#classStarts.length);
        this.#classStarts.forEach((start, i) => {
          if (tree.ranges.some(([low, high]) => low <= start && start <= high)) classes[i] = 1;
        });
        this.#steps.push({ type: "set", classes });
        return;
      }
      case "sequence":
        for (const part of tree.parts) this.#build(part);
        return;
      case "either":
        this.#buildEither(tree.parts);
        return;
      case "repeat":
        this.#buildRepeat(tree.part, tree.min, tree.max);
        return;
    }
  }

  #buildEither(parts: readonly RegexTree[]): void {
    const jumps: { to: number; or: number }[] = [];
    parts.forEach((part, i) => {
      const last = i === parts.length - 1;
      const split = last ? undefined : this.#split();
      this.#build(part);
      if (!last) jumps.push(this.#split());
      if (split !== undefined) split.or = this.#steps.length;
    });
    for (const jump of jumps) {
      jump.to = this.#steps.length;
      jump.or = this.#steps.length;
    }
  }

  #buildRepeat(part: RegexTree, min: number, max: number | undefined): void {
    for (let i = 0; i < min; i++) this.#build(part);
    if (max === undefined) {
      const loop = this.#steps.length;
      const split = this.#split();
      this.#build(part);
      const back = this.#split();
      back.to = loop;
      back.or = loop;
      split.or = this.#steps.length;
      return;
    }
    const exits: { or: number }[] = [];
    for (let i = min; i < max; i++) {
      exits.push(this.#split());
      this.#build(part);
    }
    for (const exit of exits) exit.or = this.#steps.length;
  }

  /** A split whose first way is the step after it; the second is set by the caller. */
  #split(): { to: number; or: number } {
    const step = { type: "split" as const, to: this.#steps.length + 1, or: this.#steps.length + 1 };
    this.#steps.push(step);
    return step;
  }
}

/** Where the classes of units begin: at every border of a range of the pattern. */
function classStartsOf(tree: RegexTree): readonly number[] {
  const starts = new Set<number>([0]);
  const visit = (at: RegexTree): void => {
    switch (at.type) {
      case "empty":
        return;
      case "set":
        for (const [low, high] of at.ranges) {
          starts.add(low);
          if (high < 0xffff) starts.add(high + 1);
        }
        return;
      case "repeat":
        visit(at.part);
        return;
      case "sequence":
      case "either":
        for (const part of at.parts) visit(part);
    }
  };
  visit(tree);
  return [...starts].sort((a, b) => a - b);
}
