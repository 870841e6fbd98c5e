/**
 * `npm start`: three members of a cluster on this machine, in the foreground, until Ctrl-C.
 *
 * Whatever way this ends, no member stays behind: a signal stops them in order, an exception and the end of this
 * process kill them. Only a `kill -9` of this very process leaves them, and the next start names them as holders of its
 * ports.
 */
import { readFileSync } from "node:fs";
import { join, relative } from "node:path";
import process from "node:process";
import { flagsOf, type MemberPlace, neededPorts, placesOf } from "./layout.ts";
import { LeaderWatch, leaderOf, type MemberView } from "./leader-watch.ts";
import { claimDataDir, HELP, parseOptions, type StartOptions } from "./options.ts";
import { problemsOf } from "./ports.ts";
import { type ChildEvent, lastLines, Supervised } from "./supervised.ts";
import { commandsText, eventText, leaderLine, placesText, type Running } from "./words.ts";

const EXIT_STOPPED = 0;
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** Between two looks at who leads, ms: before all serve, and after. */
const LOOK_MS = { starting: 100, serving: 250 };
/** A second signal within this, ms, is the first one again: a terminal and npm both send it. */
const SAME_SIGNAL_MS = 1_000;
/** Lines of a log that are shown when its member is given up. */
const SHOWN_LOG_LINES = 8;

/**
 * Starts the members and stays until they are stopped.
 * @param where `root`: the folder of package.json; `program`: kvd, one file that Node runs
 * @returns the exit code: 0 stopped as asked, 1 could not start or go on, 2 wrong flags
 */
export async function start(
  { root, program }: { readonly root: string; readonly program: string },
  args: readonly string[],
): Promise<number> {
  const parsed = parseOptions(args, root);
  if (parsed.type === "help") {
    process.stdout.write(HELP);
    return EXIT_STOPPED;
  }
  if (parsed.type === "refused") return refuse(parsed.reason, EXIT_USAGE);
  const { options } = parsed;
  const places = placesOf(options.portBase, options.dataDir);
  const reason = await whyNot(places, options);
  if (reason !== undefined) return refuse(reason, EXIT_FAILED);
  return await new Cluster(root, program, places).run();
}

/** Why members cannot be started here. Ports come first: those of a running cluster also hold its data. */
async function whyNot(places: readonly MemberPlace[], options: StartOptions): Promise<string | undefined> {
  const problems = await problemsOf(neededPorts(places));
  if (problems.length > 0) {
    const advice = "End who holds it, or take others with npm start -- --port-base N --data-dir DIR.";
    return `nothing was started.\n  ${problems.join("\n  ")}\n${advice}`;
  }
  return claimDataDir(options);
}

function refuse(reason: string, code: number): number {
  process.stderr.write(`npm start: ${reason}\n`);
  return code;
}

/** The members as one, from the first start to the last end. */
class Cluster {
  readonly #root: string;
  readonly #places: readonly MemberPlace[];
  readonly #children: ReadonlyMap<string, Supervised>;
  readonly #watch: LeaderWatch;
  readonly #startedAt = performance.now();
  #isServing = false;
  /** Name and process of the leader that was shown last. */
  #shownLeader = "";
  #nextLook: NodeJS.Timeout | undefined;
  #signalledAt: number | undefined;
  #end: (code: number) => void = () => undefined;

  constructor(root: string, program: string, places: readonly MemberPlace[]) {
    this.#root = root;
    this.#places = places;
    this.#watch = new LeaderWatch(places);
    // As kvd-bin.cts sees to it where kvd is started by its users.
    const env = { UV_THREADPOOL_SIZE: "16", ...withoutFlags(process.env) };
    this.#children = new Map(
      places.map((place) => {
        const args = [program, ...flagsOf(place, places)];
        const child = new Supervised(
          { command: process.execPath, args, env, logPath: place.logPath },
          (event) => this.#onChild(place, event),
        );
        return [place.name, child];
      }),
    );
  }

  /** @returns the exit code */
  async run(): Promise<number> {
    const ended = new Promise<number>((resolve) => {
      this.#end = resolve;
    });
    this.#guard();
    for (const child of this.#children.values()) child.start();
    process.stdout.write(placesText(this.#running(), (path) => this.#shorten(path)));
    this.#look();
    const code = await ended;
    clearTimeout(this.#nextLook);
    await this.#stop();
    return code;
  }

  /** Members go one after the other, so that each hands its leadership to one that can take it. */
  async #stop(): Promise<void> {
    const startedAt = performance.now();
    for (const child of [...this.#children.values()].reverse()) await child.stop();
    this.#watch.close();
    for (const signal of SIGNALS) process.removeAllListeners(signal);
    say(`all members have ended, after ${seconds(performance.now() - startedAt)}`);
  }

  #guard(): void {
    for (const signal of SIGNALS) process.on(signal, () => this.#onSignal(signal));
    process.on("exit", () => this.#kill());
    process.on("uncaughtException", (error) => {
      this.#kill();
      process.stderr.write(`npm start ended by a bug: ${error.stack ?? error.message}\n`);
      process.exit(EXIT_FAILED);
    });
    // Nobody reads any more, as with a pager that was left: the same as a terminal that was closed.
    process.stdout.on("error", () => this.#end(EXIT_FAILED));
  }

  #onSignal(signal: string): void {
    const now = performance.now();
    if (this.#signalledAt === undefined) {
      this.#signalledAt = now;
      say(`${signal}: stopping the members; once more kills them`);
      this.#end(EXIT_STOPPED);
    } else if (now - this.#signalledAt > SAME_SIGNAL_MS) {
      this.#kill();
    }
  }

  #kill(): void {
    for (const child of this.#children.values()) child.kill();
  }

  #onChild(place: MemberPlace, event: ChildEvent): void {
    if (event.type === "started" && event.isFirst) return;
    const lines = event.type === "gave up" ? lastLines(place.logPath, SHOWN_LOG_LINES) : [];
    say(eventText(place.name, event, { lines, path: this.#shorten(place.logPath) }));
    if (event.type === "gave up" && 2 * this.#living().length <= this.#places.length) {
      say("too few members are left to serve");
      this.#end(EXIT_FAILED);
    }
  }

  #living(): readonly MemberPlace[] {
    return this.#places.filter(({ name }) => this.#children.get(name)?.isGivenUp !== true);
  }

  #look(): void {
    this.#watch.look().then((views) => {
      this.#show(views);
      const delayMs = this.#isServing ? LOOK_MS.serving : LOOK_MS.starting;
      if (this.#signalledAt === undefined) this.#nextLook = setTimeout(() => this.#look(), delayMs);
    });
  }

  #show(views: readonly MemberView[]): void {
    const leader = leaderOf(views);
    const running = this.#running().find(({ place }) => place.name === leader?.name);
    if (leader === undefined || running?.pid === undefined || this.#signalledAt !== undefined) return;
    const shown = `${leader.name} ${running.pid}`;
    if (!this.#isServing) {
      const silent = this.#living().filter(({ name }) => !views.some((v) => v.name === name && v.isServing));
      if (silent.length > 0) return;
      this.#isServing = true;
      process.stdout.write(
        `\n  ready ${seconds(performance.now() - this.#startedAt)} after the members' start; ${leader.name} leads\n`,
      );
      process.stdout.write(commandsText(this.#cli(), this.#running(), running));
    } else if (shown !== this.#shownLeader) {
      say(leaderLine(running, leader.term));
    }
    this.#shownLeader = shown;
  }

  #running(): readonly Running[] {
    return this.#places.map((place) => ({ place, pid: this.#children.get(place.name)?.pid }));
  }

  #shorten(path: string): string {
    const inner = relative(this.#root, path);
    return inner.startsWith("..") ? path : inner;
  }

  /** Our own client once the package has it, else etcd's. */
  #cli(): string {
    const text = readFileSync(join(this.#root, "package.json"), "utf8");
    return /"kvctl"\s*:/.test(text) ? "npx kvctl" : "etcdctl";
  }
}

/** kvd reads `ETCD_*` as flags: what is meant for some other etcd of this user must not reach the members. */
function withoutFlags(env: NodeJS.ProcessEnv): Readonly<Record<string, string | undefined>> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith("ETCD_")));
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** A line with the time of day, as the logs have it (UTC). */
function say(line: string): void {
  process.stdout.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`);
}
