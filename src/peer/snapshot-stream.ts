/**
 * Both ends of a snapshot stream on a connection of its own. The receiver reads a frame only when the one before it
 * was taken, so a state that is written slowly fills no memory; the sender waits for the socket. The receiver's last
 * word is a verdict: whether all of it is durable there.
 */
import { hex, type MemberId } from "../base/index.ts";
import type { SnapshotSink, SnapshotTaker } from "../env/index.ts";
import {
  decodeSnapshotFrame,
  decodeVerdict,
  encodeSnapshotFrame,
  type PeerVerdict,
  type SnapshotFrame,
} from "../pb/index.ts";
import type { Closed, Connection, ConnectionUser } from "./connection.ts";

export interface StreamEnds {
  readonly from: MemberId;
  readonly to: MemberId;
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** The sending end. */
export class OutgoingSnapshot implements SnapshotSink, ConnectionUser {
  readonly to: MemberId;
  readonly #connection: Connection;
  readonly #ended: (why: Closed) => void;
  #waiters: Waiter[] = [];
  #verdict: PeerVerdict | undefined;
  #gone: Error | undefined;

  /** @param ended the connection is gone; once */
  constructor(to: MemberId, connection: Connection, ended: (why: Closed) => void) {
    this.to = to;
    this.#connection = connection;
    this.#ended = ended;
    connection.use(this);
  }

  async send(frame: SnapshotFrame): Promise<void> {
    if (this.#gone !== undefined) throw this.#gone;
    this.#connection.send([encodeSnapshotFrame(frame)]);
    if (this.#connection.isBlocked) await this.#waiting();
  }

  async finish(): Promise<boolean> {
    while (this.#verdict === undefined) {
      if (this.#gone !== undefined) throw this.#gone;
      await this.#waiting();
    }
    return this.#verdict.type === "accepted";
  }

  close(): void {
    this.#connection.close({ type: "local", reason: "the snapshot was given up" });
  }

  frame(bytes: Uint8Array): void {
    const decoded = decodeVerdict(bytes);
    if (decoded.type === "refused") {
      this.#connection.close({ type: "garbage", reason: decoded.reason });
      return;
    }
    this.#verdict = decoded.value;
    const reason = decoded.value.type === "refused" ? decoded.value.reason : "it has all of it";
    this.#connection.close({ type: "local", reason: `the receiver has ended it: ${reason}` });
  }

  writable(): void {
    // Whoever waits for the verdict looks again and waits on.
    for (const { resolve } of this.#takeWaiters()) resolve();
  }

  closed(why: Closed): void {
    const gone = new Error(`the snapshot stream to member ${hex(this.to)} is gone: ${why.reason}`);
    this.#gone = gone;
    for (const { resolve, reject } of this.#takeWaiters()) {
      if (this.#verdict === undefined) reject(gone);
      else resolve();
    }
    this.#ended(why);
  }

  #waiting(): Promise<void> {
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  #takeWaiters(): Waiter[] {
    const waiters = this.#waiters;
    this.#waiters = [];
    return waiters;
  }
}

/** The receiving end. */
export class IncomingSnapshot implements ConnectionUser {
  readonly #connection: Connection;
  readonly #ends: StreamEnds;
  readonly #taker: SnapshotTaker;
  readonly #ended: (why: Closed) => void;
  /** The taker has said its last word, or the connection is gone. */
  #isSettled = false;
  #isGone = false;

  /** @param ended the connection is gone; once */
  constructor(connection: Connection, ends: StreamEnds, taker: SnapshotTaker, ended: (why: Closed) => void) {
    this.#connection = connection;
    this.#ends = ends;
    this.#taker = taker;
    this.#ended = ended;
    connection.use(this);
  }

  frame(bytes: Uint8Array): void {
    const decoded = decodeSnapshotFrame(bytes);
    const reason = decoded.type === "refused" ? decoded.reason : this.#problem(decoded.value);
    if (decoded.type === "refused" || reason !== undefined) {
      this.#connection.close({ type: "garbage", reason: reason ?? "" });
      return;
    }
    this.#connection.pause();
    void this.#take(decoded.value);
  }

  writable(): void {
    // Nothing waits: all that this end writes is its verdict.
  }

  closed(why: Closed): void {
    this.#isGone = true;
    if (!this.#isSettled) this.#taker.gone();
    this.#ended(why);
  }

  /** Ends it from this side. */
  close(reason: string): void {
    this.#connection.close({ type: "local", reason });
  }

  #problem(frame: SnapshotFrame): string | undefined {
    if (frame.type !== "begin") return undefined;
    const { from, to } = this.#ends;
    if (frame.from === from && frame.to === to) return undefined;
    const says = `a snapshot from member ${hex(frame.from)} to ${hex(frame.to)}`;
    return `${says} on the connection from member ${hex(from)} to ${hex(to)}`;
  }

  async #take(frame: SnapshotFrame): Promise<void> {
    let answer: "more" | "done" | "refused";
    try {
      answer = await this.#taker.take(frame);
    } catch (error: unknown) {
      // Not settled: the taker hears that the stream is gone, and cleans up.
      const reason = `the receiver failed: ${error instanceof Error ? error.message : String(error)}`;
      this.#connection.closeWith({ type: "refused", reason }, { type: "lost", reason });
      return;
    }
    if (this.#isGone) return;
    if (answer === "more") {
      this.#connection.resume();
      return;
    }
    this.#isSettled = true;
    const verdict: PeerVerdict =
      answer === "done"
        ? { type: "accepted" }
        : { type: "refused", reason: "the receiver refuses the stream" };
    this.#connection.closeWith(verdict, { type: "local", reason: `the stream is ${answer}` });
  }
}
