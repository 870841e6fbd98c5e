/** A violation, explained: shrunk, with a timeline, a file to replay and the command that does it. */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { checkKvHistory, type KvHistory, type KvVerdict } from "../check/index.ts";
import { renderPage } from "../page/index.ts";
import type { Plan } from "./plan.ts";
import { renderPlan } from "./replay.ts";
import { type RunViolation, runPlan } from "./run.ts";
import { shrinkPlan } from "./shrink.ts";
import type { InvariantId } from "./violation.ts";

/** Lines of the timeline that go to the terminal; the file has all of them. */
const TERMINAL_LINES = 40;
const MAX_FAULT_RUNS = 250;
const MAX_REQUEST_RUNS = 80;

/** The checkout, from `build/sim.mjs`. */
export function projectRoot(): string {
  return join(dirname(fileURLToPath(import.meta.url)), "..");
}

/** Explains a failing plan on standard output. */
export function explain(plan: Plan, id: InvariantId): void {
  const shrunk = shrinkPlan(plan, id, {
    run: (candidate) => runPlan(candidate, false),
    maxFaultRuns: MAX_FAULT_RUNS,
    maxRequestRuns: MAX_REQUEST_RUNS,
  });
  const result = runPlan(shrunk, true);
  const { violation } = result;
  const directory = join(projectRoot(), "build", "failures");
  mkdirSync(directory, { recursive: true });
  const name = join(directory, `seed-${plan.seed}`);
  const story = `${violation?.id}: ${violation?.message.split("\n")[0]}`;
  writeFileSync(`${name}.txt`, `${result.lines.join("\n")}\n`);
  if (result.history !== undefined && violation !== undefined) {
    writeFileSync(`${name}.html`, renderPage(result.history, verdictOf(result.history, violation)));
  }
  writeFileSync(`${name}.json`, renderPlan({ story, expect: "", plan: shrunk }));
  console.log(
    result.lines
      .slice(-TERMINAL_LINES)
      .map((line) => line.slice(0, 240))
      .join("\n"),
  );
  console.log(`VIOLATION ${violation?.id}: ${violation?.message}`);
  console.log(`SEED=${plan.seed} COMMIT=${commit()}`);
  console.log(
    `shrunk from ${plan.faults.length} faults to ${shrunk.faults.length}, ` +
      `${shrunk.skip.length} requests left out; timeline ${name}.txt, picture ${name}.html`,
  );
  console.log(`replay: npm run sim -- --replay ${name}.json`);
}

/** What the picture points at: the findings in the history, or else the moment at which something else broke. */
function verdictOf(history: KvHistory, violation: RunViolation): KvVerdict {
  const verdict = violation.id === "history" ? checkKvHistory(history) : undefined;
  if (verdict?.type === "violation") return verdict;
  const message = `${violation.id}: ${violation.message}`;
  const nothing = { operations: [], watches: [], revisions: [] };
  return { type: "violation", findings: [{ rule: "unknown", message, ...nothing, at: violation.at }] };
}

function commit(): string {
  try {
    return execFileSync("git", ["rev-parse", "HEAD"], { cwd: projectRoot(), encoding: "utf8" }).trim();
  } catch {
    // Not a checkout: the seed alone has to do.
    return "unknown";
  }
}
