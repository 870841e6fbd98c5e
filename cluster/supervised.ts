/**
 * One child process that is kept running: started again when it ends by itself, ended when that is asked for.
 *
 * The child is the leader of its own process group. A Ctrl-C at the terminal goes to every process of the
 * foreground group, and a member that hears it besides our SIGTERM takes the second for impatience and ends at once.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readSync, renameSync, statSync } from "node:fs";

/** A child that ends before this, ms, has failed to start. */
const SHORT_LIFE_MS = 10_000;
/** Starts that may fail one after the other before the child is given up. */
const MAX_FAILED_STARTS = 5;
/** Wait before the second start, doubled for each that failed before, ms. */
const FIRST_DELAY_MS = 100;
/** A child that was asked to end and has not after this, ms, is killed. Above a request's time limit in kvd, 7 s. */
const GRACE_MS = 10_000;
/** A log above this, bytes, is set aside as `<log>.1` at the next start, over the one that was there. */
const MAX_LOG_BYTES = 64 * 1024 ** 2;
/** How far back the end of a log is read, bytes. */
const TAIL_BYTES = 16 * 1024;

export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Gets standard output and standard error, appended. */
  readonly logPath: string;
}

/** What happens to a child that nobody asked to end. */
export type ChildEvent =
  | { readonly type: "started"; readonly pid: number; readonly isFirst: boolean }
  /** `how` it ended, as words to stand behind "process 12". */
  | { readonly type: "ended"; readonly pid: number; readonly how: string; readonly delayMs: number }
  /** It is not started again. */
  | { readonly type: "gave up"; readonly how: string; readonly starts: number };

export class Supervised {
  readonly #program: Program;
  readonly #onEvent: (event: ChildEvent) => void;
  #child: ChildProcess | undefined;
  #nextStart: NodeJS.Timeout | undefined;
  #isStopping = false;
  #isGivenUp = false;
  #failedStarts = 0;

  constructor(program: Program, onEvent: (event: ChildEvent) => void) {
    this.#program = program;
    this.#onEvent = onEvent;
  }

  /** undefined: it does not run just now. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get isGivenUp(): boolean {
    return this.#isGivenUp;
  }

  start(): void {
    this.#start(true);
  }

  /** Asks the child to end and waits until it has; kills it if it takes too long. It is not started again. */
  stop(): Promise<void> {
    this.#isStopping = true;
    clearTimeout(this.#nextStart);
    const child = this.#child;
    if (child === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      const impatience = setTimeout(() => child.kill("SIGKILL"), GRACE_MS);
      child.once("exit", () => {
        clearTimeout(impatience);
        resolve();
      });
      child.kill("SIGTERM");
    });
  }

  /** Kills the child at once, for good. */
  kill(): void {
    this.#isStopping = true;
    clearTimeout(this.#nextStart);
    this.#child?.kill("SIGKILL");
  }

  #start(isFirst: boolean): void {
    const { command, args, env, logPath } = this.#program;
    setAsideIfLarge(logPath);
    const log = openSync(logPath, "a");
    const startedAt = performance.now();
    const child = spawn(command, args, { env, stdio: ["ignore", log, log], detached: true });
    closeSync(log);
    child.once("exit", (code, signal) => {
      this.#ended(
        child.pid ?? 0,
        signal === null ? `ended with code ${code}` : `was ended by ${signal}`,
        startedAt,
      );
    });
    // Without a process there is no exit; with one this is a signal that could not be sent.
    child.once("error", (error) => {
      if (child.pid === undefined) this.#ended(0, `could not be started: ${error.message}`, startedAt);
    });
    this.#child = child;
    if (child.pid !== undefined) this.#onEvent({ type: "started", pid: child.pid, isFirst });
  }

  #ended(pid: number, how: string, startedAt: number): void {
    this.#child = undefined;
    if (this.#isStopping) return;
    const isFailedStart = performance.now() - startedAt < SHORT_LIFE_MS;
    this.#failedStarts = isFailedStart ? this.#failedStarts + 1 : 0;
    if (this.#failedStarts >= MAX_FAILED_STARTS) {
      this.#isGivenUp = true;
      this.#onEvent({ type: "gave up", how, starts: this.#failedStarts });
      return;
    }
    const delayMs = FIRST_DELAY_MS * 2 ** Math.max(0, this.#failedStarts - 1);
    this.#nextStart = setTimeout(() => this.#start(false), delayMs);
    this.#onEvent({ type: "ended", pid, how, delayMs });
  }
}

function setAsideIfLarge(logPath: string): void {
  const size = statSync(logPath, { throwIfNoEntry: false })?.size ?? 0;
  if (size > MAX_LOG_BYTES) renameSync(logPath, `${logPath}.1`);
}

/** The last lines of a log, at most `count` and 16 KiB; none if it cannot be read. */
export function lastLines(logPath: string, count: number): readonly string[] {
  try {
    const { size } = statSync(logPath);
    const bytes = Buffer.alloc(Math.min(size, TAIL_BYTES));
    const file = openSync(logPath, "r");
    readSync(file, bytes, 0, bytes.length, size - bytes.length);
    closeSync(file);
    return bytes.toString("utf8").trimEnd().split("\n").slice(-count);
  } catch {
    // A log that is gone must not hide the message that it was to explain.
    return [];
  }
}
