/** Members that talk over real sockets on the loopback, each pair through relays that a test can cut and hold. */
import type { MemberId } from "../../src/base/index.ts";
import type { PeerAddress, PeerTransport } from "../../src/env/index.ts";
import { DEFAULT_PEER_OPTIONS, type PeerOptions, TcpPeers } from "../../src/peer/index.ts";
import type { PeerWorld } from "../conformance/peers.ts";
import { REAL_CLOCK } from "./clocks.ts";
import { fixedRandom, KeptLog, type PeerSide, until } from "./peer-side.ts";
import { TcpProxy } from "./tcp-proxy.ts";

export class TcpWorld implements PeerWorld {
  readonly log = new KeptLog();
  readonly #options: Partial<PeerOptions>;
  readonly #scheme: string;
  readonly #ports = new Map<MemberId, number>();
  readonly #transports: PeerTransport[] = [];
  readonly #proxies = new Map<string, TcpProxy>();

  constructor(options: Partial<PeerOptions> = {}) {
    this.#options = options;
    this.#scheme = options.tls === undefined ? "http" : "https";
  }

  async start(side: PeerSide): Promise<PeerTransport> {
    const id = side.member;
    const listen = [`${this.#scheme}://127.0.0.1:${this.#ports.get(id) ?? 0}`];
    const options = {
      ...DEFAULT_PEER_OPTIONS,
      silenceMs: 60_000,
      logIntervalMs: 0,
      ...this.#options,
      listen,
    };
    const transport = new TcpPeers(options, { clock: REAL_CLOCK, random: fixedRandom(), log: this.log });
    this.#transports.push(transport);
    await transport.start(side);
    this.#ports.set(id, Number(transport.urls[0]?.replace(/.*:/, "")));
    for (const other of this.#ports.keys()) {
      if (other === id) continue;
      for (const [from, to] of [[id, other] as const, [other, id] as const]) await this.#open(from, to);
    }
    return transport;
  }

  address(from: MemberId, to: MemberId): PeerAddress {
    return { id: to, urls: [`${this.#scheme}://127.0.0.1:${this.#proxies.get(`${from}>${to}`)?.port}`] };
  }

  until(condition: () => boolean): Promise<void> {
    return until(condition, () => JSON.stringify(this.log.lines.slice(-10)));
  }

  cut(a: MemberId, b: MemberId): void {
    for (const proxy of this.between(a, b)) proxy.cut();
  }

  heal(a: MemberId, b: MemberId): void {
    for (const proxy of this.between(a, b)) proxy.heal();
  }

  hold(a: MemberId, b: MemberId): void {
    for (const proxy of this.between(a, b)) proxy.freeze();
  }

  release(a: MemberId, b: MemberId): void {
    for (const proxy of this.between(a, b)) proxy.thaw();
  }

  /** The relays through which two members call each other. */
  between(a: MemberId, b: MemberId): TcpProxy[] {
    return [`${a}>${b}`, `${b}>${a}`].flatMap((key) => this.#proxies.get(key) ?? []);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#transports.map((transport) => transport.close()));
    await Promise.all([...this.#proxies.values()].map((proxy) => proxy.close()));
  }

  async #open(from: MemberId, to: MemberId): Promise<void> {
    const key = `${from}>${to}`;
    if (!this.#proxies.has(key)) {
      this.#proxies.set(key, await TcpProxy.open(() => this.#ports.get(to) ?? 0));
    }
  }
}
