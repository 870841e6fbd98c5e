/** The rows of `npm run bench` about configuration. */
import { changeRoutes, decideAll, judgeAll, meshOf } from "./config.ts";

/** Measures and prints: judging meshes of two sizes, one change in each, decisions per second. */
export function printConfigRows(): void {
  judgeAll(meshOf(500));
  for (const routes of [500, 5000, 10_000]) {
    const { model, milliseconds, p99SliceMs, longestSliceMs } = judgeAll(meshOf(routes));
    const name = `config, ${routes.toLocaleString("en")} routes`;
    print(`${name}: judged and compiled`, `${milliseconds.toFixed(0)} ms`);
    print(`${name}: slices`, `p99 ${p99SliceMs.toFixed(1)} ms, longest ${longestSliceMs.toFixed(1)} ms`);
    changeRoutes(model, 500);
    print(`${name}: one route changed`, `${changeRoutes(model, 2000).microseconds.toFixed(0)} µs`);
    decideAll(model, 50_000);
    print(`${name}: decisions`, `${Math.round(decideAll(model, 500_000)).toLocaleString("en")}/s`);
  }
}

function print(name: string, value: string): void {
  console.log(`${name.padEnd(56)} ${value}`);
}
