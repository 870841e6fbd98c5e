// Goal: every answer of the store is that of a store that is easy to believe, whatever is compacted, deleted
// in slices, pinned or restarted in between. Method: random operations on both, each answer compared as
// text; the seed and the number of the operation are in the message. Three shapes: few hot keys, many keys,
// keys that are prefixes.
import { describe, expect, it } from "vitest";
import { EMPTY_BYTES } from "../../../src/base/index.ts";
import { type Change, type CountWork, type KeyMeta, type KeyRange, Store } from "../../../src/mvcc/index.ts";
import { MapRecords } from "../../support/map-records.ts";
import { Model, type ModelChange, type ModelRange } from "./model.ts";
import { hashOf, mustReload } from "./support.ts";

interface Shape {
  readonly name: string;
  readonly seed: number;
  readonly operations: number;
  readonly key: (random: Random) => string;
  /** One operation in so many, each. */
  readonly rates: {
    readonly reload: number;
    readonly compact: number;
    readonly check: number;
    readonly hash: number;
  };
}

const SHAPES: readonly Shape[] = [
  {
    name: "few hot keys",
    seed: 1,
    operations: 150_000,
    key: (random) => `key/${random.below(12)}`,
    rates: { reload: 600, compact: 60, check: 200, hash: 300 },
  },
  {
    name: "prefixes and bytes above ASCII",
    seed: 2,
    operations: 60_000,
    key: (random) =>
      "\xffa\0".slice(0, 1 + random.below(3)).repeat(1 + random.below(4)) + "b\xfe".slice(random.below(3)),
    rates: { reload: 500, compact: 80, check: 200, hash: 300 },
  },
  {
    name: "many keys, blocks split and merged",
    seed: 3,
    operations: 10_000,
    key: (random) => `/registry/pods/default/${"x".repeat(random.below(3) * 40)}${random.below(4000)}`,
    rates: { reload: 1500, compact: 700, check: 1500, hash: 1500 },
  },
];

/** Splitmix32: enough for choices, and the same everywhere. */
class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed;
  }
  below(n: number): number {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    let t = this.#state ^ (this.#state >>> 16);
    t = Math.imul(t, 0x21f0aaad);
    t ^= t >>> 15;
    t = Math.imul(t, 0x735a2d97);
    return ((t ^ (t >>> 15)) >>> 0) % n;
  }
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }
}

describe("the store answers as the model", () => {
  it.each(SHAPES)("$name ($operations operations, seed $seed)", (shape) => {
    const run = new Run(shape);
    for (let i = 0; i < shape.operations; i++) {
      try {
        run.step();
      } catch (cause) {
        throw new Error(`seed ${shape.seed}, operation ${i}: ${String(cause)}`, { cause });
      }
    }
    // A run that deleted, restarted and pinned nothing would prove nothing.
    for (const [what, count] of Object.entries(run.done)) expect(count, what).toBeGreaterThan(2);
  });
});

/** A range and its count at a pinned revision, worked out in slices of which each may be the last for long. */
class SlicedRead {
  readonly #store: Store;
  readonly #range: KeyRange;
  readonly #at: number;
  readonly #expected: readonly string[];
  readonly #release: () => void;
  readonly #count: CountWork;
  readonly #metas: KeyMeta[] = [];
  #next: Uint8Array | undefined;

  constructor(store: Store, read: { of: ModelRange; at: number; expected: readonly string[] }) {
    this.#store = store;
    this.#range = toRange(read.of);
    this.#at = read.at;
    this.#expected = read.expected;
    this.#release = store.pin(read.at);
    this.#count = store.startCount(this.#range, read.at);
    this.#next = this.#range.key;
  }

  slice(budget: number): void {
    if (!this.#count.isDone) this.#count.step(budget);
    if (this.#next === undefined) return;
    const range = { key: this.#next, rangeEnd: this.#range.rangeEnd };
    const { metas, next } = this.#store.page(range, this.#at, { limit: 3, budget });
    this.#metas.push(...metas);
    this.#next = next;
  }

  finish(): void {
    for (let i = 0; this.#next !== undefined || !this.#count.isDone; i++) {
      if (i > 100_000) throw new Error("a sliced read stands still");
      this.slice(1);
    }
    const shown = this.#metas.map((meta) => `${showMeta(meta)}=${showValue(this.#store.value(meta))}`);
    same(shown.join(), this.#expected.join(), "pinned keys and values");
    same(this.#count.count, this.#expected.length, "pinned count");
    this.#release();
  }
}

function countOf(work: CountWork): number {
  while (!work.isDone) work.step(1);
  return work.count;
}

class Run {
  readonly done = {
    reloads: 0,
    compactions: 0,
    passes: 0,
    pinnedReads: 0,
    hashes: 0,
    deleted: 0,
    damaged: 0,
  };
  readonly #shape: Shape;
  readonly #random: Random;
  readonly #model = new Model();
  #records = new MapRecords();
  #store = new Store(this.#records);
  #isHashing = false;
  /** Reads that hold a pin, a slice at a time while all else goes on. */
  #pinned: SlicedRead[] = [];

  constructor(shape: Shape) {
    this.#shape = shape;
    this.#random = new Random(shape.seed);
  }

  step(): void {
    const { rates } = this.#shape;
    const random = this.#random;
    const choice = random.below(100);
    if (choice < 40) this.#write();
    else if (choice < 70) this.#range();
    else if (choice < 78) this.#history();
    else if (choice < 94) this.#compactionStep();
    else if (choice < 97) this.#pin();
    else this.#unpin();
    const read = this.#pinned[random.below(this.#pinned.length + 1)];
    read?.slice(random.below(3) + 0.1);
    if (random.oneIn(rates.compact)) this.#compact();
    if (random.oneIn(rates.reload)) this.#reload();
    if (random.oneIn(rates.hash)) this.#hash();
    if (random.oneIn(rates.check)) this.#store.checkInvariants();
    if (random.oneIn(rates.check)) this.#damage();
    same(this.#store.logicalBytes, this.#model.logicalBytes, "logical bytes", !random.oneIn(20));
  }

  #write(): void {
    const random = this.#random;
    const txn = this.#store.begin();
    const main = this.#model.revision + 1;
    const before = this.#model.changes.length;
    for (let left = 1 + random.below(3); left > 0; left--) {
      if (random.oneIn(4)) {
        const of = this.#someRange();
        const deleted = this.#model.delete(main, txn.changed, of);
        same(txn.deleteRange(toRange(of)).map(showMeta).join(), deleted.map(showModel).join(), "deleted");
        this.done.deleted += deleted.length;
      } else {
        const put = { key: this.#shape.key(random), value: this.#value(), lease: this.#lease() };
        const previous = this.#model.put(main, txn.changed, put);
        const was = txn.put(latin1(put.key), latin1(put.value), put.lease);
        same(was && showMeta(was), previous && showModel(previous), "previous");
      }
      if (random.oneIn(3)) this.#compareRange(txn, this.#someRange(), 0, main);
    }
    const changes = this.#model.changes.slice(before);
    if (changes.length > 0) this.#model.revision = main;
    const set = txn.end();
    same(
      set?.changes.map(showChange).join(),
      changes.length === 0 ? undefined : changes.map(showModelChange).join(),
      "set",
    );
    same(this.#store.revision, this.#model.revision, "revision");
  }

  #range(): void {
    const at = this.#someRevision();
    this.#compareRange(this.#store, this.#someRange(), this.#random.oneIn(3) ? 0 : at, at);
  }

  /** Compares a read at `asked` (0: the newest) with the model's at `at`, or at its newest. */
  #compareRange(reader: Pick<Store, "resolve" | "value">, of: ModelRange, asked: number, at: number): void {
    const limit = this.#random.below(4) - 1;
    const { metas, count } = reader.resolve(toRange(of), asked, limit);
    const expected = this.#model.resolve(of, asked <= 0 ? Math.max(at, this.#model.revision) : asked);
    same(count, expected.length, "count");
    if (reader === this.#store) same(this.#store.count(toRange(of), asked), count, "count by itself");
    const cut = limit <= 0 ? expected : expected.slice(0, limit);
    same(metas.map(showMeta).join(), cut.map(showModel).join(), "keys");
    const last = cut[limit - 1];
    // The page behind, whose count the store then remembers.
    if (last !== undefined && of.end !== undefined && reader === this.#store && asked > 0) {
      const { key, rangeEnd } = toRange({ key: `${last.key}\0`, end: of.end });
      this.#store.noteRest(rangeEnd, asked, latin1(last.key), expected.length - limit);
      same(countOf(this.#store.startCount({ key, rangeEnd }, asked)), expected.length - limit, "rest");
    }
    const some = metas[this.#random.below(metas.length + 1)];
    if (some !== undefined) {
      const change = cut[metas.indexOf(some)];
      same(showValue(reader.value(some)), change?.value, "value");
    }
  }

  #history(): void {
    const from = Math.max(this.#someRevision(), 0);
    const to = from + this.#random.below(this.#model.revision - from + 1);
    const of = this.#someRange();
    const found: Change[] = [];
    for (let next = from; next <= to; ) {
      const part = this.#store.history(toRange(of), next, to, 1 + this.#random.below(8));
      for (const set of part.sets) found.push(...set.changes);
      if (part.next <= next) throw new Error(`history stands still at ${next}`);
      next = part.next;
    }
    const { compactRevision } = this.#model;
    const expected = this.#model.history(of, from, to).map((change) =>
      // What was before a change at the floor is gone.
      showModelChange(change.main <= compactRevision ? { ...change, previous: 0 } : change),
    );
    same(found.map(showChange).join(), expected.join(), "history");
    const some = found[this.#random.below(found.length + 1)];
    if (some === undefined) return;
    const event = this.#store.event(some, true);
    const { key, createRevision, modRevision: main } = some.meta;
    const isGone = main <= compactRevision || (some.type === "put" && createRevision === main);
    const before = isGone ? undefined : this.#model.at(Buffer.from(key).toString("latin1"), main - 1);
    same(event.prevKv && showValue(event.prevKv.value), before?.value, "prevKv");
  }

  #compact(): void {
    const at = this.#someRevision();
    if (at <= this.#model.compactRevision) return;
    same(this.#store.compact(at), undefined, "compaction");
    this.#model.compact(at);
    this.done.compactions++;
  }

  #compactionStep(): void {
    const wasPending = this.#store.compactionPending;
    const more = this.#store.compactionStep(1 + this.#random.below(40));
    same(more, this.#store.compactionPending, "pending");
    if (!wasPending || more) return;
    this.done.passes++;
    if (this.#pinned.length > 0 || this.#isHashing) return;
    // With nothing pinned and nothing pending, the records are exactly what compaction leaves.
    const puts = this.#model.changes.filter((change) => change.value !== undefined).length;
    same(this.#records.map.size, this.#model.changes.length + puts + 1, "records");
  }

  #pin(): void {
    if (this.#pinned.length > 3) return;
    const at = this.#someRevision();
    if (at <= 0) return;
    const of = this.#random.oneIn(4) ? { key: "", end: "" } : this.#someRange();
    const expected = this.#model.resolve(of, at).map((change) => `${showModel(change)}=${change.value}`);
    this.#pinned.push(new SlicedRead(this.#store, { of, at, expected }));
  }

  #unpin(): void {
    const pinned = this.#pinned.shift();
    if (pinned === undefined) return;
    pinned.finish();
    this.done.pinnedReads++;
  }

  #reload(): void {
    const before = hashOf(this.#store, 0, 100);
    this.#records = this.#records.clone();
    this.#store = mustReload(this.#records);
    this.#pinned = [];
    this.#store.checkInvariants();
    same(this.#store.revision, this.#model.revision, "revision after a restart");
    same(this.#store.compactRevision, this.#model.compactRevision, "floor after a restart");
    same(hashOf(this.#store).hash, before.hash, "hash after a restart");
    this.done.reloads++;
  }

  #hash(): void {
    const at = Math.max(this.#someRevision(), 1);
    const job = this.#store.startHash(at);
    if ("code" in job) throw new Error(job.message);
    const expected = this.#model.hash(at);
    const { compactRevision } = this.#model;
    this.#isHashing = true;
    // Writes, compactions and deletions between its slices change nothing.
    for (let i = 0; job.step(7); i++) {
      if (i > 20) continue;
      this.#write();
      if (this.#random.oneIn(8)) this.#compact();
      this.#compactionStep();
    }
    same(
      JSON.stringify(job.result),
      JSON.stringify({ type: "hash", hash: expected, compactRevision, hashRevision: at }),
      "hash",
    );
    this.#isHashing = false;
    this.done.hashes++;
  }

  /** A flipped byte of a value is told by name and nothing else is affected; then it is mended. */
  #damage(): void {
    const live = this.#model.resolve({ key: "", end: "" }, this.#model.revision);
    const victim = live[this.#random.below(live.length + 1)];
    if (victim === undefined) return;
    const meta = this.#store.resolve({ key: latin1(victim.key), rangeEnd: EMPTY_BYTES }, 0, 0).metas[0];
    const name = `v${victim.main.toString(16).padStart(14, "0")}${victim.sub.toString(16).padStart(8, "0")}`;
    const bytes = this.#records.get(name);
    if (meta === undefined || bytes === undefined) throw new Error(`there is no record ${name}`);
    const flipped = bytes.slice();
    const at = this.#random.below(bytes.length);
    flipped[at] = (flipped[at] ?? 0) ^ (1 << this.#random.below(8));
    this.#records.put(name, flipped);
    const value = this.#store.value(meta);
    same(value instanceof Uint8Array ? "a value" : value.record, name, "damaged");
    this.#records.put(name, bytes);
    this.done.damaged++;
  }

  #someRevision(): number {
    const { compactRevision, revision } = this.#model;
    // Mostly near the newest, or little would be left after a compaction.
    const span = revision - compactRevision + 1;
    return this.#random.oneIn(3)
      ? compactRevision + this.#random.below(span)
      : revision - this.#random.below(Math.min(span, 30));
  }

  #someRange(): ModelRange {
    const key = this.#shape.key(this.#random);
    const choice = this.#random.below(20);
    if (choice < 12) return { key, end: undefined };
    if (choice === 12) return { key, end: "" };
    if (choice === 13 && this.#random.oneIn(20)) return { key: "", end: "" };
    return { key, end: this.#shape.key(this.#random) };
  }

  #value(): string {
    return String.fromCharCode(this.#random.below(256)).repeat(this.#random.below(20));
  }

  #lease(): bigint {
    return this.#random.oneIn(3)
      ? BigInt.asIntN(64, BigInt(this.#random.below(1000)) * 0x1234567890abcdn)
      : 0n;
  }
}

function same<T>(found: T, expected: T, what: string, skip = false): void {
  if (!skip && found !== expected)
    throw new Error(`${what}: ${String(found)} instead of ${String(expected)}`);
}

function toRange(of: ModelRange): KeyRange {
  const rangeEnd = of.end === undefined ? EMPTY_BYTES : latin1(of.end === "" ? "\0" : of.end);
  return { key: latin1(of.key), rangeEnd };
}

function latin1(value: string): Uint8Array {
  return new Uint8Array(Buffer.from(value, "latin1"));
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}

function showMeta(meta: KeyMeta): string {
  const { key, createRevision, modRevision, sub, version, lease } = meta;
  return `${text(key)}|${createRevision}|${modRevision}.${sub}|${version}|${lease}`;
}

function showModel(change: ModelChange): string {
  const { key, create, main, sub, version, lease } = change;
  return `${key}|${create}|${main}.${sub}|${version}|${lease}`;
}

function showChange(change: Change): string {
  return `${change.type} ${showMeta(change.meta)} was ${change.previous?.modRevision ?? 0}`;
}

function showModelChange(change: ModelChange): string {
  return `${change.value === undefined ? "delete" : "put"} ${showModel(change)} was ${change.previous}`;
}

function showValue(value: ReturnType<Store["value"]>): string {
  return value instanceof Uint8Array ? text(value) : `${value.record} ${value.reason}`;
}
