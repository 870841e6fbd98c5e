/**
 * Watches that outlive connections and members: every change from the start on, in order, none twice. A watch counts
 * the revision that comes next. It moves when all changes of a revision were handed on, or when the server says that
 * there were none up to one; and a new stream asks from there.
 */
import { CODE, EMPTY_BYTES, ERR } from "../base/index.ts";
import {
  decodeWatchResponse,
  encodeWatchRequest,
  type ResponseHeader,
  type WatchResponse,
} from "../pb/index.ts";
import type { Event } from "../pb/kv.ts";
import type { Caller } from "./calls.ts";
import { ClientError, CompactedError, malformedAnswer, WatchCanceledError } from "./errors.ts";
import { NO_HEADER } from "./kv.ts";
import { pauseMs } from "./retry.ts";
import { waitUntil } from "./waiting.ts";

const METHOD = "/etcdserverpb.Watch/Watch";
const NO_WATCHER = -1;

export interface WatchOptions {
  readonly key: Uint8Array;
  /** Empty: one key; the byte 0: all from `key` on. */
  readonly rangeEnd?: Uint8Array;
  /** First revision that is told; 0: what comes after the server made the watch. */
  readonly startRevision?: number;
  readonly prevKv?: boolean;
  /** Tell revisions up to which nothing happened, too. */
  readonly progressNotify?: boolean;
  /** Numbers of WATCH_FILTER (pb/watch.ts). */
  readonly filters?: readonly number[];
  /** Ends the watch. */
  readonly signal: AbortSignal;
}

/** What a watch tells, in order. */
export type Told =
  /** The server has made it; after each new stream again. */
  | { readonly type: "created"; readonly header: ResponseHeader }
  /** Whole revisions. */
  | { readonly type: "events"; readonly header: ResponseHeader; readonly events: readonly Event[] }
  /** Nothing happened up to `header.revision` that was not told. */
  | { readonly type: "progress"; readonly header: ResponseHeader };

/**
 * Watches until the signal is aborted, then ends plainly.
 * @throws CompactedError: changes are gone that were not told yet
 * @throws WatchCanceledError: the server will not have this watch
 */
export async function* watch(caller: Caller, options: WatchOptions): AsyncGenerator<Told, void, void> {
  const { signal } = options;
  const state = new WatchState(options.startRevision ?? 0);
  for (let failures = 0; !signal.aborted; ) {
    // One signal per stream: grpc-js calls live until they are ended.
    const end = new AbortController();
    const abort = (): void => end.abort();
    signal.addEventListener("abort", abort, { once: true });
    let endpoint: string | undefined;
    try {
      const stream = await caller.bidi(METHOD, end.signal);
      endpoint = stream.endpoint;
      stream.send(createRequest(options, state.next));
      for await (const bytes of stream.messages()) {
        for (const told of state.take(bytes)) {
          failures = 0;
          yield told;
        }
      }
    } catch (error: unknown) {
      if (signal.aborted) return;
      if (!isTransient(error)) throw error;
    } finally {
      signal.removeEventListener("abort", abort);
      end.abort();
    }
    if (endpoint !== undefined) caller.failed(endpoint);
    state.streamEnded();
    failures++;
    await waitUntil(caller.clock, caller.clock.now() + pauseMs(failures, caller.random), signal);
  }
}

/** Where a watch is. */
class WatchState {
  /** The first revision that was not told yet; 0: the watch was never made. */
  next: number;
  /** Events of a response whose rest is still to come. */
  #fragments: Event[] = [];

  constructor(next: number) {
    this.next = next;
  }

  /** What a response of the server means to the caller. */
  *take(bytes: Uint8Array): Generator<Told, void, void> {
    const decoded = decodeWatchResponse(bytes);
    if (decoded.type === "refused") throw malformedAnswer("watch", decoded.reason);
    const response = decoded.value;
    const header = response.header ?? NO_HEADER;
    if (response.canceled) throw cancellation(response);
    if (response.created) {
      if (this.next === 0) this.next = header.revision + 1;
      yield { type: "created", header };
      return;
    }
    if (response.fragment) {
      this.#fragments.push(...response.events);
      return;
    }
    const joined = this.#fragments.length === 0 ? response.events : [...this.#fragments, ...response.events];
    this.#fragments = [];
    if (joined.length === 0) {
      this.next = Math.max(this.next, header.revision + 1);
      yield { type: "progress", header };
      return;
    }
    // What was told before the stream broke is not told again, whatever the new server thinks.
    const events = joined.filter((event) => event.kv.modRevision >= this.next);
    for (const event of events) this.next = Math.max(this.next, event.kv.modRevision + 1);
    if (events.length > 0) yield { type: "events", header, events };
  }

  /** Half of a response is no response: its revision is asked for again. */
  streamEnded(): void {
    this.#fragments = [];
  }
}

function createRequest(options: WatchOptions, startRevision: number): Uint8Array {
  return encodeWatchRequest({
    type: "create",
    create: {
      key: options.key,
      rangeEnd: options.rangeEnd ?? EMPTY_BYTES,
      startRevision,
      progressNotify: options.progressNotify ?? false,
      filters: options.filters ?? [],
      prevKv: options.prevKv ?? false,
      watchId: 0,
      fragment: true,
    },
  });
}

function cancellation(response: WatchResponse): ClientError {
  if (response.compactRevision > 0) return new CompactedError(response.compactRevision);
  if (response.cancelReason === ERR.noLeader.message)
    return new ClientError(ERR.noLeader, { outcome: "refused" });
  const isRefusedStart = response.created && response.watchId === NO_WATCHER && response.cancelReason === "";
  return new WatchCanceledError(isRefusedStart ? "the server did not make the watch" : response.cancelReason);
}

/** Whether another stream may do better. */
function isTransient(error: unknown): boolean {
  if (!(error instanceof ClientError) || error instanceof WatchCanceledError) return false;
  if (error instanceof CompactedError) return false;
  return TRANSIENT.has(error.code);
}

/** A member that stops may end its streams with any of these; that nobody is reached ends no watch. */
const TRANSIENT: ReadonlySet<number> = new Set([
  CODE.unavailable,
  CODE.deadlineExceeded,
  CODE.canceled,
  CODE.resourceExhausted,
]);
