/** Plans as files: failures that were made small, and the corpus of those that were fixed (chaos/corpus). */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { FAULT_KINDS, type Fault, type Plan, type SeedConfig } from "./plan.ts";
import { runPlan } from "./run.ts";
import { drawPlan, NO_OPTIONS } from "./swarm.ts";

/** A stored plan with why it is kept. */
export interface StoredPlan {
  /** One line: what went wrong, and what it takes. */
  readonly story: string;
  /** The invariant that this run must break, for proofs that the judges bite; "" when it must be clean. */
  readonly expect: string;
  readonly plan: Plan;
}

/** The text of a stored plan; one fault per line, so that a diff of two is readable. */
export function renderPlan(stored: StoredPlan): string {
  const { story, expect, plan } = stored;
  const faults = plan.faults.map((fault) => `    ${JSON.stringify(fault)}`).join(",\n");
  return [
    "{",
    `  "story": ${JSON.stringify(story)},`,
    `  "expect": ${JSON.stringify(expect)},`,
    `  "seed": ${plan.seed},`,
    `  "config": ${JSON.stringify(plan.config)},`,
    `  "faults": [${faults === "" ? "" : `\n${faults}\n  `}],`,
    `  "skip": ${JSON.stringify(rangesOf(plan.skip))}`,
    "}",
    "",
  ].join("\n");
}

/** @throws Error when the file is no plan */
export function readPlan(path: string): StoredPlan {
  const value: unknown = JSON.parse(readFileSync(path, "utf8"));
  if (!isRecord(value)) throw new Error(`${path}: no plan`);
  const { story, expect, seed, config, faults, skip } = value;
  if (typeof story !== "string" || typeof expect !== "string" || typeof seed !== "number") {
    throw new Error(`${path}: story, expect and seed are needed`);
  }
  if (!isRecord(config) || !Array.isArray(faults) || !Array.isArray(skip)) {
    throw new Error(`${path}: config, faults and skip are needed`);
  }
  for (const fault of faults) {
    if (!isRecord(fault) || !FAULT_KINDS.some((kind) => kind === fault["kind"])) {
      throw new Error(`${path}: unknown fault ${JSON.stringify(fault)}`);
    }
  }
  // A plan from before a tunable existed has no value for it: whoever adds one decides what old plans meant.
  const template: object = drawPlan(seed, NO_OPTIONS).config;
  for (const [name, drawn] of Object.entries(template)) {
    if (typeof config[name] !== typeof drawn) throw new Error(`${path}: config.${name} is missing`);
  }
  const plan: Plan = {
    seed,
    config: config as unknown as SeedConfig,
    faults: faults as Fault[],
    skip: expand(skip as (readonly [number, number])[]),
  };
  return { story, expect, plan };
}

/** Replays every plan of a directory. Returns a line for each that did not end as it must. */
export function replayCorpus(directory: string): {
  readonly plans: number;
  readonly failures: readonly string[];
} {
  const failures: string[] = [];
  const names = readdirSync(directory).filter((name) => name.endsWith(".json"));
  names.sort();
  for (const name of names) {
    const stored = readPlan(join(directory, name));
    const { violation } = runPlan(stored.plan, false);
    const id = violation?.id ?? "";
    if (id !== stored.expect) {
      failures.push(
        `${name}: ${stored.expect || "clean"} expected, got ${id || "clean"} ${violation?.message ?? ""}`,
      );
    }
  }
  return { plans: names.length, failures };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Sorted numbers as inclusive ranges. */
function rangesOf(numbers: readonly number[]): [number, number][] {
  const ranges: [number, number][] = [];
  for (const number of [...numbers].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] + 1 === number) last[1] = number;
    else ranges.push([number, number]);
  }
  return ranges;
}

function expand(ranges: readonly (readonly [number, number])[]): number[] {
  const numbers: number[] = [];
  for (const [lo, hi] of ranges) for (let number = lo; number <= hi; number++) numbers.push(number);
  return numbers;
}
