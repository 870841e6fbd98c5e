/**
 * The services over gRPC, with @grpc/grpc-js: the only place that imports its server. Messages pass as bytes in both
 * directions; our codecs do the work.
 */
import {
  type handleBidiStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  logVerbosity,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerOptions,
  type ServiceDefinition,
  setLogVerbosity,
  type UntypedHandleCall,
} from "@grpc/grpc-js";
import type { Clock } from "../../env/index.ts";
import { type Method, type MethodTable, type Services, statusOf } from "../../rpc/index.ts";
import { contextOf } from "./context.ts";
import { StreamPump } from "./stream-pump.ts";

/** What gRPC may receive beyond the largest request: the parts of the message around it. etcd: grpcOverheadBytes. */
const OVERHEAD_BYTES = 512 * 1024;
const OK = 0;
const INTERNAL = 13;

/** Certificates and key, PEM. */
export interface ServerTls {
  readonly cert: Uint8Array;
  readonly key: Uint8Array;
  /** Whose certificates clients must show; undefined: they need none. */
  readonly clientCa: Uint8Array | undefined;
}

export interface GrpcServerOptions {
  /** Largest request, bytes, as the member's limits have it. */
  readonly maxRequestBytes: number;
  /** A silent connection is probed after this, and closed when it does not answer, ms. etcd: --grpc-keepalive-*. */
  readonly keepaliveIntervalMs: number;
  readonly keepaliveTimeoutMs: number;
  /** How long `stop` waits for calls that are being answered, ms. */
  readonly stopGraceMs: number;
}

export const DEFAULT_GRPC_OPTIONS: GrpcServerOptions = {
  maxRequestBytes: 1_572_864,
  keepaliveIntervalMs: 7_200_000,
  keepaliveTimeoutMs: 20_000,
  stopGraceMs: 2_000,
};

/** Who counts calls, and who is told of bugs. */
export interface CallObserver {
  started(path: string): void;
  /** @param code gRPC status by number */
  handled(path: string, code: number): void;
  /** A handler threw, which none may do. The client was told `internal error`; nothing of the member is touched. */
  bug(path: string, error: unknown): void;
}

export interface GrpcServer {
  /**
   * Begins to listen at `host:port`; port 0 takes a free one.
   * @param tls undefined: plain text
   * @returns the port
   * @throws when the address cannot be listened at
   */
  listen(address: string, tls: ServerTls | undefined): Promise<number>;
  /** Takes no more calls, ends open streams with `server stopped`, waits for the others, closes. Idempotent. */
  stop(): Promise<void>;
}

export function createGrpcServer(
  deps: { readonly services: Services; readonly clock: Clock; readonly observer: CallObserver },
  options: Partial<GrpcServerOptions> = {},
): GrpcServer {
  const merged = { ...DEFAULT_GRPC_OPTIONS, ...options };
  // What the library writes to standard error by itself it also gives as errors.
  setLogVerbosity(logVerbosity.NONE);
  const server = new Server(serverOptions(merged));
  addServices(server, deps.services.methods, deps.observer);
  let stopped: Promise<void> | undefined;
  return {
    listen(address, tls) {
      return new Promise((resolve, reject) => {
        server.bindAsync(address, credentialsOf(tls), (error, port) => {
          if (error === null) resolve(port);
          else reject(error);
        });
      });
    },
    stop() {
      stopped ??= stopServer(server, deps.services, deps.clock, merged.stopGraceMs);
      return stopped;
    },
  };
}

function serverOptions(options: GrpcServerOptions): ServerOptions {
  return {
    "grpc.max_receive_message_length": options.maxRequestBytes + OVERHEAD_BYTES,
    "grpc.max_send_message_length": -1,
    "grpc.max_concurrent_streams": 2 ** 32 - 1,
    "grpc.keepalive_time_ms": options.keepaliveIntervalMs,
    "grpc.keepalive_timeout_ms": options.keepaliveTimeoutMs,
    // Nobody looks at it, and it costs something per call.
    "grpc.enable_channelz": 0,
  };
}

function credentialsOf(tls: ServerTls | undefined): ServerCredentials {
  if (tls === undefined) return ServerCredentials.createInsecure();
  const pair = { private_key: Buffer.from(tls.key), cert_chain: Buffer.from(tls.cert) };
  const ca = tls.clientCa === undefined ? null : Buffer.from(tls.clientCa);
  return ServerCredentials.createSsl(ca, [pair], tls.clientCa !== undefined);
}

async function stopServer(server: Server, services: Services, clock: Clock, graceMs: number): Promise<void> {
  services.stop();
  await new Promise<void>((resolve) => {
    const cancel = clock.wakeAt(clock.now() + graceMs, () => {
      server.forceShutdown();
      resolve();
    });
    server.tryShutdown(() => {
      cancel();
      resolve();
    });
  });
}

/** grpc-js takes methods by service; the table has them by path. */
function addServices(server: Server, methods: MethodTable, observer: CallObserver): void {
  const byService = new Map<string, [name: string, path: string, method: Method][]>();
  for (const [path, method] of methods) {
    const [, service = "", name = ""] = path.split("/");
    const those = byService.get(service) ?? [];
    those.push([name, path, method]);
    byService.set(service, those);
  }
  for (const those of byService.values()) {
    const definition: Record<string, MethodDefinition<Buffer, Buffer>> = {};
    const implementation: Record<string, UntypedHandleCall> = {};
    for (const [name, path, method] of those) {
      definition[name] = definitionOf(path, method);
      implementation[name] = handlerOf(path, method, observer);
    }
    server.addService(definition as ServiceDefinition, implementation);
  }
}

function definitionOf(path: string, method: Method): MethodDefinition<Buffer, Buffer> {
  return {
    path,
    requestStream: method.type === "stream" && method.bidi,
    responseStream: method.type === "stream",
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
}

function same(bytes: Buffer): Buffer {
  return bytes;
}

function handlerOf(path: string, method: Method, observer: CallObserver): UntypedHandleCall {
  if (method.type === "unary") return unary(path, method, observer);
  if (!method.bidi) {
    const handle: handleServerStreamingCall<Buffer, Buffer> = (call) => {
      observer.started(path);
      const pump = new StreamPump(path, call, method.open, observer);
      pump.message(call.request);
      pump.halfClose();
    };
    return handle;
  }
  const handle: handleBidiStreamingCall<Buffer, Buffer> = (call) => {
    observer.started(path);
    const pump = new StreamPump(path, call, method.open, observer);
    pump.readFrom(call);
  };
  return handle;
}

function unary(
  path: string,
  method: Extract<Method, { readonly type: "unary" }>,
  observer: CallObserver,
): handleUnaryCall<Buffer, Buffer> {
  return (call, callback) => {
    observer.started(path);
    method.handle(call.request, contextOf(call)).then(
      (reply) => {
        if (reply.type === "ok") {
          observer.handled(path, OK);
          callback(null, bufferOf(reply.bytes));
          return;
        }
        const { code, message } = statusOf(reply.error);
        observer.handled(path, code);
        callback({ code, details: message });
      },
      (error: unknown) => {
        observer.bug(path, error);
        observer.handled(path, INTERNAL);
        callback({ code: INTERNAL, details: "internal error" });
      },
    );
  };
}

/** The same bytes as the class that grpc-js needs. */
function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
