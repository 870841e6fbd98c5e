/**
 * The records inside a batch: what the log knows, one after the other, each with its length and kind. Encoding writes
 * into the one buffer of the batch; decoding trusts nothing, although the CRC was right: a reason comes back instead
 * of a record when a length, a kind or a value cannot be.
 *
 *     length of the body u32 | kind u8 | 0 0 0 | body
 */
import { LIMITS, type MemberId } from "../base/index.ts";
import type { ConfState, Entry, HardState, SnapshotMeta } from "../raft/types.ts";
import { getUint53, setUint53 } from "./format.ts";

/** A place in the log: the entry at `index` has `term`. (0, 0) is the place before the first entry. */
export interface Position {
  readonly index: number;
  readonly term: number;
}

/** What every segment begins with, so that the segments before it can be removed. */
export interface SegmentState {
  readonly hardState: HardState;
  readonly snapshot: SnapshotMeta | undefined;
  /** The last entry before this segment, or the base when there was none. */
  readonly last: Position;
}

export type WalRecord =
  /** Always the first record of a segment, and nowhere else. */
  | ({ readonly type: "state" } & SegmentState)
  /**
   * The newest snapshot. `keep`: the log held an entry with the same index and term, and stays as it is; otherwise
   * the log is empty from here on and begins behind the snapshot. It is written down and not worked out again,
   * because the entry that decided it may be in a segment that was released since.
   */
  | { readonly type: "snapshot"; readonly meta: SnapshotMeta; readonly keep: boolean }
  /** What the entries that follow in this batch stand behind; all that was there after it is overwritten. */
  | { readonly type: "after"; readonly position: Position }
  | { readonly type: "entry"; readonly entry: Entry }
  | { readonly type: "hardState"; readonly hardState: HardState };

const RECORD_HEADER_BYTES = 8;
const POSITION_BYTES = 16;
const HARD_STATE_BYTES = 24;
const KIND = { state: 1, snapshot: 2, after: 3, normal: 4, conf: 5, hardState: 6 } as const;
/** Index, term, flags and lease length, and the four counts of a ConfState. */
const SNAPSHOT_FIXED_BYTES = POSITION_BYTES + 8 + 16;

/** Bytes that an entry takes. */
export function entryBytes(entry: Entry): number {
  return RECORD_HEADER_BYTES + POSITION_BYTES + entry.data.length;
}

/** Bytes of the `after` record. */
export const AFTER_BYTES = RECORD_HEADER_BYTES + POSITION_BYTES;
/** Bytes of the `hardState` record. */
export const HARD_STATE_RECORD_BYTES = RECORD_HEADER_BYTES + HARD_STATE_BYTES;

/** Bytes of the `snapshot` record. */
export function snapshotBytes(meta: SnapshotMeta): number {
  return RECORD_HEADER_BYTES + snapshotBodyBytes(meta);
}

/** Bytes of the `state` record. */
export function stateBytes(state: SegmentState): number {
  const snapshot = state.snapshot === undefined ? 0 : snapshotBodyBytes(state.snapshot);
  return RECORD_HEADER_BYTES + HARD_STATE_BYTES + POSITION_BYTES + 8 + snapshot;
}

/** Writes records one behind the other into a buffer that the caller sized with the functions above. */
export class RecordWriter {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at: number;
  #records = 0;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#at = at;
  }

  get at(): number {
    return this.#at;
  }

  get records(): number {
    return this.#records;
  }

  state(state: SegmentState): void {
    this.#header(stateBytes(state) - RECORD_HEADER_BYTES, KIND.state);
    this.#hardStateBody(state.hardState);
    this.#position(state.last);
    this.#view.setUint32(this.#at, state.snapshot === undefined ? 0 : 1, true);
    this.#view.setUint32(this.#at + 4, 0, true);
    this.#at += 8;
    if (state.snapshot !== undefined) this.#snapshotBody(state.snapshot, false);
  }

  snapshot(meta: SnapshotMeta, keep: boolean): void {
    this.#header(snapshotBodyBytes(meta), KIND.snapshot);
    this.#snapshotBody(meta, keep);
  }

  after(position: Position): void {
    this.#header(POSITION_BYTES, KIND.after);
    this.#position(position);
  }

  entry(entry: Entry): void {
    this.#header(POSITION_BYTES + entry.data.length, entry.type === "conf" ? KIND.conf : KIND.normal);
    this.#position(entry);
    this.#bytes.set(entry.data, this.#at);
    this.#at += entry.data.length;
  }

  hardState(hardState: HardState): void {
    this.#header(HARD_STATE_BYTES, KIND.hardState);
    this.#hardStateBody(hardState);
  }

  #header(bodyBytes: number, kind: number): void {
    this.#view.setUint32(this.#at, bodyBytes, true);
    this.#view.setUint32(this.#at + 4, kind, true);
    this.#at += RECORD_HEADER_BYTES;
    this.#records += 1;
  }

  #position(position: Position): void {
    setUint53(this.#view, this.#at, position.index);
    setUint53(this.#view, this.#at + 8, position.term);
    this.#at += POSITION_BYTES;
  }

  #hardStateBody(hardState: HardState): void {
    setUint53(this.#view, this.#at, hardState.term);
    this.#view.setBigUint64(this.#at + 8, hardState.vote, true);
    setUint53(this.#view, this.#at + 16, hardState.commit);
    this.#at += HARD_STATE_BYTES;
  }

  #snapshotBody(meta: SnapshotMeta, keep: boolean): void {
    this.#position(meta);
    this.#view.setUint32(this.#at, keep ? 1 : 0, true);
    this.#view.setUint32(this.#at + 4, meta.conf.leaseMs, true);
    this.#at += 8;
    const lists = confLists(meta.conf);
    for (const list of lists) {
      this.#view.setUint32(this.#at, list.length, true);
      this.#at += 4;
    }
    for (const list of lists) {
      for (const id of list) {
        this.#view.setBigUint64(this.#at, id, true);
        this.#at += 8;
      }
    }
  }
}

/** Outcome of reading records: how many, or what is wrong with the one at `at`. */
export type RecordsResult =
  | { readonly type: "ok" }
  | { readonly type: "refused"; readonly at: number; readonly reason: string };

/**
 * Reads the records in [lo, hi) and hands each to `visit`, which answers a reason to stop at it. Entry data is copied:
 * a few live entries must not keep a whole segment in memory.
 */
export function decodeRecords(
  source: { readonly bytes: Uint8Array; readonly data: DataView },
  range: { readonly lo: number; readonly hi: number; readonly records: number },
  visit: (record: WalRecord) => string | undefined,
): RecordsResult {
  const reader = new RecordReader(source);
  let at = range.lo;
  let count = 0;
  while (at < range.hi) {
    const record = reader.read(at, range.hi);
    const reason = typeof record === "string" ? record : visit(record);
    if (reason !== undefined) return { type: "refused", at, reason };
    at = reader.end;
    count += 1;
  }
  if (count !== range.records) {
    return { type: "refused", at, reason: `${count} records where the batch names ${range.records}` };
  }
  return { type: "ok" };
}

class RecordReader {
  /** Where the record that was read last ends. */
  end = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(source: { readonly bytes: Uint8Array; readonly data: DataView }) {
    this.#bytes = source.bytes;
    this.#view = source.data;
  }

  /** A record, or the reason why it is none. */
  read(at: number, hi: number): WalRecord | string {
    if (at + RECORD_HEADER_BYTES > hi) return "a record is cut off";
    const lo = at + RECORD_HEADER_BYTES;
    this.end = lo + this.#view.getUint32(at, true);
    if (this.end > hi) return "a record is longer than its batch";
    const kind = this.#view.getUint32(at + 4, true);
    switch (kind) {
      case KIND.state:
        return this.#state(lo);
      case KIND.snapshot: {
        const snapshot = this.#snapshot(lo);
        return typeof snapshot === "string" ? snapshot : { type: "snapshot", ...snapshot };
      }
      case KIND.after: {
        if (this.end - lo !== POSITION_BYTES) return "a position has the wrong length";
        const position = this.#position(lo);
        return typeof position === "string" ? position : { type: "after", position };
      }
      case KIND.normal:
        return this.#entry(lo, "normal");
      case KIND.conf:
        return this.#entry(lo, "conf");
      case KIND.hardState: {
        if (this.end - lo !== HARD_STATE_BYTES) return "a hard state has the wrong length";
        const hardState = this.#hardState(lo);
        return typeof hardState === "string" ? hardState : { type: "hardState", hardState };
      }
      default:
        return `unknown record kind ${kind}`;
    }
  }

  #state(lo: number): WalRecord | string {
    const fixed = HARD_STATE_BYTES + POSITION_BYTES + 8;
    if (this.end - lo < fixed) return "a segment state has the wrong length";
    const hardState = this.#hardState(lo);
    if (typeof hardState === "string") return hardState;
    const last = this.#position(lo + HARD_STATE_BYTES);
    if (typeof last === "string") return last;
    const flag = this.#view.getUint32(lo + HARD_STATE_BYTES + POSITION_BYTES, true);
    if (flag === 0) {
      if (this.end - lo !== fixed) return "a segment state has the wrong length";
      return { type: "state", hardState, snapshot: undefined, last };
    }
    const snapshot = this.#snapshot(lo + fixed);
    if (typeof snapshot === "string") return snapshot;
    return { type: "state", hardState, snapshot: snapshot.meta, last };
  }

  #position(at: number): Position | string {
    const index = getUint53(this.#view, at);
    const term = getUint53(this.#view, at + 8);
    if (index > LIMITS.maxIndex) return `index ${index} is too large`;
    if (term > LIMITS.maxTerm) return `term ${term} is too large`;
    return { index, term };
  }

  #entry(lo: number, type: Entry["type"]): WalRecord | string {
    if (this.end - lo < POSITION_BYTES) return "an entry has the wrong length";
    const position = this.#position(lo);
    if (typeof position === "string") return position;
    const data = this.#bytes.slice(lo + POSITION_BYTES, this.end);
    return { type: "entry", entry: { index: position.index, term: position.term, type, data } };
  }

  #hardState(at: number): HardState | string {
    const term = getUint53(this.#view, at);
    const commit = getUint53(this.#view, at + 16);
    if (term > LIMITS.maxTerm) return `term ${term} is too large`;
    if (commit > LIMITS.maxIndex) return `commit ${commit} is too large`;
    return { term, vote: this.#view.getBigUint64(at + 8, true), commit };
  }

  #snapshot(lo: number): { meta: SnapshotMeta; keep: boolean } | string {
    if (this.end - lo < SNAPSHOT_FIXED_BYTES) return "a snapshot record has the wrong length";
    const position = this.#position(lo);
    if (typeof position === "string") return position;
    const keep = this.#view.getUint32(lo + POSITION_BYTES, true) !== 0;
    const leaseMs = this.#view.getUint32(lo + POSITION_BYTES + 4, true);
    if (leaseMs > LIMITS.maxLeaseMs) return `lease of ${leaseMs} ms is too long`;
    let total = 0;
    const counts: number[] = [];
    for (let i = 0; i < 4; i++) {
      const count = this.#view.getUint32(lo + POSITION_BYTES + 8 + i * 4, true);
      counts.push(count);
      total += count;
    }
    if (this.end - lo !== SNAPSHOT_FIXED_BYTES + total * 8) return "a snapshot record has the wrong length";
    let at = lo + SNAPSHOT_FIXED_BYTES;
    const lists = counts.map((count) => {
      const ids: MemberId[] = [];
      for (let i = 0; i < count; i++, at += 8) ids.push(this.#view.getBigUint64(at, true));
      return ids;
    });
    const [voters = [], votersOutgoing = [], learners = [], learnersNext = []] = lists;
    const conf: ConfState = { voters, votersOutgoing, learners, learnersNext, leaseMs };
    return { meta: { ...position, conf }, keep };
  }
}

function confLists(conf: ConfState): readonly (readonly MemberId[])[] {
  return [conf.voters, conf.votersOutgoing, conf.learners, conf.learnersNext];
}

function snapshotBodyBytes(meta: SnapshotMeta): number {
  let ids = 0;
  for (const list of confLists(meta.conf)) ids += list.length;
  return SNAPSHOT_FIXED_BYTES + ids * 8;
}
