/** Sums over many runs, what a run must have reached to count as one, and how all of it is printed. */
import type { RunResult, RunViolation } from "./run.ts";
import { SOMETIMES, SOMETIMES_POINTS, type SometimesPoint } from "./sometimes.ts";

/** What a seed must average, or the run counts as a failure: a suite that tests nothing must not be green. */
export const PLANNED = { simSeconds: 60, acknowledged: 300, faults: 10, calmShare: 0.1 } as const;
/** Below this many seeds averages say nothing. */
const MIN_SEEDS_FOR_AVERAGES = 20;
/** From this many on, every `Sometimes` point must have been reached. */
export const MIN_SEEDS_FOR_POINTS = 200;

/** One run as it crosses from a worker: everything that the sums need. */
export interface RunSummary {
  readonly seed: number;
  readonly violation: RunViolation | undefined;
  readonly unknown: boolean;
  readonly calm: boolean;
  readonly simUs: number;
  readonly faults: number;
  readonly acknowledged: number;
  readonly operations: number;
  readonly elections: number;
  readonly events: number;
  readonly hash: string;
  readonly points: readonly (readonly [SometimesPoint, number])[];
}

export function summarize(result: RunResult): RunSummary {
  const { lines: _lines, sometimes, ...rest } = result;
  return { ...rest, points: [...sometimes] };
}

/** The sums of a whole call. */
export class Totals {
  seeds = 0;
  simUs = 0;
  faults = 0;
  acknowledged = 0;
  operations = 0;
  elections = 0;
  events = 0;
  calm = 0;
  unknown = 0;
  readonly violations: { readonly seed: number; readonly violation: RunViolation }[] = [];
  readonly #points = new Map<SometimesPoint, number>();

  add(run: RunSummary): void {
    this.seeds++;
    this.simUs += run.simUs;
    this.faults += run.faults;
    this.acknowledged += run.acknowledged;
    this.operations += run.operations;
    this.elections += run.elections;
    this.events += run.events;
    if (run.calm) this.calm++;
    if (run.unknown) this.unknown++;
    if (run.violation !== undefined) this.violations.push({ seed: run.seed, violation: run.violation });
    for (const [point, count] of run.points) this.#points.set(point, (this.#points.get(point) ?? 0) + count);
  }

  unreached(): SometimesPoint[] {
    return SOMETIMES_POINTS.filter((point) => !this.#points.has(point));
  }

  /** What was missed of the planned work; empty when all is well. */
  shortfalls(): string[] {
    const missed: string[] = [];
    const { seeds } = this;
    if (seeds >= MIN_SEEDS_FOR_AVERAGES && this.violations.length === 0) {
      const check = (name: string, value: number, least: number): void => {
        if (value < least) missed.push(`${name}: ${value.toFixed(1)} per seed, ${least} planned`);
      };
      check("simulated seconds", this.simUs / 1e6 / seeds, PLANNED.simSeconds);
      check("acknowledged operations", this.acknowledged / seeds, PLANNED.acknowledged);
      check("faults", this.faults / seeds, PLANNED.faults);
      // A small call may draw a few calm ones more than their share.
      const allowed = Math.max(PLANNED.calmShare * seeds, 4);
      if (this.calm > allowed) missed.push(`calm seeds: ${this.calm} of ${seeds}`);
    }
    if (seeds >= MIN_SEEDS_FOR_POINTS) {
      for (const point of this.unreached()) missed.push(`never reached: ${point} (${SOMETIMES[point]})`);
    }
    return missed;
  }

  /** All lines but the last. @param wallSeconds of the whole call. @param jobs processes that worked. */
  describe(wallSeconds: number, jobs: number): string[] {
    const { seeds, simUs } = this;
    const perCore = simUs / 1e6 / wallSeconds / jobs;
    const lines = ["sometimes:"];
    for (const point of SOMETIMES_POINTS) {
      lines.push(`  ${String(this.#points.get(point) ?? 0).padStart(8)}  ${point}`);
    }
    lines.push(
      `per seed: ${(simUs / 1e6 / seeds).toFixed(1)} simulated s, ` +
        `${(this.acknowledged / seeds).toFixed(0)} acknowledged ` +
        `of ${(this.operations / seeds).toFixed(0)} operations, ${(this.faults / seeds).toFixed(1)} faults, ` +
        `${(this.elections / seeds).toFixed(1)} leaders, ${(this.events / seeds).toFixed(0)} events`,
      `calm: ${this.calm} of ${seeds} (${((100 * this.calm) / seeds).toFixed(1)} %)`,
      `throughput: ${perCore.toFixed(0)} simulated seconds per second per core ` +
        `(${jobs} jobs, ${wallSeconds.toFixed(1)} s)`,
    );
    return lines;
  }

  /** The line that scripts read; always the last one of standard output. */
  lastLine(): string {
    const hours = (this.simUs / 3.6e9).toFixed(2);
    return (
      `seeds ${this.seeds}  sim-hours ${hours}  faults ${this.faults}  operations ${this.acknowledged}  ` +
      `violations ${this.violations.length}  unknown ${this.unknown}`
    );
  }
}
