/**
 * One run: faults, then everything healed and every member serving, then rest, where all members are equal and every
 * watcher was told; then all stop in order. At the end the history is checked.
 */
import { checkKvHistory } from "../check/index.ts";
import type { KvHistory } from "../check/kv-history.ts";
import { dumpOf } from "../sim/judge-history.ts";
import { type SimViolation, violate, violationOf } from "../sim/violation.ts";
import { Clients } from "./clients.ts";
import { Faults } from "./faults.ts";
import { WatchClients } from "./watchers.ts";
import { World } from "./world.ts";

/** Within so much world time after the faults every member has served a request. */
const LIVENESS_US = 12_000_000;
/** ... everybody is equal ... */
const CONVERGENCE_US = 10_000_000;
/** ... and every watcher has been told. */
const WATCH_PATIENCE_US = 5_000_000;
const STOP_US = 5_000_000;
/** Time between two looks at something that takes long. */
const LOOK_US = 50_000;

export interface DriverRun {
  readonly seed: number;
  readonly violation: SimViolation | undefined;
  readonly hash: string;
  readonly events: number;
  readonly simUs: number;
  readonly faults: number;
  readonly operations: number;
  readonly acknowledged: number;
  readonly revisions: number;
  /** Promises in messages that were compared with the disk. */
  readonly judged: number;
  /** What happened how often: for reports on whether a run is worth something. */
  readonly counts: ReadonlyMap<string, number>;
  readonly lines: readonly string[];
}

/** Runs a seed. @param recording keep a timeline */
export async function runDriver(seed: number, recording: boolean): Promise<DriverRun> {
  const world = new World(seed, recording);
  const clients = new Clients(world);
  const watchers = new WatchClients(world, clients);
  const faults = new Faults(world);
  let violation: SimViolation | undefined;
  // A promise that nobody waits for and that fails is a defect by itself.
  const floating = (error: unknown): void => world.report(violationOf(error));
  process.on("unhandledRejection", floating);
  try {
    await phases(world, { clients, watchers, faults });
  } catch (error) {
    violation = violationOf(error);
    world.trace.line(world.queue.now, `VIOLATION ${violation.id}: ${violation.message}`);
  } finally {
    process.off("unhandledRejection", floating);
  }
  return {
    seed,
    violation,
    hash: world.trace.digest(),
    events: world.events,
    simUs: world.queue.now,
    faults: faults.count,
    operations: clients.operations.length,
    acknowledged: clients.acknowledged,
    revisions: clients.revision,
    judged: world.durability.judged,
    counts: new Map([...faults.kinds, ...world.counts]),
    lines: world.trace.lines,
  };
}

interface Parts {
  readonly clients: Clients;
  readonly watchers: WatchClients;
  readonly faults: Faults;
}

async function phases(world: World, parts: Parts): Promise<void> {
  const { clients, watchers, faults } = parts;
  world.onEnded = (machine) => {
    clients.ended(machine);
    watchers.ended(machine);
  };
  world.onClosed = (machine) => clients.closed(machine);
  world.onEvent = (machine, label) => faults.passed(machine, label);
  for (const machine of world.machines) machine.start();
  await world.run(world.settings.safetyUs);
  faults.end();
  clients.served.clear();
  const members = world.machines.length;
  if (!(await world.run(world.queue.now + LIVENESS_US, () => clients.served.size === members))) {
    const idle = world.machines.filter(({ slot }) => !clients.served.has(slot)).map(({ slot }) => slot);
    violate("liveness", `members ${idle.join(", ")} served nobody after all was healed`);
  }
  clients.stop();
  await settleTo(world, CONVERGENCE_US, () => whatDiffers(world, clients));
  watchers.stop();
  await settleTo(world, WATCH_PATIENCE_US, () => {
    return watchers.whoLags(clientsRevision(world)) ?? whatDiffers(world, clients);
  });
  judge(world, parts);
  await stopAll(world);
}

/** Looks again and again until nothing is told to be missing. */
async function settleTo(world: World, patienceUs: number, missing: () => string | undefined): Promise<void> {
  const deadline = world.queue.now + patienceUs;
  while (missing() !== undefined) {
    if (world.queue.now >= deadline) violate("convergence", missing() ?? "");
    await world.run(world.queue.now + LOOK_US);
  }
}

function whatDiffers(world: World, clients: Clients): string | undefined {
  if (clients.inFlight > 0) return `${clients.inFlight} requests are not answered`;
  let applied = -1;
  for (const { slot, driver, states } of world.machines) {
    if (driver === undefined) return `member ${slot} does not run`;
    const status = driver.status();
    if (status.leader === 0n) return `member ${slot} knows no leader`;
    if (status.applied !== status.lastIndex)
      return `member ${slot} applied ${status.applied} of ${status.lastIndex}`;
    if (applied >= 0 && status.applied !== applied)
      return `member ${slot} applied ${status.applied}, not ${applied}`;
    applied = status.applied;
    if (states.index !== applied) return `member ${slot} applied ${applied}, its state is at ${states.index}`;
    if (states.memory.indexes.length > 1)
      return `member ${slot} has the states ${states.memory.indexes.join(", ")}`;
    driver.machine.checkInvariants();
  }
  if (world.network.streaming > 0) return "a snapshot is still being sent";
  return undefined;
}

function clientsRevision(world: World): number {
  return Math.max(...world.machines.map(({ driver }) => driver?.store().revision ?? 0));
}

function judge(world: World, { clients, watchers }: Parts): void {
  const dumps = world.machines.flatMap(({ slot, driver }) =>
    driver === undefined ? [] : [dumpOf(`m${slot}`, driver.machine.kv)],
  );
  const history: KvHistory = {
    title: `driver seed ${world.seed}`,
    ...clients.history(),
    watches: watchers.history(),
    dumps,
    log: world.log.records(Math.max(...world.machines.map(({ driver }) => driver?.status().applied ?? 0))),
    faults: [],
    leaders: [],
    end: world.queue.now,
  };
  const verdict = checkKvHistory(history);
  if (verdict.type === "ok") return;
  const first = verdict.findings[0];
  violate("history", `${first?.rule ?? ""}: ${first?.message ?? ""}`);
}

/** Everybody ends in order, the last ones without anybody to hand over to. */
async function stopAll(world: World): Promise<void> {
  const lives = world.machines.map(({ life }) => life);
  for (const machine of world.machines) {
    machine.isHeldDown = true;
    machine.stop();
  }
  const areOver = (): boolean => lives.every((life) => life === undefined || life.isOver);
  if (await world.run(world.queue.now + STOP_US, areOver)) return;
  violate(
    "left-open",
    `members ${lives.map((life) => (life?.isOver === false ? life.slot : "")).join(" ")} do not stop`,
  );
}
