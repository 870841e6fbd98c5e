/** Reading keys with their values, and the one way in which that fails: a record that is damaged on this disk. */
import { textOf } from "../../base/index.ts";
import type { DamagedRecord, KeyMeta } from "../../mvcc/types.ts";
import type { KeyValue } from "../../pb/kv.ts";
import type { KeyReader } from "./types.ts";

/** Ends the execution of a request from any depth; caught where the request came in, never leaves this folder. */
export class DamagedValue extends Error {
  constructor(damage: DamagedRecord) {
    super(`value of key ${JSON.stringify(textOf(damage.key))} in record ${damage.record}: ${damage.reason}`);
    this.name = "DamagedValue";
  }
}

/** The value of a key. @throws DamagedValue */
export function readValue(reader: KeyReader, meta: KeyMeta): Uint8Array {
  const value = reader.value(meta);
  if (value instanceof Uint8Array) return value;
  throw new DamagedValue(value);
}

/** A key with its value. @throws DamagedValue */
export function readKeyValue(reader: KeyReader, meta: KeyMeta): KeyValue {
  return withValue(meta, readValue(reader, meta));
}

/** A key with the value given. */
export function withValue(meta: KeyMeta, value: Uint8Array): KeyValue {
  const { key, createRevision, modRevision, version, lease } = meta;
  return { key, createRevision, modRevision, version, value, lease };
}

/** Order of two byte strings: negative, 0 or positive. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
