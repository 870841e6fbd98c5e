/**
 * The peer transport of every process, over links that lose, delay, repeat and cut. Messages and frames cross as the
 * bytes of their codecs. Streams of snapshots break when their link is cut or either process ends.
 */
import type { MemberId } from "../../src/base/index.ts";
import type {
  PeerAddress,
  PeerHandler,
  PeerTransport,
  SnapshotSink,
  SnapshotTaker,
} from "../../src/env/index.ts";
import {
  decodeMessage,
  decodeRelay,
  decodeSnapshotFrame,
  encodeMessage,
  encodeRelay,
  encodeSnapshotFrame,
  type Relay,
} from "../../src/pb/index.ts";
import type { SnapshotFrame } from "../../src/pb/types.ts";
import type { Message } from "../../src/raft/types.ts";
import type { Rng } from "../sim/rng.ts";
import type { EventQueue } from "../sim/scheduler.ts";
import { violate } from "../sim/violation.ts";
import type { Life } from "./life.ts";

/** Also when nothing is wrong, a stream breaks now and then. */
export const USUAL_BREAK_PPM = 30_000;

/** What the network knows of a process that listens. */
interface Listener {
  readonly life: Life;
  readonly handler: PeerHandler;
}

export interface NetworkHost {
  readonly queue: EventQueue;
  /** A message leaves a process. */
  sent(slot: number, message: Message): void;
  slotOf(id: MemberId): number;
  /** For the counts of a run. */
  happened(what: string): void;
}

export class DriverNetwork {
  readonly #host: NetworkHost;
  readonly rng: Rng;
  readonly #listeners = new Map<number, Listener>();
  readonly #cut = new Set<number>();
  readonly #streams = new Set<Stream>();
  delayMeanUs = 400;
  lossPpm = 0;
  duplicatePpm = 0;
  /** A snapshot frame breaks its stream. */
  breakPpm = USUAL_BREAK_PPM;

  constructor(host: NetworkHost, rng: Rng) {
    this.#host = host;
    this.rng = rng;
  }

  /** Snapshot streams that are under way. */
  get streaming(): number {
    return this.#streams.size;
  }

  listen(slot: number, listener: Listener): void {
    this.#listeners.set(slot, listener);
  }

  /** The process has ended: nobody listens, and its streams are gone. */
  stopped(slot: number): void {
    this.#listeners.delete(slot);
    for (const stream of this.#streams) if (stream.joins(slot)) this.breakStream(stream);
  }

  /** In one direction. */
  cut(from: number, to: number): void {
    this.#cut.add(from * 32 + to);
    for (const stream of this.#streams) if (stream.joins(from) && stream.joins(to)) this.breakStream(stream);
  }

  /** A machine is reached again, and reaches the others. */
  join(slot: number): void {
    for (const link of [...this.#cut]) if (link >> 5 === slot || (link & 31) === slot) this.#cut.delete(link);
  }

  heal(): void {
    this.#cut.clear();
    this.lossPpm = 0;
    this.duplicatePpm = 0;
    this.breakPpm = USUAL_BREAK_PPM;
    this.delayMeanUs = 400;
  }

  isCut(from: number, to: number): boolean {
    return this.#cut.has(from * 32 + to);
  }

  /** The process that listens there and can be reached. */
  reach(from: number, to: number): Listener | undefined {
    const listener = this.#listeners.get(to);
    return this.isCut(from, to) || listener?.life.isOver === true ? undefined : listener;
  }

  delay(): number {
    return 30 + this.rng.exponential(this.delayMeanUs);
  }

  transmit(from: number, message: Message): boolean {
    this.#host.sent(from, message);
    const to = this.#host.slotOf(message.to);
    const listener = this.reach(from, to);
    if (listener === undefined) return false;
    if (this.rng.chance(this.lossPpm)) return true;
    const bytes = encodeMessage(message).slice();
    const copies = this.rng.chance(this.duplicatePpm) ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      listener.life.after(this.delay(), `message ${message.type}`, () => {
        if (this.isCut(from, to)) return;
        const decoded = decodeMessage(bytes);
        if (decoded.type === "refused")
          violate("assertion", `own message does not decode: ${decoded.reason}`);
        listener.handler.receive(decoded.value);
      });
    }
    return true;
  }

  track(stream: Stream): void {
    this.#host.happened("stream begun");
    this.#streams.add(stream);
  }

  breakStream(stream: Stream): void {
    if (this.#streams.delete(stream)) this.#host.happened("stream broken");
    stream.break();
  }

  ended(stream: Stream, verdict: string): void {
    this.#host.happened(`stream ${verdict}`);
    this.#streams.delete(stream);
  }
}

/** The port of one process. */
export class SimPeers implements PeerTransport {
  readonly #life: Life;
  readonly #network: DriverNetwork;
  readonly #slotOf: (id: MemberId) => number;
  readonly #peers = new Set<MemberId>();
  readonly #own = new Set<Stream>();
  #handler: PeerHandler | undefined;
  #isClosed = false;

  constructor(life: Life, network: DriverNetwork, slotOf: (id: MemberId) => number) {
    this.#life = life;
    this.#network = network;
    this.#slotOf = slotOf;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  async start(handler: PeerHandler): Promise<void> {
    await this.#life.wait(this.#network.delay(), "listen");
    this.#handler = handler;
    this.#network.listen(this.#life.slot, { life: this.#life, handler });
  }

  setPeers(peers: readonly PeerAddress[]): void {
    this.#peers.clear();
    for (const { id, urls } of peers) {
      if (id === this.#handler?.member) this.#life.violate("assertion", "it is its own peer");
      if (urls.length === 0) this.#life.violate("assertion", `no address of ${id}`);
      this.#peers.add(id);
    }
  }

  send(messages: readonly Message[]): void {
    if (this.#isClosed) this.#life.violate("closed-port-used", "it sends after it closed its transport");
    const lost = new Set<MemberId>();
    for (const message of messages) {
      if (!this.#peers.has(message.to)) continue;
      if (!this.#network.transmit(this.#life.slot, message)) lost.add(message.to);
    }
    for (const id of lost) {
      this.#life.after(this.#network.delay(), "unreachable", () => this.#handler?.unreachable(id));
    }
  }

  relay(to: MemberId, relay: Relay): void {
    if (this.#isClosed) return;
    const from = this.#handler?.member ?? 0n;
    const listener = this.#network.reach(this.#life.slot, this.#slotOf(to));
    if (listener === undefined || this.#network.rng.chance(this.#network.lossPpm)) {
      this.#life.after(this.#network.delay(), "unreachable", () => this.#handler?.unreachable(to));
      return;
    }
    const bytes = encodeRelay(relay).slice();
    listener.life.after(this.#network.delay(), `relay ${relay.type}`, () => {
      const decoded = decodeRelay(bytes);
      if (decoded.type === "refused") violate("assertion", `own relay does not decode: ${decoded.reason}`);
      listener.handler.relayed(from, decoded.value);
    });
  }

  async openSnapshot(to: MemberId, signal: AbortSignal): Promise<SnapshotSink> {
    const slot = this.#slotOf(to);
    await this.#life.wait(this.#network.delay(), "connect");
    const listener = this.#network.reach(this.#life.slot, slot);
    if (listener === undefined || signal.aborted) throw new Error(`member ${slot} cannot be reached`);
    const self = this.#handler?.member ?? 0n;
    const stream = new Stream(this.#network, { life: this.#life, id: self }, listener);
    this.#own.add(stream);
    this.#network.track(stream);
    await this.#life.wait(this.#network.delay(), "connected");
    return stream;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const stream of this.#own) this.#network.breakStream(stream);
    this.#network.stopped(this.#life.slot);
    await this.#life.wait(this.#network.delay(), "close transport");
  }
}

/** One snapshot stream, both ends. One frame is under way. */
class Stream implements SnapshotSink {
  readonly #network: DriverNetwork;
  readonly #from: Life;
  readonly #sender: MemberId;
  readonly #to: Listener;
  #taker: SnapshotTaker | undefined;
  #isBroken = false;
  #verdict: "more" | "done" | "refused" = "more";
  /** Ends the sender's wait. */
  #reject: ((error: Error) => void) | undefined;

  constructor(network: DriverNetwork, from: { readonly life: Life; readonly id: MemberId }, to: Listener) {
    this.#network = network;
    this.#from = from.life;
    this.#sender = from.id;
    this.#to = to;
  }

  joins(slot: number): boolean {
    return this.#from.slot === slot || this.#to.life.slot === slot;
  }

  send(frame: SnapshotFrame): Promise<void> {
    const bytes = encodeSnapshotFrame(frame).slice();
    return new Promise((resolve, reject) => {
      if (this.#isBroken || this.#verdict !== "more") {
        reject(new Error("the connection is gone"));
        return;
      }
      this.#reject = reject;
      if (this.#network.rng.chance(this.#network.breakPpm)) {
        this.#from.after(this.#network.delay(), "stream breaks", () => this.#network.breakStream(this));
        return;
      }
      this.#to.life.after(this.#network.delay(), `frame ${frame.type}`, () => this.#arrived(bytes, resolve));
    });
  }

  async finish(): Promise<boolean> {
    if (this.#verdict === "more") throw new Error("the connection is gone");
    return this.#verdict === "done";
  }

  close(): void {
    this.#network.breakStream(this);
  }

  break(): void {
    if (this.#isBroken) return;
    this.#isBroken = true;
    const taker = this.#taker;
    if (taker !== undefined && this.#verdict === "more") {
      this.#to.life.after(this.#network.delay(), "stream gone", () => taker.gone());
    }
    const reject = this.#reject;
    if (reject !== undefined) {
      this.#from.after(this.#network.delay(), "stream gone", () =>
        reject(new Error("the connection is gone")),
      );
    }
  }

  #arrived(bytes: Uint8Array, resolve: () => void): void {
    if (this.#isBroken) return;
    const frame = decodeSnapshotFrame(bytes);
    if (frame.type === "refused") violate("assertion", `own snapshot frame does not decode: ${frame.reason}`);
    this.#taker ??= this.#to.handler.snapshot(this.#sender);
    this.#taker.take(frame.value).then(
      (verdict) => {
        if (this.#isBroken) return;
        // The last word may be lost as well: then one side has it all and the other does not know.
        if (verdict === "done" && this.#network.rng.chance(2 * this.#network.breakPpm)) {
          this.#network.breakStream(this);
          return;
        }
        this.#from.after(this.#network.delay(), `taken ${verdict}`, () => {
          if (this.#isBroken) return;
          this.#verdict = verdict;
          if (verdict !== "more") this.#network.ended(this, verdict);
          this.#reject = undefined;
          resolve();
        });
      },
      (error: unknown) => this.#to.life.violate("assertion", `take rejects: ${String(error)}`),
    );
  }
}
