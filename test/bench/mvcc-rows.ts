/** The rows that `npm run bench` prints of the multi-version store. */
import { exerciseStore, measureMemory } from "./mvcc.ts";

/** Prints speed, longest slices and memory of the store, each once after a warm-up. */
export function printStoreRows(): void {
  exerciseStore({ keys: 20_000, updates: 40_000, valueBytes: 256 });
  const figures = exerciseStore({ keys: 200_000, updates: 400_000, valueBytes: 256 });
  const rate = (value: number) => `${Math.round(value).toLocaleString("en")} puts/s`;
  const ms = (value: number) => `${value.toFixed(1)} ms`;
  print("store, 200,000 new keys of 64 B, values of 256 B", rate(figures.createsPerSecond));
  print("store, 400,000 puts over them", rate(figures.updatesPerSecond));
  print("store, longest page of 1,000 keys at an old revision", ms(figures.pageMs));
  print("store, longest slice of 1,000 values hashed", ms(figures.hashMs));
  print("store, longest slice of 2,000 revisions compacted", ms(figures.compactionMs));
  print("store, 200,000 keys loaded without their values", ms(figures.loadSeconds * 1000));
  const { arrays, heap } = measureMemory(1_000_000);
  const mb = (bytes: number) => Math.round(bytes / 1e6);
  print("store, 1,000,000 keys of 64 B in memory", `${mb(arrays)} MB arrays, ${mb(heap)} MB objects`);
}

function print(name: string, value: string): void {
  console.log(`${name.padEnd(56)} ${value}`);
}
