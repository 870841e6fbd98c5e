/** etcd's Lease service. A lease that is kept alive is asked for three times in its time to live. */
import { CODE, ERR } from "../base/index.ts";
import { type MessageOf, services, type services as tables } from "../pb/index.ts";
import type { Caller, CallOptions } from "./calls.ts";
import type { ByteStream } from "./endpoint.ts";
import { ClientError, deadlineExceeded, malformedAnswer } from "./errors.ts";
import { type Answered, ask } from "./kv.ts";
import { pauseMs } from "./retry.ts";
import { Patience, waitUntil } from "./waiting.ts";

const KEEP_ALIVE = "/etcdserverpb.Lease/LeaseKeepAlive";
/** Longest wait for one keepalive's answer, ms; then another member is asked. */
const ANSWER_MS = 5_000;

export type LeaseKept = MessageOf<typeof tables.leaseKeepAliveResponse>;
export type LeaseTimeToLive = MessageOf<typeof tables.leaseTimeToLiveResponse>;
export type LeaseList = MessageOf<typeof tables.leaseLeasesResponse>;

export class Leases {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /** @param given.ttl seconds @param given.id 0n: the server chooses. A lease that is granted twice only expires. */
  grant(given: { ttl: number; id?: bigint }, options?: CallOptions): Promise<Answered<"leaseGrant">> {
    return ask(this.#caller, "write", { type: "leaseGrant", id: 0n, ...given }, options);
  }

  revoke(id: bigint, options?: CallOptions): Promise<Answered<"leaseRevoke">> {
    return ask(this.#caller, "write", { type: "leaseRevoke", id }, options);
  }

  async timeToLive(given: { id: bigint; keys?: boolean }, options?: CallOptions): Promise<LeaseTimeToLive> {
    const request = services.leaseTimeToLiveRequest.encode({ keys: false, ...given });
    const bytes = await this.#caller.unary("/etcdserverpb.Lease/LeaseTimeToLive", "read", request, options);
    return decoded(services.leaseTimeToLiveResponse.decode(bytes), "LeaseTimeToLive");
  }

  async list(options?: CallOptions): Promise<LeaseList> {
    const request = services.empty.encode({});
    const bytes = await this.#caller.unary("/etcdserverpb.Lease/LeaseLeases", "read", request, options);
    return decoded(services.leaseLeasesResponse.decode(bytes), "LeaseLeases");
  }

  /** Renews once. @throws ClientError: `requested lease not found` when it is gone */
  async keepAliveOnce(id: bigint, options: CallOptions = {}): Promise<LeaseKept> {
    const { clock } = this.#caller;
    const patience = new Patience(clock, clock.now() + (options.timeoutMs ?? ANSWER_MS), options.signal);
    try {
      for await (const kept of this.keepAlive(id, patience.signal)) return kept;
    } finally {
      patience.release();
    }
    throw deadlineExceeded("unknown", undefined);
  }

  /**
   * Keeps a lease alive until the signal is aborted, and tells each renewal. Survives connections and members.
   * @throws ClientError: `requested lease not found` when it is gone, or when it was not renewed in its time
   */
  async *keepAlive(id: bigint, signal: AbortSignal): AsyncGenerator<LeaseKept, void, void> {
    const { clock, random } = this.#caller;
    let expiresAt = Number.POSITIVE_INFINITY;
    for (let failures = 0; !signal.aborted; ) {
      const session = new KeepAliveStream(this.#caller, id, signal);
      try {
        for (;;) {
          const kept = await session.renew();
          if (signal.aborted) return;
          if (kept.ttl <= 0) throw new ClientError(ERR.leaseNotFound, { outcome: "refused" });
          failures = 0;
          const now = clock.now();
          expiresAt = now + kept.ttl * 1_000;
          yield kept;
          await waitUntil(clock, now + (kept.ttl * 1_000) / 3, signal);
          if (signal.aborted) return;
        }
      } catch (error: unknown) {
        if (signal.aborted) return;
        if (!isTransient(error)) throw error;
      } finally {
        session.close();
      }
      if (clock.now() >= expiresAt) throw new ClientError(ERR.leaseNotFound, { outcome: "refused" });
      failures++;
      await waitUntil(clock, clock.now() + pauseMs(failures, random), signal);
    }
  }
}

/** One stream on which renewals are asked for, one at a time. */
class KeepAliveStream {
  readonly #caller: Caller;
  readonly #request: Uint8Array;
  readonly #end = new AbortController();
  readonly #signal: AbortSignal;
  readonly #abort = (): void => this.#end.abort();
  #stream: ByteStream | undefined;
  #messages: AsyncGenerator<Uint8Array, void, void> | undefined;

  constructor(caller: Caller, id: bigint, signal: AbortSignal) {
    this.#caller = caller;
    this.#signal = signal;
    this.#request = services.leaseKeepAliveRequest.encode({ id });
    signal.addEventListener("abort", this.#abort, { once: true });
  }

  /** @throws ClientError, unavailable when the answer did not come in time */
  async renew(): Promise<LeaseKept> {
    this.#stream ??= await this.#caller.bidi(KEEP_ALIVE, this.#end.signal);
    this.#messages ??= this.#stream.messages();
    this.#stream.send(this.#request);
    const { clock } = this.#caller;
    const cancel = clock.wakeAt(clock.now() + ANSWER_MS, this.#abort);
    try {
      const { done, value } = await this.#messages.next();
      if (done === true) throw new ClientError(ERR.stopped, { outcome: "unknown" });
      return decoded(services.leaseKeepAliveResponse.decode(value), "LeaseKeepAlive");
    } catch (error: unknown) {
      this.#caller.failed(this.#stream.endpoint);
      throw error;
    } finally {
      cancel();
    }
  }

  close(): void {
    this.#signal.removeEventListener("abort", this.#abort);
    this.#end.abort();
  }
}

/** A renewal may be asked for again, wherever the last one got lost. */
function isTransient(error: unknown): boolean {
  if (!(error instanceof ClientError)) return false;
  return (
    error.code === CODE.unavailable || error.code === CODE.canceled || error.code === CODE.deadlineExceeded
  );
}

/** @throws ClientError */
export function decoded<T>(
  result: { readonly type: "ok"; readonly value: T } | { readonly type: "refused"; readonly reason: string },
  what: string,
): T {
  if (result.type === "refused") throw malformedAnswer(what, result.reason);
  return result.value;
}
