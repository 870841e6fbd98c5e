/** A snapshot stream of the network in memory: one frame waits, one is being taken. */
import { hex } from "../base/index.ts";
import type { SnapshotSink, SnapshotTaker } from "../env/index.ts";
import { decodeSnapshotFrame, encodeSnapshotFrame, type SnapshotFrame } from "../pb/index.ts";
import type { MemoryNetwork, MemoryPeers, Unit } from "./memory.ts";

/** Frames that wait; a sender above it waits for room. */
const MAX_WAITING = 1;

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class MemoryStream implements SnapshotSink {
  readonly from: MemoryPeers;
  readonly to: MemoryPeers;
  readonly #taker: SnapshotTaker;
  readonly #network: MemoryNetwork;
  readonly #frames: Uint8Array[] = [];
  #isTaking = false;
  /** The taker's last word: said, and heard by the sender. */
  #said: "done" | "refused" | undefined;
  #heard: "done" | "refused" | undefined;
  #gone: Error | undefined;
  #waiters: Waiter[] = [];

  constructor(from: MemoryPeers, to: MemoryPeers, taker: SnapshotTaker, network: MemoryNetwork) {
    this.from = from;
    this.to = to;
    this.#taker = taker;
    this.#network = network;
  }

  async send(frame: SnapshotFrame): Promise<void> {
    if (this.#gone !== undefined) throw this.#gone;
    this.#frames.push(encodeSnapshotFrame(frame));
    while (this.#frames.length > MAX_WAITING) {
      await this.#waiting();
      if (this.#gone !== undefined) throw this.#gone;
    }
  }

  async finish(): Promise<boolean> {
    while (this.#heard === undefined) {
      if (this.#gone !== undefined) throw this.#gone;
      await this.#waiting();
    }
    return this.#heard === "done";
  }

  close(): void {
    this.break("the snapshot was given up");
  }

  // For the network.

  /** What can happen next, while frames or the answer to them are held or not. */
  next(framesHeld: boolean, answerHeld: boolean): Unit | undefined {
    if (this.#gone !== undefined) return undefined;
    if (this.#said !== undefined) return answerHeld ? undefined : () => this.#hear();
    const [frame] = this.#frames;
    if (frame === undefined || this.#isTaking || framesHeld) return undefined;
    return () => {
      this.#frames.shift();
      this.#wake();
      this.#isTaking = true;
      void this.#take(frame);
    };
  }

  break(reason: string): void {
    if (this.#gone !== undefined) return;
    this.#end(reason);
    if (this.#said === undefined) this.#network.notice(() => this.#taker.gone());
  }

  async #take(bytes: Uint8Array): Promise<void> {
    const decoded = decodeSnapshotFrame(bytes);
    if (decoded.type === "refused") throw new Error(decoded.reason);
    try {
      const answer = await this.#taker.take(decoded.value);
      this.#isTaking = false;
      if (answer !== "more" && this.#gone === undefined) this.#said = answer;
    } catch (error: unknown) {
      this.break(`the receiver failed: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  #hear(): void {
    this.#heard = this.#said;
    this.#end("the receiver has ended it");
  }

  #end(reason: string): void {
    const gone = new Error(`the snapshot stream to member ${hex(this.to.id)} is gone: ${reason}`);
    this.#gone = gone;
    this.#frames.length = 0;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const { resolve, reject } of waiters) {
      if (this.#heard === undefined) reject(gone);
      else resolve();
    }
  }

  #waiting(): Promise<void> {
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const { resolve } of waiters) resolve();
  }
}
