/**
 * A real etcd as a peer of tests: Debian's `/usr/bin/etcd` (3.4), one member on loopback with a data directory of its
 * own. Requests go over gRPC with our own encoding of etcd's messages, so that the codec is compared as well.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, credentials, type ServiceError } from "@grpc/grpc-js";
import {
  type AnyRequest,
  decodeEvent,
  decodeKvResponse,
  encodeKvRequest,
  KV_METHODS,
  type ResponseHeader,
} from "../../src/pb/index.ts";
import type { Event, KvResponse } from "../../src/pb/kv.ts";

const PROGRAM = "/usr/bin/etcd";
/** How long it may take to start, ms. */
const START_MS = 30_000;
const PAUSE_MS = 50;

/** Why there is no real etcd to compare with; undefined: there is one. */
export const NO_ETCD = existsSync(PROGRAM) ? undefined : `${PROGRAM} is not installed`;

export type EtcdAnswer =
  | { readonly type: "done"; readonly header: ResponseHeader | undefined; readonly response: KvResponse }
  | { readonly type: "refused"; readonly code: number; readonly message: string };

export class RealEtcd {
  readonly #process: ChildProcess;
  readonly #directory: string;
  readonly #client: Client;

  private constructor(process: ChildProcess, directory: string, client: Client) {
    this.#process = process;
    this.#directory = directory;
    this.#client = client;
  }

  /** Starts one. @throws Error when it does not serve in time */
  static async start(flags: readonly string[] = []): Promise<RealEtcd> {
    const directory = mkdtempSync(join(tmpdir(), "waymark-etcd-"));
    const client = `http://127.0.0.1:${await freePort()}`;
    const peer = `http://127.0.0.1:${await freePort()}`;
    const urls = ["--listen-client-urls", client, "--advertise-client-urls", client];
    const peers = ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer];
    const own = ["--data-dir", join(directory, "data"), "--initial-cluster", `default=${peer}`];
    const child = spawn(PROGRAM, [...urls, ...peers, ...own, ...flags], { stdio: "ignore" });
    const target = client.slice("http://".length);
    const etcd = new RealEtcd(child, directory, new Client(target, credentials.createInsecure()));
    await etcd.#untilServing();
    return etcd;
  }

  /** Asks; a leader's checkpoint is no request of clients. */
  async ask(request: Exclude<AnyRequest, { type: "leaseCheckpoint" }>): Promise<EtcdAnswer> {
    const reply = await this.#call(KV_METHODS[request.type], encodeKvRequest(request));
    if (!(reply instanceof Uint8Array)) return reply;
    const decoded = decodeKvResponse(request.type, reply);
    if (decoded.type === "refused") throw new Error(`etcd's answer does not decode: ${decoded.reason}`);
    const { header, response } = decoded.value;
    return { type: "done", header, response };
  }

  /** All events from a revision up to another, with what was there before. */
  watch(from: number, to: number): Promise<Event[]> {
    const stream = this.#client.makeBidiStreamRequest(
      "/etcdserverpb.Watch/Watch",
      (bytes: Buffer) => bytes,
      (bytes: Buffer) => bytes,
    );
    const events: Event[] = [];
    return new Promise((resolve, reject) => {
      stream.on("error", reject);
      stream.on("data", (bytes: Buffer) => {
        for (const [field, value] of fieldsOf(bytes)) {
          if (field !== 11 || !(value instanceof Uint8Array)) continue;
          const event = decodeEvent(value);
          if (event.type === "refused") reject(new Error(`an event does not decode: ${event.reason}`));
          else events.push(event.value);
        }
        if ((events.at(-1)?.kv.modRevision ?? 0) < to) return;
        stream.removeAllListeners("error");
        stream.on("error", () => undefined);
        stream.cancel();
        resolve(events);
      });
      stream.write(watchRequest(from));
    });
  }

  async stop(): Promise<void> {
    this.#client.close();
    const isOver = new Promise((resolve) => this.#process.once("exit", resolve));
    if (this.#process.exitCode === null && this.#process.kill("SIGKILL")) await isOver;
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #untilServing(): Promise<void> {
    const end = performance.now() + START_MS;
    // An empty key is refused at the door by one that serves.
    while (performance.now() < end) {
      const reply = await this.#call(KV_METHODS.range, new Uint8Array());
      if (!(reply instanceof Uint8Array) && reply.code === 3) return;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    await this.stop();
    throw new Error(`${PROGRAM} does not serve within ${START_MS} ms`);
  }

  #call(method: string, bytes: Uint8Array): Promise<Uint8Array | Extract<EtcdAnswer, { type: "refused" }>> {
    return new Promise((resolve) => {
      this.#client.makeUnaryRequest(
        method,
        (request: Uint8Array) => Buffer.from(request),
        (reply: Buffer) => new Uint8Array(reply),
        bytes,
        { deadline: Date.now() + START_MS },
        (error: ServiceError | null, reply?: Uint8Array) => {
          if (reply !== undefined && error === null) resolve(reply);
          else resolve({ type: "refused", code: error?.code ?? 2, message: error?.details ?? "no answer" });
        },
      );
    });
  }
}

/** WatchRequest: everything from a revision on, with previous values. */
function watchRequest(from: number): Buffer {
  const create = [0x0a, 1, 0, 0x12, 1, 0, 0x18, ...varint(from), 0x30, 1];
  return Buffer.from([0x0a, create.length, ...create]);
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return [...bytes, rest];
}

/** Fields of a message: numbers and bytes are all that a WatchResponse has. */
function* fieldsOf(bytes: Uint8Array): Generator<readonly [field: number, value: number | Uint8Array]> {
  let at = 0;
  const next = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = next();
    const value = next();
    if (tag % 8 === 2) {
      yield [tag >> 3, bytes.slice(at, at + value)];
      at += value;
    } else yield [tag >> 3, value];
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" ? (address?.port ?? 0) : 0));
    });
  });
}
