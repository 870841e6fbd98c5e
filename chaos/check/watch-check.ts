/**
 * What watchers were told against what happened: etcd's nine guarantees (reliability.md §3.3), and those
 * about compaction, about starting, and about delivery in the end. The history of all events is known by now,
 * so every watcher has one sequence that it must have received a beginning of; which guarantee a deviation
 * breaks is worked out for the message.
 */
import type { Event } from "../../src/pb/kv.ts";
import type { Findings, KvRule } from "./findings.ts";
import type { KvHistory, WatchAnswer, WatchRecord } from "./kv-history.ts";
import type { Model } from "./model.ts";
import { FROM_KEY, isInRange, latin1, sameKeyValue } from "./model-rules.ts";
import type { Timeline } from "./timeline.ts";
import { showEvent, showKeyValue, showWatch } from "./words.ts";

/** etcd: v3rpc/watch.go and mvcc/watcher.go; the wording is what clients see. */
const REASON = {
  emptyRange: "mvcc: watcher range is empty",
  duplicateId: "mvcc: duplicate watch ID provided on the WatchStream",
  compacted: "etcdserver: mvcc: required revision has been compacted",
} as const;

const OF_RIGHTS = /permission denied|auth/;

/** Checks all watchers. Returns the number of events that were looked at. */
export function checkWatches(
  history: KvHistory,
  model: Model,
  timeline: Timeline,
  findings: Findings,
): number {
  const events = new EventIndex(model);
  const floors = compactionsOf(history, timeline);
  let count = 0;
  for (const watch of history.watches) {
    const check = new WatcherCheck(watch, events, timeline, floors, findings);
    check.run();
    count += check.events;
  }
  return count;
}

/** What is wrong with an answer. */
interface Problem {
  readonly rule: KvRule;
  readonly text: string;
}

interface Placed {
  readonly name: string;
  readonly event: Event;
}

/** All events in order, and those of each key. */
class EventIndex {
  readonly all: Placed[] = [];
  readonly #byName = new Map<string, Placed[]>();

  constructor(model: Model) {
    for (const change of model.changes) {
      for (const event of change.events) {
        const placed = { name: latin1(event.kv.key), event };
        this.all.push(placed);
        const list = this.#byName.get(placed.name);
        if (list === undefined) this.#byName.set(placed.name, [placed]);
        else list.push(placed);
      }
    }
  }

  /** The shortest list that holds every event of a range. */
  listFor(key: string, rangeEnd: string): readonly Placed[] {
    return rangeEnd === "" ? (this.#byName.get(key) ?? []) : this.all;
  }
}

/** A compaction that may have been made: from when on, and whether it certainly was. */
interface KnownCompaction {
  readonly revision: number;
  readonly call: number;
}

function compactionsOf(history: KvHistory, timeline: Timeline): readonly KnownCompaction[] {
  const list: KnownCompaction[] = [];
  for (const { request, call, outcome } of history.operations) {
    if (request.type === "compaction" && outcome.type !== "refused")
      list.push({ revision: request.revision, call });
  }
  // Those of the members themselves.
  for (const { request, owner } of timeline.steps) {
    if (request.type === "compaction" && owner === undefined) {
      list.push({ revision: request.revision, call: Number.NEGATIVE_INFINITY });
    }
  }
  return list;
}

/** One watcher's answers, from the first to the last. */
class WatcherCheck {
  events = 0;
  readonly #watch: WatchRecord;
  readonly #index: EventIndex;
  readonly #timeline: Timeline;
  readonly #compactions: readonly KnownCompaction[];
  readonly #findings: Findings;
  readonly #key: string;
  readonly #rangeEnd: string;
  /** Where the next expected event is looked for. */
  readonly #expected: readonly Placed[];
  #at = 0;
  /** Lowest revision that it may be told of; 0: not created yet. */
  #start = 0;
  /** Of the last event; 0: none so far. */
  #lastRevision = 0;
  readonly #namesOfLast = new Set<string>();
  #bookmark = 0;
  #headerRevision = 0;
  #inFragments = false;
  #ended = false;

  constructor(
    watch: WatchRecord,
    index: EventIndex,
    timeline: Timeline,
    compactions: readonly KnownCompaction[],
    findings: Findings,
  ) {
    this.#watch = watch;
    this.#index = index;
    this.#timeline = timeline;
    this.#compactions = compactions;
    this.#findings = findings;
    // Without a key: from the smallest key there is; etcd makes it the byte 0.
    this.#key = watch.request.key.length === 0 ? "\0" : latin1(watch.request.key);
    this.#rangeEnd = latin1(watch.request.rangeEnd);
    this.#expected = this.#index.listFor(this.#key, this.#rangeEnd);
  }

  /** The first finding of a watcher makes the rest of its answers meaningless. */
  run(): void {
    for (const answer of this.#watch.answers) {
      const problem = this.#answer(answer);
      if (problem === undefined) continue;
      this.#report(problem, answer);
      return;
    }
    const problem = this.#finish();
    if (problem !== undefined) this.#report(problem, this.#watch.answers.at(-1));
  }

  #answer(answer: WatchAnswer): Problem | undefined {
    if (answer.at < this.#watch.call) return { rule: "watch protocol", text: "an answer before the call" };
    if (this.#ended) return { rule: "watch protocol", text: "an answer after it was cancelled" };
    if (this.#start === 0) return this.#create(answer);
    if (answer.created) return { rule: "watch protocol", text: "it is created twice" };
    if (answer.revision < this.#headerRevision) {
      const says = `the header goes back from revision ${this.#headerRevision} to ${answer.revision}`;
      return { rule: "watch bookmark", text: says };
    }
    this.#headerRevision = answer.revision;
    if (answer.canceled) return this.#cancel(answer);
    if (answer.events.length > 0) return this.#take(answer);
    return this.#progress(answer);
  }

  #create(answer: WatchAnswer): Problem | undefined {
    if (!answer.created) return { rule: "watch protocol", text: "something comes before `created`" };
    if (answer.events.length > 0) return { rule: "watch protocol", text: "`created` carries events" };
    const { startRevision } = this.#watch.request;
    this.#headerRevision = answer.revision;
    this.#start = startRevision > 0 ? startRevision : answer.revision + 1;
    const isEmpty = this.#rangeEnd !== "" && this.#rangeEnd !== FROM_KEY && this.#key >= this.#rangeEnd;
    let reason: string | undefined;
    if (startRevision < 0) reason = REASON.compacted;
    else if (isEmpty) reason = REASON.emptyRange;
    if (answer.canceled) {
      this.#ended = true;
      if (answer.cancelReason === reason) return undefined;
      if (reason !== undefined && startRevision < 0 && isEmpty && answer.cancelReason === REASON.emptyRange)
        return undefined;
      const isDuplicate = this.#watch.request.watchId !== 0 && answer.cancelReason === REASON.duplicateId;
      // Other reasons (permission, no leader) have nothing to do with keys.
      const isOfCircumstance =
        reason === undefined && !Object.values<string>(REASON).includes(answer.cancelReason);
      if (isDuplicate || isOfCircumstance) return undefined;
      return { rule: "watch protocol", text: `refused with "${answer.cancelReason}"` };
    }
    if (reason !== undefined) {
      return { rule: "watch protocol", text: `it should have been refused with "${reason}"` };
    }
    this.#at = firstAtOrAfter(this.#expected, this.#start);
    return undefined;
  }

  #cancel(answer: WatchAnswer): Problem | undefined {
    this.#ended = true;
    const { compactRevision, cancelReason } = answer;
    if (compactRevision <= 0) {
      if (answer.events.length > 0) return { rule: "watch protocol", text: "a cancel carries events" };
      const isAsked = this.#watch.cancelAsked <= answer.at && cancelReason === "";
      // A member may take a right away; that has nothing to do with keys.
      if (isAsked || OF_RIGHTS.test(cancelReason)) return undefined;
      return { rule: "watch protocol", text: `cancelled with "${cancelReason}", and nobody asked for it` };
    }
    const wanted = Math.max(this.#start, this.#lastRevision + 1, this.#bookmark + 1);
    const isKnown = this.#compactions.some(
      ({ revision, call }) => revision === compactRevision && call < answer.at,
    );
    if (!isKnown) {
      return { rule: "watch compaction", text: `nobody compacted at ${compactRevision} before` };
    }
    if (wanted >= compactRevision) {
      const says = `cancelled for the compaction at ${compactRevision}, but it is at ${wanted} already`;
      return { rule: "watch compaction", text: says };
    }
    const isBare = answer.cancelReason === "" && answer.events.length === 0;
    return isBare
      ? undefined
      : { rule: "watch compaction", text: "the cancel for a compaction has a reason or events" };
  }

  #progress(answer: WatchAnswer): Problem | undefined {
    if (answer.fragment || this.#inFragments) {
      return { rule: "watch atomic", text: "a progress report between fragments" };
    }
    const next = this.#next();
    if (next !== undefined && next.event.kv.modRevision <= answer.revision) {
      const says = `progress to revision ${answer.revision} before ${showEvent(next.event)} of it was told`;
      return { rule: "watch bookmark", text: says };
    }
    this.#bookmark = Math.max(this.#bookmark, answer.revision);
    return undefined;
  }

  #take(answer: WatchAnswer): Problem | undefined {
    for (const event of answer.events) {
      this.events++;
      const below = this.#floorProblem(event);
      if (below !== undefined) return below;
      const problem = this.#event(answer, event);
      if (problem !== undefined) return problem;
    }
    if (answer.revision < this.#lastRevision) {
      return { rule: "watch order", text: `the header is behind its event of ${this.#lastRevision}` };
    }
    if (answer.fragment && !this.#watch.request.fragment) {
      return { rule: "watch atomic", text: "a fragment that was not asked for" };
    }
    this.#inFragments = answer.fragment;
    if (answer.fragment) return undefined;
    const next = this.#next();
    if (next !== undefined && next.event.kv.modRevision === this.#lastRevision) {
      const says = `revision ${this.#lastRevision} is not complete: ${showEvent(next.event)} is missing`;
      return { rule: "watch atomic", text: says };
    }
    return undefined;
  }

  /** A member that had compacted when it created the watcher cannot know what is below. */
  #floorProblem(event: Event): Problem | undefined {
    const floor = this.#floorAtCreation();
    if (this.#start >= floor) return undefined;
    const text = `it starts below the floor ${floor}, but is told ${showEvent(event)}`;
    return { rule: "watch compaction", text };
  }

  /** The least that the floor can have been: compactions of the very revision may have come later. */
  #floorAtCreation(): number {
    const created = this.#watch.answers[0];
    const place = created === undefined ? undefined : this.#timeline.startOf(created.revision);
    return place === undefined ? -1 : this.#timeline.floorAt(place);
  }

  #event(answer: WatchAnswer, event: Event): Problem | undefined {
    const name = latin1(event.kv.key);
    const revision = event.kv.modRevision;
    const expected = this.#next();
    if (expected !== undefined && expected.name === name && expected.event.kv.modRevision === revision) {
      const problem = this.#contentProblem(answer, event, expected.event);
      if (problem !== undefined) return problem;
      this.#at++;
      if (revision !== this.#lastRevision) this.#namesOfLast.clear();
      this.#lastRevision = revision;
      this.#namesOfLast.add(name);
      return undefined;
    }
    return this.#deviation(event, name, expected?.event);
  }

  /** Which guarantee an event breaks that is not the expected one. */
  #deviation(event: Event, name: string, expected: Event | undefined): Problem {
    const revision = event.kv.modRevision;
    const told = showEvent(event);
    if (!isInRange(name, this.#key, this.#rangeEnd) || this.#isFiltered(event)) {
      return { rule: "watch filter", text: `${told} was not asked for` };
    }
    if (revision < this.#start) {
      return { rule: "watch older than asked", text: `${told}, it starts at ${this.#start}` };
    }
    if (revision === this.#lastRevision && this.#namesOfLast.has(name)) {
      return { rule: "watch unique", text: `${told} was told before` };
    }
    if (revision < this.#lastRevision) {
      return { rule: "watch order", text: `${told} after revision ${this.#lastRevision}` };
    }
    if (revision <= this.#bookmark) {
      return { rule: "watch bookmark", text: `${told} after progress to ${this.#bookmark}` };
    }
    if (expected === undefined || revision < expected.kv.modRevision) {
      return { rule: "watch event", text: `${told} never happened` };
    }
    const rule = this.#lastRevision === 0 ? "watch resume" : "watch reliable";
    return { rule, text: `${told}, but before it comes ${showEvent(expected)}` };
  }

  #contentProblem(answer: WatchAnswer, event: Event, expected: Event): Problem | undefined {
    if (event.type !== expected.type || !sameKeyValue(event.kv, expected.kv)) {
      return { rule: "watch event", text: `${showEvent(event)}, it should be ${showEvent(expected)}` };
    }
    const wanted = this.#watch.request.prevKv ? expected.prevKv : undefined;
    if (sameKeyValue(event.prevKv, wanted)) return undefined;
    // What was before may be compacted by the time it is read.
    const before = event.kv.modRevision - 1;
    const isGone = this.#compactions.some(({ revision, call }) => revision > before && call < answer.at);
    if (event.prevKv === undefined && isGone) return undefined;
    const text = `${showEvent(event)}: prevKv should be ${showKeyValue(wanted)}`;
    return { rule: "watch prevKv", text };
  }

  /** The next event that it must be told of; undefined: there is none. */
  #next(): Placed | undefined {
    for (; this.#at < this.#expected.length; this.#at++) {
      const placed = this.#expected[this.#at] as Placed;
      if (isInRange(placed.name, this.#key, this.#rangeEnd) && !this.#isFiltered(placed.event)) return placed;
    }
    return undefined;
  }

  #isFiltered(event: Event): boolean {
    const { noPut, noDelete } = this.#watch.request;
    return event.type === "put" ? noPut : noDelete;
  }

  #finish(): Problem | undefined {
    if (!this.#watch.mustReachEnd || this.#ended) return undefined;
    if (this.#start === 0) return { rule: "watch delivery", text: "it was never created" };
    const floor = this.#floorAtCreation();
    if (this.#start < floor) {
      return {
        rule: "watch compaction",
        text: `it starts below the floor ${floor}, but was never cancelled`,
      };
    }
    const next = this.#next();
    if (next === undefined) return undefined;
    return { rule: "watch delivery", text: `it was never told ${showEvent(next.event)}` };
  }

  #report(problem: Problem, answer: WatchAnswer | undefined): void {
    const at = answer?.at ?? this.#watch.call;
    const revisions = answer === undefined ? [] : [answer.revision];
    this.#findings.add(problem.rule, `${showWatch(this.#watch)} at ${at}: ${problem.text}`, {
      watches: [this.#watch],
      revisions,
      at,
    });
  }
}

function firstAtOrAfter(list: readonly Placed[], revision: number): number {
  let lo = 0;
  let hi = list.length;
  while (lo < hi) {
    const middle = (lo + hi) >> 1;
    if ((list[middle] as Placed).event.kv.modRevision < revision) lo = middle + 1;
    else hi = middle;
  }
  return lo;
}
