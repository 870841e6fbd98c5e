/** The rows of `npm run bench` about applying entries and reading what they left. */
import { applyAll, putEntries, readAll } from "./apply.ts";
import { timed } from "./measure.ts";

const RUNS = 5;
/** Units of work per slice, as a member gives them. */
const BUDGET = 500;

/**
 * Measures and prints: puts per second, best of five runs after one that warms up; reads per second and the longest
 * slice, once.
 */
export function printApplyRows(): void {
  const options = { entries: 200_000, valueBytes: 256, keyBytes: 32, keys: 20_000, compactEvery: 100_000 };
  const entries = putEntries(options);
  const run = () => {
    if (applyAll(entries, options) !== options.entries) throw new Error("not every put was heard of");
  };
  run();
  const costs = Array.from({ length: RUNS }, () => timed(run));
  const seconds = Math.min(...costs.map((cost) => cost.seconds));
  const cpuMicros = (Math.min(...costs.map((cost) => cost.cpuSeconds)) / options.entries) * 1e6;
  const rate = `${whole(options.entries / seconds)} puts/s (aim 150,000), ${cpuMicros.toFixed(1)} us CPU each`;
  print("apply, puts of 256 B over 20,000 keys, after a warm-up", rate);
  readAll(20_000, BUDGET);
  const figures = readAll(200_000, BUDGET);
  print("apply, reads of single keys out of 200,000", `${whole(figures.readsPerSecond)} reads/s`);
  print("apply, longest slice of a range sorted by value", `${figures.longestMs.toFixed(1)} ms`);
}

function whole(value: number): string {
  return Math.round(value).toLocaleString("en");
}

function print(name: string, value: string): void {
  console.log(`${name.padEnd(56)} ${value}`);
}
