// Goal: the log in memory and what of it is durable, committed and handed out. Method: a property test that drives the
// log and a dumb model side by side: the model is arrays of copies, with a disk that really holds what was written.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EMPTY_CONF, type Entry } from "../../../src/raft/index.ts";
import { RaftLog } from "../../../src/raft/log.ts";
import { entriesFrom, entryOf } from "../../support/raft-solo.ts";

/** Terms by index, and nothing clever. Index 0 of each array stands for the position before the first entry. */
class DumbLog {
  /** Term of every index that was ever there; what lies at or below `base` is only remembered for its term. */
  terms: number[] = [0];
  base = 0;
  committed = 0;
  handed = 0;
  /** What the disk holds: terms by index, and the snapshot that it begins with. */
  disk: number[] = [0];
  diskBase = 0;
  /** Content on its way to the disk. */
  batch: { terms: number[]; from: number; snapshot: number | undefined } | undefined;
  /** Not handed to any batch yet: the lowest changed index, or undefined. */
  dirtyFrom: number | undefined;
  snapshotDirty: number | undefined;

  get last(): number {
    return this.terms.length - 1;
  }

  write(index: number, term: number): void {
    this.terms.length = index;
    this.terms.push(term);
    this.dirtyFrom = Math.min(this.dirtyFrom ?? index, index);
  }

  take(): number[] {
    const from = this.dirtyFrom ?? this.last + 1;
    this.batch = { terms: this.terms.slice(from), from, snapshot: this.snapshotDirty };
    this.dirtyFrom = undefined;
    this.snapshotDirty = undefined;
    return this.batch.terms;
  }

  done(): void {
    const batch = this.batch;
    if (batch === undefined) return;
    if (batch.snapshot !== undefined) {
      this.diskBase = batch.snapshot;
      this.disk = new Array<number>(batch.snapshot + 1).fill(-1);
    }
    if (batch.terms.length > 0) this.disk = [...this.disk.slice(0, batch.from), ...batch.terms];
    this.batch = undefined;
  }

  /** Up to where the disk holds exactly this log. A snapshot not yet recorded on disk makes everything void. */
  durable(): number {
    if (this.snapshotDirty !== undefined || this.batch?.snapshot !== undefined) return -1;
    let index = this.base;
    while (
      index < this.last &&
      index + 1 < this.disk.length &&
      this.disk[index + 1] === this.terms[index + 1]
    ) {
      // The same term at an index is the same entry, unless it was overwritten in between; then it is dirty.
      if (this.dirtyFrom !== undefined && index + 1 >= this.dirtyFrom) break;
      if (this.batch !== undefined && index + 1 >= this.batch.from) break;
      index++;
    }
    return index;
  }
}

type Op =
  | { readonly op: "append"; readonly count: number; readonly newTerm: boolean }
  | { readonly op: "overwrite"; readonly back: number; readonly count: number }
  | { readonly op: "take" }
  | { readonly op: "saved" }
  | { readonly op: "commit"; readonly ahead: number }
  | { readonly op: "hand"; readonly max: number }
  | { readonly op: "compact"; readonly back: number }
  | { readonly op: "restore"; readonly ahead: number };

const opArb: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant("append" as const),
      count: fc.integer({ min: 1, max: 4 }),
      newTerm: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant("overwrite" as const),
      back: fc.nat(6),
      count: fc.integer({ min: 1, max: 4 }),
    }),
  },
  { weight: 4, arbitrary: fc.constant({ op: "take" as const }) },
  { weight: 4, arbitrary: fc.constant({ op: "saved" as const }) },
  {
    weight: 3,
    arbitrary: fc.record({ op: fc.constant("commit" as const), ahead: fc.integer({ min: 1, max: 4 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ op: fc.constant("hand" as const), max: fc.integer({ min: 1, max: 3 }) }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("compact" as const), back: fc.nat(3) }) },
  {
    weight: 1,
    arbitrary: fc.record({ op: fc.constant("restore" as const), ahead: fc.integer({ min: 1, max: 5 }) }),
  },
);

/** One run of the log beside the model. */
class Twin {
  readonly log = new RaftLog({ index: 0, term: 0 }, [], 0, 0);
  readonly dumb = new DumbLog();
  #term = 1;
  #handed: number[] = [];

  do(op: Op): void {
    switch (op.op) {
      case "append":
        this.append(op.count, op.newTerm);
        break;
      case "overwrite":
        this.overwrite(op.back, op.count);
        break;
      case "take":
        this.take();
        break;
      case "saved":
        this.saved();
        break;
      case "commit":
        this.commit(op.ahead);
        break;
      case "hand":
        this.hand(op.max);
        break;
      case "compact":
        this.compact(op.back);
        break;
      case "restore":
        this.restore(op.ahead);
        break;
    }
  }

  append(count: number, newTerm: boolean): void {
    if (newTerm) this.#term++;
    for (let i = 0; i < count; i++) {
      const index = this.dumb.last + 1;
      this.log.append(entryOf(index, this.#term));
      this.dumb.write(index, this.#term);
    }
  }

  /** A leader of a new term overwrites: the content at an index never comes back once it was another. */
  overwrite(back: number, count: number): void {
    const first = Math.max(this.dumb.committed, this.dumb.base, this.dumb.last - back) + 1;
    this.#term++;
    this.log.overwrite(entriesFrom(first, new Array<number>(count).fill(this.#term)));
    for (let i = 0; i < count; i++) this.dumb.write(first + i, this.#term);
  }

  take(): void {
    if (this.dumb.batch !== undefined) return;
    const taken = this.log.takeUnsaved().map((e) => e.term);
    expect(taken).toEqual(this.dumb.take());
  }

  saved(): void {
    if (this.dumb.batch === undefined) return;
    this.log.saved();
    this.dumb.done();
  }

  commit(ahead: number): void {
    const index = Math.min(this.dumb.last, this.dumb.committed + ahead);
    expect(this.log.maybeCommit(index)).toBe(index > this.dumb.committed);
    this.dumb.committed = Math.max(this.dumb.committed, index);
  }

  hand(max: number): void {
    const entries = this.log.takeCommitted(max, 1 << 20);
    const to = Math.min(this.dumb.committed, this.dumb.durable());
    const expected: number[] = [];
    for (let i = this.dumb.handed + 1; i <= to && expected.length < max; i++) expected.push(i);
    expect(entries.map((e) => e.index)).toEqual(expected);
    for (const entry of entries) expect(entry.term).toBe(this.dumb.terms[entry.index]);
    this.dumb.handed += expected.length;
    this.#handed.push(...expected);
    // In order, each once; a snapshot may leave a gap.
    for (let i = 1; i < this.#handed.length; i++) {
      if ((this.#handed[i] ?? 0) <= (this.#handed[i - 1] ?? 0)) throw new Error("handed out twice");
    }
  }

  compact(back: number): void {
    const index = Math.min(this.dumb.handed, this.dumb.durable()) - back;
    if (index <= this.dumb.base) return;
    this.log.compact(index);
    this.dumb.base = index;
  }

  restore(ahead: number): void {
    const index = this.dumb.committed + ahead;
    this.#term++;
    this.log.restore({ index, term: this.#term, conf: EMPTY_CONF });
    const { dumb } = this;
    dumb.terms = new Array<number>(index).fill(0);
    dumb.terms.push(this.#term);
    dumb.base = index;
    dumb.committed = index;
    dumb.handed = index;
    dumb.dirtyFrom = undefined;
    dumb.snapshotDirty = index;
    // What was on its way to the disk belongs to a log that is gone; the batch itself still arrives there.
  }

  check(): void {
    const { log, dumb } = this;
    const snapshotUnsaved = dumb.snapshotDirty !== undefined || dumb.batch?.snapshot !== undefined;
    log.checkInvariants(snapshotUnsaved);
    log.checkEntries();
    expect([log.baseIndex, log.lastIndex, log.committed, log.handed]).toEqual([
      dumb.base,
      dumb.last,
      dumb.committed,
      dumb.handed,
    ]);
    expect(log.lastTerm).toBe(dumb.terms[dumb.last]);
    for (let i = dumb.base; i <= dumb.last + 1; i++) expect(log.termAt(i)).toBe(dumb.terms[i]);
    expect(log.entryAt(dumb.base)).toBeUndefined();
    expect(log.hasUnsaved()).toBe(dumb.dirtyFrom !== undefined);
    // While a snapshot's record is not durable nothing counts; then exactly what the disk holds does.
    if (snapshotUnsaved) expect(log.persisted).toBeLessThan(dumb.base);
    else expect(log.persisted).toBe(dumb.durable());
  }
}

test("any sequence of appends, overwrites, batches, commits, snapshots and cuts agrees with the dumb model", () => {
  fc.assert(
    fc.property(fc.array(opArb, { maxLength: 40 }), (ops) => {
      const twin = new Twin();
      for (const op of ops) {
        twin.do(op);
        twin.check();
      }
    }),
    { numRuns: 1500, seed: 20260103, verbose: 1 },
  );
});

function logOf(terms: readonly number[], at = { base: 0, baseTerm: 0, applied: 0, committed: 0 }): RaftLog {
  const base = { index: at.base, term: at.baseTerm };
  return new RaftLog(base, entriesFrom(at.base + 1, terms), at.applied, at.committed);
}

describe("small questions", () => {
  test("what it starts from is durable; committed is the larger of hard state and applied", () => {
    const log = logOf([2, 2, 3], { base: 4, baseTerm: 1, applied: 6, committed: 5 });
    expect([log.firstIndex, log.lastIndex, log.persisted, log.committed, log.handed]).toEqual([
      5, 7, 7, 6, 6,
    ]);
    expect([3, 4, 5, 7, 8].map((i) => log.termAt(i))).toEqual([undefined, 1, 2, 3, undefined]);
  });

  const conflicts: [name: string, own: number[], from: number, terms: number[], first: number | undefined][] =
    [
      ["none, all there", [1, 1, 2], 2, [1, 2], undefined],
      ["none, nothing given", [1], 2, [], undefined],
      ["the first beyond the end", [1, 1], 2, [1, 2], 3],
      ["another term", [1, 1, 1], 2, [1, 2], 3],
      ["at once", [1, 1, 1], 1, [2], 1],
    ];
  test.each(conflicts)("firstConflict: %s", (_, own, from, terms, first) => {
    expect(logOf(own).firstConflict(entriesFrom(from, terms))?.index).toBe(first);
  });

  const backtracks: [name: string, own: number[], index: number, term: number, at: [number, number]][] = [
    ["it holds at the index itself", [1, 1, 3], 3, 3, [3, 3]],
    ["one term is skipped", [1, 1, 3, 3], 4, 2, [2, 1]],
    ["several are", [1, 2, 3, 4], 4, 1, [1, 1]],
    ["all are: the base", [2, 2], 2, 1, [0, 0]],
    ["an index beyond the end begins at the end", [1, 2], 9, 2, [2, 2]],
    ["an index below the base is unknown", [1], 0, 5, [0, 0]],
  ];
  test.each(backtracks)("lastWithTermAtMost: %s", (_, own, index, term, [atIndex, atTerm]) => {
    expect(logOf(own).lastWithTermAtMost(index, term)).toEqual({ index: atIndex, term: atTerm });
  });

  test("lastWithTermAtMost below a cut log names the index and no term", () => {
    const log = logOf([4], { base: 5, baseTerm: 3, applied: 5, committed: 5 });
    expect(log.lastWithTermAtMost(6, 3)).toEqual({ index: 5, term: 3 });
    expect(log.lastWithTermAtMost(6, 2)).toEqual({ index: 5, term: 3 });
    expect(log.lastWithTermAtMost(2, 2)).toEqual({ index: 2, term: 0 });
  });

  const slices: [name: string, lo: number, bytes: number, entries: number, indexes: number[]][] = [
    ["all", 1, 1000, 1000, [1, 2, 3, 4]],
    ["by count", 2, 1000, 2, [2, 3]],
    ["by bytes: each entry has 3", 1, 6, 1000, [1, 2]],
    ["by bytes: one always goes", 1, 1, 1000, [1]],
    ["beyond the end", 5, 1000, 1000, []],
  ];
  test.each(slices)("slice: %s", (_, lo, bytes, entries, indexes) => {
    expect(
      logOf([1, 1, 1, 1])
        .slice(lo, bytes, entries)
        .map((e) => e.index),
    ).toEqual(indexes);
  });
});

describe("guards", () => {
  const committed = { base: 0, baseTerm: 0, applied: 0, committed: 2 };
  const table: [name: string, act: (log: RaftLog) => unknown, message: string][] = [
    ["append with a gap", (log) => log.append(entryOf(9, 1)), "gap"],
    ["overwrite of what is committed", (log) => log.overwrite([entryOf(2, 5)]), "committed"],
    ["overwrite with a gap", (log) => log.overwrite([entryOf(9, 5)]), "gap"],
    ["commit beyond the end", (log) => log.maybeCommit(4), "beyond"],
    ["a cut beyond what was handed out", (log) => log.compact(2), "still needed"],
    [
      "a snapshot at the commit index",
      (log) => log.restore({ index: 2, term: 1, conf: EMPTY_CONF }),
      "behind",
    ],
    ["a slice below the log", (log) => log.slice(0, 10, 10), "below"],
  ];
  test.each(table)("%s", (_, act, message) => {
    expect(() => act(logOf([1, 1, 1], committed))).toThrow(message);
  });

  test("entries with a gap or a falling term are found", () => {
    const broken = (entries: Entry[]) => new RaftLog({ index: 0, term: 0 }, entries, 0, 0);
    expect(() => broken([entryOf(2, 1)]).checkEntries()).toThrow("out of place");
    expect(() => broken([entryOf(1, 3), entryOf(2, 2)]).checkEntries()).toThrow("falls");
  });

  test("handed beyond durable is never given: the batch must be back", () => {
    const log = logOf([]);
    log.append(entryOf(1, 1));
    log.maybeCommit(1);
    log.takeUnsaved();
    expect(log.takeCommitted(10, 1000)).toEqual([]);
    log.saved();
    expect(log.takeCommitted(10, 1000)).toHaveLength(1);
    expect(log.takeCommitted(10, 1000)).toEqual([]);
  });
});
