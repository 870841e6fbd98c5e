/** etcd's KV service, and the requests of other services that the replicated state answers in the same way. */
import { decodeKvRequest, encodeKvResponse } from "../pb/index.ts";
import type { KvRequest, RangeRequest } from "../pb/kv.ts";
import { failed, type Method, malformed, ok, type Reply, type UnaryHandler } from "./call.ts";
import { ask, headerOf, type RpcContext } from "./context.ts";
import { errorOf } from "./error-map.ts";

/** Requests whose answer is one of the replicated state. */
type PlainType = Exclude<KvRequest["type"], "leaseCheckpoint" | "alarm"> | RangeRequest["type"];

export function kvMethods(ctx: RpcContext): readonly (readonly [path: string, method: Method])[] {
  return [
    ["/etcdserverpb.KV/Range", { type: "unary", handle: plain(ctx, "range") }],
    ["/etcdserverpb.KV/Put", { type: "unary", handle: plain(ctx, "put") }],
    ["/etcdserverpb.KV/DeleteRange", { type: "unary", handle: plain(ctx, "deleteRange") }],
    ["/etcdserverpb.KV/Txn", { type: "unary", handle: plain(ctx, "txn") }],
    ["/etcdserverpb.KV/Compact", { type: "unary", handle: plain(ctx, "compaction") }],
  ];
}

/** The handler of a request that goes to the member as it came. */
export function plain(ctx: RpcContext, type: PlainType): UnaryHandler {
  return async (bytes, call): Promise<Reply> => {
    const decoded = decodeKvRequest(type, bytes);
    if (decoded.type === "refused") return failed(malformed(decoded.reason));
    const request = decoded.value;
    const answer = await ask(
      ctx,
      request.type === "range" ? { type: "read", read: request } : { type: "write", write: request },
      call.signal,
    );
    switch (answer.type) {
      case "done":
        return ok(encodeKvResponse(answer.response, headerOf(ctx, answer.revision)));
      case "refused":
      case "unknown":
        return failed(errorOf(answer));
      default:
        return unexpected(answer.type, type);
    }
  };
}

/** An answer of another kind than what was asked for is a bug of the member. */
export function unexpected(answer: string, request: string): never {
  throw new Error(`a ${request} request was answered with ${answer}`);
}
