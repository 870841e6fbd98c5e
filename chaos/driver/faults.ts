/** What goes wrong in a run: drawn one after the other while it runs, each at a moment and a place of its own. */
import { Rng } from "../sim/rng.ts";
import type { DriverMachine } from "./machine.ts";
import { USUAL_BREAK_PPM } from "./network.ts";
import type { World } from "./world.ts";

const KINDS = [
  "kill",
  "power",
  "powerAll",
  "crashLoop",
  "away",
  "away",
  "stop",
  "pause",
  "partition",
  "oneWay",
  "loss",
  "duplicate",
  "slowNetwork",
  "slowDisk",
  "diskStall",
  "diskError",
  "stateError",
  "breakStreams",
] as const;

/** Moments at which a crash is most likely to find something half done: labels of events, by their beginning. */
const TRAPS = ["open state", "receive", "remove states", "scan", "frame begin", "frame end", "state", "log"];
const MS = 1_000;

export class Faults {
  readonly #world: World;
  readonly #rng: Rng;
  #isOver = false;
  #trap: { readonly label: string; count: number } | undefined;
  count = 0;
  readonly kinds = new Map<string, number>();

  constructor(world: World) {
    this.#world = world;
    this.#rng = new Rng(world.seed, "faults");
    this.#later();
  }

  /** Nothing goes wrong any more; what did is mended. */
  end(): void {
    this.#isOver = true;
    this.#trap = undefined;
    const { network, machines } = this.#world;
    network.heal();
    for (const machine of machines) {
      machine.isHeldDown = false;
      machine.disk.settings.slowFactor = 1;
      machine.disk.settings.stallUs = 0;
      machine.disk.settings.failNext = "none";
      machine.states.failNext = false;
      machine.states.slowFactor = 1;
      this.#world.resume(machine);
      machine.start();
    }
  }

  /** After every event of a machine: whether it dies of it. */
  passed(machine: DriverMachine, label: string): void {
    const trap = this.#trap;
    if (trap === undefined || !label.startsWith(trap.label)) return;
    if (--trap.count > 0) return;
    this.#trap = undefined;
    this.#note("trap", machine);
    machine.crashAndRestart(this.#rng.int(0, 2) === 0 ? "kill" : "power", this.#rng.int(1, 200) * MS);
  }

  #later(): void {
    const { queue, settings } = this.#world;
    const delay = 20 * MS + this.#rng.exponential(settings.faultEveryUs);
    queue.call(queue.now + delay, { slot: -1, boot: -1, label: "fault" }, () => {
      if (this.#isOver) return;
      this.#happen();
      this.#later();
    });
  }

  #happen(): void {
    const rng = this.#rng;
    const machine = rng.pick(this.#world.machines);
    if (rng.int(0, 4) === 0) {
      this.#trap = { label: rng.pick(TRAPS), count: rng.int(1, 6) };
      return;
    }
    const kind = rng.pick(KINDS);
    this.#note(kind, machine);
    this.#apply(kind, machine);
  }

  #apply(kind: (typeof KINDS)[number], machine: DriverMachine): void {
    const rng = this.#rng;
    const { network, machines } = this.#world;
    switch (kind) {
      case "kill":
      case "power":
        machine.crashAndRestart(kind, rng.int(1, 500) * MS);
        return;
      case "powerAll":
        for (const each of machines) each.crashAndRestart("power", rng.int(1, 300) * MS);
        return;
      case "crashLoop":
        this.#crashLoop(machine, rng.int(2, 6));
        return;
      case "away":
        machine.isHeldDown = true;
        machine.crash("power");
        this.#soon(rng.int(500, 2_500) * MS, () => {
          machine.isHeldDown = false;
          machine.start();
        });
        return;
      case "stop":
        machine.stop();
        return;
      case "pause":
        this.#world.pause(machine, rng.int(20, 1_500) * MS);
        return;
      case "partition":
      case "oneWay":
        this.#cut(machine, kind === "partition");
        return;
      default:
        this.#disturb(kind, machine);
        if (kind !== "diskError" && kind !== "stateError") {
          this.#soon(rng.int(50, 1_500) * MS, () => this.#undisturb(machine));
        }
        if (kind === "breakStreams") network.breakPpm = 300_000;
    }
  }

  #disturb(kind: (typeof KINDS)[number], machine: DriverMachine): void {
    const rng = this.#rng;
    const { network } = this.#world;
    switch (kind) {
      case "loss":
        network.lossPpm = rng.int(20_000, 400_000);
        return;
      case "duplicate":
        network.duplicatePpm = 300_000;
        return;
      case "slowNetwork":
        network.delayMeanUs = rng.int(2_000, 40_000);
        return;
      case "slowDisk":
        machine.disk.settings.slowFactor = rng.int(3, 60);
        machine.states.slowFactor = rng.int(3, 60);
        return;
      case "diskStall":
        machine.disk.settings.stallUs = rng.int(50, 1_000) * MS;
        return;
      case "diskError":
        machine.disk.settings.failNext = rng.pick(["write", "sync"]);
        return;
      case "stateError":
        machine.states.failNext = true;
        return;
      default:
        return;
    }
  }

  #undisturb(machine: DriverMachine): void {
    const { network, settings } = this.#world;
    network.lossPpm = 0;
    network.duplicatePpm = 0;
    network.breakPpm = USUAL_BREAK_PPM;
    network.delayMeanUs = settings.delayMeanUs;
    machine.disk.settings.slowFactor = 1;
    machine.states.slowFactor = 1;
  }

  #cut(machine: DriverMachine, bothWays: boolean): void {
    const { network, machines } = this.#world;
    for (const { slot } of machines) {
      if (slot === machine.slot) continue;
      network.cut(machine.slot, slot);
      if (bothWays) network.cut(slot, machine.slot);
    }
    this.#soon(this.#rng.int(100, 2_000) * MS, () => network.join(machine.slot));
  }

  /** It dies again and again while it comes up. */
  #crashLoop(machine: DriverMachine, times: number): void {
    if (times === 0) return;
    machine.crashAndRestart(this.#rng.int(0, 2) === 0 ? "kill" : "power", 1 * MS);
    this.#soon(2 * MS + this.#rng.exponential(6 * MS), () => this.#crashLoop(machine, times - 1));
  }

  #soon(delayUs: number, run: () => void): void {
    const { queue } = this.#world;
    queue.call(queue.now + delayUs, { slot: -1, boot: -1, label: "fault goes on" }, () => {
      if (!this.#isOver) run();
    });
  }

  #note(kind: string, machine: DriverMachine): void {
    this.count++;
    this.kinds.set(kind, (this.kinds.get(kind) ?? 0) + 1);
    machine.line(`FAULT ${kind}`);
  }
}
