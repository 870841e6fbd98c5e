// Goal: whatever happens, every watcher sees exactly what a naive replay of all changes gives: none lost, none twice,
// none out of order, none split. Method: seeded histories of writes, deletes, transactions, compactions, snapshots,
// creations and cancellations, with queues of a few hundred bytes that are drained at random; the properties of
// watch-checks.ts on every watcher; over the dumb store and over the real one, whose truth is the dumb one beside it.
import { describe, expect, it } from "vitest";
import { Rng } from "../../../chaos/sim/rng.ts";
import { bytesOf, EMPTY_BYTES } from "../../../src/base/index.ts";
import { type ChangeSet, Store, type StoreView } from "../../../src/mvcc/index.ts";
import { type WatchCreate, WatchHub, type WatchStream } from "../../../src/watch/index.ts";
import { DumbStore, type DumbWrite } from "../../support/dumb-store.ts";
import { WatcherRecord } from "./watch-checks.ts";
import { watchOf } from "./watch-kit.ts";

const KEYS = ["a", "a/1", "a/2", "b", "b/1", "c"];
const RANGES: readonly (readonly [string, string | undefined])[] = [
  ["a", undefined],
  ["a/1", undefined],
  ["b", undefined],
  ["a", "b"],
  ["a/", "a0"],
  ["b", "\0"],
  ["", "\0"],
  ["aa", "c"],
];

/** What the hub reads, kept in step with the dumb store. */
interface Subject {
  readonly view: StoreView;
  write(writes: readonly DumbWrite[]): ChangeSet | undefined;
  compact(revision: number): void;
  /** Work in between: physical deletion. */
  work(rng: Rng): void;
  copy(): Subject;
}

class DumbSubject implements Subject {
  readonly view: DumbStore;
  constructor(view = new DumbStore()) {
    this.view = view;
  }
  write(writes: readonly DumbWrite[]): ChangeSet | undefined {
    return this.view.write(...writes);
  }
  compact(revision: number): void {
    this.view.compact(revision);
  }
  work(): void {
    // It keeps everything.
  }
  copy(): Subject {
    return new DumbSubject(this.view.copy());
  }
}

class RealSubject implements Subject {
  readonly view: Store;
  readonly #map: Map<string, Uint8Array>;

  constructor(map = new Map<string, Uint8Array>()) {
    this.#map = map;
    const records = {
      get: (name: string) => map.get(name),
      put: (name: string, bytes: Uint8Array) => void map.set(name, bytes),
      append: (name: string, bytes: Uint8Array) => void map.set(name, bytes),
      delete: (name: string) => void map.delete(name),
    };
    const loader = Store.loader(records);
    for (const name of [...map.keys()].sort()) {
      if (!name.startsWith("v")) loader.add(name, map.get(name) as Uint8Array);
    }
    const loaded = loader.finish();
    if (loaded.type === "refused") throw new Error(loaded.reason);
    this.view = loaded.store;
  }

  write(writes: readonly DumbWrite[]): ChangeSet | undefined {
    const txn = this.view.begin();
    for (const write of writes) {
      if ("put" in write) txn.put(bytesOf(write.put), bytesOf(write.value ?? ""), 0n);
      else txn.deleteRange({ key: bytesOf(write.delete), rangeEnd: EMPTY_BYTES });
    }
    return txn.end();
  }
  compact(revision: number): void {
    if (this.view.compact(revision) !== undefined) throw new Error("compaction refused");
  }
  work(rng: Rng): void {
    this.view.compactionStep(rng.int(1, 20));
  }
  copy(): Subject {
    return new RealSubject(new Map(this.#map));
  }
}

interface Client {
  readonly stream: WatchStream;
  readonly watchers: Map<number, WatcherRecord>;
  isReady: boolean;
}

class Run {
  readonly rng: Rng;
  readonly truth = new DumbStore();
  subject: Subject;
  readonly hub: WatchHub;
  readonly clients: Client[] = [];
  readonly finished: WatcherRecord[] = [];
  readonly saw = { events: 0, progress: 0, fragments: 0, compacted: 0, behind: 0, restored: 0 };
  now = 0;

  constructor(seed: number, subject: Subject) {
    this.rng = new Rng(seed, "watch");
    this.subject = subject;
    const limits = [150, 300, 600, 5000];
    const fragments = [130, 300, 100_000];
    const options = {
      maxQueuedBytes: limits[this.rng.int(0, limits.length)] as number,
      fragmentBytes: fragments[this.rng.int(0, fragments.length)] as number,
      progressIntervalMs: 1000,
    };
    this.hub = new WatchHub(options, { store: subject.view, random: this.rng });
  }

  step(): void {
    const dice = this.rng.int(0, 100);
    if (dice < 30) this.write((set) => this.hub.notify(set));
    else if (dice < 32) this.compact();
    else if (dice < 33) this.restore();
    else if (dice < 36) this.open();
    else if (dice < 46) this.create();
    else if (dice < 48) this.cancel();
    else if (dice < 49) this.close();
    else if (dice < 54) this.someClient()?.stream.requestProgress();
    else if (dice < 60) this.now += this.rng.int(0, 500);
    else if (dice < 80) this.hub.tick(this.now, this.rng.int(1, 30));
    else if (dice < 98) this.drain(this.someClient(), this.rng.int(1, 6));
    else this.subject.work(this.rng);
    this.saw.behind = Math.max(this.saw.behind, this.hub.count().behind);
  }

  write(tell: (set: ChangeSet) => void): void {
    const count = this.rng.int(0, 4) === 0 ? this.rng.int(2, 5) : 1;
    const keys = new Set<string>();
    while (keys.size < count) keys.add(KEYS[this.rng.int(0, KEYS.length)] as string);
    const writes = [...keys].map((key): DumbWrite => {
      if (this.rng.int(0, 3) === 0) return { delete: key };
      return { put: key, value: `${this.truth.revision}${"x".repeat(this.rng.int(0, 80))}` };
    });
    const wanted = this.truth.write(...writes);
    const set = this.subject.view === this.truth ? wanted : this.subject.write(writes);
    expect(set?.revision).toBe(wanted?.revision);
    if (set !== undefined) tell(set);
  }

  compact(): void {
    const revision = this.truth.revision - this.rng.int(0, 12);
    if (revision <= this.truth.compactRevision) return;
    this.truth.compact(revision);
    this.subject.compact(revision);
    this.hub.compacted(revision);
  }

  restore(): void {
    this.subject = this.subject.copy();
    for (let i = this.rng.int(0, 6); i > 0; i--) this.write(() => undefined);
    const floor = this.truth.revision - this.rng.int(0, 30);
    if (floor > this.truth.compactRevision && this.rng.int(0, 3) === 0) {
      this.truth.compact(floor);
      this.subject.compact(floor);
    }
    const { view } = this.subject;
    this.hub.restored(view.revision, view.compactRevision, view);
    this.saw.restored++;
  }

  open(): void {
    if (this.clients.length >= 8) return;
    const client: Client = {
      stream: this.hub.open(() => {
        expect(client.isReady).toBe(false);
        client.isReady = true;
      }),
      watchers: new Map(),
      isReady: false,
    };
    this.clients.push(client);
  }

  create(): void {
    const client = this.someClient();
    if (client === undefined || client.watchers.size > 20) return;
    const flip = (): boolean => this.rng.int(0, 3) === 0;
    const [key, end] = RANGES[this.rng.int(0, RANGES.length)] as (typeof RANGES)[number];
    const startRevision = flip() ? 0 : Math.max(0, this.truth.revision + this.rng.int(-30, 10));
    const request: WatchCreate = {
      ...watchOf(key, end === undefined ? {} : { end }),
      startRevision,
      progressNotify: flip(),
      noPut: flip() && flip(),
      noDelete: flip() && flip(),
      prevKv: flip(),
      fragment: flip(),
    };
    const id = client.stream.create(this.now, request);
    expect(id).toBeGreaterThanOrEqual(0);
    expect(client.watchers.has(id)).toBe(false);
    client.watchers.set(id, new WatcherRecord(request));
  }

  cancel(): void {
    const client = this.someClient();
    if (client !== undefined) client.stream.cancel(this.rng.int(0, 30));
  }

  close(): void {
    const client = this.someClient();
    if (client === undefined) return;
    client.stream.close();
    this.clients.splice(this.clients.indexOf(client), 1);
    for (const record of client.watchers.values()) this.finished.push(record);
  }

  drain(client: Client | undefined, max: number): void {
    if (client === undefined) return;
    for (let i = 0; i < max; i++) {
      const output = client.stream.take();
      if (output === undefined) {
        client.isReady = false;
        return;
      }
      this.saw.events += output.events.length;
      if (output.fragment) this.saw.fragments++;
      if (output.compactRevision > 0) this.saw.compacted++;
      if (output.events.length === 0 && !output.created && !output.canceled) this.saw.progress++;
      if (output.watchId === -1) {
        for (const record of client.watchers.values()) record.progress(output.revision);
        continue;
      }
      const record = client.watchers.get(output.watchId);
      if (record === undefined) throw new Error(`an output for ${output.watchId}, which is not there`);
      record.take(output, this.truth);
      // An ID is free again once its watcher is gone; numbers that the stream chooses do not come twice.
      if (!record.isOpen) this.finished.push(record);
    }
    client.isReady &&= client.stream.queuedBytes > 0;
  }

  /** Everybody takes everything until there is nothing left. */
  heal(): void {
    for (let round = 0; round < 100_000; round++) {
      for (const client of this.clients) this.drain(client, 1_000_000);
      if (this.hub.nextWake(this.now) > this.now) break;
      this.hub.tick(this.now, 50);
    }
    this.hub.checkInvariants();
    expect(this.hub.count().behind).toBe(0);
  }

  check(): void {
    for (const record of this.finished) record.finish(this.truth, false);
    for (const { watchers } of this.clients) {
      for (const record of watchers.values()) record.finish(this.truth, true);
    }
  }

  someClient(): Client | undefined {
    return this.clients.length === 0 ? undefined : this.clients[this.rng.int(0, this.clients.length)];
  }
}

/** The last seed and the first. */
const SEEDS = Number(process.env["WATCH_SEEDS"] ?? 24);
const FIRST_SEED = Number(process.env["WATCH_FROM"] ?? 1);
const STEPS = 800;
/** A seed takes a fraction of a second; asked for many, the run may take long. */
const TIMEOUT_MS = 120_000 + SEEDS * 2000;

describe.each([
  ["dumb", () => new DumbSubject()],
  ["real", () => new RealSubject()],
])("over the %s store", (_name, make) => {
  const total = { events: 0, progress: 0, fragments: 0, compacted: 0, behind: 0, restored: 0 };

  it(
    "every watcher sees what a replay gives",
    () => {
      for (let seed = FIRST_SEED; seed <= SEEDS; seed++) {
        const run = new Run(seed, make());
        try {
          for (let i = 0; i < STEPS; i++) {
            run.step();
            if (i % 4 === 0) run.hub.checkInvariants();
          }
          run.heal();
          run.check();
        } catch (error) {
          throw new Error(`seed ${seed}: WATCH_FROM=${seed} WATCH_SEEDS=${seed}`, { cause: error });
        }
        for (const key of Object.keys(total) as (keyof typeof total)[]) total[key] += run.saw[key];
      }
    },
    TIMEOUT_MS,
  );

  it("the histories reach what they are meant to reach", () => {
    for (const [what, count] of Object.entries(total)) expect([what, count > SEEDS]).toEqual([what, true]);
  });
});
