/** What a request takes of the quota. etcd: etcdserver/server.go quota, costPut and costTxn; nested txns count too. */
import type { KvRequest, RequestOp, TxnRequest } from "../../pb/kv.ts";

/** etcd: storage/quota.go, DefaultQuotaBytes. */
export const DEFAULT_QUOTA_BYTES = 2 * 1024 * 1024 * 1024;
/** Bytes that a lease counts as. */
export const LEASE_BYTES = 64;
/** Bytes that a put counts as beside key and value. */
const PUT_OVERHEAD_BYTES = 256;

/**
 * Bytes that the request may add. 0: it adds none, so it is never refused for want of space. Of a txn the costlier
 * branch counts, whichever will be taken.
 */
export function costOf(request: KvRequest): number {
  switch (request.type) {
    case "put":
    case "txn":
      return opCost(request);
    case "leaseGrant":
      return LEASE_BYTES;
    default:
      return 0;
  }
}

function opCost(op: RequestOp | undefined): number {
  if (op?.type === "put") return PUT_OVERHEAD_BYTES + op.key.length + op.value.length;
  return op?.type === "txn" ? Math.max(branchCost(op.success), branchCost(op.failure)) : 0;
}

function branchCost(branch: TxnRequest["success"]): number {
  let bytes = 0;
  for (const op of branch) bytes += opCost(op);
  return bytes;
}
