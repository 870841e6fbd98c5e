// Goal: a data directory has one holder at most, and a dead one never stands in the way.
// Method: locks inside this process, and processes of our own that are killed or stopped while they hold one.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { build } from "esbuild";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { DirectoryLockedError, lockDirectory } from "../../../src/wal/index.ts";

let work = "";
let path = "";
let program = "";
const children: ChildProcess[] = [];

beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), "waymark-lock-"));
  const source = join(work, "holder.ts");
  program = join(work, "holder.mjs");
  const lock = join(import.meta.dirname, "../../../src/wal/lock.ts");
  writeFileSync(
    source,
    `import { lockDirectory } from ${JSON.stringify(lock)};
    lockDirectory(process.argv[2]).then(
      () => { console.log("held"); setInterval(() => {}, 1000); },
      (error) => { console.log(error.message); },
    );`,
  );
  await build({ entryPoints: [source], outfile: program, bundle: true, platform: "node", format: "esm" });
});

beforeEach(() => {
  path = mkdtempSync(join(work, "data-"));
});

afterEach(async () => {
  for (const child of children.splice(0)) await stop(child);
});

afterAll(() => {
  rmSync(work, { recursive: true, force: true });
});

/** Starts a process that locks `path`, and waits for what it says: `held`, or why not. */
async function start(): Promise<{ child: ChildProcess; said: string }> {
  const child = spawn(process.execPath, [program, path], { stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  if (child.stdout === null) throw new Error("no output");
  const [chunk] = (await once(child.stdout, "data")) as [Buffer];
  return { child, said: chunk.toString().trim() };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

test("a second opener is refused and told who has it", async () => {
  const { child, said } = await start();
  expect(said).toBe("held");
  const refused = await lockDirectory(path).catch((error: unknown) => error);
  if (!(refused instanceof DirectoryLockedError)) throw new Error("not refused");
  expect(refused.pid).toBe(child.pid);
  expect(refused.message).toBe(`the data directory ${path} is in use by process ${child.pid}`);
});

test("the lock of a killed process does not block, and its name is cleared away", async () => {
  const { child } = await start();
  await stop(child);
  expect(readdirSync(path).length).toBe(1);
  const lock = await lockDirectory(path);
  expect(readdirSync(path)).toEqual([expect.stringContaining(`lock-${process.pid}-`)]);
  await lock.release();
  expect(readdirSync(path)).toEqual([]);
});

test("a stopped process keeps its lock", async () => {
  const { child } = await start();
  child.kill("SIGSTOP");
  await expect(lockDirectory(path)).rejects.toThrow(DirectoryLockedError);
});

test("after a release the next one gets it, and releasing twice is harmless", async () => {
  const first = await lockDirectory(path);
  await expect(lockDirectory(path)).rejects.toThrow(DirectoryLockedError);
  await first.release();
  await first.release();
  const second = await lockDirectory(path);
  await expect(lockDirectory(path)).rejects.toThrow(DirectoryLockedError);
  await second.release();
});

test("of many that start at once never two hold it, and one gets it when it tries again alone", async () => {
  for (let round = 0; round < 30; round++) {
    const tried = await Promise.allSettled(Array.from({ length: 5 }, () => lockDirectory(path)));
    const held = tried.filter((one) => one.status === "fulfilled");
    expect(held.length).toBeLessThanOrEqual(1);
    for (const one of held) await one.value.release();
    const alone = await lockDirectory(path);
    await alone.release();
  }
});

test("of processes that start at once over the remains of a killed one never two hold it", async () => {
  const dead = await start();
  await stop(dead.child);
  const started = await Promise.all(Array.from({ length: 5 }, () => start()));
  expect(started.filter(({ said }) => said === "held").length).toBeLessThanOrEqual(1);
});

test("a path that is longer than a socket address works", async () => {
  path = join(path, "d".repeat(120));
  mkdirSync(path);
  const lock = await lockDirectory(path);
  await expect(lockDirectory(path)).rejects.toThrow(DirectoryLockedError);
  await lock.release();
});

test("other files in the directory mean nothing", async () => {
  writeFileSync(join(path, "lock"), "4711");
  writeFileSync(join(path, "0000000000000001.wal"), "");
  const lock = await lockDirectory(path);
  await lock.release();
  expect(readdirSync(path).sort()).toEqual(["0000000000000001.wal", "lock"]);
});
