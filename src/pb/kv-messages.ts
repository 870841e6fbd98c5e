/**
 * Requests of etcd's API to bytes and back: each as its own message, as gRPC carries it, and tagged with what it is, as
 * a log entry carries it (KvEntry in proto/raft.proto).
 */
import { fail, LIMITS, MAX_ID, unreachable } from "../base/index.ts";
import type { AlarmRequest, KvRequest, LeaseCheckpointRequest, RangeRequest } from "./kv.ts";
import {
  putRequestSize,
  readAlarm,
  readCompaction,
  readDeleteRange,
  readLeaseCheckpoint,
  readLeaseGrant,
  readLeaseRevoke,
  readPut,
  readRange,
  writeAlarm,
  writeCompaction,
  writeDeleteRange,
  writeLeaseCheckpoint,
  writeLeaseGrant,
  writeLeaseRevoke,
  writePut,
  writeRange,
} from "./kv-request.ts";
import { int64Problem, longProblem, rangeProblem, readTxn, txnProblem, writeTxn } from "./kv-txn.ts";
import type { Decoded } from "./types.ts";
import { decodeWith, enter, leave, type Reader, Refusal, skipField } from "./wire-read.ts";
import { begin, finish, open, openSized, type Writer } from "./wire-write.ts";

/** Everything that can be asked; a range is never in the log. */
export type AnyRequest = KvRequest | RangeRequest;

/** The request with this tag. */
export type RequestOf<T extends AnyRequest["type"]> = Extract<AnyRequest, { readonly type: T }>;

/** Number of the request's field in KvEntry (raft.proto). */
const ENTRY_FIELD = {
  put: 1,
  deleteRange: 2,
  txn: 3,
  compaction: 4,
  leaseGrant: 5,
  leaseRevoke: 6,
  leaseCheckpoint: 7,
  alarm: 8,
} as const satisfies Record<KvRequest["type"], number>;
const ENTRY_TYPES: readonly (KvRequest["type"] | undefined)[] = [
  undefined,
  "put",
  "deleteRange",
  "txn",
  "compaction",
  "leaseGrant",
  "leaseRevoke",
  "leaseCheckpoint",
  "alarm",
];

/**
 * The message of etcd for a request. The bytes are the caller's.
 * @throws AssertionError when a number does not fit or the whole exceeds LIMITS.maxEntryBytes: whoever takes a request
 *   from a client checks its size before
 */
export function encodeKvRequest(request: AnyRequest): Uint8Array {
  const problem = kvRequestProblem(request);
  if (problem !== undefined) fail(`cannot encode ${request.type} request: ${problem}`);
  const w = begin();
  writeRequest(w, request);
  return finish(w, "request", LIMITS.maxEntryBytes);
}

/**
 * A request from the bytes of etcd's message for it. Keys and values may be views of `bytes`: the caller gives them up.
 * Integers beyond 2^53 - 1 are clamped (kv.ts), unknown fields passed over.
 */
export function decodeKvRequest<T extends AnyRequest["type"]>(
  type: T,
  bytes: Uint8Array,
): Decoded<RequestOf<T>> {
  // `readRequest` gives the type that it is asked for, which the compiler cannot follow through a switch.
  return decodeWith(type, bytes, LIMITS.maxEntryBytes, (r) => readRequest(r, type) as RequestOf<T>, allowed);
}

function allowed(): undefined {
  return undefined;
}

/** Writes the oneof of KvEntry. */
export function writeKvEntry(w: Writer, request: KvRequest): void {
  if (request.type === "put") {
    openSized(w, ENTRY_FIELD.put, putRequestSize(request));
    writePut(w, request);
    return;
  }
  open(w, ENTRY_FIELD[request.type]);
  writeRequest(w, request);
  w.ldelim();
}

/** Reads a KvEntry. A oneof given twice is refused: log entries are written by members, not by clients. */
export function readKvEntry(r: Reader): KvRequest {
  let request: KvRequest | undefined;
  let unknown = 0;
  while (r.pos < r.len) {
    const tag = r.tag();
    const type = ENTRY_TYPES[tag >>> 3];
    if (type === undefined) {
      unknown = tag >>> 3;
      skipField(r, tag);
      continue;
    }
    if (request !== undefined) throw new Refusal("request is given twice");
    const outer = enter(r, tag, type);
    request = readKvRequest(r, type);
    leave(r, outer);
  }
  if (request === undefined) {
    throw new Refusal(unknown === 0 ? "request is missing" : `request ${unknown} is unknown`);
  }
  return request;
}

function writeRequest(w: Writer, request: AnyRequest): void {
  switch (request.type) {
    case "range":
      writeRange(w, request);
      break;
    case "put":
      writePut(w, request);
      break;
    case "deleteRange":
      writeDeleteRange(w, request);
      break;
    case "txn":
      writeTxn(w, request);
      break;
    case "compaction":
      writeCompaction(w, request);
      break;
    case "leaseGrant":
      writeLeaseGrant(w, request);
      break;
    case "leaseRevoke":
      writeLeaseRevoke(w, request);
      break;
    case "leaseCheckpoint":
      writeLeaseCheckpoint(w, request);
      break;
    case "alarm":
      writeAlarm(w, request);
      break;
    default:
      unreachable(request);
  }
}

function readRequest(r: Reader, type: AnyRequest["type"]): AnyRequest {
  return type === "range" ? readRange(r) : readKvRequest(r, type);
}

function readKvRequest(r: Reader, type: KvRequest["type"]): KvRequest {
  switch (type) {
    case "put":
      return readPut(r);
    case "deleteRange":
      return readDeleteRange(r);
    case "txn":
      return readTxn(r, 0);
    case "compaction":
      return readCompaction(r);
    case "leaseGrant":
      return readLeaseGrant(r);
    case "leaseRevoke":
      return readLeaseRevoke(r);
    case "leaseCheckpoint":
      return readLeaseCheckpoint(r);
    case "alarm":
      return readAlarm(r);
    default:
      return unreachable(type);
  }
}

/** The broken rule, or undefined. Readers keep the rules by themselves: they clamp. */
export function kvRequestProblem(request: AnyRequest): string | undefined {
  switch (request.type) {
    case "put":
      return request.lease === 0n ? undefined : longProblem("lease", request.lease);
    case "range":
      return rangeProblem(request);
    case "deleteRange":
      return undefined;
    case "txn":
      return txnProblem(request, 0);
    case "compaction":
      return int64Problem("revision", request.revision);
    case "leaseGrant":
      return longProblem("id", request.id) ?? int64Problem("ttl", request.ttl);
    case "leaseRevoke":
      return longProblem("id", request.id);
    case "leaseCheckpoint":
      return checkpointProblem(request);
    case "alarm":
      return alarmProblem(request);
    default:
      return unreachable(request);
  }
}

function checkpointProblem(request: LeaseCheckpointRequest): string | undefined {
  for (const { id, remainingTtl } of request.leases) {
    const problem = longProblem("id", id) ?? int64Problem("remainingTtl", remainingTtl);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function alarmProblem({ member }: AlarmRequest): string | undefined {
  return member >= 0n && member <= MAX_ID ? undefined : `member ${member} is not a 64-bit identity`;
}
