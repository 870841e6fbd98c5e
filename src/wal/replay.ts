/**
 * Folds the records of a log, oldest first, into what the log holds. Every method answers a reason when a record
 * cannot follow what came before it: the CRC was right, so it was written like this, and guessing would invent a log.
 */
import type { RecoveredLog } from "../env/index.ts";
import type { Entry, HardState, SnapshotMeta } from "../raft/types.ts";
import type { Position, SegmentState, WalRecord } from "./records.ts";

const NO_STATE: SegmentState = {
  hardState: { term: 0, vote: 0n, commit: 0 },
  snapshot: undefined,
  last: { index: 0, term: 0 },
};

export class Replay {
  #hardState: HardState = NO_STATE.hardState;
  #snapshot: SnapshotMeta | undefined;
  #base: Position = NO_STATE.last;
  #entries: Entry[] = [];
  /**
   * The base came from the state record of the first retained segment: what was at and below it was in segments that
   * are gone. Those were released because all their entries were durably applied.
   */
  #inherited = false;
  /** Behind what the next entry of this batch stands; undefined: no entries announced. */
  #after: Position | undefined;

  /** Takes the state record of the first retained segment. */
  begin(state: SegmentState, inherited: boolean): string | undefined {
    this.#hardState = state.hardState;
    this.#snapshot = state.snapshot;
    this.#base = state.last;
    this.#inherited = inherited;
    const empty = state.last.index === 0 && state.snapshot === undefined && state.hardState.term === 0;
    return inherited || empty ? undefined : "the first segment of the log does not begin empty";
  }

  /** Compares the state record of a later segment with what the segments before it gave. */
  compare(state: SegmentState): string | undefined {
    const { index, term } = this.last;
    if (state.last.index !== index || state.last.term !== term) {
      return `the segment continues (${state.last.index}, ${state.last.term}), the log ends at (${index}, ${term})`;
    }
    if (!sameHardState(state.hardState, this.#hardState)) return "the segment begins with another hard state";
    const known = this.#snapshot;
    const same = state.snapshot?.index === known?.index && state.snapshot?.term === known?.term;
    return same ? undefined : "the segment begins with another snapshot";
  }

  /** Before the first record of each batch. */
  beginBatch(): void {
    this.#after = undefined;
  }

  /** Takes any record but `state`. */
  apply(record: Exclude<WalRecord, { type: "state" }>): string | undefined {
    switch (record.type) {
      case "snapshot":
        return this.#takeSnapshot(record.meta, record.keep);
      case "after":
        return this.#continueAfter(record.position);
      case "entry":
        return this.#takeEntry(record.entry);
      case "hardState":
        this.#hardState = record.hardState;
        return undefined;
    }
  }

  /** The last entry, or the base when there is none. */
  get last(): Position {
    const entry = this.#entries.at(-1);
    return entry === undefined ? this.#base : { index: entry.index, term: entry.term };
  }

  get result(): RecoveredLog {
    return {
      hardState: this.#hardState,
      snapshot: this.#snapshot,
      base: this.#base,
      entries: this.#entries,
    };
  }

  #takeSnapshot(meta: SnapshotMeta, keep: boolean): string | undefined {
    const below = meta.index < this.#base.index;
    if (below && !this.#inherited) return `snapshot ${meta.index} lies below the base ${this.#base.index}`;
    const inside = this.#termAt(meta.index) === meta.term;
    if (!below && inside !== keep) return `snapshot ${meta.index} does not agree with the log around it`;
    this.#snapshot = meta;
    if (keep) return undefined;
    this.#base = { index: meta.index, term: meta.term };
    this.#entries = [];
    this.#inherited = false;
    return undefined;
  }

  #continueAfter(position: Position): string | undefined {
    const last = this.last;
    if (position.index > last.index)
      return `entries after ${position.index}, but the log ends at ${last.index}`;
    this.#after = position;
    if (position.index < this.#base.index) {
      if (!this.#inherited) return `entries after ${position.index} overwrite the base ${this.#base.index}`;
      // The overwritten entries were in released segments: what stood at (position, base] is durably applied, and so
      // is what overwrites it here. The log simply begins lower than the segment's state said.
      this.#base = position;
      this.#entries = [];
      return undefined;
    }
    const term = this.#termAt(position.index);
    if (term !== position.term) {
      return `entries after (${position.index}, ${position.term}), but the term there is ${term}`;
    }
    this.#entries.length = position.index - this.#base.index;
    return undefined;
  }

  #takeEntry(entry: Entry): string | undefined {
    if (this.#after === undefined) return "an entry without a position before it";
    const expected = this.last.index + 1;
    if (entry.index !== expected) return `entry ${entry.index} where ${expected} is expected`;
    this.#entries.push(entry);
    return undefined;
  }

  #termAt(index: number): number | undefined {
    if (index === this.#base.index) return this.#base.term;
    return this.#entries[index - this.#base.index - 1]?.term;
  }
}

function sameHardState(a: HardState, b: HardState): boolean {
  return a.term === b.term && a.vote === b.vote && a.commit === b.commit;
}
