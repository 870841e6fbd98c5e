// Goal: a range answers what etcd answers, in one go and in slices. Method: a table over one small history, named after
// the rows of etcd.md §1.2; every row is answered at once, in slices of one unit, and inside a txn. Then what only
// slices can show: writes, compactions and restarts of a read between two of them.
import { describe, expect, it } from "vitest";
import { Rng } from "../../../../chaos/sim/rng.ts";
import { SlicedSort } from "../../../../src/apply/kv/sliced-sort.ts";
import { bytesOf, ERR, type KvError } from "../../../../src/base/index.ts";
import type { RangeRequest } from "../../../../src/pb/kv.ts";
import { latin1 } from "../../../support/kv-answers.ts";
import { compaction, compare, del, grant, KvWorld, put, range, txn } from "../../../support/kv-world.ts";

/** a: version 2, b: version 1, c: version 3, d: deleted and back, e: gone. Revision 12, floor 3. */
function world(): KvWorld {
  const old = [grant(5n), put("a", "9"), put("b", "5", { lease: 5n }), compaction(3)];
  const writes = [put("c", "1"), put("a", "3"), put("c", "2"), put("c", "7"), put("d", "0"), del("d")];
  return new KvWorld(...old, ...writes, put("d", "5"), put("e"), del("e"));
}

interface Row {
  readonly name: string;
  readonly key?: string;
  readonly end?: string;
  readonly options?: Partial<RangeRequest>;
  /** "key=value", in order. */
  readonly kvs?: readonly string[];
  readonly count?: number;
  readonly more?: boolean;
  readonly error?: KvError;
}

const ALL = ["a=3", "b=5", "c=7", "d=5"];
const rows: readonly Row[] = [
  { name: "key: one", key: "a", end: "", kvs: ["a=3"], count: 1 },
  { name: "key: a missing one", key: "x", end: "", kvs: [], count: 0 },
  { name: "key: a deleted one", key: "e", end: "", kvs: [], count: 0 },
  { name: "range_end: half open", key: "b", end: "d", kvs: ["b=5", "c=7"], count: 2 },
  { name: "range_end: from a key on", key: "c", end: "\0", kvs: ["c=7", "d=5"], count: 2 },
  { name: "range_end: everything", key: "\0", end: "\0", kvs: ALL, count: 4 },
  { name: "range_end: not above the key", key: "c", end: "c", kvs: [], count: 0 },
  { name: "limit 0: all", options: { limit: 0 }, kvs: ALL, count: 4 },
  { name: "limit < 0: all", options: { limit: -1 }, kvs: ALL, count: 4 },
  { name: "limit: count ignores it", options: { limit: 2 }, kvs: ["a=3", "b=5"], count: 4, more: true },
  { name: "limit: as many as there are", options: { limit: 4 }, kvs: ALL, count: 4 },
  { name: "limit: the largest number", options: { limit: Number.MAX_SAFE_INTEGER }, kvs: ALL, count: 4 },
  { name: "revision: at the floor", options: { revision: 3 }, kvs: ["a=9", "b=5"], count: 2 },
  { name: "revision: below the floor", options: { revision: 2 }, error: ERR.compacted },
  { name: "revision: in between", options: { revision: 8 }, kvs: ["a=3", "b=5", "c=7", "d=0"], count: 4 },
  {
    name: "revision: a key that was deleted then",
    options: { revision: 9 },
    kvs: ["a=3", "b=5", "c=7"],
    count: 3,
  },
  { name: "revision: the newest by name", options: { revision: 12 }, kvs: ALL, count: 4 },
  { name: "revision: the future", options: { revision: 13 }, error: ERR.futureRevision },
  { name: "keys_only", options: { keysOnly: true }, kvs: ["a=", "b=", "c=", "d="], count: 4 },
  { name: "count_only", options: { countOnly: true, limit: 1 }, kvs: [], count: 4 },
  { name: "count_only at a revision", options: { countOnly: true, revision: 3 }, kvs: [], count: 2 },
  { name: "count_only has no filters", options: { countOnly: true, minModRevision: 9 }, kvs: [], count: 4 },
  { name: "sort: key descending", options: { sortOrder: "descend" }, kvs: [...ALL].reverse(), count: 4 },
  {
    name: "sort: key descending, the limit cuts after it",
    options: { sortOrder: "descend", limit: 1 },
    kvs: ["d=5"],
    count: 4,
    more: true,
  },
  {
    name: "sort: version",
    options: { sortOrder: "descend", sortTarget: "version" },
    kvs: ["c=7", "a=3", "b=5", "d=5"],
    count: 4,
  },
  {
    name: "sort: ties keep the order of keys",
    options: { sortOrder: "ascend", sortTarget: "version" },
    kvs: ["b=5", "d=5", "a=3", "c=7"],
    count: 4,
  },
  {
    name: "sort: create",
    options: { sortOrder: "descend", sortTarget: "create" },
    kvs: [...ALL].reverse(),
    count: 4,
  },
  {
    name: "sort: mod",
    options: { sortOrder: "ascend", sortTarget: "mod" },
    kvs: ["b=5", "a=3", "c=7", "d=5"],
    count: 4,
  },
  {
    name: "sort: value",
    options: { sortOrder: "ascend", sortTarget: "value" },
    kvs: ["a=3", "b=5", "d=5", "c=7"],
    count: 4,
  },
  {
    name: "sort: value descending, keys only: sorted before the values go",
    options: { sortOrder: "descend", sortTarget: "value", keysOnly: true, limit: 2 },
    kvs: ["c=", "b="],
    count: 4,
    more: true,
  },
  {
    name: "sort: a target without an order is ascending",
    options: { sortTarget: "mod" },
    kvs: ["b=5", "a=3", "c=7", "d=5"],
    count: 4,
  },
  {
    name: "sort: then the limit takes the first keys *by key*, one more than asked, and cuts what is sorted last",
    options: { sortTarget: "value", sortOrder: "none", limit: 2 },
    kvs: ["a=3", "b=5"],
    count: 4,
    more: true,
  },
  {
    name: "sort: the same with an order looks at all",
    options: { sortTarget: "version", sortOrder: "descend", limit: 1 },
    kvs: ["c=7"],
    count: 4,
    more: true,
  },
  {
    name: "sort: and without one does not",
    options: { sortTarget: "mod", sortOrder: "none", limit: 1 },
    kvs: ["b=5"],
    count: 4,
    more: true,
  },
  { name: "filters: count is before them", options: { minModRevision: 7 }, kvs: ["c=7", "d=5"], count: 4 },
  { name: "filters: max mod", options: { maxModRevision: 5 }, kvs: ["a=3", "b=5"], count: 4 },
  { name: "filters: min create", options: { minCreateRevision: 4 }, kvs: ["c=7", "d=5"], count: 4 },
  { name: "filters: max create", options: { maxCreateRevision: 2 }, kvs: ["a=3"], count: 4 },
  {
    name: "filters: together",
    options: { minModRevision: 4, maxModRevision: 7, minCreateRevision: 3 },
    kvs: ["c=7"],
    count: 4,
  },
  {
    name: "filters: more is after them",
    options: { minModRevision: 5, limit: 2 },
    kvs: ["a=3", "c=7"],
    count: 4,
    more: true,
  },
  {
    name: "filters: they are not cut short by the limit",
    options: { minModRevision: 10, limit: 1 },
    kvs: ["d=5"],
    count: 4,
  },
  { name: "filters: nothing is left", options: { minModRevision: 99 }, kvs: [], count: 4 },
];

describe("Range", () => {
  it.each(rows)(
    "$name",
    ({ key = "a", end = "z", options = {}, kvs = [], count = 0, more = false, error }) => {
      const request = range(key, end, options);
      const { state } = world();
      const sliced = state.startRange(request);
      while (!sliced.step(1));
      const inTxn = state.readTxn(txn([], [request]));
      if (error !== undefined) {
        for (const outcome of [state.range(request), sliced.outcome, inTxn]) {
          expect(outcome).toEqual({ type: "refused", error });
        }
        return;
      }
      const written = world().mustDo(txn([], [request, put("zz")])).response;
      const answers = [state.range(request), sliced.outcome].map((outcome) => {
        // The header carries the current revision, whatever was asked for.
        expect(outcome).toMatchObject({ type: "done", revision: 12 });
        return outcome?.type === "done" ? outcome.response : undefined;
      });
      if (inTxn.type === "done") answers.push(inTxn.response.responses[0] as (typeof answers)[0]);
      if (written.type === "txn") answers.push(written.responses[0] as (typeof answers)[0]);
      expect(answers.length).toBe(4);
      for (const answer of answers) {
        expect(answer).toMatchObject({ type: "range", count, more });
        expect(answer?.kvs.map((kv) => `${latin1(kv.key)}=${latin1(kv.value)}`)).toEqual(kvs);
      }
    },
  );

  it("keys carry their revisions and their lease, without a value too", () => {
    const outcome = world().state.range(range("b", "", { keysOnly: true }));
    const b = {
      key: bytesOf("b"),
      createRevision: 3,
      modRevision: 3,
      version: 1,
      lease: 5n,
      value: bytesOf(""),
    };
    expect(outcome).toMatchObject({ response: { kvs: [b] } });
  });
});

describe("read-only txns", () => {
  it("read one state, in slices too", () => {
    const kv = world();
    const request = txn(
      [compare("a", { type: "version", value: 2 })],
      [range("a"), range("a", "", { revision: 3 })],
      [],
    );
    const job = kv.state.startReadTxn(request);
    expect(job.step(1)).toBe(false);
    kv.mustDo(put("a", "new"));
    while (!job.step(1));
    expect(job.outcome).toMatchObject({
      type: "done",
      revision: 12,
      response: {
        succeeded: true,
        responses: [{ kvs: [{ value: bytesOf("3") }] }, { kvs: [{ value: bytesOf("9") }] }],
      },
    });
  });

  it("fail as a whole", () => {
    const failing = txn([], [range("a"), range("a", "", { revision: 99 })]);
    expect(world().state.readTxn(failing)).toEqual({ type: "refused", error: ERR.futureRevision });
  });
});

describe("slices", () => {
  const many = (count: number): KvWorld => {
    const kv = new KvWorld();
    for (let i = 0; i < count; i++) kv.mustDo(put(`k${String(i).padStart(5, "0")}`, `${i}`));
    return kv;
  };
  const valuesOf = (outcome: ReturnType<KvWorld["state"]["range"]> | undefined): string[] =>
    outcome?.type === "done" ? outcome.response.kvs.map((kv) => latin1(kv.value)) : [];

  it("answer one revision while the store goes on", () => {
    const kv = many(600);
    const before = kv.state.range(range("k", "l"));
    const job = kv.state.startRange(range("k", "l"));
    for (let i = 0; !job.step(40); i++)
      kv.mustDo(i % 2 === 0 ? put(`k${i}`, "new") : del("k00100", "k02000"));
    expect(job.outcome).toEqual(before);
  });

  it("keep their values from a compaction that came after the keys were found", () => {
    const kv = many(50);
    const job = kv.state.startRange(range("k", "l"));
    expect(job.step(60)).toBe(false);
    kv.mustDo(del("k", "l"));
    kv.mustDo(compaction(52));
    while (kv.state.store.compactionStep(1000));
    while (!job.step(7));
    expect(valuesOf(job.outcome).length).toBe(50);
    // The pin is gone with the job: now the values go.
    expect(kv.state.store.compactionPending).toBe(true);
    while (kv.state.store.compactionStep(1000));
    kv.save();
    expect([...kv.records.keys()].filter((name) => name.startsWith("v"))).toEqual([]);
  });

  it("go on at their revision when a compaction comes before all keys are found", () => {
    const kv = many(600);
    const newest = kv.state.startRange(range("k", "l"));
    const old = kv.state.startRange(range("k", "l", { revision: 500 }));
    const before = [kv.state.range(range("k", "l")), kv.state.range(range("k", "l", { revision: 500 }))];
    for (const job of [newest, old]) expect(job.step(300)).toBe(false);
    kv.mustDo(put("k00000", "new"));
    kv.mustDo(del("k00400", "k00500"));
    kv.mustDo(compaction(kv.state.store.revision));
    while (kv.state.store.compactionStep(1000));
    for (const job of [newest, old]) while (!job.step(300));
    expect([newest.outcome, old.outcome]).toEqual(before);
    const late = kv.state.range(range("k", "l", { revision: 500 }));
    expect(late).toEqual({ type: "refused", error: ERR.compacted });
    expect(kv.state.store.compactionPending).toBe(true);
  });

  it("let go of the revision when they are given up", () => {
    const kv = many(50);
    const job = kv.state.startRange(range("k", "l"));
    job.step(10);
    kv.mustDo(del("k", "l"));
    kv.mustDo(compaction(kv.state.store.revision));
    while (kv.state.store.compactionStep(1000));
    expect(kv.state.store.compactionPending).toBe(false);
    job.cancel();
    expect(kv.state.store.compactionPending).toBe(true);
  });

  it("do about as much as they are allowed", () => {
    const kv = many(2000);
    const job = kv.state.startRange(range("k", "l", { sortOrder: "descend", sortTarget: "value" }));
    let slices = 1;
    while (!job.step(500)) slices++;
    // Every key is found, read, sorted in its run, merged three times, and put out.
    expect(slices).toBeGreaterThan((4 * 2000) / 500);
    expect(valuesOf(job.outcome)).toEqual([...valuesOf(kv.state.range(range("k", "l")))].sort().reverse());
  });
});

describe("SlicedSort", () => {
  it.each([0, 1, 2, 255, 256, 257, 511, 513, 1024, 5000])("sorts %i items as a stable sort does", (size) => {
    const rng = new Rng(size, "sliced-sort");
    const items = Array.from({ length: size }, (_, place) => ({ rank: rng.int(0, 50), place }));
    const expected = [...items].sort((a, b) => a.rank - b.rank);
    const sort = new SlicedSort(items, (a, b) => a.rank - b.rank);
    let steps = 0;
    while (!sort.step(rng.int(1, 100))) steps++;
    expect(sort.items).toEqual(expected);
    expect(steps).toBeGreaterThanOrEqual(Math.floor(size / 512));
  });
});
