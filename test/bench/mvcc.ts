/**
 * What the multi-version store does by itself: records in a map, keys of 64 B under a common prefix, values of 256 B.
 * Rates, memory, and the longest slice of everything that runs in slices: no slice may hold the event loop longer than
 * 10 ms.
 */
import type { Records } from "../../src/env/index.ts";
import { type KeyRange, Store } from "../../src/mvcc/index.ts";
import { MapRecords } from "../support/map-records.ts";

const KEY_BYTES = 64;
const PREFIX = "/registry/pods/default/";
const EVERYTHING: KeyRange = { key: new Uint8Array(0), rangeEnd: new Uint8Array([0]) };
/** Revisions examined per slice of compaction, and values hashed per slice. */
const COMPACTION_BUDGET = 2000;
const HASH_BUDGET = 1000;
/** Keys resolved per page of a long range. */
const PAGE_KEYS = 1000;

export interface MvccOptions {
  readonly keys: number;
  /** Puts over these keys in random order, after each key was put once. */
  readonly updates: number;
  readonly valueBytes: number;
}

export interface MvccFigures {
  readonly createsPerSecond: number;
  readonly updatesPerSecond: number;
  readonly loadSeconds: number;
  /** Longest slices, milliseconds. */
  readonly compactionMs: number;
  readonly hashMs: number;
  readonly pageMs: number;
  readonly countMs: number;
  /** Keys at the end: as counted, and as paged through at an old revision. */
  readonly counted: number;
  readonly paged: number;
  readonly revision: number;
}

/** Fills a store, updates it, pages through it, hashes it, compacts it, loads it again. */
export function exerciseStore(options: MvccOptions): MvccFigures {
  const records = new MapRecords();
  const store = new Store(records);
  const value = new Uint8Array(options.valueBytes).fill(7);
  const order = shuffled(options.keys);
  const creating = timed(() => {
    for (const n of order) putOne(store, keyOf(n), value);
  });
  const chosen = order.map((_, i) => order[(i * 7919) % order.length] ?? 0);
  const updating = timed(() => {
    for (let i = 0; i < options.updates; i++) putOne(store, keyOf(chosen[i % chosen.length] ?? 0), value);
  });
  const old = options.keys + 1;
  const paging = slices(pagesOf(store, old));
  const counting = timed(() => store.count(EVERYTHING, 0));
  const job = store.startHash(0);
  if ("code" in job) throw new Error(job.message);
  const hashing = slices(() => job.step(HASH_BUDGET));
  const refused = store.compact(store.revision);
  if (refused !== undefined) throw new Error(refused.message);
  const compacting = slices(() => store.compactionStep(COMPACTION_BUDGET));
  const names = [...records.map.keys()].filter((name) => name[0] !== "v").sort();
  let loaded: Store | undefined;
  const loading = timed(() => {
    const loader = Store.loader(records);
    for (const name of names) loader.add(name, records.map.get(name) ?? value);
    const finished = loader.finish();
    if (finished.type === "refused") throw new Error(finished.reason);
    loaded = finished.store;
  });
  return {
    createsPerSecond: options.keys / creating,
    updatesPerSecond: options.updates / updating,
    loadSeconds: loading,
    compactionMs: compacting.longestMs,
    hashMs: hashing.longestMs,
    pageMs: paging.longestMs,
    countMs: counting * 1000,
    counted: loaded?.count(EVERYTHING, 0) ?? 0,
    paged: paging.sum,
    revision: loaded?.revision ?? 0,
  };
}

/** Memory of a store of so many keys with one revision each, records not counted: bytes of arrays and of objects. */
export function measureMemory(keys: number): { readonly arrays: number; readonly heap: number } {
  const collect = (globalThis as { gc?: () => void }).gc;
  const read = () => {
    collect?.();
    const { arrayBuffers, heapUsed } = process.memoryUsage();
    return { arrayBuffers, heapUsed };
  };
  const before = read();
  const store = new Store(NO_RECORDS);
  const value = new Uint8Array(8);
  const order = shuffled(keys);
  for (const n of order) putOne(store, keyOf(n), value);
  const after = read();
  if (store.count(EVERYTHING, 0) !== keys || order.length !== keys) throw new Error("keys are missing");
  // The order itself is a plain array of numbers.
  return {
    arrays: after.arrayBuffers - before.arrayBuffers,
    heap: after.heapUsed - before.heapUsed - order.length * 4,
  };
}

/** Forgets what it is given: what is left is the store. */
const NO_RECORDS: Records = {
  get: () => undefined,
  put: () => undefined,
  append: () => undefined,
  delete: () => undefined,
};

function putOne(store: Store, key: Uint8Array, value: Uint8Array): void {
  const txn = store.begin();
  txn.put(key, value, 0n);
  txn.end();
}

const template = new Uint8Array(KEY_BYTES).fill(0x30);
template.set(Buffer.from(PREFIX));

/** The prefix and a number in decimal digits, which fill the rest. */
function keyOf(n: number): Uint8Array {
  const key = template.slice();
  for (let at = KEY_BYTES - 1, rest = n; rest > 0; at--, rest = Math.floor(rest / 10))
    key[at] = 0x30 + (rest % 10);
  return key;
}

/** Numbers below `count` in an order that is none, the same each time. */
function shuffled(count: number): number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  let chance = 1;
  for (let i = count - 1; i > 0; i--) {
    chance = (Math.imul(chance, 1664525) + 1013904223) >>> 0;
    const j = chance % (i + 1);
    [order[i], order[j]] = [order[j] ?? 0, order[i] ?? 0];
  }
  return order;
}

/** Resolves everything as of a revision, a page per call; gives the number of keys, 0 at the end. */
function pagesOf(store: Store, at: number): () => number {
  let key = EVERYTHING.key;
  return () => {
    const { metas } = store.resolve({ key, rangeEnd: EVERYTHING.rangeEnd }, at, PAGE_KEYS);
    const last = metas[metas.length - 1];
    if (last !== undefined) key = Buffer.concat([last.key, new Uint8Array(1)]);
    return metas.length;
  };
}

function timed(run: () => void): number {
  const begin = process.hrtime.bigint();
  run();
  return Number(process.hrtime.bigint() - begin) / 1e9;
}

/** Calls `step` until it gives false or 0; the longest call, and the sum of what numbers it gave. */
function slices(step: () => number | boolean): { readonly longestMs: number; readonly sum: number } {
  let [longestMs, sum] = [0, 0];
  for (let more = 1; more > 0; sum += more) {
    const seconds = timed(() => {
      more = Number(step());
    });
    longestMs = Math.max(longestMs, seconds * 1000);
  }
  return { longestMs, sum };
}
