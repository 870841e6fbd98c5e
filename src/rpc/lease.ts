/** etcd's Lease service. How long a lease has left is known to the leader only: those questions go there. */
import type { KvError } from "../base/index.ts";
import type { Answer } from "../member/types.ts";
import { services } from "../pb/index.ts";
import {
  type CallContext,
  failed,
  type Method,
  malformed,
  ok,
  type Reply,
  type StreamOutput,
  type StreamSession,
} from "./call.ts";
import { ask, headerOf, type RpcContext } from "./context.ts";
import { errorOf } from "./error-map.ts";
import { plain, unexpected } from "./kv.ts";

/** Keepalives of one stream that wait for their answer at once; no more are read before one of them is taken. */
const MAX_WAITING_KEEPALIVES = 64;

export function leaseMethods(ctx: RpcContext): readonly (readonly [path: string, method: Method])[] {
  return [
    ["/etcdserverpb.Lease/LeaseGrant", { type: "unary", handle: plain(ctx, "leaseGrant") }],
    ["/etcdserverpb.Lease/LeaseRevoke", { type: "unary", handle: plain(ctx, "leaseRevoke") }],
    [
      "/etcdserverpb.Lease/LeaseTimeToLive",
      { type: "unary", handle: (bytes, call) => timeToLive(ctx, bytes, call) },
    ],
    ["/etcdserverpb.Lease/LeaseLeases", { type: "unary", handle: (_bytes, call) => listLeases(ctx, call) }],
    [
      "/etcdserverpb.Lease/LeaseKeepAlive",
      { type: "stream", bidi: true, open: (_call, onReady) => new KeepAliveSession(ctx, onReady) },
    ],
  ];
}

async function timeToLive(ctx: RpcContext, bytes: Uint8Array, call: CallContext): Promise<Reply> {
  const decoded = services.leaseTimeToLiveRequest.decode(bytes);
  if (decoded.type === "refused") return failed(malformed(decoded.reason));
  const { id, keys } = decoded.value;
  const answer = await ask(ctx, { type: "leaseTimeToLive", lease: id, keys }, call.signal);
  if (answer.type === "refused" || answer.type === "unknown") return failed(errorOf(answer));
  if (answer.type !== "leaseTtl") return unexpected(answer.type, "lease time to live");
  const { ttl, grantedTtl } = answer;
  const header = headerOf(ctx, answer.revision);
  return ok(services.leaseTimeToLiveResponse.encode({ header, id, ttl, grantedTtl, keys: answer.keys }));
}

async function listLeases(ctx: RpcContext, call: CallContext): Promise<Reply> {
  const answer = await ask(ctx, { type: "leaseLeases" }, call.signal);
  if (answer.type === "refused" || answer.type === "unknown") return failed(errorOf(answer));
  if (answer.type !== "leases") return unexpected(answer.type, "lease list");
  const leases = answer.leases.map((id) => ({ id }));
  return ok(services.leaseLeasesResponse.encode({ header: headerOf(ctx, answer.revision), leases }));
}

/** A keepalive that waits, or its answer. */
interface Waiting {
  output: StreamOutput | undefined;
}

/** Many keepalives at once, answered in the order in which they were asked. */
class KeepAliveSession implements StreamSession {
  readonly #ctx: RpcContext;
  readonly #onReady: () => void;
  /** In order; at most MAX_WAITING_KEEPALIVES and what the transport had read already. */
  readonly #waiting: Waiting[] = [];
  #isClosed = false;

  constructor(ctx: RpcContext, onReady: () => void) {
    this.#ctx = ctx;
    this.#onReady = onReady;
  }

  get wantsInput(): boolean {
    return this.#waiting.length < MAX_WAITING_KEEPALIVES;
  }

  message(bytes: Uint8Array): void {
    const decoded = services.leaseKeepAliveRequest.decode(bytes);
    if (decoded.type === "refused") {
      this.#end(malformed(decoded.reason));
      return;
    }
    const { id } = decoded.value;
    const slot: Waiting = { output: undefined };
    this.#waiting.push(slot);
    const answered = (answer: Answer): void => {
      slot.output = keepAliveOutput(this.#ctx, id, answer);
      if (!this.#isClosed) this.#onReady();
    };
    // Whether somebody still waits is known here; a listener per keepalive would burden the signal of the stream.
    // A facade never rejects: what is thrown here is a bug, and an unhandled rejection ends the process.
    void ask(this.#ctx, { type: "leaseKeepAlive", lease: id }, undefined).then(answered);
  }

  /** The client has asked everything: status OK comes behind the answers. */
  halfClose(): void {
    this.#end(undefined);
  }

  take(): StreamOutput | undefined {
    const first = this.#waiting[0];
    if (first?.output === undefined) return undefined;
    this.#waiting.shift();
    return first.output;
  }

  close(): void {
    this.#isClosed = true;
    this.#waiting.length = 0;
  }

  #end(error: KvError | undefined): void {
    this.#waiting.push({ output: { type: "end", error } });
    this.#onReady();
  }
}

function keepAliveOutput(ctx: RpcContext, id: bigint, answer: Answer): StreamOutput {
  if (answer.type === "refused" || answer.type === "unknown") return { type: "end", error: errorOf(answer) };
  if (answer.type !== "leaseKept") return unexpected(answer.type, "lease keepalive");
  const header = headerOf(ctx, answer.revision);
  const bytes = services.leaseKeepAliveResponse.encode({ header, id, ttl: answer.ttl });
  return { type: "message", parts: [bytes] };
}
