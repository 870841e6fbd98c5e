/**
 * Calls over several endpoints: which one is asked, and which one next when it fails. All calls go to one endpoint
 * until it fails, so that what a client reads does not jump between members without need.
 */
import { assert } from "../base/index.ts";
import type { Clock, Random } from "../env/index.ts";
import { type ByteStream, Endpoint, type EndpointOptions } from "./endpoint.ts";
import { ClientError, canceled, deadlineExceeded } from "./errors.ts";
import { type CallKind, mayRetry, pauseMs } from "./retry.ts";
import { Patience } from "./waiting.ts";

/** What holds for one call. */
export interface CallOptions {
  /** Longest time of the call, all attempts together, ms; the client's own if not given. Infinity: none. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Makes calls; over all endpoints, or pinned to one. */
export interface Caller {
  readonly clock: Clock;
  readonly random: Random;
  /** @throws ClientError */
  unary(method: string, kind: CallKind, request: Uint8Array, options?: CallOptions): Promise<Uint8Array>;
  /** A stream at the endpoint that serves now. The signal ends it. @throws ClientError when nobody is reached */
  bidi(method: string, signal: AbortSignal): Promise<ByteStream>;
  serverStream(method: string, request: Uint8Array, signal: AbortSignal): Promise<ByteStream>;
  /** Reports that a stream of this endpoint failed: the next one goes elsewhere. */
  failed(endpoint: string): void;
}

export interface CallerOptions extends EndpointOptions {
  readonly dialTimeoutMs: number;
  readonly callTimeoutMs: number;
}

export class EndpointPool implements Caller {
  readonly clock: Clock;
  readonly random: Random;
  readonly #options: CallerOptions;
  readonly #endpoints: readonly Endpoint[];
  /** Invariant: an index of #endpoints. */
  #current = 0;

  /** @param urls at least one */
  constructor(urls: readonly string[], options: CallerOptions, deps: { clock: Clock; random: Random }) {
    assert(urls.length > 0, "a client needs an endpoint");
    this.clock = deps.clock;
    this.random = deps.random;
    this.#options = options;
    this.#endpoints = urls.map((url) => new Endpoint(url, options));
  }

  async unary(
    method: string,
    kind: CallKind,
    request: Uint8Array,
    options: CallOptions = {},
  ): Promise<Uint8Array> {
    const timeout = options.timeoutMs ?? this.#options.callTimeoutMs;
    const patience = new Patience(this.clock, this.clock.now() + timeout, options.signal);
    try {
      return await this.#attempts(kind, patience, options.signal, (endpoint) =>
        endpoint.unary(method, request, { signal: patience.signal }),
      );
    } finally {
      patience.release();
    }
  }

  bidi(method: string, signal: AbortSignal): Promise<ByteStream> {
    return this.#open(signal, (endpoint) => endpoint.bidi(method, { signal, requireLeader: true }));
  }

  serverStream(method: string, request: Uint8Array, signal: AbortSignal): Promise<ByteStream> {
    return this.#open(signal, (endpoint) => endpoint.serverStream(method, request, { signal }));
  }

  failed(endpoint: string): void {
    if (this.#serving().url === endpoint) this.#current = (this.#current + 1) % this.#endpoints.length;
  }

  close(): void {
    for (const endpoint of this.#endpoints) endpoint.close();
  }

  async #open(signal: AbortSignal, open: (endpoint: Endpoint) => ByteStream): Promise<ByteStream> {
    const patience = new Patience(this.clock, this.clock.now() + this.#options.callTimeoutMs, signal);
    try {
      return await this.#attempts("read", patience, signal, async (endpoint) => open(endpoint));
    } finally {
      patience.release();
    }
  }

  /** Rounds over the endpoints, with pauses between them, until one answers or patience is over. */
  async #attempts<T>(
    kind: CallKind,
    patience: Patience,
    signal: AbortSignal | undefined,
    attempt: (endpoint: Endpoint) => Promise<T>,
  ): Promise<T> {
    let last: ClientError | undefined;
    for (let tries = 1; ; tries++) {
      const endpoint = this.#serving();
      let isSent = false;
      try {
        await this.#connect(endpoint, patience);
        isSent = true;
        return await attempt(endpoint);
      } catch (error: unknown) {
        if (!(error instanceof ClientError)) throw error;
        if (patience.isOver) throw ending(error, last, isSent, signal);
        if (!mayRetry(kind, error)) throw error;
        last = error;
        this.failed(endpoint.url);
      }
      if (tries % this.#endpoints.length === 0) {
        await patience.pause(pauseMs(tries / this.#endpoints.length, this.random));
        if (patience.isOver) throw ending(last, last, false, signal);
      }
    }
  }

  /** A single dial has its own limit, so that one silent host does not use up the time of the others. */
  async #connect(endpoint: Endpoint, patience: Patience): Promise<void> {
    const deadline = Math.min(patience.deadline, this.clock.now() + this.#options.dialTimeoutMs);
    const dial = new Patience(this.clock, deadline, patience.signal);
    try {
      await endpoint.connect(dial.signal);
    } finally {
      dial.release();
    }
  }

  #serving(): Endpoint {
    const endpoint = this.#endpoints[this.#current];
    assert(endpoint !== undefined, "the current endpoint is one of them", { current: this.#current });
    return endpoint;
  }
}

/** The error of a call whose time is over or whose caller gave up. */
function ending(
  error: ClientError,
  last: ClientError | undefined,
  isSent: boolean,
  signal: AbortSignal | undefined,
): ClientError {
  const outcome = isSent ? "unknown" : "refused";
  if (signal?.aborted === true) return canceled(outcome, error.endpoint);
  return deadlineExceeded(outcome, error.endpoint, last ?? error);
}
