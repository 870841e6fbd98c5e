/** etcd's KV service: ranges, writes, transactions, compaction. */
import { EMPTY_BYTES } from "../base/index.ts";
import {
  type Answer,
  type AnyRequest,
  decodeKvResponse,
  encodeKvRequest,
  KV_METHODS,
  PUT_DEFAULTS,
  RANGE_DEFAULTS,
  type ResponseHeader,
} from "../pb/index.ts";
import type {
  AlarmResponse,
  DeleteRangeRequest,
  KvResponse,
  PutRequest,
  RangeRequest,
  TxnRequest,
} from "../pb/kv.ts";
import type { Caller, CallOptions } from "./calls.ts";
import { malformedAnswer } from "./errors.ts";
import type { CallKind } from "./retry.ts";

/** A request with its defaults left out; the key is always needed. */
export type Given<T extends { readonly type: string }> = Partial<Omit<T, "type">> & {
  readonly key: Uint8Array;
};

/** An answer with the header that every answer of a server has. */
export type Answered<T extends KvResponse["type"]> = Answer<T>["response"] & {
  readonly header: ResponseHeader;
};

/** A complete range request. */
export function rangeRequest(given: Given<RangeRequest>): RangeRequest {
  return { ...RANGE_DEFAULTS, ...given };
}

/** A complete put request. */
export function putRequest(given: Given<PutRequest>): PutRequest {
  return { ...PUT_DEFAULTS, ...given };
}

/** A complete request to delete. */
export function deleteRequest(given: Given<DeleteRangeRequest>): DeleteRangeRequest {
  return { type: "deleteRange", rangeEnd: EMPTY_BYTES, prevKv: false, ...given };
}

/** End of the range of all keys that begin with `prefix`; the byte 0, which means "to the end", if there is none. */
export function prefixEnd(prefix: Uint8Array): Uint8Array {
  for (let i = prefix.length - 1; i >= 0; i--) {
    const byte = prefix[i] ?? 0xff;
    if (byte === 0xff) continue;
    const end = prefix.slice(0, i + 1);
    end[i] = byte + 1;
    return end;
  }
  return new Uint8Array(1);
}

/** Asks one of the requests that change or read the replicated state. @throws ClientError */
export async function ask<T extends keyof typeof KV_METHODS>(
  caller: Caller,
  kind: CallKind,
  request: AnyRequest & { readonly type: T },
  options: CallOptions | undefined,
): Promise<Answered<T>> {
  const type: T = request.type;
  return answerOf(type, await caller.unary(KV_METHODS[type], kind, encodeKvRequest(request), options));
}

/** The answer in the bytes. @throws ClientError when they are none */
export function answerOf<T extends KvResponse["type"]>(type: T, bytes: Uint8Array): Answered<T> {
  const decoded = decodeKvResponse(type, bytes);
  if (decoded.type === "refused") throw malformedAnswer(type, decoded.reason);
  const { header, response } = decoded.value;
  return { ...response, header: header ?? NO_HEADER };
}

/** Some answers of etcd have none. */
export const NO_HEADER: ResponseHeader = { clusterId: 0n, memberId: 0n, revision: 0, raftTerm: 0 };

export class Kv {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  range(given: Given<RangeRequest>, options?: CallOptions): Promise<Answered<"range">> {
    return ask(this.#caller, "read", rangeRequest(given), options);
  }

  put(given: Given<PutRequest>, options?: CallOptions): Promise<Answered<"put">> {
    return ask(this.#caller, "write", putRequest(given), options);
  }

  deleteRange(given: Given<DeleteRangeRequest>, options?: CallOptions): Promise<Answered<"deleteRange">> {
    return ask(this.#caller, "write", deleteRequest(given), options);
  }

  /** A transaction that only reads is repeated as a read. */
  txn(request: Omit<TxnRequest, "type">, options?: CallOptions): Promise<Answered<"txn">> {
    const ops = [...request.success, ...request.failure];
    const kind = ops.every((op) => op?.type === "range") ? "read" : "write";
    return ask(this.#caller, kind, { type: "txn", ...request }, options);
  }

  /** @param given.physical answer when what was compacted is deleted */
  compact(
    given: { revision: number; physical?: boolean },
    options?: CallOptions,
  ): Promise<Answered<"compaction">> {
    return ask(this.#caller, "write", { type: "compaction", physical: false, ...given }, options);
  }
}

export type Alarm = AlarmResponse["alarms"][number];
