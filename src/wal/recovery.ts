/**
 * Reads a log directory back. Synchronous and without effects: bytes in; the log, a list of repairs or a refusal out.
 *
 * The one question is what to do with damage. Damage in what was acknowledged must stop the member: dropping it would
 * forget a vote or an entry that others count on. Damage in the batch that was in flight at a crash is normal: it must
 * not stop the member, and dropping it loses nothing. The room of a batch is pattern, durably, before the batch is
 * written, so an unfinished batch shows pattern where bytes are missing. It is *torn* when it is the last thing in the
 * last segment and
 *
 *   (a) its header is whole and a whole sector of it still holds the pattern, or
 *   (b) its header is whole and its trailer still holds the pattern, or
 *   (c) its header is not whole and everything behind the header is pattern, or
 *   (d) its first sector is pattern, and behind it no other batch begins (sectors reach a disk in any order).
 *
 * Power cuts make (a) and (d) only; (b) and (c) are what a disk leaves that stops in the middle of a sector. An
 * acknowledged batch has a whole header, a trailer and no sector of pattern (`sealBatch`), so no single damaged byte
 * makes it look torn. Everything else refuses.
 */
import { hex } from "../base/index.ts";
import type { FileOp, LogDirectory, RecoveredLog } from "../env/index.ts";
import {
  applySalt,
  BATCH_HEADER_BYTES,
  type BatchHeader,
  batchBytes,
  decodeBatchHeader,
  decodeSegmentHeader,
  FIRST_BATCH,
  FIRST_SEGMENT,
  FORMAT_VERSION,
  isPattern,
  isPayloadWhole,
  isTailWhole,
  MAX_SEGMENT_BYTES,
  parseName,
  patternSector,
  SECTOR_BYTES,
  SEGMENT_HEADER_BYTES,
  type SegmentView,
  segmentName,
  TRAILER_BYTES,
  viewSegment,
  writeTail,
} from "./format.ts";
import { decodeRecords, type WalRecord } from "./records.ts";
import { Replay } from "./replay.ts";
import { LogShape } from "./shape.ts";
import type { WalOptions, WalRefusal } from "./types.ts";
import { type LiveSegment, patternBytes, Wal } from "./wal.ts";

/** Outcome of reading a log directory. Nothing was written yet. */
export type WalRecovery =
  | {
      readonly type: "ok";
      readonly recovered: RecoveredLog;
      /** To be done, all of it, before anything else happens to the log. Never empty. */
      readonly repair: readonly FileOp[];
      readonly wal: Wal;
      /** An unfinished last batch was found; it was never acknowledged, and `repair` clears its room. */
      readonly torn: boolean;
    }
  /** There is no log. `cleanup` removes what an interrupted `createWal` left; do it before `createWal`. */
  | { readonly type: "empty"; readonly cleanup: readonly FileOp[] }
  | WalRefusal;

/** A segment file that is being read. */
interface Segment {
  readonly name: string;
  readonly number: number;
  readonly view: SegmentView;
  /** Length of the file. */
  readonly length: number;
  readonly pattern: Uint8Array;
  readonly headerCrc: number;
  /** Only the last segment can hold a torn batch: an append moves on only when the one before it is durable. */
  readonly isLast: boolean;
}

/** The newest whole batch. */
interface NewestBatch {
  readonly segment: Segment;
  readonly at: number;
  readonly header: BatchHeader;
}

/** What stands at a place where a batch may begin. */
type Found =
  | { readonly type: "batch"; readonly header: BatchHeader; readonly tailWhole: boolean }
  | { readonly type: "free" }
  | { readonly type: "torn" }
  | WalRefusal;

/** Reads the log in `directory`. Writes nothing; the operations in `repair` must be done before anything else. */
export function recoverWal(directory: LogDirectory, options: WalOptions): WalRecovery {
  return new Recovery(directory, options).run();
}

class Recovery {
  readonly #directory: LogDirectory;
  readonly #options: WalOptions;
  readonly #replay = new Replay();
  readonly #live: LiveSegment[] = [];
  /** Files that hold nothing and are removed. */
  readonly #leftovers: string[] = [];
  #current: Segment | undefined;
  #used = SECTOR_BYTES;
  #torn = false;
  #newest: NewestBatch | undefined;
  /** Trailer or padding of the newest batch is damaged: harmless while it is the last, for repair writes it again. */
  #blemish: WalRefusal | undefined;

  constructor(directory: LogDirectory, options: WalOptions) {
    this.#directory = directory;
    this.#options = options;
  }

  run(): WalRecovery {
    const numbers = this.#list();
    if (!Array.isArray(numbers)) return numbers;
    for (const [i, number] of numbers.entries()) {
      const expected = (numbers[0] ?? 0) + i;
      if (number !== expected) return refuse(segmentName(expected), 0, "this segment is missing");
      const refusal = this.#readSegment(number, { isFirst: i === 0, isLast: i === numbers.length - 1 });
      if (refusal !== undefined) return refusal;
    }
    return this.#finish();
  }

  /** Numbers of the segments, ascending. Files of other programs are none of ours, and are left alone. */
  #list(): number[] | WalRefusal {
    const numbers: number[] = [];
    const files = [...this.#directory.list()].sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const { name, bytes } of files) {
      const kind = parseName(name);
      if (kind.type === "segment" && bytes > MAX_SEGMENT_BYTES) {
        return refuse(name, MAX_SEGMENT_BYTES, `the file has ${bytes} bytes, more than any segment`);
      }
      if (kind.type === "segment") numbers.push(kind.number);
      if (kind.type === "leftover") this.#leftovers.push(name);
      if (kind.type === "malformed") return refuse(name, 0, "this is not the name of a log segment");
    }
    return numbers;
  }

  #readSegment(
    number: number,
    place: { readonly isFirst: boolean; readonly isLast: boolean },
  ): WalRefusal | undefined {
    const segment = this.#openSegment(number, place.isLast);
    if (segment === undefined) return undefined;
    if ("type" in segment) return segment;
    const live: LiveSegment = { number, bytes: segment.length, maxIndex: 0 };
    let at = SECTOR_BYTES;
    while (at < segment.length) {
      const found = this.#look(segment, at);
      if (found.type === "refused") return found;
      if (found.type !== "batch") {
        this.#torn = found.type === "torn";
        break;
      }
      const refusal = this.#takeBatch(segment, at, found.header, live, place.isFirst);
      if (refusal !== undefined) return refusal;
      if (!found.tailWhole) {
        this.#blemish = refuse(
          segment.name,
          at,
          "the end of a batch is damaged, and other batches follow it",
        );
      }
      at += batchBytes(found.header.payloadBytes);
    }
    if (this.#torn && this.#blemish !== undefined) return this.#blemish;
    if (at === SECTOR_BYTES && (!place.isLast || (place.isFirst && number !== FIRST_SEGMENT))) {
      return refuse(segment.name, at, "the segment holds no batch, although it must");
    }
    this.#live.push(live);
    this.#current = segment;
    this.#used = at;
    return undefined;
  }

  /** Checks file and header. undefined: the file was never finished, and nothing was ever written to it. */
  #openSegment(number: number, isLast: boolean): Segment | WalRefusal | undefined {
    const name = segmentName(number);
    const { cluster, member, instance } = this.#options;
    const pattern = patternSector(instance, number);
    const view = viewSegment(this.#directory.read(name), pattern);
    const { length } = view.bytes;
    const decoded = decodeSegmentHeader(view.bytes);
    if (decoded.type === "version") {
      const { version } = decoded;
      const reason =
        version > FORMAT_VERSION
          ? `log format ${version} is newer than this program reads (${FORMAT_VERSION})`
          : `log format ${version} is not one that this program reads (${FORMAT_VERSION})`;
      return refuse(
        name,
        8,
        reason,
        "Start this member with the program that wrote the log, or a newer one.",
      );
    }
    if (decoded.type === "damaged") {
      const unborn = length >= SECTOR_BYTES && isPattern(view, SEGMENT_HEADER_BYTES, length);
      // As for (c): a segment that holds a batch is not pattern behind its header. A lost segment 1 is no loss; the
      // first of a log that was cut is, and so is any other that is not the last.
      if (!unborn || !isLast || (this.#live.length === 0 && number !== FIRST_SEGMENT)) {
        return refuse(name, 0, "the segment header is damaged");
      }
      this.#leftovers.push(name);
      return undefined;
    }
    const { header } = decoded;
    for (const [what, found, expected, offset] of [
      ["cluster", header.cluster, cluster, 32],
      ["member", header.member, member, 40],
      ["data directory instance", header.instance, instance, 48],
    ] as const) {
      if (found === expected) continue;
      const reason = `the log belongs to ${what} ${hex(found)}, this is ${what} ${hex(expected)}`;
      return refuse(name, offset, reason, "Start this member with the data directory that belongs to it.");
    }
    if (header.number !== number) return refuse(name, 16, `the file holds segment ${header.number}`);
    if (header.bytes !== length) {
      const reason = `the file has ${length} bytes where its header names ${header.bytes}`;
      return refuse(name, Math.min(length, header.bytes), reason);
    }
    if (!isPattern(view, SEGMENT_HEADER_BYTES, SECTOR_BYTES)) {
      return refuse(name, SEGMENT_HEADER_BYTES, "the room behind the segment header is damaged");
    }
    return { name, number, view, length, pattern, headerCrc: decoded.crc, isLast };
  }

  /** Judges what stands at `at`: the rules of the file's head. */
  #look(segment: Segment, at: number): Found {
    const { view, length, name, isLast } = segment;
    const header = decodeBatchHeader(view, at, segment.headerCrc);
    if (header !== undefined) return this.#lookAtBatch(segment, at, header);
    if (isPattern(view, at, at + SECTOR_BYTES)) {
      if (isPattern(view, at + SECTOR_BYTES, length)) return { type: "free" };
      if (!isLast) return refuse(name, at, "free room of a full segment is damaged");
      for (let next = at + SECTOR_BYTES; next < length; next += SECTOR_BYTES) {
        if (decodeBatchHeader(view, next, segment.headerCrc) === undefined) continue;
        return refuse(name, at, `a batch is missing before the one at ${next}`);
      }
      return { type: "torn" };
    }
    const isCut = isPattern(view, at + BATCH_HEADER_BYTES, length);
    return isLast && isCut ? { type: "torn" } : refuse(name, at, "a batch header is damaged");
  }

  #lookAtBatch(segment: Segment, at: number, header: BatchHeader): Found {
    const { view, length, name, isLast } = segment;
    const next = at + batchBytes(header.payloadBytes);
    const newest = this.#newest?.header.sequence;
    const expected = newest === undefined ? FIRST_BATCH : newest + 1;
    // Where the first retained segment of a log that was cut begins, any sequence may come.
    const isFree = newest === undefined && segment.number !== FIRST_SEGMENT;
    if (header.segment !== segment.number || next > length) {
      return refuse(name, at, `a batch of segment ${header.segment} does not belong here`);
    }
    if (header.sequence !== expected && !isFree) {
      return refuse(name, at, `batch ${header.sequence} where batch ${expected} is expected`);
    }
    const lo = at + BATCH_HEADER_BYTES;
    const hi = lo + header.payloadBytes;
    if (isPayloadWhole(view.bytes, lo, hi, header.payloadCrc)) {
      return { type: "batch", header, tailWhole: isTailWhole(view, hi, next) };
    }
    const unfinished = isPattern(view, hi, hi + TRAILER_BYTES) || hasPatternSector(view, at, next);
    if (isLast && unfinished && isPattern(view, next, length)) return { type: "torn" };
    return refuse(name, at, `the records of batch ${header.sequence} are damaged`);
  }

  #takeBatch(
    segment: Segment,
    at: number,
    header: BatchHeader,
    live: LiveSegment,
    isFirst: boolean,
  ): WalRefusal | undefined {
    if (this.#blemish !== undefined) return this.#blemish;
    let { bytes, data } = segment.view;
    let lo = at + BATCH_HEADER_BYTES;
    if (header.salt !== 0) {
      // A copy: what was read belongs to the directory.
      bytes = bytes.slice(lo, lo + header.payloadBytes);
      lo = 0;
      applySalt(bytes, 0, bytes.length, header.salt);
      data = new DataView(bytes.buffer);
    }
    const replay = this.#replay;
    replay.beginBatch();
    let needsState = at === SECTOR_BYTES;
    const visit = (record: WalRecord): string | undefined => {
      if (needsState !== (record.type === "state"))
        return "a segment state stands first in a segment, and only there";
      needsState = false;
      if (record.type === "state") {
        return isFirst ? replay.begin(record, segment.number !== FIRST_SEGMENT) : replay.compare(record);
      }
      if (record.type === "entry") live.maxIndex = Math.max(live.maxIndex, record.entry.index);
      if (record.type === "snapshot") live.maxIndex = Math.max(live.maxIndex, record.meta.index);
      return replay.apply(record);
    };
    const range = { lo, hi: lo + header.payloadBytes, records: header.records };
    const result = decodeRecords({ bytes, data }, range, visit);
    if (result.type === "refused") {
      return refuse(segment.name, at + BATCH_HEADER_BYTES + result.at - lo, result.reason);
    }
    this.#newest = { segment, at, header };
    return undefined;
  }

  #finish(): WalRecovery {
    const current = this.#current;
    if (current === undefined) return { type: "empty", cleanup: this.#cleanup() };
    const recovered = this.#replay.result;
    const shape = new LogShape(recovered.base);
    for (const entry of recovered.entries) shape.push(entry);
    const wal = new Wal(this.#options, {
      segments: this.#live,
      seed: { pattern: current.pattern, headerCrc: current.headerCrc },
      used: this.#used,
      nextSequence: (this.#newest?.header.sequence ?? FIRST_BATCH - 1) + 1,
      newestBatchSegment: this.#newest?.segment.number ?? 0,
      hardState: recovered.hardState,
      snapshot: recovered.snapshot,
      shape,
    });
    return { type: "ok", recovered, repair: this.#repair(current), wal, torn: this.#torn };
  }

  #cleanup(): FileOp[] {
    const ops: FileOp[] = this.#leftovers.map((name) => ({ type: "remove", name }));
    return ops.length === 0 ? [] : [...ops, { type: "syncDir" }];
  }

  /**
   * What must be durable before the log goes on. It is never empty: what was read may be in the memory of the kernel
   * only, because a process that is killed leaves unsynced bytes and names behind, and recovery builds on them.
   *
   * The newest batch is written again, byte by byte the same. Syncing it would not do: after a `sync` that failed the
   * kernel holds the pages for clean, and the next `sync` succeeds without having written them (reliability.md #26).
   */
  #repair(current: Segment): FileOp[] {
    const ops: FileOp[] = this.#leftovers.map((name) => ({ type: "remove", name }));
    const touched = new Set<string>([current.name]);
    if (this.#newest !== undefined) {
      const { segment, at, header } = this.#newest;
      const bytes = segment.view.bytes.slice(at, at + batchBytes(header.payloadBytes));
      writeTail(bytes, segment.pattern, BATCH_HEADER_BYTES + header.payloadBytes);
      ops.push({ type: "write", name: segment.name, offset: at, bytes });
      touched.add(segment.name);
    }
    if (this.#torn) ops.push(...refill(current, this.#used));
    for (const name of touched) ops.push({ type: "sync", name });
    ops.push({ type: "syncDir" });
    return ops;
  }
}

function hasPatternSector(view: SegmentView, lo: number, hi: number): boolean {
  for (let at = lo; at < hi; at += SECTOR_BYTES) {
    if (isPattern(view, at, at + SECTOR_BYTES)) return true;
  }
  return false;
}

/**
 * Writes the pattern over everything from `lo` on that is not pattern. Whatever part of this a crash leaves, the batch
 * is still torn by the same rules: it can only have more sectors of pattern.
 */
function refill(segment: Segment, lo: number): FileOp[] {
  const { view, length, pattern, name } = segment;
  const ops: FileOp[] = [];
  let start = lo;
  for (let at = lo; at <= length; at += SECTOR_BYTES) {
    if (at < length && !isPattern(view, at, at + SECTOR_BYTES)) continue;
    if (at > start) {
      ops.push({ type: "write", name, offset: start, bytes: patternBytes(pattern, at - start) });
    }
    start = at + SECTOR_BYTES;
  }
  return ops;
}

function refuse(file: string, offset: number, reason: string, advice?: string): WalRefusal {
  return { type: "refused", file, offset, reason, advice: advice ?? ADVICE };
}

const ADVICE =
  "Keep this directory as it is and examine it with `kvctl verify`. If the other members are healthy, remove this " +
  "member with `kvctl member remove <id>` and add it under a new ID, with an empty data directory, with " +
  "`kvctl member add`. Never start it again with an emptied directory under the old ID.";
