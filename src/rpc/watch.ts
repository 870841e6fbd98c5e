/**
 * etcd's Watch service. What a client has not taken yet waits in the member's queue of this stream, which is bounded;
 * events are encoded once there, and a response is a head of its own before bytes that all watchers share.
 */
import type { KvError } from "../base/index.ts";
import { decodeWatchRequest, encodeWatchHead, WATCH_FILTER, type WatchCreateRequest } from "../pb/index.ts";
import type { WatchCreate } from "../watch/types.ts";
import { type Method, malformed, type StreamOutput, type StreamSession } from "./call.ts";
import { headerOf, type RpcContext } from "./context.ts";
import type { WatchFacade } from "./facade.ts";

export function watchMethods(ctx: RpcContext): readonly (readonly [path: string, method: Method])[] {
  return [
    [
      "/etcdserverpb.Watch/Watch",
      { type: "stream", bidi: true, open: (_call, onReady) => new WatchSession(ctx, onReady) },
    ],
  ];
}

class WatchSession implements StreamSession {
  readonly #ctx: RpcContext;
  readonly #watch: WatchFacade;
  readonly #onReady: () => void;
  #end: StreamOutput | undefined;

  constructor(ctx: RpcContext, onReady: () => void) {
    this.#ctx = ctx;
    this.#onReady = onReady;
    this.#watch = ctx.facade.openWatch(onReady);
  }

  /** Answers always enter the queue; that the transport reads no more from a client that takes none bounds them. */
  get wantsInput(): boolean {
    return this.#end === undefined;
  }

  message(bytes: Uint8Array): void {
    const decoded = decodeWatchRequest(bytes);
    if (decoded.type === "refused") {
      this.#fail(malformed(decoded.reason));
      return;
    }
    const request = decoded.value;
    switch (request?.type) {
      case "create":
        this.#watch.create(createOf(request.create));
        break;
      case "cancel":
        this.#watch.cancel(request.watchId);
        break;
      case "progress":
        this.#watch.requestProgress();
        break;
      case undefined:
        break;
    }
  }

  /** Its watchers live on: a client that sends no more may still listen. */
  halfClose(): void {
    // Nothing to do until the call is gone.
  }

  take(): StreamOutput | undefined {
    if (this.#end !== undefined) return this.#end;
    const output = this.#watch.take();
    if (output === undefined) return undefined;
    const head = encodeWatchHead(headerOf(this.#ctx, output.revision), output);
    return { type: "message", parts: [head, ...output.events] };
  }

  close(): void {
    this.#watch.close();
  }

  #fail(error: KvError): void {
    this.#end = { type: "end", error };
    this.#onReady();
  }
}

/** etcd's request in the words of the hub, which copies the keys. */
function createOf(request: WatchCreateRequest): WatchCreate {
  const { filters } = request;
  return {
    key: request.key,
    rangeEnd: request.rangeEnd,
    startRevision: request.startRevision,
    progressNotify: request.progressNotify,
    noPut: filters.includes(WATCH_FILTER.noPut),
    noDelete: filters.includes(WATCH_FILTER.noDelete),
    prevKv: request.prevKv,
    fragment: request.fragment,
    watchId: request.watchId,
  };
}
