/**
 * Many seeds on all cores: child processes of the same program, each asked for a few seeds at a time. Processes and
 * not threads, so that a run that exhausts memory takes nothing else with it.
 */
import { type ChildProcess, fork } from "node:child_process";
import { type DriverRun, runDriver } from "../driver/run.ts";
import type { RunSummary } from "./report.ts";
import { summarize } from "./report.ts";
import { runPlan } from "./run.ts";
import { drawPlan, type SwarmOptions } from "./swarm.ts";

/** Seeds per request to a child: large enough to cost nothing, small enough to keep all busy to the end. */
const SEEDS_PER_REQUEST = 5;

/** A run of the second tier as it crosses from a worker: an error as its words. */
export interface DriverSummary extends Omit<DriverRun, "violation" | "counts" | "lines"> {
  readonly violation: { readonly id: string; readonly message: string } | undefined;
}

interface Ask {
  readonly from: number;
  readonly count: number;
  /** undefined: the second tier, which draws everything from the seed. */
  readonly options: SwarmOptions | undefined;
}

interface Range {
  readonly from: number;
  readonly seeds: number;
  readonly jobs: number;
}

export interface PoolOptions extends Range {
  readonly swarm: SwarmOptions;
}

/** Runs seeds [from, from + seeds) and reports each, in any order. Rejects when a child dies. */
export function runSeeds(options: PoolOptions, done: (run: RunSummary) => void): Promise<void> {
  return spread(options, options.swarm, done);
}

/** The same for the second tier (chaos/driver). */
export function runDriverSeeds(range: Range, done: (run: DriverSummary) => void): Promise<void> {
  return spread(range, undefined, done);
}

function spread<Run>(
  options: Range,
  swarm: SwarmOptions | undefined,
  done: (run: Run) => void,
): Promise<void> {
  const { jobs } = options;
  if (options.seeds === 0) return Promise.resolve();
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
      const request: Ask = { from: next, count, options: swarm };
      next += count;
      child.send(request);
    };
    for (let i = 0; i < Math.min(jobs, options.seeds); i++) {
      const child = fork(program, ["--worker"], { execArgv: ["--enable-source-maps"] });
      working++;
      child.on("message", (message: Run | "more") => {
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
  process.on("message", (ask: Ask) => void serve(ask));
  process.on("disconnect", () => process.exit(0));
  process.send?.("more");
}

async function serve({ from, count, options }: Ask): Promise<void> {
  for (let seed = from; seed < from + count; seed++) {
    process.send?.(
      options === undefined
        ? summarizeDriver(await runDriver(seed, false))
        : summarize(runPlan(drawPlan(seed, options), false)),
    );
  }
  process.send?.("more");
}

function summarizeDriver({ counts: _counts, lines: _lines, violation, ...rest }: DriverRun): DriverSummary {
  if (violation === undefined) return { ...rest, violation };
  return { ...rest, violation: { id: violation.id, message: violation.message } };
}
