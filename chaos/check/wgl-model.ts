/**
 * The whole model searched for an order, revisions and all, without believing any of them: for short pieces of
 * histories, since all keys hang together. It finds what the revision-order checker takes for granted.
 */
import type { KvRequest } from "../../src/pb/kv.ts";
import {
  isReadOnly,
  isSerializable,
  type KvHistory,
  type KvOperation,
  type OperationOutcome,
} from "./kv-history.ts";
import { Model } from "./model.ts";
import { doorProblem, latin1, MAX_TXN_OPS } from "./model-rules.ts";
import { answerProblem } from "./same.ts";
import {
  checkLinearizable,
  MODEL_LIMITS,
  type WglLimits,
  type WglOperation,
  type WglSpecification,
  type WglVerdict,
} from "./wgl.ts";

interface ModelOperation extends WglOperation {
  /** undefined: a request of the members. */
  readonly operation: KvOperation | undefined;
  readonly request: KvOperation["request"] | KvRequest;
  /** Of unknown fate: `pending`. */
  readonly outcome: OperationOutcome;
}

const PENDING: OperationOutcome = { type: "pending" };

/**
 * Checks the beginning of a history: the first `window` operations in order of call; those that returned
 * after the last of these calls may or may not have been executed. Serializable reads are left out, and so
 * are refusals of a request that the state has no part in. What members did by themselves is taken from the
 * log, at any time.
 */
export function checkBeginning(
  history: KvHistory,
  window: number,
  limits: WglLimits = MODEL_LIMITS,
): WglVerdict<{ readonly operation: KvOperation | undefined }> {
  return search(history, NOTHING, window, limits);
}

/**
 * Checks a piece of a history with a log: the first `window` operations behind the first `records` records of the log,
 * which are taken as they stand there. Reads that were called before all of these were answered are left out.
 */
export function checkPiece(
  history: KvHistory,
  records: number,
  window: number,
  limits: WglLimits = MODEL_LIMITS,
): WglVerdict<{ readonly operation: KvOperation | undefined }> {
  return search(history, baseOf(history, records), window, limits);
}

/** What lies before a piece. */
interface Base {
  readonly model: Model;
  /** Everything that was answered of it had been by then. */
  readonly from: number;
  readonly records: number;
  /** Operations that are a part of it. */
  readonly done: ReadonlySet<number>;
  /** Operations that the log has behind it. */
  readonly ahead: ReadonlySet<number>;
}

const NOTHING: Base = {
  model: new Model(),
  from: Number.NEGATIVE_INFINITY,
  records: 0,
  done: new Set(),
  ahead: new Set(),
};

function baseOf(history: KvHistory, records: number): Base {
  const log = history.log ?? [];
  const model = new Model();
  const seen = new Set<string>();
  for (const { identity, request } of log.slice(0, records)) {
    if (!seen.has(identity)) model.apply(request);
    seen.add(identity);
  }
  const ownersOf = (list: typeof log): Set<number> =>
    new Set(list.flatMap(({ operation }) => operation ?? []));
  const done = ownersOf(log.slice(0, records));
  let from = log[records - 1]?.at ?? Number.NEGATIVE_INFINITY;
  for (const { id, returned } of history.operations) {
    if (done.has(id) && returned !== Number.POSITIVE_INFINITY) from = Math.max(from, returned);
  }
  return { model, from, records, done, ahead: ownersOf(log.slice(records)) };
}

function search(
  history: KvHistory,
  base: Base,
  window: number,
  limits: WglLimits,
): WglVerdict<{ readonly operation: KvOperation | undefined }> {
  const first = history.operations
    .filter(({ id, call }) => !base.done.has(id) && (call > base.from || base.ahead.has(id)))
    .sort((a, b) => a.call - b.call)
    .slice(0, window);
  const end = first.at(-1)?.call ?? 0;
  const operations: ModelOperation[] = [];
  for (const operation of first) {
    const { request, outcome, call, returned } = operation;
    if (isSerializable(request) || doorProblem(request, MAX_TXN_OPS) !== undefined) continue;
    if (outcome.type === "refused" && !isOfState(outcome.error)) continue;
    const isOver = returned <= end && (outcome.type === "ok" || outcome.type === "refused");
    if (!isOver && isReadOnly(request)) continue;
    operations.push({
      operation,
      request,
      call,
      returned: isOver ? returned : Number.POSITIVE_INFINITY,
      outcome: isOver ? outcome : PENDING,
    });
  }
  for (const { request, operation, at } of (history.log ?? []).slice(base.records)) {
    if (operation !== undefined || at > end) continue;
    const call = Number.NEGATIVE_INFINITY;
    operations.push({
      operation: undefined,
      request,
      call,
      returned: Number.POSITIVE_INFINITY,
      outcome: PENDING,
    });
  }
  return checkLinearizable(new ModelStates(base.model), operations, limits);
}

/** Refusals that depend on keys, leases or the floor. */
function isOfState(error: string): boolean {
  return /required revision|lease not found|lease already exists|key not found/.test(error);
}

/** Models, numbered by what can be seen of them. */
class ModelStates implements WglSpecification<ModelOperation> {
  readonly initial = 0;
  readonly #models: Model[];
  /** Changes that all of them have in common. */
  readonly #common: number;
  readonly #numbers: Map<string, number>;

  constructor(start: Model) {
    this.#models = [start];
    this.#common = start.changes.length;
    this.#numbers = new Map([[signature(start, this.#common), 0]]);
  }

  step(state: number, { request, outcome, operation }: ModelOperation): number {
    const model = this.#models[state];
    if (model === undefined) return -1;
    const peeked = model.peek(request);
    if (peeked !== undefined) return isAnswer(peeked, outcome, operation) ? state : -1;
    if (request.type === "range") return -1;
    const after = model.clone();
    const result = after.apply(request);
    return isAnswer(result, outcome, operation) ? this.#number(after) : -1;
  }

  #number(model: Model): number {
    const name = signature(model, this.#common);
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    this.#models.push(model);
    this.#numbers.set(name, this.#models.length - 1);
    return this.#models.length - 1;
  }
}

function isAnswer(
  result: ReturnType<Model["apply"]>,
  outcome: OperationOutcome,
  operation: KvOperation | undefined,
): boolean {
  if (outcome.type === "refused") return result.error?.message === outcome.error;
  if (outcome.type !== "ok" || operation === undefined) return true;
  if (result.error !== undefined || result.revision !== outcome.revision) return false;
  const { response } = result;
  if (response.type === "leaseCheckpoint") return false;
  return answerProblem(operation.request, outcome.response, response) === undefined;
}

/** Everything that an answer can depend on: all versions above the floor are in the changes. */
function signature(model: Model, common: number): string {
  const changes = model.changes
    .slice(common)
    .map(({ events }) =>
      events.map(({ type, kv }) => `${type}${latin1(kv.key)}=${latin1(kv.value)}@${kv.lease}`).join(),
    );
  const leases = model.leases().map(({ id, ttl }) => `${id}:${ttl}`);
  return `${model.compactRevision}|${model.alarms().join()}|${leases.join()}|${changes.join(";")}`;
}
