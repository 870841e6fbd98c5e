/**
 * One run: safety under faults, then liveness with everything healed but only a random majority up, then all heal and
 * converge, then the history is checked. Whatever is found ends the run with the name of what was broken.
 */
import { AssertionError } from "../../src/base/index.ts";
import type { KvHistory } from "../check/index.ts";
import { endWipe, isolate, scheduleFaults } from "./faults.ts";
import { historyOf, judgeHistory } from "./judge-history.ts";
import type { Machine } from "./machine.ts";
import { countBits, isMajority } from "./members.ts";
import type { Plan } from "./plan.ts";
import { Rng } from "./rng.ts";
import type { SometimesPoint } from "./sometimes.ts";
import { type InvariantId, SimViolation, violate } from "./violation.ts";
import { GaveUp, World } from "./world.ts";

/** Time in which every watcher must hear of the final revision once all is at rest (reliability.md §3.3). */
const WATCH_PATIENCE_US = 5_000_000;
/** Election timeouts within which a healed majority must answer everything. */
const LIVENESS_TIMEOUTS = 20;

export interface RunViolation {
  readonly id: InvariantId;
  readonly message: string;
  readonly at: number;
}

/** What a run gives. */
export interface RunResult {
  readonly seed: number;
  readonly violation: RunViolation | undefined;
  /** No verdict: the run was given up. */
  readonly unknown: boolean;
  readonly calm: boolean;
  /** World time at the end, microseconds. */
  readonly simUs: number;
  readonly faults: number;
  readonly acknowledged: number;
  readonly operations: number;
  readonly elections: number;
  readonly events: number;
  readonly hash: string;
  readonly sometimes: ReadonlyMap<SometimesPoint, number>;
  readonly lines: readonly string[];
  /** What clients saw; undefined unless it was recorded. */
  readonly history: KvHistory | undefined;
}

/** Runs a plan. @param recording keep a timeline of one line per event. */
export function runPlan(plan: Plan, recording: boolean): RunResult {
  let violation: RunViolation | undefined;
  let unknown = false;
  const world = new World(plan, recording);
  try {
    phases(world);
  } catch (error) {
    if (error instanceof GaveUp) unknown = true;
    else {
      violation = { ...judgeError(error), at: world.queue.now };
      world.trace.line(world.queue.now, `VIOLATION ${violation.id}: ${violation.message}`);
    }
  }
  return {
    seed: plan.seed,
    violation,
    unknown,
    calm: plan.config.calm,
    simUs: world.queue.now,
    faults: world.faultsApplied,
    acknowledged: world.workload.acknowledged,
    operations: world.workload.operations.length,
    elections: world.invariants.elections,
    events: world.trace.events,
    hash: world.trace.digest(),
    sometimes: world.sometimes.counts,
    lines: world.trace.lines,
    history: recording ? historyOf(world, []) : undefined,
  };
}

function judgeError(error: unknown): { id: InvariantId; message: string } {
  if (error instanceof SimViolation) return { id: error.id, message: error.message };
  // Not only AssertionError: a TypeError inside a member is a defect of it just as well.
  if (error instanceof AssertionError)
    return { id: "assertion", message: `${error.message}\n${error.stack ?? ""}` };
  if (error instanceof Error) return { id: "assertion", message: error.stack ?? error.message };
  return { id: "assertion", message: String(error) };
}

export function phases(world: World): void {
  const { config } = world.plan;
  scheduleFaults(world);
  world.run(config.safetyMs * 1000);
  heal(world);
  live(world);
  converge(world);
  judgeHistory(world);
}

/** All faults end. A random minority of the voters goes down, or is cut off, and stays so. */
function heal(world: World): void {
  world.note("heal");
  world.generation++;
  world.operator.cancel();
  world.onSnapshotMoment = undefined;
  world.onLogMoment = undefined;
  endWipe(world);
  world.links.healAll();
  const down = drawMinority(world);
  for (const machine of world.machines) {
    const { settings } = machine.disk;
    settings.slowFactor = 1;
    settings.stallUs = 0;
    settings.failNext = "none";
    settings.full = false;
    if (machine.paused) world.resume(machine.slot);
  }
  const rng = new Rng(world.plan.seed, "minority");
  if (down.length > 0 && rng.int(0, 2) === 0) {
    isolate(world, down);
  } else {
    for (const slot of down) {
      world.heldDown |= 1 << slot;
      world.machineAt(slot).crash("kill");
    }
  }
  for (const machine of world.machines) world.start(machine.slot);
  const cut = maskOf(down);
  const core = world.machines.filter(
    (machine) => isInService(world, machine) && ((cut >> machine.slot) & 1) === 0,
  );
  world.workload.enterPhase(1);
  const voters = votersOf(world);
  world.workload.startProbes(
    core.map((machine) => machine.slot).filter((slot) => ((voters >> slot) & 1) === 1),
  );
}

/** The majority elects a leader, commits, and answers everything. */
function live(world: World): void {
  const { config } = world.plan;
  const timeoutMs = Math.max(
    LIVENESS_TIMEOUTS * config.electionTimeoutMs,
    (config.requestTimeoutMs + 1000) * 1.3,
  );
  const deadline = world.queue.now + Math.floor(timeoutMs + 1_500) * 1000;
  const { workload } = world;
  // A member whose removal was under way when all was healed owes nothing once it is out, nor one that is refused.
  const unserved = (): number => countBits(maskOf([...workload.probing]) & votersOf(world) & ~world.lost);
  const isDone = (): boolean => workload.olderThan(1) === 0 && unserved() === 0;
  if (world.run(deadline, isDone)) return;
  violate("liveness", `${unserved()} members without a write, ${workload.olderThan(1)} requests unanswered`);
}

/** Everybody comes back; all members end with the same state and nothing under way. */
function converge(world: World): void {
  world.note("converge");
  world.heldDown = 0;
  world.links.healAll();
  world.workload.stop();
  for (const machine of world.machines) world.start(machine.slot);
  const { electionTimeoutMs, requestTimeoutMs } = world.plan.config;
  const patienceMs = LIVENESS_TIMEOUTS * electionTimeoutMs + (requestTimeoutMs + 1000) * 1.3 + 6_000;
  const deadline = world.queue.now + Math.floor(patienceMs) * 1000;
  if (!world.run(deadline, () => whatDiffers(world) === undefined)) {
    violate("convergence", whatDiffers(world) ?? "");
  }
  world.watchers.stop();
  // Leases still expire: everybody must be at rest at the same moment.
  const whoLags = (): string | undefined => {
    const { revision } = world.leader()?.process?.member.kv.store ?? { revision: 0 };
    return world.watchers.whoLags(revision) ?? whatDiffers(world);
  };
  const late = world.queue.now + WATCH_PATIENCE_US;
  if (!world.run(late, () => whoLags() === undefined)) violate("convergence", whoLags() ?? "");
}

function whatDiffers(world: World): string | undefined {
  const leader = world.leader();
  const status = leader?.status;
  if (leader === undefined || status === undefined) return "no leader";
  if (world.workload.inFlight > 0) return `${world.workload.inFlight} requests unanswered`;
  if (status.applied !== status.lastIndex) return `leader applied ${status.applied} of ${status.lastIndex}`;
  if (status.applied < world.invariants.committed) return `leader misses ${world.invariants.committed}`;
  const { conf } = status;
  for (const id of [...conf.voters, ...conf.votersOutgoing, ...conf.learners]) {
    const slot = world.slotOf(id);
    if (world.isLost(slot)) continue;
    const machine = world.machineAt(slot);
    if (machine.status === undefined) return `member ${slot} does not run`;
    if (machine.status.applied !== status.applied) return `member ${slot} applied ${machine.status.applied}`;
    if (machine.streams.sending > 0) return `member ${slot} still sends a snapshot`;
    machine.process?.member.checkInvariants();
    if (machine.process?.member.stateHash() !== leader.process?.member.stateHash()) {
      violate("convergence", `member ${slot} has another state at ${status.applied}`);
    }
  }
  return undefined;
}

/** Voters that may go down while the rest still decides, in every configuration that anybody may act on. */
function drawMinority(world: World): number[] {
  const rng = new Rng(world.plan.seed, "victims");
  const down: number[] = [];
  const confs = confsInForce(world);
  const voters = votersOf(world);
  if (confs === undefined) return down;
  const slots = world.machines.map((machine) => machine.slot).filter((slot) => ((voters >> slot) & 1) === 1);
  const most = countBits(voters) >> 1;
  for (let i = 0; i < most; i++) {
    const slot = slots[rng.int(0, slots.length)] ?? 0;
    // One whose log was damaged and not read since may turn out to be lost.
    const gone = maskOf([...down, slot]) | world.lost | world.damaged;
    if (!down.includes(slot) && confs.every((mask) => isMajority(mask & ~gone, mask))) down.push(slot);
  }
  return down;
}

/** Voter sets of all configurations that may be in force; undefined while one is being changed. */
function confsInForce(world: World): number[] | undefined {
  const { invariants } = world;
  let lastConf = 0;
  for (const machine of world.machines) {
    if (isInService(world, machine)) lastConf = Math.max(lastConf, invariants.lastConfIndex(machine.slot));
  }
  const masks: number[] = [];
  for (const machine of world.machines) {
    if (!isInService(world, machine) || !machine.running) continue;
    const conf = invariants.confOf(machine.slot);
    if (conf === undefined || conf.outgoing !== 0) return undefined;
    if ((machine.status?.applied ?? 0) >= lastConf) masks.push(conf.voters);
  }
  return masks.length === 0 ? undefined : masks;
}

/** The voters of the newest configuration that anybody has applied. */
function votersOf(world: World): number {
  let newest = 0;
  let voters = 0;
  for (const machine of world.machines) {
    const conf = world.invariants.confOf(machine.slot);
    const applied = machine.status?.applied ?? 0;
    if (conf === undefined || !isInService(world, machine) || applied < newest) continue;
    newest = applied;
    voters = conf.voters;
  }
  return voters;
}

function isInService(world: World, machine: Machine): boolean {
  return ((world.lost | world.retired) & (1 << machine.slot)) === 0;
}

function maskOf(slots: readonly number[]): number {
  let mask = 0;
  for (const slot of slots) mask |= 1 << slot;
  return mask;
}
