/**
 * The replicated key-value state: the store, the leases and the alarms, changed by requests of the log and by nothing
 * else. Every request passes the same chain (etcd: etcdserver/apply): corrupt, out of space, then execution; whom it is
 * from is to be judged between the two, once there are users. The quota is no part of it: the members agree on the
 * alarm, and who raises it is no business of apply (`member/space.ts`).
 *
 * Deterministic: no clock, no chance, no option of this member. Changes, leases and watchers move in one synchronous
 * step, so nobody ever sees one without the other.
 */
import { EMPTY_BYTES, ERR, type KvError, unreachable } from "../../base/index.ts";
import type { LeaseTable } from "../../lease/types.ts";
import type { WriteTxn } from "../../mvcc/types.ts";
import type {
  AlarmRequest,
  KvRequest,
  KvResponse,
  RangeRequest,
  RangeResponse,
  TxnRequest,
  TxnResponse,
} from "../../pb/kv.ts";
import type { Alarms } from "./alarms.ts";
import { costOf, LEASE_BYTES } from "./quota.ts";
import { rangeNow } from "./range.ts";
import { ReadJob, rangeWork, readTxnWork } from "./reads.ts";
import { planProblem, planTxn, putProblem, runDelete, runPlan, runPut } from "./txn.ts";
import {
  type ChangeListener,
  done,
  type KvOutcome,
  type KvStore,
  type Outcome,
  type RangeOutcome,
  refused,
  type TxnOutcome,
} from "./types.ts";
import { DamagedValue } from "./values.ts";

/** The leases as apply needs them. */
export interface Leases extends LeaseTable {
  /** Number of leases. */
  readonly size: number;
}

export interface KvParts<S extends KvStore, L extends Leases> {
  readonly store: S;
  readonly leases: L;
  readonly alarms: Alarms;
  readonly listener: ChangeListener;
}

export class KvState<S extends KvStore = KvStore, L extends Leases = Leases> {
  /** For reading, and for physical compaction and hashing, which change no answer. Written only by `apply`. */
  readonly store: S;
  /** For reading, and for the leader's clock. The table is written only by `apply`. */
  readonly leases: L;
  readonly #alarms: Alarms;
  readonly #listener: ChangeListener;

  constructor(parts: KvParts<S, L>) {
    this.store = parts.store;
    this.leases = parts.leases;
    this.#alarms = parts.alarms;
    this.#listener = parts.listener;
  }

  /** The alarms that are on. */
  get alarms(): Pick<Alarms, "isFull" | "isCorrupt" | "list"> {
    return this.#alarms;
  }

  /** Bytes that count against the quota: a function of what was applied, so equal on all members at equal index. */
  get usedBytes(): number {
    return this.store.logicalBytes + this.leases.size * LEASE_BYTES;
  }

  /** Executes a committed request, which `requestProblem` did not refuse when it was proposed. */
  apply(request: KvRequest): KvOutcome {
    const refusal = this.#refusal(request);
    if (refusal !== undefined) return refused(refusal);
    try {
      const result = this.#execute(request);
      return "message" in result ? refused(result) : done(this.store.revision, result);
    } catch (error) {
      return damaged(error);
    }
  }

  /** Answers a range at once, however large it is; `startRange` is for those that may be large. */
  range(request: RangeRequest): RangeOutcome {
    const problem = this.store.readProblem(request.revision);
    if (problem !== undefined) return refused(problem);
    try {
      return done(this.store.revision, rangeNow(this.store, request));
    } catch (error) {
      return damaged(error);
    }
  }

  /** Starts a range. */
  startRange(request: RangeRequest): ReadJob<RangeResponse> {
    const { store } = this;
    return new ReadJob(store, () => store.readProblem(request.revision) ?? rangeWork(store, request));
  }

  /** Answers a txn that only reads, at once. */
  readTxn(request: TxnRequest): TxnOutcome {
    return finish(this.startReadTxn(request));
  }

  /** Starts a txn that only reads (`isReadOnlyTxn`). Its compares are judged here and now. */
  startReadTxn(request: TxnRequest): ReadJob<TxnResponse> {
    return new ReadJob(this.store, () => {
      const plan = planTxn(this.store, request);
      return planProblem(this.store, this.leases, plan) ?? readTxnWork(this.store, plan);
    });
  }

  /**
   * Why a request is not even looked at. What makes room is never refused for want of it. Reads do not come here: as in
   * etcd they never pass the chain, CORRUPT or not.
   */
  #refusal(request: KvRequest): KvError | undefined {
    if (request.type === "alarm" || request.type === "leaseCheckpoint") return undefined;
    if (this.#alarms.isCorrupt) return ERR.corrupt;
    return this.#alarms.isFull && costOf(request) > 0 ? ERR.noSpace : undefined;
  }

  #execute(request: KvRequest): KvResponse | KvError {
    switch (request.type) {
      case "put": {
        const problem = putProblem(this.store, this.leases, request);
        return problem ?? this.#write(request, runPut);
      }
      case "deleteRange":
        return this.#write(request, runDelete);
      case "txn": {
        const plan = planTxn(this.store, request);
        return planProblem(this.store, this.leases, plan) ?? this.#write(plan, runPlan);
      }
      case "compaction": {
        const problem = this.store.compact(request.revision);
        if (problem !== undefined) return problem;
        this.#listener.compacted(request.revision);
        return { type: "compaction" };
      }
      case "leaseGrant": {
        const problem = this.leases.grant(request.id, request.ttl);
        const ttl = this.leases.get(request.id)?.grantedTtl ?? request.ttl;
        return problem ?? { type: "leaseGrant", id: request.id, ttl };
      }
      case "leaseRevoke":
        return this.#revoke(request.id);
      case "leaseCheckpoint":
        this.leases.checkpoint(request.leases);
        return { type: "leaseCheckpoint" };
      case "alarm":
        return this.#switchAlarm(request);
      default:
        return unreachable(request);
    }
  }

  /** One write transaction; its end makes it visible to reads, leases and watchers at once. */
  #write<R, T>(request: T, run: (txn: WriteTxn, request: T) => R): R {
    const txn = this.store.begin();
    const response = run(txn, request);
    const set = txn.end();
    if (set !== undefined) {
      this.leases.changed(set);
      this.#listener.changed(set);
    }
    return response;
  }

  /** The keys go in order of bytes and in one revision, so that all members number their deletes alike. */
  #revoke(id: bigint): KvResponse | KvError {
    if (!this.leases.has(id)) return ERR.leaseNotFound;
    const keys = this.leases.keysOf(id);
    if (keys.length > 0) this.#write(keys, deleteKeys);
    return this.leases.revoke(id) ?? { type: "leaseRevoke" };
  }

  #switchAlarm({ action, member, alarm }: AlarmRequest): KvResponse {
    const switched = { member, alarm };
    if (action === "deactivate") {
      return { type: "alarm", alarms: this.#alarms.deactivate(switched) ? [switched] : [] };
    }
    this.#alarms.activate(switched);
    return { type: "alarm", alarms: [switched] };
  }
}

function deleteKeys(txn: WriteTxn, keys: readonly Uint8Array[]): void {
  for (const key of keys) txn.deleteRange({ key, rangeEnd: EMPTY_BYTES });
}

/** What a damaged record makes of a request; every other error is a bug, and goes on. */
function damaged(error: unknown): Extract<KvOutcome, { type: "fatal" }> {
  if (error instanceof DamagedValue) return { type: "fatal", reason: error.message };
  throw error;
}

/** Runs a read to its end. */
function finish<R>(job: ReadJob<R>): Outcome<R> {
  while (job.outcome === undefined) job.step(Number.POSITIVE_INFINITY);
  return job.outcome;
}
