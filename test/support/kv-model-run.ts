/**
 * The executor of requests beside the naive model of `chaos/check`: the same random requests to both, every answer,
 * every error, every revision and every event compared. Between them what must change no answer: restarts from the
 * records, physical deletion, reads that are answered in slices.
 */

import { Model, type ModelOutcome } from "../../chaos/check/model.ts";
import { Rng } from "../../chaos/sim/rng.ts";
import {
  isReadOnlyTxn,
  KvLoader,
  type KvStateOfMember,
  Overlay,
  type ReadJob,
  requestProblem,
} from "../../src/apply/index.ts";
import type { KvError } from "../../src/base/index.ts";
import type { ChangeSet } from "../../src/mvcc/index.ts";
import type { KvRequest, KvResponse, RangeRequest, RangeResponse, TxnRequest } from "../../src/pb/kv.ts";
import { latin1, sameEvent, sameList, sameResponse, showAnswer } from "./kv-answers.ts";
import { RequestMaker, type RequestWorld } from "./kv-requests.ts";

const LIMITS = { maxTxnOps: 6, maxRequestBytes: 1_000_000 };

/** What came of a run, so that a test can tell that it was not an easy one. */
export interface ModelRunCounts {
  refusedBeforehand: number;
  refused: number;
  done: number;
  changed: number;
  slicedReads: number;
  restarts: number;
}

interface SlicedRead {
  readonly job: ReadJob<RangeResponse>;
  readonly request: RangeRequest;
  readonly expected: ModelOutcome;
  /** Floor of the store when it began: a compaction may make it begin again. */
  readonly floor: number;
}

/** Runs `operations` random requests. @throws Error naming seed, operation and both answers at the first difference. */
export function runAgainstModel(seed: number, operations: number): ModelRunCounts {
  const run = new ModelRun(seed);
  for (let i = 0; i < operations; i++) run.step(i);
  run.checkAll();
  return run.counts;
}

class ModelRun {
  readonly counts: ModelRunCounts = {
    refusedBeforehand: 0,
    refused: 0,
    done: 0,
    changed: 0,
    slicedReads: 0,
    restarts: 0,
  };
  readonly #seed: number;
  readonly #rng: Rng;
  readonly #model = new Model({ maxTxnOps: LIMITS.maxTxnOps });
  readonly #durable = new Map<string, Uint8Array>();
  readonly #maker: RequestMaker;
  #overlay = new Overlay(this.#durable);
  #told: ChangeSet[] = [];
  #state: KvStateOfMember = this.#load();
  #sliced: SlicedRead | undefined;
  #operation = 0;

  constructor(seed: number) {
    this.#seed = seed;
    this.#rng = new Rng(seed, "kv-model");
    this.#maker = new RequestMaker(new Rng(seed, "kv-requests"), this.#world());
  }

  step(operation: number): void {
    this.#operation = operation;
    const draw = this.#rng.int(0, 100);
    if (draw < 60) this.#write(this.#maker.write());
    else if (draw < 80) this.#range(this.#maker.range());
    else if (draw < 86) this.#readTxn(this.#maker.readTxn());
    else if (draw < 92) this.#startSliced(this.#maker.range());
    else this.#stepSliced();
    if (this.#rng.chance(20_000)) this.#state.store.compactionStep(this.#rng.int(1, 200));
    if (this.#rng.chance(2_000)) this.#saveBatch();
    if (this.#rng.chance(200)) this.#restart();
    if (this.#rng.chance(500)) this.checkAll();
  }

  /** Everything that can be seen at once. */
  checkAll(): void {
    const { store, leases } = this.#state;
    const expected = this.#model.leases();
    this.#same(
      "leases",
      leases.ids().map((id) => [id, leases.keysOf(id)]),
      expected.map(({ id, keys }) => [id, keys]),
    );
    this.#same(
      "revision",
      [store.revision, store.compactRevision],
      [this.#model.revision, this.#model.compactRevision],
    );
    store.checkInvariants();
    leases.checkInvariants();
    this.#overlay.checkInvariants();
  }

  #world(): RequestWorld {
    const state = (): KvStateOfMember => this.#state;
    return {
      get revision() {
        return state().store.revision;
      },
      get compactRevision() {
        return state().store.compactRevision;
      },
      get leases() {
        return state().leases.ids();
      },
      get alarmed() {
        return state().alarms.isFull || state().alarms.isCorrupt;
      },
    };
  }

  #write(request: KvRequest): void {
    // As a member does: what only reads is not proposed.
    if (request.type === "txn" && isReadOnlyTxn(request)) {
      this.#readTxn(request);
      return;
    }
    const revision = this.#model.revision;
    const expected = this.#model.apply(request);
    const problem = requestProblem(request, LIMITS);
    if (problem !== undefined) {
      this.counts.refusedBeforehand++;
      if (problem !== expected.error) this.#differ(request, problem, expected);
      return;
    }
    this.#told = [];
    const outcome = this.#state.apply(request);
    this.#compare(request, outcome, expected);
    if (this.#model.revision > revision) this.counts.changed++;
    this.#compareEvents(request, this.#model.revision > revision);
  }

  #range(request: RangeRequest): void {
    const expected = this.#model.range(request);
    const problem = requestProblem(request, LIMITS);
    if (problem === undefined) this.#compare(request, this.#state.range(request), expected);
    else if (problem !== expected.error) this.#differ(request, problem, expected);
  }

  #readTxn(request: TxnRequest): void {
    const expected = this.#model.apply(request);
    const problem = requestProblem(request, LIMITS);
    if (problem === undefined) this.#compare(request, this.#state.readTxn(request), expected);
    else if (problem !== expected.error) this.#differ(request, problem, expected);
  }

  #startSliced(request: RangeRequest): void {
    if (this.#sliced !== undefined || requestProblem(request, LIMITS) !== undefined) return;
    const floor = this.#model.compactRevision;
    const expected = this.#model.range(request);
    this.#sliced = { job: this.#state.startRange(request), request, expected, floor };
  }

  #stepSliced(): void {
    if (this.#sliced === undefined) return;
    const { job, request, expected, floor } = this.#sliced;
    if (!job.step(this.#rng.int(1, 12))) return;
    this.#sliced = undefined;
    this.counts.slicedReads++;
    if (job.outcome !== undefined && this.#model.compactRevision === floor) {
      this.#compare(request, job.outcome, expected);
    }
  }

  #compare(
    request: KvRequest | RangeRequest,
    outcome: NonNullable<ReadJob<KvResponse>["outcome"]>,
    expected: ModelOutcome,
  ): void {
    if (outcome.type === "done") {
      this.counts.done++;
      const same =
        expected.response !== undefined &&
        outcome.revision === expected.revision &&
        sameResponse(outcome.response, expected.response);
      if (!same) this.#differ(request, outcome, expected);
    } else {
      this.counts.refused++;
      if (outcome.type !== "refused" || outcome.error !== expected.error)
        this.#differ(request, outcome, expected);
    }
  }

  /** What watchers are told is what the model says happened, each revision once. */
  #compareEvents(request: KvRequest, hasChanged: boolean): void {
    const { store } = this.#state;
    if (this.#told.length !== (hasChanged ? 1 : 0)) this.#differ(request, this.#told, hasChanged);
    const set = this.#told[0];
    if (set === undefined) return;
    // A key that changes twice in one revision (by a delete "from key on"): what came before its second change, the
    // store and a watcher see differently, and that is not judged here.
    const keys = new Set(set.changes.map(({ meta }) => latin1(meta.key)));
    if (keys.size < set.changes.length) return;
    const events = set.changes.map((change) => store.event(change, true));
    const expected = this.#model.changeOf(set.revision)?.events ?? [];
    if (!sameList(events, expected, sameEvent)) this.#differ(request, events, expected);
  }

  /** One backend batch, durable at once. */
  #saveBatch(): void {
    const { puts, deletes } = this.#overlay.take();
    for (const name of deletes) this.#durable.delete(name);
    for (const [name, bytes] of puts) this.#durable.set(name, bytes);
    this.#overlay.durable();
  }

  #restart(): void {
    this.counts.restarts++;
    this.#saveBatch();
    this.#sliced = undefined;
    this.#overlay = new Overlay(this.#durable);
    this.#state = this.#load();
    this.checkAll();
  }

  #load(): KvStateOfMember {
    const loader = new KvLoader(this.#overlay, {
      changed: (set) => this.#told.push(set),
      compacted: () => undefined,
    });
    for (const name of [...this.#durable.keys()].sort()) {
      loader.add(name, this.#durable.get(name) ?? new Uint8Array(0));
    }
    const loaded = loader.finish();
    if (loaded.type === "refused") throw new Error(`seed ${this.#seed}: ${loaded.reason}`);
    return loaded.state;
  }

  #same(what: string, a: unknown, b: unknown): void {
    if (showAnswer(a) !== showAnswer(b)) this.#differ(what, a, b);
  }

  #differ(request: KvRequest | RangeRequest | string, got: unknown, expected: unknown | KvError): never {
    const lines = [
      `seed ${this.#seed}, operation ${this.#operation}: ${showAnswer(request)}`,
      `state: ${showAnswer(got)}`,
      `model: ${showAnswer(expected)}`,
    ];
    throw new Error(lines.join("\n"));
  }
}
