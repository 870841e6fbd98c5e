/**
 * `npm run sim -- --mutants`: breaks the product in one way after another and demands that the simulator notices. What
 * the simulator cannot see broken it cannot vouch for when whole.
 *
 * Each mutant is hunted in processes of its own, first with the seed that is known to kill it (`kills.json`, so that a
 * run is quick), then from seed 1 on, at most `--seeds` seeds.
 */
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { MUTANTS } from "./all.ts";
import { buildMutant } from "./build.ts";
import type { Kill, Outcome } from "./kill.ts";
import { isDriverMutant, type Mutant } from "./types.ts";

/** Fewest mutants, and fewest killed from outside the code that they change, for a run to pass. */
const MIN_MUTANTS = 100;
const MIN_OUTSIDE = 60;

const ROOT = process.env["WAYMARK_ROOT"] ?? process.cwd();
const KILLS = join(ROOT, "chaos", "mutants", "kills.json");

const { values } = parseArgs({
  options: {
    mutants: { type: "boolean" },
    seeds: { type: "string", default: "2000" },
    only: { type: "string" },
    jobs: { type: "string", default: String(availableParallelism()) },
    "timeout-seconds": { type: "string", default: "900" },
    fresh: { type: "boolean", default: false },
    /** Only mutants that were killed before: what CI repeats. */
    known: { type: "boolean", default: false },
    record: { type: "boolean", default: false },
  },
});

const known = JSON.parse(readFileSync(KILLS, "utf8")) as Record<string, number>;
const wanted = values.only?.split(",");
const mutants = MUTANTS.filter(
  (m) => (wanted === undefined || wanted.includes(m.name)) && (!values.known || known[m.name] !== undefined),
);
const outcomes = await runAll(mutants, Number(values.jobs));
process.exitCode = report(outcomes) ? 0 : 1;

async function runAll(list: readonly Mutant[], jobs: number): Promise<Outcome[]> {
  const done: Outcome[] = [];
  const queue = [...list];
  const work = async (): Promise<void> => {
    for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
      const outcome = await hunt(mutant);
      done.push(outcome);
      progress(done.length, list.length, outcome);
      if (values.record) record(done);
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  return list.map((m) => done.find((o) => o.mutant === m) as Outcome);
}

async function hunt(mutant: Mutant): Promise<Outcome> {
  let bundle: string;
  try {
    bundle = await buildMutant(ROOT, mutant);
  } catch (error) {
    return { mutant, kill: undefined, note: `it cannot be built: ${String(error)}` };
  }
  const seed = values.fresh ? undefined : known[mutant.name];
  const args = ["--enable-source-maps", bundle, "--seeds", values.seeds];
  if (seed !== undefined) args.push("--first", String(seed));
  if (isDriverMutant(mutant)) args.push("--driver");
  const { text, timedOut } = await run(args, Number(values["timeout-seconds"]) * 1000);
  const line = text.trim().split("\n").at(-1) ?? "";
  if (timedOut || !line.startsWith("{"))
    return { mutant, kill: undefined, note: timedOut ? "timed out" : text.slice(-500) };
  const kill = JSON.parse(line) as Kill | { survived: number };
  return "survived" in kill ? { mutant, kill: undefined, note: "survived" } : { mutant, kill, note: "" };
}

function run(args: string[], timeoutMs: number): Promise<{ text: string; timedOut: boolean }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
    let text = "";
    let timedOut = false;
    child.stdout.on("data", (chunk) => {
      text += chunk;
    });
    child.stderr.on("data", (chunk) => {
      text += chunk;
    });
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill("SIGKILL");
    }, timeoutMs);
    child.on("close", () => {
      clearTimeout(timer);
      resolve({ text, timedOut });
    });
  });
}

function progress(done: number, total: number, { mutant, kill, note }: Outcome): void {
  const what = kill === undefined ? `NOT KILLED (${note})` : `${kill.id} at seed ${kill.seed}`;
  process.stderr.write(`[${done}/${total}] ${mutant.name}: ${what}\n`);
}

/** Prints the table and the closing line; returns whether the run passes. */
function report(list: readonly Outcome[]): boolean {
  const width = Math.max(...list.map((o) => o.mutant.name.length));
  console.log(`${"mutant".padEnd(width)}  ${"area".padEnd(6)}  seed  tried  killer`);
  for (const { mutant, kill, note } of list) {
    const row = kill === undefined ? `-     -      NOT KILLED: ${note}` : killRow(mutant, kill);
    console.log(`${mutant.name.padEnd(width)}  ${mutant.area.padEnd(6)}  ${row}`);
  }
  const killed = list.filter((o) => o.kill !== undefined);
  const outside = killed.filter((o) => o.kill !== undefined && o.kill.area !== o.mutant.area).length;
  console.log(`outside the mutated folder ${outside}`);
  console.log(`mutants killed ${killed.length}/${list.length}`);
  const whole = wanted === undefined;
  return killed.length === list.length && (!whole || (list.length >= MIN_MUTANTS && outside >= MIN_OUTSIDE));
}

function killRow(mutant: Mutant, kill: Kill): string {
  const own = kill.area === mutant.area ? " (its own folder's assertion)" : "";
  return `${String(kill.seed).padEnd(4)}  ${String(kill.tried).padEnd(5)}  ${kill.id}${own}`;
}

/** Keeps the killing seeds for the next run. */
function record(list: readonly Outcome[]): void {
  const kills = JSON.parse(readFileSync(KILLS, "utf8")) as Record<string, number>;
  for (const { mutant, kill } of list) if (kill !== undefined) kills[mutant.name] = kill.seed;
  const names = MUTANTS.map((m) => m.name).filter((name) => kills[name] !== undefined);
  const kept = Object.fromEntries(names.map((name) => [name, kills[name]]));
  writeFileSync(KILLS, `${JSON.stringify(kept, undefined, 2)}\n`);
}
