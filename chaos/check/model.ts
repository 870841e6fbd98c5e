/**
 * A naive etcd store: every version of every key, for ever, in one array per key. It is the judge of answers,
 * so it is written to be read, not to be fast, shares no code with the store, and has no idea of logs,
 * members or disks.
 *
 * A compaction moves the floor and deletes nothing: what was readable stays readable to the checkers, which
 * need the past; reads below the floor are refused as etcd refuses them.
 */
import { EMPTY_BYTES, ERR, type KvError } from "../../src/base/index.ts";
import type {
  AlarmRequest,
  CompactionRequest,
  DeleteRangeRequest,
  Event,
  KeyValue,
  KvRequest,
  KvResponse,
  PutRequest,
  RangeRequest,
  RequestOp,
  ResponseOp,
  TxnRequest,
} from "../../src/pb/kv.ts";
import { isReadOnly } from "./kv-history.ts";
import {
  arrange,
  doorProblem,
  FROM_KEY,
  holds,
  latin1,
  MAX_LEASE_TTL,
  MAX_TXN_OPS,
  mayPut,
} from "./model-rules.ts";

/** What a request came to. `revision` is what the header of the answer carries; a refusal has no header. */
export type ModelOutcome =
  | { readonly revision: number; readonly response: KvResponse; readonly error: undefined }
  | { readonly revision: number; readonly response: undefined; readonly error: KvError };

/** All events of one revision, in order; never empty. `prevKv` is the key at the revision before. */
export interface ModelChange {
  readonly revision: number;
  readonly events: readonly Event[];
}

/** From where a request is judged: a moment in the past, or the present. */
export interface ModelView {
  readonly revision: number;
  readonly compactRevision: number;
  hasLease(id: bigint): boolean;
}

interface Version {
  readonly main: number;
  /** undefined: deleted. */
  readonly kv: KeyValue | undefined;
}

interface Item {
  readonly name: string;
  readonly key: Uint8Array;
  /** In order of revision; several of one revision are possible inside a txn, the last one counts. */
  readonly versions: Version[];
}

interface Lease {
  readonly ttl: number;
  readonly keys: Set<string>;
}

/** Changes of the request that is being executed. */
interface Draft {
  readonly view: ModelView;
  readonly events: Event[];
  /** False: a change ends the execution with `WOULD_CHANGE` instead of being made. */
  readonly writes: boolean;
}

/** Thrown inside, to stop an execution that may change nothing. */
const WOULD_CHANGE = Symbol("would change");

export class Model implements ModelView {
  readonly #items = new Map<string, Item>();
  /** The same, in order of name. */
  readonly #sorted: Item[] = [];
  readonly #leases = new Map<bigint, Lease>();
  readonly #alarms = new Map<string, { readonly member: bigint; readonly alarm: "nospace" | "corrupt" }>();
  readonly #maxTxnOps: number;
  readonly #changes: ModelChange[] = [];
  #revision = 1;
  #compactRevision = -1;

  constructor(options: { readonly maxTxnOps: number } = { maxTxnOps: MAX_TXN_OPS }) {
    this.#maxTxnOps = options.maxTxnOps;
  }

  /** 1 while nothing was changed. */
  get revision(): number {
    return this.#revision;
  }

  /** -1: never compacted. */
  get compactRevision(): number {
    return this.#compactRevision;
  }

  /** Every change that was made, one per revision from 2 on. */
  get changes(): readonly ModelChange[] {
    return this.#changes;
  }

  /** The change that made a revision; undefined: there is no such one. */
  changeOf(revision: number): ModelChange | undefined {
    return this.#changes[revision - 2];
  }

  hasLease(id: bigint): boolean {
    return this.#leases.has(id);
  }

  /** The alarms that are on, as "member alarm", in order of text. */
  alarms(): readonly string[] {
    return [...this.#alarms.keys()].sort();
  }

  /** All leases, in order of ID, with their keys in order of bytes. */
  leases(): { readonly id: bigint; readonly ttl: number; readonly keys: readonly Uint8Array[] }[] {
    const ids = [...this.#leases.keys()].sort((a, b) => (a < b ? -1 : 1));
    return ids.map((id) => ({ id, ttl: this.#leases.get(id)?.ttl ?? 0, keys: this.keysOfLease(id) }));
  }

  /** Keys that hang on a lease, in order of bytes; empty: none, or no such lease. */
  keysOfLease(id: bigint): readonly Uint8Array[] {
    const names = [...(this.#leases.get(id)?.keys ?? [])].sort();
    return names.map((name) => this.#items.get(name)?.key ?? EMPTY_BYTES);
  }

  /** Every key that lives at a revision (default: now), in order. */
  keyValues(revision: number = this.#revision): KeyValue[] {
    const kvs: KeyValue[] = [];
    for (const item of this.#sorted) {
      const kv = versionAt(item, revision);
      if (kv !== undefined) kvs.push(kv);
    }
    return kvs;
  }

  /** A key at a revision, floor or no floor; undefined: it is absent then. */
  keyAt(name: string, revision: number): KeyValue | undefined {
    const item = this.#items.get(name);
    return item === undefined ? undefined : versionAt(item, revision);
  }

  /** Executes a request that was committed. A refused one changes nothing. */
  apply(request: KvRequest): ModelOutcome {
    const draft: Draft = { view: this, events: [], writes: true };
    const result = this.#execute(request, draft);
    if (draft.events.length > 0) {
      this.#revision++;
      this.#changes.push({ revision: this.#revision, events: draft.events });
    }
    return isRefusal(result)
      ? { revision: this.#revision, response: undefined, error: result }
      : { revision: this.#revision, response: result, error: undefined };
  }

  /**
   * What a range is answered, now or as of `view`. Its revision is that of the view, whatever was asked for.
   */
  range(request: RangeRequest, view: ModelView = this): ModelOutcome {
    const result = doorProblem(request, this.#maxTxnOps) ?? this.#range(request, view.revision, view);
    return isRefusal(result)
      ? { revision: view.revision, response: undefined, error: result }
      : { revision: view.revision, response: result, error: undefined };
  }

  /**
   * What a request would be answered now or as of `view`, if it would change neither keys nor leases nor the
   * floor; undefined: it would. Changes nothing.
   */
  peek(request: KvRequest | RangeRequest, view: ModelView = this): ModelOutcome | undefined {
    if (request.type === "range") return this.range(request, view);
    try {
      const result = this.#execute(request, { view, events: [], writes: false });
      return isRefusal(result)
        ? { revision: view.revision, response: undefined, error: result }
        : { revision: view.revision, response: result, error: undefined };
    } catch (thrown) {
      if (thrown === WOULD_CHANGE) return undefined;
      throw thrown;
    }
  }

  /**
   * What a put, a delete or a txn would change now if every lease that it names were there; empty: nothing,
   * or it would be refused. Changes nothing.
   */
  preview(request: PutRequest | DeleteRangeRequest | TxnRequest): readonly Event[] {
    const { revision, compactRevision } = this;
    const view: ModelView = { revision, compactRevision, hasLease: () => true };
    const draft: Draft = { view, events: [], writes: true };
    this.#execute(request, draft);
    for (const event of draft.events.toReversed()) {
      const name = latin1(event.kv.key);
      const versions = this.#items.get(name)?.versions ?? [];
      versions.pop();
      if (event.type === "put" && event.kv.lease !== 0n) this.#leases.get(event.kv.lease)?.keys.delete(name);
      const before = versions.at(-1)?.kv;
      if (before !== undefined && before.lease !== 0n) this.#leases.get(before.lease)?.keys.add(name);
    }
    return draft.events;
  }

  /** A model of its own with the same past. Costs one step per version of every key: for small histories. */
  clone(): Model {
    const copy = new Model({ maxTxnOps: this.#maxTxnOps });
    for (const item of this.#sorted) {
      const own: Item = { ...item, versions: [...item.versions] };
      copy.#items.set(item.name, own);
      copy.#sorted.push(own);
    }
    for (const [id, { ttl, keys }] of this.#leases) copy.#leases.set(id, { ttl, keys: new Set(keys) });
    for (const [name, alarm] of this.#alarms) copy.#alarms.set(name, alarm);
    copy.#changes.push(...this.#changes);
    copy.#revision = this.#revision;
    copy.#compactRevision = this.#compactRevision;
    return copy;
  }

  #execute(request: KvRequest, draft: Draft): KvResponse | KvError {
    const problem =
      doorProblem(request, this.#maxTxnOps) ??
      (draft.view === this ? this.#alarmProblem(request) : undefined);
    if (problem !== undefined) return problem;
    switch (request.type) {
      case "put":
        return this.#putProblem(request, draft.view, false) ?? this.#put(request, draft);
      case "deleteRange":
        return this.#operation(request, draft);
      case "txn":
        return this.#txn(request, draft);
      case "compaction":
        return this.#compact(request, draft);
      case "leaseGrant":
        if (request.ttl > MAX_LEASE_TTL) return ERR.leaseTtlTooLarge;
        if (draft.view.hasLease(request.id)) return ERR.leaseExists;
        mayChange(draft);
        this.#leases.set(request.id, { ttl: request.ttl, keys: new Set() });
        return { type: "leaseGrant", id: request.id, ttl: request.ttl };
      case "leaseRevoke":
        return this.#revoke(request.id, draft);
      case "leaseCheckpoint":
        return { type: "leaseCheckpoint" };
      case "alarm":
        mayChange(draft);
        return this.#alarm(request);
    }
  }

  /**
   * etcd: applierV3Corrupt before applierV3Capped. Reads pass neither; what gives room again is never refused for want
   * of it.
   */
  #alarmProblem(request: KvRequest): KvError | undefined {
    if (this.#alarms.size === 0 || request.type === "alarm" || request.type === "leaseCheckpoint")
      return undefined;
    if (request.type === "txn" && isReadOnly(request)) return undefined;
    const active = new Set([...this.#alarms.values()].map((entry) => entry.alarm));
    if (active.has("corrupt")) return ERR.corrupt;
    const { type } = request;
    const takesSpace = type === "put" || type === "leaseGrant" || (type === "txn" && mayPut(request));
    return active.has("nospace") && takesSpace ? ERR.noSpace : undefined;
  }

  /** By itself a put's lease is looked up before its key, in a txn after it (etcd 3.6: Put and checkPut of txn.go). */
  #putProblem(put: PutRequest, view: ModelView, isInTxn: boolean): KvError | undefined {
    const lacksLease = put.lease !== 0n && !view.hasLease(put.lease);
    if (lacksLease && !isInTxn) return ERR.leaseNotFound;
    const needsKey = put.ignoreValue || put.ignoreLease;
    if (needsKey && this.keyAt(latin1(put.key), view.revision) === undefined) return ERR.keyNotFound;
    return lacksLease ? ERR.leaseNotFound : undefined;
  }

  #operation(op: Exclude<RequestOp, TxnRequest>, draft: Draft): ResponseOp | KvError {
    if (op.type === "put") return this.#put(op, draft);
    if (op.type === "range") return this.#range(op, currentRevision(draft), draft.view);
    const kvs = this.#find(op.key, op.rangeEnd, currentRevision(draft));
    for (const kv of kvs) this.#write(latin1(kv.key), kv.key, undefined, draft);
    return { type: "deleteRange", deleted: kvs.length, prevKvs: op.prevKv ? kvs : [] };
  }

  #put(put: PutRequest, draft: Draft): ResponseOp {
    const name = latin1(put.key);
    const before = this.keyAt(name, currentRevision(draft));
    const main = draft.view.revision + 1;
    const kv: KeyValue = {
      key: this.#items.get(name)?.key ?? put.key,
      createRevision: before?.createRevision ?? main,
      modRevision: main,
      version: (before?.version ?? 0) + 1,
      value: put.ignoreValue ? (before?.value ?? EMPTY_BYTES) : put.value,
      lease: put.ignoreLease ? (before?.lease ?? 0n) : put.lease,
    };
    this.#write(name, kv.key, kv, draft);
    return { type: "put", prevKv: put.prevKv ? before : undefined };
  }

  /** `currentRevision`: with what this request has changed so far. */
  #range(request: RangeRequest, currentRevision: number, view: ModelView): ResponseOp | KvError {
    if (request.revision > currentRevision) return ERR.futureRevision;
    const revision = request.revision <= 0 ? currentRevision : request.revision;
    if (revision < view.compactRevision) return ERR.compacted;
    const found = this.#find(request.key, request.rangeEnd, revision);
    return { type: "range", ...arrange(request, found), count: found.length };
  }

  #txn(txn: TxnRequest, draft: Draft): ResponseOp | KvError {
    // The whole path is chosen and checked on the state before the txn; then nothing can fail any more.
    const path = this.#choose(txn, draft.view);
    return this.#pathProblem(path, draft.view) ?? this.#run(path, draft);
  }

  #choose(txn: TxnRequest, view: ModelView): Path {
    const succeeded = txn.compare.every((compare) =>
      holds(compare, this.#find(compare.key, compare.rangeEnd, view.revision)),
    );
    const steps = (succeeded ? txn.success : txn.failure).map((op) =>
      op?.type === "txn" ? this.#choose(op, view) : op,
    );
    return { type: "path", succeeded, steps };
  }

  #pathProblem(path: Path, view: ModelView): KvError | undefined {
    for (const step of path.steps) {
      let problem: KvError | undefined;
      if (step?.type === "path") problem = this.#pathProblem(step, view);
      if (step?.type === "put") problem = this.#putProblem(step, view, true);
      if (step?.type === "range" && step.revision !== 0) {
        // Unlike a plain range, a negative revision is compared with the floor (etcd: txn/range.go,
        // checkRange).
        if (step.revision > view.revision) problem = ERR.futureRevision;
        else if (step.revision < view.compactRevision) problem = ERR.compacted;
      }
      if (problem !== undefined) return problem;
    }
    return undefined;
  }

  #run(path: Path, draft: Draft): ResponseOp {
    const responses: ResponseOp[] = [];
    for (const step of path.steps) {
      if (step === undefined) continue;
      const response = step.type === "path" ? this.#run(step, draft) : this.#operation(step, draft);
      if (isRefusal(response)) throw new Error(`a txn that was checked failed: ${response.message}`);
      responses.push(response);
    }
    return { type: "txn", succeeded: path.succeeded, responses };
  }

  #compact(request: CompactionRequest, draft: Draft): KvResponse | KvError {
    if (request.revision <= draft.view.compactRevision) return ERR.compacted;
    if (request.revision > draft.view.revision) return ERR.futureRevision;
    mayChange(draft);
    this.#compactRevision = request.revision;
    return { type: "compaction" };
  }

  #revoke(id: bigint, draft: Draft): KvResponse | KvError {
    if (!draft.view.hasLease(id)) return ERR.leaseNotFound;
    mayChange(draft);
    for (const name of [...(this.#leases.get(id)?.keys ?? [])].sort()) {
      const item = this.#items.get(name);
      if (item !== undefined) this.#write(name, item.key, undefined, draft);
    }
    this.#leases.delete(id);
    return { type: "leaseRevoke" };
  }

  #alarm(request: AlarmRequest): KvResponse {
    const name = `${request.member} ${request.alarm}`;
    const alarm = { member: request.member, alarm: request.alarm };
    if (request.action === "activate") {
      this.#alarms.set(name, alarm);
      return { type: "alarm", alarms: [alarm] };
    }
    return { type: "alarm", alarms: this.#alarms.delete(name) ? [alarm] : [] };
  }

  /** One change of one key: history, leases and event. `kv` undefined: it is deleted. */
  #write(name: string, key: Uint8Array, kv: KeyValue | undefined, draft: Draft): void {
    mayChange(draft);
    const main = draft.view.revision + 1;
    const item = this.#items.get(name) ?? this.#addItem(name, key);
    const before = item.versions.at(-1)?.kv;
    if (before !== undefined && before.lease !== 0n) this.#leases.get(before.lease)?.keys.delete(name);
    if (kv !== undefined && kv.lease !== 0n) this.#leases.get(kv.lease)?.keys.add(name);
    const prevKv = versionAt(item, draft.view.revision);
    item.versions.push({ main, kv });
    draft.events.push(
      kv === undefined
        ? { type: "delete", kv: tombstone(item.key, main), prevKv }
        : { type: "put", kv, prevKv },
    );
  }

  #addItem(name: string, key: Uint8Array): Item {
    const item: Item = { name, key, versions: [] };
    this.#items.set(name, item);
    this.#sorted.splice(this.#lowerBound(name), 0, item);
    return item;
  }

  #find(key: Uint8Array, rangeEnd: Uint8Array, revision: number): KeyValue[] {
    const name = latin1(key);
    if (rangeEnd.length === 0) {
      const kv = this.keyAt(name, revision);
      return kv === undefined ? [] : [kv];
    }
    const end = latin1(rangeEnd);
    const found: KeyValue[] = [];
    for (let i = this.#lowerBound(name); i < this.#sorted.length; i++) {
      const item = this.#sorted[i] as Item;
      if (end !== FROM_KEY && item.name >= end) break;
      const kv = versionAt(item, revision);
      if (kv !== undefined) found.push(kv);
    }
    return found;
  }

  #lowerBound(name: string): number {
    let lo = 0;
    let hi = this.#sorted.length;
    while (lo < hi) {
      const middle = (lo + hi) >> 1;
      if ((this.#sorted[middle] as Item).name < name) lo = middle + 1;
      else hi = middle;
    }
    return lo;
  }
}

/** A txn whose comparisons were made: the operations that it will execute. */
interface Path {
  readonly type: "path";
  readonly succeeded: boolean;
  readonly steps: readonly (Exclude<RequestOp, TxnRequest> | Path | undefined)[];
}

/** The event of a delete carries key and revision, nothing else. */
function tombstone(key: Uint8Array, modRevision: number): KeyValue {
  return { key, createRevision: 0, modRevision, version: 0, value: EMPTY_BYTES, lease: 0n };
}

function currentRevision(draft: Draft): number {
  return draft.view.revision + (draft.events.length > 0 ? 1 : 0);
}

function mayChange(draft: Draft): void {
  if (!draft.writes) throw WOULD_CHANGE;
}

function isRefusal(value: KvResponse | KvError): value is KvError {
  return "message" in value;
}

/** The newest version at or below a revision. Almost every question is about the newest of all. */
function versionAt(item: Item, revision: number): KeyValue | undefined {
  const { versions } = item;
  const last = versions.at(-1);
  if (last === undefined || last.main <= revision) return last?.kv;
  let lo = 0;
  let hi = versions.length - 1;
  while (lo < hi) {
    const middle = (lo + hi) >> 1;
    if ((versions[middle] as Version).main <= revision) lo = middle + 1;
    else hi = middle;
  }
  return versions[lo - 1]?.kv;
}
