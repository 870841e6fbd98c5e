/** Processes of kvd, with data directories in one temporary folder. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { Etcd3 } from "etcd3";
import { until } from "./serving.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** What a test file starts. Begin with `KvdPool.build`, end with `close`. */
export class KvdPool {
  readonly folder = mkdtempSync(join(tmpdir(), "waymark-kvd-"));
  readonly #program: string;
  readonly #started: Kvd[] = [];

  private constructor(program: string) {
    this.#program = program;
  }

  /** Bundles the program. @param name of the test file: files that build beside each other must not share a bundle */
  static async build(name: string): Promise<KvdPool> {
    const program = join(root, "build", `kvd-of-${name}.mjs`);
    await build({
      entryPoints: [join(root, "src/main/kvd.ts")],
      outfile: program,
      bundle: true,
      platform: "node",
      format: "esm",
      target: "node20",
      logLevel: "warning",
      external: ["level", "pino"],
      banner: {
        js: 'import { createRequire as __r } from "node:module"; const require = __r(import.meta.url);',
      },
    });
    return new KvdPool(program);
  }

  start(args: readonly string[]): Kvd {
    const kvd = new Kvd(this.#program, args);
    this.#started.push(kvd);
    return kvd;
  }

  async close(): Promise<void> {
    for (const kvd of this.#started) await kvd.end("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** One process. */
export class Kvd {
  log = "";
  exit: { readonly code: number | null; readonly signal: string | null } | undefined;
  readonly #child: ChildProcess;
  readonly #clients: Etcd3[] = [];

  constructor(program: string, args: readonly string[]) {
    this.#child = spawn(process.execPath, [program, ...args], {
      env: { PATH: process.env["PATH"] ?? "", UV_THREADPOOL_SIZE: "16" },
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#child.stderr?.on("data", (chunk: Buffer) => {
      this.log += chunk.toString();
    });
    this.#child.on("close", (code, signal) => {
      this.exit = { code, signal };
    });
  }

  /** Where clients are served, once it says so. */
  async address(): Promise<string> {
    await until(
      () => this.exit !== undefined || this.log.includes("ready to serve client requests"),
      "ready",
    );
    const line = this.log.split("\n").find((one) => one.includes("ready to serve")) ?? "{}";
    const address: unknown = JSON.parse(line).address;
    if (typeof address !== "string") throw new Error(`kvd did not start: ${this.log}`);
    return address;
  }

  async client(): Promise<Etcd3> {
    const client = new Etcd3({ hosts: `http://${await this.address()}` });
    this.#clients.push(client);
    return client;
  }

  /** Sends a signal and waits for the end of the process. */
  async end(signal: "SIGTERM" | "SIGKILL"): Promise<typeof this.exit> {
    if (this.exit === undefined) this.#child.kill(signal);
    await until(() => this.exit !== undefined, "end of the process");
    for (const client of this.#clients.splice(0)) client.close();
    return this.exit;
  }
}

/** A port that nobody listens at. Ask for all at once, so that no two are the same. */
export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      setImmediate(() =>
        probe.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0)),
      );
    });
  });
}
