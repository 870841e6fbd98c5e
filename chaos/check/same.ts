/** Whether an answer is the one that the model gives, and if not, in which words to say so. */
import type { RangeRequest, RangeResponse, TxnRequest } from "../../src/pb/kv.ts";
import type { ClientRequest, ClientResponse } from "./kv-history.ts";
import { latin1, sameKeyValue, sortDifference } from "./model-rules.ts";
import { showKeyValue } from "./words.ts";

/** What differs between the answer `got` and the model's; undefined: nothing. */
export function answerProblem(
  request: ClientRequest,
  got: ClientResponse,
  wanted: ClientResponse,
): string | undefined {
  if (got.type !== wanted.type) return `the answer is a ${got.type}, it should be a ${wanted.type}`;
  if (got.type === "range" && wanted.type === "range") {
    return rangeProblem(request.type === "range" ? request : undefined, got, wanted);
  }
  if (got.type === "put" && wanted.type === "put") {
    if (sameKeyValue(got.prevKv, wanted.prevKv)) return undefined;
    return `prevKv is ${showKeyValue(got.prevKv)}, it should be ${showKeyValue(wanted.prevKv)}`;
  }
  if (got.type === "deleteRange" && wanted.type === "deleteRange") {
    if (got.deleted !== wanted.deleted) return `deleted is ${got.deleted}, it should be ${wanted.deleted}`;
    return keysProblem("prevKvs", got.prevKvs, wanted.prevKvs);
  }
  if (got.type === "leaseGrant" && wanted.type === "leaseGrant") {
    if (got.id === wanted.id && got.ttl === wanted.ttl) return undefined;
    return `lease ${got.id} for ${got.ttl} s, it should be ${wanted.id} for ${wanted.ttl} s`;
  }
  if (got.type === "alarm" && wanted.type === "alarm") {
    return got.alarms.length === wanted.alarms.length ? undefined : "another number of alarms";
  }
  if (got.type === "txn" && wanted.type === "txn") {
    return txnProblem(request.type === "txn" ? request : undefined, got, wanted);
  }
  return undefined;
}

function txnProblem(
  request: TxnRequest | undefined,
  got: Extract<ClientResponse, { type: "txn" }>,
  wanted: Extract<ClientResponse, { type: "txn" }>,
): string | undefined {
  if (got.succeeded !== wanted.succeeded) {
    return `succeeded is ${got.succeeded}, it should be ${wanted.succeeded}`;
  }
  if (got.responses.length !== wanted.responses.length) {
    return `${got.responses.length} responses, there should be ${wanted.responses.length}`;
  }
  const ops = wanted.succeeded ? request?.success : request?.failure;
  for (let i = 0; i < got.responses.length; i++) {
    const [mine, right, op] = [got.responses[i], wanted.responses[i], ops?.[i]];
    if (mine === undefined || right === undefined || op === undefined) continue;
    const problem = answerProblem(op, mine, right);
    if (problem !== undefined) return `response ${i}: ${problem}`;
  }
  return undefined;
}

function rangeProblem(
  request: RangeRequest | undefined,
  got: RangeResponse,
  wanted: RangeResponse,
): string | undefined {
  if (got.count !== wanted.count) return `count is ${got.count}, it should be ${wanted.count}`;
  if (got.more !== wanted.more) return `more is ${got.more}, it should be ${wanted.more}`;
  const isTied = request !== undefined && request.sortTarget !== "key";
  const problem = keysProblem("kvs", got.kvs, wanted.kvs);
  if (problem === undefined || !isTied) return problem;
  return tiedProblem(request, got, wanted) ? problem : undefined;
}

function keysProblem(
  what: string,
  got: RangeResponse["kvs"],
  wanted: RangeResponse["kvs"],
): string | undefined {
  if (got.length !== wanted.length) return `${what} has ${got.length} keys, there should be ${wanted.length}`;
  for (let i = 0; i < got.length; i++) {
    if (!sameKeyValue(got[i], wanted[i])) {
      return `${what} ${i} is ${showKeyValue(got[i])}, it should be ${showKeyValue(wanted[i])}`;
    }
  }
  return undefined;
}

/**
 * etcd's sort leaves open in which order keys come that are equal in what it sorts by, and so also which of
 * them a limit cuts off. Then only the places of the sort order have to agree, and keys that both answers
 * have must be equal.
 */
function tiedProblem(request: RangeRequest, got: RangeResponse, wanted: RangeResponse): boolean {
  if (got.kvs.length !== wanted.kvs.length) return true;
  const byName = new Map(wanted.kvs.map((kv) => [latin1(kv.key), kv]));
  const seen = new Set<string>();
  for (let i = 0; i < got.kvs.length; i++) {
    const [mine, right] = [got.kvs[i], wanted.kvs[i]];
    if (mine === undefined || right === undefined || sortDifference(request, mine, right) !== 0) return true;
    const name = latin1(mine.key);
    if (seen.has(name)) return true;
    seen.add(name);
    const same = byName.get(name);
    if (same === undefined ? !wanted.more : !sameKeyValue(mine, same)) return true;
  }
  return false;
}
