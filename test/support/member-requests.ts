/** Short forms of the requests that tests send to a member, and of what they look for in answers. */
import { bytesOf, textOf } from "../../src/base/index.ts";
import type { Answer, Request, WriteRequest } from "../../src/member/index.ts";
import type { KeyValue, KvResponse, PutRequest } from "../../src/pb/kv.ts";
import { compare, del, put as putOp, range as rangeOp, txn } from "./kv-world.ts";

export function write(request: WriteRequest): Request {
  return { type: "write", write: request };
}

export function put(key: string, value: string, rest: Partial<PutRequest> = {}): Request {
  return write(putOp(key, value, rest));
}

/** A delete that tells what was there. */
export function remove(key: string): Request {
  return write(del(key, "", true));
}

/** A linearizable read. */
export function get(key: string): Request {
  return { type: "read", read: rangeOp(key) };
}

/** A read of the member's own state as it is. */
export function getLocal(key: string): Request {
  return { type: "read", read: rangeOp(key, "", { serializable: true }) };
}

/** Writes if the key has the expected value (undefined: is absent); reads it otherwise. */
export function swap(key: string, expected: string | undefined, value: string): Request {
  const target =
    expected === undefined
      ? ({ type: "create", value: 0 } as const)
      : ({ type: "value", value: bytesOf(expected) } as const);
  return write(txn([compare(key, target)], [putOp(key, value, { prevKv: true })], [rangeOp(key)]));
}

export function grant(ttl: number, id = 0n): Request {
  return write({ type: "leaseGrant", id, ttl });
}

export function compact(revision: number): Request {
  return write({ type: "compaction", revision, physical: false });
}

/** What a request was answered with. @throws when it was not done */
export function responseOf(answer: Answer | undefined): KvResponse {
  if (answer?.type !== "done") throw new Error(`not done: ${answer?.type ?? "no answer"}`);
  return answer.response;
}

/** The keys that a read came back with. */
export function kvsOf(answer: Answer | undefined): readonly KeyValue[] {
  const response = responseOf(answer);
  if (response.type !== "range") throw new Error(`not a range: ${response.type}`);
  return response.kvs;
}

/** The value that a read of one key came back with; undefined: it is absent. */
export function valueRead(answer: Answer | undefined): string | undefined {
  const [kv] = kvsOf(answer);
  return kv === undefined ? undefined : textOf(kv.value);
}

/** The store's revision after a request that was done, or that a read stood at. */
export function revisionOf(answer: Answer | undefined): number {
  if (answer?.type !== "done") throw new Error(`not done: ${answer?.type ?? "no answer"}`);
  return answer.revision;
}
