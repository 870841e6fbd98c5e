/**
 * The peer transport over TCP and TLS (src/env/peers.ts): who is connected to whom, and which message goes where.
 * Frames and signs of life are in `connection.ts`, the way to one peer in `link.ts`.
 */
import { hex, LIMITS, type MemberId } from "../base/index.ts";
import type {
  Cancel,
  Clock,
  Logger,
  PeerAddress,
  PeerHandler,
  PeerTransport,
  Random,
  SnapshotSink,
} from "../env/index.ts";
import { decodeMessage, decodeRelay, isRelay, type PeerHello, type Relay } from "../pb/index.ts";
import type { Message } from "../raft/types.ts";
import type { Called, Closed, Connection, ConnectionContext, ConnectionOwner } from "./connection.ts";
import { dial } from "./dial.ts";
import { Dialer } from "./dialer.ts";
import { type Broken, Link } from "./link.ts";
import { Listener } from "./listener.ts";
import { type PeerOptions, type PeerUrl, parsePeerUrl } from "./options.ts";
import { QuietLog } from "./quiet-log.ts";
import { IncomingSnapshot, OutgoingSnapshot } from "./snapshot-stream.ts";

/** Members that called and that nobody named to us: as many as a cluster can have. Beyond, they are turned away. */
const MAX_STRANGERS = LIMITS.maxMembers;

export interface PeerDependencies {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** What runs between `start` and `close`. */
interface Running {
  readonly handler: PeerHandler;
  readonly context: ConnectionContext;
  readonly listener: Listener;
}

/** In what words the end of a connection is logged, and how loud. */
const CLOSED_EVENTS = {
  local: ["debug", "peer connection closed"],
  lost: ["info", "peer connection lost"],
  silent: ["warn", "peer connection closed: silence"],
  late: ["warn", "peer connection closed: no handshake in time"],
  garbage: ["warn", "peer connection closed: not what a member sends"],
  refused: ["warn", "peer connection refused"],
} as const;

export class TcpPeers implements PeerTransport {
  readonly #options: PeerOptions;
  readonly #deps: PeerDependencies;
  readonly #log: QuietLog;
  #running: Running | undefined;
  #isClosed = false;
  #peers: readonly PeerAddress[] = [];
  readonly #links = new Map<MemberId, Link>();
  readonly #dialers = new Map<MemberId, Dialer>();
  /** All that are open, with the address of the other side. */
  readonly #connections = new Set<Connection>();
  readonly #incoming = new Map<MemberId, IncomingSnapshot>();
  readonly #outgoing = new Set<OutgoingSnapshot>();
  /** What the end of this turn of the event loop does: links with something to send, peers to report. */
  readonly #unflushed = new Set<Link>();
  readonly #lost = new Set<MemberId>();
  #isTurnEndDue = false;
  #cancelTick: Cancel | undefined;

  constructor(options: PeerOptions, dependencies: PeerDependencies) {
    this.#options = options;
    this.#deps = dependencies;
    this.#log = new QuietLog(options.logIntervalMs, dependencies.log, dependencies.clock);
  }

  /** Where it listens, as URLs, with the ports that were chosen; none before `start` has returned. */
  get urls(): readonly string[] {
    return this.#running?.listener.urls ?? [];
  }

  async start(handler: PeerHandler): Promise<void> {
    const { keepaliveMs, silenceMs, handshakeTimeoutMs, maxFrameBytes } = this.#options;
    const silentTicks = Math.ceil(silenceMs / keepaliveMs);
    const { clock } = this.#deps;
    const context = { handler, clock, handshakeTimeoutMs, maxFrameBytes, silentTicks };
    const listener = new Listener(this.#options, context, {
      ownerOf: (address) => this.#callerOf(address),
      turnedAway: (address, why) => this.#tell(address, undefined, why),
    });
    this.#running = { handler, context, listener };
    await listener.listen();
    this.setPeers(this.#peers);
    this.#tick();
  }

  setPeers(peers: readonly PeerAddress[]): void {
    this.#peers = peers;
    const running = this.#running;
    if (running === undefined || this.#isClosed) return;
    const kept = new Set(peers.map(({ id }) => id));
    for (const id of [...this.#dialers.keys()]) if (!kept.has(id)) this.#part(id);
    for (const { id, urls } of peers) {
      if (id === running.handler.member) continue;
      const parsed = this.#parsed(id, urls);
      const dialer = this.#dialers.get(id);
      if (dialer !== undefined) dialer.setUrls(parsed);
      else this.#dialers.set(id, this.#dialerOf(id, parsed, this.#linkOf(id)));
    }
  }

  send(messages: readonly Message[]): void {
    if (this.#isClosed || messages.length === 0) return;
    for (const message of messages) {
      const link = this.#links.get(message.to);
      if (link?.post(message) === true) this.#unflushed.add(link);
      else this.#lost.add(message.to);
    }
    this.#endTurn();
  }

  relay(to: MemberId, relay: Relay): void {
    if (this.#isClosed) return;
    const link = this.#links.get(to);
    if (link?.relay(relay) === true) this.#unflushed.add(link);
    else this.#lost.add(to);
    this.#endTurn();
  }

  async openSnapshot(to: MemberId, signal: AbortSignal): Promise<SnapshotSink> {
    const urls = this.#dialers.get(to)?.urls ?? [];
    const failures: string[] = [];
    for (const url of urls) {
      if (this.#isClosed || signal.aborted) break;
      const opened = await this.#openAt(to, url, signal);
      if (opened.type === "ok") return opened.sink;
      failures.push(`${url.text}: ${opened.reason}`);
    }
    if (signal.aborted) failures.push("it was given up");
    else if (this.#isClosed) failures.push("this transport is closed");
    else if (urls.length === 0) failures.push("it is no peer with an address");
    throw new Error(`no snapshot stream to member ${hex(to)}: ${failures.join("; ")}`);
  }

  async close(): Promise<void> {
    if (!this.#isClosed) {
      this.#flushLinks();
      this.#isClosed = true;
      this.#cancelTick?.();
      for (const id of [...this.#dialers.keys(), ...this.#links.keys()]) this.#part(id);
      for (const stream of this.#incoming.values()) stream.close("this member stops");
      for (const stream of this.#outgoing) stream.close();
    }
    await this.#running?.listener.close();
  }

  // Who is connected.

  #linkOf(peer: MemberId): Link {
    const present = this.#links.get(peer);
    if (present !== undefined) return present;
    const link = new Link(this.#options.maxUnsentBytes, {
      frame: (_, connection, bytes) => this.#receive(peer, connection, bytes),
      broken: (from, broken) => this.#broken(peer, from, broken),
    });
    this.#links.set(peer, link);
    return link;
  }

  #dialerOf(peer: MemberId, urls: readonly PeerUrl[], link: Link): Dialer {
    const { backoffMinMs, backoffMaxMs } = this.#options;
    const called: Called = { member: peer, purpose: "consensus" };
    return new Dialer(urls, {
      ...this.#deps,
      backoffMinMs,
      backoffMaxMs,
      call: (url, opened, failed) => this.#dial(called, url, { opened, closed: failed }),
      opened: (connection) => {
        this.#connections.add(connection);
        link.adopt(connection, "own");
      },
      failed: (url, why) => this.#tell(url.text, peer, why),
    });
  }

  #dial(called: Called, url: PeerUrl, owner: ConnectionOwner): Cancel {
    const { tls, connectTimeoutMs } = this.#options;
    const { context } = this.#mustRun();
    return dial({ ...called, url, tls, connectTimeoutMs }, context, owner);
  }

  /** Ends everything with a peer. */
  #part(peer: MemberId): void {
    const reason = this.#isClosed ? "this member stops" : "no peer of this member any more";
    this.#dialers.get(peer)?.stop();
    this.#dialers.delete(peer);
    this.#links.get(peer)?.close(reason);
    this.#links.delete(peer);
    this.#incoming.get(peer)?.close(reason);
    for (const stream of [...this.#outgoing]) if (stream.to === peer) stream.close();
  }

  #callerOf(address: string): ConnectionOwner {
    return {
      opened: (connection, hello) => {
        this.#connections.add(connection);
        if (hello.purpose === "snapshot") this.#takeSnapshot(address, connection, hello);
        else this.#takeCall(connection, hello);
      },
      closed: (why, receivedBytes) => {
        // Somebody looked whether the port is open.
        const isProbe = why.type === "lost" && receivedBytes === 0;
        this.#tell(address, undefined, why, isProbe ? "debug" : undefined);
      },
    };
  }

  #takeCall(connection: Connection, hello: PeerHello): void {
    const { member } = hello;
    if (!this.#links.has(member) && this.#links.size - this.#dialers.size >= MAX_STRANGERS) {
      this.#turnAway(connection, `${MAX_STRANGERS} members that are no peers have called already`);
      return;
    }
    this.#linkOf(member).adopt(connection, "their");
  }

  #takeSnapshot(address: string, connection: Connection, { member }: PeerHello): void {
    const { handler } = this.#mustRun();
    this.#incoming.get(member)?.close("replaced by a newer stream");
    if (this.#incoming.size >= MAX_STRANGERS) {
      this.#turnAway(connection, `${MAX_STRANGERS} snapshot streams come in already`);
      return;
    }
    const ends = { from: member, to: handler.member };
    const stream = new IncomingSnapshot(connection, ends, handler.snapshot(member), (why) => {
      this.#connections.delete(connection);
      if (this.#incoming.get(member) === stream) this.#incoming.delete(member);
      this.#tell(address, member, why);
    });
    this.#incoming.set(member, stream);
  }

  #turnAway(connection: Connection, reason: string): void {
    this.#connections.delete(connection);
    connection.close({ type: "refused", reason });
  }

  #openAt(to: MemberId, url: PeerUrl, signal: AbortSignal): Promise<SnapshotOpened> {
    return new Promise((settle) => {
      const called: Called = { member: to, purpose: "snapshot" };
      const cancel = this.#dial(called, url, {
        opened: (connection) => {
          signal.removeEventListener("abort", cancel);
          this.#connections.add(connection);
          const sink = new OutgoingSnapshot(to, connection, (why) => {
            this.#connections.delete(connection);
            this.#outgoing.delete(sink);
            this.#tell(url.text, to, why);
          });
          this.#outgoing.add(sink);
          if (this.#isClosed) sink.close();
          settle({ type: "ok", sink });
        },
        closed: ({ reason }) => {
          signal.removeEventListener("abort", cancel);
          settle({ type: "failed", reason });
        },
      });
      signal.addEventListener("abort", cancel, { once: true });
    });
  }

  // What happens on the connections.

  #receive(peer: MemberId, connection: Connection, bytes: Uint8Array): void {
    const { handler } = this.#mustRun();
    if (isRelay(bytes)) {
      const relay = decodeRelay(bytes);
      if (relay.type === "refused") connection.close({ type: "garbage", reason: relay.reason });
      else handler.relayed(peer, relay.value);
      return;
    }
    const decoded = decodeMessage(bytes);
    if (decoded.type === "refused") {
      connection.close({ type: "garbage", reason: decoded.reason });
      return;
    }
    const message = decoded.value;
    if (message.from !== peer || message.to !== handler.member) {
      const says = `a message from member ${hex(message.from)} to ${hex(message.to)}`;
      const reason = `${says} on the connection from member ${hex(peer)} to ${hex(handler.member)}`;
      connection.close({ type: "garbage", reason });
      return;
    }
    handler.receive(message);
  }

  #broken(peer: MemberId, link: Link, { connection, maker, why, lost }: Broken): void {
    this.#connections.delete(connection);
    this.#tell(connection.address, peer, why);
    if (lost) {
      this.#lost.add(peer);
      this.#endTurn();
    }
    const dialer = this.#dialers.get(peer);
    if (maker === "own") dialer?.lost();
    if (dialer === undefined && !link.isUp && this.#links.get(peer) === link) this.#links.delete(peer);
  }

  /** Everything that was sent in this turn goes out together, and what was lost is told outside of `send`. */
  #endTurn(): void {
    if (this.#isTurnEndDue) return;
    this.#isTurnEndDue = true;
    queueMicrotask(() => {
      this.#isTurnEndDue = false;
      if (this.#isClosed) return;
      this.#flushLinks();
      const lost = [...this.#lost];
      this.#lost.clear();
      for (const peer of lost) this.#running?.handler.unreachable(peer);
    });
  }

  #flushLinks(): void {
    for (const link of this.#unflushed) link.flush();
    this.#unflushed.clear();
  }

  #tick(): void {
    if (this.#isClosed) return;
    for (const connection of [...this.#connections]) connection.tick();
    const { clock } = this.#deps;
    this.#cancelTick = clock.wakeAt(clock.now() + this.#options.keepaliveMs, () => this.#tick());
  }

  #parsed(peer: MemberId, urls: readonly string[]): PeerUrl[] {
    const parsed: PeerUrl[] = [];
    for (const text of urls) {
      try {
        parsed.push(parsePeerUrl(text));
      } catch (error: unknown) {
        // The other addresses of the peer, and the other peers, are still good.
        const reason = error instanceof Error ? error.message : String(error);
        this.#deps.log.error({ peer: hex(peer), reason }, "peer address is not used");
      }
    }
    return parsed;
  }

  #mustRun(): Running {
    if (this.#running === undefined) throw new Error("the peer transport was not started");
    return this.#running;
  }

  #tell(address: string, peer: MemberId | undefined, { type, reason }: Closed, level?: "debug"): void {
    if (this.#isClosed) return;
    const [usual, event] = CLOSED_EVENTS[type];
    const who = peer === undefined ? {} : { peer: hex(peer) };
    this.#log.write(level ?? usual, address, { ...who, reason }, event);
  }
}

type SnapshotOpened =
  | { readonly type: "ok"; readonly sink: OutgoingSnapshot }
  | { readonly type: "failed"; readonly reason: string };
