/**
 * What each kind of fault does to the world. A fault chooses its target when it happens, among what is there; one
 * that finds none, or that would take from the cluster what no protocol can give back, does nothing and is not counted.
 *
 * The fault atlas: data may be destroyed on a minority of the voters only, in every configuration that may be in
 * force, so that every committed entry keeps an intact quorum. Then every loss is a defect.
 */

import { unreachable } from "../../src/base/index.ts";
import { Links, PARTITION_SHAPES, partition } from "./links.ts";
import type { LogMoment, Machine } from "./machine.ts";
import { isMajority, MAX_SLOTS } from "./members.ts";
import type { Fault } from "./plan.ts";
import type { SnapshotMoment } from "./streams.ts";
import { usurp, usurpWhileJoint } from "./usurp.ts";
import type { World } from "./world.ts";

/** Puts all faults of a plan into the event queue. */
export function scheduleFaults(world: World): void {
  for (const fault of world.plan.faults) {
    world.queue.call(fault.at, { slot: -1, boot: -1, label: fault.kind }, () => {
      if (applyFault(world, fault)) {
        world.faultsApplied++;
        world.bands.push({ from: world.queue.now, to: world.queue.now + fault.forUs, label: fault.kind });
        world.note(`fault ${fault.kind} for ${Math.floor(fault.forUs / 1000)} ms`);
      }
    });
  }
}

/** Lets the fault happen; false: there was nothing that it could do. */
function applyFault(world: World, fault: Fault): boolean {
  switch (fault.kind) {
    case "kill":
    case "powerLoss":
    case "crashSeveral":
    case "powerCut":
    case "pause":
    case "gracefulStop":
      return stopProcesses(world, fault);
    case "partition":
    case "oneWayPartition":
    case "clog":
    case "lossBurst":
    case "duplicateBurst":
    case "slowNetwork":
    case "garbage":
      return disturbNetwork(world, fault);
    case "slowDisk":
    case "diskStall":
    case "diskError":
    case "diskFull":
      return disturbDisk(world, fault);
    case "bitRot":
    case "wipe":
      return destroyData(world, fault);
    case "clockRate":
      return changeClock(world, fault);
    case "addMember":
    case "removeMember":
    case "jointChange":
    case "transfer":
    case "leaseChange":
      return operate(world, fault);
    case "usurp":
      return usurp(world, fault);
    case "jointUsurp":
      return usurpWhileJoint(world, fault);
    default:
      return unreachable(fault.kind);
  }
}

function stopProcesses(world: World, fault: Fault): boolean {
  const { kind, bits, forUs } = fault;
  if (kind === "crashSeveral" || kind === "powerCut") {
    let hit = false;
    for (const machine of inService(world)) {
      if (kind === "crashSeveral" && ((bits >>> (machine.slot % 30)) & 1) === 0) continue;
      if (machine.boot === 0) continue;
      hit = true;
      machine.crash("power");
      // Machines come back one after another, sometimes long after the first.
      world.startAfter(
        machine.slot,
        Math.floor(forUs / 2) + ((bits >>> 3) % 1000) * (machine.slot + 1) * 100,
      );
    }
    if (hit && kind === "powerCut") world.sometimes.reached("power cut everywhere");
    return hit;
  }
  const machine = choose(world, fault);
  if (machine === undefined) return false;
  const { slot } = machine;
  if (kind === "pause") {
    if (machine.paused) return false;
    machine.paused = true;
    end(world, forUs, () => world.resume(slot));
    return true;
  }
  if (kind === "gracefulStop") {
    machine.stop();
    const { boot } = machine;
    const patience = machine.options.electionTimeoutMs * 1_200;
    world.queue.call(world.queue.now + patience, { slot, boot, label: "stopped" }, () => {
      world.sometimes.reached("graceful stop");
      machine.crash("kill");
      world.startAfter(slot, forUs);
    });
    return true;
  }
  const moment = kind === "powerLoss" ? MOMENTS[bits & 7] : undefined;
  if (moment === "snapshot") {
    loseAtSnapshot(world, fault);
    return false;
  }
  if (moment !== undefined) {
    loseAtLogMoment(world, fault, moment);
    return false;
  }
  machine.crash(kind === "kill" ? "kill" : "power");
  world.startAfter(slot, forUs);
  return true;
}

/** What a power loss waits for, by three bits of chance; undefined: it comes at once. */
const MOMENTS = [
  "snapshot",
  "snapshot",
  "begun",
  "released",
  "large",
  "rolling",
  undefined,
  undefined,
] as const;

/** How long a power loss waits for somebody to receive a snapshot, or for a log to go on to another segment. */
const PATIENCE_US = 6_000_000;

/**
 * The power goes at a step of a snapshot: mostly at the worst one, between its complete directory and the record that
 * commits it, else in the middle of the stream at either end, or when the record names what is not loaded yet. By
 * chance this is rare: the steps are a disk write apart.
 */
function loseAtSnapshot(world: World, fault: Fault): void {
  const wanted = SNAPSHOT_MOMENTS[(fault.bits >>> 4) % SNAPSHOT_MOMENTS.length];
  const lose = (machine: Machine, what: SnapshotMoment): void => {
    if (what !== wanted) return;
    world.onSnapshotMoment = undefined;
    losePowerNow(world, fault, machine, "its snapshot");
  };
  world.onSnapshotMoment = lose;
  end(world, PATIENCE_US, () => {
    if (world.onSnapshotMoment === lose) world.onSnapshotMoment = undefined;
  });
}

const SNAPSHOT_MOMENTS: readonly SnapshotMoment[] = [
  "written",
  "written",
  "written",
  "sending",
  "receiving",
  "receiving",
  "receiving",
  "recorded",
  "recorded",
];

/**
 * The power goes at a moment at which a log hangs on the order of its file operations.
 *
 * - `begun`: right after a segment's first batch: what the segment does not carry is lost.
 * - `released`: right after old segments went.
 * - `large`: while a batch of many sectors is written, and again after the first batch that follows: what is left of
 *   the torn one must not be taken for the next.
 * - `rolling`: before the first batch of a segment is durable, late enough for others to have let its predecessor go.
 */
function loseAtLogMoment(world: World, fault: Fault, moment: LogMoment): void {
  const { bits } = fault;
  let victim = -1;
  const wait = (machine: Machine, what: LogMoment, endsAt: number): void => {
    if (what !== moment || (victim !== -1 && victim !== machine.slot)) return;
    const { now } = world.queue;
    const at = (delayUs: number, run: () => void): void => {
      const target = { slot: machine.slot, boot: machine.boot, label: "powerLoss" };
      world.queue.call(now + Math.floor(delayUs), target, run);
    };
    victim = machine.slot;
    if (moment === "large") {
      moment = "first";
      at(((bits >>> 8) % 1000) * ((endsAt - now) / 1000), () =>
        losePowerNow(world, fault, machine, "a large batch"),
      );
      return;
    }
    stop();
    if (moment === "rolling") {
      const stallUs = 300_000 + ((bits >>> 8) % 1_500_000);
      machine.disk.settings.stallUs = stallUs;
      at(stallUs, () => losePowerNow(world, fault, machine, "a segment that is not begun"));
    } else {
      losePowerNow(world, fault, machine, moment === "first" ? "its first batch" : `a segment ${moment}`);
    }
  };
  const stop = (): void => {
    if (world.onLogMoment === wait) world.onLogMoment = undefined;
  };
  world.onLogMoment = wait;
  end(world, PATIENCE_US, stop);
}

function losePowerNow(world: World, fault: Fault, machine: Machine, at: string): void {
  if (machine.boot === 0) return;
  if (at !== "its snapshot") world.sometimes.reached("power lost at a moment of the log");
  // Counted when it happens, not when it begins to lie in wait.
  world.faultsApplied++;
  world.note(`fault powerLoss of m${machine.slot} at ${at}`);
  machine.crash("power");
  world.startAfter(machine.slot, fault.forUs);
}

function disturbNetwork(world: World, fault: Fault): boolean {
  const { kind, pick, bits, forUs } = fault;
  const { links } = world;
  const slots = shuffled(world, fault);
  switch (kind) {
    case "partition":
    case "oneWayPartition": {
      if (slots.length < 2) return false;
      const shape = PARTITION_SHAPES[(pick >>> 1) % PARTITION_SHAPES.length] ?? "isolate";
      const pairs = partition(shape, slots, kind === "oneWayPartition", bits);
      if (pairs.length === 0) return false;
      links.cut(pairs);
      end(world, forUs, () => links.heal(pairs));
      return true;
    }
    case "clog": {
      const [a, b] = slots;
      if (a === undefined || b === undefined) return false;
      const both = (bits & 1) === 0;
      links.clog(a, b, world.queue.now + forUs);
      if (both) links.clog(b, a, world.queue.now + forUs);
      return true;
    }
    case "lossBurst":
      links.extraLossPpm = 20_000 + (bits % 280_000);
      end(world, forUs, () => {
        links.extraLossPpm = 0;
      });
      return true;
    case "duplicateBurst":
      links.extraDuplicatePpm = 100_000 + (bits % 400_000);
      end(world, forUs, () => {
        links.extraDuplicatePpm = 0;
      });
      return true;
    case "slowNetwork":
      links.slowFactor = 2 + (bits % 20);
      end(world, forUs, () => {
        links.slowFactor = 1;
      });
      return true;
    default:
      links.garbagePpm = 5_000 + (bits % 50_000);
      end(world, forUs, () => {
        links.garbagePpm = 0;
      });
      return true;
  }
}

function disturbDisk(world: World, fault: Fault): boolean {
  const machine = choose(world, fault);
  if (machine === undefined) return false;
  const { settings } = machine.disk;
  switch (fault.kind) {
    case "slowDisk":
      settings.slowFactor = 2 + (fault.bits % 60);
      end(world, fault.forUs, () => {
        settings.slowFactor = 1;
      });
      return true;
    case "diskStall":
      settings.stallUs = fault.forUs;
      return true;
    case "diskError":
      settings.failNext = (fault.bits & 1) === 0 ? "write" : "sync";
      return true;
    default:
      settings.full = true;
      end(world, fault.forUs, () => {
        settings.full = false;
      });
      return true;
  }
}

function destroyData(world: World, fault: Fault): boolean {
  const machine = choose(world, fault);
  if (machine === undefined || world.wiped !== -1 || !mayLose(world, machine.slot)) return false;
  const { slot } = machine;
  if (fault.kind === "bitRot") {
    machine.crash("power");
    const flips = 1 + (fault.bits & 1);
    for (let i = 0; i < flips; i++) {
      const where = machine.disk.rot(
        fault.pick ^ Math.imul(i, 0x9e37),
        1 << ((fault.bits >>> (4 + 3 * i)) & 7),
      );
      world.note(`m${slot} rot at ${where ?? "nothing"}`);
    }
    world.damaged |= 1 << slot;
    world.startAfter(slot, fault.forUs);
    return true;
  }
  // Two members that lost their data could be talked into a quorum of the first day by nobody but each other; and a
  // member that does not know the pin yet could be their third. Neither is what the pin is for.
  if (!world.isPinnedEverywhere(slot) || world.operator.busy) return false;
  world.wipe(slot);
  world.start(slot);
  end(world, fault.forUs, () => endWipe(world));
  return true;
}

/** The machine without data is turned off, and the operator replaces it. */
export function endWipe(world: World): void {
  const slot = world.wiped;
  if (slot === -1) return;
  world.machineAt(slot).crash("kill");
  world.wiped = -1;
  world.operator.enqueue({ type: "replace", slot });
}

function changeClock(world: World, fault: Fault): boolean {
  const machine = choose(world, fault);
  if (machine === undefined) return false;
  const { config } = world.plan;
  const extreme = config.drift === "twice" ? 200_000 : 100_000;
  const ppm = config.drift === "within" ? fault.bits % (extreme + 1) : (fault.bits & 1) * extreme;
  machine.clock.setRate(world.queue.now, ppm);
  if (!machine.paused) machine.scheduleWake();
  return true;
}

function operate(world: World, fault: Fault): boolean {
  const { operator } = world;
  const { kind, bits } = fault;
  if (kind === "addMember") return operator.enqueue({ type: "join", promote: (bits & 3) !== 0 });
  const leader = world.leader();
  const conf = leader?.status?.conf;
  if (leader === undefined || conf === undefined) return false;
  switch (kind) {
    case "transfer": {
      const to = conf.voters[bits % conf.voters.length];
      return operator.transfer((bits & 0x100) === 0 || to === undefined ? 0n : to);
    }
    case "leaseChange": {
      const { electionTimeoutMs } = world.plan.config;
      const leaseMs = bits % 4 === 0 ? 0 : Math.floor((electionTimeoutMs * (30 + (bits % 171))) / 100);
      if ((bits & 0x1000) !== 0) return operator.interfere(leaseMs);
      return operator.enqueue({ type: "lease", leaseMs });
    }
    default: {
      // Smaller clusters tolerate nothing; an operator keeps them as they are.
      if (conf.voters.length < 3) return false;
      const id = (fault.pick & 1) === 1 ? leader.id : conf.voters[bits % conf.voters.length];
      if (id === undefined) return false;
      const slot = world.slotOf(id);
      if (kind === "removeMember") return operator.enqueue({ type: "remove", slot });
      return operator.enqueue({ type: "joint", out: slot, demote: (bits & 0x200) !== 0 });
    }
  }
}

/** Whether one more machine may lose its data in every configuration that may be in force. */
function mayLose(world: World, slot: number): boolean {
  const { invariants } = world;
  const out = world.lost | world.retired;
  const lost = world.lost | (1 << slot);
  let lastConf = 0;
  for (const machine of world.machines) {
    if ((out & (1 << machine.slot)) === 0)
      lastConf = Math.max(lastConf, invariants.lastConfIndex(machine.slot));
  }
  let hash: string | undefined;
  for (const machine of world.machines) {
    if ((out & (1 << machine.slot)) !== 0) continue;
    const conf = invariants.confOf(machine.slot);
    // Everybody runs, knows the newest configuration and has nothing pending: then it is the only one in force.
    if (!machine.running || conf === undefined || (machine.status?.applied ?? 0) < lastConf) return false;
    if (hash !== undefined && hash !== conf.hash) return false;
    hash = conf.hash;
    if (conf.outgoing !== 0 || !isMajority(conf.voters & ~lost, conf.voters)) return false;
    const { status } = machine;
    if (status === undefined || !world.operator.survivesLoss(status.conf, slot)) return false;
  }
  return hash !== undefined;
}

/** Machines that belong to the world of the living, running or not. */
export function inService(world: World): Machine[] {
  const out = world.lost | world.retired;
  return world.machines.filter((machine) => (out & (1 << machine.slot)) === 0);
}

function choose(world: World, fault: Fault): Machine | undefined {
  if ((fault.pick & 1) === 1) {
    const leader = world.leader();
    if (leader !== undefined && !world.isLost(leader.slot)) return leader;
  }
  const running = inService(world).filter((machine) => machine.running);
  return running[(fault.pick >>> 1) % Math.max(1, running.length)];
}

/** Slots in service in an order drawn by the fault; the chosen target is first. */
function shuffled(world: World, fault: Fault): number[] {
  const slots = inService(world).map((machine) => machine.slot);
  let bits = fault.bits;
  for (let i = slots.length - 1; i > 0; i--) {
    bits = (Math.imul(bits, 1664525) + 1013904223) >>> 0;
    const j = bits % (i + 1);
    const other = slots[j] as number;
    slots[j] = slots[i] as number;
    slots[i] = other;
  }
  const target = choose(world, fault);
  if (target === undefined) return slots;
  return [target.slot, ...slots.filter((slot) => slot !== target.slot)];
}

/** Ends a fault after its time, unless everything was healed before. */
export function end(world: World, forUs: number, run: () => void): void {
  const { generation } = world;
  world.queue.call(world.queue.now + forUs, { slot: -1, boot: -1, label: "faultEnds" }, () => {
    if (world.generation === generation) run();
  });
}

/** Every link between two sets of machines is cut until all is healed. */
export function isolate(world: World, slots: readonly number[]): void {
  const others = world.machines.map((machine) => machine.slot).filter((slot) => !slots.includes(slot));
  world.links.cut(Links.between(slots, others).filter((pair) => pair < MAX_SLOTS * MAX_SLOTS));
}
