/**
 * The shape of a log without its data: which term each index has, as runs of equal terms. The log needs it to write
 * down what entries stand behind and whether a snapshot lies inside it; a few numbers for millions of entries.
 */
import { assert } from "../base/index.ts";
import type { Position } from "./records.ts";

interface Run {
  readonly first: number;
  readonly term: number;
}

export class LogShape {
  /** Invariant: runs are ascending by `first`, neighbours have different terms, and all lie in (base, last]. */
  readonly #runs: Run[] = [];
  #base: Position;
  #lastIndex: number;

  constructor(base: Position) {
    this.#base = base;
    this.#lastIndex = base.index;
  }

  /** The lowest position whose term is known. */
  get base(): Position {
    return this.#base;
  }

  /** The last entry, or the base when there is none. */
  get last(): Position {
    return { index: this.#lastIndex, term: this.#runs.at(-1)?.term ?? this.#base.term };
  }

  /** Term at `index`; undefined outside [base, last]. */
  termAt(index: number): number | undefined {
    if (index < this.#base.index || index > this.#lastIndex) return undefined;
    for (let i = this.#runs.length - 1; i >= 0; i--) {
      const run = this.#runs[i] as Run;
      if (run.first <= index) return run.term;
    }
    return this.#base.term;
  }

  /** Adds the entry behind the last one. */
  push(position: Position): void {
    const expected = this.#lastIndex + 1;
    assert(position.index === expected, "entries are contiguous", { index: position.index, expected });
    const term = this.#runs.at(-1)?.term;
    if (term !== position.term) this.#runs.push({ first: position.index, term: position.term });
    this.#lastIndex = position.index;
  }

  /** Drops all entries behind `index`, which is in [base, last]. */
  cutAfter(index: number): void {
    assert(index >= this.#base.index, "a cut lies at or above the base", { index, base: this.#base.index });
    assert(index <= this.#lastIndex, "a cut lies in the log", { index, last: this.#lastIndex });
    while ((this.#runs.at(-1)?.first ?? 0) > index) this.#runs.pop();
    this.#lastIndex = index;
  }

  /** Drops everything and begins behind `base`. */
  reset(base: Position): void {
    this.#runs.length = 0;
    this.#base = base;
    this.#lastIndex = base.index;
  }

  /** Forgets the terms below `index`; the log keeps its end. Does nothing outside (base, last]. */
  forgetBelow(index: number): void {
    const term = this.termAt(index);
    if (term === undefined || index === this.#base.index) return;
    const kept = this.#runs.filter((run) => run.first > index);
    // The run that `index` is in goes on behind it, unless the next one begins there.
    if (index < this.#lastIndex && kept[0]?.first !== index + 1) kept.unshift({ first: index + 1, term });
    this.#runs.splice(0, this.#runs.length, ...kept);
    this.#base = { index, term };
  }

  /** @throws AssertionError when the runs are not what the invariant says. */
  checkInvariants(): void {
    assert(this.#lastIndex >= this.#base.index, "the log does not end before its base", {
      last: this.#lastIndex,
      base: this.#base.index,
    });
    assert(this.#runs.length > 0 === this.#lastIndex > this.#base.index, "runs cover the entries", {
      runs: this.#runs.length,
      last: this.#lastIndex,
      base: this.#base.index,
    });
    let previous: Run | undefined;
    for (const run of this.#runs) {
      const expected = previous === undefined ? this.#base.index + 1 : previous.first + 1;
      assert(run.first >= expected, "runs are ascending", { first: run.first, expected });
      assert(run.term !== previous?.term, "neighbouring runs differ", { term: run.term });
      previous = run;
    }
    assert((previous?.first ?? 0) <= this.#lastIndex, "runs lie in the log", { last: this.#lastIndex });
  }
}
