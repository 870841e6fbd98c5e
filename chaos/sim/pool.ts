/**
 * Many seeds on all cores: child processes of the same program, each asked for a few seeds at a time. Processes and
 * not threads, so that a run that exhausts memory takes nothing else with it.
 */
import { type ChildProcess, fork } from "node:child_process";
import type { RunSummary } from "./report.ts";
import { summarize } from "./report.ts";
import { runPlan } from "./run.ts";
import { drawPlan, type SwarmOptions } from "./swarm.ts";

/** Seeds per request to a child: large enough to cost nothing, small enough to keep all busy to the end. */
const SEEDS_PER_REQUEST = 5;

interface Ask {
  readonly from: number;
  readonly count: number;
  readonly options: SwarmOptions;
}

export interface PoolOptions {
  readonly from: number;
  readonly seeds: number;
  readonly jobs: number;
  readonly swarm: SwarmOptions;
}

/** Runs seeds [from, from + seeds) and reports each, in any order. Rejects when a child dies. */
export function runSeeds(options: PoolOptions, done: (run: RunSummary) => void): Promise<void> {
  const { jobs } = options;
  let next = options.from;
  const end = options.from + options.seeds;
  const program = process.argv[1] ?? "";
  return new Promise((resolve, reject) => {
    let working = 0;
    const ask = (child: ChildProcess): void => {
      const count = Math.min(SEEDS_PER_REQUEST, end - next);
      if (count <= 0) {
        child.disconnect();
        return;
      }
      const request: Ask = { from: next, count, options: options.swarm };
      next += count;
      child.send(request);
    };
    for (let i = 0; i < Math.min(jobs, options.seeds); i++) {
      const child = fork(program, ["--worker"], { execArgv: ["--enable-source-maps"] });
      working++;
      child.on("message", (message: RunSummary | "more") => {
        if (message === "more") ask(child);
        else done(message);
      });
      child.on("exit", (code) => {
        working--;
        if (code !== 0) reject(new Error(`a worker ended with ${code}`));
        else if (working === 0) resolve();
      });
    }
  });
}

/** The child's side: answers requests until its parent disconnects. */
export function work(): void {
  const { send } = process;
  if (send === undefined) throw new Error("--worker is for the program itself");
  process.on("message", (ask: Ask) => {
    for (let seed = ask.from; seed < ask.from + ask.count; seed++) {
      process.send?.(summarize(runPlan(drawPlan(seed, ask.options), false)));
    }
    process.send?.("more");
  });
  process.on("disconnect", () => process.exit(0));
  process.send?.("more");
}
