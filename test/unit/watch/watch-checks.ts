/**
 * The nine properties that etcd's robustness tests ask of a watch (reliability.md §3.3), for one watcher: filter,
 * ordered, unique, atomic, bookmarkable, resumable, reliable, prevKv, isCreate. The truth is the list of all change
 * sets; what a watcher saw is compared with what somebody who reads that list would write down.
 */
import type { Event } from "../../../src/pb/kv.ts";
import type { WatchCreate, WatchOutput } from "../../../src/watch/index.ts";
import { type DumbStore, isInRange } from "../../support/dumb-store.ts";
import { eventsOf, showEvent } from "./watch-kit.ts";

export class WatchViolation extends Error {}

export class WatcherRecord {
  readonly request: WatchCreate;
  /** First revision that it is to see; of a watch from now on, what the header of `created` says, and one. */
  #start: number;
  #isCreated = false;
  #isOpen = true;
  #isCompacted = false;
  readonly #events: Event[] = [];
  /** Revision of the last event or progress report. */
  #reached = 0;
  #progress = 0;
  #header = 0;
  /** The last output said that more of it follows. */
  #isSplit = false;

  constructor(request: WatchCreate) {
    this.request = request;
    this.#start = request.startRevision;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get seen(): number {
    return this.#events.length;
  }

  /** The next output with its ID. @throws WatchViolation */
  take(output: WatchOutput, store: DumbStore): void {
    if (!this.#isOpen) this.#fail("an output after canceled");
    if (output.revision < this.#header) this.#fail("the header goes back");
    if (output.revision > store.revision) this.#fail("a header of the future");
    this.#header = output.revision;
    if (output.created) {
      if (this.#isCreated) this.#fail("created twice");
      this.#isCreated = true;
      if (this.#start === 0) this.#start = output.revision + 1;
      this.#isOpen = !output.canceled;
      return;
    }
    if (!this.#isCreated) this.#fail("something before created");
    if (this.#isSplit && output.events.length === 0) this.#fail("a fragment is missing");
    if (output.canceled) {
      this.#isOpen = false;
      if (output.compactRevision > Math.max(0, store.compactRevision))
        this.#fail("compacted further than the store");
      this.#isCompacted = output.compactRevision > 0;
    } else if (output.events.length === 0) {
      this.progress(output.revision);
    } else {
      this.#takeEvents(output, store);
    }
  }

  /** A report that all events up to the revision were sent. */
  progress(revision: number): void {
    // A report of the stream may have been queued before this watcher was.
    if (!this.#isCreated || !this.#isOpen) return;
    if (revision < this.#reached) this.#fail(`bookmarkable: progress ${revision} after ${this.#reached}`);
    if (revision < this.request.startRevision) this.#fail("bookmarkable: progress before the start");
    this.#progress = revision;
    this.#reached = revision;
  }

  /** Compares all that was seen with the truth. @param isComplete whether everything up to now was delivered */
  finish(store: DumbStore, isComplete: boolean): void {
    if (this.#isSplit && isComplete) this.#fail("the last fragment is missing");
    const wanted = this.#replay(store);
    for (const [i, event] of this.#events.entries()) {
      const want = wanted[i];
      if (want === undefined) this.#fail(`reliable: ${showEvent(event)} is too much`);
      if (plain(event) !== plain(want)) {
        this.#fail(`reliable: ${showEvent(event)} in the place of ${showEvent(want)}`);
      }
      if (event.prevKv !== undefined || !this.request.prevKv || want.prevKv === undefined) {
        if (words(event.prevKv) !== words(this.request.prevKv ? want.prevKv : undefined)) {
          this.#fail(`prevKv: ${showEvent(event)}, not ${showEvent(want)}`);
        }
      } else if (event.kv.modRevision - 1 >= store.compactRevision) {
        this.#fail(`prevKv: missing in ${showEvent(event)}`);
      }
    }
    const first = wanted[this.#events.length];
    if (first !== undefined && isComplete && this.#isOpen) this.#fail(`lost: ${showEvent(first)}`);
    if (first !== undefined && first.kv.modRevision <= this.#progress) {
      this.#fail(`bookmarkable: ${showEvent(first)} was left out`);
    }
    if (this.#isCompacted && this.#start >= store.compactRevision && this.#start > 0) {
      this.#fail("canceled above the floor");
    }
  }

  #takeEvents(output: WatchOutput, store: DumbStore): void {
    const events = eventsOf(output);
    for (const event of events) {
      const { key, modRevision } = event.kv;
      const { noPut, noDelete } = this.request;
      if (!isInRange(key, this.request)) this.#fail(`filter: ${showEvent(event)} is out of range`);
      if (event.type === "put" ? noPut : noDelete) this.#fail(`filter: ${showEvent(event)}`);
      if (modRevision > output.revision || modRevision > store.revision) this.#fail("an event of the future");
      if (modRevision < this.#reached) this.#fail(`ordered: ${showEvent(event)} after ${this.#reached}`);
      if (modRevision <= this.#progress) this.#fail(`bookmarkable: ${showEvent(event)}`);
      const isNew = event === events[0] && !this.#isSplit;
      if (isNew && modRevision === this.#reached) this.#fail(`atomic: ${showEvent(event)} comes alone`);
      this.#reached = modRevision;
      this.#events.push(event);
    }
    this.#isSplit = output.fragment;
    if (output.fragment && !this.request.fragment) this.#fail("a fragment that nobody asked for");
  }

  #replay(store: DumbStore): Event[] {
    const { noPut, noDelete } = this.request;
    const events: Event[] = [];
    for (const { revision, changes } of store.sets) {
      if (!this.#isCreated || revision < this.#start) continue;
      for (const { type, meta, previous } of changes) {
        if (!isInRange(meta.key, this.request) || (type === "put" ? noPut : noDelete)) continue;
        const prevKv = previous === undefined ? undefined : store.keyValue(previous);
        events.push({ type, kv: store.keyValue(meta), prevKv });
      }
    }
    return events;
  }

  #fail(reason: string): never {
    const { startRevision, watchId, ...wishes } = this.request;
    throw new WatchViolation(`${reason} (start ${startRevision}, ${JSON.stringify(wishes)})`);
  }
}

function plain(event: Event): string {
  return `${event.type} ${words(event.kv)}`;
}

function words(kv: Event["kv"] | undefined): string {
  if (kv === undefined) return "nothing";
  const { key, value, createRevision, modRevision, version, lease } = kv;
  return [key, value, createRevision, modRevision, version, lease].map(String).join("/");
}
