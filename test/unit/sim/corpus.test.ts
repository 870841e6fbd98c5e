// Goal: what once failed stays fixed, and a few seeds run clean on every commit. Method: replays every stored plan of
// chaos/corpus, then some seeds from the front, and plans that must break something because their clocks drift too far.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { readPlan, renderPlan, replayCorpus } from "../../../chaos/sim/replay.ts";
import { runPlan } from "../../../chaos/sim/run.ts";
import { drawPlan, NO_OPTIONS } from "../../../chaos/sim/swarm.ts";

const corpus = join(dirname(fileURLToPath(import.meta.url)), "../../../chaos/corpus");

describe("corpus", () => {
  it("ends as each stored plan says", () => {
    const { plans, failures } = replayCorpus(corpus);
    expect(failures).toEqual([]);
    expect(plans).toBeGreaterThan(0);
  });

  it("stores a plan so that it replays the same run", () => {
    const { plan, story } = readPlan(join(corpus, "held-outlives-its-term.json"));
    const again = renderPlan({ story, expect: "", plan });
    expect(JSON.parse(again)).toMatchObject({ seed: plan.seed, faults: plan.faults });
    expect(runPlan(plan, true).hash).toBe(runPlan(plan, false).hash);
  });
});

describe("seeds", () => {
  for (let seed = 1; seed <= 8; seed++) {
    it(`seed ${seed} breaks nothing`, () => {
      const { violation, unknown } = runPlan(drawPlan(seed, NO_OPTIONS), false);
      expect({ violation, unknown }).toEqual({ violation: undefined, unknown: false });
    });
  }

  it("keeps leases exclusive with clocks at the bound of the drift, and not at twice the bound", () => {
    const broken = { bound: 0, twice: 0 };
    for (const drift of ["bound", "twice"] as const) {
      for (let seed = 1; seed <= 8; seed++) {
        const { violation } = runPlan(drawPlan(seed, { drift, leaseProof: true }), false);
        if (violation !== undefined) {
          expect(["lease-exclusive", "stale-read"]).toContain(violation.id);
          broken[drift]++;
        }
      }
    }
    expect(broken.bound).toBe(0);
    expect(broken.twice).toBeGreaterThan(0);
  });
});
