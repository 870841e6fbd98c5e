/**
 * A store that is easy to believe: all changes that compaction has left, in one array, asked by going through it. Keys
 * are latin1 text, which orders as bytes do.
 */
import { crc32c } from "../../../src/base/index.ts";

export interface ModelChange {
  readonly key: string;
  readonly main: number;
  readonly sub: number;
  /** undefined: a delete. */
  readonly value: string | undefined;
  readonly create: number;
  readonly version: number;
  readonly lease: bigint;
  /** Revision of what the key was before; 0: it was absent. */
  readonly previous: number;
}

export interface ModelRange {
  readonly key: string;
  /** undefined: one key; "": to the last. */
  readonly end: string | undefined;
}

/** What a revision counts for beside key and value. */
const OVERHEAD = 128;

export class Model {
  revision = 1;
  compactRevision = -1;
  /** In order. */
  changes: ModelChange[] = [];
  /** The same by key, newest last. */
  #byKey = new Map<string, ModelChange[]>();
  #sortedKeys: string[] | undefined;

  put(
    main: number,
    sub: number,
    put: { key: string; value: string; lease: bigint },
  ): ModelChange | undefined {
    const before = this.at(put.key, main);
    const create = before?.create ?? main;
    const version = (before?.version ?? 0) + 1;
    this.#add({ ...put, main, sub, create, version, previous: before?.main ?? 0 });
    return before;
  }

  /** Deletes what is there; the changes begin with `sub`. Returns what was deleted. */
  delete(main: number, sub: number, of: ModelRange): ModelChange[] {
    const deleted = this.resolve(of, main);
    deleted.forEach((before, i) => {
      const none = { value: undefined, create: 0, version: 0, lease: 0n };
      this.#add({ key: before.key, main, sub: sub + i, ...none, previous: before.main });
    });
    return deleted;
  }

  /** What a key is as of a revision. */
  at(key: string, revision: number): ModelChange | undefined {
    const found = this.#byKey.get(key)?.findLast((change) => change.main <= revision);
    return found?.value === undefined ? undefined : found;
  }

  /** What is in a range as of a revision, in order of key. */
  resolve(of: ModelRange, revision: number): ModelChange[] {
    this.#sortedKeys ??= [...this.#byKey.keys()].sort();
    const found: ModelChange[] = [];
    for (const key of this.#sortedKeys) {
      const change = isIn(of, key) ? this.at(key, revision) : undefined;
      if (change !== undefined) found.push(change);
    }
    return found;
  }

  history(of: ModelRange, from: number, to: number): ModelChange[] {
    return this.changes.filter((c) => c.main >= from && c.main <= to && isIn(of, c.key));
  }

  compact(floor: number): void {
    this.compactRevision = floor;
    this.changes = this.changes.filter((c) => this.#isKept(c, floor));
    const byKey = new Map<string, ModelChange[]>();
    for (const change of this.changes) byKey.set(change.key, [...(byKey.get(change.key) ?? []), change]);
    this.#byKey = byKey;
    this.#sortedKeys = undefined;
  }

  get logicalBytes(): number {
    return this.changes.reduce((sum, c) => sum + c.key.length + (c.value?.length ?? 0) + OVERHEAD, 0);
  }

  /** HashKV at a revision, every byte written out. */
  hash(revision: number): number {
    const isEmpty = this.resolve({ key: "", end: "" }, revision).length === 0;
    const out = [...Buffer.from("key")];
    for (const change of this.changes) {
      if (change.main > revision) break;
      const isCurrent = this.at(change.key, revision) === change;
      if (change.main > this.compactRevision || isCurrent || isEmpty) out.push(...hashedBytes(change));
    }
    return crc32c(Uint8Array.from(out));
  }

  #isKept(change: ModelChange, floor: number): boolean {
    if (change.main > floor) return true;
    const newest = this.#byKey.get(change.key)?.findLast((c) => c.main <= floor);
    return newest === change && (change.value !== undefined || change.main === floor);
  }

  #add(change: ModelChange): void {
    this.changes.push(change);
    const versions = this.#byKey.get(change.key);
    if (versions !== undefined) {
      versions.push(change);
      return;
    }
    this.#byKey.set(change.key, [change]);
    this.#sortedKeys = undefined;
  }
}

/** What etcd hashes of one revision: the key of its bucket, then the marshalled KeyValue. */
export function hashedBytes(change: ModelChange): number[] {
  const { key, main, sub, value, create, version, lease } = change;
  const keyBytes = [...Buffer.from(key, "latin1")];
  const bucket = [...bigEndian(main), 0x5f, ...bigEndian(sub)];
  const name = [(1 << 3) | 2, ...varint(BigInt(keyBytes.length)), ...keyBytes];
  if (value === undefined) return [...bucket, 0x74, ...name];
  const valueBytes = [...Buffer.from(value, "latin1")];
  const field = (number: number, n: bigint) =>
    n === 0n ? [] : [number << 3, ...varint(BigInt.asUintN(64, n))];
  return [
    ...[...bucket, ...name],
    ...field(2, BigInt(create)),
    ...field(3, BigInt(main)),
    ...field(4, BigInt(version)),
    ...(valueBytes.length === 0 ? [] : [(5 << 3) | 2, ...varint(BigInt(valueBytes.length)), ...valueBytes]),
    ...field(6, lease),
  ];
}

function isIn(of: ModelRange, key: string): boolean {
  if (of.end === undefined) return key === of.key;
  return key >= of.key && (of.end === "" || key < of.end);
}

function bigEndian(value: number): number[] {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return [...bytes];
}

function varint(value: bigint): number[] {
  const out: number[] = [];
  let rest = value;
  for (; rest >= 128n; rest /= 128n) out.push(Number(rest % 128n) + 128);
  out.push(Number(rest));
  return out;
}
