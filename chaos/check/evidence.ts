/**
 * What clients saw of revisions whose request is not known: events of watchers, keys of reads, keys of the
 * final dumps. Only needed without a log.
 */
import type { Event, KeyValue } from "../../src/pb/kv.ts";
import type { ClientResponse, KvHistory, WatchRecord } from "./kv-history.ts";
import { FROM_KEY, latin1 } from "./model-rules.ts";

export class Evidence {
  readonly #knownBy: number[] = [];
  readonly #events = new Map<number, Map<string, Event>>();
  /** Revisions [from, to] of which a watcher of everything was told. */
  readonly #complete: { readonly from: number; readonly to: number }[] = [];
  /** The highest revision that anybody spoke of. */
  #lastRevision = 1;

  /** @param isOwned whether the request behind a revision is known; then nothing is kept of it. */
  constructor(history: KvHistory, isOwned: (revision: number) => boolean) {
    // Who is told of everything also knows in which order it was; so these come first.
    const isOfAll = (watch: WatchRecord): boolean => this.#noteCompleteness(watch);
    const watches = [...history.watches.filter(isOfAll), ...history.watches];
    for (const { answers } of watches) {
      for (const { revision, at, events } of answers) {
        this.#know(revision, at);
        this.#lastRevision = Math.max(this.#lastRevision, revision);
        for (const event of events) if (!isOwned(event.kv.modRevision)) this.#add(event);
      }
    }
    for (const { outcome, request, returned } of history.operations) {
      if (outcome.type !== "ok") continue;
      this.#know(outcome.revision, returned);
      const hidesValues = request.type === "txn" || (request.type === "range" && request.keysOnly);
      if (!hidesValues) this.#addKeys(outcome.response, isOwned);
    }
    for (const dump of history.dumps) {
      this.#lastRevision = Math.max(this.#lastRevision, dump.revision);
      for (const kv of dump.kvs) if (!isOwned(kv.modRevision)) this.#addKey(kv);
    }
    let by = Number.POSITIVE_INFINITY;
    for (let revision = this.#knownBy.length - 1; revision > 0; revision--) {
      by = Math.min(by, this.knownBy(revision));
      this.#knownBy[revision] = by;
    }
  }

  get lastRevision(): number {
    return this.#lastRevision;
  }

  /** When somebody had been told of a revision or of a later one; Infinity: nobody was. */
  knownBy(revision: number): number {
    return this.#knownBy[revision] ?? Number.POSITIVE_INFINITY;
  }

  #know(revision: number, at: number): void {
    this.#knownBy[revision] = Math.min(this.#knownBy[revision] ?? Number.POSITIVE_INFINITY, at);
  }

  /** Whether `at` gives all that happened at a revision. */
  isComplete(revision: number): boolean {
    return this.#complete.some(({ from, to }) => from <= revision && revision <= to);
  }

  #noteCompleteness(watch: WatchRecord): boolean {
    const { key, rangeEnd, noPut, noDelete, startRevision } = watch.request;
    const isOfAll = (key.length === 0 || latin1(key) === FROM_KEY) && latin1(rangeEnd) === FROM_KEY;
    const created = watch.answers[0];
    if (!isOfAll || noPut || noDelete || created === undefined) return false;
    const from = startRevision > 0 ? startRevision : created.revision + 1;
    const to = watch.answers.findLast((answer) => answer.events.length > 0 && !answer.fragment);
    this.#complete.push({ from, to: to?.events.at(-1)?.kv.modRevision ?? 0 });
    return true;
  }

  /** What was seen of a revision; all of it if it is complete. */
  at(revision: number): readonly Event[] {
    return [...(this.#events.get(revision)?.values() ?? [])];
  }

  #addKeys(response: ClientResponse, isOwned: (revision: number) => boolean): void {
    if (response.type === "range") {
      for (const kv of response.kvs) if (!isOwned(kv.modRevision)) this.#addKey(kv);
    }
    if (response.type === "put" && response.prevKv !== undefined && !isOwned(response.prevKv.modRevision)) {
      this.#addKey(response.prevKv);
    }
  }

  #addKey(kv: KeyValue): void {
    this.#add({ type: "put", kv, prevKv: undefined });
  }

  #add(event: Event): void {
    const revision = event.kv.modRevision;
    const events = this.#events.get(revision) ?? new Map<string, Event>();
    this.#events.set(revision, events);
    // A txn may delete a key and put it again.
    events.set(`${event.type} ${latin1(event.kv.key)}`, event);
    this.#lastRevision = Math.max(this.#lastRevision, revision);
  }
}
