/**
 * One machine: disks and clock that outlive its processes, and the process that runs on it now, which is the real
 * driver over the ports of this folder. What a process may end with is judged here.
 */
import type { ClusterId, MemberId } from "../../src/base/index.ts";
import type { Logger } from "../../src/env/index.ts";
import type { MemberOptions } from "../../src/member/index.ts";
import { type Driver, type DriverError, type DriverOptions, openDriver } from "../../src/server/index.ts";
import type { MemberClock } from "../sim/clock.ts";
import type { CrashKind, SimDisk } from "../sim/disk.ts";
import { Rng } from "../sim/rng.ts";
import type { EventQueue } from "../sim/scheduler.ts";
import type { Trace } from "../sim/trace.ts";
import type { SimViolation } from "../sim/violation.ts";
import { Life } from "./life.ts";
import { type DriverNetwork, SimPeers } from "./network.ts";
import { SimClock, SimFiles, SimLock } from "./ports.ts";
import type { StateDisk } from "./states.ts";

export interface MachineHost {
  readonly seed: number;
  readonly queue: EventQueue;
  readonly trace: Trace;
  readonly network: DriverNetwork;
  readonly cluster: ClusterId;
  readonly founding: NonNullable<DriverOptions["founding"]>;
  readonly segmentBytes: number;
  report(violation: SimViolation): void;
  slotOf(id: MemberId): number;
  /** A process is gone, whatever it was doing. */
  ended(machine: DriverMachine): void;
  /** It has stopped in order, and is about to be gone. */
  closed(machine: DriverMachine): void;
  /** For the counts of a run. */
  happened(what: string): void;
}

export interface MachineParts {
  readonly slot: number;
  readonly clock: MemberClock;
  readonly disk: SimDisk;
  readonly states: StateDisk;
  readonly options: MemberOptions;
}

interface Process {
  readonly life: Life;
  readonly files: SimFiles;
  readonly peers: SimPeers;
  readonly lock: SimLock;
  readonly abort: AbortController;
  /** undefined while it opens. */
  driver: Driver | undefined;
  isStopping: boolean;
}

/** Time between the end of a process and the next one, microseconds. */
const RESTART_US = 150_000;

export class DriverMachine {
  readonly slot: number;
  readonly id: MemberId;
  readonly clock: MemberClock;
  readonly disk: SimDisk;
  readonly states: StateDisk;
  readonly options: MemberOptions;
  /** Its process stands still: events wait for it. */
  isPaused = false;
  /** It stays down until somebody says otherwise. */
  isHeldDown = false;
  readonly #host: MachineHost;
  #process: Process | undefined;
  #boots = 0;

  constructor(parts: MachineParts, host: MachineHost) {
    this.slot = parts.slot;
    this.id = parts.options.id;
    this.clock = parts.clock;
    this.disk = parts.disk;
    this.states = parts.states;
    this.options = parts.options;
    this.#host = host;
  }

  /** The driver that runs; undefined while none does. */
  get driver(): Driver | undefined {
    return this.#process?.driver;
  }

  get life(): Life | undefined {
    return this.#process?.life;
  }

  get isOpening(): boolean {
    return this.#process !== undefined && this.#process.driver === undefined;
  }

  get isStopping(): boolean {
    return this.#process?.isStopping === true;
  }

  start(): void {
    if (this.#process !== undefined) return;
    const { queue, network, seed } = this.#host;
    const boot = ++this.#boots;
    const life = new Life(this.slot, boot, { queue, report: (violation) => this.#host.report(violation) });
    const rng = new Rng(seed, `clock ${this.slot} ${boot}`);
    const process: Process = {
      life,
      files: new SimFiles(life, this.disk, queue),
      peers: new SimPeers(life, network, (id) => this.#host.slotOf(id)),
      lock: new SimLock(() => this.#judgeUnlocked(process)),
      abort: new AbortController(),
      driver: undefined,
      isStopping: false,
    };
    this.#process = process;
    this.line(`starts, process ${boot}`);
    const { cluster, founding, segmentBytes } = this.#host;
    const options: DriverOptions = {
      cluster,
      segmentBytes,
      founding,
      member: this.options,
      addressOf: (id) => [`sim://${id}`],
    };
    const ports = {
      clock: new SimClock(life, { clock: this.clock, queue, rng }),
      random: new Rng(seed, `member ${this.slot} ${boot}`),
      log: this.#logger(),
      directory: this.disk.view(),
      files: process.files,
      states: this.states.begin(life),
      peers: process.peers,
      lock: process.lock,
    };
    openDriver(options, ports, {
      onFailure: (error) => this.#failed(process, error),
      signal: process.abort.signal,
    }).then(
      (driver) => this.#opened(process, driver),
      (error: DriverError) => this.#notOpened(process, error),
    );
  }

  /** The process dies at once, and with `power` what was not synced. */
  crash(kind: CrashKind): void {
    const { queue, network } = this.#host;
    this.line(`crash: ${kind}`);
    this.disk.crash(queue.now, kind);
    this.states.crash();
    if (this.#process === undefined) return;
    this.#process.life.end();
    this.#process = undefined;
    this.isPaused = false;
    network.stopped(this.slot);
    this.#host.ended(this);
  }

  crashAndRestart(kind: CrashKind, afterUs: number): void {
    this.crash(kind);
    this.#restartLater(afterUs);
  }

  /** An orderly end; the process that follows finds everything closed. */
  stop(): void {
    const process = this.#process;
    if (process === undefined || process.isStopping) return;
    this.line("is asked to stop");
    process.isStopping = true;
    const { driver } = process;
    if (driver === undefined) process.abort.abort();
    else void driver.stop().then(() => this.#closed(process));
  }

  line(text: string): void {
    const { trace, queue } = this.#host;
    trace.mixText(text);
    if (trace.recording) trace.line(queue.now, `m${this.slot} ${text}`);
  }

  #opened(process: Process, driver: Driver): void {
    if (process.life.isOver) return;
    process.driver = driver;
    this.line("runs");
    this.#host.happened("opened");
    if (process.isStopping) void driver.stop().then(() => this.#closed(process));
  }

  #notOpened(process: Process, error: DriverError): void {
    if (process.life.isOver) return;
    this.line(`does not open: ${error.message}`);
    this.#host.happened("not opened");
    if (!this.#mayFail(process) && !process.isStopping) {
      process.life.violate("refused-at-open", `${error.part}: ${error.message}`);
    }
    this.#judgeClosed(process);
    this.crashAndRestart(this.#mayFail(process) ? "power" : "kill", RESTART_US);
  }

  #failed(process: Process, error: DriverError): void {
    if (process.life.isOver) return;
    this.line(`fails: ${error.message}`);
    this.#host.happened(`failed: ${error.part}`);
    if (!this.#mayFail(process) || error.part === "program" || error.part === "member") {
      const stack = error.cause instanceof Error ? error.cause.stack : error.stack;
      process.life.violate("fatal", `${error.part}: ${error.message}\n${stack ?? ""}`);
    }
    process.isStopping = true;
    void process.driver?.stop().then(() => this.#closed(process));
  }

  /** Everything is closed, by the driver's word. After a failure nobody knows what the page cache holds. */
  #closed(process: Process): void {
    if (process.life.isOver) return;
    this.line("has stopped");
    this.#judgeClosed(process);
    this.#host.happened("closed");
    this.#host.closed(this);
    this.crashAndRestart(this.#mayFail(process) ? "power" : "kill", RESTART_US);
  }

  /** A disk of it was made to fail, and has. */
  #mayFail({ files }: Process): boolean {
    return files.failure !== undefined || this.states.hasFailed;
  }

  #judgeClosed({ life, files, peers, lock, driver }: Process): void {
    if (lock.isHeld) life.violate("left-open", "its directory is locked after it stopped");
    if (!files.isClosed) life.violate("left-open", "its log is open after it stopped");
    if (this.states.open > 0)
      life.violate("left-open", `${this.states.open} states are open after it stopped`);
    if (driver !== undefined && !peers.isClosed) {
      life.violate("left-open", "its transport is open after it stopped");
    }
  }

  /** Another process may begin from now on. */
  #judgeUnlocked({ life, files }: Process): void {
    if (!files.isClosed || this.disk.queued > 0) life.violate("left-open", "its log is open when it unlocks");
    if (this.states.open > 0)
      life.violate("left-open", `${this.states.open} states are open when it unlocks`);
  }

  #restartLater(afterUs: number): void {
    const { queue } = this.#host;
    queue.call(queue.now + afterUs, { slot: -1, boot: -1, label: "restart" }, () => {
      if (!this.isHeldDown) this.start();
    });
  }

  #logger(): Logger {
    const write = (level: string) => (fields: object, event: string) => {
      const { trace, queue } = this.#host;
      if (event === "snapshot installed") this.#host.happened(event);
      if (!trace.recording) return;
      const text = Object.entries(fields).map(([name, value]) => `${name}=${String(value)}`);
      trace.line(queue.now, `m${this.slot} ${level}: ${event} ${text.join(" ")}`);
    };
    return { error: write("error"), warn: write("warn"), info: write("info"), debug: write("debug") };
  }
}
