/**
 * Real time (reliability.md §3.2 C1, point 2): what returned before another was called comes before it.
 * Writes have a place in the order; everything else has a range of places at which its answer is right, and
 * takes the first one that real time leaves it. Since taking an earlier place never hurts those that come
 * later, one sweep over the calls finds places for all if there are any.
 */

import { ERR } from "../../src/base/index.ts";
import type { RequestOp } from "../../src/pb/kv.ts";
import type { Findings } from "./findings.ts";
import {
  type ClientRequest,
  isSerializable,
  type KeepAliveRecord,
  type KvHistory,
  type KvOperation,
  type LeaseReadRecord,
} from "./kv-history.ts";
import { doorProblem, latin1, MAX_TXN_OPS } from "./model-rules.ts";
import { judgeAnswer, namesRevision, type Replay } from "./replay.ts";
import type { Timeline } from "./timeline.ts";
import { showOperation } from "./words.ts";

/** Refusals that say nothing about the keys: load, limits of a member, its role. */
const OF_CIRCUMSTANCE: ReadonlySet<string> = new Set(
  [
    ERR.tooManyRequests,
    ERR.requestTooLarge,
    ERR.noSpace,
    ERR.corrupt,
    ERR.notSupportedForLearner,
    ERR.noLeader,
    ERR.leaderChanged,
    ERR.stopped,
    ERR.timeout,
    ERR.notLeader,
  ].map((error) => error.message),
);

/** A TTL in the units of time of a history. */
const US_PER_SECOND = 1_000_000;

/** Something with a call and a return that is to be placed. */
interface Item {
  readonly call: number;
  readonly returned: number;
  /** First position after it; -1: not placed. Set when its call is swept. */
  place: number;
  readonly operation: KvOperation | undefined;
  readonly keepAlive: KeepAliveRecord | undefined;
  readonly leaseRead?: LeaseReadRecord;
  readonly connection: number;
}

export class Placement {
  readonly #history: KvHistory;
  readonly #replay: Replay;
  readonly #timeline: Timeline;
  readonly #findings: Findings;
  /** Steps in order of call, and the lowest step among them and all later ones. */
  readonly #calls: number[] = [];
  readonly #lowest: number[] = [];
  /** The highest place that was returned, overall and by connection. */
  #floor = 0;
  #floorItem: Item | undefined;
  readonly #connectionFloor = new Map<number, number>();
  /**
   * Grants and revokes by lease, and compactions of unknown fate: what may explain a refusal without a log.
   */
  readonly #leaseOperations = new Map<bigint, KvOperation[]>();
  readonly #lostCompactions: KvOperation[] = [];

  constructor(history: KvHistory, replay: Replay, findings: Findings) {
    this.#history = history;
    this.#replay = replay;
    this.#timeline = replay.timeline;
    this.#findings = findings;
    for (const operation of history.operations) this.#noteDoubt(operation);
    const steps = [...replay.stepOf].sort((a, b) => a[0].call - b[0].call);
    for (const [operation, step] of steps) {
      this.#calls.push(operation.call);
      this.#lowest.push(step);
    }
    for (let i = this.#lowest.length - 2; i >= 0; i--) {
      this.#lowest[i] = Math.min(this.#lowest[i] as number, this.#lowest[i + 1] as number);
    }
  }

  #noteDoubt(operation: KvOperation): void {
    const { request, outcome } = operation;
    if (request.type === "compaction" && (outcome.type === "unknown" || outcome.type === "pending")) {
      this.#lostCompactions.push(operation);
    }
    if (request.type !== "leaseGrant" && request.type !== "leaseRevoke") return;
    const response = outcome.type === "ok" ? outcome.response : undefined;
    const id = response?.type === "leaseGrant" ? response.id : request.id;
    const list = this.#leaseOperations.get(id);
    if (list === undefined) this.#leaseOperations.set(id, [operation]);
    else list.push(operation);
  }

  check(): void {
    const byCall = this.#items();
    const byReturn = byCall.filter((item) => item.returned !== Number.POSITIVE_INFINITY);
    byCall.sort((a, b) => a.call - b.call);
    byReturn.sort((a, b) => a.returned - b.returned);
    let next = 0;
    for (const item of byCall) {
      for (; next < byReturn.length; next++) {
        const earlier = byReturn[next] as Item;
        if (earlier.returned >= item.call) break;
        this.#pass(earlier);
      }
      if (item.operation !== undefined) this.#placeOperation(item, item.operation);
      else if (item.keepAlive !== undefined) this.#placeKeepAlive(item, item.keepAlive);
      else if (item.leaseRead !== undefined) this.#placeLeaseRead(item, item.leaseRead);
    }
  }

  #items(): Item[] {
    const items: Item[] = [];
    for (const operation of this.#history.operations) {
      const { call, returned, connection } = operation;
      items.push({ call, returned, connection, operation, keepAlive: undefined, place: -1 });
    }
    for (const keepAlive of this.#history.keepAlives) {
      const { call, returned } = keepAlive;
      items.push({ call, returned, connection: -1, operation: undefined, keepAlive, place: -1 });
    }
    // Without a log nobody knows which leases there are.
    for (const leaseRead of this.#history.log === undefined ? [] : this.#history.leaseReads) {
      const { call, returned } = leaseRead;
      const nobody = { operation: undefined, keepAlive: undefined };
      items.push({ call, returned, connection: -1, ...nobody, leaseRead, place: -1 });
    }
    // What a watcher was told had happened before; it comes after nothing.
    for (const watch of this.#history.watches) {
      for (const answer of watch.answers) {
        const place = this.#timeline.startOf(answer.revision);
        if (place === undefined) {
          const says = `watcher ${watch.id} was told of revision ${answer.revision}`;
          const about = { watches: [watch], revisions: [answer.revision], at: answer.at };
          this.#findings.add("revision that never was", `${says}, the last is ${this.#lastRevision}`, about);
          continue;
        }
        const { at } = answer;
        items.push({
          call: at,
          returned: at,
          connection: -1,
          operation: undefined,
          keepAlive: undefined,
          place,
        });
      }
    }
    return items;
  }

  get #lastRevision(): number {
    return this.#timeline.lastRevision;
  }

  #pass(item: Item): void {
    if (item.place > this.#floor) {
      this.#floor = item.place;
      this.#floorItem = item;
    }
    if (item.connection >= 0 && item.place > (this.#connectionFloor.get(item.connection) ?? 0)) {
      this.#connectionFloor.set(item.connection, item.place);
    }
  }

  #placeOperation(item: Item, operation: KvOperation): void {
    const step = this.#replay.stepOf.get(operation);
    if (step !== undefined) {
      item.place = step + 1;
      if (step >= this.#floor) return;
      this.#report("real time", operation, `it is step ${step}, at revision ${this.#revision(step + 1)}`);
      return;
    }
    if (operation.outcome.type === "ok") this.#placeAnswer(item, operation, operation.outcome.revision);
    if (operation.outcome.type === "refused") this.#placeRefusal(item, operation, operation.outcome.error);
  }

  #placeAnswer(item: Item, operation: KvOperation, revision: number): void {
    const start = this.#timeline.startOf(revision);
    if (start === undefined) return;
    const isLocal = isSerializable(operation.request);
    const floor = isLocal ? (this.#connectionFloor.get(operation.connection) ?? 0) : this.#floor;
    item.place = Math.max(start, floor);
    if (item.place > this.#timeline.endOf(revision)) {
      const says = `it answers from revision ${revision}`;
      if (isLocal)
        this.#reportBack(operation, `${says}, after ${this.#revision(floor)} was read on the connection`);
      else this.#report("stale read", operation, says);
      item.place = start;
      return;
    }
    if (namesRevision(operation)) {
      judgeAnswer(
        operation,
        this.#replay.model.peek(operation.request, this.#timeline.view(item.place)),
        this.#findings,
      );
    }
  }

  #placeRefusal(item: Item, operation: KvOperation, error: string): void {
    const { request } = operation;
    if (OF_CIRCUMSTANCE.has(error)) return;
    const door = doorProblem(request, MAX_TXN_OPS);
    if (door !== undefined) {
      if (door.message !== error) this.#reportRefusal(operation, `it should have been "${door.message}"`);
      return;
    }
    const isLocal = isSerializable(request);
    const floor = isLocal ? (this.#connectionFloor.get(operation.connection) ?? 0) : this.#floor;
    const last = this.#lastPlace(operation.returned);
    // What is only guessed to have happened fixes no place.
    if (this.#mayHaveHappened(operation, error)) return;
    const place = this.#refusalPlace(operation, error, floor, last);
    if (place !== undefined) item.place = place;
    else {
      const between = `between revisions ${this.#revision(floor)} and ${this.#revision(last)}`;
      this.#reportRefusal(operation, `nowhere ${between} is that the answer`);
    }
  }

  /** The first place in [floor, last] at which the model refuses so; undefined: none. */
  #refusalPlace(operation: KvOperation, error: string, floor: number, last: number): number | undefined {
    const { request } = operation;
    if (request.type === "range" && error === ERR.compacted.message) {
      const from = this.#timeline.compactedFrom(request.revision);
      if (from === undefined || request.revision <= 0) return undefined;
      const place = Math.max(from, floor);
      return place <= last ? place : undefined;
    }
    if (request.type === "range" && error === ERR.futureRevision.message) {
      return floor <= last && request.revision > this.#revision(floor) ? floor : undefined;
    }
    for (let place = floor; place <= last; place++) {
      const outcome = this.#replay.model.peek(request, this.#timeline.view(place));
      if (outcome?.error?.message === error) return place;
    }
    return undefined;
  }

  /**
   * Without a log, effects that leave no revision may have come from requests of unknown fate, or from time.
   */
  #mayHaveHappened({ request, returned }: KvOperation, error: string): boolean {
    if (this.#history.log !== undefined) return false;
    if (error === ERR.compacted.message) {
      const wanted = lowestRevision(request);
      return this.#lostCompactions.some(
        (lost) =>
          lost.call < returned && lost.request.type === "compaction" && lost.request.revision > wanted,
      );
    }
    if (error !== ERR.leaseExists.message && error !== ERR.leaseNotFound.message) return false;
    const touched = leasesOf(request).flatMap((id) => this.#leaseOperations.get(id) ?? []);
    return touched.some(({ request: other, call, outcome }) => {
      if (call >= returned || outcome.type === "refused") return false;
      if (outcome.type !== "ok") return true;
      return other.type === "leaseGrant" && returned - call >= other.ttl * US_PER_SECOND;
    });
  }

  #placeKeepAlive(item: Item, keepAlive: KeepAliveRecord): void {
    if (keepAlive.ttl === undefined) return;
    const last = this.#lastPlace(keepAlive.returned);
    const { lease, ttl } = keepAlive;
    const isThere = ttl > 0;
    for (let place = this.#floor; place <= last; place++) {
      if (this.#timeline.hasLease(lease, place) !== isThere) continue;
      if (this.#history.log !== undefined) item.place = place;
      return;
    }
    // It has run out, and its revoke is on the way: it is not revived.
    if (!isThere && (this.#timeline.losesLease(lease, this.#floor) || this.#history.log === undefined))
      return;
    if (isThere && this.#history.log === undefined && this.#mayBeThere(keepAlive)) return;
    const says = isThere ? "is alive, but it is not there" : "is gone, but it is there all the time";
    const when = `keepalive ${keepAlive.call}..${keepAlive.returned} of client ${keepAlive.client}`;
    this.#findings.add("lease keepalive", `${when} says that lease ${lease.toString(16)} ${says}`, {
      at: keepAlive.call,
    });
  }

  /** Linearizable: at a position of its revision that real time allows, the leases are as it says. */
  #placeLeaseRead(item: Item, leaseRead: LeaseReadRecord): void {
    const { revision, returned, call, said } = leaseRead;
    const start = this.#timeline.startOf(revision);
    const first = Math.max(start ?? Number.POSITIVE_INFINITY, this.#floor);
    const last = Math.min(this.#timeline.endOf(revision), this.#lastPlace(returned));
    for (let place = first; place <= last; place++) {
      if (!this.#isLeaseAnswer(leaseRead, place)) continue;
      item.place = place;
      return;
    }
    const what = said.type === "one" ? `lease ${said.lease.toString(16)} has ${said.ttl} s` : "the list";
    const text = `${call}..${returned} of client ${leaseRead.client} at revision ${revision}: ${what} is wrong`;
    this.#findings.add("lease read", text, { revisions: [revision], at: call });
  }

  #isLeaseAnswer({ said, revision }: LeaseReadRecord, place: number): boolean {
    if (said.type === "all") return String(said.leases) === String(this.#timeline.leasesAt(place));
    const { lease, ttl, grantedTtl, keys } = said;
    if (!this.#timeline.hasLease(lease, place)) return ttl === -1 && grantedTtl === 0;
    if (ttl < 0 || !this.#grantedTtls(lease).has(grantedTtl)) return false;
    if (keys === undefined) return true;
    const held = this.#replay.model.keyValues(revision).filter((kv) => kv.lease === lease);
    return String(held.map((kv) => latin1(kv.key))) === String(keys.map(latin1));
  }

  /** An ID may have been granted again. */
  #grantedTtls(lease: bigint): ReadonlySet<number> {
    const ttls = new Set<number>();
    for (const { request } of this.#timeline.steps) {
      if (request.type === "leaseGrant" && request.id === lease) ttls.add(request.ttl);
    }
    return ttls;
  }

  /** Without a log: somebody may have granted the lease, and nobody has certainly revoked it. */
  #mayBeThere({ lease, call, returned }: KeepAliveRecord): boolean {
    let isGranted = false;
    for (const operation of this.#history.operations) {
      const { request, outcome } = operation;
      if (outcome.type === "refused" || operation.call >= returned) continue;
      const isRevoke = request.type === "leaseRevoke" && request.id === lease;
      if (isRevoke && outcome.type === "ok" && operation.returned < call) return false;
      if (request.type === "leaseGrant" && (request.id === lease || request.id === 0n)) isGranted = true;
    }
    return isGranted;
  }

  /** The last place of something that returned then: before every step that was called afterwards. */
  #lastPlace(returned: number): number {
    let lo = 0;
    let hi = this.#calls.length;
    while (lo < hi) {
      const middle = (lo + hi) >> 1;
      if ((this.#calls[middle] as number) <= returned) lo = middle + 1;
      else hi = middle;
    }
    return this.#lowest[lo] ?? this.#timeline.end;
  }

  #revision(place: number): number {
    return this.#timeline.revisionAt(place);
  }

  #report(rule: "real time" | "stale read", operation: KvOperation, says: string): void {
    const earlier = this.#floorItem;
    const seen = this.#revision(this.#floor);
    const by = earlier?.operation === undefined ? "a watcher or keepalive" : showOperation(earlier.operation);
    const but = `${by} was at revision ${seen} and over before the call`;
    const text = `${showOperation(operation)}: ${says}, but ${but}`;
    const operations = earlier?.operation === undefined ? [operation] : [operation, earlier.operation];
    this.#findings.add(rule, text, { operations, revisions: [seen] });
  }

  #reportBack(operation: KvOperation, says: string): void {
    this.#findings.add("went back", `${showOperation(operation)}: ${says}`, { operations: [operation] });
  }

  #reportRefusal(operation: KvOperation, says: string): void {
    this.#findings.add("wrong refusal", `${showOperation(operation)}: ${says}`, { operations: [operation] });
  }
}

/** The lowest revision that a request names, which a compaction above it makes unreadable; Infinity: none. */
function lowestRevision(request: ClientRequest | RequestOp | undefined): number {
  if (request?.type === "range") return request.revision > 0 ? request.revision : Number.POSITIVE_INFINITY;
  // One at the very revision is refused too.
  if (request?.type === "compaction") return request.revision - 1;
  if (request?.type !== "txn") return Number.POSITIVE_INFINITY;
  return Math.min(...request.success.map(lowestRevision), ...request.failure.map(lowestRevision));
}

/** The leases that a request needs, or needs not to be there. */
function leasesOf(request: ClientRequest | RequestOp | undefined): readonly bigint[] {
  if (request?.type === "put") return [request.lease];
  if (request?.type === "leaseGrant" || request?.type === "leaseRevoke") return [request.id];
  return request?.type === "txn" ? [...request.success, ...request.failure].flatMap(leasesOf) : [];
}
