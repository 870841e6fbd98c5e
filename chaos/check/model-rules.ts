/**
 * The rules of etcd that need no state: which requests are refused at the door, what a comparison means, what
 * the options of a range do to the keys that it found. Written from the documents and from etcd's own
 * behaviour, apart from `src/apply` and `src/mvcc`: where both say the same, it was said twice.
 *
 * Keys are latin1 text inside the model: one character per byte, so that text order is byte order.
 */
import { EMPTY_BYTES, ERR, equalBytes, type KvError } from "../../src/base/index.ts";
import type {
  Compare,
  KeyValue,
  KvRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from "../../src/pb/kv.ts";

/** etcd: embed.DefaultMaxTxnOps. */
export const MAX_TXN_OPS = 128;
/** etcd: lease.MaxLeaseTTL, seconds. Judged where it is granted, behind the alarms. */
export const MAX_LEASE_TTL = 9_000_000_000;
/** A range end of this one byte: every key from `key` on. */
export const FROM_KEY = "\0";

const MANY_BYTES = 4_096;

/** Bytes as text, one character per byte. */
export function latin1(bytes: Uint8Array): string {
  if (bytes.length <= MANY_BYTES) return String.fromCharCode.apply(undefined, bytes as unknown as number[]);
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** Order of byte strings: negative, 0 or positive. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** Whether a range of keys holds a key; all in latin1. */
export function isInRange(name: string, key: string, rangeEnd: string): boolean {
  if (rangeEnd === "") return name === key;
  return name >= key && (rangeEnd === FROM_KEY || name < rangeEnd);
}

/**
 * Why a request is refused before it is proposed, whatever the state; undefined: it is not (etcd:
 * v3rpc/key.go).
 */
export function doorProblem(request: KvRequest | RangeRequest, maxTxnOps: number): KvError | undefined {
  switch (request.type) {
    case "range":
    case "put":
    case "deleteRange":
      return operationProblem(request, maxTxnOps);
    case "txn":
      return (
        operationProblem(request, maxTxnOps) ??
        (isOverlapping(request.success) || isOverlapping(request.failure) ? ERR.duplicateKey : undefined)
      );
    default:
      return undefined;
  }
}

function operationProblem(op: RequestOp | undefined, maxTxnOps: number): KvError | undefined {
  if (op === undefined) return ERR.keyNotFound;
  if (op.type === "txn") return txnProblem(op, maxTxnOps);
  if (op.key.length === 0) return ERR.emptyKey;
  if (op.type === "put") return putProblem(op);
  const isUnsortable = op.type === "range" && (op.sortOrder === undefined || op.sortTarget === undefined);
  return isUnsortable ? ERR.invalidSortOption : undefined;
}

function putProblem(put: PutRequest): KvError | undefined {
  if (put.ignoreValue && put.value.length > 0) return ERR.valueProvided;
  if (put.ignoreLease && put.lease !== 0n) return ERR.leaseProvided;
  return undefined;
}

function txnProblem(txn: TxnRequest, maxTxnOps: number): KvError | undefined {
  const ops = Math.max(txn.compare.length, txn.success.length, txn.failure.length);
  if (ops > maxTxnOps) return ERR.tooManyOps;
  if (txn.compare.some((compare) => compare.key.length === 0)) return ERR.emptyKey;
  for (const op of [...txn.success, ...txn.failure]) {
    const problem = operationProblem(op, maxTxnOps - ops);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

interface Touched {
  readonly puts: Set<string>;
  readonly deletes: { readonly key: string; readonly rangeEnd: string }[];
}

function isOverlapping(ops: readonly (RequestOp | undefined)[]): boolean {
  return touchedBy(ops) === undefined;
}

/**
 * What the operations of one branch put and delete; undefined: two of them may collide. As etcd's
 * checkIntervals has it, in two points less strict than one would expect: a delete of "every key from ... on"
 * collides with nothing (its interval ends at the byte 0 and so is empty), and what a nested txn deletes is
 * compared with later puts only.
 */
function touchedBy(ops: readonly (RequestOp | undefined)[]): Touched | undefined {
  const puts = new Set<string>();
  const deletes: Touched["deletes"] = [];
  const collides = (key: string): boolean =>
    deletes.some((range) => range.rangeEnd !== FROM_KEY && isInRange(key, range.key, range.rangeEnd));
  for (const op of ops) {
    if (op?.type === "deleteRange") deletes.push({ key: latin1(op.key), rangeEnd: latin1(op.rangeEnd) });
  }
  for (const op of ops) {
    if (op?.type !== "txn") continue;
    const success = touchedBy(op.success);
    const failure = touchedBy(op.failure);
    if (success === undefined || failure === undefined) return undefined;
    // Only one of the two branches is taken, so they may put the same key.
    const inner = new Set([...success.puts, ...failure.puts]);
    for (const key of inner) {
      if (puts.has(key) || collides(key)) return undefined;
      puts.add(key);
    }
    deletes.push(...success.deletes, ...failure.deletes);
  }
  for (const op of ops) {
    if (op?.type !== "put") continue;
    const key = latin1(op.key);
    if (puts.has(key) || collides(key)) return undefined;
    puts.add(key);
  }
  return { puts, deletes };
}

/** Whether a txn could put a key in one of its branches, at any depth: what NOSPACE refuses. */
export function mayPut(txn: TxnRequest): boolean {
  return [...txn.success, ...txn.failure].some(
    (op) => op?.type === "put" || (op?.type === "txn" && mayPut(op)),
  );
}

/** Whether a comparison holds for the keys of its range (etcd: applyCompare). */
export function holds(compare: Compare, kvs: readonly KeyValue[]): boolean {
  if (kvs.length > 0) return kvs.every((kv) => holdsFor(compare, kv));
  // The value of an absent key cannot be told from an empty one, so every comparison with it fails.
  return compare.target?.type !== "value" && holdsFor(compare, ABSENT);
}

const ABSENT: KeyValue = {
  key: EMPTY_BYTES,
  createRevision: 0,
  modRevision: 0,
  version: 0,
  value: EMPTY_BYTES,
  lease: 0n,
};

function holdsFor(compare: Compare, kv: KeyValue): boolean {
  const { target, result } = compare;
  // Numbers that etcd does not know: its switches pass over them.
  if (result === undefined) return true;
  const order = target === undefined ? 0 : orderOf(target, kv);
  if (result === "equal") return order === 0;
  if (result === "notEqual") return order !== 0;
  return result === "greater" ? order > 0 : order < 0;
}

function orderOf(target: NonNullable<Compare["target"]>, kv: KeyValue): number {
  switch (target.type) {
    case "version":
      return kv.version - target.value;
    case "create":
      return kv.createRevision - target.value;
    case "mod":
      return kv.modRevision - target.value;
    case "lease":
      return kv.lease < target.value ? -1 : kv.lease > target.value ? 1 : 0;
    case "value":
      return compareBytes(kv.value, target.value);
  }
}

/**
 * What the options of a range leave of the keys it found, all in key order: filters, order, limit. etcd cuts
 * at the limit *before* it sorts when no order is asked for, even if a target is: the first keys by name,
 * sorted by it.
 */
export function arrange(
  request: RangeRequest,
  found: readonly KeyValue[],
): { readonly kvs: readonly KeyValue[]; readonly more: boolean } {
  if (request.countOnly) return { kvs: [], more: false };
  const { limit, sortOrder, sortTarget } = request;
  const isByKey = sortTarget === "key" && sortOrder !== "descend";
  let kvs = found;
  if (limit > 0 && (sortOrder === "none" || isByKey) && !isFiltered(request)) kvs = kvs.slice(0, limit + 1);
  if (isFiltered(request)) kvs = kvs.filter((kv) => passes(request, kv));
  if (!isByKey) {
    const sign = sortOrder === "descend" ? -1 : 1;
    kvs = [...kvs].sort((a, b) => sign * sortDifference(request, a, b));
  }
  const more = limit > 0 && kvs.length > limit;
  if (more) kvs = kvs.slice(0, limit);
  if (request.keysOnly) kvs = kvs.map((kv) => ({ ...kv, value: EMPTY_BYTES }));
  return { kvs, more };
}

function isFiltered(request: RangeRequest): boolean {
  return (
    request.minModRevision !== 0 ||
    request.maxModRevision !== 0 ||
    request.minCreateRevision !== 0 ||
    request.maxCreateRevision !== 0
  );
}

function passes(request: RangeRequest, kv: KeyValue): boolean {
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = request;
  if (maxModRevision !== 0 && kv.modRevision > maxModRevision) return false;
  if (minModRevision !== 0 && kv.modRevision < minModRevision) return false;
  if (maxCreateRevision !== 0 && kv.createRevision > maxCreateRevision) return false;
  return minCreateRevision === 0 || kv.createRevision >= minCreateRevision;
}

/** Order of two keys by what the range sorts by. */
export function sortDifference(request: RangeRequest, a: KeyValue, b: KeyValue): number {
  switch (request.sortTarget) {
    case "version":
      return a.version - b.version;
    case "create":
      return a.createRevision - b.createRevision;
    case "mod":
      return a.modRevision - b.modRevision;
    case "value":
      return compareBytes(a.value, b.value);
    default:
      return compareBytes(a.key, b.key);
  }
}

/** Whether two keys are the same in every field; two absences are. */
export function sameKeyValue(a: KeyValue | undefined, b: KeyValue | undefined): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined) return false;
  return (
    a.modRevision === b.modRevision &&
    a.createRevision === b.createRevision &&
    a.version === b.version &&
    a.lease === b.lease &&
    equalBytes(a.key, b.key) &&
    equalBytes(a.value, b.value)
  );
}
