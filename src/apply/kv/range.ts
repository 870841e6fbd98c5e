/**
 * What a range answers, worked out in slices. Keys come out of the index in order with everything but their values, so
 * filters, order and limit are settled first and only what is answered is read. etcd: etcdserver/txn/range.go; where
 * it leaves ties of a sort open, they keep the order of keys here, ascending or not.
 */
import { EMPTY_BYTES, fail, unreachable } from "../../base/index.ts";
import { readingWork } from "../../mvcc/index.ts";
import type { CountWork, KeyMeta } from "../../mvcc/types.ts";
import type { KeyValue, RangeRequest, RangeResponse } from "../../pb/kv.ts";
import { Slab } from "./slab.ts";
import { SlicedSort } from "./sliced-sort.ts";
import type { KeyReader } from "./types.ts";
import { compareBytes, readKeyValue, readValue, withValue } from "./values.ts";

/** So many keys more than wanted are sorted by value before those that are too many go: one to two milliseconds. */
const PRUNED_BY = 1024;

/**
 * An order by value needs all values before anything is left out; every other one is settled on what is in memory.
 *
 *     keys ─ count ┬─ sort ─ read ────────┬─ done
 *                  └─ readAll ─ sortValues ┘ (strip)
 */
type Phase = "keys" | "count" | "sort" | "read" | "readAll" | "sortValues" | "strip" | "done";

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
  #phase: Phase;
  /** First key that was not looked at. */
  #next: Uint8Array;
  /** How many keys more are wanted from the index. */
  #wanted: number;
  /** Keys of the range as far as it was looked at, then of all of it. */
  #count = 0;
  #counting: CountWork | undefined;
  #metas: KeyMeta[] = [];
  #sort: SlicedSort<KeyMeta> | undefined;
  /** How many of `#metas` were read, of an order by value. */
  #valued = 0;
  #stripped = 0;
  #valueSort: SlicedSort<KeyValue> | undefined;
  #more = false;
  #kvs: KeyValue[] = [];
  readonly #slab = new Slab();

  /** @param revision what to read at; <= 0: the newest. */
  constructor(reader: KeyReader, request: RangeRequest, revision: number) {
    this.#reader = reader;
    this.#request = request;
    this.lowest = revision;
    this.#next = request.key;
    this.#wanted = fetchLimit(request);
    this.#phase = request.countOnly ? "count" : "keys";
  }

  /** Once `step` has returned true. */
  get response(): RangeResponse {
    if (this.#phase !== "done") fail("the range is not done", { phase: this.#phase });
    return { type: "range", kvs: this.#kvs, more: this.#more, count: this.#count };
  }

  /**
   * Does about `budget` units of work, at least one (`mvcc/work.ts`). True: done.
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
      case "keys":
        return this.#findKeys(budget);
      case "count":
        return this.#countKeys(budget);
      case "sort":
        return this.#sortKeys(budget);
      case "read":
        return this.#read(budget);
      case "readAll":
        return this.#readAll(budget);
      case "sortValues":
        return this.#sortValues(budget);
      case "strip":
        return this.#strip(budget);
      case "done":
        return 0;
      default:
        return unreachable(this.#phase);
    }
  }

  #findKeys(budget: number): number {
    const request = this.#request;
    const range = { key: this.#next, rangeEnd: request.rangeEnd };
    const page = this.#reader.page(range, this.lowest, { limit: this.#wanted, budget });
    for (const meta of page.metas) if (passes(request, meta)) this.#metas.push(meta);
    this.#count += page.metas.length;
    this.#wanted -= page.metas.length;
    if (page.next === undefined) this.#phase = this.#sorting;
    else if (this.#wanted === 0) this.#phase = "count";
    else this.#next = page.next;
    return page.work;
  }

  /** The whole range, from its first key on: the count of the rest may be known from the page before. */
  #countKeys(budget: number): number {
    this.#counting ??= this.#reader.startCount(this.#request, this.lowest);
    const work = this.#counting.isDone ? 1 : this.#counting.step(budget);
    if (this.#counting.isDone) {
      this.#count = this.#counting.count;
      this.#phase = this.#request.countOnly ? "done" : this.#sorting;
    }
    return work;
  }

  get #sorting(): Phase {
    return this.#request.sortTarget === "value" ? "readAll" : "sort";
  }

  #sortKeys(budget: number): number {
    const { sortOrder, sortTarget } = this.#request;
    if (sortTarget === "key") {
      if (sortOrder === "descend") this.#metas.reverse();
    } else {
      this.#sort ??= new SlicedSort(this.#metas, numberOrder(this.#request));
      if (!this.#sort.step(budget)) return budget;
      this.#metas = this.#sort.items;
      this.#sort = undefined;
    }
    this.#maybeCut(this.#metas);
    this.#phase = "read";
    return 1;
  }

  /** Leaves out what is beyond the limit. */
  #maybeCut(found: { length: number }): void {
    const { limit } = this.#request;
    if (limit <= 0 || found.length <= limit) return;
    found.length = limit;
    this.#more = true;
    this.#noteRest();
  }

  /** Whoever reads page by page asks next for what is behind the last key, and for its count. */
  #noteRest(): void {
    const { rangeEnd, limit, sortTarget } = this.#request;
    const last = this.#metas[limit - 1];
    // Only if it was cut in order of key: the wanted ones were then all that was taken from the index.
    if (last === undefined || sortTarget !== "key" || this.#wanted !== 0) return;
    this.#reader.noteRest(rangeEnd, this.lowest, last.key, this.#count - limit);
  }

  #read(budget: number): number {
    const metas = this.#metas;
    const kvs = this.#kvs;
    let work = 0;
    while (kvs.length < metas.length) {
      const meta = metas[kvs.length] as KeyMeta;
      if (this.#request.keysOnly) {
        kvs.push(withValue(meta, EMPTY_BYTES));
        work++;
      } else {
        const value = readValue(this.#reader, meta);
        kvs.push(withValue(meta, this.#slab.keep(value)));
        work += readingWork(value.length);
      }
      if (work >= budget) break;
    }
    if (kvs.length === metas.length) this.#phase = "done";
    return work;
  }

  #readAll(budget: number): number {
    const { limit, sortOrder } = this.#request;
    let work = 0;
    while (this.#valued < this.#metas.length) {
      const meta = this.#metas[this.#valued++] as KeyMeta;
      const value = readValue(this.#reader, meta);
      this.#kvs.push(withValue(meta, this.#slab.keep(value)));
      work += readingWork(value.length);
      // To know the first hundred of a million, most need not be kept. What was before another stays so: it is stable.
      if (limit > 0 && limit <= PRUNED_BY && this.#kvs.length >= limit + PRUNED_BY) {
        this.#kvs.sort(valueOrder(sortOrder));
        this.#maybeCut(this.#kvs);
        work += PRUNED_BY;
      }
      if (work >= budget) return work;
    }
    this.#phase = "sortValues";
    return work;
  }

  #sortValues(budget: number): number {
    const { sortOrder, keysOnly } = this.#request;
    this.#valueSort ??= new SlicedSort(this.#kvs, valueOrder(sortOrder));
    if (!this.#valueSort.step(budget)) return budget;
    this.#kvs = this.#valueSort.items;
    this.#maybeCut(this.#kvs);
    this.#phase = keysOnly ? "strip" : "done";
    return 1;
  }

  /** Takes out the values again, which were only to be sorted by. */
  #strip(budget: number): number {
    const end = Math.min(this.#kvs.length, this.#stripped + Math.ceil(budget));
    const work = end - this.#stripped + 1;
    for (; this.#stripped < end; this.#stripped++) {
      this.#kvs[this.#stripped] = { ...(this.#kvs[this.#stripped] as KeyValue), value: EMPTY_BYTES };
    }
    if (end === this.#kvs.length) this.#phase = "done";
    return work;
  }
}

/** Without an order asked for, a target other than the key means ascending. */
function numberOrder({ sortOrder, sortTarget }: RangeRequest): (a: KeyMeta, b: KeyMeta) => number {
  const sign = sortOrder === "descend" ? -1 : 1;
  switch (sortTarget) {
    case "version":
      return (a, b) => sign * (a.version - b.version);
    case "create":
      return (a, b) => sign * (a.createRevision - b.createRevision);
    case "mod":
      return (a, b) => sign * (a.modRevision - b.modRevision);
    default:
      return () => 0;
  }
}

function valueOrder(sortOrder: RangeRequest["sortOrder"]): (a: KeyValue, b: KeyValue) => number {
  const sign = sortOrder === "descend" ? -1 : 1;
  return (a, b) => sign * compareBytes(a.value, b.value);
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
