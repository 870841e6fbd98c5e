// Goal: what the README promises of `npm start`: three members serve, one that is killed comes back with its data,
// Ctrl-C leaves no process, the second start has the data of the first, a taken port is refused with its holder's name.
// Method: `npm start` itself on free ports and a data directory of its own, its terminal read as a user reads it, asked
// by npm's etcd3.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { platform, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Etcd3 } from "etcd3";
import { afterAll, beforeAll, expect, it } from "vitest";
import { MAX_PORT_BASE, neededPorts, placesOf } from "../../cluster/layout.ts";
import { problemsOf } from "../../cluster/ports.ts";
import { lastLines } from "../../cluster/supervised.ts";
import { until } from "./serving.ts";

/** For what a start or an end takes at most, on a machine that does other things, too. */
const DEADLINE_MS = 30_000;

const root = fileURLToPath(new URL("../../", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "waymark-start-"));
const dataDir = join(folder, "data");

let portBase = 0;
const started: Terminal[] = [];

/** One `npm start`: what its terminal shows, and the Ctrl-C that is typed there. */
class Terminal {
  shown = "";
  exit: { readonly code: number | null; readonly signal: string | null } | undefined;
  readonly #npm: ChildProcess;

  constructor(data = dataDir) {
    // Its own process group, as a terminal gives it: a Ctrl-C is for all of the group, npm and what it started.
    this.#npm = spawn("npm", ["start", "--", "--port-base", String(portBase), "--data-dir", data], {
      cwd: root,
      env: { ...process.env, ETCD_CERT_FILE: "/of/some/other/etcd" },
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const read = (chunk: Buffer): void => {
      this.shown += chunk.toString();
    };
    this.#npm.stdout?.on("data", read);
    this.#npm.stderr?.on("data", read);
    this.#npm.on("close", (code, signal) => {
      this.exit = { code, signal };
    });
    started.push(this);
  }

  /** Waits for a line. @throws with all that was shown, if it ends without or takes too long */
  async shows(pattern: RegExp): Promise<RegExpExecArray> {
    let match: RegExpExecArray | null = null;
    await until(
      () => {
        match = pattern.exec(this.shown);
        return match !== null || this.exit !== undefined;
      },
      String(pattern),
      DEADLINE_MS,
    );
    match = pattern.exec(this.shown);
    if (match === null) throw new Error(`ended without ${pattern}: ${this.shown}`);
    return match;
  }

  /** Processes of the members, as they are shown at the start. */
  get members(): readonly number[] {
    return [...this.shown.matchAll(/^ {2}m[123] .*?:\d+ .*?:\d+ +(\d+) /gm)].map(([, pid]) => Number(pid));
  }

  /** @returns how npm ended */
  async signal(signal: "SIGINT" | "SIGKILL"): Promise<typeof this.exit> {
    if (this.exit === undefined && this.#npm.pid !== undefined) process.kill(-this.#npm.pid, signal);
    await until(() => this.exit !== undefined, "the end of npm start", DEADLINE_MS);
    return this.exit;
  }
}

beforeAll(async () => {
  portBase = await freeBase();
});

afterAll(async () => {
  for (const terminal of started) {
    for (const pid of allProcesses(terminal)) if (isAlive(pid)) process.kill(pid, "SIGKILL");
    await terminal.signal("SIGKILL");
  }
  rmSync(folder, { recursive: true, force: true });
});

/** A base whose ports are all free, below those that the system gives to others. */
async function freeBase(): Promise<number> {
  for (let base = 2_600 - (process.pid % 100); base > 2_000; base -= 7) {
    if (base < MAX_PORT_BASE && (await problemsOf(neededPorts(placesOf(base, dataDir)))).length === 0)
      return base;
  }
  throw new Error("no free ports");
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Each process that this terminal ever named as a member's. */
function allProcesses(terminal: Terminal): readonly number[] {
  const again = [...terminal.shown.matchAll(/started again as process (\d+)/g)];
  return [...terminal.members, ...again.map(([, pid]) => Number(pid))];
}

async function asking<T>(ask: (client: Etcd3) => Promise<T>): Promise<T> {
  const hosts = placesOf(portBase, dataDir).map(({ clientAddress }) => `http://${clientAddress}`);
  const client = new Etcd3({ hosts });
  try {
    return await ask(client);
  } finally {
    client.close();
  }
}

it("serves, starts a killed leader again, and Ctrl-C leaves nothing", async () => {
  const terminal = new Terminal();
  const [, leader] = await terminal.shows(/ready .* after the members' start; (m[123]) leads/);
  expect(terminal.shown).toContain("--read-mode=lease");
  expect(terminal.members).toHaveLength(3);
  await asking((client) => client.put("kept").value("yes").exec());

  const [, pid] = await terminal.shows(/kill -9 (\d+) +# the leader/);
  process.kill(Number(pid), "SIGKILL");
  await terminal.shows(new RegExp(`${leader}, process ${pid}, was ended by SIGKILL; starting it again`));
  const [, again] = await terminal.shows(new RegExp(`${leader} is started again as process (\\d+)`));
  await terminal.shows(/m[123] leads in term \d+; to end it: kill -9 \d+/);
  expect(await asking((client) => client.get("kept").string())).toBe("yes");
  expect(isAlive(Number(again))).toBe(true);

  expect(await terminal.signal("SIGINT")).toEqual({ code: 0, signal: null });
  expect(terminal.shown).toContain("all members have ended");
  expect(allProcesses(terminal).filter(isAlive)).toEqual([]);
});

it("has the data of the first at its second start, and refuses ports that a running one has", async () => {
  const terminal = new Terminal();
  await terminal.shows(/Ctrl-C stops all/);
  for (const { clientAddress } of placesOf(portBase, dataDir)) {
    const client = new Etcd3({ hosts: `http://${clientAddress}` });
    expect(await client.get("kept").string()).toBe("yes");
    client.close();
  }

  const otherData = join(folder, "other");
  const second = new Terminal(otherData);
  await until(() => second.exit !== undefined, "the refusal", DEADLINE_MS);
  expect(second.exit?.code).toBe(1);
  const holder = platform() === "linux" ? `process ${terminal.members[0]}: ` : "";
  expect(second.shown).toContain(`port ${portBase} (clients of m1) is taken by ${holder}`);
  expect(second.members).toEqual([]);
  expect(existsSync(otherData), "nothing is made where nothing starts").toBe(false);

  expect(terminal.members.filter(isAlive)).toHaveLength(3);
  expect(await terminal.signal("SIGINT")).toEqual({ code: 0, signal: null });
  expect(terminal.members.filter(isAlive)).toEqual([]);
  // A member that heard the Ctrl-C besides would have ended at once.
  for (const { logPath } of placesOf(portBase, dataDir))
    expect(lastLines(logPath, 1)[0], "it was stopped in order").toContain('"msg":"stopped"');
});
