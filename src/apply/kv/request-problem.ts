/**
 * What is wrong with a request by itself, without any state: checked by the member that takes it, before it is
 * proposed. Order of the checks and texts are those of etcd: api/v3rpc/key.go, so that a request with two faults is
 * refused for the same one.
 */
import { ERR, type KvError } from "../../base/index.ts";
import type { KvRequest, PutRequest, RangeRequest, RequestOp, TxnRequest } from "../../pb/kv.ts";
import { hasOverlap } from "./overlaps.ts";

export interface RequestLimits {
  /** Most compares, and most operations in a branch, of a txn; nested ones share what is left. etcd: --max-txn-ops. */
  readonly maxTxnOps: number;
  /** Largest encoded request, bytes. etcd: --max-request-bytes. */
  readonly maxRequestBytes: number;
}

export const DEFAULT_REQUEST_LIMITS: RequestLimits = { maxTxnOps: 128, maxRequestBytes: 1_572_864 };

/**
 * Why the request is refused, or undefined. What depends on the state (leases, revisions, missing keys, space) is
 * judged when it is applied.
 *
 * @param encodedBytes size of the encoded request; 0: known to be small enough.
 */
export function requestProblem(
  request: KvRequest | RangeRequest,
  limits: RequestLimits,
  encodedBytes = 0,
): KvError | undefined {
  return (
    shapeProblem(request, limits) ?? (encodedBytes > limits.maxRequestBytes ? ERR.requestTooLarge : undefined)
  );
}

function shapeProblem(request: KvRequest | RangeRequest, limits: RequestLimits): KvError | undefined {
  switch (request.type) {
    case "range":
    case "put":
    case "deleteRange":
      return opProblem(request, limits.maxTxnOps);
    case "txn":
      // The budget bounds the work of looking for overlaps, so it comes first.
      return (
        txnProblem(request, limits.maxTxnOps) ??
        (hasOverlap(request.success) || hasOverlap(request.failure) ? ERR.duplicateKey : undefined)
      );
    default:
      return undefined;
  }
}

function opProblem(op: RequestOp | undefined, budget: number): KvError | undefined {
  if (op === undefined) return ERR.keyNotFound;
  if (op.type === "txn") return txnProblem(op, budget);
  if (op.key.length === 0) return ERR.emptyKey;
  switch (op.type) {
    case "range":
      return op.sortOrder === undefined || op.sortTarget === undefined ? ERR.invalidSortOption : undefined;
    case "put":
      return putProblem(op);
    case "deleteRange":
      return undefined;
  }
}

function putProblem(put: PutRequest): KvError | undefined {
  if (put.ignoreValue && put.value.length > 0) return ERR.valueProvided;
  if (put.ignoreLease && put.lease !== 0n) return ERR.leaseProvided;
  return undefined;
}

function txnProblem(txn: TxnRequest, budget: number): KvError | undefined {
  const ops = Math.max(txn.compare.length, txn.success.length, txn.failure.length);
  if (ops > budget) return ERR.tooManyOps;
  for (const compare of txn.compare) if (compare.key.length === 0) return ERR.emptyKey;
  return branchProblem(txn.success, budget - ops) ?? branchProblem(txn.failure, budget - ops);
}

function branchProblem(branch: TxnRequest["success"], budget: number): KvError | undefined {
  for (const op of branch) {
    const problem = opProblem(op, budget);
    if (problem !== undefined) return problem;
  }
  return undefined;
}
