/**
 * For how long one slice of the work that a member does in slices holds the event loop: compaction, HashKV, ranges,
 * snapshots, over a state in LevelDB with its budgets. Each step is timed by itself, garbage collection included.
 */
import type { AppliedState } from "../../src/apply/index.ts";
import type { Backend, BackendDirectory } from "../../src/env/index.ts";
import { beginFrame, DEFAULT_OPTIONS, SnapshotChecker, SnapshotCutter } from "../../src/member/index.ts";
import { decodeSnapshotFrame, encodeSnapshotFrame, type SnapshotFrame } from "../../src/pb/index.ts";
import type { RangeRequest } from "../../src/pb/kv.ts";
import type { Entry } from "../../src/raft/index.ts";
import { loadState } from "../../src/server/loading.ts";
import { NodeClock } from "../../src/server/node-clock.ts";
import { putOf, rangeOf } from "../support/plain-requests.ts";
import { putEntry } from "./apply.ts";
import { applyToDisk } from "./level-state.ts";
import { LoopWatch, type SliceSums, SliceTimes } from "./measure.ts";

const KEY_BYTES = 64;
const PREFIX = "/registry/pods/default/";
const ALL = { key: new Uint8Array([0]), rangeEnd: new Uint8Array([0]) };
const MEMBER = { ...DEFAULT_OPTIONS, id: 1n, instance: 1n };
const { readSlice, compactionBatch } = DEFAULT_OPTIONS;
/** Keys that a client asks for at a time. */
const PAGE_KEYS = 500;
/** Index of the state that receives the snapshot. */
const RECEIVED = 1_000_000_000;

export interface SliceOptions {
  readonly keys: number;
  /** Puts over these keys, after each was put once. */
  readonly updates: number;
  readonly valueBytes: number;
}

/** One kind of work. */
export interface SliceFigures extends SliceSums {
  readonly name: string;
  /** How many of what it is about it found, for the test. */
  readonly found: number;
}

/** Fills an empty place, then does everything that goes in slices, and gives each to `report`. */
export async function measureSlices(
  directory: BackendDirectory,
  options: SliceOptions,
  report: (figures: SliceFigures) => void,
): Promise<void> {
  const revision = options.keys + 1;
  await applyToDisk(directory, entriesOf(options));
  const backend = await directory.open(0);
  const { applied } = await loadState(MEMBER, backend, 0, new NodeClock());
  const read = (name: string, more: Partial<RangeRequest>): void => {
    const times = new SliceTimes();
    report({
      name,
      found: readOne(applied, { ...rangeOf(ALL.key, ALL), ...more }, times),
      ...times.figures(),
    });
  };
  read("count of all keys", { countOnly: true });
  read("count of all keys at an old revision", { countOnly: true, revision });
  read("count of all keys before a few changes", {
    countOnly: true,
    revision: applied.kv.store.revision - 1000,
  });
  read("first key and the count at an old revision", { limit: 1, revision });
  read("one key at an old revision", { key: keyOf(0), rangeEnd: new Uint8Array(0), revision });
  read("all keys, no values", { keysOnly: true });
  read("all keys", {});
  read("all keys at an old revision", { revision });
  read("all keys by value, 100 wanted", { sortTarget: "value", sortOrder: "descend", limit: 100 });
  report(readPages(applied, 0, "all keys in pages"));
  report(readPages(applied, revision, "all keys at an old revision in pages"));
  report(hash(applied));
  await sendSnapshot(directory, backend, report);
  await compact(applied, backend, report);
  await backend.close();
}

/** Keys in order, as they are after a restart; then again in an order that is none. */
function* entriesOf({ keys, updates, valueBytes }: SliceOptions): Generator<Entry, void, void> {
  for (let i = 0; i < keys + updates; i++) {
    const key = keyOf(i < keys ? i : (i * 7919) % keys);
    const request = putOf(key, new Uint8Array(valueBytes).fill(i & 0xff));
    yield putEntry(i + 1, request);
  }
}

/** The prefix and a number in decimal digits, which fill the rest. */
function keyOf(n: number): Uint8Array {
  return Buffer.from(PREFIX + String(n).padStart(KEY_BYTES - PREFIX.length, "0"));
}

/** What one member's read takes; the making of the job is its first slice. */
function readOne(applied: AppliedState, request: RangeRequest, times: SliceTimes): number {
  const job = times.time(() => applied.kv.startRange(request));
  while (!times.time(() => job.step(readSlice)));
  const { outcome } = job;
  if (outcome?.type !== "done") throw new Error("a range was not answered");
  const { kvs, count } = outcome.response;
  return request.countOnly || request.limit === 1 ? count : kvs.length;
}

function readPages(applied: AppliedState, revision: number, name: string): SliceFigures {
  const times = new SliceTimes();
  let [key, found] = [ALL.key, 0];
  for (let more = true; more; ) {
    const request = {
      ...rangeOf(key, { rangeEnd: ALL.rangeEnd }),
      limit: PAGE_KEYS,
      keysOnly: true,
      revision,
    };
    const job = times.time(() => applied.kv.startRange(request));
    while (!times.time(() => job.step(readSlice)));
    if (job.outcome?.type !== "done") throw new Error("a page was not answered");
    const { kvs } = job.outcome.response;
    ({ more } = job.outcome.response);
    found += kvs.length;
    const last = kvs[kvs.length - 1];
    if (last !== undefined) key = Buffer.concat([last.key, new Uint8Array(1)]);
  }
  return { name, found, ...times.figures() };
}

function hash({ kv }: AppliedState): SliceFigures {
  const times = new SliceTimes();
  const job = times.time(() => kv.store.startHash(0));
  if ("message" in job) throw new Error(job.message);
  while (times.time(() => job.step(readSlice)));
  const found = job.result?.type === "hash" ? job.result.hashRevision : 0;
  return { name: "HashKV", found, ...times.figures() };
}

/** Both ends of one stream; what crosses between them are bytes. */
async function sendSnapshot(
  directory: BackendDirectory,
  backend: Backend,
  report: (figures: SliceFigures) => void,
): Promise<void> {
  const [sending, receiving] = [new SliceTimes(), new SliceTimes()];
  const view = backend.snapshot();
  const checker = new SnapshotChecker(2n);
  const state = await directory.receive(RECEIVED);
  const watch = new LoopWatch();
  let found = 0;
  const take = async (frame: SnapshotFrame): Promise<void> => {
    const bytes = sending.time(() => encodeSnapshotFrame(frame)).slice();
    // On a real connection each end has turns of its own.
    await new Promise((resolve) => setImmediate(resolve));
    const adding = receiving.time(() => {
      const decoded = decodeSnapshotFrame(bytes);
      if (decoded.type === "refused") throw new Error(decoded.reason);
      const checked = checker.check(decoded.value);
      if (checked.type === "refused") throw new Error(checked.reason);
      if (decoded.value.type !== "chunk") return undefined;
      found += decoded.value.records.length;
      return state.add(decoded.value.records);
    });
    await adding;
    await new Promise((resolve) => setImmediate(resolve));
  };
  const cutter = new SnapshotCutter(1);
  await take(beginFrame({ stream: 1, from: 1n, to: 2n, term: 1 }, view.meta));
  await view.scan([""], async (records) => {
    const chunks = sending.time(() => records.map(([name, value]) => cutter.add(name, value)));
    for (const chunk of chunks) if (chunk !== undefined) await take(chunk);
  });
  for (const frame of cutter.end()) await take(frame);
  const blockMs = watch.stop();
  await state.discard();
  await view.close();
  report({ name: "snapshot sent", found, ...sending.figures() });
  report({ name: "snapshot received", found, ...receiving.figures() });
  const block = { slices: 1, maxMs: blockMs, p99Ms: blockMs, maxCpuMs: 0, seconds: 0 };
  report({ name: "snapshot, longest block of both in one process", found, ...block });
}

async function compact(
  applied: AppliedState,
  backend: Backend,
  report: (figures: SliceFigures) => void,
): Promise<void> {
  const { store } = applied.kv;
  const times = new SliceTimes();
  const write = async (seq: number): Promise<void> => {
    const { index, term, conf } = applied;
    await backend.write({ seq, index, term, conf, ...applied.takeChanges() });
    applied.batchDurable();
  };
  const asked = { type: "compaction", revision: store.revision, physical: false } as const;
  times.time(() => applied.kv.apply(asked));
  let seq = 0;
  for (let more = true; more; ) {
    more = times.time(() => store.compactionStep(compactionBatch));
    // A member's batches go out every 100 ms; a part of compaction comes every 10 ms.
    if (!more || times.slices % 10 === 0) await write(++seq);
  }
  report({ name: "compaction", found: store.revision, ...times.figures() });
}
