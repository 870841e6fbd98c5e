/**
 * `npm run sim -- --driver ...`: seeds of the second tier. The last line of standard output is the one that scripts
 * read; the exit code is 1 for a violation.
 */
import { parseArgs } from "node:util";
import { type DriverRun, runDriver } from "./run.ts";

const { values } = parseArgs({
  options: {
    driver: { type: "boolean" },
    seeds: { type: "string", default: "200" },
    from: { type: "string", default: "1" },
    /** One seed, with its timeline. */
    seed: { type: "string" },
    hash: { type: "boolean", default: false },
  },
});

process.exitCode = values.seed === undefined ? await many() : await one(Number(values.seed));

async function one(seed: number): Promise<number> {
  const run = await runDriver(seed, true);
  for (const line of run.lines) console.log(line);
  console.log(`seed ${seed} trace ${run.hash} events ${run.events}`);
  console.log([...run.counts].map(([what, count]) => `${what} ${count}`).join("  "));
  return run.violation === undefined ? 0 : 1;
}

async function many(): Promise<number> {
  const from = Number(values.from);
  const runs: DriverRun[] = [];
  const counts = new Map<string, number>();
  const begin = process.hrtime.bigint();
  for (let seed = from; seed < from + Number(values.seeds); seed++) {
    const run = await runDriver(seed, false);
    runs.push(run);
    for (const [what, count] of run.counts) counts.set(what, (counts.get(what) ?? 0) + count);
    if (values.hash) console.log(`seed ${seed} trace ${run.hash} events ${run.events}`);
    if (run.violation !== undefined) {
      console.log(
        `seed ${seed}: ${run.violation.id}: ${run.violation.message.split("\n").slice(0, 12).join("\n  ")}`,
      );
    }
  }
  const seconds = Number(process.hrtime.bigint() - begin) / 1e9;
  const sum = (of: (run: DriverRun) => number): number => runs.reduce((total, run) => total + of(run), 0);
  console.log([...counts].map(([what, count]) => `${what} ${count}`).join("  "));
  console.log(
    `wall ${seconds.toFixed(1)} s  events ${sum((run) => run.events)}  promises judged ${sum((run) => run.judged)}`,
  );
  const violations = runs.filter((run) => run.violation !== undefined).length;
  const hours = (sum((run) => run.simUs) / 3.6e9).toFixed(2);
  console.log(
    `driver seeds ${runs.length}  sim-hours ${hours}  faults ${sum((run) => run.faults)}  ` +
      `operations ${sum((run) => run.acknowledged)}  violations ${violations}`,
  );
  return violations === 0 ? 0 : 1;
}
