/**
 * What telling watchers costs: a hub over the real store with records in a map. A delivery is one output for one
 * watcher, from the change until it was taken from the queue of the watcher's stream.
 * Slices are the longest single calls of `notify` and `tick`, in milliseconds: nothing may hold the event loop longer
 * than 10 ms.
 */
import { bytesOf } from "../../src/base/index.ts";
import type { Records } from "../../src/env/index.ts";
import { type ChangeSet, Store } from "../../src/mvcc/index.ts";
import { type WatchCreate, WatchHub, type WatchStream } from "../../src/watch/index.ts";
import { watchFrom } from "../support/plain-requests.ts";

const VALUE_BYTES = 256;
/** What `tick` is given: a few milliseconds of work. */
const TICK_BUDGET = 2000;

export interface WatchBenchOptions {
  readonly watchers: number;
  /** Streams that the watchers are dealt to. */
  readonly streams: number;
  /** Changes told. */
  readonly changes: number;
  readonly maxQueuedBytes: number;
}

export interface WatchFigures {
  /** Events that came out of the queues. */
  readonly taken: number;
  /** Seconds in `notify`, in `tick` and in `take`. */
  readonly notifySeconds: number;
  readonly tickSeconds: number;
  readonly takeSeconds: number;
  readonly notifyMs: number;
  readonly tickMs: number;
}

/** All watchers on one key; every stream takes what it has after each change. */
export function oneKey(options: WatchBenchOptions): WatchFigures {
  return run(
    options,
    () => watchOf("key", "", 0),
    () => "key",
  );
}

/** Watchers on prefixes of their own; each change is for one of them. */
export function prefixes(options: WatchBenchOptions): WatchFigures {
  const prefixOf = (n: number): string => `/prefix/${n % options.watchers}/`;
  return run(
    options,
    (n) => watchOf(prefixOf(n), prefixEnd(prefixOf(n)), 0),
    (change) => `${prefixOf(Math.imul(change, 2_654_435_761) >>> 0)}key`,
  );
}

/** Watchers that begin at the first of `changes` revisions of their key and catch up by `tick` alone. */
export function catchUp(options: WatchBenchOptions): WatchFigures {
  const bench = new Bench(options);
  for (let n = 0; n < options.changes; n++) bench.hub.notify(bench.put("key"));
  for (let n = 0; n < options.watchers; n++) bench.create(watchOf("key", "", 2));
  while (bench.hub.nextWake(0) <= 0) {
    bench.tick();
    bench.drain();
  }
  return bench.figures();
}

function run(
  options: WatchBenchOptions,
  watch: (n: number) => WatchCreate,
  keyOf: (change: number) => string,
): WatchFigures {
  const bench = new Bench(options);
  for (let n = 0; n < options.watchers; n++) bench.create(watch(n));
  bench.drain();
  bench.reset();
  for (let change = 0; change < options.changes; change++) {
    bench.notify(bench.put(keyOf(change)));
    bench.drain();
    while (bench.hub.nextWake(0) <= 0) bench.tick();
  }
  bench.drain();
  return bench.figures();
}

class Bench {
  readonly hub: WatchHub;
  readonly #store: Store;
  readonly #streams: WatchStream[] = [];
  readonly #ready: WatchStream[] = [];
  readonly #value = new Uint8Array(VALUE_BYTES).fill(7);
  #created = 0;
  #taken = 0;
  #notifyNs = 0n;
  #tickNs = 0n;
  #takeNs = 0n;
  #longestNotify = 0n;
  #longestTick = 0n;

  constructor(options: WatchBenchOptions) {
    this.#store = new Store(mapRecords());
    const random = { int: (lo: number): number => lo };
    this.hub = new WatchHub({ maxQueuedBytes: options.maxQueuedBytes }, { store: this.#store, random });
    for (let n = 0; n < options.streams; n++) {
      const stream = this.hub.open(() => this.#ready.push(stream));
      this.#streams.push(stream);
    }
  }

  create(request: WatchCreate): void {
    this.#streams[this.#created % this.#streams.length]?.create(0, request);
    this.#created++;
  }

  put(key: string): ChangeSet {
    const txn = this.#store.begin();
    txn.put(bytesOf(key), this.#value, 0n);
    const set = txn.end();
    if (set === undefined) throw new Error("nothing changed");
    return set;
  }

  notify(set: ChangeSet): void {
    const begin = process.hrtime.bigint();
    this.hub.notify(set);
    const took = process.hrtime.bigint() - begin;
    this.#notifyNs += took;
    if (took > this.#longestNotify) this.#longestNotify = took;
  }

  tick(): void {
    const begin = process.hrtime.bigint();
    this.hub.tick(0, TICK_BUDGET);
    const took = process.hrtime.bigint() - begin;
    this.#tickNs += took;
    if (took > this.#longestTick) this.#longestTick = took;
  }

  drain(): void {
    const begin = process.hrtime.bigint();
    for (const stream of this.#ready) {
      for (let output = stream.take(); output !== undefined; output = stream.take()) {
        this.#taken += output.events.length;
      }
    }
    this.#ready.length = 0;
    this.#takeNs += process.hrtime.bigint() - begin;
  }

  /** Forgets what was measured while everything was set up. */
  reset(): void {
    this.#taken = 0;
    this.#takeNs = 0n;
  }

  figures(): WatchFigures {
    return {
      taken: this.#taken,
      notifySeconds: Number(this.#notifyNs) / 1e9,
      tickSeconds: Number(this.#tickNs) / 1e9,
      takeSeconds: Number(this.#takeNs) / 1e9,
      notifyMs: Number(this.#longestNotify) / 1e6,
      tickMs: Number(this.#longestTick) / 1e6,
    };
  }
}

function watchOf(key: string, end: string, startRevision: number): WatchCreate {
  return watchFrom(bytesOf(key), { rangeEnd: bytesOf(end), startRevision });
}

/** The first key behind all that begin with the prefix, which ends in "/". */
function prefixEnd(prefix: string): string {
  return `${prefix.slice(0, -1)}0`;
}

function mapRecords(): Records {
  const map = new Map<string, Uint8Array>();
  return {
    get: (name) => map.get(name),
    put: (name, bytes) => void map.set(name, bytes),
    append: (name, bytes) => void map.set(name, bytes),
    delete: (name) => void map.delete(name),
  };
}
