/**
 * The network between members: per directed link one connection for consensus and one for snapshot streams. Every
 * message crosses as the bytes of its codec, so members share no objects; a connection opens by the real handshake,
 * judged on both sides, and one that was refused carries nothing.
 */
import type { InstanceId } from "../../src/base/index.ts";
import { decodeHello, encodeHello, type PeerHello, type PeerVerdict } from "../../src/pb/index.ts";
import { forge } from "./garbage.ts";
import type { Links, NetworkSettings } from "./links.ts";
import { MAX_SLOTS } from "./members.ts";
import type { Rng } from "./rng.ts";
import type { EventQueue, MessageEvent } from "./scheduler.ts";

/** Messages that wait for a connection to open; beyond it they are dropped, as the port allows. */
const MAX_QUEUED = 64;
/** A repeated message may come this much after the first, microseconds. */
const LATE_COPY_US = 4_000_000;
/** A connect that got no answer is given up after this. */
const CONNECT_TIMEOUT_US = 300_000;
const RETRY_REFUSED_US = 500_000;
const RETRY_UNREACHABLE_US = 50_000;

export type Purpose = PeerHello["purpose"];

/** What the network asks of the machines. */
export interface NetworkHost {
  /** Number of the process that runs on a machine; 0: none. */
  bootOf(slot: number): number;
  helloOf(slot: number, to: number, purpose: Purpose): PeerHello;
  judge(slot: number, hello: PeerHello): PeerVerdict;
  /** `slot` could not reach `peer`. */
  unreachable(slot: number, peer: number): void;
  /** A handshake was refused by `slot`. */
  helloRefused(slot: number, peer: number, instance: InstanceId, reason: string): void;
}

interface Connection {
  readonly from: number;
  readonly to: number;
  readonly purpose: Purpose;
  /** Rises with every attempt; what is under way carries it. */
  incarnation: number;
  state: "closed" | "opening" | "open";
  bootFrom: number;
  bootTo: number;
  /** While opening: when it is given up. While closed: when it may be tried again. */
  until: number;
  inFlight: number;
  lastArrival: number;
  readonly waiting: Uint8Array[];
}

/** All connections. Invariant: bytes leave a connection only after both sides accepted its handshake. */
export class Network {
  readonly #settings: NetworkSettings;
  readonly #links: Links;
  readonly #rng: Rng;
  readonly #queue: EventQueue;
  readonly #host: NetworkHost;
  readonly #consensus: (Connection | undefined)[] = [];
  readonly #snapshot: (Connection | undefined)[] = [];
  /** Counted for the report. */
  duplicated = 0;
  dropped = 0;

  constructor(
    settings: NetworkSettings,
    dependencies: { links: Links; rng: Rng; queue: EventQueue; host: NetworkHost },
  ) {
    this.#settings = settings;
    this.#links = dependencies.links;
    this.#rng = dependencies.rng;
    this.#queue = dependencies.queue;
    this.#host = dependencies.host;
  }

  /** Sends bytes of a consensus message; the network may drop, delay, repeat or reorder them. */
  send(from: number, to: number, bytes: Uint8Array): void {
    const connection = this.#get(this.#consensus, from, to, "consensus");
    if (!this.#isUsable(connection)) {
      if (connection.state === "opening" && connection.waiting.length < MAX_QUEUED)
        connection.waiting.push(bytes);
      return;
    }
    this.#transmit(connection, bytes);
  }

  /**
   * Sends one frame of a snapshot stream. Frames arrive in order or not at all: a loss breaks the stream.
   * Returns false when the connection is not (yet) open.
   */
  sendFrame(from: number, to: number, bytes: Uint8Array, arrived: (bytes: Uint8Array) => void): boolean {
    const connection = this.#get(this.#snapshot, from, to, "snapshot");
    if (!this.#isUsable(connection)) return false;
    if (this.#links.isCut(from, to) || this.#isLost()) {
      this.#close(connection, RETRY_UNREACHABLE_US);
      return false;
    }
    const at = Math.max(this.#arrival(from, to), connection.lastArrival);
    connection.lastArrival = at;
    const { incarnation } = connection;
    this.#queue.call(at, { slot: to, boot: connection.bootTo, label: "frame" }, () => {
      if (connection.incarnation === incarnation && !this.#links.isCut(from, to)) arrived(bytes);
    });
    return true;
  }

  /** Runs `run` in process `boot` of `from` when the answer of `to` to a stream arrives there; it may be lost. */
  answerStream(from: number, boot: number, to: number, run: () => void): void {
    if (this.#isBlocked(to, from)) return;
    this.#queue.call(this.#arrival(to, from), { slot: from, boot, label: "streamAnswer" }, run);
  }

  /** A message event came up: whether it is delivered. Called for every one, so that what is under way is counted. */
  arrives(event: MessageEvent): boolean {
    const connection = this.#get(this.#consensus, event.from, event.slot, "consensus");
    if (event.connection === connection.incarnation) connection.inFlight--;
    if (this.#links.isCut(event.from, event.slot)) return false;
    // Without order between messages there is no connection that could end: what was sent may come late, as long as
    // the process that it was sent to is the one that receives it (the caller checks that).
    return !this.#settings.fifo || event.connection === connection.incarnation;
  }

  /** The receiver got bytes that no member sends: it closes the connection. */
  protocolError(from: number, to: number): void {
    this.#close(this.#get(this.#consensus, from, to, "consensus"), RETRY_UNREACHABLE_US);
  }

  /** All connections of a machine end with its process. */
  stopped(slot: number): void {
    for (const table of [this.#consensus, this.#snapshot]) {
      for (const connection of table) {
        if (connection !== undefined && (connection.from === slot || connection.to === slot)) {
          this.#close(connection, 0);
        }
      }
    }
  }

  #isUsable(connection: Connection): boolean {
    if (connection.state === "open") return true;
    const { now } = this.#queue;
    if (now < connection.until) return false;
    this.#open(connection);
    return false;
  }

  #open(connection: Connection): void {
    const { from, to, purpose } = connection;
    connection.incarnation++;
    connection.inFlight = 0;
    connection.waiting.length = 0;
    connection.state = "opening";
    connection.until = this.#queue.now + CONNECT_TIMEOUT_US;
    connection.bootFrom = this.#host.bootOf(from);
    connection.bootTo = this.#host.bootOf(to);
    if (this.#isBlocked(from, to)) return;
    const { incarnation } = connection;
    const arrival = this.#arrival(from, to);
    if (connection.bootTo === 0) {
      this.#queue.call(arrival, { slot: from, boot: connection.bootFrom, label: "unreachable" }, () => {
        if (connection.incarnation !== incarnation) return;
        this.#close(connection, RETRY_UNREACHABLE_US);
        this.#host.unreachable(from, to);
      });
      return;
    }
    const hello = encodeHello(this.#host.helloOf(from, to, purpose));
    this.#queue.call(arrival, { slot: to, boot: connection.bootTo, label: "hello" }, () => {
      if (connection.incarnation === incarnation && this.#accepts(to, from, hello, connection)) {
        this.#answerHello(connection);
      }
    });
  }

  #answerHello(connection: Connection): void {
    const { from, to, purpose, incarnation } = connection;
    if (this.#isBlocked(to, from)) return;
    const hello = encodeHello(this.#host.helloOf(to, from, purpose));
    const target = { slot: from, boot: connection.bootFrom, label: "helloAnswer" };
    this.#queue.call(this.#arrival(to, from), target, () => {
      if (connection.incarnation !== incarnation || !this.#accepts(from, to, hello, connection)) return;
      connection.state = "open";
      connection.lastArrival = 0;
      for (const bytes of connection.waiting) this.#transmit(connection, bytes);
      connection.waiting.length = 0;
    });
  }

  #accepts(slot: number, peer: number, bytes: Uint8Array, connection: Connection): boolean {
    const hello = decodeHello(bytes);
    const verdict = hello.type === "ok" ? this.#host.judge(slot, hello.value) : hello;
    if (verdict.type !== "refused") return true;
    this.#close(connection, RETRY_REFUSED_US);
    this.#host.helloRefused(slot, peer, hello.type === "ok" ? hello.value.instance : 0n, verdict.reason);
    return false;
  }

  #transmit(connection: Connection, bytes: Uint8Array): void {
    const { from, to } = connection;
    const links = this.#links;
    const isFull = !links.healed && connection.inFlight >= this.#settings.capacity;
    if (isFull || links.isCut(from, to)) {
      this.dropped++;
      return;
    }
    if (this.#isLost()) {
      this.dropped++;
      // In a stream nothing is lost by itself: what breaks it takes the whole tail.
      if (this.#settings.fifo) this.#close(connection, RETRY_UNREACHABLE_US);
      return;
    }
    this.#deliver(connection, bytes, 0);
    if (!this.#settings.fifo && this.#rng.chance(this.#settings.duplicatePpm + links.extraDuplicatePpm)) {
      this.duplicated++;
      // Most copies come soon. A late one speaks of a term, a round or a log that nobody else remembers.
      const late = this.#rng.int(0, 4) === 0 ? this.#rng.int(50_000, LATE_COPY_US) : 0;
      this.#deliver(connection, bytes, 0, late);
    }
    if (links.garbagePpm > 0 && this.#rng.chance(links.garbagePpm)) {
      const forged = forge(this.#rng, bytes);
      this.#deliver(connection, forged.bytes, forged.kind);
    }
  }

  #deliver(connection: Connection, bytes: Uint8Array, forged: number, lateUs = 0): void {
    const { from, to, bootTo, incarnation } = connection;
    let at = this.#arrival(from, to) + lateUs;
    if (this.#settings.fifo) {
      at = Math.max(at, connection.lastArrival);
      connection.lastArrival = at;
    }
    connection.inFlight++;
    this.#queue.push(at, {
      time: 0,
      sequence: 0,
      slot: to,
      boot: bootTo,
      kind: "message",
      from,
      bytes,
      connection: incarnation,
      forged,
    });
  }

  #arrival(from: number, to: number): number {
    const delay = 40 + this.#rng.exponential(this.#settings.delayMeanUs * this.#links.slowFactor);
    return Math.max(this.#queue.now + delay, this.#links.cloggedUntil(from, to));
  }

  #isLost(): boolean {
    if (this.#links.healed) return false;
    return this.#rng.chance(this.#settings.lossPpm + this.#links.extraLossPpm);
  }

  #isBlocked(from: number, to: number): boolean {
    return this.#links.isCut(from, to) || this.#isLost();
  }

  #close(connection: Connection, retryUs: number): void {
    connection.state = "closed";
    connection.incarnation++;
    connection.inFlight = 0;
    connection.waiting.length = 0;
    connection.until = this.#queue.now + retryUs;
  }

  #get(table: (Connection | undefined)[], from: number, to: number, purpose: Purpose): Connection {
    const at = from * MAX_SLOTS + to;
    const known = table[at];
    if (known !== undefined) return known;
    const connection: Connection = {
      from,
      to,
      purpose,
      incarnation: 0,
      state: "closed",
      bootFrom: 0,
      bootTo: 0,
      until: 0,
      inFlight: 0,
      lastArrival: 0,
      waiting: [],
    };
    table[at] = connection;
    return connection;
  }
}
