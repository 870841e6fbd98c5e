// Goal: the benchmark of the backend reads back what it wrote. Method: a short run on LevelDB and on the twin in
// memory. Nothing is said about time.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { LevelDirectory, MemoryDirectory } from "../../src/backend/index.ts";
import { measureBackend } from "./backend.ts";

test("every put is read by the restart", async () => {
  const path = mkdtempSync(join(tmpdir(), "waymark-bench-"));
  try {
    expect((await measureBackend(new LevelDirectory(path), 12_000)).records).toBe(12_000);
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
  expect((await measureBackend(new MemoryDirectory(), 12_000)).records).toBe(12_000);
});
