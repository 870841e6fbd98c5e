// Goal: LevelDB and its twin in memory keep the same contract. Method: one suite on both; faults are made in LevelDB by
// writing to the database beside the backend, as its own loss modes would leave it.
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Level } from "level";
import { afterAll } from "vitest";
import { LevelDirectory } from "../../src/backend/index.ts";
import { MemoryDirectory } from "../../src/backend/memory.ts";
import type { BackendBatch } from "../../src/env/index.ts";
import { backendConformance } from "./backend.ts";

const root = mkdtempSync(join(tmpdir(), "waymark-backend-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let made = 0;

function raw(path: string): Level<string, Uint8Array> {
  return new Level(path, { valueEncoding: "view" });
}

backendConformance("level", async () => {
  let path = join(root, `disk-${made++}`);
  cpSync(mkdtempSync(join(root, "empty-")), path, { recursive: true });
  return {
    directory: new LevelDirectory(path),
    /** A killed process leaves files as they are; a copy of them has no process that could still write. */
    async restart() {
      const copy = join(root, `disk-${made++}`);
      cpSync(path, copy, { recursive: true });
      path = copy;
      return new LevelDirectory(path);
    },
    async damageRecord(index, name) {
      const db = raw(join(path, `state-${index}`));
      const stored = await db.get(name);
      if (stored === undefined) throw new Error(`no record ${name}`);
      stored[0] = (stored[0] ?? 0) ^ 1;
      await db.put(name, stored);
      await db.close();
    },
    async loseBatch(index, later) {
      const state = join(path, `state-${index}`);
      let db = raw(state);
      const before = await db.iterator({ gte: "!b", lt: "!c" }).all();
      await db.close();
      const backend = await new LevelDirectory(path).open(index);
      await backend.write(empty(backend.meta.index + 1));
      const lost = backend.meta.index;
      for (let i = 1; i <= later; i++) await backend.write(empty(lost + i));
      await backend.close();
      db = raw(state);
      // What the lost batch deleted is there again, what it wrote is not, unless a later one wrote it too.
      const oldest = before[0];
      if (oldest === undefined) throw new Error("no markers");
      await db.put(oldest[0], oldest[1]);
      const markers = await db.keys({ gte: "!b", lt: "!c" }).all();
      const number = Number.parseInt(oldest[0].slice(2), 16) + 1024;
      const marker = `!b${number.toString(16).padStart(14, "0")}`;
      if (markers.includes(marker)) await db.del(marker);
      await db.close();
    },
  };
});

backendConformance("memory", async () => {
  const directory = new MemoryDirectory();
  let chance = 12345;
  const random = {
    int(lo: number, hi: number): number {
      chance = (Math.imul(chance, 1664525) + 1013904223) >>> 0;
      return lo + (Math.floor(chance / 65536) % (hi - lo));
    },
  };
  return {
    directory,
    async restart() {
      directory.crash(random);
      return directory;
    },
    async damageRecord(index, name) {
      directory.damageRecord(index, name);
    },
    async loseBatch(index, later) {
      const backend = await directory.open(index);
      directory.loseNextBatch();
      for (let i = 0; i <= later; i++) await backend.write(empty(backend.meta.index + 1));
      await backend.close();
    },
  };
});

function empty(index: number): BackendBatch {
  const conf = { voters: [1n], votersOutgoing: [], learners: [], learnersNext: [], leaseMs: 0 };
  return { seq: index, index, term: 2, conf, puts: [], deletes: [] };
}
