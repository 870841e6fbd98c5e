/**
 * What the store is made of, and the steps that reading, writing, loading, compaction and hashing share: keys by ID,
 * rows by revision, the order of keys, and the records they are saved as.
 */
import { fail } from "../base/index.ts";
import type { Records } from "../env/index.ts";
import { KeyIndex } from "./key-index.ts";
import { KeyTable, NONE, UNDECIDED } from "./keys.ts";
import { decodeValue, RecordWriter, valueName } from "./records.ts";
import { type NewRow, type RowChunk, RowTable } from "./rows.ts";
import type { DamagedRecord, KeyMeta } from "./types.ts";

/** What a revision counts for in the logical size beside its key and value, bytes: rows, names and headers. */
export const REVISION_OVERHEAD_BYTES = 128;

/** Revision of the empty store. */
export const FIRST_REVISION = 1;

const leaseWords = new Uint32Array(2);
const leaseValue = new BigInt64Array(leaseWords.buffer);

export class StoreState {
  readonly records: Records;
  readonly writer = new RecordWriter();
  readonly keys = new KeyTable();
  readonly rows = new RowTable();
  readonly index: KeyIndex = new KeyIndex(this.keys, (id) => !this.rows.isDelete(this.keys.newest(id)));
  /** Of the last published change. Rows above it belong to the open transaction. */
  revision = FIRST_REVISION;
  /** Number of changes of `revision`; 0: there was none. Each record says it of the revision before its own. */
  lastChanges = 0;
  /** -1: never compacted. Invariant: <= revision. */
  compactRevision = -1;
  /** Deletion up to this floor is complete. Invariant: <= compactRevision. Influences no answer. */
  physical = -1;
  /** Bytes of all revisions that compaction has not dropped logically. A function of the applied entries. */
  logicalBytes = 0;
  /** Whether a transaction is open. */
  isWriting = false;
  /** How many rows newer than it the last `visible` passed over: what it cost. */
  walked = 0;
  /** Pinned revisions, each with the number of its pins. */
  readonly pins = new Map<number, number>();

  constructor(records: Records) {
    this.records = records;
  }

  /** The ID of a key; -1: it was never put, or compaction has forgotten it. */
  find(key: Uint8Array): number {
    const id = this.keys.lookup(key);
    return id === UNDECIDED ? this.index.find(key) : id;
  }

  /** Takes in a key that is not there yet. */
  addKey(key: Uint8Array): number {
    const id = this.keys.add(key);
    this.index.insert(id, key);
    return id;
  }

  /** The put of a key that a reader at revision `at` sees; NONE: the key was absent. Leaves `walked`. */
  visible(id: number, at: number): number {
    const { rows } = this;
    let row = this.keys.newest(id);
    let walked = 0;
    for (; row !== NONE && rows.main(row) > at; walked++) row = rows.older(row);
    this.walked = walked;
    return row === NONE || rows.isDelete(row) ? NONE : row;
  }

  /** @param key the key's bytes when the caller has them already */
  meta(row: number, key: Uint8Array = this.keys.bytes(this.rows.key(row))): KeyMeta {
    const { rows } = this;
    return {
      key,
      createRevision: rows.createRevision(row),
      modRevision: rows.main(row),
      sub: rows.sub(row),
      version: rows.version(row),
      lease: leaseOf(rows.leaseLow(row), rows.leaseHigh(row)),
    };
  }

  /** The value of a key as of one revision, or what is wrong with its record. */
  value(meta: KeyMeta): Uint8Array | DamagedRecord {
    const record = valueName(meta.modRevision, meta.sub);
    const bytes = this.records.get(record);
    if (bytes === undefined) return { type: "damaged", record, key: meta.key, reason: "it is missing" };
    const value = decodeValue(meta.modRevision, meta.sub, bytes);
    return typeof value === "string" ? { type: "damaged", record, key: meta.key, reason: value } : value;
  }

  /**
   * Appends a row behind all others as the newest of its key, and counts it. The caller keeps the index block of the
   * key: its `present` and `newest`.
   */
  append(row: NewRow): number {
    const { rows, keys } = this;
    const older = keys.newest(row.key);
    const bytes = keys.length(row.key) + row.valueBytes + REVISION_OVERHEAD_BYTES;
    let garbage = older === NONE || rows.isDelete(older) ? 0 : this.rowBytes(older);
    if (row.version === 0) garbage += bytes;
    const id = rows.append(row, older, garbage);
    keys.setNewest(row.key, id);
    this.logicalBytes += bytes;
    return id;
  }

  /** What a row counts for in the logical size. */
  rowBytes(row: number): number {
    return this.keys.length(this.rows.key(row)) + this.rows.valueBytes(row) + REVISION_OVERHEAD_BYTES;
  }

  /**
   * Whether a compaction at `floor` leaves a row: everything above, the newest of its key at or below if it is a put,
   * and a delete exactly there, which watchers that begin at the floor have still to hear of (etcd #18089, #19179).
   */
  isKept(row: number, floor: number): boolean {
    const { rows } = this;
    const main = rows.main(row);
    if (main > floor) return true;
    const newer = rows.newer(row);
    if (newer !== NONE && rows.main(newer) <= floor) return false;
    return main === floor || !rows.isDelete(row);
  }

  /** Calls `visit` with the rows of revisions [from, to], in order, while it returns true. */
  eachRow(from: number, to: number, visit: (row: number, main: number) => boolean): void {
    this.eachRowFrom(from, 0, to, visit);
  }

  /** As `eachRow`, from the change (from, sub) on. */
  eachRowFrom(from: number, sub: number, to: number, visit: (row: number, main: number) => boolean): void {
    const { rows } = this;
    const place = rows.seek(from, sub);
    for (let at = place.chunk; at < rows.order.length; at++) {
      const chunk = rows.order[at] as RowChunk;
      for (let i = at === place.chunk ? place.row : chunk.begin; i < chunk.end; i++) {
        const row = rows.id(chunk, i);
        const main = rows.main(row);
        if (main > to || !visit(row, main)) return;
      }
    }
  }

  /** @throws AssertionError */
  checkInvariants(): void {
    this.keys.checkInvariants();
    this.rows.checkInvariants();
    this.index.checkInvariants();
    const { revision, compactRevision, physical, rows } = this;
    if (compactRevision > revision || physical > compactRevision) {
      fail("floors out of order", { revision, compactRevision, physical });
    }
    const last = rows.last === NONE ? FIRST_REVISION : rows.main(rows.last);
    if (!this.isWriting && last !== revision) fail("the last row is not the revision", { last, revision });
    for (const block of this.index.blocks) {
      let present = 0;
      for (let slot = 0; slot < block.size; slot++) {
        const id = block.ids[slot] as number;
        const newest = this.keys.newest(id);
        if (newest === NONE || rows.newer(newest) !== NONE || rows.key(newest) !== id)
          fail("newest row", { id });
        if (rows.main(newest) > block.newest) fail("newest of a block", { id, newest: block.newest });
        if (!rows.isDelete(newest)) present++;
      }
      if (present !== block.present) fail("present keys of a block", { present, counted: block.present });
    }
    let bytes = 0;
    this.eachRow(0, Number.POSITIVE_INFINITY, (row) => {
      if (this.isKept(row, compactRevision)) bytes += this.rowBytes(row);
      return true;
    });
    if (bytes !== this.logicalBytes)
      fail("logical size", { counted: bytes, logicalBytes: this.logicalBytes });
  }
}

/** A lease ID from its two unsigned words. */
export function leaseOf(low: number, high: number): bigint {
  if (low === 0 && high === 0) return 0n;
  leaseWords[0] = low;
  leaseWords[1] = high;
  return leaseValue[0] as bigint;
}

/** The unsigned words of a lease ID, valid until the next call. */
export function wordsOfLease(lease: bigint): Uint32Array {
  leaseValue[0] = lease;
  return leaseWords;
}
