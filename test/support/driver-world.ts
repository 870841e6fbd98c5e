/** A cluster of real drivers over in-memory ports and a clock of its own, for tests; the pieces are the simulator's. */
import { drawSettings, type WorldSettings } from "../../chaos/driver/settings.ts";
import { rest, World } from "../../chaos/driver/world.ts";
import { bytesOf } from "../../src/base/index.ts";
import type { Answer, Request } from "../../src/member/index.ts";
import type { Driver } from "../../src/server/index.ts";

/** Longest time that anything may take, microseconds of the world. */
const PATIENCE_US = 20_000_000;

const PLAIN: Partial<WorldSettings> = {
  leaseMs: 0,
  segmentBytes: 16 * 1024,
  syncMeanUs: 500,
  delayMeanUs: 300,
  member: { electionTimeoutMs: 200, heartbeatMs: 20, requestTimeoutMs: 2_000 },
};

/** A world without faults, whose members run. */
export async function startWorld(settings: Partial<WorldSettings>): Promise<World> {
  const member = { ...PLAIN.member, ...settings.member };
  const world = new World(1, false, { ...drawSettings(1), ...PLAIN, ...settings, member });
  for (const machine of world.machines) machine.start();
  await until(world, () =>
    world.machines.every((m) => m.driver !== undefined && m.driver.status().leader !== 0n),
  );
  return world;
}

/** Lets the world go on until the condition holds. @throws Error when it does not in time */
export async function until(world: World, holds: () => boolean): Promise<void> {
  if (holds()) return;
  if (!(await world.run(world.queue.now + PATIENCE_US, holds))) throw new Error("it never came to that");
}

export function driverOf(world: World, slot: number): Driver {
  const driver = world.machines[slot]?.driver;
  if (driver === undefined) throw new Error(`member ${slot} does not run`);
  return driver;
}

/** Asks and lets the world go on until the answer is there. */
export async function ask(world: World, slot: number, request: Request): Promise<Answer> {
  return settled(world, driverOf(world, slot).request(request));
}

/** Lets the world go on until the promise has settled. */
export async function settled<T>(world: World, promise: Promise<T>): Promise<T> {
  let isSettled = false;
  const note = (): void => {
    isSettled = true;
  };
  promise.then(note, note);
  await rest();
  await until(world, () => isSettled);
  return promise;
}

export function putRequest(key: string, value: string): Request {
  return {
    type: "write",
    write: {
      type: "put",
      key: bytesOf(key),
      value: bytesOf(value),
      lease: 0n,
      prevKv: false,
      ignoreValue: false,
      ignoreLease: false,
    },
  };
}
