/** Whether two answers of etcd's API are the same in every field, without building text of either. */
import { equalBytes } from "../../src/base/index.ts";
import type { Event, KeyValue, KvResponse } from "../../src/pb/kv.ts";

export function sameKeyValue(a: KeyValue | undefined, b: KeyValue | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return (
    a.createRevision === b.createRevision &&
    a.modRevision === b.modRevision &&
    a.version === b.version &&
    a.lease === b.lease &&
    equalBytes(a.key, b.key) &&
    equalBytes(a.value, b.value)
  );
}

export function sameEvent(a: Event, b: Event): boolean {
  return a.type === b.type && sameKeyValue(a.kv, b.kv) && sameKeyValue(a.prevKv, b.prevKv);
}

export function sameList<T>(a: readonly T[], b: readonly T[], same: (a: T, b: T) => boolean): boolean {
  return a.length === b.length && a.every((item, i) => same(item, b[i] as T));
}

export function sameResponse(a: KvResponse, b: KvResponse): boolean {
  switch (a.type) {
    case "put":
      return b.type === "put" && sameKeyValue(a.prevKv, b.prevKv);
    case "deleteRange":
      return (
        b.type === "deleteRange" && a.deleted === b.deleted && sameList(a.prevKvs, b.prevKvs, sameKeyValue)
      );
    case "range":
      return (
        b.type === "range" && a.more === b.more && a.count === b.count && sameList(a.kvs, b.kvs, sameKeyValue)
      );
    case "txn":
      return (
        b.type === "txn" && a.succeeded === b.succeeded && sameList(a.responses, b.responses, sameResponse)
      );
    case "leaseGrant":
      return b.type === "leaseGrant" && a.id === b.id && a.ttl === b.ttl;
    case "alarm":
      return (
        b.type === "alarm" &&
        sameList(a.alarms, b.alarms, (x, y) => x.member === y.member && x.alarm === y.alarm)
      );
    default:
      return a.type === b.type;
  }
}

/** An answer for people. */
export function showAnswer(value: unknown): string {
  return JSON.stringify(value, (_, item) => {
    if (typeof item === "bigint") return `${item}n`;
    return item instanceof Uint8Array ? latin1(item) : item;
  });
}

/** One character per byte. */
export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}
