// Goal: the benchmark of the state on disk measures the real path. Method: a short run over LevelDB; the restart must
// find every put that was applied. Nothing is said about time.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { LevelDirectory } from "../../src/backend/index.ts";
import { putEntries } from "./apply.ts";
import { applyToDisk } from "./level-state.ts";
import { restart } from "./restart.ts";

test("a restart finds every put that was applied", async () => {
  const path = mkdtempSync(join(tmpdir(), "waymark-bench-"));
  try {
    const options = { entries: 3000, valueBytes: 256, keyBytes: 32, keys: 3000, compactEvery: 3001 };
    expect((await applyToDisk(new LevelDirectory(path), putEntries(options))).entries).toBe(3000);
    const { backend, member } = await restart(new LevelDirectory(path));
    expect(member.kv.store.revision).toBe(3001);
    await backend.close();
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
});
