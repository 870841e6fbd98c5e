/**
 * Answers of etcd's KV and Lease services and of alarms: written for clients of the server, read by our own client.
 */
import { fail, MAX_ID, unreachable } from "../base/index.ts";
import { uintProblem } from "./check.ts";
import type {
  AlarmResponse,
  DeleteRangeResponse,
  KeyValue,
  KvResponse,
  LeaseGrantResponse,
  PutResponse,
  RangeResponse,
  ResponseOp,
  TxnResponse,
} from "./kv.ts";
import { readAlarmMember, writeAlarmMember } from "./kv-request.ts";
import { int64Problem, longProblem, MAX_TXN_DEPTH, OP_FIELD } from "./kv-txn.ts";
import { putKeyValue, readKeyValueField } from "./kv-value.ts";
import { putInt64, putLong, readBool, readInt64, readLong, readUint64, readUlong } from "./kv-wire.ts";
import type { Decoded } from "./types.ts";
import { decodeWith, enter, leave, type Reader, Refusal, skipField } from "./wire-read.ts";
import { begin, finish, open, putFlag, putUint, type Writer } from "./wire-write.ts";

/** Largest answer, bytes: what gRPC can carry. */
const MAX_RESPONSE_BYTES = 2 ** 31 - 1;

/** Who answers, and as of when. */
export interface ResponseHeader {
  readonly clusterId: bigint;
  readonly memberId: bigint;
  /** Of the store when the request was applied; 0 in answers that have nothing to do with it. */
  readonly revision: number;
  readonly raftTerm: number;
}

/** The answer with this tag. */
export type ResponseOf<T extends KvResponse["type"]> = Extract<KvResponse, { readonly type: T }>;

/** An answer as it was read. */
export interface Answer<T extends KvResponse["type"]> {
  /** undefined: the message had none. */
  readonly header: ResponseHeader | undefined;
  readonly response: ResponseOf<T>;
}

/**
 * The message of etcd for an answer. The bytes are the caller's.
 * @param header undefined: none is written, which only tests do
 * @throws AssertionError when a number does not fit or the whole exceeds what gRPC can carry
 */
export function encodeKvResponse(response: KvResponse, header: ResponseHeader | undefined): Uint8Array {
  const problem = headerProblem(header) ?? responseProblem(response);
  if (problem !== undefined) fail(`cannot encode ${response.type} response: ${problem}`);
  const w = begin();
  if (header !== undefined) {
    open(w, 1);
    putLong(w, 1, header.clusterId);
    putLong(w, 2, header.memberId);
    putInt64(w, 3, header.revision);
    putUint(w, 4, header.raftTerm);
    w.ldelim();
  }
  writeFields(w, response, header === undefined ? undefined : revisionBefore(response, header.revision));
  return finish(w, "response", MAX_RESPONSE_BYTES);
}

function writeFields(w: Writer, response: KvResponse, nested: NestedRevision | undefined): void {
  switch (response.type) {
    case "range":
      writeRangeResponse(w, response);
      break;
    case "put":
      if (response.prevKv !== undefined) putKeyValue(w, 2, response.prevKv);
      break;
    case "deleteRange":
      putInt64(w, 2, response.deleted);
      for (const kv of response.prevKvs) putKeyValue(w, 3, kv);
      break;
    case "txn":
      writeTxnResponse(w, response, nested);
      break;
    case "leaseGrant":
      putLong(w, 2, response.id);
      putInt64(w, 3, response.ttl);
      break;
    case "alarm":
      for (const { member, alarm } of response.alarms) {
        open(w, 2);
        writeAlarmMember(w, member, alarm);
        w.ldelim();
      }
      break;
    case "compaction":
    case "leaseRevoke":
    case "leaseCheckpoint":
      break;
    default:
      unreachable(response);
  }
}

function writeRangeResponse(w: Writer, response: RangeResponse): void {
  for (const kv of response.kvs) putKeyValue(w, 2, kv);
  putFlag(w, 3, response.more);
  putInt64(w, 4, response.count);
}

function writeTxnResponse(w: Writer, response: TxnResponse, nested: NestedRevision | undefined): void {
  putFlag(w, 2, response.succeeded);
  for (const op of response.responses) {
    open(w, 3);
    open(w, OP_FIELD[op.type]);
    if (nested !== undefined) writeNestedHeader(w, op, nested);
    writeFields(w, op, nested);
    w.ldelim();
    w.ldelim();
  }
}

/**
 * The revision that an operation inside a transaction tells, which etcd counts along: the one before the transaction
 * until something changed, one more from then on (server/storage/mvcc/kvstore_txn.go). It follows from the answers.
 */
interface NestedRevision {
  revision: number;
  changed: boolean;
}

function revisionBefore(response: KvResponse, revision: number): NestedRevision | undefined {
  if (response.type !== "txn") return undefined;
  return { revision: hasChange(response) ? revision - 1 : revision, changed: false };
}

function hasChange(op: ResponseOp): boolean {
  if (op.type === "txn") return op.responses.some(hasChange);
  return op.type === "put" || (op.type === "deleteRange" && op.deleted > 0);
}

/** Headers inside carry the revision only; that of a transaction inside carries nothing. */
function writeNestedHeader(w: Writer, op: ResponseOp, nested: NestedRevision): void {
  if (op.type !== "txn" && !nested.changed && hasChange(op)) {
    nested.changed = true;
    nested.revision++;
  }
  open(w, 1);
  if (op.type !== "txn") putInt64(w, 3, nested.revision);
  w.ldelim();
}

/**
 * An answer from the bytes of etcd's message. Keys and values may be views of `bytes`: the caller gives them up.
 * Headers of operations inside a transaction are passed over.
 */
export function decodeKvResponse<T extends KvResponse["type"]>(
  type: T,
  bytes: Uint8Array,
): Decoded<Answer<T>> {
  return decodeWith(`${type} response`, bytes, MAX_RESPONSE_BYTES, (r) => readAnswer(r, type), allowed);
}

function allowed(): undefined {
  return undefined;
}

function readAnswer<T extends KvResponse["type"]>(r: Reader, type: T): Answer<T> {
  const into: { header: ResponseHeader | undefined } = { header: undefined };
  // `readResponse` gives the type that it is asked for, which the compiler cannot follow through a switch.
  const response = readResponse(r, type, into, 0) as ResponseOf<T>;
  return { header: into.header, response };
}

interface HeaderSlot {
  header: ResponseHeader | undefined;
}

/** @param into where the header goes; undefined: it is passed over */
function readResponse(
  r: Reader,
  type: KvResponse["type"],
  into: HeaderSlot | undefined,
  depth: number,
): KvResponse {
  switch (type) {
    case "range":
      return readRangeResponse(r, into);
    case "put":
      return readPutResponse(r, into);
    case "deleteRange":
      return readDeleteRangeResponse(r, into);
    case "txn":
      return readTxnResponse(r, into, depth);
    case "leaseGrant":
      return readLeaseGrantResponse(r, into);
    case "alarm":
      return readAlarmResponse(r, into);
    case "compaction":
    case "leaseRevoke":
    case "leaseCheckpoint":
      while (r.pos < r.len) readOther(r, r.tag(), into);
      return { type };
    default:
      return unreachable(type);
  }
}

/** The header, which all answers have as field 1, or a field that is passed over. */
function readOther(r: Reader, tag: number, into: HeaderSlot | undefined): void {
  if (tag >>> 3 !== 1 || into === undefined) {
    skipField(r, tag);
    return;
  }
  const outer = enter(r, tag, "header");
  into.header = readHeader(r);
  leave(r, outer);
}

function readHeader(r: Reader): ResponseHeader {
  let clusterId = 0n;
  let memberId = 0n;
  let revision = 0;
  let raftTerm = 0;
  while (r.pos < r.len) {
    const tag = r.tag();
    const field = tag >>> 3;
    if (field === 1) clusterId = readUlong(r, tag, "clusterId");
    else if (field === 2) memberId = readUlong(r, tag, "memberId");
    else if (field === 3) revision = readInt64(r, tag, "revision");
    else if (field === 4) raftTerm = readUint64(r, tag, "raftTerm");
    else skipField(r, tag);
  }
  return { clusterId, memberId, revision, raftTerm };
}

function readRangeResponse(r: Reader, into: HeaderSlot | undefined): RangeResponse {
  const kvs: KeyValue[] = [];
  let more = false;
  let count = 0;
  while (r.pos < r.len) {
    const tag = r.tag();
    const field = tag >>> 3;
    if (field === 2) kvs.push(readKeyValueField(r, tag, "kv"));
    else if (field === 3) more = readBool(r, tag, "more");
    else if (field === 4) count = readInt64(r, tag, "count");
    else readOther(r, tag, into);
  }
  return { type: "range", kvs, more, count };
}

function readPutResponse(r: Reader, into: HeaderSlot | undefined): PutResponse {
  let prevKv: KeyValue | undefined;
  while (r.pos < r.len) {
    const tag = r.tag();
    if (tag >>> 3 === 2) prevKv = readKeyValueField(r, tag, "prevKv");
    else readOther(r, tag, into);
  }
  return { type: "put", prevKv };
}

function readDeleteRangeResponse(r: Reader, into: HeaderSlot | undefined): DeleteRangeResponse {
  let deleted = 0;
  const prevKvs: KeyValue[] = [];
  while (r.pos < r.len) {
    const tag = r.tag();
    if (tag >>> 3 === 2) deleted = readInt64(r, tag, "deleted");
    else if (tag >>> 3 === 3) prevKvs.push(readKeyValueField(r, tag, "prevKv"));
    else readOther(r, tag, into);
  }
  return { type: "deleteRange", deleted, prevKvs };
}

function readTxnResponse(r: Reader, into: HeaderSlot | undefined, depth: number): TxnResponse {
  if (depth >= MAX_TXN_DEPTH) throw new Refusal(`txn in more than ${MAX_TXN_DEPTH} others`);
  let succeeded = false;
  const responses: ResponseOp[] = [];
  while (r.pos < r.len) {
    const tag = r.tag();
    if (tag >>> 3 === 2) {
      succeeded = readBool(r, tag, "succeeded");
    } else if (tag >>> 3 === 3) {
      const outer = enter(r, tag, "response");
      responses.push(readResponseOp(r, depth));
      leave(r, outer);
    } else {
      readOther(r, tag, into);
    }
  }
  return { type: "txn", succeeded, responses };
}

/** Unlike an operation that is asked for, an answer to none makes no sense. */
function readResponseOp(r: Reader, depth: number): ResponseOp {
  let op: ResponseOp | undefined;
  while (r.pos < r.len) {
    const tag = r.tag();
    const field = tag >>> 3;
    if (field === 0 || field > OP_FIELD.txn) {
      skipField(r, tag);
      continue;
    }
    const outer = enter(r, tag, "response");
    if (field === OP_FIELD.range) op = readRangeResponse(r, undefined);
    else if (field === OP_FIELD.put) op = readPutResponse(r, undefined);
    else if (field === OP_FIELD.deleteRange) op = readDeleteRangeResponse(r, undefined);
    else op = readTxnResponse(r, undefined, depth + 1);
    leave(r, outer);
  }
  if (op === undefined) throw new Refusal("response in a txn is empty or of an unknown kind");
  return op;
}

function readLeaseGrantResponse(r: Reader, into: HeaderSlot | undefined): LeaseGrantResponse {
  let id = 0n;
  let ttl = 0;
  while (r.pos < r.len) {
    const tag = r.tag();
    if (tag >>> 3 === 2) id = readLong(r, tag, "id");
    else if (tag >>> 3 === 3) ttl = readInt64(r, tag, "ttl");
    else readOther(r, tag, into);
  }
  return { type: "leaseGrant", id, ttl };
}

function readAlarmResponse(r: Reader, into: HeaderSlot | undefined): AlarmResponse {
  const alarms: AlarmResponse["alarms"][number][] = [];
  while (r.pos < r.len) {
    const tag = r.tag();
    if (tag >>> 3 !== 2) {
      readOther(r, tag, into);
      continue;
    }
    const outer = enter(r, tag, "alarm");
    alarms.push(readAlarmMember(r));
    leave(r, outer);
  }
  return { type: "alarm", alarms };
}

function headerProblem(header: ResponseHeader | undefined): string | undefined {
  if (header === undefined) return undefined;
  for (const id of [header.clusterId, header.memberId]) {
    if (id < 0n || id > MAX_ID) return `identity ${id} is not a 64-bit identity`;
  }
  return (
    int64Problem("revision", header.revision) ??
    uintProblem("raftTerm", header.raftTerm, 0, Number.MAX_SAFE_INTEGER)
  );
}

/** Of key-values the sizes are checked when they are written. */
function responseProblem(response: KvResponse): string | undefined {
  switch (response.type) {
    case "range":
      return int64Problem("count", response.count);
    case "deleteRange":
      return int64Problem("deleted", response.deleted);
    case "leaseGrant":
      return longProblem("id", response.id) ?? int64Problem("ttl", response.ttl);
    default:
      return undefined;
  }
}
