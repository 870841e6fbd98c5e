/**
 * One client's stream: its watchers by ID, its queue, and those of its watchers that are behind. When events
 * do not fit into the queue the stream is *held*: nothing more is queued for it, live or old, until the
 * client has taken half of what waits and the hub comes to its turn. Meanwhile every event for one of its
 * watchers turns that watcher into one that is behind, in the order in which this happened. So a queue never
 * grows, nothing is lost, and busy watchers cannot keep the room from those that wait longer (etcd #17529).
 */
import { ERR, fail } from "../base/index.ts";
import type { MonoMs } from "../env/index.ts";
import type { EventBatch } from "./event-batch.ts";
import { OutputQueue, type QueueLimits } from "./output-queue.ts";
import type { WatchCreate, WatchOutput, WatchStream } from "./types.ts";
import { isEmptyRange, Watcher } from "./watcher.ts";

/** Watchers that are put in order of how far behind they are at a time. */
const ROUND_WATCHERS = 512;
/**
 * Progress reports on request that wait in one queue; further requests are passed over, as when one is not
 * synced.
 */
const MAX_WAITING_REPORTS = 16;
/** Watch ID of what concerns no watcher. */
const NO_WATCHER = -1;

/** What a stream needs of the hub. */
export interface StreamHost {
  /** All events up to here were told to the synced watchers. */
  readonly revision: number;
  /** Puts a new watcher where it belongs. */
  admit(watcher: Watcher): void;
  /** A watcher is cancelled: takes it out of the index. */
  dismiss(watcher: Watcher): void;
  /** The stream can be served: it has watchers that are behind, and room. */
  wantTurn(stream: WatchStreamState): void;
  /** The stream has a watcher that wants progress. */
  wantProgress(stream: WatchStreamState, now: MonoMs): void;
  /** The queue was empty: its owner is to be told, after the present call has done its work. */
  wantReady(stream: WatchStreamState): void;
  /** Tells those that are to be told. The last thing a call does. */
  tellReady(): void;
  closed(stream: WatchStreamState): void;
}

/** Invariants: see `checkInvariants`. */
export class WatchStreamState implements WatchStream {
  readonly #host: StreamHost;
  readonly #queue: OutputQueue;
  readonly #watchers = new Map<number, Watcher>();
  /** Behind, in the order in which they are served; those of `#round` come before them. */
  readonly #behind = new Set<Watcher>();
  /** Behind, the one that is furthest behind last: it is served first. May hold some that are gone. */
  #round: Watcher[] = [];
  #nextId = 0;
  /** Reports on request that are queued. */
  readonly #reports = new Set<WatchOutput>();
  readonly onReady: () => void;
  /** onReady was or will be called, and the queue was not drained since. */
  isTold = false;
  /** It waits for its turn in the hub. */
  hasTurn = false;
  /** Events did not fit; no more are queued until its turn. */
  isHeld = false;
  isClosed = false;
  /** When its next progress round is; Infinity: it has none. */
  progressAt: MonoMs = Number.POSITIVE_INFINITY;

  constructor(host: StreamHost, limits: QueueLimits, onReady: () => void) {
    this.#host = host;
    this.#queue = new OutputQueue(limits);
    this.onReady = onReady;
  }

  get queuedBytes(): number {
    return this.#queue.eventBytes;
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  /** Number of watchers that are behind. */
  get behind(): number {
    let count = this.#behind.size;
    for (const watcher of this.#round) if (watcher.state === "behind") count++;
    return count;
  }

  /** Order of checks as in etcd: start revision (v3rpc/watch.go), range, ID (mvcc/watcher.go). */
  create(now: MonoMs, request: WatchCreate): number {
    if (this.isClosed) return NO_WATCHER;
    const id = this.#create(now, request);
    this.#host.tellReady();
    return id;
  }

  cancel(watchId: number): void {
    const watcher = this.#watchers.get(watchId);
    if (watcher === undefined) return;
    this.end(watcher, { compactRevision: 0, cancelReason: "" });
    this.#host.tellReady();
  }

  requestProgress(): void {
    if (this.#watchers.size === 0 || this.#reports.size >= MAX_WAITING_REPORTS) return;
    for (const watcher of this.#watchers.values()) if (!this.#isCurrent(watcher)) return;
    this.#reports.add(this.#answer({ watchId: NO_WATCHER }));
    this.#host.tellReady();
  }

  take(): WatchOutput | undefined {
    const output = this.#queue.take();
    if (this.#queue.length === 0) this.isTold = false;
    if (output === undefined) return undefined;
    this.#reports.delete(output);
    if (this.isHeld && this.#queue.isHalfFree) this.#host.wantTurn(this);
    return output;
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    for (const watcher of this.#watchers.values()) this.#retire(watcher);
    this.#watchers.clear();
    this.#behind.clear();
    this.#round = [];
    this.#queue.clear();
    this.#reports.clear();
    this.#host.closed(this);
  }

  /** Queues events for a watcher; false: the stream is held, and the watcher has to fall behind. */
  offer(watcher: Watcher, batch: EventBatch): boolean {
    if (this.isHeld) return false;
    if (!this.#queue.offer(watcher, batch)) {
      this.isHeld = true;
      return false;
    }
    watcher.busy = true;
    if (!this.isTold) this.#tell();
    return true;
  }

  /** Takes a watcher among those that are behind, as the last of them. */
  fallBehind(watcher: Watcher): void {
    watcher.state = "behind";
    this.#behind.add(watcher);
    if (!this.isHeld) this.#host.wantTurn(this);
  }

  /** Takes out the watcher that is to be served next; undefined: none is behind. */
  nextBehind(): Watcher | undefined {
    for (;;) {
      const watcher = this.#round.pop();
      if (watcher === undefined) {
        if (this.#behind.size === 0) return undefined;
        this.#startRound();
      } else if (watcher.state === "behind") {
        return watcher;
      }
    }
  }

  /** Ends a watcher and says so to the client. */
  end(watcher: Watcher, why: { readonly compactRevision: number; readonly cancelReason: string }): void {
    this.#watchers.delete(watcher.id);
    this.#behind.delete(watcher);
    this.#retire(watcher);
    this.#answer({ watchId: watcher.id, canceled: true, ...why });
  }

  /** Reports progress to every watcher that wants it, is synced and was told nothing since the last time. */
  reportProgress(): void {
    for (const watcher of this.#watchers.values()) {
      if (!watcher.progressNotify) continue;
      // What is queued says more than a report; and a client that takes nothing must not gather them.
      if (!watcher.busy && watcher.queued === 0 && this.#isCurrent(watcher)) {
        this.#answer({ watchId: watcher.id }, watcher);
      }
      watcher.busy = false;
    }
  }

  /** Whether one of its watchers wants progress. */
  get wantsProgress(): boolean {
    for (const watcher of this.#watchers.values()) if (watcher.progressNotify) return true;
    return false;
  }

  /** @throws AssertionError */
  checkInvariants(): void {
    const waiting = new Set(this.#behind);
    for (const watcher of this.#round) if (watcher.state === "behind") waiting.add(watcher);
    if (waiting.size !== this.behind) fail("watcher is behind twice", { size: waiting.size });
    for (const [id, watcher] of this.#watchers) {
      if (watcher.id !== id || watcher.stream !== this) fail("watcher of another", { id });
      if (watcher.state === "gone") fail("watcher is gone", { id });
      if ((watcher.state === "behind") !== waiting.has(watcher)) fail("in no group, or in two", { id });
    }
    for (const { id } of waiting) if (!this.#watchers.has(id)) fail("unknown watcher is behind", { id });
    if (waiting.size > 0 && !this.isHeld && !this.hasTurn) fail("nobody will serve the stream");
    if (this.isHeld && !this.hasTurn && this.#queue.length === 0) fail("held, and nothing will end it");
    if (this.#queue.length > 0 && !this.isTold) fail("outputs wait, and nobody was told");
    this.#queue.checkInvariants();
  }

  #create(now: MonoMs, request: WatchCreate): number {
    if (request.startRevision < 0) return this.#refuse(ERR.compacted.message);
    if (isEmptyRange(request)) return this.#refuse("mvcc: watcher range is empty");
    if (request.watchId !== 0 && this.#watchers.has(request.watchId)) {
      return this.#refuse("mvcc: duplicate watch ID provided on the WatchStream");
    }
    const id = request.watchId === 0 ? this.#freeId() : request.watchId;
    const soonest = this.#host.revision + 1;
    const next = request.startRevision === 0 ? soonest : request.startRevision;
    const watcher = new Watcher(this, id, request, next);
    this.#watchers.set(id, watcher);
    this.#answer({ watchId: id, created: true });
    this.#host.admit(watcher);
    if (watcher.progressNotify) this.#host.wantProgress(this, now);
    return id;
  }

  #refuse(cancelReason: string): number {
    this.#answer({ watchId: NO_WATCHER, created: true, canceled: true, cancelReason });
    return NO_WATCHER;
  }

  #freeId(): number {
    while (this.#watchers.has(this.#nextId)) this.#nextId++;
    return this.#nextId++;
  }

  /** Whether all events up to the present revision were queued for it, and it asked for them. */
  #isCurrent(watcher: Watcher): boolean {
    return watcher.state === "synced" && watcher.startRevision <= this.#host.revision;
  }

  /** Those that wait longest, at most a round of them, furthest behind first. */
  #startRound(): void {
    const round: Watcher[] = [];
    for (const watcher of this.#behind) {
      round.push(watcher);
      if (round.length === ROUND_WATCHERS) break;
    }
    for (const watcher of round) this.#behind.delete(watcher);
    // Of two that are equally far behind the one that waits longer is served first, so it comes last.
    round.reverse();
    this.#round = round.sort((a, b) => b.next - a.next);
  }

  #retire(watcher: Watcher): void {
    if (watcher.state === "synced") this.#host.dismiss(watcher);
    watcher.state = "gone";
  }

  #answer(parts: Partial<WatchOutput> & { readonly watchId: number }, watcher?: Watcher): WatchOutput {
    const output: WatchOutput = {
      revision: this.#host.revision,
      created: false,
      canceled: false,
      compactRevision: 0,
      cancelReason: "",
      fragment: false,
      events: [],
      eventBytes: 0,
      ...parts,
    };
    this.#queue.push(output, watcher);
    if (!this.isTold) this.#tell();
    return output;
  }

  #tell(): void {
    this.isTold = true;
    this.#host.wantReady(this);
  }
}
