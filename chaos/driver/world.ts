/**
 * Everything of one run, and the loop: one completion is picked by time, resolved, and all that follows from it is
 * brought to rest before the next one. The order is a function of the seed, so the run is.
 */
import type { MemberId } from "../../src/base/index.ts";
import { DEFAULT_OPTIONS, type MemberOptions } from "../../src/member/index.ts";
import type { Message } from "../../src/raft/types.ts";
import { MemberClock } from "../sim/clock.ts";
import { SimDisk } from "../sim/disk.ts";
import { drawId, Rng } from "../sim/rng.ts";
import { EventQueue } from "../sim/scheduler.ts";
import { Trace } from "../sim/trace.ts";
import { type SimViolation, violate, violationOf } from "../sim/violation.ts";
import { CommittedLog } from "./committed.ts";
import { Durability } from "./durability.ts";
import { DriverMachine, type MachineHost } from "./machine.ts";
import { DriverNetwork } from "./network.ts";
import { drawSettings, type WorldSettings } from "./settings.ts";
import { StateDisk } from "./states.ts";

/** Events of a run; a run that needs more does not come to an end. */
const MAX_EVENTS = 400_000;
/** Whole-state checks of a member: after one event in so many. */
const CHECK_EVERY = 32;

export class World {
  readonly seed: number;
  readonly settings: WorldSettings;
  readonly queue = new EventQueue();
  readonly trace: Trace;
  readonly network: DriverNetwork;
  readonly machines: DriverMachine[] = [];
  readonly cluster = 0xc1n;
  readonly founding: MachineHost["founding"];
  readonly segmentBytes: number;
  readonly durability: Durability;
  readonly log = new CommittedLog();
  events = 0;
  /** Called when a process has ended, ... */
  onEnded: (machine: DriverMachine) => void = () => undefined;
  /** ... when one has stopped in order, before that. */
  onClosed: (machine: DriverMachine) => void = () => undefined;
  /** ... and after every event of one. */
  onEvent: (machine: DriverMachine, label: string) => void = () => undefined;
  /** What happened how often. */
  readonly counts = new Map<string, number>();
  #violation: SimViolation | undefined;
  /** By applied index: hash over everything applied. */
  readonly #hashes: number[] = [];
  /** By slot: what its process had applied when it was last looked at. */
  readonly #applied: number[] = [];
  readonly #deferred = new Map<number, (() => void)[]>();

  constructor(seed: number, recording: boolean, settings: WorldSettings = drawSettings(seed)) {
    this.seed = seed;
    this.settings = settings;
    this.trace = new Trace(recording);
    this.segmentBytes = settings.segmentBytes;
    this.network = new DriverNetwork(this, new Rng(seed, "network"));
    this.network.delayMeanUs = settings.delayMeanUs;
    this.durability = new Durability(this);
    const ids = new Rng(seed, "ids");
    const voters: MemberId[] = [];
    for (let slot = 0; slot < settings.members; slot++) voters.push(drawId(ids));
    this.founding = { voters: voters.map((id) => ({ id, peerUrls: [] })), leaseMs: settings.leaseMs };
    for (const [slot, id] of voters.entries()) this.machines.push(this.#makeMachine(slot, id, drawId(ids)));
  }

  /** What the ports found broken. */
  report(violation: SimViolation): void {
    this.#violation ??= violation;
  }

  slotOf(id: MemberId): number {
    return this.founding.voters.findIndex((voter) => voter.id === id);
  }

  sent(slot: number, message: Message): void {
    try {
      this.durability.sent(slot, message);
    } catch (error) {
      // What is thrown here passes through the driver, which would take it for a failure of its own.
      this.report(violationOf(error));
    }
  }

  ended(machine: DriverMachine): void {
    this.#deferred.delete(machine.slot);
    this.onEnded(machine);
  }

  closed(machine: DriverMachine): void {
    this.onClosed(machine);
  }

  happened(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  /** Runs until `time`, or until `isDone` says so after an event; false: time is up. */
  async run(time: number, isDone: () => boolean = () => false): Promise<boolean> {
    while (this.queue.nextTime <= time) {
      if (!(await this.step())) continue;
      if (isDone()) return true;
    }
    this.queue.advance(time);
    return false;
  }

  /** The next event. False: it was for a process that is gone or stands still. */
  async step(): Promise<boolean> {
    const event = this.queue.pop();
    if (event?.kind !== "call") return false;
    if (++this.events > MAX_EVENTS) violate("liveness", "the run does not end");
    const machine = this.machines[event.slot];
    if (machine !== undefined) {
      if (machine.life?.boot !== event.boot) return false;
      if (machine.isPaused) {
        this.#defer(event.slot, event.run);
        return false;
      }
    }
    this.trace.event(event.time, event.label, event.slot, event.boot);
    if (this.trace.recording && !QUIET.has(event.label)) {
      this.trace.line(event.time, `${event.slot < 0 ? "" : `m${event.slot} `}. ${event.label}`);
    }
    event.run();
    await rest();
    if (this.#violation !== undefined) throw this.#violation;
    if (machine === undefined) return true;
    this.#judge(machine);
    this.onEvent(machine, event.label);
    return true;
  }

  /** The process stands still, and goes on later: everything that came meanwhile is handled then. */
  pause(machine: DriverMachine, forUs: number): void {
    const { life } = machine;
    if (life === undefined || machine.isPaused) return;
    machine.isPaused = true;
    machine.line("stands still");
    const { slot } = machine;
    this.queue.call(this.queue.now + forUs, { slot: -1, boot: -1, label: "resume" }, () => {
      if (machine.life === life) this.resume(machine);
      else this.#deferred.delete(slot);
    });
  }

  resume(machine: DriverMachine): void {
    if (!machine.isPaused) return;
    machine.isPaused = false;
    const runs = this.#deferred.get(machine.slot) ?? [];
    this.#deferred.delete(machine.slot);
    for (const run of runs) machine.life?.after(0, "deferred", run);
  }

  #defer(slot: number, run: () => void): void {
    const runs = this.#deferred.get(slot) ?? [];
    runs.push(run);
    this.#deferred.set(slot, runs);
  }

  /** Equal applied index, equal hash, whoever applied it and whenever. */
  #judge(machine: DriverMachine): void {
    const { driver } = machine;
    if (driver === undefined) return;
    const { applied } = driver.status();
    const before = this.#applied[machine.slot] ?? 0;
    if (applied !== before) {
      this.log.applied(driver, Math.min(before, applied), applied, this.queue.now);
      this.#applied[machine.slot] = applied;
    }
    const hash = driver.machine.stateHash();
    const known = this.#hashes[applied];
    if (known === undefined) this.#hashes[applied] = hash;
    else if (known !== hash) {
      violate("state-machine-safety", `member ${machine.slot} has another state at index ${applied}`);
    }
    if (this.events % CHECK_EVERY === 0) driver.machine.checkInvariants();
  }

  #makeMachine(slot: number, id: MemberId, instance: bigint): DriverMachine {
    const { seed, settings } = this;
    const rng = new Rng(seed, `machine ${slot}`);
    const disk = new SimDisk(new Rng(seed, `disk ${slot}`), {
      syncMeanUs: settings.syncMeanUs,
      slowFactor: 1,
      stallUs: 0,
      failNext: "none",
      full: false,
    });
    const options: MemberOptions = { ...DEFAULT_OPTIONS, ...settings.member, id, instance };
    return new DriverMachine(
      {
        slot,
        options,
        disk,
        clock: new MemberClock(rng.int(0, 1_000_000_000), rng.int(0, 50_000)),
        states: new StateDisk(new Rng(seed, `states ${slot}`)),
      },
      this,
    );
  }
}

const QUIET = new Set(["timer", "turn", "client"]);

/** Everything that promises bring is done: a turn of the real event loop lies behind all microtasks. */
export function rest(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
