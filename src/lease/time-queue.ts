/**
 * IDs waiting for their time, earliest first. Times only move later, and they do so at every keepalive, so an
 * entry of the heap is not moved then: it keeps the time it was filed under, and is filed again when it comes
 * to the front too early. A renewal costs no heap operation, and the heap holds one entry per ID.
 *
 * What was deleted stays in the heap until its time, or until it is more than half of it. Without that bound
 * a client that grants leases of 285 years and revokes them would fill the memory.
 */
import { compareIds, fail, Heap, hex } from "../base/index.ts";
import type { MonoMs } from "../env/index.ts";

/** Below so many entries the heap is not rebuilt. */
const MIN_REBUILD = 64;

interface Entry {
  readonly id: bigint;
  /** When it is due. */
  at: MonoMs;
  /** What the heap orders it by. Invariant: <= at. */
  filed: MonoMs;
  live: boolean;
}

export class TimeQueue {
  readonly #entries = new Map<bigint, Entry>();
  /** Invariant: holds every live entry once. */
  #heap = new Heap<Entry>(before);

  get size(): number {
    return this.#entries.size;
  }

  has(id: bigint): boolean {
    return this.#entries.has(id);
  }

  /** The ID must not be there. */
  add(id: bigint, at: MonoMs): void {
    if (this.#entries.has(id)) fail("already waits", { id: hex(id) });
    const entry: Entry = { id, at, filed: at, live: true };
    this.#entries.set(id, entry);
    this.#heap.push(entry);
  }

  /** Moves an ID that waits to the same time or a later one. */
  postpone(id: bigint, at: MonoMs): void {
    const entry = this.#entries.get(id) ?? fail("does not wait", { id: hex(id) });
    if (at < entry.at) fail("time moved back", { id: hex(id), at, was: entry.at });
    entry.at = at;
  }

  /** Deleting what is not there is no error. */
  delete(id: bigint): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    entry.live = false;
    this.#entries.delete(id);
    if (this.#heap.size <= MIN_REBUILD || this.#heap.size <= 2 * this.#entries.size) return;
    this.#heap = new Heap<Entry>(before);
    for (const left of this.#entries.values()) this.#file(left);
  }

  clear(): void {
    this.#entries.clear();
    this.#heap = new Heap<Entry>(before);
  }

  /** The earliest ID, if it is due; ties go to the lower ID. It stays until it is postponed or deleted. */
  due(now: MonoMs): bigint | undefined {
    const entry = this.#first();
    return entry !== undefined && entry.at <= now ? entry.id : undefined;
  }

  /** When the earliest ID is due; Infinity: there is none. */
  next(): MonoMs {
    return this.#first()?.at ?? Number.POSITIVE_INFINITY;
  }

  /** @throws AssertionError */
  checkInvariants(): void {
    const { size } = this.#heap;
    if (size < this.#entries.size) fail("an ID is missing in the heap", { size });
    const most = Math.max(MIN_REBUILD, 2 * this.#entries.size) + 1;
    if (size > most) fail("too many deleted entries", { size, most });
    for (const { id, at, filed, live } of this.#entries.values()) {
      if (filed > at) fail("filed too late", { id: hex(id), at, filed });
      if (!live) fail("deleted entry waits", { id: hex(id) });
    }
  }

  /** The entry at the front, filed under its present time. */
  #first(): Entry | undefined {
    for (;;) {
      const entry = this.#heap.peek();
      if (entry === undefined || (entry.live && entry.filed === entry.at)) return entry;
      this.#heap.pop();
      if (entry.live) this.#file(entry);
    }
  }

  #file(entry: Entry): void {
    entry.filed = entry.at;
    this.#heap.push(entry);
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.filed < b.filed || (a.filed === b.filed && compareIds(a.id, b.id) < 0);
}
