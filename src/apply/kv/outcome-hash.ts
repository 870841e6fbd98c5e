/**
 * An outcome as one word for the running hash: members whose states parted are found out by what they answer, at the
 * first entry that shows it. Not every byte of an answer: what is read follows from what was written.
 */
import { mixHash, mixHashNumber, mixHashText, unreachable } from "../../base/index.ts";
import type { KeyValue, KvResponse, ResponseOp } from "../../pb/kv.ts";
import type { KvOutcome } from "./types.ts";

const CODE = {
  put: 1,
  deleteRange: 2,
  range: 3,
  txn: 4,
  leaseGrant: 5,
  alarm: 6,
  other: 7,
  refused: 8,
} as const;

/** Signed 32-bit. Of an outcome that is not fatal. */
export function hashOutcome(outcome: Exclude<KvOutcome, { type: "fatal" }>): number {
  if (outcome.type === "refused") return mixHashText(CODE.refused, outcome.error.message);
  return hashResponse(mixHashNumber(0, outcome.revision), outcome.response);
}

function hashResponse(hash: number, response: KvResponse): number {
  switch (response.type) {
    case "put":
    case "deleteRange":
    case "range":
    case "txn":
      return hashOp(hash, response);
    case "leaseGrant":
      return mixHashNumber(mixHash(hash, CODE.leaseGrant), response.ttl);
    case "alarm":
      return mixHash(mixHash(hash, CODE.alarm), response.alarms.length);
    case "compaction":
    case "leaseRevoke":
    case "leaseCheckpoint":
      return mixHash(hash, CODE.other);
    default:
      return unreachable(response);
  }
}

function hashOp(hash: number, response: ResponseOp): number {
  let h = mixHash(hash, CODE[response.type]);
  switch (response.type) {
    case "put":
      return hashKey(h, response.prevKv);
    case "deleteRange":
      h = mixHashNumber(h, response.deleted);
      for (const kv of response.prevKvs) h = hashKey(h, kv);
      return h;
    case "range":
      h = mixHash(mixHashNumber(h, response.count), response.more ? 1 : 0);
      for (const kv of response.kvs) h = hashKey(h, kv);
      return h;
    case "txn":
      h = mixHash(h, response.succeeded ? 1 : 0);
      for (const op of response.responses) h = hashOp(h, op);
      return h;
    default:
      return unreachable(response);
  }
}

function hashKey(hash: number, kv: KeyValue | undefined): number {
  return kv === undefined ? hash : mixHashNumber(mixHashNumber(hash, kv.modRevision), kv.version);
}
