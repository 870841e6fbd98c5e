/**
 * Checks a snapshot stream frame by frame: one begin, chunks without gap, one end whose count and hash agree. The
 * stream came over a network and may be cut, repeated or mixed up with another one, and what it carries will be the
 * whole state of a member; so anything out of place refuses the stream for good.
 */
import { finishHash, hex, type MemberId } from "../base/index.ts";
import type { BackendState } from "../env/index.ts";
import type { SnapshotFrame } from "../pb/index.ts";
import type { SnapshotMeta } from "../raft/index.ts";
import { mixRecord } from "./snapshot-sender.ts";

type Begin = Extract<SnapshotFrame, { type: "begin" }>;
type Chunk = Extract<SnapshotFrame, { type: "chunk" }>;

/** What a frame did to the stream. After `complete` or `refused` every further frame is refused. */
export type Checked =
  | { readonly type: "more" }
  | { readonly type: "complete"; readonly begin: Begin }
  | { readonly type: "refused"; readonly reason: string };

const MORE: Checked = { type: "more" };

/** Checks the order and the sums, and keeps no record: for a receiver that writes them away as they come. */
export class SnapshotChecker {
  readonly #self: MemberId;
  #begin: Begin | undefined;
  #chunks = 0;
  #records = 0;
  #hash = 0;
  #closed: string | undefined;

  constructor(self: MemberId) {
    this.#self = self;
  }

  /** Judges the next frame. A chunk's records may be used when it gives `more`, the whole when it gives `complete`. */
  check(frame: SnapshotFrame): Checked {
    if (this.#closed !== undefined) return { type: "refused", reason: this.#closed };
    const reason = this.#problem(frame);
    if (reason !== undefined) return this.#refuse(reason);
    if (frame.type === "begin") this.#begin = frame;
    else if (frame.type === "chunk") this.#take(frame);
    if (frame.type !== "end" || this.#begin === undefined) return MORE;
    this.#closed = "the stream has ended";
    return { type: "complete", begin: this.#begin };
  }

  #problem(frame: SnapshotFrame): string | undefined {
    const begin = this.#begin;
    if (begin === undefined) {
      if (frame.type !== "begin") return `the stream starts with ${frame.type}`;
      if (frame.to !== this.#self) return `the stream is for ${hex(frame.to)}, this is ${hex(this.#self)}`;
      return undefined;
    }
    if (frame.type === "begin") return "the stream begins twice";
    if (frame.stream !== begin.stream) return `frame of stream ${frame.stream} in stream ${begin.stream}`;
    if (frame.type === "chunk") {
      return frame.sequence === this.#chunks
        ? undefined
        : `chunk ${frame.sequence} came where ${this.#chunks} was due`;
    }
    if (frame.records !== this.#records) {
      return `${this.#records} records came, the end says ${frame.records}`;
    }
    const hash = finishHash(this.#hash);
    return frame.hash === hash ? undefined : `the records' hash is ${hash}, the end says ${frame.hash}`;
  }

  #take(chunk: Chunk): void {
    this.#chunks++;
    this.#records += chunk.records.length;
    for (const [key, value] of chunk.records) this.#hash = mixRecord(this.#hash, key, value);
  }

  #refuse(reason: string): Checked {
    this.#closed = reason;
    return { type: "refused", reason };
  }
}

/** What a receiver has after a frame. */
export type Received =
  | { readonly type: "more" }
  | {
      readonly type: "complete";
      readonly from: MemberId;
      readonly to: MemberId;
      readonly term: number;
      readonly meta: SnapshotMeta;
      readonly state: BackendState;
    }
  | { readonly type: "refused"; readonly reason: string };

/** Collects a whole state in memory. It keeps the bytes of the frames. */
export class SnapshotReceiver {
  readonly #checker: SnapshotChecker;
  readonly #records = new Map<string, Uint8Array>();
  #refused: string | undefined;

  constructor(self: MemberId) {
    this.#checker = new SnapshotChecker(self);
  }

  /** Takes the next frame. */
  take(frame: SnapshotFrame): Received {
    if (this.#refused !== undefined) return { type: "refused", reason: this.#refused };
    const checked = this.#checker.check(frame);
    if (checked.type === "refused") return this.#refuse(checked.reason);
    if (frame.type === "chunk") {
      for (const [key, value] of frame.records) {
        // Count and hash would still agree with the sender's; the state would have one record less.
        if (this.#records.has(key)) return this.#refuse(`record ${JSON.stringify(key)} came twice`);
        this.#records.set(key, value);
      }
    }
    if (checked.type === "more") return checked;
    const { from, to, term, meta } = checked.begin;
    return { type: "complete", from, to, term, meta, state: { ...meta, records: this.#records } };
  }

  #refuse(reason: string): Received {
    this.#refused = reason;
    this.#records.clear();
    return { type: "refused", reason };
  }
}
