/**
 * What a service method is to a transport. A method is a unary function or a stream that is *pulled*: the transport
 * takes the next message when the client's connection has room for it, so what waits for a slow client waits in the
 * bounded queue of whoever made it, and nowhere else.
 */
import { CODE, type KvError } from "../base/index.ts";

/** One call as its transport sees it. */
export interface CallContext {
  /** First value of the request's metadata under this lower-case name; undefined: there is none. */
  metadata(name: string): string | undefined;
  /** Aborted when nobody waits any more: the client went away or its deadline passed. The transport owns deadlines. */
  readonly signal: AbortSignal;
}

/** How a unary call ended: the response message, or a status. */
export type Reply =
  | { readonly type: "ok"; readonly bytes: Uint8Array }
  | { readonly type: "error"; readonly error: KvError };

/** Takes the bytes of the request message, which the caller gives up. Never rejects. */
export type UnaryHandler = (request: Uint8Array, call: CallContext) => Promise<Reply>;

/** What a stream gives next. */
export type StreamOutput =
  /** One message in parts that belong in a row. Parts may be shared with other streams: they may not be changed. */
  | { readonly type: "message"; readonly parts: readonly Uint8Array[] }
  /** The last one; undefined: status OK. */
  | { readonly type: "end"; readonly error: KvError | undefined };

/** One open stream. Calls on it never throw, whatever the client sends. */
export interface StreamSession {
  /** A message of the client, which the caller gives up. */
  message(bytes: Uint8Array): void;
  /** The client sends no more. */
  halfClose(): void;
  /** The next output; undefined: nothing is ready, `onReady` will be called. Nothing comes after the end. */
  take(): StreamOutput | undefined;
  /**
   * Whether the transport may read more of the client's messages. It also stops reading while the client takes no
   * answers. Looked at after every message and every take.
   */
  readonly wantsInput: boolean;
  /** The call is gone, or its end was taken. Idempotent. */
  close(): void;
}

/** @param onReady called when `take` may have something; also from inside `message`. Spurious calls are allowed. */
export type StreamHandler = (call: CallContext, onReady: () => void) => StreamSession;

export type Method =
  | { readonly type: "unary"; readonly handle: UnaryHandler }
  /** `bidi`: the client sends many messages; else one. */
  | { readonly type: "stream"; readonly bidi: boolean; readonly open: StreamHandler };

/** Methods by their gRPC path, as in `/etcdserverpb.KV/Range`. */
export type MethodTable = ReadonlyMap<string, Method>;

export function ok(bytes: Uint8Array): Reply {
  return { type: "ok", bytes };
}

export function failed(error: KvError): Reply {
  return { type: "error", error };
}

/** The refusal of a message that is no protobuf, in the words of gRPC's Go server. */
export function malformed(reason: string): KvError {
  return { code: CODE.internal, message: `grpc: error unmarshalling request: ${reason}` };
}

/** The refusal of what this server does not do; the text says what to do instead. */
export function unimplemented(text: string): KvError {
  return { code: CODE.unimplemented, message: `waymark: ${text}` };
}
