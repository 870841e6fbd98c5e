/**
 * All services of one member as one table of methods, with what holds for every call: room for its bytes, a leader if
 * the client insists on one, and the little that a learner may serve.
 */
import { ERR, type KvError } from "../base/index.ts";
import type { Clock, Random } from "../env/index.ts";
import { RequestBudget } from "./budget.ts";
import {
  type CallContext,
  failed,
  type Method,
  type MethodTable,
  type Reply,
  type StreamHandler,
  type StreamSession,
  type UnaryHandler,
} from "./call.ts";
import { clusterMethods } from "./cluster.ts";
import { DEFAULT_RPC_OPTIONS, type RpcContext, type RpcOptions } from "./context.ts";
import { RPC_ERR } from "./error-map.ts";
import type { MemberFacade } from "./facade.ts";
import { healthMethods } from "./health.ts";
import { kvMethods } from "./kv.ts";
import { leaseMethods } from "./lease.ts";
import { maintenanceMethods } from "./maintenance.ts";
import { OpenStreams } from "./open-streams.ts";
import { watchMethods } from "./watch.ts";

/** A learner serves these; of Range it refuses what is not serializable, by itself. */
const FOR_LEARNERS: ReadonlySet<string> = new Set([
  "/etcdserverpb.KV/Range",
  "/etcdserverpb.Maintenance/Status",
  "/etcdserverpb.Maintenance/Snapshot",
  "/grpc.health.v1.Health/Check",
  "/grpc.health.v1.Health/Watch",
]);

export interface Services {
  readonly methods: MethodTable;
  /** Requests that wait, bytes. */
  readonly inFlightBytes: number;
  readonly openStreams: number;
  /** New streams and requests are refused, those that are open end. For the stop of the server; idempotent. */
  stop(): void;
}

/** The services of a member. */
export function createServices(
  deps: {
    readonly facade: MemberFacade;
    readonly random: Random;
    readonly clock: Clock;
  },
  options: Partial<RpcOptions> = {},
): Services {
  const merged = { ...DEFAULT_RPC_OPTIONS, ...options };
  const ctx: RpcContext = { ...deps, options: merged };
  const guard = new Guard(ctx);
  const methods = new Map<string, Method>();
  const all = [
    ...kvMethods(ctx),
    ...watchMethods(ctx),
    ...leaseMethods(ctx),
    ...clusterMethods(ctx),
    ...maintenanceMethods(ctx),
    ...healthMethods(),
  ];
  for (const [path, method] of all) methods.set(path, guard.method(path, method));
  return {
    methods,
    get inFlightBytes() {
      return guard.budget.usedBytes;
    },
    get openStreams() {
      return guard.streams.size;
    },
    stop: () => guard.stop(),
  };
}

/** What is asked of every call before its handler sees it. */
class Guard {
  readonly budget: RequestBudget;
  readonly streams: OpenStreams;
  readonly #ctx: RpcContext;
  #isStopped = false;

  constructor(ctx: RpcContext) {
    this.#ctx = ctx;
    this.budget = new RequestBudget(ctx.options.maxInFlightBytes);
    this.streams = new OpenStreams(ctx.options, { clock: ctx.clock, hasLeader: () => hasLeader(ctx) });
  }

  method(path: string, method: Method): Method {
    if (method.type === "unary") return { type: "unary", handle: this.#unary(path, method.handle) };
    return { type: "stream", bidi: method.bidi, open: this.#stream(path, method.open) };
  }

  stop(): void {
    this.#isStopped = true;
    this.streams.endAll(ERR.stopped);
  }

  #unary(path: string, handle: UnaryHandler): UnaryHandler {
    return async (request, call) => {
      const refusal = this.#refusal(path, call);
      if (refusal !== undefined) return failed(refusal);
      const bytes = request.length;
      if (!this.budget.take(bytes)) return failed(ERR.tooManyRequests);
      try {
        return await orAborted(handle(request, call), call.signal);
      } finally {
        this.budget.give(bytes);
      }
    };
  }

  #stream(path: string, open: StreamHandler): StreamHandler {
    return (call, onReady) => {
      const refusal = this.#refusal(path, call);
      if (refusal !== undefined) return refusedStream(refusal);
      return this.streams.add(open(call, onReady), wantsLeader(call), onReady);
    };
  }

  #refusal(path: string, call: CallContext): KvError | undefined {
    if (this.#isStopped) return ERR.stopped;
    if (!FOR_LEARNERS.has(path)) {
      const { facade } = this.#ctx;
      if (facade.status().conf.learners.includes(facade.member)) return ERR.notSupportedForLearner;
    }
    return wantsLeader(call) && !hasLeader(this.#ctx) ? ERR.noLeader : undefined;
  }
}

/** The reply, or `canceled` when the signal comes first; then the reply goes nowhere. */
function orAborted(reply: Promise<Reply>, signal: AbortSignal): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const abort = (): void => resolve(failed(RPC_ERR.canceled));
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
    reply.finally(() => signal.removeEventListener("abort", abort)).then(resolve, reject);
  });
}

/** Whether the client insists on a leader (Go: WithRequireLeader). */
function wantsLeader(call: CallContext): boolean {
  return call.metadata("hasleader") === "true";
}

function hasLeader({ facade }: RpcContext): boolean {
  return facade.status().leader !== 0n;
}

/** A stream whose first output is its end. */
function refusedStream(error: KvError): StreamSession {
  let isTaken = false;
  return {
    wantsInput: false,
    message: () => undefined,
    halfClose: () => undefined,
    take() {
      if (isTaken) return undefined;
      isTaken = true;
      return { type: "end", error };
    },
    close: () => undefined,
  };
}
