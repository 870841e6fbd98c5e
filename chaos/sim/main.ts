/**
 * `npm run sim -- ...`: runs seeds, replays a stored plan, or the corpus. The last line of standard output is always
 * the one that scripts read; the exit code is 1 for a violation, an unknown, or less than the planned work.
 */
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { explain, projectRoot } from "./failure.ts";
import type { Drift } from "./plan.ts";
import { runDriverSeeds, runSeeds, work } from "./pool.ts";
import { readPlan, replayCorpus } from "./replay.ts";
import { summarize, Totals } from "./report.ts";
import { runPlan } from "./run.ts";
import { drawPlan, type SwarmOptions } from "./swarm.ts";

/** One seed of the second tier for so many of the first. */
const DRIVER_SHARE = 5;

/** Violations of one call that are shrunk and explained; the others are named. */
const MAX_EXPLAINED = 2;

const USAGE = `usage: npm run sim -- [--seeds N] [--from S] [--jobs J] [--hash] [--double N]
                      [--seed S [--trace]] [--replay FILE] [--corpus] [--drift bound|twice]
       npm run sim -- --driver [--seeds N] [--from S] [--hash] [--seed S]
       npm run sim -- --mutants [--only A,B] [--fresh] [--record] [--known]`;

interface Arguments {
  seeds: number;
  from: number;
  jobs: number;
  seed: number | undefined;
  trace: boolean;
  hash: boolean;
  /** The first so many seeds are run once more, in other processes, and must give the same trace. */
  double: number;
  replay: string | undefined;
  corpus: boolean;
  worker: boolean;
  drift: Drift;
}

function parse(argv: readonly string[]): Arguments {
  const args: Arguments = {
    seeds: 100,
    from: 1,
    jobs: availableParallelism(),
    seed: undefined,
    trace: false,
    hash: false,
    double: 0,
    replay: undefined,
    corpus: false,
    worker: false,
    drift: "within",
  };
  const rest = [...argv];
  const value = (name: string): string => rest.shift() ?? refuse(`${name} needs a value`);
  const number = (name: string): number => {
    const text = value(name);
    const parsed = Number(text);
    return Number.isSafeInteger(parsed) && parsed >= 0 ? parsed : refuse(`${name} ${text}: not a number`);
  };
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    switch (name) {
      case "--help":
      case "-h":
        console.log(USAGE);
        process.exit(0);
        break;
      case "--seeds":
        args.seeds = number(name);
        break;
      case "--from":
        args.from = number(name);
        break;
      case "--jobs":
        args.jobs = Math.max(1, number(name));
        break;
      case "--seed":
        args.seed = number(name);
        break;
      case "--replay":
        args.replay = value(name);
        break;
      case "--drift": {
        const drift = value(name);
        if (drift !== "bound" && drift !== "twice") refuse(`--drift ${drift}: bound or twice`);
        args.drift = drift;
        break;
      }
      case "--trace":
        args.trace = true;
        break;
      case "--double":
        args.double = number(name);
        break;
      case "--hash":
        args.hash = true;
        break;
      case "--corpus":
        args.corpus = true;
        break;
      case "--worker":
        args.worker = true;
        break;
      default:
        refuse(`unknown argument ${name}`);
    }
  }
  return args;
}

function refuse(reason: string): never {
  console.error(`${reason}\n${USAGE}`);
  process.exit(2);
}

async function main(): Promise<number> {
  const args = parse(process.argv.slice(2));
  // The proof that the lease check bites wants leases everywhere; the bound must hold under the same conditions.
  const swarm: SwarmOptions = { drift: args.drift, leaseProof: args.drift !== "within" };
  if (args.worker) {
    work();
    return new Promise(() => undefined);
  }
  if (args.corpus) return corpus();
  if (args.replay !== undefined) return replay(args.replay);
  if (args.seed !== undefined) return one(args.seed, args, swarm);
  return many(args, swarm);
}

function corpus(): number {
  const { plans, failures } = replayCorpus(join(projectRoot(), "chaos", "corpus"));
  for (const failure of failures) console.log(failure);
  console.log(`corpus: ${plans - failures.length} of ${plans} plans end as they must`);
  return failures.length === 0 ? 0 : 1;
}

function replay(path: string): number {
  const stored = readPlan(path);
  const result = runPlan(stored.plan, true);
  for (const line of result.lines) console.log(line);
  console.log(`story: ${stored.story}`);
  const totals = new Totals();
  totals.add(summarize(result));
  if (result.violation !== undefined)
    console.log(`VIOLATION ${result.violation.id}: ${result.violation.message}`);
  console.log(totals.lastLine());
  return (result.violation?.id ?? "") === stored.expect && !result.unknown ? 0 : 1;
}

function one(seed: number, args: Arguments, swarm: SwarmOptions): number {
  const plan = drawPlan(seed, swarm);
  const result = runPlan(plan, args.trace);
  const totals = new Totals();
  totals.add(summarize(result));
  for (const line of result.lines) console.log(line);
  console.log(`seed ${seed} trace ${result.hash} events ${result.events}`);
  if (result.violation !== undefined) explain(plan, result.violation.id);
  console.log(totals.lastLine());
  return result.violation === undefined && !result.unknown ? 0 : 1;
}

async function many(args: Arguments, swarm: SwarmOptions): Promise<number> {
  const { from, seeds, jobs } = args;
  const totals = new Totals();
  const begin = process.hrtime.bigint();
  const hashes: string[] = [];
  await runSeeds({ from, seeds, jobs, swarm }, (run) => {
    totals.add(run);
    hashes[run.seed - from] = `seed ${run.seed} trace ${run.hash} events ${run.events}`;
    if (run.violation !== undefined) {
      console.log(`seed ${run.seed}: ${run.violation.id}: ${run.violation.message.split("\n")[0]}`);
    }
    if (run.unknown) console.log(`seed ${run.seed}: given up after ${run.events} events`);
    if (process.stderr.isTTY) {
      process.stderr.write(`\r${totals.seeds}/${seeds} seeds  ${totals.violations.length} violations `);
    }
  });
  const wallSeconds = Number(process.hrtime.bigint() - begin) / 1e9;
  if (process.stderr.isTTY) process.stderr.write("\r");
  if (args.hash) for (const line of hashes) console.log(line);
  totals.violations.sort((a, b) => a.seed - b.seed);
  for (const { seed, violation } of totals.violations.slice(0, MAX_EXPLAINED)) {
    explain(drawPlan(seed, swarm), violation.id);
  }
  for (const line of totals.describe(wallSeconds, Math.min(jobs, seeds))) console.log(line);
  // The lease proof has leases in every seed and nothing else of the swarm's variety.
  const missed = swarm.leaseProof ? [] : totals.shortfalls();
  for (const line of missed) console.log(`MISSED ${line}`);
  const differing = await runAgain(args, swarm, hashes);
  const isDriverClean = swarm.leaseProof || (await secondTier(args));
  console.log(totals.lastLine());
  const isClean = totals.violations.length === 0 && totals.unknown === 0 && missed.length === 0;
  return isClean && differing === 0 && isDriverClean ? 0 : 1;
}

/** The share of the second tier: the real driver, over the same numbers. Whether it is clean. */
async function secondTier({ from, seeds, double, jobs }: Arguments): Promise<boolean> {
  const share = Math.floor(seeds / DRIVER_SHARE);
  if (share === 0) return true;
  const hashes: string[] = [];
  const sum = { simUs: 0, faults: 0, acknowledged: 0, violations: 0 };
  await runDriverSeeds({ from, seeds: share, jobs }, (run) => {
    hashes[run.seed - from] = run.hash;
    sum.simUs += run.simUs;
    sum.faults += run.faults;
    sum.acknowledged += run.acknowledged;
    if (run.violation === undefined) return;
    sum.violations++;
    console.log(`driver seed ${run.seed}: ${run.violation.id}: ${run.violation.message}`);
  });
  let differing = 0;
  const twice = Math.min(share, Math.floor(double / DRIVER_SHARE));
  await runDriverSeeds({ from, seeds: twice, jobs }, (run) => {
    if (run.hash === hashes[run.seed - from]) return;
    differing++;
    console.log(`DIFFERS driver seed ${run.seed}`);
  });
  console.log(
    `driver seeds ${share}  sim-hours ${(sum.simUs / 3.6e9).toFixed(2)}  faults ${sum.faults}  ` +
      `operations ${sum.acknowledged}  violations ${sum.violations}  run twice ${twice}  differing ${differing}`,
  );
  return sum.violations === 0 && differing === 0;
}

/** Runs seeds a second time; returns how many gave another trace. */
async function runAgain(args: Arguments, swarm: SwarmOptions, hashes: readonly string[]): Promise<number> {
  const seeds = Math.min(args.double, args.seeds);
  if (seeds === 0) return 0;
  let differing = 0;
  await runSeeds({ from: args.from, seeds, jobs: args.jobs, swarm }, (run) => {
    const again = `seed ${run.seed} trace ${run.hash} events ${run.events}`;
    if (again === hashes[run.seed - args.from]) return;
    differing++;
    console.log(`DIFFERS ${hashes[run.seed - args.from]}, then ${again}`);
  });
  console.log(`run twice ${seeds}  differing ${differing}`);
  return differing;
}

process.exit(await main());
