/**
 * The write-ahead log as a plan: which file operations, in which order, with which bytes, make a batch durable. It
 * never touches a file, so the same code runs over `node:fs`, over the simulator's disk and over the tests' journal.
 *
 * What recovery (`recovery.ts`) relies on, and this file must therefore never break:
 * - a segment gets its name only when its header and all of its pattern are durable;
 * - the name is durable before the first batch is written under it;
 * - one batch is in flight at most, and it is the only thing that is not durable;
 * - a segment is removed only when all of its entries are durably applied, and when the state that it holds stands
 *   durably at the begin of the next one.
 */
import { assert, fail } from "../base/index.ts";
import type { FileOp, PersistBatch } from "../env/index.ts";
import type { HardState, SnapshotMeta } from "../raft/types.ts";
import {
  BATCH_HEADER_BYTES,
  batchBytes,
  encodeSegmentHeader,
  FIRST_BATCH,
  FIRST_SEGMENT,
  fillByDoubling,
  MAX_SEGMENT_BYTES,
  MIN_SEGMENT_BYTES,
  PAGE_BYTES,
  patternSector,
  roundUp,
  SECTOR_BYTES,
  sealBatch,
  segmentName,
  spareName,
  temporaryName,
} from "./format.ts";
import {
  AFTER_BYTES,
  entryBytes,
  HARD_STATE_RECORD_BYTES,
  RecordWriter,
  snapshotBytes,
  stateBytes,
} from "./records.ts";
import { LogShape } from "./shape.ts";
import type { WalOptions } from "./types.ts";

/**
 * A segment is filled in steps of this many bytes, each synced: a sync of a batch beside it then never waits behind
 * more than one step.
 */
const FILL_STEP_BYTES = 1024 * 1024;

/** A live segment as the log remembers it. */
export interface LiveSegment {
  readonly number: number;
  /** Length of the file. */
  readonly bytes: number;
  /** Highest index of an entry or snapshot in it, overwritten ones too; 0: none. */
  maxIndex: number;
}

/** The inside of a segment that can be written to. */
export interface SegmentSeed {
  readonly pattern: Uint8Array;
  readonly headerCrc: number;
}

/** Where a log goes on; made by `createWal` and `recoverWal` only. */
export interface WalStart {
  /** Ascending and contiguous; the last is the current one. */
  readonly segments: LiveSegment[];
  readonly seed: SegmentSeed;
  /** Where the next batch goes in the current segment. SECTOR_BYTES: it holds none yet. */
  readonly used: number;
  readonly nextSequence: number;
  /** Number of the segment that holds the newest batch; 0: there is no batch. */
  readonly newestBatchSegment: number;
  readonly hardState: HardState;
  readonly snapshot: SnapshotMeta | undefined;
  readonly shape: LogShape;
}

interface Spare extends SegmentSeed {
  readonly number: number;
  readonly bytes: number;
  stage: "filling" | "ready";
}

/** File operations that make a new, empty log in an empty directory, and the log. Do them before the first append. */
export function createWal(options: WalOptions): { readonly ops: readonly FileOp[]; readonly wal: Wal } {
  assertOptions(options);
  const made = makeSegment(temporaryName(FIRST_SEGMENT), FIRST_SEGMENT, options.segmentBytes, options);
  const ops = [...made.ops, ...nameSegment(temporaryName(FIRST_SEGMENT), FIRST_SEGMENT)];
  const wal = new Wal(options, {
    segments: [{ number: FIRST_SEGMENT, bytes: options.segmentBytes, maxIndex: 0 }],
    seed: made.seed,
    used: SECTOR_BYTES,
    nextSequence: FIRST_BATCH,
    newestBatchSegment: 0,
    hardState: { term: 0, vote: 0n, commit: 0 },
    snapshot: undefined,
    shape: new LogShape({ index: 0, term: 0 }),
  });
  return { ops, wal };
}

/** The log: decides which file operations make a batch durable. Obtain one from `createWal` or `recoverWal`. */
export class Wal {
  readonly #options: WalOptions;
  readonly #segments: LiveSegment[];
  readonly #shape: LogShape;
  #seed: SegmentSeed;
  #used: number;
  #nextSequence: number;
  #newestBatchSegment: number;
  /** Segment of the newest batch that is known to be durable; 0: none. */
  #durableSegment: number;
  #hardState: HardState;
  #snapshot: SnapshotMeta | undefined;
  #spare: Spare | undefined;

  constructor(options: WalOptions, start: WalStart) {
    assertOptions(options);
    this.#options = options;
    this.#segments = start.segments;
    this.#shape = start.shape;
    this.#seed = start.seed;
    this.#used = start.used;
    this.#nextSequence = start.nextSequence;
    this.#newestBatchSegment = start.newestBatchSegment;
    this.#durableSegment = start.newestBatchSegment;
    this.#hardState = start.hardState;
    this.#snapshot = start.snapshot;
  }

  /** Index of the last entry, or of the base when there is none; 0 for an empty log. */
  get lastIndex(): number {
    return this.#shape.last.index;
  }

  /** Length of all live segments, bytes. A segment that is being made ahead does not count yet. */
  get bytes(): number {
    let total = 0;
    for (const segment of this.#segments) total += segment.bytes;
    return total;
  }

  /** Number of live segments, at least 1. */
  get segments(): number {
    return this.#segments.length;
  }

  /**
   * Operations that make `batch` durable, in order; it is durable when the last one, a `sync`, is done. Call it only
   * when the operations of the append before are done. A batch with nothing in it needs none.
   *
   * The operations own the bytes; those of the batch are copied.
   */
  append(batch: PersistBatch): readonly FileOp[] {
    // One batch is in flight at most, so with this call the one before it is durable.
    this.#durableSegment = this.#newestBatchSegment;
    if (batch.snapshot === undefined && batch.entries.length === 0 && batch.hardState === undefined)
      return [];
    const body = bodyBytes(batch);
    const state = { hardState: this.#hardState, snapshot: this.#snapshot, last: this.#shape.last };
    const ops: FileOp[] = [];
    let payloadBytes = this.#isEmpty() ? body + stateBytes(state) : body;
    if (this.#used + batchBytes(payloadBytes) > this.#current().bytes) {
      payloadBytes = body + stateBytes(state);
      this.#roll(batchBytes(payloadBytes), ops);
    }
    const bytes = new Uint8Array(batchBytes(payloadBytes));
    const writer = new RecordWriter(bytes, BATCH_HEADER_BYTES);
    if (this.#isEmpty()) writer.state(state);
    this.#encode(batch, writer);
    const end = BATCH_HEADER_BYTES + payloadBytes;
    if (writer.at !== end) fail("a batch has the length that was measured", { at: writer.at, end });
    const current = this.#current();
    const { records } = writer;
    sealBatch(
      bytes,
      { sequence: this.#nextSequence, segment: current.number, payloadBytes, records },
      this.#seed,
    );
    const name = segmentName(current.number);
    ops.push({ type: "write", name, offset: this.#used, bytes }, { type: "sync", name });
    this.#used += bytes.length;
    this.#nextSequence += 1;
    this.#newestBatchSegment = current.number;
    return ops;
  }

  /**
   * Once more than half of the current segment is used: operations that make the next one ahead, to be run beside
   * those of appends and releases, in any interleaving; call `prepared` when they are done. undefined: nothing to do
   * now, or the last ones are not done.
   *
   * The segment waits under a name of its own, and the append that needs it renames it. Were it named here, an append
   * that runs out of room before the filling is done could not make a segment of its own under that name.
   */
  prepare(): readonly FileOp[] | undefined {
    const spare = this.#spare;
    const next = this.#current().number + 1;
    if (spare?.stage === "filling" || spare?.number === next) return undefined;
    if (this.#used * 2 <= this.#current().bytes) return undefined;
    const made = makeSegment(spareName(next), next, this.#options.segmentBytes, this.#options);
    this.#spare = { number: next, bytes: this.#options.segmentBytes, stage: "filling", ...made.seed };
    if (spare === undefined) return made.ops;
    // An append was faster or needed more room, and went to a segment of its own; this one came too late.
    return [{ type: "remove", name: spareName(spare.number) }, ...made.ops];
  }

  /** The operations of the last `prepare` are done. */
  prepared(): void {
    const spare = this.#spare;
    if (spare?.stage !== "filling") fail("a segment is being prepared", { stage: spare?.stage });
    spare.stage = "ready";
  }

  /**
   * Operations that remove whole segments whose every entry is at or below `index`, which must be durably applied and
   * never falls. They may run beside those of appends, but after those of earlier releases. Empty: nothing to remove.
   *
   * Oldest first with a `syncDir` after each: were removals to become durable in another order, a crash would leave a
   * hole, and a hole is not told from a lost segment.
   */
  release(index: number): readonly FileOp[] {
    const ops: FileOp[] = [];
    for (;;) {
      const oldest = this.#segments[0] as LiveSegment;
      // The newest durable batch must stay: a newer segment repeats the hard state and the snapshot record of the ones
      // before it, but only from the moment when its own first batch is durable.
      if (oldest.number >= this.#durableSegment || oldest.maxIndex > index) break;
      this.#segments.shift();
      ops.push({ type: "remove", name: segmentName(oldest.number) }, { type: "syncDir" });
    }
    this.#shape.forgetBelow(Math.min(index, this.lastIndex));
    return ops;
  }

  /** @throws AssertionError when the log's view of itself is inconsistent. */
  checkInvariants(): void {
    this.#shape.checkInvariants();
    const current = this.#current();
    const first = this.#segments[0] as LiveSegment;
    for (const [i, segment] of this.#segments.entries()) {
      const expected = first.number + i;
      assert(segment.number === expected, "segments are contiguous", { number: segment.number, expected });
    }
    assert(this.#used % SECTOR_BYTES === 0, "batches begin on sectors", { used: this.#used });
    assert(this.#used >= SECTOR_BYTES, "the header is never written over", { used: this.#used });
    assert(this.#used <= current.bytes, "batches lie in the segment", {
      used: this.#used,
      bytes: current.bytes,
    });
    assert(this.#durableSegment <= this.#newestBatchSegment, "durable follows written", {
      durable: this.#durableSegment,
      newest: this.#newestBatchSegment,
    });
    assert(this.#durableSegment === 0 || first.number <= this.#durableSegment, "durable state is retained", {
      first: first.number,
      durable: this.#durableSegment,
    });
    assert(this.#newestBatchSegment <= current.number, "the newest batch lies in the log", {
      newest: this.#newestBatchSegment,
      current: current.number,
    });
    assert((this.#spare?.number ?? 0) <= current.number + 1, "a spare is at most the next segment", {
      spare: this.#spare?.number,
      current: current.number,
    });
  }

  #current(): LiveSegment {
    return this.#segments.at(-1) as LiveSegment;
  }

  /** Whether the current segment holds no batch yet. */
  #isEmpty(): boolean {
    return this.#used === SECTOR_BYTES;
  }

  /** Moves to a segment with room for `size` bytes of batch; adds the operations that make or name it. */
  #roll(size: number, ops: FileOp[]): void {
    // A segment without a batch is replaced by a larger one of the same number, so that none stays empty in between.
    const number = this.#isEmpty() ? this.#current().number : this.#current().number + 1;
    const needed = SECTOR_BYTES + size;
    const spare = this.#spare;
    let bytes: number;
    if (spare?.stage === "ready" && spare.number === number && spare.bytes >= needed) {
      bytes = spare.bytes;
      this.#seed = { pattern: spare.pattern, headerCrc: spare.headerCrc };
      this.#spare = undefined;
      ops.push(...nameSegment(spareName(number), number));
    } else {
      bytes = Math.max(this.#options.segmentBytes, roundUp(needed, PAGE_BYTES));
      assert(bytes <= MAX_SEGMENT_BYTES, "a batch fits into the largest segment", { bytes });
      const made = makeSegment(temporaryName(number), number, bytes, this.#options);
      this.#seed = made.seed;
      ops.push(...made.ops, ...nameSegment(temporaryName(number), number));
    }
    if (this.#isEmpty()) this.#segments.pop();
    this.#segments.push({ number, bytes, maxIndex: 0 });
    this.#used = SECTOR_BYTES;
  }

  /** Writes the records of a batch and remembers what it changes. */
  #encode(batch: PersistBatch, writer: RecordWriter): void {
    const current = this.#current();
    if (batch.snapshot !== undefined) {
      const { index, term } = batch.snapshot;
      const base = this.#shape.base.index;
      if (index < base) fail("a snapshot lies above what was released", { index, base });
      const keep = this.#shape.termAt(index) === term;
      writer.snapshot(batch.snapshot, keep);
      if (!keep) this.#shape.reset({ index, term });
      this.#snapshot = batch.snapshot;
      current.maxIndex = Math.max(current.maxIndex, index);
    }
    const first = batch.entries[0];
    if (first !== undefined) {
      const index = first.index - 1;
      const term = this.#shape.termAt(index);
      if (term === undefined) {
        const { base, last } = this.#shape;
        fail("entries follow the log", { index: first.index, base: base.index, last: last.index });
      }
      writer.after({ index, term });
      this.#shape.cutAfter(index);
      for (const entry of batch.entries) {
        this.#shape.push(entry);
        writer.entry(entry);
      }
      current.maxIndex = Math.max(current.maxIndex, this.lastIndex);
    }
    if (batch.hardState !== undefined) {
      writer.hardState(batch.hardState);
      this.#hardState = batch.hardState;
    }
  }
}

/** Bytes of all records of a batch, without the state that the first one of a segment carries. */
function bodyBytes(batch: PersistBatch): number {
  let bytes = batch.snapshot === undefined ? 0 : snapshotBytes(batch.snapshot);
  if (batch.entries.length > 0) bytes += AFTER_BYTES;
  for (const entry of batch.entries) bytes += entryBytes(entry);
  return batch.hardState === undefined ? bytes : bytes + HARD_STATE_RECORD_BYTES;
}

/** Operations that fill a new segment under a name that recovery does not read. */
function makeSegment(
  name: string,
  number: number,
  bytes: number,
  options: WalOptions,
): { readonly ops: readonly FileOp[]; readonly seed: SegmentSeed } {
  const pattern = patternSector(options.instance, number);
  const head = patternBytes(pattern, Math.min(bytes, FILL_STEP_BYTES));
  const { cluster, member, instance } = options;
  const headerCrc = encodeSegmentHeader(head, { number, bytes, cluster, member, instance });
  const ops: FileOp[] = [
    { type: "create", name },
    { type: "write", name, offset: 0, bytes: head },
    { type: "sync", name },
  ];
  if (bytes > FILL_STEP_BYTES) {
    const step = patternBytes(pattern, FILL_STEP_BYTES);
    for (let offset = FILL_STEP_BYTES; offset < bytes; offset += FILL_STEP_BYTES) {
      ops.push({
        type: "write",
        name,
        offset,
        bytes: step.subarray(0, Math.min(bytes - offset, step.length)),
      });
      ops.push({ type: "sync", name });
    }
  }
  return { ops, seed: { pattern, headerCrc } };
}

function nameSegment(from: string, number: number): readonly FileOp[] {
  return [{ type: "rename", from, to: segmentName(number) }, { type: "syncDir" }];
}

/** New bytes with the pattern in them, from a sector boundary on. */
export function patternBytes(pattern: Uint8Array, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set(pattern.subarray(0, Math.min(length, SECTOR_BYTES)));
  if (length > SECTOR_BYTES) fillByDoubling(bytes, SECTOR_BYTES);
  return bytes;
}

function assertOptions(options: WalOptions): void {
  const { segmentBytes } = options;
  assert(segmentBytes % PAGE_BYTES === 0, "segments are whole pages", { segmentBytes });
  assert(segmentBytes >= MIN_SEGMENT_BYTES, "segments are not too small", { segmentBytes });
  assert(segmentBytes <= MAX_SEGMENT_BYTES, "segments are not too large", { segmentBytes });
}
