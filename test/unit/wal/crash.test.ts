// Goal: after a crash at any moment the log holds every acknowledged batch, and nothing that was not written.
// Method: a journalling directory, cut at every operation boundary of appends, fills, releases and repairs; of the
// unsynced sectors and names every subset survives when they are few, and seeded random subsets otherwise. The same
// run with `sync` and `syncDir` doing nothing must fail, or the test would prove nothing.
import { describe, expect, test } from "vitest";
import type { FileOp, Random } from "../../../src/env/index.ts";
import { createWal, recoverWal, type Wal } from "../../../src/wal/index.ts";
import { JournalFiles } from "../../support/journal-files.ts";
import { BatchGenerator, LogModel, seededRandom } from "../../support/log-model.ts";

const OPTIONS = { segmentBytes: 16 * 1024, cluster: 0xc1n, member: 0x2n, instance: 0xfeed_beef_cafen };
const SEEDS = 16;
const BATCHES = 60;
/** All subsets are tried of at most this many unsynced changes. */
const EXHAUSTIVE_CHANGES = 6;
const RANDOM_SUBSETS = 10;

class LossError extends Error {}

interface Counts {
  boundaries: number;
  images: number;
  torn: number;
  withInflight: number;
  repairCuts: number;
  releases: number;
  fills: number;
}

/** What a crash may find: all of `acked`, or also all of the batch in flight. */
interface Expected {
  readonly acked: LogModel;
  readonly inflight: LogModel | undefined;
  /** Whether the log itself is acknowledged; before that there may be none. */
  readonly created: boolean;
  readonly released: number;
}

class CrashRun {
  readonly counts: Counts = {
    boundaries: 0,
    images: 0,
    torn: 0,
    withInflight: 0,
    repairCuts: 0,
    releases: 0,
    fills: 0,
  };
  readonly #random: Random;
  readonly #generator: BatchGenerator;
  readonly #files: JournalFiles;
  /** Operations of `prepare` that are not done; they run beside everything else. */
  #fill: FileOp[] = [];
  #expected: Expected = { acked: new LogModel(), inflight: undefined, created: false, released: 0 };

  constructor(seed: number, syncs: boolean) {
    this.#random = seededRandom(seed);
    this.#generator = new BatchGenerator(this.#random, this.#random.int(20, 700));
    this.#files = new JournalFiles({ syncs });
  }

  run(): void {
    const { ops, wal } = createWal(OPTIONS);
    this.#foreground(ops, wal);
    this.#expected = { ...this.#expected, created: true };
    for (let i = 0; i < BATCHES; i++) {
      const floor = this.#generator.floor;
      const batch = this.#generator.next();
      const written = this.#generator.model.copy();
      const append = wal.append(batch);
      this.#expected = { ...this.#expected, inflight: written };
      // A release beside the append that may have moved to a new segment: what it may name is what was acked before.
      const release = this.#random.int(0, 4) === 0 ? wal.release(floor) : [];
      if (release.length > 0) {
        this.counts.releases += 1;
        this.#expected = { ...this.#expected, released: floor };
      }
      this.#foreground(this.#interleave(append, release), wal);
      this.#expected = { ...this.#expected, acked: written, inflight: undefined };
      this.#cut();
    }
  }

  /** Both lists in their own order. */
  #interleave(a: readonly FileOp[], b: readonly FileOp[]): FileOp[] {
    const [left, right] = [[...a], [...b]];
    const out: FileOp[] = [];
    while (left.length + right.length > 0) {
      const from = right.length === 0 || (left.length > 0 && this.#random.int(0, 2) === 0) ? left : right;
      out.push(from.shift() as FileOp);
    }
    return out;
  }

  #foreground(ops: readonly FileOp[], wal: Wal): void {
    for (const op of ops) {
      this.#cut();
      this.#files.execute(op);
      while (this.#random.int(0, 3) === 0) this.#background(wal);
    }
    wal.checkInvariants();
  }

  #background(wal: Wal): void {
    if (this.#fill.length === 0) {
      this.#fill = [...(wal.prepare() ?? [])];
      if (this.#fill.length === 0) return;
      this.counts.fills += 1;
    }
    this.#cut();
    this.#files.execute(this.#fill.shift() as FileOp);
    if (this.#fill.length === 0) wal.prepared();
  }

  #cut(): void {
    this.counts.boundaries += 1;
    // The process is killed and the machine goes on: unsynced changes are still there, and still unsynced.
    this.#check(this.#files.fork(), this.#random.int(0, 4) === 0);
    for (const survives of subsets(this.#files.unsynced, this.#random)) {
      this.#check(this.#files.crash(survives), this.#random.int(0, 12) === 0);
    }
  }

  /** @param deep also cut the repair at every boundary, and go on with the log after it */
  #check(image: JournalFiles, deep: boolean): void {
    this.counts.images += 1;
    const opened = recoverWal(image, OPTIONS);
    if (opened.type === "refused")
      throw new LossError(`refused: ${opened.file} ${opened.offset} ${opened.reason}`);
    if (opened.type === "empty") {
      if (this.#expected.created) throw new LossError("the log is gone");
      image.executeAll(opened.cleanup);
      image.executeAll(createWal(OPTIONS).ops);
      return;
    }
    const { acked, inflight, released } = this.#expected;
    const difference = acked.difference(opened.recovered, released);
    let held = acked;
    if (difference !== undefined) {
      if (inflight === undefined) throw new LossError(difference);
      const other = inflight.difference(opened.recovered, released);
      if (other !== undefined) throw new LossError(`${difference}; with the batch in flight: ${other}`);
      held = inflight;
      this.counts.withInflight += 1;
    }
    if (opened.torn) this.counts.torn += 1;
    if (deep) this.#checkRepair(image, opened.repair, opened.wal, held);
  }

  #checkRepair(image: JournalFiles, repair: readonly FileOp[], wal: Wal, held: LogModel): void {
    for (const op of repair) {
      for (const survives of subsets(image.unsynced, this.#random, 3)) {
        this.counts.repairCuts += 1;
        this.#check(image.crash(survives), false);
      }
      image.execute(op);
    }
    const { released } = this.#expected;
    const after = recoverWal(lost(image), OPTIONS);
    if (after.type !== "ok") throw new LossError(`after repair: ${after.type}`);
    if (after.torn) throw new LossError("after repair: still torn");
    const lostByRepair = held.difference(after.recovered, released);
    if (lostByRepair !== undefined) throw new LossError(`after repair: ${lostByRepair}`);
    const next = {
      seq: 1,
      snapshot: undefined,
      entries: [
        { index: held.lastIndex + 1, term: 1_000, type: "normal" as const, data: new Uint8Array(1_000) },
      ],
      hardState: undefined,
    };
    const grown = held.copy();
    grown.apply(next);
    image.executeAll(wal.append(next));
    const again = recoverWal(lost(image), OPTIONS);
    if (again.type !== "ok") throw new LossError(`after the next append: ${JSON.stringify(again)}`);
    const difference = grown.difference(again.recovered, released);
    if (difference !== undefined) throw new LossError(`after the next append: ${difference}`);
  }
}

/** The machine loses power and nothing unsynced survives. */
function lost(files: JournalFiles): JournalFiles {
  return files.crash(() => false);
}

function subsets(changes: number, random: Random, most = RANDOM_SUBSETS): ((change: number) => boolean)[] {
  if (changes <= EXHAUSTIVE_CHANGES && most === RANDOM_SUBSETS) {
    return Array.from(
      { length: 2 ** changes },
      (_, mask) => (change: number) => (mask & (1 << change)) !== 0,
    );
  }
  const chosen = [() => false, () => true];
  while (chosen.length < most) {
    // From nearly nothing to nearly everything: one lost sector of many matters as much as one that survived.
    const percent = [3, 20, 50, 80, 97][random.int(0, 5)] as number;
    const kept = Array.from({ length: changes }, () => random.int(0, 100) < percent);
    chosen.push((change?: number) => kept[change ?? 0] === true);
  }
  return chosen;
}

describe("a crash at every boundary", () => {
  test(`loses nothing and invents nothing (seeds 1 to ${SEEDS})`, () => {
    const total: Record<string, number> = {};
    for (let seed = 1; seed <= SEEDS; seed++) {
      const run = new CrashRun(seed, true);
      try {
        run.run();
      } catch (error) {
        throw new Error(`seed ${seed} at boundary ${run.counts.boundaries}`, { cause: error });
      }
      for (const [name, count] of Object.entries(run.counts)) total[name] = (total[name] ?? 0) + count;
    }
    console.log(`crashes, seeds 1 to ${SEEDS}:`, JSON.stringify(total));
    for (const [name, count] of Object.entries(total)) expect(count, name).toBeGreaterThan(SEEDS);
  });

  test("is noticed by this test when sync does nothing", () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      expect(() => new CrashRun(seed, false).run(), `seed ${seed}`).toThrow(LossError);
    }
  });
});

describe("what repair makes durable", () => {
  const entry = (index: number, bytes: number) => ({
    index,
    term: 1,
    type: "normal" as const,
    data: new Uint8Array(bytes).fill(7),
  });
  const batchOf = (index: number, bytes: number) => ({
    seq: 1,
    snapshot: undefined,
    entries: [entry(index, bytes)],
    hardState: undefined,
  });

  /** A log with one batch acknowledged, and `ops` of a second whose records end on a sector boundary. */
  function second(): { files: JournalFiles; ops: readonly FileOp[] } {
    const files = new JournalFiles();
    const { ops, wal } = createWal(OPTIONS);
    files.executeAll(ops);
    files.executeAll(wal.append(batchOf(1, 100)));
    // 40 bytes of batch header, 24 of position and 24 before the data of an entry.
    return { files, ops: wal.append(batchOf(2, 2 * 512 - 40 - 24 - 24)) };
  }

  test("a batch that was read although its sync had failed", () => {
    const { files, ops } = second();
    files.executeAll(ops.slice(0, 1));
    files.failSync("0000000000000001.wal");
    const opened = mustOpen(files);
    expect(opened.wal.lastIndex).toBe(2);
    files.executeAll(opened.repair);
    expect(mustOpen(lost(files)).wal.lastIndex).toBe(2);
  });

  test("the lost trailer of a batch whose records are all there", () => {
    const { files, ops } = second();
    files.executeAll(ops.slice(0, 1));
    expect(files.unsynced).toBe(3);
    const image = files.crash((sector) => sector < 2);
    const opened = mustOpen(image);
    expect([opened.wal.lastIndex, opened.torn]).toEqual([2, false]);
    image.executeAll(opened.repair);
    image.executeAll(opened.wal.append(batchOf(3, 10)));
    expect(mustOpen(image).wal.lastIndex).toBe(3);
  });

  test("a first batch that is torn in a segment that has just been named", () => {
    const files = new JournalFiles();
    const { ops, wal } = createWal(OPTIONS);
    files.executeAll(ops);
    files.executeAll(wal.append(batchOf(1, 15_000)));
    const rolled = wal.append(batchOf(2, 3_000));
    expect(rolled.map((op) => op.type)).toEqual([
      ...["create", "write", "sync", "rename", "syncDir"],
      ...["write", "sync"],
    ]);
    files.executeAll(rolled.slice(0, -1));
    const image = files.crash((sector) => sector % 2 === 1);
    const opened = mustOpen(image);
    expect([opened.wal.lastIndex, opened.torn, opened.wal.segments]).toEqual([1, true, 2]);
    image.executeAll(opened.repair);
    image.executeAll(opened.wal.append(batchOf(2, 10)));
    expect(mustOpen(lost(image)).wal.lastIndex).toBe(2);
  });
});

function mustOpen(files: JournalFiles): Extract<ReturnType<typeof recoverWal>, { type: "ok" }> {
  const opened = recoverWal(files, OPTIONS);
  if (opened.type !== "ok") throw new Error(JSON.stringify(opened));
  return opened;
}
