/**
 * Snapshots that this member sends as leader: which peers wait for one, which streams run, and how much of the log
 * they hold back. At most so many at once, each limited in time: a stream keeps a view of the backend open and the
 * log behind it uncut.
 */
import { fail, type MemberId } from "../base/index.ts";
import type { MonoMs } from "../env/index.ts";
import type { SnapshotMeta } from "../raft/types.ts";
import type { SnapshotSend } from "./types.ts";

interface Stream {
  readonly to: MemberId;
  readonly deadline: MonoMs;
  /** Lower bound of the snapshot's index: the backend's durable index when the stream began, then the view's own. */
  keepAfter: number;
}

export class SnapshotStreams {
  readonly #maxStreams: number;
  readonly #timeoutMs: number;
  /** By stream number; numbers are never used twice. Insertion order is deadline order. */
  readonly #streams = new Map<number, Stream>();
  /** Peers waiting for a free stream; each at most once and never while it has one. Bounded by the configuration. */
  readonly #waiting = new Set<MemberId>();
  #lastStream = 0;

  constructor(maxStreams: number, timeoutMs: number) {
    this.#maxStreams = maxStreams;
    this.#timeoutMs = timeoutMs;
  }

  get size(): number {
    return this.#streams.size;
  }

  /** Nobody is sent a snapshot or waits for one. */
  get isIdle(): boolean {
    return this.#streams.size === 0 && this.#waiting.size === 0;
  }

  /** A peer needs a snapshot; asking again while it waits or is being sent one changes nothing. */
  want(to: MemberId): void {
    for (const stream of this.#streams.values()) if (stream.to === to) return;
    this.#waiting.add(to);
  }

  /** Begins the streams that there is room for. @param durableIndex the backend's consistent index. */
  start(now: MonoMs, term: number, durableIndex: number): SnapshotSend[] {
    const sends: SnapshotSend[] = [];
    for (const to of this.#waiting) {
      if (this.#streams.size >= this.#maxStreams) break;
      this.#waiting.delete(to);
      const stream = ++this.#lastStream;
      // The view is opened later, so it cannot be older than what is durable now; until its index is known, the log
      // is held at this bound.
      this.#streams.set(stream, { to, deadline: now + this.#timeoutMs, keepAfter: durableIndex });
      sends.push({ stream, to, term });
    }
    return sends;
  }

  /** The view of a stream is open; returns whom it goes to, or undefined when the stream was stopped before. */
  opened(stream: number, meta: SnapshotMeta): MemberId | undefined {
    const found = this.#streams.get(stream);
    if (found === undefined) return undefined;
    if (meta.index < found.keepAfter) {
      fail("a view of the backend is older than it", { index: meta.index, durable: found.keepAfter });
    }
    found.keepAfter = meta.index;
    return found.to;
  }

  /** The stream ended; returns whom it went to, or undefined when it was stopped before. */
  ended(stream: number): MemberId | undefined {
    const to = this.#streams.get(stream)?.to;
    this.#streams.delete(stream);
    return to;
  }

  /** Gives up the streams that take too long. */
  expire(now: MonoMs): { readonly stream: number; readonly to: MemberId }[] {
    return this.#stop((stream) => stream.deadline <= now);
  }

  /** Stops what goes to, and forgets what is wanted by, peers that are no longer to get anything. */
  retain(isWanted: (to: MemberId) => boolean): number[] {
    for (const to of this.#waiting) if (!isWanted(to)) this.#waiting.delete(to);
    return this.#stop((stream) => !isWanted(stream.to)).map(({ stream }) => stream);
  }

  /** When the first stream is given up; Infinity: none runs. */
  nextDeadline(): MonoMs {
    for (const stream of this.#streams.values()) return stream.deadline;
    return Number.POSITIVE_INFINITY;
  }

  /** Entries above this must stay in the log for the streams; Infinity: nothing is held back. */
  keepAfter(): number {
    let keepAfter = Number.POSITIVE_INFINITY;
    for (const stream of this.#streams.values()) keepAfter = Math.min(keepAfter, stream.keepAfter);
    return keepAfter;
  }

  /** @throws AssertionError */
  checkInvariants(): void {
    if (this.#streams.size > this.#maxStreams) {
      fail("too many snapshot streams", { size: this.#streams.size, max: this.#maxStreams });
    }
    const seen = new Set<MemberId>();
    for (const { to } of this.#streams.values()) {
      if (seen.has(to) || this.#waiting.has(to)) fail("a peer has two snapshots", { to });
      seen.add(to);
    }
  }

  #stop(isDue: (stream: Stream) => boolean): { readonly stream: number; readonly to: MemberId }[] {
    const stopped: { stream: number; to: MemberId }[] = [];
    for (const [number, stream] of this.#streams) {
      if (!isDue(stream)) continue;
      this.#streams.delete(number);
      stopped.push({ stream: number, to: stream.to });
    }
    return stopped;
  }
}
