/**
 * The hash by which members compare their data: CRC-32C over "key" and, for every revision that counts, the key of
 * etcd's bucket (17 bytes, 18 for a delete) and the marshalled mvccpb.KeyValue. What counts is what etcd counts
 * (server/storage/mvcc/hash.go): everything in (compactRevision, revision], and of what is at or below
 * compactRevision the puts that are still the newest of their keys at `revision`.
 */
import { bytesOf, crc32c, ERR, fail, type KvError } from "../base/index.ts";
import { CountJob } from "./counting.ts";
import { NONE } from "./keys.ts";
import type { StoreState } from "./state.ts";
import type { DamagedRecord, KeyMeta } from "./types.ts";
import { ROWS_PER_UNIT, readingWork } from "./work.ts";

/** A finished hash. */
export interface HashResult {
  readonly type: "hash";
  /** Unsigned 32-bit. */
  readonly hash: number;
  readonly compactRevision: number;
  readonly hashRevision: number;
}

const EVERYTHING = { key: new Uint8Array(0), rangeEnd: new Uint8Array([0]) };
const SEED = crc32c(bytesOf("key"));
const WORD = 0x1_0000_0000;
const UNDERSCORE = 0x5f;
const LETTER_T = 0x74;
/** Tags of mvccpb.KeyValue: field number << 3 | wire type. */
const TAG = { key: 0x0a, create: 0x10, mod: 0x18, version: 0x20, value: 0x2a, lease: 0x30 } as const;

/**
 * Hashes in slices, whatever is written or compacted in between: history from its floor on is pinned until it is done
 * or cancelled.
 */
export class HashJob {
  readonly #state: StoreState;
  readonly #compactRevision: number;
  readonly #revision: number;
  /** etcd skips nothing at or below the floor when no key is left at the revision; what compaction leaves counts. */
  #isEmpty = false;
  /** Whether there are any is counted first. undefined: it is known. */
  #keys: CountJob | undefined;
  readonly #release: () => void;
  #hash = SEED;
  /** The next revision to hash. */
  #main = 0;
  #sub = 0;
  #result: HashResult | DamagedRecord | undefined;

  /** Use `startHash`. */
  constructor(state: StoreState, revision: number, release: () => void) {
    this.#state = state;
    this.#compactRevision = state.compactRevision;
    this.#revision = revision;
    this.#keys = new CountJob(state, EVERYTHING, revision);
    this.#release = release;
  }

  /** undefined: not finished. A damaged value has no hash. */
  get result(): HashResult | DamagedRecord | undefined {
    return this.#result;
  }

  /**
   * Does about `budget` units of work (`work.ts`): most are for values that are read. Whether there is more to do.
   */
  step(budget: number): boolean {
    if (this.#result !== undefined) return false;
    if (budget < 1) fail("a step without a budget", { budget });
    let left = budget;
    if (this.#keys !== undefined) {
      left -= this.#keys.step(left);
      if (!this.#keys.isDone) return true;
      this.#isEmpty = this.#keys.count === 0;
      this.#keys = undefined;
    }
    let isCut = false;
    this.#state.eachRowFrom(this.#main, this.#sub, this.#revision, (row, main) => {
      if (left <= 0) {
        isCut = true;
        this.#main = main;
        this.#sub = this.#state.rows.sub(row);
        return false;
      }
      left -= this.#counts(row, main) ? this.#add(row) : 1 / ROWS_PER_UNIT;
      return this.#result === undefined;
    });
    if (isCut) return true;
    this.#result ??= {
      type: "hash",
      hash: this.#hash,
      compactRevision: this.#compactRevision,
      hashRevision: this.#revision,
    };
    this.#release();
    return false;
  }

  /** Gives up; there will be no result. */
  cancel(): void {
    this.#release();
  }

  #counts(row: number, main: number): boolean {
    if (main > this.#compactRevision) return true;
    const state = this.#state;
    if (this.#isEmpty) return state.isKept(row, this.#compactRevision);
    if (state.rows.isDelete(row)) return false;
    const newer = state.rows.newer(row);
    return newer === NONE || state.rows.main(newer) > this.#revision;
  }

  /** Returns what it cost. */
  #add(row: number): number {
    const meta = this.#state.meta(row);
    const isDelete = this.#state.rows.isDelete(row);
    const hash = addBucketKey(this.#hash, meta.modRevision, meta.sub, isDelete);
    if (isDelete) {
      this.#hash = addKeyValue(hash, { ...meta, modRevision: 0 }, undefined);
      return 1;
    }
    const value = this.#state.value(meta);
    if (value instanceof Uint8Array) this.#hash = addKeyValue(hash, meta, value);
    else this.#result = value;
    return readingWork(value instanceof Uint8Array ? value.length : 0);
  }
}

/** See `Store.startHash`. */
export function startHash(
  state: StoreState,
  revision: number,
  pin: (revision: number) => () => void,
): HashJob | KvError {
  const at = revision <= 0 ? state.revision : revision;
  if (at > state.revision) return ERR.futureRevision;
  if (at < state.compactRevision) return ERR.compacted;
  return new HashJob(state, at, pin(state.compactRevision));
}

const scratch = new Uint8Array(64);
const scratchView = new DataView(scratch.buffer);

/** Continues a hash by the key under which etcd keeps a revision: main and sub big-endian, `t` for a delete. */
export function addBucketKey(hash: number, main: number, sub: number, isDelete: boolean): number {
  scratchView.setUint32(0, Math.floor(main / WORD));
  scratchView.setUint32(4, main >>> 0);
  scratch[8] = UNDERSCORE;
  scratchView.setUint32(9, 0);
  scratchView.setUint32(13, sub);
  scratch[17] = LETTER_T;
  return crc32c(scratch, hash, 0, isDelete ? 18 : 17);
}

/** Continues a hash by a marshalled mvccpb.KeyValue; zero fields and an absent or empty value are left out. */
export function addKeyValue(hash: number, meta: KeyMeta, value: Uint8Array | undefined): number {
  let at = putTag(0, TAG.key);
  at = putVarint(at, meta.key.length);
  let h = crc32c(meta.key, crc32c(scratch, hash, 0, at));
  at = putNumber(0, TAG.create, meta.createRevision);
  at = putNumber(at, TAG.mod, meta.modRevision);
  at = putNumber(at, TAG.version, meta.version);
  if (value !== undefined && value.length > 0) {
    at = putVarint(putTag(at, TAG.value), value.length);
    h = crc32c(value, crc32c(scratch, h, 0, at));
    at = 0;
  }
  if (meta.lease !== 0n) at = putLease(putTag(at, TAG.lease), meta.lease);
  return crc32c(scratch, h, 0, at);
}

function putTag(at: number, tag: number): number {
  scratch[at] = tag;
  return at + 1;
}

function putNumber(at: number, tag: number, value: number): number {
  return value === 0 ? at : putVarint(putTag(at, tag), value);
}

function putVarint(at: number, value: number): number {
  let [to, rest] = [at, value];
  for (; rest >= 128; rest = Math.floor(rest / 128)) scratch[to++] = (rest % 128) | 128;
  scratch[to++] = rest;
  return to;
}

/** A lease ID is an int64: a negative one takes ten bytes. */
function putLease(at: number, lease: bigint): number {
  let [to, rest] = [at, BigInt.asUintN(64, lease)];
  for (; rest >= 128n; rest >>= 7n) scratch[to++] = Number(rest & 127n) | 128;
  scratch[to++] = Number(rest);
  return to;
}
