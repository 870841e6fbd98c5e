// Goal: the benchmark of configuration measures what was done. Method: a short run; every route must be accepted,
// changed and reached. Nothing is said about time.
import { expect, test } from "vitest";
import { changeRoutes, decideAll, judgeAll, meshOf } from "./config.ts";

test("every route is judged, changed and reached", () => {
  const { model } = judgeAll(meshOf(1500));
  expect(model.count("Route")).toBe(1500);
  const { model: after } = changeRoutes(model, 300);
  expect(after.snapshot.routes.get("r0")?.object.spec.backends).toEqual([{ upstream: "u0", weight: 2 }]);
  expect(decideAll(after, 2000)).toBeGreaterThan(0);
});
