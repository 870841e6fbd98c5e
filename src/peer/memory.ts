/**
 * The peer transport's twin: members of one process, joined by a network that moves only when it is told to. It has no
 * timers and no chance of its own; whoever steps it decides what happens next. Messages cross as the bytes of their
 * codec, and the same handshake judges who may speak. Import this file directly; the product does not use it.
 */
import { hex, type MemberId } from "../base/index.ts";
import type { PeerAddress, PeerHandler, PeerTransport, SnapshotSink } from "../env/index.ts";
import {
  decodeMessage,
  decodeRelay,
  isRelay,
  PEER_PROTOCOL_VERSION,
  type PeerHello,
  type Relay,
} from "../pb/index.ts";
import type { Message } from "../raft/types.ts";
import { judgeHello } from "./handshake.ts";
import { MemoryStream } from "./memory-stream.ts";
import { DEFAULT_PEER_OPTIONS } from "./options.ts";
import { Outbox } from "./outbox.ts";

/** Something that can happen next. */
export type Unit = () => void;

/** A connection, with what is on its way from the side that made it and to it. */
interface Line {
  readonly maker: MemoryPeers;
  readonly other: MemoryPeers;
  readonly toOther: Outbox;
  readonly toMaker: Outbox;
}

export class MemoryNetwork {
  readonly #transports = new Set<MemoryPeers>();
  readonly #lines: Line[] = [];
  readonly #streams: MemoryStream[] = [];
  /** Ordered pairs between which nothing is possible, and between which nothing arrives for now. */
  readonly #cuts = new Set<string>();
  readonly #held = new Set<string>();
  /** Ordered pairs of transports that refused each other: asked again when something changed. */
  readonly #refused = new Map<MemoryPeers, Set<MemoryPeers>>();
  readonly #notices: Unit[] = [];
  #steps = 0;

  /** A transport of one member. It is part of the network from `start` to `close`. */
  join(maxUnsentBytes: number = DEFAULT_PEER_OPTIONS.maxUnsentBytes): MemoryPeers {
    return new MemoryPeers(this, maxUnsentBytes);
  }

  /** Breaks what connects both, with all that is under way, and lets nothing new arise until `heal`. */
  cut(a: MemberId, b: MemberId): void {
    this.#cuts.add(pair(a, b)).add(pair(b, a));
    this.#break((x, y) => this.#isCut(x, y));
  }

  heal(a: MemberId, b: MemberId): void {
    for (const key of [pair(a, b), pair(b, a)]) this.#cuts.delete(key);
  }

  /** Lets what goes from one to the other wait, connections and all, until `release`. */
  hold(from: MemberId, to: MemberId): void {
    this.#held.add(pair(from, to));
  }

  release(from: MemberId, to: MemberId): void {
    this.#held.delete(pair(from, to));
  }

  /** Members that refused each other try again. */
  retry(): void {
    this.#refused.clear();
  }

  /**
   * Does one of the things that can happen now. False: there is none.
   * @param pick which of so many; undefined: in turns
   */
  step(pick?: (choices: number) => number): boolean {
    const units = this.#units();
    if (units.length === 0) return false;
    const at = pick === undefined ? this.#steps % units.length : pick(units.length);
    this.#steps++;
    units[at]?.();
    return true;
  }

  /** Steps until nothing can happen. @throws Error after `maxSteps`: two members may talk for ever */
  run(maxSteps = 100_000): void {
    for (let steps = 0; this.step(); steps++) {
      if (steps === maxSteps) throw new Error(`the network is not quiet after ${maxSteps} steps`);
    }
  }

  // For the transports.

  started(transport: MemoryPeers): void {
    this.#transports.add(transport);
    this.retry();
  }

  stopped(transport: MemoryPeers): void {
    this.#transports.delete(transport);
    this.#break((x, y) => x === transport || y === transport);
  }

  /** The connections of a transport with others than these are closed. */
  parted(transport: MemoryPeers, from: ReadonlySet<MemberId>): void {
    this.#break((x, y) => (x === transport && from.has(y.id)) || (y === transport && from.has(x.id)));
    this.retry();
  }

  /** Where a transport puts messages to a member: on its own connection first, else on the other's. */
  outboxOf(from: MemoryPeers, to: MemberId): Outbox | undefined {
    const own = this.#lines.find((line) => line.maker === from && line.other.id === to);
    if (own !== undefined) return own.toOther;
    return this.#lines.find((line) => line.other === from && line.maker.id === to)?.toMaker;
  }

  notice(unit: Unit): void {
    this.#notices.push(unit);
  }

  addStream(stream: MemoryStream): void {
    this.#streams.push(stream);
  }

  /** The member that answers at this address now, and lets `from` in for this purpose, or why there is none. */
  reach(from: MemoryPeers, to: MemberId, purpose: PeerHello["purpose"]): MemoryPeers | string {
    const other = [...this.#transports].find((one) => one.id === to);
    if (other === undefined) return "nobody answers";
    if (this.#isCut(from, other)) return "the network is cut";
    const verdicts = [judge(other, from, purpose), judge(from, other, purpose)];
    return verdicts.find((reason) => reason !== undefined) ?? other;
  }

  #isCut(a: MemoryPeers, b: MemoryPeers): boolean {
    return this.#cuts.has(pair(a.id, b.id));
  }

  #isHeld(from: MemoryPeers, to: MemoryPeers): boolean {
    return this.#held.has(pair(from.id, to.id));
  }

  #units(): Unit[] {
    const units: Unit[] = [];
    const [notice] = this.#notices;
    if (notice !== undefined) units.push(() => void this.#notices.shift()?.());
    for (const transport of this.#transports) {
      for (const to of transport.peers) {
        const unit = this.#callUnit(transport, to);
        if (unit !== undefined) units.push(unit);
      }
    }
    for (const { maker, other, toOther, toMaker } of this.#lines) {
      if (!toOther.isEmpty && !this.#isHeld(maker, other)) units.push(() => deliver(maker, other, toOther));
      if (!toMaker.isEmpty && !this.#isHeld(other, maker)) units.push(() => deliver(other, maker, toMaker));
    }
    for (const stream of this.#streams) {
      const unit = stream.next(this.#isHeld(stream.from, stream.to), this.#isHeld(stream.to, stream.from));
      if (unit !== undefined) units.push(unit);
    }
    return units;
  }

  #callUnit(maker: MemoryPeers, to: MemberId): Unit | undefined {
    if (this.#lines.some((line) => line.maker === maker && line.other.id === to)) return undefined;
    const other = [...this.#transports].find((one) => one.id === to);
    if (other === undefined || this.#isCut(maker, other)) return undefined;
    if (this.#refused.get(maker)?.has(other) === true) return undefined;
    return () => {
      const reached = this.reach(maker, to, "consensus");
      if (typeof reached === "string") {
        const refusals = this.#refused.get(maker) ?? new Set();
        this.#refused.set(maker, refusals.add(other));
        return;
      }
      const bounds = [maker.maxUnsentBytes, reached.maxUnsentBytes] as const;
      const boxes = { toOther: new Outbox(bounds[0]), toMaker: new Outbox(bounds[1]) };
      this.#lines.push({ maker, other: reached, ...boxes });
    };
  }

  /** Breaks the connections and streams between such pairs. */
  #break(isBroken: (a: MemoryPeers, b: MemoryPeers) => boolean): void {
    for (const line of this.#lines.filter(({ maker, other }) => isBroken(maker, other))) {
      this.#lines.splice(this.#lines.indexOf(line), 1);
      this.notice(() => line.maker.lost(line.other.id));
      this.notice(() => line.other.lost(line.maker.id));
    }
    for (const stream of this.#streams.filter(({ from, to }) => isBroken(from, to))) {
      this.#streams.splice(this.#streams.indexOf(stream), 1);
      stream.break("the connection broke");
    }
  }
}

export class MemoryPeers implements PeerTransport {
  readonly maxUnsentBytes: number;
  readonly #network: MemoryNetwork;
  #handler: PeerHandler | undefined;
  #isClosed = false;
  #peers: readonly MemberId[] = [];
  readonly #incoming = new Map<MemberId, MemoryStream>();

  constructor(network: MemoryNetwork, maxUnsentBytes: number) {
    this.#network = network;
    this.maxUnsentBytes = maxUnsentBytes;
  }

  /** Whose transport it is; NO_MEMBER before `start`. */
  get id(): MemberId {
    return this.#handler?.member ?? 0n;
  }

  get handler(): PeerHandler {
    if (this.#handler === undefined) throw new Error("the peer transport was not started");
    return this.#handler;
  }

  /** Whom it calls. */
  get peers(): readonly MemberId[] {
    return this.#peers.filter((id) => id !== this.id);
  }

  async start(handler: PeerHandler): Promise<void> {
    this.#handler = handler;
    this.#network.started(this);
  }

  setPeers(peers: readonly PeerAddress[]): void {
    const ids = peers.map(({ id }) => id);
    const parted = new Set(this.#peers.filter((id) => !ids.includes(id)));
    this.#peers = ids;
    if (this.#handler !== undefined && !this.#isClosed) this.#network.parted(this, parted);
  }

  send(messages: readonly Message[]): void {
    if (this.#isClosed) return;
    const lost = new Set<MemberId>();
    for (const message of messages) {
      const posted = this.#network.outboxOf(this, message.to)?.post(message, 0) === true;
      if (!posted) lost.add(message.to);
    }
    for (const peer of lost) this.#network.notice(() => this.lost(peer));
  }

  relay(to: MemberId, relay: Relay): void {
    if (this.#isClosed) return;
    const posted = this.#network.outboxOf(this, to)?.postRelay(relay, 0) === true;
    if (!posted) this.#network.notice(() => this.lost(to));
  }

  openSnapshot(to: MemberId, signal: AbortSignal): Promise<SnapshotSink> {
    return new Promise((resolve, reject) => {
      this.#network.notice(() => {
        const reached = this.#reachForSnapshot(to, signal);
        if (typeof reached === "string") {
          reject(new Error(`no snapshot stream to member ${hex(to)}: ${reached}`));
          return;
        }
        const stream = new MemoryStream(this, reached, reached.#takerOf(this.id), this.#network);
        reached.#incoming.set(this.id, stream);
        this.#network.addStream(stream);
        resolve(stream);
      });
    });
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#network.stopped(this);
  }

  // For the network.

  lost(peer: MemberId): void {
    if (!this.#isClosed) this.handler.unreachable(peer);
  }

  relayed(from: MemberId, relay: Relay): void {
    if (!this.#isClosed) this.handler.relayed(from, relay);
  }

  receive(message: Message): void {
    if (!this.#isClosed) this.handler.receive(message);
  }

  #reachForSnapshot(to: MemberId, signal: AbortSignal): MemoryPeers | string {
    if (signal.aborted) return "it was given up";
    if (this.#isClosed) return "this transport is closed";
    if (!this.#peers.includes(to)) return "it is no peer with an address";
    return this.#network.reach(this, to, "snapshot");
  }

  #takerOf(from: MemberId): ReturnType<PeerHandler["snapshot"]> {
    this.#incoming.get(from)?.break("replaced by a newer stream");
    return this.handler.snapshot(from);
  }
}

/** Why one does not let the other in, or undefined. */
function judge(judging: MemoryPeers, other: MemoryPeers, purpose: PeerHello["purpose"]): string | undefined {
  const { cluster, member, instance } = other.handler;
  const to = judging.id;
  const hello = { version: PEER_PROTOCOL_VERSION, cluster, member, instance, to, purpose };
  const verdict = judgeHello(judging.handler, judging.handler.standing(member), hello);
  return verdict.type === "refused" ? verdict.reason : undefined;
}

function deliver(from: MemoryPeers, to: MemoryPeers, outbox: Outbox): void {
  for (const bytes of outbox.take(1)) {
    if (isRelay(bytes)) {
      const relay = decodeRelay(bytes);
      if (relay.type === "refused") throw new Error(relay.reason);
      to.relayed(from.id, relay.value);
      continue;
    }
    const decoded = decodeMessage(bytes);
    if (decoded.type === "refused") throw new Error(decoded.reason);
    if (decoded.value.from !== from.id || decoded.value.to !== to.id) {
      throw new Error(`a message of member ${hex(decoded.value.from)} from member ${hex(from.id)}`);
    }
    to.receive(decoded.value);
  }
}

function pair(from: MemberId, to: MemberId): string {
  return `${hex(from)}>${hex(to)}`;
}
