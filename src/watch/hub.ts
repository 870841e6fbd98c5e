/**
 * All watchers of a member. Live changes go to the synced ones at once, in the step that applied them;
 * whoever lacks something (it asked for the past, its stream's queue was full, the store was replaced) is
 * behind and is served from history by `tick`, one stream after the other, a slice each.
 *
 * It never fails a write and never makes one wait: what a full queue costs, the reader of that queue pays
 * later.
 *
 * Behaviour: etcd server/storage/mvcc/watchable_store.go. Different from there: "victim" is no third group of
 * watchers but a state of the stream, and what did not fit is not kept but read again.
 */
import { assert, fail, latin1Of } from "../base/index.ts";
import type { MonoMs, Random } from "../env/index.ts";
import type { ChangeSet, StoreView } from "../mvcc/types.ts";
import { ChangeCache } from "./change-cache.ts";
import { batchOf, EncodedChange, type Made, WISHES } from "./event-batch.ts";
import { Fifo } from "./fifo.ts";
import { HistoryPage } from "./history-page.ts";
import type { QueueLimits } from "./output-queue.ts";
import { type StreamHost, WatchStreamState } from "./stream.ts";
import { SyncedIndex, type WatchGroup } from "./synced-index.ts";
import type { WatchHubApi, WatchStream } from "./types.ts";
import type { Watcher } from "./watcher.ts";

/** Changes of history that one watcher's slice examines at most, and one revision more. */
const SLICE_CHANGES = 512;
/** A slice ends when it made so many bytes of events, and one output more. */
const SLICE_BYTES = 1024 * 1024;
/** What reading a page costs at least: most of what it examines may be of others, and is not seen here. */
const PAGE_COST = 32;
/** An output of history holds about so many bytes at most, and one revision more. */
const BATCH_BYTES = 256 * 1024;
/** Watchers of one stream that are served in one turn. */
const TURN_WATCHERS = 64;
/** Progress rounds that are due within so many milliseconds are made together. */
const PROGRESS_GRAIN_MS = 100;

export interface WatchHubOptions {
  /** Most bytes of events that wait in one stream (output-queue.ts). Default 16 MiB. */
  readonly maxQueuedBytes?: number;
  /** Size from which responses are split where asked; etcd: largest request and 512 KiB. Default 2 MiB. */
  readonly fragmentBytes?: number;
  /**
   * Milliseconds between two progress reports; up to 10 % more by chance. At least 100. Default 10 minutes.
   */
  readonly progressIntervalMs?: number;
}

export interface WatchHubDependencies {
  readonly store: StoreView;
  /** For the jitter of progress reports. */
  readonly random: Random;
}

/**
 * Owner: the apply chain tells it of changes, the driver of the member calls `tick`, transports hold streams.
 */
export class WatchHub implements WatchHubApi {
  readonly #limits: QueueLimits;
  /** Small against the room of a queue, so that history finds its place beside what waits. */
  readonly #batchBytes: number;
  readonly #progressIntervalMs: number;
  readonly #random: Random;
  #store: StoreView;
  /** Of the last change that was told. Invariant: equals the store's, except within a step of apply. */
  #revision: number;
  /** Watchers that lack events below are cancelled. */
  #compactRevision: number;
  readonly #streams = new Set<WatchStreamState>();
  readonly #index = new SyncedIndex();
  /** Streams with watchers that are behind, and with room for them. */
  readonly #turns = new Fifo<WatchStreamState>();
  readonly #progress = new Set<WatchStreamState>();
  /** Invariant: not above `progressAt` of any stream in `#progress`, or within the grain above it. */
  #nextProgress = Number.POSITIVE_INFINITY;
  readonly #ready: WatchStreamState[] = [];
  /** The last page read, for watchers that need the same; dropped at the end of each tick. */
  #page: HistoryPage | undefined;
  /** Dropped when nobody is to be served any more, and whenever history changes. */
  readonly #cache = new ChangeCache();
  /** Kept between calls, so that telling a change makes no garbage beside its batch. */
  readonly #found: WatchGroup[] = [];
  readonly #made = new Array<Made | undefined>(WISHES).fill(undefined);
  readonly #host: StreamHost;

  constructor(options: WatchHubOptions, { store, random }: WatchHubDependencies) {
    this.#limits = {
      maxQueuedBytes: options.maxQueuedBytes ?? 16 * 1024 * 1024,
      fragmentBytes: options.fragmentBytes ?? 2 * 1024 * 1024,
    };
    this.#batchBytes = Math.min(BATCH_BYTES, this.#limits.maxQueuedBytes / 4);
    this.#progressIntervalMs = options.progressIntervalMs ?? 600_000;
    assert(this.#progressIntervalMs >= PROGRESS_GRAIN_MS, "progress interval is too short", {
      progressIntervalMs: this.#progressIntervalMs,
    });
    this.#random = random;
    this.#store = store;
    this.#revision = store.revision;
    this.#compactRevision = store.compactRevision;
    this.#host = this.#makeHost();
  }

  open(onReady: () => void): WatchStream {
    const stream = new WatchStreamState(this.#host, this.#limits, onReady);
    this.#streams.add(stream);
    return stream;
  }

  notify(set: ChangeSet): void {
    const { revision, changes } = set;
    if (revision !== this.#revision + 1) {
      fail("change told out of order", { revision, told: this.#revision });
    }
    this.#revision = revision;
    if (this.#index.size === 0) return;
    const only = changes.length === 1 ? changes[0] : undefined;
    if (only === undefined) {
      this.#tellMany(set);
    } else {
      const found = this.#found;
      this.#index.find(latin1Of(only.meta.key), found);
      if (found.length > 0) {
        const encoded = [new EncodedChange(only)];
        for (const group of found) this.#tell(group, encoded);
        this.#made.fill(undefined);
        found.length = 0;
      }
    }
    this.#tellReady();
  }

  compacted(revision: number): void {
    if (revision > this.#compactRevision) this.#compactRevision = revision;
    // Events that carried a previous value may carry none now.
    this.#cache.clear();
  }

  /** @param store the store as it is now, when it is another object than before */
  restored(revision: number, compactRevision: number, store: StoreView = this.#store): void {
    assert(revision >= this.#revision, "a snapshot goes back in time", { revision, told: this.#revision });
    const told = this.#revision;
    this.#store = store;
    this.#revision = revision;
    this.compacted(compactRevision);
    this.#page = undefined;
    for (const watcher of this.#index.clear()) {
      watcher.next = Math.max(watcher.next, told + 1);
      watcher.stream.fallBehind(watcher);
    }
  }

  tick(now: MonoMs, budget: number): void {
    let left = budget - this.#makeProgress(now, budget);
    while (left > 0 && this.#turns.length > 0) {
      const stream = this.#turns.shift();
      stream.hasTurn = false;
      if (!stream.isClosed) left -= this.#serveStream(stream, left);
    }
    this.#page = undefined;
    if (this.#turns.length === 0) this.#cache.clear();
    this.#tellReady();
  }

  nextWake(now: MonoMs): MonoMs {
    return this.#turns.length > 0 ? now : this.#nextProgress;
  }

  /** Number of watchers, and how many of them are behind; for metrics. Walks over all streams. */
  count(): { readonly streams: number; readonly watchers: number; readonly behind: number } {
    let watchers = 0;
    let behind = 0;
    for (const stream of this.#streams) {
      watchers += stream.watchers;
      behind += stream.behind;
    }
    return { streams: this.#streams.size, watchers, behind };
  }

  /** @throws AssertionError when a watcher is in no group or in two, or a stream waits for nothing. */
  checkInvariants(): void {
    this.#index.checkInvariants();
    for (const stream of this.#streams) stream.checkInvariants();
    const { watchers, behind } = this.count();
    if (watchers - behind !== this.#index.size) {
      fail("synced watchers and index differ", { watchers, behind, synced: this.#index.size });
    }
    if (this.#ready.length > 0) fail("somebody was not told", { ready: this.#ready.length });
  }

  /** A revision with several changes: each group gets its part of them in one batch. */
  #tellMany({ changes }: ChangeSet): void {
    const groups: WatchGroup[] = [];
    for (const change of changes) {
      const encoded = new EncodedChange(change);
      this.#index.find(latin1Of(change.meta.key), this.#found);
      for (const group of this.#found) {
        if (group.pending.length === 0) groups.push(group);
        group.pending.push(encoded);
      }
      this.#found.length = 0;
    }
    for (const group of groups) {
      const encoded = group.pending;
      group.pending = [];
      this.#tell(group, encoded);
      this.#made.fill(undefined);
    }
  }

  /**
   * Queues the changes for each watcher of a group. `#made` keeps the batches for the next group with these
   * changes.
   */
  #tell({ members }: WatchGroup, changes: readonly EncodedChange[]): void {
    const revision = this.#revision;
    const made = this.#made;
    // From the last to the first: who falls behind is replaced in its place by the last, which was told
    // already.
    for (let i = members.length - 1; i >= 0; i--) {
      const watcher = members[i] as Watcher;
      if (watcher.next > revision) continue;
      let batch = made[watcher.wishes];
      if (batch === undefined) {
        batch = batchOf(changes, { revision, wishes: watcher.wishes, store: this.#store });
        made[watcher.wishes] = batch;
      }
      if (batch === "nothing") continue;
      if (batch instanceof Error) this.#endDamaged(watcher, batch);
      else if (!watcher.stream.offer(watcher, batch)) {
        this.#index.remove(watcher);
        watcher.next = revision;
        watcher.stream.fallBehind(watcher);
      }
    }
  }

  /** One turn of a stream, which serves one watcher at least; returns what of the budget it took, at least 1. */
  #serveStream(stream: WatchStreamState, budget: number): number {
    stream.isHeld = false;
    let used = 0;
    for (let served = 0; served < TURN_WATCHERS && used < budget; served++) {
      const watcher = stream.nextBehind();
      if (watcher === undefined) break;
      used += this.#serve(watcher);
      if (stream.isHeld) return used;
    }
    if (stream.behind > 0) this.#wantTurn(stream);
    return Math.max(1, used);
  }

  /** Serves one watcher that is behind, with a slice of history; returns what of the budget it took. */
  #serve(watcher: Watcher): number {
    const { stream } = watcher;
    if (watcher.next < this.#compactRevision) {
      stream.end(watcher, { compactRevision: this.#compactRevision, cancelReason: "" });
      return 1;
    }
    let used = 1;
    // A watcher of the future fell behind when the store was replaced: it lacks nothing (etcd #20221).
    if (watcher.next <= this.#revision) {
      let page = this.#page;
      if (!page?.serves(watcher.range, watcher.next, this.#revision)) {
        page = new HistoryPage(this.#store, watcher.range, {
          from: watcher.next,
          revision: this.#revision,
          maxChanges: SLICE_CHANGES,
          batchBytes: this.#batchBytes,
          cache: this.#cache,
        });
        this.#page = page;
        used += Math.max(PAGE_COST, page.changes, Math.min(page.next - page.from, SLICE_CHANGES));
      }
      const before = page.madeBytes;
      const told = this.#tellPage(watcher, page);
      used += (page.madeBytes - before) >> 10;
      if (told === "ended") return used;
      if (told === "held" || watcher.next <= this.#revision) {
        stream.fallBehind(watcher);
        return used;
      }
    }
    watcher.state = "synced";
    this.#index.add(watcher);
    return used;
  }

  /** Queues what a page has for a watcher, as far as there is room and the slice lasts. */
  #tellPage(watcher: Watcher, page: HistoryPage): "done" | "cut" | "held" | "ended" {
    const most = page.madeBytes + SLICE_BYTES;
    for (let number = 0; ; number++) {
      const part = page.batch(watcher.wishes, number);
      if (part === undefined) {
        watcher.next = page.next;
        return "done";
      }
      if (part instanceof Error) {
        this.#endDamaged(watcher, part);
        return "ended";
      }
      if (!watcher.stream.offer(watcher, part.batch)) {
        // What lies between the last batch and this one does not concern it, so it need not be read again.
        watcher.next = part.first;
        return "held";
      }
      watcher.next = part.next;
      if (page.madeBytes >= most) return "cut";
    }
  }

  /** A value cannot be read: who watches it is told why, and can ask another member. */
  #endDamaged(watcher: Watcher, { message }: Error): void {
    watcher.stream.end(watcher, { compactRevision: 0, cancelReason: `etcdserver: ${message}` });
  }

  /** Makes the progress rounds that are due; returns what of the budget they took. */
  #makeProgress(now: MonoMs, budget: number): number {
    if (now < this.#nextProgress) return 0;
    let used = 0;
    let next = Number.POSITIVE_INFINITY;
    for (const stream of this.#progress) {
      if (stream.progressAt <= now && used < budget) {
        used += 1 + stream.watchers;
        stream.reportProgress();
        if (!stream.wantsProgress) {
          this.#progress.delete(stream);
          stream.progressAt = Number.POSITIVE_INFINITY;
          continue;
        }
        stream.progressAt = this.#progressTime(now);
      }
      next = Math.min(next, stream.progressAt);
    }
    const isDone = next > now;
    this.#nextProgress = isDone ? Math.max(next, now + PROGRESS_GRAIN_MS) : now;
    return used;
  }

  #progressTime(now: MonoMs): MonoMs {
    const interval = this.#progressIntervalMs;
    return now + interval + this.#random.int(0, Math.floor(interval / 10) + 1);
  }

  #wantTurn(stream: WatchStreamState): void {
    if (stream.hasTurn) return;
    stream.hasTurn = true;
    this.#turns.push(stream);
  }

  /** Calls those whose queue is no longer empty. They may call back into the hub; its own work is done. */
  #tellReady(): void {
    for (let stream = this.#ready.pop(); stream !== undefined; stream = this.#ready.pop()) {
      if (!stream.isClosed) stream.onReady();
    }
  }

  #makeHost(): StreamHost {
    const revision = (): number => this.#revision;
    return {
      get revision() {
        return revision();
      },
      admit: (watcher) => {
        if (watcher.next <= this.#revision) {
          watcher.stream.fallBehind(watcher);
          return;
        }
        watcher.state = "synced";
        this.#index.add(watcher);
      },
      dismiss: (watcher) => this.#index.remove(watcher),
      wantTurn: (stream) => this.#wantTurn(stream),
      wantProgress: (stream, now) => {
        if (this.#progress.has(stream)) return;
        stream.progressAt = this.#progressTime(now);
        this.#progress.add(stream);
        this.#nextProgress = Math.min(this.#nextProgress, stream.progressAt);
      },
      wantReady: (stream) => this.#ready.push(stream),
      tellReady: () => this.#tellReady(),
      closed: (stream) => {
        this.#streams.delete(stream);
        this.#progress.delete(stream);
      },
    };
  }
}
