/**
 * The ports that a member listens at: TCP, with TLS where the URL says so. Who calls is a stranger until its hello was
 * accepted; strangers are few, and the oldest makes room for the newest: a member says who it is within milliseconds,
 * so a crowd of silent callers does not lock members out.
 */
import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { type Closed, Connection, type ConnectionContext, type ConnectionOwner } from "./connection.ts";
import { type PeerTls, type PeerUrl, parsePeerUrl } from "./options.ts";

export interface ListenerOptions {
  readonly listen: readonly string[];
  readonly tls: PeerTls | undefined;
  readonly handshakeTimeoutMs: number;
  readonly maxUnproven: number;
}

export interface ListenerHost {
  /** What a new connection needs, and who hears of it; `address` is the caller's, without port. */
  ownerOf(address: string): ConnectionOwner;
  /** A caller was turned away before it had a connection. */
  turnedAway(address: string, why: Closed): void;
}

export class Listener {
  readonly #options: ListenerOptions;
  readonly #context: ConnectionContext;
  readonly #host: ListenerHost;
  readonly #servers: Server[] = [];
  /** Who has not said who it is, by address and port, oldest first. Invariant: at most maxUnproven. */
  readonly #unproven = new Map<string, Socket>();
  readonly #sockets = new Set<Socket>();
  #isClosed = false;

  constructor(options: ListenerOptions, context: ConnectionContext, host: ListenerHost) {
    this.#options = options;
    this.#context = context;
    this.#host = host;
  }

  /** Where it listens, as URLs, with the ports that were chosen. */
  get urls(): readonly string[] {
    return this.#servers.flatMap((server, i) => {
      const bound = server.address();
      const scheme = this.#options.listen[i]?.replace(/:.*/s, "");
      if (bound === null || typeof bound === "string") return [];
      const host = bound.family === "IPv6" ? `[${bound.address}]` : bound.address;
      return [`${scheme}://${host}:${bound.port}`];
    });
  }

  /** @throws Error that names the URL and what to do about it; what was listened at is closed again */
  async listen(): Promise<void> {
    try {
      for (const text of this.#options.listen) await this.#listenAt(parsePeerUrl(text));
    } catch (error: unknown) {
      await this.close();
      throw error;
    }
  }

  /** Stops listening and ends every connection that was accepted. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const closed = this.#servers.map((server) => new Promise<void>((done) => server.close(() => done())));
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(closed);
  }

  async #listenAt(url: PeerUrl): Promise<void> {
    const server = url.isTls ? this.#secureServer(url) : createServer((socket) => this.#accept(socket));
    server.on("connection", (socket: Socket) => this.#track(socket));
    this.#servers.push(server);
    await new Promise<void>((listening, fail) => {
      server.once("error", (error) => {
        const cause = `cannot listen for peers at ${url.text}: ${error.message}`;
        fail(new Error(`${cause}; choose another address or end what holds it`, { cause: error }));
      });
      server.listen({ host: url.host, port: url.port }, listening);
    });
    // A single failed accept, for want of file descriptors for instance, ends neither the server nor the process.
    server.removeAllListeners("error").on("error", (error) => {
      this.#host.turnedAway(url.text, { type: "lost", reason: error.message });
    });
  }

  #secureServer(url: PeerUrl): Server {
    const { tls, handshakeTimeoutMs } = this.#options;
    if (tls === undefined) {
      throw new Error(`cannot listen for peers at ${url.text}: https needs a certificate and its key`);
    }
    const authorities = tls.ca === undefined ? {} : { ca: tls.ca };
    const server = createTlsServer({
      cert: tls.cert,
      key: tls.key,
      ...authorities,
      requestCert: tls.clientCertAuth,
      rejectUnauthorized: tls.clientCertAuth,
      handshakeTimeout: handshakeTimeoutMs,
      minVersion: "TLSv1.2",
    });
    server.on("secureConnection", (socket) => this.#accept(socket));
    server.on("tlsClientError", (error, socket) => {
      const address = addressOf(socket);
      socket.destroy();
      if (!this.#isClosed) this.#host.turnedAway(address, { type: "garbage", reason: error.message });
    });
    return server;
  }

  /** Every TCP connection, before TLS. */
  #track(socket: Socket): void {
    if (this.#isClosed) {
      socket.destroy();
      return;
    }
    const key = keyOf(socket);
    this.#sockets.add(socket);
    this.#unproven.set(key, socket);
    // Kept for good: an error may come when nobody else listens for it.
    socket.on("error", () => undefined);
    socket.once("close", () => {
      this.#sockets.delete(socket);
      if (this.#unproven.get(key) === socket) this.#unproven.delete(key);
    });
    if (this.#unproven.size > this.#options.maxUnproven) this.#evictOldest();
  }

  #evictOldest(): void {
    const oldest = this.#unproven.entries().next();
    if (oldest.done === true) return;
    const [key, socket] = oldest.value;
    const address = addressOf(socket);
    this.#unproven.delete(key);
    socket.destroy();
    const reason = `more than ${this.#options.maxUnproven} callers that have not said who they are`;
    this.#host.turnedAway(address, { type: "late", reason });
  }

  /** A connection on which the handshake of members may begin. */
  #accept(socket: Socket): void {
    const key = keyOf(socket);
    const owner = this.#host.ownerOf(addressOf(socket));
    new Connection(socket, undefined, this.#context, {
      opened: (connection, hello) => {
        this.#unproven.delete(key);
        owner.opened(connection, hello);
      },
      closed: (why, receivedBytes) => owner.closed(why, receivedBytes),
    });
  }
}

function addressOf(socket: Socket): string {
  return socket.remoteAddress ?? "unknown address";
}

function keyOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}
