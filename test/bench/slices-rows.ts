/** The rows of `npm run bench` about the longest slices of what goes in slices. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LevelDirectory } from "../../src/backend/index.ts";
import { measureSlices, type SliceFigures } from "./slices.ts";

/** Once only: it writes half a gigabyte. */
export async function printSliceRows(keys: number): Promise<void> {
  const path = mkdtempSync(join(tmpdir(), "waymark-bench-"));
  const [count, all] = [keys, 2 * keys].map((n) => n.toLocaleString("en"));
  console.log(`slices over ${count} keys of 64 B, ${all} revisions with values of 128 B, on disk`);
  try {
    await measureSlices(new LevelDirectory(path), { keys, updates: keys, valueBytes: 128 }, printRow);
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}

function printRow({ name, slices, maxMs, p99Ms, maxCpuMs, seconds }: SliceFigures): void {
  const times = `longest ${maxMs.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms, processor ${maxCpuMs.toFixed(1)} ms`;
  console.log(`  ${name.padEnd(48)} ${times} (${slices} slices, ${seconds.toFixed(1)} s)`);
}
