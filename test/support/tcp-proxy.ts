/** A TCP relay that can be frozen and cut: the network between two members, in the hands of a test. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

export class TcpProxy {
  readonly #server: Server;
  readonly #targetPort: () => number;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #isCut = false;
  #isFrozen = false;

  private constructor(targetPort: () => number) {
    this.#targetPort = targetPort;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** @param targetPort on 127.0.0.1, asked at each connection */
  static async open(targetPort: () => number): Promise<TcpProxy> {
    const proxy = new TcpProxy(targetPort);
    await new Promise<void>((listening) => proxy.#server.listen(0, "127.0.0.1", listening));
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections that are open now. */
  get connections(): number {
    return this.#pairs.size;
  }

  /** Ends every connection and each new one at once, until `heal`. */
  cut(): void {
    this.#isCut = true;
    this.#destroyAll();
  }

  heal(): void {
    this.#isCut = false;
  }

  /** Passes nothing on, in neither direction, with all connections open, until `thaw`: a host that vanished. */
  freeze(): void {
    this.#isFrozen = true;
    for (const sockets of this.#pairs) for (const socket of sockets) socket.pause();
  }

  thaw(): void {
    this.#isFrozen = false;
    for (const sockets of this.#pairs) for (const socket of sockets) socket.resume();
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((done) => this.#server.close(() => done()));
    this.cut();
    await closed;
  }

  #accept(near: Socket): void {
    if (this.#isCut) {
      near.destroy();
      return;
    }
    const far = connect({ host: "127.0.0.1", port: this.#targetPort() });
    const sockets = [near, far] as const;
    this.#pairs.add(sockets);
    for (const [from, to] of [[near, far] as const, [far, near] as const]) {
      from.setNoDelay(true);
      from.on("data", (chunk) => {
        if (!to.write(chunk)) from.pause();
      });
      to.on("drain", () => {
        if (!this.#isFrozen) from.resume();
      });
      from.on("end", () => to.end());
      from.on("error", () => this.#drop(sockets));
      from.on("close", () => this.#drop(sockets));
      if (this.#isFrozen) from.pause();
    }
  }

  #drop(sockets: readonly [Socket, Socket]): void {
    this.#pairs.delete(sockets);
    for (const socket of sockets) socket.destroy();
  }

  #destroyAll(): void {
    for (const sockets of [...this.#pairs]) this.#drop(sockets);
  }
}
