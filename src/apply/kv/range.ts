/**
 * What a range answers, worked out in slices. Keys come out of the index in order with everything but their values, so
 * filters, order and limit are settled first and only what is answered is read. etcd: etcdserver/txn/range.go; where
 * it leaves ties of a sort open, they keep the order of keys here, ascending or not.
 */
import { EMPTY_BYTES, fail, unreachable } from "../../base/index.ts";
import type { KeyMeta } from "../../mvcc/types.ts";
import type { KeyValue, RangeRequest, RangeResponse } from "../../pb/kv.ts";
import { SlicedSort } from "./sliced-sort.ts";
import type { KeyReader } from "./types.ts";
import { compareBytes, readKeyValue, readValue, withValue } from "./values.ts";

/** Most keys that one slice takes out of the index. */
const KEYS_PER_SLICE = 1024;
/** So many bytes of value are as much work as one key. */
const BYTES_PER_UNIT = 4096;

type Phase = "resolve" | "values" | "sort" | "read" | "done";

/** Answers in one go. The revision must be readable. @throws DamagedValue */
export function rangeNow(reader: KeyReader, request: RangeRequest): RangeResponse {
  if (request.rangeEnd.length === 0) return getNow(reader, request);
  const work = new RangeWork(reader, request, request.revision);
  while (!work.step(Number.POSITIVE_INFINITY));
  return work.response;
}

/** One key: what most clients ask for most of the time, without the machinery. @throws DamagedValue */
function getNow(reader: KeyReader, request: RangeRequest): RangeResponse {
  const { metas, count } = reader.resolve(request, request.revision, 1);
  const meta = metas[0];
  const kvs: KeyValue[] = [];
  if (meta !== undefined && !request.countOnly && passes(request, meta)) {
    kvs.push(request.keysOnly ? withValue(meta, EMPTY_BYTES) : readKeyValue(reader, meta));
  }
  return { type: "range", kvs, more: false, count };
}

/**
 * One range under way. Nothing below it may change between two slices: the reader stands at a fixed revision, which is
 * pinned, or there is only one slice.
 */
export class RangeWork {
  readonly #reader: KeyReader;
  readonly #request: RangeRequest;
  /** What is read at; <= 0: the newest. */
  readonly lowest: number;
  #phase: Phase = "resolve";
  /** First key that was not looked at. */
  #next: Uint8Array;
  /** How many keys more are wanted from the index. */
  #wanted: number;
  #count = 0;
  #metas: KeyMeta[] = [];
  /** Only when they decide the order. */
  #values: Map<KeyMeta, Uint8Array> | undefined;
  #sort: SlicedSort<KeyMeta> | undefined;
  #more = false;
  readonly #kvs: KeyValue[] = [];

  /** @param revision what to read at; <= 0: the newest. */
  constructor(reader: KeyReader, request: RangeRequest, revision: number) {
    this.#reader = reader;
    this.#request = request;
    this.lowest = revision;
    this.#next = request.key;
    this.#wanted = fetchLimit(request);
  }

  /** Once `step` has returned true. */
  get response(): RangeResponse {
    if (this.#phase !== "done") fail("the range is not done", { phase: this.#phase });
    return { type: "range", kvs: this.#kvs, more: this.#more, count: this.#count };
  }

  /**
   * Does about `budget` units of work, at least one; a unit is a key or 4 KiB of value. True: done.
   *
   * @throws DamagedValue
   */
  step(budget: number): boolean {
    let left = budget;
    while (left > 0 && this.#phase !== "done") left -= this.#slice(left);
    return this.#phase === "done";
  }

  #slice(budget: number): number {
    switch (this.#phase) {
      case "resolve":
        return this.#resolve(budget);
      case "values":
        return this.#readValues(budget);
      case "sort":
        return this.#sortSome(budget);
      case "read":
        return this.#read(budget);
      case "done":
        return 0;
      default:
        return unreachable(this.#phase);
    }
  }

  #resolve(budget: number): number {
    const request = this.#request;
    const range = { key: this.#next, rangeEnd: request.rangeEnd };
    if (request.countOnly) {
      this.#count = this.#reader.resolve(range, this.lowest, 1).count;
      this.#phase = "done";
      return 1;
    }
    const share = budget === Number.POSITIVE_INFINITY ? budget : Math.min(Math.ceil(budget), KEYS_PER_SLICE);
    const asked = Math.min(this.#wanted, share);
    const limit = asked === Number.POSITIVE_INFINITY ? 0 : asked;
    const { metas, count } = this.#reader.resolve(range, this.lowest, limit);
    // The first slice covers the range from its begin, so its count is that of the whole.
    if (this.#next === request.key) this.#count = count;
    this.#wanted -= metas.length;
    const last = metas[metas.length - 1];
    if (last === undefined || metas.length < asked || this.#wanted === 0 || request.rangeEnd.length === 0) {
      this.#phase = "values";
    } else {
      this.#next = successorOf(last.key);
    }
    for (const meta of metas) if (passes(request, meta)) this.#metas.push(meta);
    return metas.length + 1;
  }

  /** The one order that needs values to be known before anything is left out. */
  #readValues(budget: number): number {
    if (this.#request.sortTarget !== "value" || this.#metas.length < 2) {
      this.#phase = "sort";
      return 0;
    }
    this.#values ??= new Map();
    let work = 0;
    while (this.#values.size < this.#metas.length) {
      const meta = this.#metas[this.#values.size] as KeyMeta;
      const value = readValue(this.#reader, meta);
      this.#values.set(meta, value);
      work += 1 + value.length / BYTES_PER_UNIT;
      if (work >= budget) return work;
    }
    this.#phase = "sort";
    return work;
  }

  #sortSome(budget: number): number {
    const { sortOrder, sortTarget } = this.#request;
    if (sortTarget === "key") {
      if (sortOrder === "descend") this.#metas.reverse();
    } else {
      this.#sort ??= new SlicedSort(this.#metas, this.#order());
      if (!this.#sort.step(budget)) return budget;
      this.#metas = this.#sort.items;
      this.#sort = undefined;
    }
    this.#cut();
    return 1;
  }

  #cut(): void {
    const { limit } = this.#request;
    if (limit > 0 && this.#metas.length > limit) {
      this.#metas.length = limit;
      this.#more = true;
    }
    this.#phase = "read";
  }

  #read(budget: number): number {
    const metas = this.#metas;
    const kvs = this.#kvs;
    let work = 0;
    while (kvs.length < metas.length) {
      const kv = this.#keyValue(metas[kvs.length] as KeyMeta);
      kvs.push(kv);
      work += 1 + kv.value.length / BYTES_PER_UNIT;
      if (work >= budget) break;
    }
    if (kvs.length === metas.length) this.#phase = "done";
    return work;
  }

  #keyValue(meta: KeyMeta): KeyValue {
    if (this.#request.keysOnly) return withValue(meta, EMPTY_BYTES);
    const known = this.#values?.get(meta);
    return known === undefined ? readKeyValue(this.#reader, meta) : withValue(meta, known);
  }

  /** Without an order asked for, a target other than the key means ascending. */
  #order(): (a: KeyMeta, b: KeyMeta) => number {
    const sign = this.#request.sortOrder === "descend" ? -1 : 1;
    const values = this.#values;
    switch (this.#request.sortTarget) {
      case "version":
        return (a, b) => sign * (a.version - b.version);
      case "create":
        return (a, b) => sign * (a.createRevision - b.createRevision);
      case "mod":
        return (a, b) => sign * (a.modRevision - b.modRevision);
      case "value":
        return (a, b) => sign * compareBytes(values?.get(a) ?? EMPTY_BYTES, values?.get(b) ?? EMPTY_BYTES);
      default:
        return () => 0;
    }
  }
}

/**
 * How many keys are taken from the index. One more than the limit, to know whether there are more. An explicit order
 * or a filter needs all; without an order the limit cuts *by key*, even when a target makes the rest sorted by it.
 */
function fetchLimit(request: RangeRequest): number {
  const { limit, sortOrder, sortTarget } = request;
  const inKeyOrder = sortOrder === "none" || (sortOrder === "ascend" && sortTarget === "key");
  return limit <= 0 || !inKeyOrder || hasFilter(request) ? Number.POSITIVE_INFINITY : limit + 1;
}

function hasFilter(request: RangeRequest): boolean {
  return (
    request.minModRevision !== 0 ||
    request.maxModRevision !== 0 ||
    request.minCreateRevision !== 0 ||
    request.maxCreateRevision !== 0
  );
}

function passes(request: RangeRequest, meta: KeyMeta): boolean {
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = request;
  return !(
    (maxModRevision !== 0 && meta.modRevision > maxModRevision) ||
    (minModRevision !== 0 && meta.modRevision < minModRevision) ||
    (maxCreateRevision !== 0 && meta.createRevision > maxCreateRevision) ||
    (minCreateRevision !== 0 && meta.createRevision < minCreateRevision)
  );
}

/** The least key after this one. */
function successorOf(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}
