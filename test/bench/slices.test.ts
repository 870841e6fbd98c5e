// Goal: the benchmark of slices does all the work that it times. Method: a short run over LevelDB; every kind of work
// must have found all keys, revisions or records. Nothing is said about time.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { LevelDirectory } from "../../src/backend/index.ts";
import { measureSlices } from "./slices.ts";

test("every kind of work finds all there is", async () => {
  const path = mkdtempSync(join(tmpdir(), "waymark-bench-"));
  const found: Record<string, number> = {};
  try {
    const options = { keys: 2000, updates: 3000, valueBytes: 16 };
    await measureSlices(new LevelDirectory(path), options, (figures) => {
      found[figures.name] = figures.found;
    });
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
  const { HashKV: hashed, compaction, "one key at an old revision": one, ...rest } = found;
  expect([hashed, compaction, one]).toEqual([5001, 5001, 1]);
  for (const [name, count] of Object.entries(rest)) {
    if (name.startsWith("snapshot")) expect(count, name).toBeGreaterThan(10_000);
    else expect([name, count]).toEqual([name, name.includes("wanted") ? 100 : 2000]);
  }
});
