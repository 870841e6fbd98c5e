/**
 * Executes the order on the model and compares every answer that has a place in it (reliability.md §3.2 C1,
 * points 3 and 4). Answers of requests that changed nothing are judged at the revision of their header.
 */

import type { Findings } from "./findings.ts";
import type { KvHistory, KvOperation } from "./kv-history.ts";
import { Model, type ModelOutcome } from "./model.ts";
import { type Step, type StepSource, showStep } from "./order.ts";
import { answerProblem } from "./same.ts";
import { Timeline } from "./timeline.ts";
import { showOperation } from "./words.ts";

/** What the order came to. */
export interface Replay {
  readonly model: Model;
  readonly timeline: Timeline;
  /** Index of its step, by operation. */
  readonly stepOf: ReadonlyMap<KvOperation, number>;
  /** Answered with success, without a step: reads, and writes that changed nothing. */
  readonly placeless: readonly KvOperation[];
}

export function replay(
  history: KvHistory,
  source: StepSource,
  isStep: (operation: KvOperation) => boolean,
  findings: Findings,
): Replay {
  const model = new Model();
  const timeline = new Timeline();
  const stepOf = new Map<KvOperation, number>();
  const placeless = history.operations.filter((o) => o.outcome.type === "ok" && !isStep(o));
  const waiting = byRevision(placeless);
  const judgeWaiting = (): void => {
    for (const operation of waiting.get(model.revision) ?? []) judgePlaceless(operation, model, findings);
    waiting.delete(model.revision);
  };
  judgeWaiting();
  for (let step = source.next(model); step !== undefined; step = source.next(model)) {
    const before = model.revision;
    const outcome = model.apply(step.request);
    timeline.add(step, model);
    if (step.owner !== undefined) judgeStep(step, step.owner, outcome, findings);
    if (model.revision !== before) judgeWaiting();
  }
  timeline.steps.forEach(({ owner }, i) => {
    if (owner !== undefined) stepOf.set(owner, i);
  });
  for (const [revision, operations] of waiting) {
    for (const operation of operations) {
      const says = `the store never was at revision ${revision}, its last is ${model.revision}`;
      findings.add("revision that never was", `${showOperation(operation)}: ${says}`, {
        operations: [operation],
        revisions: [revision],
      });
    }
  }
  return { model, timeline, stepOf, placeless };
}

/**
 * Whether an operation reads at a revision of its own choice; then the floor matters, and so its exact place.
 */
export function namesRevision(operation: KvOperation): boolean {
  const { request } = operation;
  if (request.type === "range") return request.revision > 0;
  if (request.type !== "txn") return false;
  return [...request.success, ...request.failure].some(
    (op) => (op?.type === "range" && op.revision !== 0) || op?.type === "txn",
  );
}

function byRevision(operations: readonly KvOperation[]): Map<number, KvOperation[]> {
  const map = new Map<number, KvOperation[]>();
  for (const operation of operations) {
    if (operation.outcome.type !== "ok") continue;
    const list = map.get(operation.outcome.revision);
    if (list === undefined) map.set(operation.outcome.revision, [operation]);
    else list.push(operation);
  }
  return map;
}

function judgeStep(step: Step, owner: KvOperation, outcome: ModelOutcome, findings: Findings): void {
  const about = { operations: [owner], revisions: [outcome.revision] };
  const refusal = outcome.error?.message;
  if (owner.outcome.type === "refused") {
    if (refusal === owner.outcome.error) return;
    const says = refusal === undefined ? "it was executed" : `it should have been "${refusal}"`;
    const rule = refusal === undefined ? "refused request took effect" : "wrong refusal";
    findings.add(rule, `${showStep(step)}: ${says}`, about);
    return;
  }
  if (owner.outcome.type !== "ok") return;
  if (outcome.response === undefined) {
    findings.add("wrong answer", `${showStep(step)}: it should have been refused with "${refusal}"`, about);
    return;
  }
  const { revision, response } = owner.outcome;
  if (revision !== outcome.revision) {
    const says = `the header says revision ${revision}, it should be ${outcome.revision}`;
    findings.add("wrong answer", `${showOperation(owner)}: ${says}`, about);
    return;
  }
  if (outcome.response.type === "leaseCheckpoint") return;
  const problem = answerProblem(owner.request, response, outcome.response);
  if (problem !== undefined) findings.add("wrong answer", `${showOperation(owner)}: ${problem}`, about);
}

/** Judges an answer that changed nothing, when the model is at the revision of its header. */
function judgePlaceless(operation: KvOperation, model: Model, findings: Findings): void {
  if (namesRevision(operation)) return;
  judgeAnswer(operation, model.peek(operation.request), findings);
}

/**
 * Compares a successful answer with the model's. `outcome` undefined: the request would have changed
 * something.
 */
export function judgeAnswer(
  operation: KvOperation,
  outcome: ModelOutcome | undefined,
  findings: Findings,
): void {
  if (operation.outcome.type !== "ok") return;
  const { response, revision } = operation.outcome;
  let problem: string | undefined;
  if (outcome === undefined) problem = "the answer says that nothing was changed, but it would have been";
  else if (outcome.error !== undefined)
    problem = `it should have been refused with "${outcome.error.message}"`;
  else if (outcome.response.type !== "leaseCheckpoint") {
    problem = answerProblem(operation.request, response, outcome.response);
  }
  if (problem === undefined) return;
  findings.add("wrong answer", `${showOperation(operation)}: ${problem}`, {
    operations: [operation],
    revisions: [revision],
  });
}
