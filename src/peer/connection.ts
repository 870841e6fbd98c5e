/**
 * One connection to another member, from the first byte to the last: handshake, frames, back-pressure, signs of life.
 * What the frames mean is the business of whoever uses it.
 *
 * Handshake: the side that called says hello; the other one answers with its hello and its verdict; the first gives its
 * verdict. Nothing is read behind a hello before it was accepted, and the called side says nothing to a stranger.
 *
 * Signs of life: an open connection that carried nothing since the last tick carries an empty frame, in both
 * directions. So silence means the same on an idle link and on a busy one, and a half-open connection is found before a
 * vote is lost on it. Silence is counted in ticks and not in time: a process that was stopped for ten seconds finds one
 * late tick and then reads what its peers sent meanwhile.
 */
import type { Socket } from "node:net";
import { hex, type MemberId } from "../base/index.ts";
import type { Cancel, Clock, PeerHandler } from "../env/index.ts";
import {
  decodeHello,
  decodeVerdict,
  encodeDirectory,
  encodeHello,
  encodeVerdict,
  isLookup,
  PEER_PROTOCOL_VERSION,
  type PeerHello,
  type PeerVerdict,
} from "../pb/index.ts";
import { FrameReader, framed } from "./frames.ts";
import { judgeHello } from "./handshake.ts";

/** Before a hello was accepted nothing longer is read. */
const MAX_HANDSHAKE_FRAME_BYTES = 4096;
/** How long a peer gets to hear why it was refused, before the connection is torn down. */
const LINGER_MS = 1_000;
/** When the kernel asks after a peer of which nothing was heard. The ticks find out earlier. */
const KERNEL_KEEPALIVE_MS = 15_000;

const IDLE_FRAME = new Uint8Array(0);

/** Why a connection ended; `reason` is for the log. */
export interface Closed {
  readonly type: /** This side wanted it so. */
    | "local"
    /** The network or the other side ended it. */
    | "lost"
    /** Nothing came any more. */
    | "silent"
    /** The handshake took too long. */
    | "late"
    /** What came is not the protocol. */
    | "garbage"
    /** One of both members refused the other one. */
    | "refused";
  readonly reason: string;
}

/** Who uses an open connection. Called from the event loop. */
export interface ConnectionUser {
  /** A frame with content, which is the user's. */
  frame(bytes: Uint8Array): void;
  /** There is room again after `isBlocked`. */
  writable(): void;
  /** Once, and nothing after it. */
  closed(why: Closed): void;
}

/** Who made a connection: hears of it until somebody uses it. */
export interface ConnectionOwner {
  /** The handshake is complete. Calls `use` before it returns, or `close`. */
  opened(connection: Connection, hello: PeerHello): void;
  /** Before it was used. Once, and nothing after it. */
  closed(why: Closed, receivedBytes: number): void;
}

export interface ConnectionContext {
  readonly handler: PeerHandler;
  readonly clock: Clock;
  readonly handshakeTimeoutMs: number;
  readonly maxFrameBytes: number;
  /** Ticks without a byte after which the connection is closed. */
  readonly silentTicks: number;
}

/** Whom the calling side means. */
export interface Called {
  readonly member: MemberId;
  readonly purpose: PeerHello["purpose"];
}

type Stage = "hello" | "verdict" | "open" | "lingering" | "closed";

export class Connection {
  /** Of the other side, without port; for logs. */
  readonly address: string;
  readonly #socket: Socket;
  readonly #called: Called | undefined;
  readonly #context: ConnectionContext;
  readonly #owner: ConnectionOwner;
  readonly #reader = new FrameReader(MAX_HANDSHAKE_FRAME_BYTES);
  #stage: Stage = "hello";
  #user: ConnectionUser | undefined;
  #hello: PeerHello | undefined;
  #cancelDeadline: Cancel;
  #receivedBytes = 0;
  #isPaused = false;
  #isReading = false;
  #isBlocked = false;
  #wroteSinceTick = false;
  #quietTicks = 0;
  /** What is told when a connection that lingers is gone. */
  #verdict: Closed | undefined;

  /** @param called whom this side called; undefined: it was called. @param socket connected, its TLS handshake done */
  constructor(
    socket: Socket,
    called: Called | undefined,
    context: ConnectionContext,
    owner: ConnectionOwner,
  ) {
    this.address = socket.remoteAddress ?? "unknown address";
    this.#socket = socket;
    this.#called = called;
    this.#context = context;
    this.#owner = owner;
    const { clock, handshakeTimeoutMs } = context;
    this.#cancelDeadline = clock.wakeAt(clock.now() + handshakeTimeoutMs, () =>
      this.close({ type: "late", reason: `no handshake within ${handshakeTimeoutMs} ms` }),
    );
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KERNEL_KEEPALIVE_MS);
    socket.on("data", (chunk: Uint8Array) => this.#receive(chunk));
    socket.on("drain", () => this.#drained());
    socket.on("end", () => this.close({ type: "lost", reason: this.#endReason() }));
    socket.on("error", (error) => this.close({ type: "lost", reason: error.message }));
    socket.on("close", () => this.close({ type: "lost", reason: "the connection was closed" }));
    if (called !== undefined) this.#write([encodeHello(this.#ownHello(called))]);
  }

  /** Who the other side proved to be. */
  get hello(): PeerHello | undefined {
    return this.#hello;
  }

  /** Bytes that were written and are still in this process. */
  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  /** Whether to wait for `writable` before writing more. */
  get isBlocked(): boolean {
    return this.#isBlocked;
  }

  get isOpen(): boolean {
    return this.#stage === "open";
  }

  /** Hands the open connection over. */
  use(user: ConnectionUser): void {
    this.#user = user;
  }

  /** Sends frames, all of them, also when the connection is blocked. Nothing when it is not open. */
  send(frames: readonly Uint8Array[]): void {
    if (this.#stage === "open" && frames.length > 0) this.#write(frames);
  }

  /** No frame is given to the user, and no byte read, until `resume`. */
  pause(): void {
    this.#isPaused = true;
    this.#socket.pause();
  }

  /** Goes on reading. May call the user before it returns. */
  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#quietTicks = 0;
    this.#read();
    if (!this.#isPaused && this.#stage !== "closed") this.#socket.resume();
  }

  /** Once per keepalive interval. */
  tick(): void {
    if (this.#stage !== "open") return;
    // Whoever is blocked has bytes under way, and they say as much as an empty frame.
    if (!this.#wroteSinceTick && !this.#isBlocked) this.#write([IDLE_FRAME]);
    this.#wroteSinceTick = false;
    if (this.#isPaused) return;
    this.#quietTicks++;
    const { silentTicks } = this.#context;
    if (this.#quietTicks > silentTicks) {
      this.close({ type: "silent", reason: `nothing came for ${silentTicks} keepalive intervals` });
    }
  }

  /** Says a last word, waits until the other side has closed, and closes. `why` is told to the user then. */
  closeWith(verdict: PeerVerdict, why: Closed): void {
    this.#sayLast(encodeVerdict(verdict), why);
  }

  #sayLast(word: Uint8Array, why: Closed): void {
    if (this.#stage === "closed" || this.#stage === "lingering") return;
    this.#write([word]);
    // Torn down at once, with bytes of the other side unread, the kernel would take the verdict back.
    this.#stage = "lingering";
    this.#verdict = why;
    this.#isPaused = false;
    this.#socket.end();
    this.#socket.resume();
    this.#cancelDeadline();
    const { clock } = this.#context;
    this.#cancelDeadline = clock.wakeAt(clock.now() + LINGER_MS, () => this.close(why));
  }

  /** Ends the connection now. Idempotent: the first reason counts. */
  close(why: Closed): void {
    if (this.#stage === "closed") return;
    const told = this.#verdict ?? why;
    this.#stage = "closed";
    this.#cancelDeadline();
    this.#socket.destroy();
    if (this.#user !== undefined) this.#user.closed(told);
    else this.#owner.closed(told, this.#receivedBytes);
  }

  #receive(chunk: Uint8Array): void {
    if (this.#stage === "closed" || this.#stage === "lingering") return;
    this.#quietTicks = 0;
    this.#receivedBytes += chunk.length;
    // Node's Buffers would make every frame one of them, at a price.
    this.#reader.push(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length));
    this.#read();
  }

  /** Gives frames until there is none, somebody pauses, or the connection ends. */
  #read(): void {
    if (this.#isReading) return;
    this.#isReading = true;
    try {
      while (!this.#isPaused && this.#canRead()) {
        const frame = this.#reader.next();
        if (frame === undefined) break;
        this.#take(frame);
      }
    } finally {
      this.#isReading = false;
    }
    const { refusal } = this.#reader;
    if (refusal !== undefined) this.close({ type: "garbage", reason: refusal });
  }

  #canRead(): boolean {
    return this.#stage !== "closed" && this.#stage !== "lingering";
  }

  #take(frame: Uint8Array): void {
    if (this.#stage === "hello") this.#judge(frame);
    else if (this.#stage === "verdict") this.#heed(frame);
    else if (frame.length > 0) this.#user?.frame(frame);
  }

  #judge(frame: Uint8Array): void {
    if (this.#called === undefined && isLookup(frame)) {
      const directory = encodeDirectory(this.#context.handler.directory());
      this.#sayLast(directory, { type: "local", reason: "it has looked up the members" });
      return;
    }
    const decoded = decodeHello(frame);
    if (decoded.type === "refused") {
      this.close({ type: "garbage", reason: decoded.reason });
      return;
    }
    const hello = decoded.value;
    const { handler } = this.#context;
    this.#hello = hello;
    const reason = this.#otherProblem(hello);
    const verdict: PeerVerdict =
      reason !== undefined
        ? { type: "refused", reason }
        : judgeHello(handler, handler.standing(hello.member), hello);
    if (this.#called === undefined) this.#write([encodeHello(this.#ownHello(hello))]);
    if (verdict.type === "refused") {
      this.closeWith(verdict, { type: "refused", reason: verdict.reason });
      return;
    }
    this.#write([encodeVerdict(verdict)]);
    this.#stage = "verdict";
  }

  /** Whether somebody else answered than was called. */
  #otherProblem(hello: PeerHello): string | undefined {
    const called = this.#called;
    if (called === undefined) return undefined;
    if (called.member !== hello.member) {
      return `member ${hex(hello.member)} answers at the address of member ${hex(called.member)}`;
    }
    if (called.purpose === hello.purpose) return undefined;
    return `member ${hex(hello.member)} answers for ${hello.purpose}, asked for ${called.purpose}`;
  }

  #heed(frame: Uint8Array): void {
    const decoded = decodeVerdict(frame);
    const hello = this.#hello;
    if (decoded.type === "refused" || hello === undefined) {
      const reason = decoded.type === "refused" ? decoded.reason : "a verdict came before a hello";
      this.close({ type: "garbage", reason });
    } else if (decoded.value.type === "refused") {
      this.close({
        type: "refused",
        reason: `member ${hex(hello.member)} refuses: ${decoded.value.reason}`,
      });
    } else {
      this.#stage = "open";
      this.#cancelDeadline();
      this.#reader.setLimit(this.#context.maxFrameBytes);
      this.#owner.opened(this, hello);
    }
  }

  #ownHello(other: { readonly member: MemberId; readonly purpose: PeerHello["purpose"] }): PeerHello {
    const { cluster, member, instance } = this.#context.handler;
    const { purpose } = other;
    return { version: PEER_PROTOCOL_VERSION, cluster, member, instance, to: other.member, purpose };
  }

  /** All that is written in one turn goes out together. */
  #write(frames: readonly Uint8Array[]): void {
    const socket = this.#socket;
    this.#wroteSinceTick = true;
    const chunks = framed(frames);
    if (chunks.length > 1) socket.cork();
    for (const chunk of chunks) if (!socket.write(chunk)) this.#isBlocked = true;
    if (chunks.length > 1) socket.uncork();
  }

  #drained(): void {
    this.#isBlocked = false;
    if (this.#stage === "open") this.#user?.writable();
  }

  #endReason(): string {
    if (this.#stage === "hello") {
      return `closed by the other side after ${this.#receivedBytes} bytes, before its hello`;
    }
    return this.#reader.isInsideFrame
      ? "closed by the other side inside a frame"
      : "closed by the other side";
  }
}
