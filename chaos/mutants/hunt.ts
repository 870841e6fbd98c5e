/**
 * The process that hunts one mutant: runs seeds until something is found broken, and prints that as one line of JSON.
 * Bundled together with a mutated product by `build.ts`; the same file over the unchanged product finds nothing.
 */
import { parseArgs } from "node:util";
import { runDriver } from "../driver/run.ts";
import type { Plan } from "../sim/plan.ts";
import { runPlan } from "../sim/run.ts";
import { drawPlan, NO_OPTIONS } from "../sim/swarm.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "2000" },
    /** Tried before the others: the seed that killed it last time. */
    first: { type: "string" },
    /** With the second tier of the simulator. */
    driver: { type: "boolean", default: false },
  },
});

const last = Number(values.seeds);
const first = values.first === undefined ? [] : [Number(values.first)];
process.stdout.write(`${JSON.stringify(await hunt())}\n`);

async function hunt(): Promise<object> {
  let tried = 0;
  for (const seed of seeds()) {
    tried++;
    const { violation } = values.driver ? await runDriver(seed, false) : runPlan(planOf(seed), false);
    if (violation === undefined) continue;
    const { id, message } = violation;
    return { seed, tried, id, message: message.split("\n")[0], area: areaOf(id, message) };
  }
  return { survived: last };
}

/**
 * Every third seed is one of the lease proof (`--drift bound`): the leader is cut off again and again while its clients
 * still reach it, and clocks run as far apart as they may. Half of these have a lease a little longer than an election
 * timeout: then the promise alone keeps a voter from deposing a leader whose quorum check has not struck yet.
 */
function planOf(seed: number): Plan {
  if (seed % 3 !== 0) return drawPlan(seed, NO_OPTIONS);
  const plan = drawPlan(seed, { drift: "bound", leaseProof: true });
  if (seed % 2 === 0) return plan;
  return {
    ...plan,
    config: { ...plan.config, leaseMs: Math.floor((plan.config.electionTimeoutMs * 108) / 100) },
  };
}

function* seeds(): Generator<number> {
  yield* first;
  for (let seed = 1; seed <= last; seed++) if (!first.includes(seed)) yield seed;
}

/** The folder whose assertion it was, by the first line of the stack in the product outside `base`. */
function areaOf(id: string, message: string): string {
  if (id !== "assertion" && id !== "fatal") return "outside";
  for (const match of message.matchAll(/[/\\](src|chaos)[/\\]([a-z]+)[/\\]/g)) {
    if (match[1] === "chaos") return "outside";
    if (match[2] !== "base") return match[2] as string;
  }
  return "unknown";
}
