/** A gRPC server in this process over one member or several, and the clients that are installed here. */
import { execFile, execFileSync, spawn } from "node:child_process";
import { createServices, type Services } from "../../src/rpc/index.ts";
import { createGrpcServer, type GrpcServer, type ServerTls } from "../../src/transport/grpc-js/index.ts";
import { Facades } from "../support/member-facades.ts";
import { seeded } from "../support/member-harness.ts";

/** What runs for one test file. */
export interface Serving {
  readonly facades: Facades;
  /** `127.0.0.1:port`, one per member. */
  readonly endpoints: readonly string[];
  readonly services: readonly Services[];
  /** Bugs that handlers reported; a test expects none. */
  readonly bugs: unknown[];
  readonly stop: () => Promise<void>;
}

/** Serves members of one cluster, each on its port; what only the leader answers is forwarded to it. */
export async function serve(ids: readonly bigint[], tls?: ServerTls): Promise<Serving> {
  const facades = new Facades(ids);
  facades.follow();
  const servers: GrpcServer[] = [];
  const endpoints: string[] = [];
  const services: Services[] = [];
  const bugs: unknown[] = [];
  for (const id of ids) {
    const one = createServices({
      facade: facades.facade(id),
      random: seeded(1),
      clock: facades.clock,
    });
    const observer = {
      started: () => undefined,
      handled: () => undefined,
      bug: (path: string, error: unknown) => bugs.push([path, error]),
    };
    const server = createGrpcServer({ services: one, clock: facades.clock, observer });
    endpoints.push(`127.0.0.1:${await server.listen("127.0.0.1:0", tls)}`);
    servers.push(server);
    services.push(one);
  }
  const stop = async (): Promise<void> => {
    await Promise.all(servers.map((server) => server.stop()));
    facades.stop();
  };
  return { facades, endpoints, services, bugs, stop };
}

/** Whether a program is installed; says in one line that tests are skipped if not. */
export function isInstalled(program: "etcd" | "etcdctl" | "openssl"): boolean {
  try {
    execFileSync(program, [program === "etcd" ? "--version" : "version"], { stdio: "ignore", env: ENV });
    return true;
  } catch {
    console.log(
      `${program} is not installed, its tests are skipped: apt-get install etcd-server etcd-client openssl`,
    );
    return false;
  }
}

const ENV = { PATH: process.env["PATH"] ?? "", ETCDCTL_API: "3" };

export interface Ran {
  readonly code: number;
  readonly out: string;
  /** Only the lines that etcdctl means for people; its client logs JSON beside them. */
  readonly err: string;
  /** Names of the gRPC statuses that its client logs, each once. */
  readonly statuses: string;
}

/** Runs etcdctl; never rejects. */
export function etcdctl(endpoints: readonly string[], args: readonly string[], input = ""): Promise<Ran> {
  return new Promise((resolve) => {
    const all = [`--endpoints=${endpoints.join(",")}`, ...args];
    const child = execFile("etcdctl", all, { env: ENV, timeout: 20_000 }, (error, out, stderr) => {
      const err = stderr
        .split("\n")
        .filter((line) => !line.startsWith("{"))
        .join("\n")
        .trim();
      const statuses = [
        ...new Set([...stderr.matchAll(/code = (\w+) desc/g)].map(([, name]) => name)),
      ].join();
      const code = typeof error?.code === "number" ? error.code : error === null ? 0 : -1;
      resolve({ code, out, err, statuses });
    });
    // A program that reads nothing may be gone before it is written to.
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(input);
  });
}

/** An etcdctl that goes on until it is stopped; its output is waited for. */
export class RunningEtcdctl {
  out = "";
  readonly #child;

  constructor(endpoints: readonly string[], args: readonly string[]) {
    this.#child = spawn("etcdctl", [`--endpoints=${endpoints.join(",")}`, ...args], { env: ENV });
    this.#child.stdout.on("data", (chunk: Buffer) => {
      this.out += chunk.toString();
    });
  }

  stop(): void {
    this.#child.kill();
  }
}

/** Polls until something holds, at most this long. */
export async function until(holds: () => boolean, what: string, ms = 15_000): Promise<void> {
  const end = performance.now() + ms;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`did not happen in ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
