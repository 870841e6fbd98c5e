// Goal: every answer of the executor is etcd's. Method: random requests to it and to a naive model that was written
// apart from it; answers, errors, revisions and events are compared after each, through restarts and compactions.
// KV_MODEL_OPERATIONS=1000000 runs them all; a failure names its seed, KV_MODEL_SEED repeats it.
import { describe, expect, it } from "vitest";
import { type ModelRunCounts, runAgainstModel } from "../../../support/kv-model-run.ts";

/** The history that the model keeps is cut into runs of so many operations. */
const PER_RUN = 25_000;
const OPERATIONS = Number(process.env["KV_MODEL_OPERATIONS"] ?? 4 * PER_RUN);
const SEED = Number(process.env["KV_MODEL_SEED"] ?? 20_261_123);

describe("against the model", () => {
  it(`agrees in ${OPERATIONS} operations`, { timeout: 3_600_000 }, () => {
    const sum: ModelRunCounts = {
      refusedBeforehand: 0,
      refused: 0,
      done: 0,
      changed: 0,
      slicedReads: 0,
      restarts: 0,
    };
    for (let run = 0; run * PER_RUN < OPERATIONS; run++) {
      console.log(`seed ${SEED + run}`);
      const counts = runAgainstModel(SEED + run, Math.min(PER_RUN, OPERATIONS - run * PER_RUN));
      for (const key of Object.keys(sum) as (keyof ModelRunCounts)[]) sum[key] += counts[key];
    }
    console.log(JSON.stringify(sum));
    // The run was not an easy one: every kind of outcome came up often.
    expect(sum.done).toBeGreaterThan(OPERATIONS / 3);
    expect(sum.refused).toBeGreaterThan(OPERATIONS / 50);
    expect(sum.refusedBeforehand).toBeGreaterThan(OPERATIONS / 100);
    expect(sum.changed).toBeGreaterThan(OPERATIONS / 8);
    expect(sum.slicedReads).toBeGreaterThan(OPERATIONS / 100);
    expect(sum.restarts).toBeGreaterThan(0);
  });
});
