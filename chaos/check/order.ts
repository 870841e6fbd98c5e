/**
 * The order of the requests that changed the store. With the log at hand it is read off; for a real cluster
 * it is found from the answers: a revision belongs to the write that was answered with it, and one that
 * nobody was answered with belongs to a write of unknown fate that explains everything that was seen of it
 * (reliability.md §3.2 C1, point 1).
 */
import { EMPTY_BYTES, equalBytes, hex } from "../../src/base/index.ts";
import type { Event, KvRequest, LeaseGrantResponse, TxnResponse } from "../../src/pb/kv.ts";
import type { Evidence } from "./evidence.ts";
import type { Findings } from "./findings.ts";
import { type ClientRequest, isReadOnly, type KvHistory, type KvOperation } from "./kv-history.ts";
import type { Model } from "./model.ts";
import { compareBytes, isInRange, latin1 } from "./model-rules.ts";
import { showEvent, showOperation } from "./words.ts";

/** A TTL in the units of time of a history. */
const US_PER_SECOND = 1_000_000;

/** One request in the order of execution. */
export interface Step {
  readonly request: KvRequest;
  /**
   * undefined: a request of the members themselves. May change as long as steps are asked for
   * (`InferredOrder`).
   */
  owner: KvOperation | undefined;
}

/** Gives the steps one after the other; each is executed on the model before the next is asked for. */
export interface StepSource {
  next(model: Model): Step | undefined;
}

/** What was seen of a revision. */
interface Seen {
  readonly events: readonly Event[];
  /** There was nothing else. */
  readonly isAll: boolean;
  /** When somebody had been told of it, or of a later one. */
  readonly by: number;
}

/** The steps of a log. A request that is in it twice takes effect once. */
export function logOrder(history: KvHistory, findings: Findings): StepSource {
  const byId = new Map(history.operations.map((operation) => [operation.id, operation]));
  const seen = new Set<string>();
  const owners = new Set<number>();
  const steps: Step[] = [];
  for (const record of history.log ?? []) {
    if (seen.has(record.identity)) continue;
    seen.add(record.identity);
    const { request, operation } = record;
    const owner = operation === undefined ? undefined : byId.get(operation);
    if (owner === undefined) {
      if (operation !== undefined || !isOfMembers(request)) {
        findings.add("phantom write", `log record ${record.index}: a ${request.type} that nobody asked for`, {
          at: record.at,
        });
      }
    } else {
      const name = `log record ${record.index}, ${showOperation(owner)}`;
      const about = { operations: [owner], at: record.at };
      if (owners.has(owner.id)) findings.add("revision owned twice", `${name}: it is there before`, about);
      owners.add(owner.id);
      if (!isSameRequest(owner.request, request)) {
        findings.add("wrong log record", `${name}: the record holds another request`, about);
      }
      if (owner.call > record.at) {
        findings.add("took effect before it was called", `${name}: committed at ${record.at}`, about);
      }
    }
    steps.push({ request, owner });
  }
  for (const operation of history.operations) {
    if (operation.outcome.type !== "ok" || isReadOnly(operation.request) || owners.has(operation.id))
      continue;
    findings.add("lost acknowledged write", `${showOperation(operation)}: it is not in the log`, {
      operations: [operation],
    });
  }
  let at = 0;
  return { next: () => steps[at++] };
}

/** Members revoke expired leases, checkpoint them, and raise the alarm. */
function isOfMembers(request: KvRequest): boolean {
  return request.type === "leaseRevoke" || request.type === "leaseCheckpoint" || request.type === "alarm";
}

/** Whether a log record carries what the client asked; the member may have chosen ID and TTL of a lease. */
function isSameRequest(asked: ClientRequest, logged: KvRequest): boolean {
  if (asked.type === "leaseGrant" && logged.type === "leaseGrant") {
    return (asked.id === 0n || asked.id === logged.id) && asked.ttl <= logged.ttl;
  }
  return isSameData(asked, logged);
}

/** Deep equality of plain data: numbers, texts, bigints, bytes, arrays and objects of them. */
function isSameData(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (a instanceof Uint8Array && b instanceof Uint8Array) return equalBytes(a, b);
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  const [mine, other] = [Object.entries(a), new Map(Object.entries(b))];
  return mine.length === other.size && mine.every(([name, value]) => isSameData(value, other.get(name)));
}

/** The order that answers and evidence give. */
export class InferredOrder implements StepSource {
  readonly #findings: Findings;
  readonly #evidence: Evidence;
  /** By the revision that the answer says they made. */
  readonly #owned = new Map<number, KvOperation>();
  /** Without a revision of their own, by the revision that they were made at, in order. */
  readonly #between = new Map<number, KvOperation[]>();
  /** Revokes whose answer leaves open whether they made the revision of its header. */
  readonly #revokes = new Map<number, KvOperation[]>();
  /** Of unknown fate, in order of call. */
  readonly #unknown = new Set<KvOperation>();
  /** Steps that were given to one of them; all have the same effect there, so the choice may be revised. */
  readonly #taken = new Map<KvOperation, { readonly step: Step; readonly makers: readonly KvOperation[] }>();
  /** Those of them that an expired lease explains as well. */
  readonly #mayBeExpiry = new Set<Step>();
  /** Who wrote a value, among all writes: values are unique. */
  readonly #writers = new Map<string, KvOperation>();
  /** The last grant of each lease. */
  readonly #grants = new Map<bigint, { readonly call: number; readonly ttl: number }>();
  /** Leases that were lost by a guess, which may be wrong, and their TTL. */
  readonly #doubtful = new Map<bigint, number>();
  #unknownGrants = 0;
  readonly #queue: Step[] = [];
  readonly #lastRevision: number;
  #gap = 0;

  constructor(history: KvHistory, evidence: Evidence, findings: Findings) {
    this.#findings = findings;
    this.#evidence = evidence;
    let last = evidence.lastRevision;
    const unknown: KvOperation[] = [];
    for (const operation of history.operations) {
      const { outcome, request } = operation;
      if (!isReadOnly(request)) for (const value of valuesOf(request)) this.#writers.set(value, operation);
      if (outcome.type === "ok") {
        last = Math.max(last, outcome.revision);
        this.#file(operation, outcome.revision);
      } else if (outcome.type !== "refused" && !isReadOnly(request)) unknown.push(operation);
    }
    for (const operation of unknown.sort((a, b) => a.call - b.call)) {
      this.#unknown.add(operation);
      if (operation.request.type === "leaseGrant") this.#unknownGrants++;
    }
    this.#lastRevision = last;
  }

  next(model: Model): Step | undefined {
    for (;;) {
      this.#arrangeLeases(model);
      const next = this.#queue.shift();
      if (next !== undefined) {
        const { request, owner } = next;
        if (request.type === "leaseGrant" && owner !== undefined) {
          this.#grants.set(request.id, { call: owner.call, ttl: request.ttl });
        }
        return next;
      }
      if (this.#gap < model.revision) {
        this.#gap = model.revision;
        this.#queueGap(model);
      } else {
        if (model.revision >= this.#lastRevision || !this.#queueRevision(model)) return undefined;
      }
    }
  }

  #file(operation: KvOperation, revision: number): void {
    const { request } = operation;
    const isBetween =
      request.type === "compaction" || request.type === "leaseGrant" || request.type === "alarm";
    if (isBetween) push(this.#between, revision, operation);
    else if (request.type === "leaseRevoke") push(this.#revokes, revision, operation);
    else if (saysItChanged(operation)) {
      const other = this.#owned.get(revision);
      if (other !== undefined) {
        this.#findings.add(
          "revision owned twice",
          `revision ${revision}: ${showOperation(operation)} and ${showOperation(other)}`,
          { operations: [operation, other], revisions: [revision] },
        );
      }
      this.#owned.set(revision, operation);
    }
  }

  /** What happened at a revision without making one, in an order that real time allows. */
  #queueGap(model: Model): void {
    const { revision } = model;
    const operations = [...(this.#between.get(revision) ?? [])];
    for (const revoke of this.#revokes.get(revision) ?? []) {
      // It made this revision itself.
      if (this.#owned.get(revision) !== revoke) operations.push(revoke);
    }
    const compactions = operations.filter((operation) => operation.request.type === "compaction");
    compactions.sort((a, b) => compactedAt(a) - compactedAt(b));
    // A moment inside each operation at which it may have happened: compactions in order of what they
    // compact.
    const moment = new Map(operations.map((operation) => [operation, operation.call]));
    let previous = 0;
    for (const compaction of compactions) {
      previous = Math.max(previous, compaction.call);
      moment.set(compaction, previous);
    }
    // Compactions first, in their order, so that equal moments leave it.
    operations.sort((a, b) => compactedAt(a) - compactedAt(b));
    operations.sort((a, b) => (moment.get(a) ?? 0) - (moment.get(b) ?? 0));
    for (const operation of operations) this.#push(operation);
  }

  /** A grant and a revoke of one lease that overlap in time have the order in which both are possible. */
  #arrangeLeases(model: Model): void {
    const head = this.#queue[0];
    if (head?.owner === undefined) return;
    const { request, owner } = head;
    if (request.type !== "leaseGrant" && request.type !== "leaseRevoke") return;
    if (model.hasLease(request.id) === (request.type === "leaseRevoke")) return;
    const other = this.#queue.findIndex(
      (step) =>
        (step.request.type === "leaseGrant" || step.request.type === "leaseRevoke") &&
        step.request.type !== request.type &&
        step.request.id === request.id &&
        (step.owner?.call ?? 0) < owner.returned,
    );
    if (other > 0) this.#queue.unshift(...this.#queue.splice(other, 1));
    else this.#expireBefore(owner, model);
  }

  /** A lease without keys runs out without a trace; that its ID can be granted again shows that it did. */
  #expireBefore(operation: KvOperation, model: Model): void {
    const granted = leaseOf(operation);
    if (granted === undefined) return;
    const before = this.#grants.get(granted.id);
    if (before === undefined || !model.hasLease(granted.id) || model.keysOfLease(granted.id).length > 0)
      return;
    const hasRunOut = operation.returned - before.call >= before.ttl * US_PER_SECOND;
    if (hasRunOut || this.#unknownRevoke(granted.id)) this.#queueRevoke(granted.id);
  }

  /** Queues the request that made the next revision, and what it needs; false: there is none. */
  #queueRevision(model: Model): boolean {
    const revision = model.revision + 1;
    const seen: Seen = {
      events: this.#evidence.at(revision),
      isAll: this.#evidence.isComplete(revision),
      by: this.#evidence.knownBy(revision),
    };
    const owner = this.#owned.get(revision) ?? this.#revokeThatMade(revision, seen, model);
    if (owner !== undefined) {
      if (this.#isLeaseInDoubt) this.#grantFor(owner.request, model);
      this.#push(owner);
      return true;
    }
    if (this.#queueUnknown(seen, model)) return true;
    const expired = this.#expiryThatMade(seen, model);
    if (expired !== undefined) {
      this.#queueRevoke(expired);
      return true;
    }
    this.#reportPhantom(revision, seen);
    return false;
  }

  #revokeThatMade(revision: number, seen: Seen, model: Model): KvOperation | undefined {
    const revoke = this.#revokes.get(revision)?.find((operation) => this.#isMaker(operation, seen, model));
    if (revoke !== undefined) this.#owned.set(revision, revoke);
    return revoke;
  }

  /** The lease whose end explains what was seen. */
  #expiryThatMade(seen: Seen, model: Model): bigint | undefined {
    return model.leases().find((lease) => explains(seen, lease.keys.map(deletion)))?.id;
  }

  /** Queues a write of unknown fate that explains what was seen; false: there is none. */
  #queueUnknown(seen: Seen, model: Model): boolean {
    const makers = this.#makersOf(seen, model);
    for (const maker of makers) {
      const step = this.#stepOf(maker);
      if (step === undefined || !this.#give(step, makers, new Set())) continue;
      if (this.#expiryThatMade(seen, model) !== undefined) this.#mayBeExpiry.add(step);
      this.#grantFor(maker.request, model);
      if (maker.request.type === "leaseRevoke") {
        this.#doubtful.set(maker.request.id, this.#grants.get(maker.request.id)?.ttl ?? 0);
      }
      this.#queue.push(step);
      return true;
    }
    return false;
  }

  #makersOf(seen: Seen, model: Model): readonly KvOperation[] {
    const put = seen.events.find((event) => event.type === "put");
    // Values are unique, so their writer is the only candidate; but a put may leave the value as it was.
    const writer = put === undefined ? undefined : this.#writers.get(latin1(put.kv.value));
    const isFree = writer !== undefined && this.#unknown.has(writer) && !this.#taken.has(writer);
    if (isFree && this.#isMaker(writer, seen, model)) return [writer];
    const first = seen.events[0];
    const name = first === undefined ? undefined : latin1(first.kv.key);
    const makers: KvOperation[] = [];
    for (const operation of this.#unknown) {
      const { request } = operation;
      if (name !== undefined && (request.type === "put" || request.type === "deleteRange")) {
        const rangeEnd = request.type === "put" ? "" : latin1(request.rangeEnd);
        const isOfType = request.type === (put === undefined ? "deleteRange" : "put");
        if (!isOfType || !isInRange(name, latin1(request.key), rangeEnd)) continue;
      }
      if (this.#isMaker(operation, seen, model)) makers.push(operation);
    }
    // A revoke takes the lease with it, so it is the last to be blamed for a delete.
    const isRevoke = ({ request }: KvOperation): boolean => request.type === "leaseRevoke";
    return [...makers.filter((maker) => !isRevoke(maker)), ...makers.filter(isRevoke)];
  }

  /**
   * Gives a step to one of its makers; if all have another, one of those is given away if it can be (Kuhn's
   * way).
   */
  #give(step: Step, makers: readonly KvOperation[], tried: Set<KvOperation>): boolean {
    for (const maker of makers) {
      if (this.#taken.has(maker)) continue;
      this.#take(step, maker, makers);
      return true;
    }
    for (const maker of makers) {
      const taken = this.#taken.get(maker);
      if (taken === undefined || tried.has(maker)) continue;
      tried.add(maker);
      if (!this.#give(taken.step, taken.makers, tried)) {
        if (!this.#mayBeExpiry.has(taken.step)) continue;
        taken.step.owner = undefined;
      }
      this.#take(step, maker, makers);
      return true;
    }
    return false;
  }

  #take(step: Step, maker: KvOperation, makers: readonly KvOperation[]): void {
    step.owner = maker;
    this.#taken.set(maker, { step, makers });
  }

  #isMaker({ request, call }: KvOperation, seen: Seen, model: Model): boolean {
    if (call >= seen.by) return false;
    if (request.type === "leaseRevoke") {
      const keys = model.keysOfLease(request.id);
      return explains(seen, keys.map(deletion));
    }
    if (request.type !== "put" && request.type !== "deleteRange" && request.type !== "txn") return false;
    const changes = model.preview(request);
    if (!explains(seen, changes)) return false;
    return leasesOf(changes).every((id) => model.hasLease(id) || this.#mayHaveLease(id));
  }

  /** Whether a lease that the model does not have may be there all the same. */
  #mayHaveLease(id: bigint): boolean {
    return this.#doubtful.has(id) || this.#unknownGrant(id) !== undefined;
  }

  /**
   * Whether there is any lease of which it is not known whether it is there; else nothing has to be granted.
   */
  get #isLeaseInDoubt(): boolean {
    return this.#doubtful.size > 0 || this.#unknownGrants > 0;
  }

  /**
   * A lease that is used was granted, though nobody heard of it, and was not lost where that is only guessed.
   */
  #grantFor(request: ClientRequest, model: Model): void {
    if (request.type !== "put" && request.type !== "txn") return;
    for (const id of leasesOf(model.preview(request))) {
      if (model.hasLease(id)) continue;
      const grant = this.#unknownGrant(id);
      const ttl = this.#doubtful.get(id);
      if (grant !== undefined) {
        this.#unknown.delete(grant);
        this.#unknownGrants--;
        this.#push(grant);
      } else if (ttl !== undefined) {
        this.#queue.push({ request: { type: "leaseGrant", id, ttl }, owner: undefined });
      }
    }
  }

  #unknownRevoke(id: bigint): boolean {
    for (const { request } of this.#unknown)
      if (request.type === "leaseRevoke" && request.id === id) return true;
    return false;
  }

  #unknownGrant(id: bigint): KvOperation | undefined {
    for (const operation of this.#unknown) {
      if (operation.request.type === "leaseGrant" && operation.request.id === id) return operation;
    }
    return undefined;
  }

  /** Queues a revoke that nobody was answered with. */
  #queueRevoke(id: bigint): void {
    this.#doubtful.set(id, this.#grants.get(id)?.ttl ?? 0);
    this.#queue.unshift({ request: { type: "leaseRevoke", id }, owner: undefined });
  }

  #push(owner: KvOperation): void {
    const step = this.#stepOf(owner);
    if (step !== undefined) this.#queue.push(step);
  }

  #stepOf(owner: KvOperation): Step | undefined {
    const { request } = owner;
    if (request.type === "range") return undefined;
    const granted = leaseOf(owner);
    const effective =
      granted === undefined || request.type !== "leaseGrant"
        ? request
        : { ...request, id: granted.id, ttl: Math.max(granted.ttl, request.ttl) };
    return { request: effective, owner };
  }

  #reportPhantom(revision: number, seen: Seen): void {
    const { events } = seen;
    const what = events.length === 0 ? "nothing is known of it" : events.map(showEvent).join("; ");
    const writers = events.flatMap((event) => {
      const writer = event.type === "put" ? this.#writers.get(latin1(event.kv.value)) : undefined;
      return writer === undefined ? [] : [writer];
    });
    const of = writers.map(showOperation).join(", ");
    const [rule, why] =
      writers.length === 0
        ? (["phantom write", "nobody asked for it"] as const)
        : ([
            "revision owned twice",
            `the value is of ${of}, which has another place or was refused`,
          ] as const);
    this.#findings.add(rule, `revision ${revision}: ${what}; ${why}`, {
      operations: writers,
      revisions: [revision],
    });
  }
}

/** The lease that an operation was answered to have granted. */
function leaseOf({ outcome }: KvOperation): LeaseGrantResponse | undefined {
  return outcome.type === "ok" && outcome.response.type === "leaseGrant" ? outcome.response : undefined;
}

function compactedAt(operation: KvOperation): number {
  return operation.request.type === "compaction" ? operation.request.revision : 0;
}

/** Whether the answer of a write says that it made the revision of its header. */
export function saysItChanged(operation: KvOperation): boolean {
  if (operation.outcome.type !== "ok") return false;
  const { response } = operation.outcome;
  if (response.type === "put") return true;
  if (response.type === "deleteRange") return response.deleted > 0;
  return response.type === "txn" && txnChanged(response);
}

function txnChanged(response: TxnResponse): boolean {
  return response.responses.some(
    (inner) =>
      inner.type === "put" ||
      (inner.type === "deleteRange" && inner.deleted > 0) ||
      (inner.type === "txn" && txnChanged(inner)),
  );
}

/** The values that a request may write, latin1. */
function valuesOf(request: ClientRequest): string[] {
  if (request.type === "put") return [latin1(request.value)];
  if (request.type !== "txn") return [];
  return [...request.success, ...request.failure].flatMap((op) => (op === undefined ? [] : valuesOf(op)));
}

/** The leases that changes attach keys to. */
function leasesOf(changes: readonly Event[]): readonly bigint[] {
  return changes.flatMap(({ kv }) => (kv.lease === 0n ? [] : [kv.lease]));
}

/** Whether changes are there, and all that was seen is among them; in its order, if it was all there was. */
function explains(seen: Seen, changes: readonly Event[]): boolean {
  if (changes.length === 0 || (seen.isAll && changes.length !== seen.events.length)) return false;
  if (seen.isAll) return seen.events.every((event, i) => isSameChange(event, changes[i]));
  return seen.events.every((event) => changes.some((change) => isSameChange(event, change)));
}

function isSameChange(event: Event, change: Event | undefined): boolean {
  return (
    change !== undefined &&
    change.type === event.type &&
    compareBytes(change.kv.key, event.kv.key) === 0 &&
    change.kv.lease === event.kv.lease &&
    (change.type === "delete" || equalBytes(change.kv.value, event.kv.value))
  );
}

function deletion(key: Uint8Array): Event {
  const kv = { key, createRevision: 0, modRevision: 0, version: 0, value: EMPTY_BYTES, lease: 0n };
  return { type: "delete", kv, prevKv: undefined };
}

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

/** For messages. */
export function showStep(step: Step): string {
  if (step.owner !== undefined) return showOperation(step.owner);
  return step.request.type === "leaseRevoke"
    ? `the expiry of lease ${hex(step.request.id)}`
    : `a ${step.request.type} of the members`;
}
