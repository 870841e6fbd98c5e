/**
 * The whole model searched for an order, revisions and all, without believing any of them: for the beginnings
 * of histories, since all keys hang together. It finds what the revision-order checker takes for granted.
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
  const first = [...history.operations].sort((a, b) => a.call - b.call).slice(0, window);
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
  for (const { request, operation, at } of history.log ?? []) {
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
  return checkLinearizable(new ModelStates(), operations, limits);
}

/** Refusals that depend on keys, leases or the floor. */
function isOfState(error: string): boolean {
  return /required revision|lease not found|lease already exists|key not found/.test(error);
}

/** Models, numbered by what can be seen of them. */
class ModelStates implements WglSpecification<ModelOperation> {
  readonly initial = 0;
  readonly #models: Model[] = [new Model()];
  readonly #numbers = new Map<string, number>([[signature(new Model()), 0]]);

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
    const name = signature(model);
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
function signature(model: Model): string {
  const changes = model.changes.map(({ events }) =>
    events.map(({ type, kv }) => `${type}${latin1(kv.key)}=${latin1(kv.value)}@${kv.lease}`).join(),
  );
  const leases = model.leases().map(({ id, ttl }) => `${id}:${ttl}`);
  return `${model.compactRevision}|${model.alarms().join()}|${leases.join()}|${changes.join(";")}`;
}
