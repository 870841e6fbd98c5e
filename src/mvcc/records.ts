/**
 * The records that the store is saved as: their names, their bytes, their seals. Formats are frozen: these bytes are
 * read back after a restart and travel in snapshots.
 *
 *     c            floor: compactRevision and how far physical deletion has come; written before anything is deleted
 *     i<revision>  one change: kind, key, how many changes the revision before had, so that none can go missing
 *                  unnoticed, and, of a put, createRevision, version, lease, length of the value
 *     v<revision>  value of a put
 *
 * `<revision>` is 14 hex digits of main and 8 of sub, so that names sort as revisions do. A restart reads `c` and `i`
 * and never a value.
 *
 * Every record ends with a seal: CRC-32C of what is before it, mixed with the revision in its name, so that a whole
 * record under the wrong name is found as surely as a flipped bit. Integers are little-endian.
 */
import { crc32c, fail, finishHash, mixHash, mixHashNumber } from "../base/index.ts";

/** Name of the floor record. */
export const FLOOR_RECORD = "c";
/** First letter of the records of changes. */
export const CHANGE_PREFIX = "i";
/** First letter of the records of values. */
export const VALUE_PREFIX = "v";

/** First byte of the records `c` and `i`: version of the format in the high half, kind in the low one. */
const FORMAT = 0x10;
const KIND = { floor: FORMAT | 0, put: FORMAT | 1, delete: FORMAT | 2 } as const;

const SEAL_BYTES = 4;
const PUT_HEADER_BYTES = 33;
const DELETE_HEADER_BYTES = 5;
const FLOOR_BYTES = 17 + SEAL_BYTES;
const NAME_LENGTH = 23;
const MAIN_DIGITS = 14;
const WORD = 0x1_0000_0000;
/** Largest sub: a revision has at most so many changes. */
export const MAX_SUB = 0xffff_ffff;

/** Salts of the seals, by kind of record. */
const SALT = { floor: 0x63, change: 0x69, value: 0x76 } as const;

/** The last three digits of main are looked up, the others change once in 4096 revisions. */
const LOW_DIGITS = Array.from({ length: 4096 }, (_, low) => low.toString(16).padStart(3, "0"));
const LOW_DIGITS_SUB_0 = LOW_DIGITS.map((digits) => `${digits}00000000`);
let cachedHigh = -1;
let changeHigh = "";
let valueHigh = "";

/** Name of the record of a change. */
export function changeName(main: number, sub: number): string {
  const low = lowOf(main);
  return changeHigh + (sub === 0 ? (LOW_DIGITS_SUB_0[low] as string) : subDigits(low, sub));
}

/** Name of the record of a value. */
export function valueName(main: number, sub: number): string {
  const low = lowOf(main);
  return valueHigh + (sub === 0 ? (LOW_DIGITS_SUB_0[low] as string) : subDigits(low, sub));
}

function lowOf(main: number): number {
  const high = Math.floor(main / 4096);
  if (high !== cachedHigh) {
    const digits = high.toString(16).padStart(MAIN_DIGITS - 3, "0");
    changeHigh = CHANGE_PREFIX + digits;
    valueHigh = VALUE_PREFIX + digits;
    cachedHigh = high;
  }
  return main - high * 4096;
}

function subDigits(low: number, sub: number): string {
  return (LOW_DIGITS[low] as string) + sub.toString(16).padStart(8, "0");
}

/** The revision in the name of a change; undefined: it is no such name. */
export function revisionOfName(name: string): { readonly main: number; readonly sub: number } | undefined {
  if (name.length !== NAME_LENGTH || name[0] !== CHANGE_PREFIX) return undefined;
  const main = numberIn(name, 1, 1 + MAIN_DIGITS);
  const sub = numberIn(name, 1 + MAIN_DIGITS, NAME_LENGTH);
  return Number.isSafeInteger(main) && sub >= 0 ? { main, sub } : undefined;
}

/** The number that the hex digits [lo, hi) say; NaN: something else is there. A million names are read at a restart. */
function numberIn(name: string, lo: number, hi: number): number {
  let number = 0;
  for (let i = lo; i < hi; i++) {
    const code = name.charCodeAt(i);
    // 0 to 9, or a to f; never A to F, which no name has.
    if (code >= 0x30 && code <= 0x39) number = number * 16 + code - 0x30;
    else if (code >= 0x61 && code <= 0x66) number = number * 16 + code - 0x57;
    else return Number.NaN;
  }
  return number;
}

/** What a record of a change says. Of a delete all numbers are 0. */
export interface ChangeRecord extends PutNumbers {
  readonly isPut: boolean;
  /** A view of the record. */
  readonly key: Uint8Array;
}

/** What a put says beside its key and value. */
export interface PutNumbers {
  /** Number of changes of the revision before; 0: there was none. */
  readonly before: number;
  readonly createRevision: number;
  readonly version: number;
  /** The lease as two unsigned words. */
  readonly leaseLow: number;
  readonly leaseHigh: number;
  readonly valueBytes: number;
}

/** How far compaction has come. Both -1: never. Invariant: physical <= compactRevision. */
export interface FloorRecord {
  readonly compactRevision: number;
  /** Deletion up to this floor is complete. Differs from member to member and may influence no answer. */
  readonly physical: number;
}

/**
 * Makes records. They are parts of blocks: a typed array of its own above 64 bytes costs V8 as much as the rest of a
 * put. A block is let go when the last record on it is, which for records that wait for the disk is at about one time.
 */
export class RecordWriter {
  #bytes = new Uint8Array(0);
  #view = new DataView(this.#bytes.buffer);
  #used = 0;

  /** Record of a put of `key` at (main, sub). */
  put(main: number, sub: number, key: Uint8Array, change: PutNumbers): Uint8Array {
    const size = PUT_HEADER_BYTES + key.length + SEAL_BYTES;
    const at = this.#take(size);
    const view = this.#view;
    this.#bytes[at] = KIND.put;
    view.setUint32(at + 1, change.before, true);
    writeNumber(view, at + 5, change.createRevision);
    writeNumber(view, at + 13, change.version);
    view.setUint32(at + 21, change.leaseLow, true);
    view.setUint32(at + 25, change.leaseHigh, true);
    view.setUint32(at + 29, change.valueBytes, true);
    this.#bytes.set(key, at + PUT_HEADER_BYTES);
    return this.#seal(at, size, sealMix(SALT.change, main, sub));
  }

  /** Record of a delete of `key` at (main, sub); `before` as in a put. */
  delete(main: number, sub: number, key: Uint8Array, before: number): Uint8Array {
    const size = DELETE_HEADER_BYTES + key.length + SEAL_BYTES;
    const at = this.#take(size);
    this.#bytes[at] = KIND.delete;
    this.#view.setUint32(at + 1, before, true);
    this.#bytes.set(key, at + DELETE_HEADER_BYTES);
    return this.#seal(at, size, sealMix(SALT.change, main, sub));
  }

  /** Record of a value at (main, sub). */
  value(main: number, sub: number, value: Uint8Array): Uint8Array {
    const size = value.length + SEAL_BYTES;
    const at = this.#take(size);
    this.#bytes.set(value, at);
    return this.#seal(at, size, sealMix(SALT.value, main, sub));
  }

  #take(size: number): number {
    if (this.#used + size > this.#bytes.length) {
      this.#bytes = new Uint8Array(Math.max(BLOCK_BYTES, size));
      this.#view = new DataView(this.#bytes.buffer);
      this.#used = 0;
    }
    const at = this.#used;
    this.#used += size;
    return at;
  }

  #seal(at: number, size: number, mix: number): Uint8Array {
    const end = at + size - SEAL_BYTES;
    this.#view.setUint32(end, crc32c(this.#bytes, 0, at, end) ^ mix, true);
    return new Uint8Array(this.#bytes.buffer, at, size);
  }
}

const BLOCK_BYTES = 32 * 1024;

/** Bytes of the floor record. */
export function encodeFloor(floor: FloorRecord): Uint8Array {
  const bytes = new Uint8Array(FLOOR_BYTES);
  const view = new DataView(bytes.buffer);
  bytes[0] = KIND.floor;
  writeNumber(view, 1, floor.compactRevision + 1);
  writeNumber(view, 9, floor.physical + 1);
  const end = FLOOR_BYTES - SEAL_BYTES;
  view.setUint32(end, crc32c(bytes, 0, 0, end) ^ sealMix(SALT.floor, 0, 0), true);
  return bytes;
}

/** A decoded record, or what is wrong with it. */
export type Decoded<T> = { readonly type: "ok"; readonly value: T } | Refused;

/** Why bytes are not what was written. */
export interface Refused {
  readonly type: "refused";
  readonly reason: string;
}

/** Reads the floor record. */
export function decodeFloor(bytes: Uint8Array): Decoded<FloorRecord> {
  const problem = sealProblem(bytes, FLOOR_BYTES, sealMix(SALT.floor, 0, 0));
  if (problem !== undefined) return refused(problem);
  if (bytes[0] !== KIND.floor) return refused(unknownKind(bytes));
  const compactRevision = readNumber(bytes, 1) - 1;
  const physical = readNumber(bytes, 9) - 1;
  const possible = Number.isSafeInteger(compactRevision) && physical <= compactRevision;
  if (bytes.length !== FLOOR_BYTES || !possible) return refused("its floors are impossible");
  return { type: "ok", value: { compactRevision, physical } };
}

/** Reads the record of a change at (main, sub). The key is a view of `bytes`. */
export function decodeChange(main: number, sub: number, bytes: Uint8Array): Decoded<ChangeRecord> {
  const problem = sealProblem(bytes, DELETE_HEADER_BYTES + SEAL_BYTES, sealMix(SALT.change, main, sub));
  if (problem !== undefined) return refused(problem);
  const isPut = bytes[0] === KIND.put;
  if (!isPut && bytes[0] !== KIND.delete) return refused(unknownKind(bytes));
  const end = bytes.length - SEAL_BYTES;
  const header = isPut ? PUT_HEADER_BYTES : DELETE_HEADER_BYTES;
  if (end <= header) return refused("it has no key");
  // NOTE: not subarray, which of a Buffer gives a Buffer.
  const key = new Uint8Array(bytes.buffer, bytes.byteOffset + header, end - header);
  const before = readWord(bytes, 1);
  if (!isPut) {
    const none = { createRevision: 0, version: 0, leaseLow: 0, leaseHigh: 0, valueBytes: 0 };
    return { type: "ok", value: { isPut, key, before, ...none } };
  }
  const createRevision = readNumber(bytes, 5);
  const version = readNumber(bytes, 13);
  if (createRevision < 2 || createRevision > main) return refused("its createRevision is impossible");
  if (version < 1 || !Number.isSafeInteger(version)) return refused("its version is impossible");
  const value = {
    isPut,
    key,
    before,
    createRevision,
    version,
    leaseLow: readWord(bytes, 21),
    leaseHigh: readWord(bytes, 25),
    valueBytes: readWord(bytes, 29),
  };
  return { type: "ok", value };
}

/** The value in a record of (main, sub), as a view of it; a string: what is wrong with the record. */
export function decodeValue(main: number, sub: number, bytes: Uint8Array): Uint8Array | string {
  const problem = sealProblem(bytes, SEAL_BYTES, sealMix(SALT.value, main, sub));
  if (problem !== undefined) return problem;
  // NOTE: not subarray, which of a Buffer gives a Buffer.
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length - SEAL_BYTES);
}

function refused(reason: string): Refused {
  return { type: "refused", reason };
}

function unknownKind(bytes: Uint8Array): string {
  return `its kind 0x${(bytes[0] as number).toString(16)} is not known to this program`;
}

function sealProblem(bytes: Uint8Array, minBytes: number, mix: number): string | undefined {
  if (bytes.length < minBytes) return `it has ${bytes.length} bytes, at least ${minBytes} were written`;
  const end = bytes.length - SEAL_BYTES;
  const sealed =
    (bytes[end] as number) |
    ((bytes[end + 1] as number) << 8) |
    ((bytes[end + 2] as number) << 16) |
    ((bytes[end + 3] as number) << 24);
  return (crc32c(bytes, 0, 0, end) ^ mix) === sealed ? undefined : "its checksum is wrong";
}

function sealMix(salt: number, main: number, sub: number): number {
  return finishHash(mixHash(mixHashNumber(salt, main), sub)) | 0;
}

function writeNumber(view: DataView, at: number, value: number): void {
  if (!(value >= 0 && value <= Number.MAX_SAFE_INTEGER)) fail("not a number of a record", { value });
  view.setUint32(at, value >>> 0, true);
  view.setUint32(at + 4, Math.floor(value / WORD), true);
}

/** NOTE: not by a DataView, which costs as much to make as all the rest of a record costs to read. */
function readWord(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)) >>>
    0
  );
}

function readNumber(bytes: Uint8Array, at: number): number {
  return readWord(bytes, at) + readWord(bytes, at + 4) * WORD;
}
