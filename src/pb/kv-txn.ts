/**
 * Transactions: etcd's TxnRequest with its comparisons and operations, which may be transactions again. Bytes choose
 * how deep the reader goes, so the depth has a limit.
 */
import { EMPTY_BYTES, unreachable } from "../base/index.ts";
import { uintProblem } from "./check.ts";
import type { Compare, CompareResult, RangeRequest, RequestOp, TxnRequest } from "./kv.ts";
import {
  enumNumber,
  putRequestSize,
  readDeleteRange,
  readPut,
  readRange,
  writeDeleteRange,
  writePut,
  writeRange,
} from "./kv-request.ts";
import {
  MAX_INT64,
  MIN_INT64,
  putInt64,
  putPresentBytes,
  putPresentLong,
  readBlob,
  readEnum,
  readInt64,
  readLong,
} from "./kv-wire.ts";
import { enter, leave, type Reader, Refusal, skipField } from "./wire-read.ts";
import { open, openSized, putBytes, putPresentUint, putUint, type Writer } from "./wire-write.ts";

/** Transactions within transactions that are read and written. etcd's limit of operations stops at 128. */
export const MAX_TXN_DEPTH = 500;

/** Enums of rpc.proto, by number. */
const RESULTS: readonly CompareResult[] = ["equal", "greater", "less", "notEqual"];
const TARGETS = ["version", "create", "mod", "value", "lease"] as const;

/** Numbers of RequestOp's and of ResponseOp's fields. */
export const OP_FIELD = { range: 1, put: 2, deleteRange: 3, txn: 4 } as const;

type Target = NonNullable<Compare["target"]>;

export function writeTxn(w: Writer, request: TxnRequest): void {
  for (const compare of request.compare) {
    open(w, 1);
    writeCompare(w, compare);
    w.ldelim();
  }
  for (const op of request.success) writeOp(w, 2, op);
  for (const op of request.failure) writeOp(w, 3, op);
}

function writeCompare(w: Writer, compare: Compare): void {
  putUint(w, 1, enumNumber(RESULTS, compare.result));
  const { target } = compare;
  putUint(w, 2, enumNumber(TARGETS, target?.type));
  putBytes(w, 3, compare.key);
  if (target !== undefined) writeTarget(w, target);
  putBytes(w, 64, compare.rangeEnd);
}

/** Part of a oneof: written even if it is zero, because its absence would be told from it. */
function writeTarget(w: Writer, target: Target): void {
  const field = 4 + TARGETS.indexOf(target.type);
  switch (target.type) {
    case "value":
      putPresentBytes(w, field, target.value);
      return;
    case "lease":
      putPresentLong(w, field, target.value);
      return;
    default:
      if (target.value === 0) putPresentUint(w, field, 0);
      else putInt64(w, field, target.value);
  }
}

function writeOp(w: Writer, field: number, op: RequestOp | undefined): void {
  open(w, field);
  if (op !== undefined) writeOpBody(w, op);
  w.ldelim();
}

function writeOpBody(w: Writer, op: RequestOp): void {
  if (op.type === "put") {
    openSized(w, OP_FIELD.put, putRequestSize(op));
    writePut(w, op);
    return;
  }
  open(w, OP_FIELD[op.type]);
  if (op.type === "range") writeRange(w, op);
  else if (op.type === "deleteRange") writeDeleteRange(w, op);
  else writeTxn(w, op);
  w.ldelim();
}

/** @param depth transactions around this one */
export function readTxn(r: Reader, depth: number): TxnRequest {
  if (depth >= MAX_TXN_DEPTH) throw new Refusal(`txn in more than ${MAX_TXN_DEPTH} others`);
  const compare: Compare[] = [];
  const success: (RequestOp | undefined)[] = [];
  const failure: (RequestOp | undefined)[] = [];
  while (r.pos < r.len) {
    const tag = r.tag();
    const field = tag >>> 3;
    if (field === 0 || field > 3) {
      skipField(r, tag);
      continue;
    }
    const outer = enter(r, tag, field === 1 ? "compare" : "operation");
    if (field === 1) compare.push(readCompare(r));
    else (field === 2 ? success : failure).push(readOp(r, depth));
    leave(r, outer);
  }
  return { type: "txn", compare, success, failure };
}

/**
 * The target is what the enum says; a value for another target counts as not given, that is zero, as in
 * etcd (server/etcdserver/txn/txn.go: applyCompare).
 */
function readCompare(r: Reader): Compare {
  let result = 0;
  let target = 0;
  let key = EMPTY_BYTES;
  let rangeEnd = EMPTY_BYTES;
  let given: Target | undefined;
  while (r.pos < r.len) {
    const tag = r.tag();
    const field = tag >>> 3;
    if (field === 1) result = readEnum(r, tag, "result");
    else if (field === 2) target = readEnum(r, tag, "target");
    else if (field === 3) key = readBlob(r, tag, "key");
    else if (field === 4) given = { type: "version", value: readInt64(r, tag, "version") };
    else if (field === 5) given = { type: "create", value: readInt64(r, tag, "createRevision") };
    else if (field === 6) given = { type: "mod", value: readInt64(r, tag, "modRevision") };
    else if (field === 7) given = { type: "value", value: readBlob(r, tag, "value") };
    else if (field === 8) given = { type: "lease", value: readLong(r, tag, "lease") };
    else if (field === 64) rangeEnd = readBlob(r, tag, "rangeEnd");
    else skipField(r, tag);
  }
  const type = TARGETS[target];
  const meant = type === undefined || given?.type === type ? given : zeroTarget(type);
  return { result: RESULTS[result], key, rangeEnd, target: type === undefined ? undefined : meant };
}

function zeroTarget(type: Target["type"]): Target {
  switch (type) {
    case "value":
      return { type, value: EMPTY_BYTES };
    case "lease":
      return { type, value: 0n };
    default:
      return { type, value: 0 };
  }
}

function readOp(r: Reader, depth: number): RequestOp | undefined {
  let op: RequestOp | undefined;
  while (r.pos < r.len) {
    const tag = r.tag();
    const field = tag >>> 3;
    if (field === 0 || field > OP_FIELD.txn) {
      skipField(r, tag);
      continue;
    }
    const outer = enter(r, tag, "operation");
    if (field === OP_FIELD.range) op = readRange(r);
    else if (field === OP_FIELD.put) op = readPut(r);
    else if (field === OP_FIELD.deleteRange) op = readDeleteRange(r);
    else op = readTxn(r, depth + 1);
    leave(r, outer);
  }
  return op;
}

/** The broken rule, or undefined: what could not be written and read back. */
export function txnProblem(request: TxnRequest, depth: number): string | undefined {
  if (depth >= MAX_TXN_DEPTH) return `txn in more than ${MAX_TXN_DEPTH} others`;
  for (const compare of request.compare) {
    const problem = targetProblem(compare.target);
    if (problem !== undefined) return problem;
  }
  for (const ops of [request.success, request.failure]) {
    for (const op of ops) {
      const problem = op === undefined ? undefined : opProblem(op, depth);
      if (problem !== undefined) return problem;
    }
  }
  return undefined;
}

function opProblem(op: RequestOp, depth: number): string | undefined {
  switch (op.type) {
    case "range":
      return rangeProblem(op);
    case "put":
      return longProblem("lease", op.lease);
    case "deleteRange":
      return undefined;
    case "txn":
      return txnProblem(op, depth + 1);
    default:
      return unreachable(op);
  }
}

function targetProblem(target: Compare["target"]): string | undefined {
  if (target === undefined || target.type === "value") return undefined;
  if (target.type === "lease") return longProblem("lease", target.value);
  return int64Problem(target.type, target.value);
}

export function rangeProblem(range: RangeRequest): string | undefined {
  return (
    int64Problem("limit", range.limit) ??
    int64Problem("revision", range.revision) ??
    int64Problem("minModRevision", range.minModRevision) ??
    int64Problem("maxModRevision", range.maxModRevision) ??
    int64Problem("minCreateRevision", range.minCreateRevision) ??
    int64Problem("maxCreateRevision", range.maxCreateRevision)
  );
}

/** Whether a number is one of those that kv.ts has for an int64. */
export function int64Problem(what: string, value: number): string | undefined {
  return uintProblem(what, value, -Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
}

/** Whether a lease ID fits 64 bits. */
export function longProblem(what: string, id: bigint): string | undefined {
  return id >= MIN_INT64 && id <= MAX_INT64 ? undefined : `${what} ${id} is not a signed 64-bit integer`;
}
