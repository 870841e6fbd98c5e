/**
 * Makes a failing plan small: ddmin over the faults, then over the requests, keeping the name of the broken invariant.
 * Every candidate is a whole run from its own start; the streams of chance per concern keep the rest of it in place.
 */
import { operationKey, type Plan } from "./plan.ts";
import type { RunResult } from "./run.ts";
import type { InvariantId } from "./violation.ts";

export interface ShrinkOptions {
  /** Runs a candidate. */
  readonly run: (plan: Plan) => RunResult;
  /** Most runs to spend on faults and on requests. */
  readonly maxFaultRuns: number;
  readonly maxRequestRuns: number;
}

/** A smaller plan that breaks the same invariant, or the same plan. */
export function shrinkPlan(plan: Plan, id: InvariantId, options: ShrinkOptions): Plan {
  const fails = (candidate: Plan): boolean => options.run(candidate).violation?.id === id;
  const first = options.run(plan);
  if (first.violation?.id !== id) return plan;
  const end = first.violation.at;
  // What comes after the violation cannot have caused it.
  let best: Plan = { ...plan, faults: plan.faults.filter((fault) => fault.at <= end) };
  if (!fails(best)) best = plan;
  const faults = ddmin(best.faults, (kept) => fails({ ...best, faults: kept }), options.maxFaultRuns);
  best = { ...best, faults };
  const all = operationKeys(best, first.operations);
  const kept = ddmin(all, (keys) => fails({ ...best, skip: without(all, keys) }), options.maxRequestRuns);
  const skip = without(all, kept);
  return fails({ ...best, skip }) ? { ...best, skip } : best;
}

/**
 * Delta debugging (Zeller, Hildebrandt 2002): a subset of `items` that still fails and that no removal of one of its
 * parts makes smaller, or the best that was found within `maxRuns`.
 */
export function ddmin<T>(
  items: readonly T[],
  fails: (kept: readonly T[]) => boolean,
  maxRuns: number,
): readonly T[] {
  let best = items;
  let parts = 2;
  let runs = 0;
  while (best.length > 0 && runs < maxRuns) {
    const size = Math.ceil(best.length / parts);
    let reduced = false;
    for (let from = 0; from < best.length && runs < maxRuns; from += size) {
      const candidate = [...best.slice(0, from), ...best.slice(from + size)];
      runs++;
      if (!fails(candidate)) continue;
      best = candidate;
      parts = Math.max(2, parts - 1);
      reduced = true;
      break;
    }
    if (reduced) continue;
    if (size === 1) break;
    parts = Math.min(best.length, parts * 2);
  }
  return best;
}

function operationKeys(plan: Plan, operations: number): number[] {
  const keys: number[] = [];
  const perClient = Math.ceil((operations * 2) / plan.config.clients);
  for (let client = 0; client < plan.config.clients; client++) {
    for (let number = 1; number <= perClient; number++) keys.push(operationKey(client, number));
  }
  return keys;
}

function without(all: readonly number[], kept: readonly number[]): number[] {
  const keep = new Set(kept);
  return all.filter((key) => !keep.has(key));
}
