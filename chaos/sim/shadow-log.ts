/**
 * What one member's log holds, written down by the simulator from the batches that it saw go to disk: term and chain
 * hash per index. Two of them per member, one for what was handed to the disk and one for what the disk made durable,
 * are what the invariants compare; the member's own word is not asked.
 *
 * The chain hash of an entry covers the entry and everything before it, so equal hashes mean equal logs up to there.
 */
import { mixHash, mixHashBytes } from "../../src/base/index.ts";

import type { Entry, HardState } from "../../src/raft/types.ts";

const NOTHING: HardState = { term: 0, vote: 0n, commit: 0 };

/** Chain hash of an entry behind a log with hash `previous`. */
export function chainOf(previous: number, entry: Entry): number {
  return mixHashBytes(mixHash(mixHash(previous, entry.term), entry.type === "conf" ? 1 : 0), entry.data);
}

/** Invariant: base <= last; terms and chains are known in [base, last]. Positions below base may hold old values. */
export class ShadowLog {
  readonly #terms: (number | undefined)[] = [0];
  readonly #chains: (number | undefined)[] = [0];
  base = 0;
  last = 0;
  hardState: HardState = NOTHING;

  /** Term of the entry at `index`, 0 at position 0, undefined where nothing is known. */
  termAt(index: number): number | undefined {
    return index <= this.last ? this.#terms[index] : undefined;
  }

  chainAt(index: number): number | undefined {
    return index <= this.last ? this.#chains[index] : undefined;
  }

  /** Writes one entry; what was at its index and behind it is gone. */
  put(index: number, term: number, chain: number): void {
    this.#terms[index] = term;
    this.#chains[index] = chain;
    this.last = index;
  }

  /** A snapshot record: keeps what is behind it if the log holds that very position, or else begins there anew. */
  putSnapshot(index: number, term: number, chain: number): void {
    if (this.last >= index && this.base <= index && this.#terms[index] === term) {
      this.base = index;
      return;
    }
    this.base = index;
    this.put(index, term, chain);
  }

  /** Takes over everything from `other`, which differs from here at `from` at the earliest. */
  catchUp(other: ShadowLog, from: number): void {
    for (let i = from; i <= other.last; i++) {
      this.#terms[i] = other.#terms[i];
      this.#chains[i] = other.#chains[i];
    }
    this.base = other.base;
    this.last = other.last;
    this.hardState = other.hardState;
  }

  /** Whether both hold the same log and the same hard state. */
  equals(other: ShadowLog): boolean {
    const a = this.hardState;
    const b = other.hardState;
    return (
      this.last === other.last &&
      this.chainAt(this.last) === other.chainAt(other.last) &&
      a.term === b.term &&
      a.vote === b.vote &&
      a.commit === b.commit
    );
  }

  describe(): string {
    const { term, vote, commit } = this.hardState;
    return `(${this.base}, ${this.last}] term ${term} vote ${vote.toString(16)} commit ${commit}`;
  }
}
