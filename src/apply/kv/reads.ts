/**
 * Reads under way: a range, or a txn of ranges, answered in slices from one revision, which is pinned. A compaction
 * that overtakes a read does not show in it, as in etcd, where a read holds its snapshot.
 */
import type { KvError } from "../../base/index.ts";
import type { RangeRequest, TxnResponse } from "../../pb/kv.ts";
import { RangeWork } from "./range.ts";
import type { TxnPlan } from "./txn.ts";
import { done, type KvStore, type Outcome, refused } from "./types.ts";
import { DamagedValue } from "./values.ts";

/** What a read has to do from the revision on at which it was looked at. */
export interface Work<Response> {
  /** The oldest revision that is read. */
  readonly lowest: number;
  /** Once `step` has returned true. */
  readonly response: Response;
  /** True: done. @throws DamagedValue */
  step(budget: number): boolean;
}

/** A range whose revision is readable. */
export function rangeWork(store: KvStore, request: RangeRequest): RangeWork {
  return new RangeWork(store, request, request.revision > 0 ? request.revision : store.revision);
}

/** A txn that only reads and whose plan has no problem. */
export function readTxnWork(store: KvStore, plan: TxnPlan): Work<TxnResponse> {
  const works: RangeWork[] = [];
  for (const op of plan.ops) if (op?.type === "range") works.push(rangeWork(store, op));
  return new ReadTxnWork(plan.succeeded, works, store.revision);
}

/** A read that is answered in slices. What is written or compacted between two of them does not show in the answer. */
export class ReadJob<Response> {
  readonly #store: KvStore;
  readonly #prepare: () => Work<Response> | KvError;
  #work: Work<Response> | undefined;
  /** Of the store when the work began; the header of the answer carries it, whatever revision was asked for. */
  #revision = 0;
  #release: (() => void) | undefined;
  #outcome: Outcome<Response> | undefined;

  /** @param prepare looks at the request on the newest state; why it is refused, or what there is to do. */
  constructor(store: KvStore, prepare: () => Work<Response> | KvError) {
    this.#store = store;
    this.#prepare = prepare;
    this.#guard(() => this.#begin());
  }

  /** undefined until `step` has returned true; a read that is refused has it at once. */
  get outcome(): Outcome<Response> | undefined {
    return this.#outcome;
  }

  /** Does about `budget` units of work, at least one (`mvcc/work.ts`). True: it has an outcome. */
  step(budget: number): boolean {
    if (this.#outcome === undefined) this.#guard(() => this.#continue(budget));
    return this.#outcome !== undefined;
  }

  /** Gives it up and lets go of the revision. Nothing more may be called; after the end it is needless. */
  cancel(): void {
    this.#release?.();
    this.#release = undefined;
    this.#work = undefined;
  }

  #begin(): void {
    this.cancel();
    const prepared = this.#prepare();
    if ("message" in prepared) {
      this.#outcome = refused(prepared);
      return;
    }
    this.#work = prepared;
    this.#revision = this.#store.revision;
    this.#release = this.#store.pin(prepared.lowest);
  }

  #continue(budget: number): void {
    const work = this.#work;
    if (work === undefined || !work.step(budget)) return;
    this.#outcome = done(this.#revision, work.response);
    this.cancel();
  }

  #guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.cancel();
      if (!(error instanceof DamagedValue)) throw error;
      this.#outcome = { type: "fatal", reason: error.message };
    }
  }
}

class ReadTxnWork implements Work<TxnResponse> {
  readonly lowest: number;
  readonly #succeeded: boolean;
  readonly #works: readonly RangeWork[];
  #at = 0;

  constructor(succeeded: boolean, works: readonly RangeWork[], revision: number) {
    this.#succeeded = succeeded;
    this.#works = works;
    this.lowest = works.reduce((lowest, work) => Math.min(lowest, work.lowest), revision);
  }

  get response(): TxnResponse {
    return { type: "txn", succeeded: this.#succeeded, responses: this.#works.map((work) => work.response) };
  }

  /** One range per call at most, so that many small ones do not add up to a long slice. */
  step(budget: number): boolean {
    const work = this.#works[this.#at];
    if (work?.step(budget)) this.#at++;
    return this.#at >= this.#works.length;
  }
}
