/**
 * The replicated log as this member sees it, in memory since the last cut, and how much of it is durable, committed
 * and handed out for apply.
 *
 *     base        handed        committed
 *      |  entries   |               |                lastIndex
 *      +------------+---------------+--------------------+
 *                        persisted ^     unsavedFrom ^       (independent of committed)
 *
 * Durability here is a matter of two numbers: what lies below `unsavedFrom` was handed to a persist batch with just
 * this content, and what lies at or below `persisted` is on disk with just this content. An overwrite moves both back.
 *
 * Invariants: base.index <= handed <= committed <= lastIndex; persisted < unsavedFrom <= lastIndex + 1;
 * base.index <= persisted unless a snapshot record is on its way to the disk.
 */
import { assert, fail } from "../base/index.ts";
import { dumpEntry } from "./dump.ts";
import type { Entry, SnapshotMeta } from "./types.ts";

export class RaftLog {
  #baseIndex: number;
  #baseTerm: number;
  #entries: Entry[];
  #committed: number;
  #handed: number;
  #persisted: number;
  #unsavedFrom: number;
  /** Last index of the batch on its way to the disk; 0: none. */
  #savingTo = 0;

  /** Everything given is durable. @param applied what the state already contains; base.index <= applied */
  constructor(
    base: { index: number; term: number },
    entries: readonly Entry[],
    applied: number,
    committed: number,
  ) {
    this.#baseIndex = base.index;
    this.#baseTerm = base.term;
    this.#entries = entries.slice();
    this.#persisted = base.index + entries.length;
    this.#unsavedFrom = this.#persisted + 1;
    this.#committed = Math.max(applied, committed);
    this.#handed = applied;
    this.checkInvariants();
  }

  get baseIndex(): number {
    return this.#baseIndex;
  }
  /** Index of the first entry that is still here; lastIndex + 1 when there is none. */
  get firstIndex(): number {
    return this.#baseIndex + 1;
  }
  get lastIndex(): number {
    return this.#baseIndex + this.#entries.length;
  }
  get lastTerm(): number {
    const last = this.#entries[this.#entries.length - 1];
    return last === undefined ? this.#baseTerm : last.term;
  }
  get committed(): number {
    return this.#committed;
  }
  get persisted(): number {
    return this.#persisted;
  }
  get handed(): number {
    return this.#handed;
  }

  /** The entry at `index`, or undefined when it was cut or is not there yet. */
  entryAt(index: number): Entry | undefined {
    return index <= this.#baseIndex ? undefined : this.#entries[index - this.#baseIndex - 1];
  }

  /** Term at `index`: also known for the base itself; undefined below it and beyond the end. */
  termAt(index: number): number | undefined {
    if (index === this.#baseIndex) return this.#baseTerm;
    return this.entryAt(index)?.term;
  }

  /** Whether a log that ends at (lastIndex, lastTerm) is at least as new as this one (Raft paper §5.4.1). */
  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);
  }

  /** Entries from `lo`, at most `maxBytes` of payload, but at least one if there is one. `lo` is not cut. */
  slice(lo: number, maxBytes: number, maxEntries: number): Entry[] {
    assert(lo > this.#baseIndex, "slice below the log", { lo, base: this.#baseIndex });
    const from = lo - this.#baseIndex - 1;
    const limit = Math.min(this.#entries.length, from + maxEntries);
    let bytes = 0;
    let to = from;
    while (to < limit) {
      bytes += (this.#entries[to] as Entry).data.length;
      if (to > from && bytes > maxBytes) break;
      to++;
    }
    return this.#entries.slice(from, to);
  }

  /** Leader: puts entries at the end. */
  append(entry: Entry): void {
    if (entry.index !== this.lastIndex + 1)
      fail("append leaves a gap", { index: entry.index, last: this.lastIndex });
    this.#entries.push(entry);
  }

  /**
   * Follower: the first of `entries` whose position is missing here or holds another term; undefined when all are
   * here already (Raft paper, figure 2, AppendEntries rule 3). `entries` follow a position that matches.
   */
  firstConflict(entries: readonly Entry[]): Entry | undefined {
    for (const entry of entries) {
      if (this.termAt(entry.index) !== entry.term) return entry;
    }
    return undefined;
  }

  /** Follower: overwrites from the first given position on. It lies above the commit index and leaves no gap. */
  overwrite(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    assert(first.index > this.#committed, "overwrite of a committed entry", {
      index: first.index,
      committed: this.#committed,
    });
    assert(first.index <= this.lastIndex + 1, "overwrite leaves a gap", {
      index: first.index,
      last: this.lastIndex,
    });
    const keep = first.index - this.#baseIndex - 1;
    this.#entries.length = keep;
    for (const entry of entries) this.#entries.push(entry);
    if (this.#persisted >= first.index) this.#persisted = first.index - 1;
    if (this.#unsavedFrom > first.index) this.#unsavedFrom = first.index;
  }

  /**
   * The last position at or below `index` whose term is at most `term`: where a log that has `term` at `index` may
   * still agree with this one. Terms never fall along a log, so everything between cannot match.
   * etcd raft: log.go findConflictByTerm.
   */
  lastWithTermAtMost(index: number, term: number): { index: number; term: number } {
    let at = Math.min(index, this.lastIndex);
    for (; at > this.#baseIndex; at--) {
      const found = (this.entryAt(at) as Entry).term;
      if (found <= term) return { index: at, term: found };
    }
    return at === this.#baseIndex ? { index: at, term: this.#baseTerm } : { index: at, term: 0 };
  }

  /** Moves the commit index forward. Returns whether it moved. */
  maybeCommit(index: number): boolean {
    if (index <= this.#committed) return false;
    assert(index <= this.lastIndex, "commit beyond the log", { index, last: this.lastIndex });
    this.#committed = index;
    return true;
  }

  /** The next committed and durable entries, in order, each once. */
  takeCommitted(maxEntries: number, maxBytes: number): Entry[] {
    const to = Math.min(this.#committed, this.#persisted);
    if (to <= this.#handed) return [];
    const entries = this.slice(this.#handed + 1, maxBytes, Math.min(maxEntries, to - this.#handed));
    this.#handed += entries.length;
    return entries;
  }

  hasUnsaved(): boolean {
    return this.#unsavedFrom <= this.lastIndex;
  }

  /** Hands out what no batch has carried yet. */
  takeUnsaved(): Entry[] {
    const entries = this.hasUnsaved() ? this.#entries.slice(this.#unsavedFrom - this.#baseIndex - 1) : [];
    this.#unsavedFrom = this.lastIndex + 1;
    this.#savingTo = this.lastIndex;
    return entries;
  }

  /**
   * What was taken last is durable. What has been overwritten since is not: it lies at or above `unsavedFrom`, which
   * the overwrite moved back, so the smaller of the two counts (the ABA of etcd raft #8 cannot arise: one batch is in
   * flight at a time, and it is never the same content twice at a position above `unsavedFrom`).
   */
  saved(): void {
    const to = Math.min(this.#savingTo, this.#unsavedFrom - 1);
    if (to > this.#persisted) this.#persisted = to;
    this.#savingTo = 0;
  }

  /** Replaces everything by a snapshot. What the disk has of the old log counts for nothing from here on. */
  restore(meta: SnapshotMeta): void {
    assert(meta.index > this.#committed, "snapshot behind the commit index", {
      index: meta.index,
      committed: this.#committed,
    });
    this.#baseIndex = meta.index;
    this.#baseTerm = meta.term;
    this.#entries = [];
    this.#committed = meta.index;
    this.#handed = meta.index;
    this.#persisted = Math.min(this.#persisted, meta.index - 1);
    this.#unsavedFrom = meta.index + 1;
    this.#savingTo = 0;
  }

  /** Drops entries up to and with `index`, which has been handed out and is durable. */
  compact(index: number): void {
    if (index <= this.#baseIndex) return;
    assert(index <= this.#handed && index <= this.#persisted, "cut of entries still needed", {
      index,
      handed: this.#handed,
      persisted: this.#persisted,
    });
    const term = (this.entryAt(index) as Entry).term;
    this.#entries = this.#entries.slice(index - this.#baseIndex);
    this.#baseIndex = index;
    this.#baseTerm = term;
  }

  /** @param snapshotUnsaved a restored snapshot's record is not durable yet */
  checkInvariants(snapshotUnsaved = false): void {
    const [base, last] = [this.#baseIndex, this.lastIndex];
    assert(base <= this.#handed, "handed below the base", { base, handed: this.#handed });
    assert(this.#handed <= this.#committed, "handed > committed", {
      handed: this.#handed,
      committed: this.#committed,
    });
    assert(this.#committed <= last, "committed > last", { committed: this.#committed, last });
    assert(this.#persisted < this.#unsavedFrom, "persisted and unsaved", {
      persisted: this.#persisted,
      unsavedFrom: this.#unsavedFrom,
    });
    assert(this.#unsavedFrom <= last + 1, "unsaved beyond the log", { unsavedFrom: this.#unsavedFrom, last });
    assert(snapshotUnsaved || base <= this.#persisted, "base not durable", {
      base,
      persisted: this.#persisted,
    });
  }

  /** All of it as text (dump.ts). */
  dump(): string {
    const marks = [this.#committed, this.#handed, this.#persisted, this.#unsavedFrom, this.#savingTo];
    const entries = this.#entries.map(dumpEntry);
    return `${this.#baseIndex}/${this.#baseTerm} [${entries.join(" ")}] ${marks.join(" ")}`;
  }

  /** Asserts contiguous indexes and non-falling terms over the whole log; for tests and the simulator. */
  checkEntries(): void {
    let term = this.#baseTerm;
    for (let i = 0; i < this.#entries.length; i++) {
      const entry = this.#entries[i] as Entry;
      const expected = this.#baseIndex + 1 + i;
      assert(entry.index === expected, "entry out of place", { index: entry.index, expected });
      assert(entry.term >= term, "term falls along the log", {
        index: entry.index,
        term: entry.term,
        before: term,
      });
      term = entry.term;
    }
  }
}
