// Goal: the file system writer and the in-memory twin are the same log storage port.
// Method: one suite that runs on both; what only a file system can do (fail, survive a process) is tested below it.
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { FileOp, LogDirectory, LogFiles } from "../../../src/env/index.ts";
import { createWal, LogWriteError, LogWriter, readLogDirectory, recoverWal } from "../../../src/wal/index.ts";
import { JournalFiles } from "../../support/journal-files.ts";
import { BatchGenerator, seededRandom } from "../../support/log-model.ts";

const OPTIONS = { segmentBytes: 16 * 1024, cluster: 0xc1n, member: 0x2n, instance: 0xfeed_beef_cafen };

interface Port {
  readonly files: LogFiles;
  readonly directory: LogDirectory;
  close(): Promise<void>;
}

let path = "";

beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), "waymark-log-"));
});

afterEach(() => {
  rmSync(path, { recursive: true, force: true });
});

function memoryPort(): Port {
  const files = new JournalFiles();
  return { files, directory: files, close: () => Promise.resolve() };
}

function diskPort(): Port {
  const files = new LogWriter(path);
  return { files, directory: readLogDirectory(path), close: () => files.close() };
}

function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values);
}

describe.each([
  ["memory", memoryPort],
  ["node:fs", diskPort],
])("log files on %s", (_name, open) => {
  test("writes grow a file and overwrite it in place", async () => {
    const port = open();
    await port.files.run([
      { type: "create", name: "a" },
      { type: "write", name: "a", offset: 0, bytes: bytes(1, 2, 3, 4) },
      { type: "write", name: "a", offset: 6, bytes: bytes(7) },
      { type: "write", name: "a", offset: 1, bytes: bytes(9) },
      { type: "sync", name: "a" },
      { type: "syncDir" },
    ]);
    expect(port.directory.list()).toEqual([{ name: "a", bytes: 7 }]);
    expect([...port.directory.read("a")]).toEqual([1, 9, 3, 4, 0, 0, 7]);
    await port.close();
  });

  test("a renamed file keeps its bytes, takes writes under its new name and replaces what had it", async () => {
    const port = open();
    await port.files.run([
      { type: "create", name: "old" },
      { type: "write", name: "old", offset: 0, bytes: bytes(1) },
      { type: "create", name: "new" },
      { type: "write", name: "new", offset: 0, bytes: bytes(2, 2) },
      { type: "rename", from: "new", to: "old" },
      { type: "write", name: "old", offset: 1, bytes: bytes(3) },
      { type: "sync", name: "old" },
    ]);
    expect(port.directory.list()).toEqual([{ name: "old", bytes: 2 }]);
    expect([...port.directory.read("old")]).toEqual([2, 3]);
    await port.close();
  });

  test("a removed name can be created again", async () => {
    const port = open();
    await port.files.run([
      { type: "create", name: "a" },
      { type: "write", name: "a", offset: 0, bytes: bytes(1) },
      { type: "remove", name: "a" },
      { type: "create", name: "a" },
      { type: "syncDir" },
    ]);
    expect(port.directory.list()).toEqual([{ name: "a", bytes: 0 }]);
    await port.close();
  });

  test.each<[string, FileOp]>([
    ["creating what exists", { type: "create", name: "a" }],
    ["writing to what does not exist", { type: "write", name: "b", offset: 0, bytes: bytes(1) }],
    ["syncing what does not exist", { type: "sync", name: "b" }],
    ["renaming what does not exist", { type: "rename", from: "b", to: "c" }],
    ["removing what does not exist", { type: "remove", name: "b" }],
  ])("%s is rejected, and nothing after it is done", async (_what, op) => {
    const port = open();
    await port.files.run([{ type: "create", name: "a" }]);
    await expect(port.files.run([op, { type: "create", name: "z" }])).rejects.toThrow();
    expect(port.directory.list().map((file) => file.name)).toEqual(["a"]);
    await port.close();
  });

  test("a random log (seed 7) comes back, also after its files were opened again", async () => {
    const generator = new BatchGenerator(seededRandom(7), 400);
    const first = open();
    const { ops, wal } = createWal(OPTIONS);
    await first.files.run(ops);
    for (let i = 0; i < 60; i++) {
      const append = first.files.run(wal.append(generator.next()));
      const ahead = wal.prepare();
      // Beside each other, as the driver does it.
      if (ahead !== undefined) await first.files.run(ahead).then(() => wal.prepared());
      await append;
    }
    await first.close();
    const again = first.files instanceof JournalFiles ? first : open();
    const opened = recoverWal(again.directory, OPTIONS);
    if (opened.type !== "ok") throw new Error(JSON.stringify(opened));
    expect(generator.model.difference(opened.recovered, 0)).toBeUndefined();
    await again.files.run(opened.repair);
    await again.files.run(opened.wal.append(generator.next()));
    const last = recoverWal(again.directory, OPTIONS);
    if (last.type !== "ok") throw new Error(JSON.stringify(last));
    expect(generator.model.difference(last.recovered, 0)).toBeUndefined();
    await again.close();
  });
});

describe("the file system writer", () => {
  test("names operation, file and cause of the first failure, and gives it again to every later call", async () => {
    const writer = new LogWriter(path);
    await writer.run([{ type: "create", name: "a" }]);
    const failed = await writer.run([{ type: "sync", name: "gone" }]).catch((error: unknown) => error);
    if (!(failed instanceof LogWriteError)) throw new Error("did not fail");
    expect(failed).toMatchObject({ operation: "sync", file: "gone", cause: { code: "ENOENT" } });
    expect(failed.message).toContain(join(path, "gone"));
    await expect(writer.run([{ type: "sync", name: "a" }])).rejects.toBe(failed);
    await writer.close();
  });

  test("an overlapping call stops at its next operation when another one failed", async () => {
    const writer = new LogWriter(path);
    const created = Array.from({ length: 40 }, (_, i): FileOp => ({ type: "create", name: `f${i}` }));
    const long = writer.run(created).catch((error: unknown) => error);
    const failed = await writer.run([{ type: "remove", name: "gone" }]).catch((error: unknown) => error);
    expect(await long).toBe(failed);
    expect(readdirSync(path).length).toBeLessThan(40);
    await writer.close();
  });

  test("does nothing after it was closed, and closes no descriptor twice", async () => {
    const writer = new LogWriter(path);
    await writer.run([{ type: "create", name: "a" }, { type: "syncDir" }]);
    await writer.close();
    await writer.close();
    await expect(writer.run([{ type: "create", name: "b" }])).rejects.toThrow("closed");
    expect(readdirSync(path)).toEqual(["a"]);
  });

  test("closes files that it removes, replaces and holds", async () => {
    const probe = (): number => {
      const file = openSync(path, "r");
      closeSync(file);
      return file;
    };
    const before = probe();
    const writer = new LogWriter(path);
    for (let i = 0; i < 50; i++) {
      await writer.run([
        { type: "create", name: `${i}` },
        { type: "rename", from: `${i}`, to: i % 2 === 0 ? "live" : `${i}x` },
        ...(i % 2 === 0 ? [] : [{ type: "remove", name: `${i}x` } as const]),
      ]);
    }
    await writer.close();
    expect(probe()).toBeLessThan(before + 20);
  });

  test("keeps the log from other users and does not lose bytes of large writes", async () => {
    const large = new Uint8Array(5_000_001).map((_, i) => i * 7);
    const writer = new LogWriter(path);
    await writer.run([
      { type: "create", name: "a" },
      { type: "write", name: "a", offset: 3, bytes: large },
    ]);
    await writer.close();
    expect(statSync(join(path, "a")).mode & 0o777).toBe(0o600);
    expect(Buffer.compare(readFileSync(join(path, "a")).subarray(3), large)).toBe(0);
  });
});
