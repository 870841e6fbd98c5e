/**
 * What applying entries costs by itself: decoding, duplicates, chain, store, leases, hash, records collected into
 * batches and kept in a Map. No log, no consensus, no disk; watchers only as a listener that counts.
 */
import { AppliedState } from "../../src/apply/index.ts";
import type { BackendState } from "../../src/env/index.ts";
import { encodeEnvelope } from "../../src/pb/index.ts";
import type { KvRequest } from "../../src/pb/kv.ts";
import { EMPTY_CONF, type Entry } from "../../src/raft/index.ts";
import { putOf, rangeOf } from "../support/plain-requests.ts";

/** Entries per backend batch, as a member sends them. */
const PER_BATCH = 10_000;

const EMPTY_STATE: BackendState = { index: 0, term: 0, conf: EMPTY_CONF, records: new Map() };

export interface ApplyOptions {
  /** Puts to apply. */
  readonly entries: number;
  readonly valueBytes: number;
  readonly keyBytes: number;
  /** Different keys; they are written in turn, in an order that is none. */
  readonly keys: number;
  /** Change sets between two compactions; the store would outgrow memory otherwise. */
  readonly compactEvery: number;
}

/** Entries as they come out of the log, encoded. Making them is no part of what is measured. */
export function putEntries(options: ApplyOptions): Entry[] {
  return [...eachPutEntry(options)];
}

/** As `putEntries`, each made when it is asked for: a million of them at once would be half a gigabyte. */
export function* eachPutEntry(options: ApplyOptions): Generator<Entry> {
  const value = new Uint8Array(options.valueBytes).fill(7);
  for (let index = 1; index <= options.entries; index++) {
    yield putEntry(index, { ...PUT, key: keyOf(options, (index * 7919) % options.keys), value });
  }
}

/** Applies the entries to an empty state. Returns how many revisions the listener heard of. */
export function applyAll(entries: readonly Entry[], options: ApplyOptions): number {
  let heard = 0;
  const listener = {
    changed: () => {
      heard++;
    },
    compacted: () => undefined,
  };
  const loaded = AppliedState.load(EMPTY_STATE, { listener });
  if (loaded.type === "refused") throw new Error(loaded.reason);
  const { state } = loaded;
  const { store } = state.kv;
  for (const next of entries) {
    const applied = state.applyNormal(next);
    if (applied.type !== "kv" || applied.outcome.type !== "done") throw new Error(`entry ${next.index}`);
    if (next.index % PER_BATCH === 0) state.takeChanges();
    if (next.index % options.compactEvery === 0) {
      state.kv.apply({ type: "compaction", revision: store.revision, physical: false });
    }
    // What a member does when it has time: a slice of physical deletion.
    if (next.index % 1000 === 0 && store.compactionPending) store.compactionStep(4000);
  }
  return heard;
}

export interface ReadFigures {
  readonly keysRead: number;
  /** Milliseconds of the longest slice. */
  readonly longestMs: number;
  readonly readsPerSecond: number;
}

/** Reads single keys, then everything in slices of `budget` units, sorted by value: all phases that a range has. */
export function readAll(keys: number, budget: number): ReadFigures {
  const options = { entries: keys, valueBytes: 256, keyBytes: 32, keys, compactEvery: keys + 1 };
  const loaded = AppliedState.load(EMPTY_STATE);
  if (loaded.type === "refused") throw new Error(loaded.reason);
  const { kv } = loaded.state;
  for (let i = 0; i < keys; i++) {
    const value = new Uint8Array(options.valueBytes).fill(i & 0xff);
    kv.apply({ ...PUT, key: keyOf(options, (i * 7919) % keys), value });
  }
  const begin = process.hrtime.bigint();
  for (let i = 0; i < keys; i++) kv.range({ ...RANGE, key: keyOf(options, (i * 104_729) % keys) });
  const readsPerSecond = keys / secondsSince(begin);
  const all = { key: new Uint8Array([0]), rangeEnd: new Uint8Array([0]) };
  const job = kv.startRange({ ...RANGE, ...all, sortOrder: "descend", sortTarget: "value" });
  let longest = 0;
  for (let isDone = false; !isDone; ) {
    const sliceBegin = process.hrtime.bigint();
    isDone = job.step(budget);
    longest = Math.max(longest, secondsSince(sliceBegin));
  }
  const keysRead = job.outcome?.type === "done" ? job.outcome.response.kvs.length : 0;
  return { keysRead, longestMs: longest * 1000, readsPerSecond };
}

function secondsSince(begin: bigint): number {
  return Number(process.hrtime.bigint() - begin) / 1e9;
}

const NO_KEY = new Uint8Array(0);
const RANGE = rangeOf(NO_KEY);
const PUT = putOf(NO_KEY, NO_KEY);

/** A request as an entry of the log. */
export function putEntry(index: number, request: KvRequest): Entry {
  const data = encodeEnvelope({
    version: 1,
    requestId: { instance: 1n, sequence: index },
    user: "",
    authRevision: 0,
    guardRevision: 0,
    body: { type: "kv", request },
  });
  return { index, term: 1, type: "normal", data };
}

function keyOf(options: ApplyOptions, number: number): Uint8Array {
  const key = new Uint8Array(options.keyBytes).fill(0x6b);
  key.set(Buffer.from(String(number).padStart(9, "0")), options.keyBytes - 9);
  return key;
}
