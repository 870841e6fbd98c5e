/**
 * One endpoint: an address and the gRPC channel to it. The only file that knows grpc-js. Messages are bytes on both
 * sides; times and retries are its callers' business, so grpc-js is given neither deadlines nor a policy.
 */
import {
  type ChannelCredentials,
  type ClientDuplexStream,
  type ClientReadableStream,
  connectivityState,
  credentials,
  Client as GrpcClient,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import { CODE, type Code } from "../base/index.ts";
import { ClientError, canceled, notConnected } from "./errors.ts";
import { surelyRefused } from "./retry.ts";

/** PEM bytes. */
export interface ClientTls {
  /** Authorities that the server's certificate is checked against; undefined: those of the system. */
  readonly ca?: Uint8Array | undefined;
  readonly cert?: Uint8Array | undefined;
  readonly key?: Uint8Array | undefined;
  /** True: any certificate is taken. For tests only. */
  readonly insecureSkipVerify?: boolean;
}

export interface EndpointOptions {
  readonly tls: ClientTls | undefined;
  readonly keepaliveTimeMs: number;
  readonly keepaliveTimeoutMs: number;
}

/** A stream of messages in both directions. Iterate once; leaving the loop ends the call. */
export interface ByteStream {
  readonly endpoint: string;
  send(bytes: Uint8Array): void;
  /** Ends with a ClientError, or plainly when the server is done. Reads no faster than it is iterated. */
  messages(): AsyncGenerator<Uint8Array, void, void>;
  close(): void;
}

export class Endpoint {
  /** As it was given. */
  readonly url: string;
  readonly #client: GrpcClient;

  constructor(url: string, options: EndpointOptions) {
    this.url = url;
    const { address, isSecure } = addressOf(url, options.tls);
    this.#client = new GrpcClient(address, isSecure ? secure(options.tls) : credentials.createInsecure(), {
      "grpc.max_receive_message_length": -1,
      "grpc.max_send_message_length": -1,
      "grpc.keepalive_time_ms": options.keepaliveTimeMs,
      "grpc.keepalive_timeout_ms": options.keepaliveTimeoutMs,
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 1_000,
      // Else connections would be shared with everybody in the process.
      "grpc.use_local_subchannel_pool": 1,
      "grpc.enable_retries": 0,
      "grpc.enable_channelz": 0,
    });
  }

  /** Resolves when there is a connection. @throws ClientError, outcome refused: there is none, or not in time */
  async connect(signal: AbortSignal): Promise<void> {
    const channel = this.#client.getChannel();
    for (;;) {
      if (signal.aborted) throw notConnected(this.url);
      const state = channel.getConnectivityState(true);
      if (state === connectivityState.READY) return;
      if (state === connectivityState.TRANSIENT_FAILURE || state === connectivityState.SHUTDOWN) {
        throw notConnected(this.url);
      }
      await new Promise<void>((resolve) => {
        const end = (): void => {
          signal.removeEventListener("abort", end);
          resolve();
        };
        signal.addEventListener("abort", end, { once: true });
        channel.watchConnectivityState(state, Number.POSITIVE_INFINITY, end);
      });
    }
  }

  /** Asks once. @throws ClientError */
  unary(method: string, request: Uint8Array, call: CallDetails): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      if (call.signal.aborted) {
        reject(canceled("refused", this.url));
        return;
      }
      const cancel = (): void => running.cancel();
      const done = (error: ServiceError | null, reply?: Uint8Array): void => {
        call.signal.removeEventListener("abort", cancel);
        if (error === null && reply !== undefined) resolve(reply);
        else reject(this.#failure(error, call.signal));
      };
      const running = this.#client.makeUnaryRequest(
        method,
        bufferOf,
        bytesOf,
        request,
        metadataOf(call),
        done,
      );
      call.signal.addEventListener("abort", cancel, { once: true });
    });
  }

  /** Opens a stream in both directions. */
  bidi(method: string, call: CallDetails): ByteStream {
    const stream = this.#client.makeBidiStreamRequest(method, bufferOf, bytesOf, metadataOf(call));
    return this.#stream(stream, call.signal, (bytes) => stream.write(bytes));
  }

  /** Asks once, for a stream of answers. */
  serverStream(method: string, request: Uint8Array, call: CallDetails): ByteStream {
    const stream = this.#client.makeServerStreamRequest(method, bufferOf, bytesOf, request, metadataOf(call));
    return this.#stream(stream, call.signal, () => undefined);
  }

  close(): void {
    this.#client.close();
  }

  #stream(
    stream: ClientReadableStream<Uint8Array> | ClientDuplexStream<Uint8Array, Uint8Array>,
    signal: AbortSignal,
    send: (bytes: Uint8Array) => void,
  ): ByteStream {
    const failure = (error: unknown): ClientError => this.#failure(error as ServiceError, signal);
    const cancel = (): void => stream.cancel();
    signal.addEventListener("abort", cancel, { once: true });
    if (signal.aborted) cancel();
    // An error between two iterations is kept by the stream; without a listener it would end the process.
    stream.on("error", () => undefined);
    const close = (): void => {
      signal.removeEventListener("abort", cancel);
      stream.cancel();
    };
    async function* messages(): AsyncGenerator<Uint8Array, void, void> {
      try {
        for await (const bytes of stream) yield bytes as Uint8Array;
      } catch (error: unknown) {
        throw failure(error);
      } finally {
        close();
      }
    }
    return { endpoint: this.url, send, messages, close };
  }

  #failure(error: ServiceError | null, signal: AbortSignal): ClientError {
    if (signal.aborted) return canceled("unknown", this.url);
    const code = (error?.code ?? CODE.unknown) as Code;
    const message = error?.details ?? error?.message ?? "no answer";
    const outcome = surelyRefused(code, message) ? "refused" : "unknown";
    return new ClientError({ code, message }, { outcome, endpoint: this.url, cause: error ?? undefined });
  }
}

export interface CallDetails {
  readonly signal: AbortSignal;
  /** Refuse, or end, when there is no leader (Go: WithRequireLeader). */
  readonly requireLeader?: boolean;
  readonly token?: string | undefined;
}

/** `http://host:port`, `https://host:port` or `host:port`, which is plain unless certificates were given. */
function addressOf(url: string, tls: ClientTls | undefined): { address: string; isSecure: boolean } {
  const match = /^(https?):\/\/(.*?)\/*$/.exec(url);
  if (match === null) return { address: url, isSecure: tls !== undefined };
  const [, scheme, address = ""] = match;
  return { address, isSecure: scheme === "https" };
}

function secure(tls: ClientTls | undefined): ChannelCredentials {
  const buffer = (bytes: Uint8Array | undefined): Buffer | null =>
    bytes === undefined ? null : Buffer.from(bytes);
  const verify = tls?.insecureSkipVerify === true ? { rejectUnauthorized: false } : {};
  return credentials.createSsl(buffer(tls?.ca), buffer(tls?.key), buffer(tls?.cert), verify);
}

function metadataOf(call: CallDetails): Metadata {
  const metadata = new Metadata();
  if (call.requireLeader === true) metadata.set("hasleader", "true");
  if (call.token !== undefined) metadata.set("token", call.token);
  return metadata;
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

function bytesOf(buffer: Buffer): Uint8Array {
  return buffer;
}
