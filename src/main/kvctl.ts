/** The command line of the store: etcdctl's commands, flags, formats and exit codes. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { type FileHandle, open, readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import process from "node:process";
import { runKvctl, type System } from "../cli/index.ts";
import { NodeClock } from "../server/node-clock.ts";
import { systemRandom } from "./ports.ts";

const VERSION = "0.1.0";
const EXIT_BUG = 70;

async function main(): Promise<void> {
  const interruption = new AbortController();
  const interrupt = (): void => {
    // Who asks twice does not want to wait.
    if (interruption.signal.aborted) process.exit(1);
    interruption.abort();
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, interrupt);
  // A reader that went away, as `head` does, ends the program in silence.
  process.stdout.on("error", () => process.exit(0));
  const code = await runKvctl(process.argv.slice(2), systemOf(interruption.signal), VERSION);
  process.stdout.write("", () => process.exit(code));
}

function systemOf(interrupted: AbortSignal): System {
  return {
    env: process.env,
    clock: new NodeClock(),
    random: systemRandom,
    interrupted,
    out: (piece) => void process.stdout.write(piece),
    err: (text) => void process.stderr.write(text),
    async readInput() {
      const parts: Buffer[] = [];
      for await (const part of process.stdin) parts.push(part as Buffer);
      return Buffer.concat(parts);
    },
    inputLines,
    readFile: (path) => readFile(path),
    saveFile,
    sha256() {
      const hash = createHash("sha256");
      return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest() };
    },
    run,
  };
}

async function* inputLines(): AsyncGenerator<string, void, void> {
  let rest = "";
  process.stdin.setEncoding("utf8");
  for await (const part of process.stdin) {
    const lines = `${rest}${part}`.split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

async function saveFile(path: string, parts: AsyncIterable<Uint8Array>, accept: () => void): Promise<void> {
  const partial = `${path}.part`;
  const file = await open(partial, "w", 0o600);
  try {
    for await (const part of parts) await file.writeFile(part);
    accept();
    await file.sync();
  } catch (error: unknown) {
    await file.close();
    await rm(partial, { force: true });
    throw error;
  }
  await file.close();
  await rename(partial, path);
  const folder: FileHandle = await open(dirname(path), "r");
  await folder.sync();
  await folder.close();
}

function run(command: readonly string[], env: Readonly<Record<string, string>>): Promise<string | undefined> {
  const [program = "", ...args] = command;
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      env: { ...process.env, ...env },
      stdio: ["ignore", "inherit", "inherit"],
    });
    child.on("error", (error) => resolve(error.message));
    child.on("exit", (code, signal) => {
      if (code === 0) resolve(undefined);
      else resolve(code === null ? `signal: ${signal}` : `exit status ${code}`);
    });
  });
}

main().catch((error: unknown) => {
  process.stderr.write(`kvctl: ${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(EXIT_BUG);
});
