/** Calls of service methods without a transport: bytes in, decoded answers out. */
import { AssertionError, bytesOf, concatBytes, type KvError } from "../../src/base/index.ts";
import {
  type Answer,
  type AnyRequest,
  type Decoded,
  decodeKvResponse,
  decodeWatchResponse,
  encodeKvRequest,
  encodeWatchRequest,
  KV_METHODS,
  type MessageCodec,
  type RequestOf,
  type WatchCreateRequest,
  type WatchRequest,
  type WatchResponse,
} from "../../src/pb/index.ts";
import type { CallContext, Services, StreamOutput, StreamSession } from "../../src/rpc/index.ts";
import type { Facades } from "./member-facades.ts";

/** A call with this metadata that nobody cancels, unless a signal is given. */
export function callOf(
  metadata: Readonly<Record<string, string>> = {},
  signal: AbortSignal = new AbortController().signal,
): CallContext {
  return { metadata: (name) => metadata[name], signal };
}

function decoded<T>(result: Decoded<T>): T {
  if (result.type === "refused") throw new AssertionError(result.reason, {});
  return result.value;
}

/** What a client of one member asks. */
export class RpcClient {
  readonly services: Services;
  readonly #facades: Facades;

  constructor(services: Services, facades: Facades) {
    this.services = services;
    this.#facades = facades;
  }

  /** The answer's bytes, or the refusal. */
  async raw(path: string, bytes: Uint8Array, call = callOf()): Promise<Uint8Array | KvError> {
    const method = this.services.methods.get(path);
    if (method?.type !== "unary") throw new AssertionError("no such unary method", { path });
    const reply = await this.#facades.within(method.handle(bytes, call));
    return reply.type === "ok" ? reply.bytes : reply.error;
  }

  /** The answer to a request of the replicated state; a refusal is an exception. */
  async kv<T extends KvType>(type: T, request: RequestOf<T>): Promise<Answer<T>> {
    const bytes = this.#mustBytes(await this.raw(KV_METHODS[type], encodeKvRequest(request as AnyRequest)));
    return decoded(decodeKvResponse(type, bytes));
  }

  /** Why a request is refused; an answer is an exception. */
  async refusal(path: string, bytes: Uint8Array, call = callOf()): Promise<KvError> {
    const reply = await this.raw(path, bytes, call);
    if (reply instanceof Uint8Array) throw new AssertionError("it was answered", { path });
    return reply;
  }

  /** Any other unary method. */
  async ask<Q, A>(path: string, request: readonly [MessageCodec<Q>, Q], answer: MessageCodec<A>): Promise<A> {
    const [codec, value] = request;
    return decoded(answer.decode(this.#mustBytes(await this.raw(path, codec.encode(value)))));
  }

  /** Opens a stream; `ready` counts how often it said that it has something. */
  stream(path: string, call = callOf()): TestStream {
    const method = this.services.methods.get(path);
    if (method?.type !== "stream") throw new AssertionError("no such stream", { path });
    const ready = { count: 0 };
    const session = method.open(call, () => {
      ready.count++;
    });
    return new TestStream(session, ready, this.#facades);
  }

  #mustBytes(reply: Uint8Array | KvError): Uint8Array {
    if (reply instanceof Uint8Array) return reply;
    throw new AssertionError(reply.message, { code: reply.code });
  }
}

type KvType = Exclude<keyof typeof KV_METHODS, "alarm">;

/** One stream, taken from by hand as a transport does. */
export class TestStream {
  readonly session: StreamSession;
  readonly ready: { readonly count: number };
  readonly #facades: Facades;

  constructor(session: StreamSession, ready: { readonly count: number }, facades: Facades) {
    this.session = session;
    this.ready = ready;
    this.#facades = facades;
  }

  /** The next output, waited for in virtual time. */
  async next(ms = 5_000): Promise<StreamOutput> {
    for (let passed = 0; passed < ms; passed += 10) {
      const output = this.session.take();
      if (output !== undefined) return output;
      await new Promise((resolve) => setImmediate(resolve));
      this.#facades.advance(10);
    }
    throw new AssertionError("nothing came", { ms });
  }

  /** The next message. */
  async message(): Promise<Uint8Array> {
    const output = await this.next();
    if (output.type === "end") throw new AssertionError(`it ended: ${output.error?.message ?? "ok"}`, {});
    return concatBytes(output.parts);
  }

  async watchResponse(): Promise<WatchResponse> {
    return decoded(decodeWatchResponse(await this.message()));
  }

  watch(request: WatchRequest): void {
    this.session.message(encodeWatchRequest(request));
  }
}

/** A watch of one key. */
export function createOf(key: string, rest: Partial<WatchCreateRequest> = {}): WatchRequest {
  const create = {
    key: bytesOf(key),
    rangeEnd: new Uint8Array(0),
    startRevision: 0,
    progressNotify: false,
    filters: [],
    prevKv: false,
    watchId: 0,
    fragment: false,
    ...rest,
  };
  return { type: "create", create };
}
