// Goal: what the log gives back is what went in, over batches, conflicts, snapshots, releases and re-opens.
// Method: random histories against the dumb model; fixed histories where a random one would be too rare.
import { describe, expect, test } from "vitest";
import { AssertionError } from "../../../src/base/index.ts";
import type { PersistBatch } from "../../../src/env/index.ts";
import type { Entry } from "../../../src/raft/types.ts";
import { createWal, recoverWal, type Wal } from "../../../src/wal/index.ts";
import { JournalFiles } from "../../support/journal-files.ts";
import { BatchGenerator, LogModel, seededRandom, someConf } from "../../support/log-model.ts";

const OPTIONS = { segmentBytes: 16 * 1024, cluster: 0xc1n, member: 0x2n, instance: 0xfeed_beef_cafen };
const HISTORIES = 120;
const STEPS = 120;

function open(files: JournalFiles): Extract<ReturnType<typeof recoverWal>, { type: "ok" }> {
  const opened = recoverWal(files, OPTIONS);
  if (opened.type !== "ok") throw new Error(`not opened: ${JSON.stringify(opened)}`);
  return opened;
}

function create(): { files: JournalFiles; wal: Wal } {
  const files = new JournalFiles();
  const { ops, wal } = createWal(OPTIONS);
  files.executeAll(ops);
  return { files, wal };
}

function entries(first: number, terms: readonly number[], bytes = 10): Entry[] {
  return terms.map((term, i) => ({ index: first + i, term, type: "normal", data: new Uint8Array(bytes) }));
}

function batch(part: Partial<PersistBatch>): PersistBatch {
  return { seq: 1, snapshot: undefined, entries: [], hardState: undefined, ...part };
}

test(`${HISTORIES} random histories come back as the model has them`, () => {
  const counts = { reopens: 0, releases: 0, segments: 0, snapshots: 0, conflicts: 0 };
  for (let seed = 1; seed <= HISTORIES; seed++) {
    const random = seededRandom(seed);
    const generator = new BatchGenerator(random, random.int(1, 600));
    let { files, wal } = create();
    let released = 0;
    for (let step = 0; step < STEPS; step++) {
      const lastBefore = generator.model.lastIndex;
      const next = generator.next();
      if (next.snapshot !== undefined) counts.snapshots += 1;
      if ((next.entries[0]?.index ?? lastBefore + 1) <= lastBefore) counts.conflicts += 1;
      files.executeAll(wal.append(next));
      wal.checkInvariants();
      expect(wal.lastIndex, `seed ${seed}`).toBe(generator.model.lastIndex);
      const ahead = wal.prepare();
      if (ahead !== undefined) {
        files.executeAll(ahead);
        wal.prepared();
      }
      if (random.int(0, 6) === 0) {
        released = generator.floor;
        const ops = wal.release(released);
        counts.releases += ops.length / 2;
        files.executeAll(ops);
        wal.checkInvariants();
      }
      if (random.int(0, 12) !== 0) continue;
      counts.reopens += 1;
      files = files.fork();
      const opened = open(files);
      expect(
        generator.model.difference(opened.recovered, released),
        `seed ${seed} step ${step}`,
      ).toBeUndefined();
      expect(opened.torn).toBe(false);
      expect([opened.wal.bytes, opened.wal.segments, opened.wal.lastIndex]).toEqual([
        wal.bytes,
        wal.segments,
        wal.lastIndex,
      ]);
      files.executeAll(opened.repair);
      wal = opened.wal;
      wal.checkInvariants();
    }
    counts.segments += wal.segments;
  }
  console.log(`histories ${HISTORIES} from seed 1:`, JSON.stringify(counts));
  for (const count of Object.values(counts)) expect(count).toBeGreaterThan(HISTORIES / 2);
});

describe("fixed histories", () => {
  test("an entry at or below the last one overwrites what was there and after", () => {
    const { files, wal } = create();
    files.executeAll(wal.append(batch({ entries: entries(1, [1, 1, 1, 1]) })));
    files.executeAll(wal.append(batch({ entries: entries(3, [2]) })));
    const { recovered } = open(files);
    expect(recovered.entries.map((e) => [e.index, e.term])).toEqual([
      [1, 1],
      [2, 1],
      [3, 2],
    ]);
    expect(wal.lastIndex).toBe(3);
  });

  test("a snapshot ahead of the log empties it, and entries go on behind the snapshot", () => {
    const { files, wal } = create();
    const snapshot = { index: 50, term: 3, conf: someConf(3) };
    files.executeAll(wal.append(batch({ entries: entries(1, [1, 1, 1]) })));
    files.executeAll(wal.append(batch({ snapshot, entries: entries(51, [3, 3]) })));
    const { recovered } = open(files);
    expect(recovered.base).toEqual({ index: 50, term: 3 });
    expect(recovered.snapshot).toEqual(snapshot);
    expect(recovered.entries.map((e) => e.index)).toEqual([51, 52]);
  });

  test.each([
    ["same index and term keeps the log", 1, [1, 2, 3]],
    ["same index and another term empties it", 2, []],
  ])("a snapshot inside the log: %s", (_name, term, kept) => {
    const { files, wal } = create();
    files.executeAll(wal.append(batch({ entries: entries(1, [1, 1, 1]) })));
    files.executeAll(wal.append(batch({ snapshot: { index: 2, term, conf: someConf(1) } })));
    expect(open(files).recovered.entries.map((e) => e.index)).toEqual(kept);
  });

  test("a conflict that reaches into released segments moves the base back and loses nothing after it", () => {
    const { files, wal } = create();
    let index = 1;
    while (wal.segments < 2) {
      files.executeAll(wal.append(batch({ entries: entries(index, [1, 1, 1], 300) })));
      index += 3;
    }
    // The first batch of segment 2 is there; entries of it and of segment 1 are overwritten by a new leader.
    const first = index - 6;
    files.executeAll(wal.append(batch({ entries: entries(first, [2, 2, 2, 2, 2, 2, 2, 2]) })));
    files.executeAll(wal.append(batch({ hardState: { term: 2, vote: 1n, commit: first + 7 } })));
    files.executeAll(wal.release(first + 7));
    expect(wal.segments).toBe(1);
    const { recovered } = open(files);
    expect(recovered.base).toEqual({ index: first - 1, term: 1 });
    expect(recovered.entries.map((e) => e.term)).toEqual([2, 2, 2, 2, 2, 2, 2, 2]);
  });

  test("a segment is not released before the next one holds a durable batch", () => {
    const { files, wal } = create();
    files.executeAll(wal.append(batch({ hardState: { term: 7, vote: 3n, commit: 0 } })));
    let index = 1;
    let ops = wal.append(batch({ entries: entries(index, [7], 1000) }));
    while (wal.segments < 2) {
      files.executeAll(ops);
      index += 1;
      ops = wal.append(batch({ entries: entries(index, [7], 1000) }));
    }
    // The append that moved to segment 2 is in flight: were segment 1 to go now, a crash would forget the vote.
    expect(wal.release(index)).toEqual([]);
    files.executeAll(ops);
    files.executeAll(wal.append(batch({ entries: entries(index + 1, [7]) })));
    files.executeAll(wal.release(index));
    expect(wal.segments).toBe(1);
    expect(open(files).recovered.hardState).toEqual({ term: 7, vote: 3n, commit: 0 });
  });

  test("a batch larger than a segment gets a segment that is large enough", () => {
    const { files, wal } = create();
    files.executeAll(wal.append(batch({ entries: entries(1, [1], 100_000) })));
    expect(wal.segments).toBe(1);
    files.executeAll(wal.append(batch({ entries: entries(2, [1], 50_000) })));
    expect(wal.segments).toBe(2);
    expect(wal.bytes).toBeGreaterThan(150_000);
    expect(open(files).recovered.entries.map((e) => e.data.length)).toEqual([100_000, 50_000]);
  });

  test("appends do not wait for a segment that is being made, and it is made again when it came too late", () => {
    const { files, wal } = create();
    const model = new LogModel();
    const put = (bytes: number): void => {
      const next = batch({ entries: entries(model.lastIndex + 1, [1], bytes) });
      model.apply(next);
      files.executeAll(wal.append(next));
    };
    put(9_000);
    const slow = wal.prepare() ?? [];
    expect(slow.map((op) => op.type)).toEqual(["create", "write", "sync"]);
    expect(wal.prepare()).toBeUndefined();
    files.executeAll(slow.slice(0, 2));
    put(9_000);
    expect(wal.segments).toBe(2);
    files.executeAll(slow.slice(2));
    wal.prepared();
    const again = wal.prepare() ?? [];
    expect(again.map((op) => op.type)).toEqual(["remove", "create", "write", "sync"]);
    files.executeAll(again);
    wal.prepared();
    expect(wal.prepare()).toBeUndefined();
    put(9_000);
    wal.checkInvariants();
    expect(model.difference(open(files).recovered, 0)).toBeUndefined();
    expect(files.list().map((file) => file.name)).toEqual([
      "0000000000000001.wal",
      "0000000000000002.wal",
      "0000000000000003.wal",
    ]);
  });

  test("a batch that is too large for the segment made ahead goes to one of its own", () => {
    const { files, wal } = create();
    files.executeAll(wal.append(batch({ entries: entries(1, [1], 9_000) })));
    files.executeAll(wal.prepare() ?? []);
    wal.prepared();
    files.executeAll(wal.append(batch({ entries: entries(2, [1], 20_000) })));
    wal.checkInvariants();
    expect(open(files).recovered.entries.map((e) => e.data.length)).toEqual([9_000, 20_000]);
    expect(wal.prepare()?.[0]).toEqual({ type: "remove", name: "0000000000000002.wal.spare" });
  });

  test("a log that was opened again still knows which entries its segments hold", () => {
    const { files, wal } = create();
    for (let index = 1; index <= 50; index++) {
      files.executeAll(wal.append(batch({ entries: entries(index, [1], 1_000) })));
    }
    const { segments } = wal;
    expect(segments).toBeGreaterThan(3);
    const opened = open(files);
    expect(opened.wal.release(3)).toEqual([]);
    const names = opened.wal.release(29).filter((op) => op.type === "remove");
    expect(names.map((op) => op.name)).toEqual(["0000000000000001.wal", "0000000000000002.wal"]);
    expect(opened.wal.segments).toBe(segments - 2);
  });

  test("an empty batch needs no operations", () => {
    const { wal } = create();
    expect(wal.append(batch({}))).toEqual([]);
  });

  test.each([
    ["a gap", batch({ entries: entries(3, [1]) })],
    [
      "a gap behind a snapshot",
      batch({ snapshot: { index: 5, term: 1, conf: someConf(1) }, entries: entries(7, [1]) }),
    ],
    ["entries that are not contiguous", batch({ entries: [...entries(1, [1]), ...entries(3, [1])] })],
  ])("%s is a bug and not written", (_name, wrong) => {
    const { wal } = create();
    expect(() => wal.append(wrong)).toThrow(AssertionError);
  });
});
