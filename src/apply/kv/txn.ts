/**
 * Executing puts, deletes and txns. A txn goes in three steps (etcd: etcdserver/txn): all compares, nested ones too,
 * are judged on the state before it, which settles every branch; what these branches need is checked, still before
 * anything is written, so that a txn fails as a whole or not at all; then the operations run in order, ranges seeing
 * the writes before them.
 */
import { EMPTY_BYTES, ERR, fail, type KvError, unreachable } from "../../base/index.ts";
import type { LeaseTable } from "../../lease/types.ts";
import type { KeyMeta, WriteTxn } from "../../mvcc/types.ts";
import type {
  DeleteRangeRequest,
  DeleteRangeResponse,
  PutRequest,
  PutResponse,
  RangeRequest,
  RequestOp,
  ResponseOp,
  TxnRequest,
  TxnResponse,
} from "../../pb/kv.ts";
import { allHold } from "./compare.ts";
import { rangeNow } from "./range.ts";
import type { KeyReader, KvStore } from "./types.ts";
import { readKeyValue, readValue } from "./values.ts";

/** A txn whose branches are chosen. */
export interface TxnPlan {
  readonly succeeded: boolean;
  readonly ops: readonly (RequestOp | undefined)[];
  /** Plans of the nested txns among `ops`, in their order. */
  readonly nested: readonly TxnPlan[];
}

/** Whether it only reads, so that it need not go through the log. A nested txn counts as a write, whatever is in it. */
export function isReadOnlyTxn(txn: TxnRequest): boolean {
  return txn.success.every(isRange) && txn.failure.every(isRange);
}

/** Whether it may be answered from any member's state: all its ranges say so. */
export function isSerializableTxn(txn: TxnRequest): boolean {
  return txn.success.every(isSerializable) && txn.failure.every(isSerializable);
}

/** Chooses the branches on the newest state of `reader`. @throws DamagedValue */
export function planTxn(reader: KeyReader, txn: TxnRequest): TxnPlan {
  const succeeded = allHold(reader, txn.compare);
  const ops = succeeded ? txn.success : txn.failure;
  const nested: TxnPlan[] = [];
  for (const op of ops) if (op?.type === "txn") nested.push(planTxn(reader, op));
  return { succeeded, ops, nested };
}

/** Why the txn fails as a whole, judged on the state before it; undefined: it can run. */
export function planProblem(store: KvStore, leases: LeaseTable, plan: TxnPlan): KvError | undefined {
  let nested = 0;
  for (const op of plan.ops) {
    const problem =
      op?.type === "txn"
        ? planProblem(store, leases, plan.nested[nested++] ?? fail("a nested txn has no plan"))
        : opProblem(store, leases, op);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** Runs the operations of a plan that has no problem. @throws DamagedValue */
export function runPlan(txn: WriteTxn, plan: TxnPlan): TxnResponse {
  const responses: ResponseOp[] = [];
  let nested = 0;
  for (const op of plan.ops) {
    if (op === undefined) fail("an empty operation in a txn that was checked");
    if (op.type === "txn") {
      responses.push(runPlan(txn, plan.nested[nested++] ?? fail("a nested txn has no plan")));
    } else {
      responses.push(runOp(txn, op));
    }
  }
  return { type: "txn", succeeded: plan.succeeded, responses };
}

/** Why a put by itself is refused: its lease is looked for before its key (etcd 3.6: txn.go, Put). */
export function putProblem(reader: KeyReader, leases: LeaseTable, put: PutRequest): KvError | undefined {
  return leaseProblem(leases, put) ?? keyProblem(reader, put);
}

function leaseProblem(leases: LeaseTable, { lease }: PutRequest): KvError | undefined {
  return lease !== 0n && !leases.has(lease) ? ERR.leaseNotFound : undefined;
}

function keyProblem(reader: KeyReader, put: PutRequest): KvError | undefined {
  const needsKey = put.ignoreValue || put.ignoreLease;
  return needsKey && current(reader, put.key) === undefined ? ERR.keyNotFound : undefined;
}

/** Writes a key. @throws DamagedValue */
export function runPut(txn: WriteTxn, put: PutRequest): PutResponse {
  const { key, ignoreValue, ignoreLease } = put;
  const previous = put.prevKv || ignoreValue || ignoreLease ? current(txn, key) : undefined;
  let { value, lease } = put;
  // The key was there before the txn, but a delete "from key on" in the same txn is not held against this put
  // (overlaps.ts). etcd falls over then; here there is nothing left to be kept.
  if (ignoreValue) value = previous === undefined ? EMPTY_BYTES : readValue(txn, previous);
  if (ignoreLease) lease = previous?.lease ?? 0n;
  txn.put(key, value, lease);
  return {
    type: "put",
    prevKv: put.prevKv && previous !== undefined ? readKeyValue(txn, previous) : undefined,
  };
}

/** Deletes the keys of a range. @throws DamagedValue */
export function runDelete(txn: WriteTxn, request: DeleteRangeRequest): DeleteRangeResponse {
  const deleted = txn.deleteRange(request);
  // Values outlive the delete until they are compacted, so they can be read behind it.
  const prevKvs = request.prevKv ? deleted.map((meta) => readKeyValue(txn, meta)) : [];
  return { type: "deleteRange", deleted: deleted.length, prevKvs };
}

function runOp(txn: WriteTxn, op: PutRequest | DeleteRangeRequest | RangeRequest): ResponseOp {
  switch (op.type) {
    case "put":
      return runPut(txn, op);
    case "deleteRange":
      return runDelete(txn, op);
    case "range":
      return rangeNow(txn, op);
    default:
      return unreachable(op);
  }
}

function opProblem(
  store: KvStore,
  leases: LeaseTable,
  op: PutRequest | DeleteRangeRequest | RangeRequest | undefined,
): KvError | undefined {
  if (op === undefined) return ERR.keyNotFound;
  // Here the key comes first, until 3.7 (etcd 3.6: txn.go, checkPut).
  if (op.type === "put") return keyProblem(store, op) ?? leaseProblem(leases, op);
  if (op.type === "range") return revisionProblem(store, op.revision);
  return undefined;
}

/**
 * Inside a txn only 0 means the newest. NOTE: the floor of a store that was never compacted is -1, so revision -1 is
 * the newest there and compacted everywhere else, as in etcd (checkRange).
 */
function revisionProblem(store: KvStore, revision: number): KvError | undefined {
  if (revision === 0) return undefined;
  if (revision > store.revision) return ERR.futureRevision;
  return revision < store.compactRevision ? ERR.compacted : undefined;
}

function current(reader: KeyReader, key: Uint8Array): KeyMeta | undefined {
  return reader.resolve({ key, rangeEnd: EMPTY_BYTES }, 0, 1).metas[0];
}

function isRange(op: RequestOp | undefined): boolean {
  return op?.type === "range";
}

function isSerializable(op: RequestOp | undefined): boolean {
  return op?.type === "range" && op.serializable;
}
