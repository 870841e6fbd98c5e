/**
 * Faults that wait for a moment instead of a time. Everything that a deposed leader can do wrong it does between the
 * election of the next one and the hour at which it hears of it, and few faults by chance end in just that moment.
 */
import { end, inService } from "./faults.ts";
import type { Machine } from "./machine.ts";
import { MAX_SLOTS } from "./members.ts";
import type { Fault } from "./plan.ts";
import type { World } from "./world.ts";

/** How often the world is looked at, microseconds. */
const POLL_US = 10_000;
/** A moment that has not come after this long does not count. */
const PATIENCE_US = 3_000_000;

/** How a leader is taken away: it stands still, or the network does not carry what it hears, says, or both. */
type Way = "still" | "cut" | "deaf" | "mute";
/** Standing still is the most dangerous: it wakes up as it fell asleep, with its lease and its readers. */
const WAYS: readonly Way[] = ["still", "still", "still", "cut", "cut", "deaf", "mute", "mute"];

/** What the fault's bits ask for besides the time that it lasts. */
interface Wish {
  readonly how: Way;
  /** The usurper loses its power when the old leader is back. */
  readonly crashUsurper: boolean;
  /** All others lose their power at once and come back in no time, their promises forgotten. */
  readonly crashOthers: boolean;
  /** The leader has begun to hand over when it is cut off. */
  readonly transfer: boolean;
}

/**
 * The leader is taken away until another member leads; a moment later it is back, with all that was said to it
 * meanwhile. False: nobody leads.
 */
export function usurp(world: World, fault: Fault): boolean {
  const machine = world.leader();
  if (machine === undefined || world.isLost(machine.slot)) return false;
  takeOver(world, fault, machine);
  return true;
}

/** As `usurp`, at the moment when the cluster's configuration is joint. */
export function usurpWhileJoint(world: World, fault: Fault): boolean {
  const leader = world.leader();
  const conf = leader?.status?.conf;
  if (leader === undefined || conf === undefined || conf.voters.length < 3) return false;
  const out = conf.voters[fault.bits % conf.voters.length];
  if (out === undefined) return false;
  const enqueued = world.operator.enqueue({
    type: "joint",
    out: world.slotOf(out),
    demote: (fault.bits & 0x200) !== 0,
  });
  if (!enqueued) return false;
  const deadline = world.queue.now + PATIENCE_US;
  poll(world, () => {
    const now = world.leader();
    const isJoint = (now?.status?.conf.votersOutgoing.length ?? 0) > 0;
    if (now !== undefined && isJoint && !world.isLost(now.slot)) {
      takeOver(world, fault, now);
      return true;
    }
    return world.queue.now >= deadline;
  });
  return true;
}

function takeOver(world: World, fault: Fault, machine: Machine): void {
  const { bits } = fault;
  const term = machine.status?.term ?? 0;
  const { slot } = machine;
  const transfer = (bits & 0xc0) === 0xc0;
  const wish: Wish = {
    // A leader that hands over must be able to say so, and must not hear what comes of it.
    how: transfer ? "deaf" : (WAYS[bits & 7] ?? "still"),
    crashUsurper: (bits & 8) !== 0,
    crashOthers: (bits & 0x30) === 0x30,
    transfer,
  };
  if (wish.transfer) world.operator.transfer(0n);
  const release = takeAway(world, slot, wish.how);
  if (wish.crashOthers) crashOthers(world, slot);
  const deadline = world.queue.now + fault.forUs;
  poll(world, () => {
    const other = world.leader();
    const isUsurped = other !== undefined && other.slot !== slot && (other.status?.term ?? 0) > term;
    if (!isUsurped && world.queue.now < deadline) return false;
    end(world, (bits >>> 8) % 60_000, () => {
      if (isUsurped && wish.crashUsurper) {
        other.crash("power");
        world.startAfter(other.slot, 200_000 + ((bits >>> 8) % 3_000_000));
      }
      release();
    });
    return true;
  });
}

function crashOthers(world: World, slot: number): void {
  for (const other of inService(world)) {
    if (other.slot === slot || other.boot === 0) continue;
    other.crash("power");
    world.startAfter(other.slot, 1_000 + other.slot * 1_000);
  }
}

/** Pauses a machine, or cuts it off from all others. Returns how to undo it. */
function takeAway(world: World, slot: number, how: Way): () => void {
  const machine = world.machineAt(slot);
  if (how === "still") {
    machine.paused = true;
    return () => world.resume(slot);
  }
  const pairs: number[] = [];
  for (let other = 0; other < MAX_SLOTS; other++) {
    if (other === slot) continue;
    if (how !== "mute") pairs.push(other * MAX_SLOTS + slot);
    if (how !== "deaf") pairs.push(slot * MAX_SLOTS + other);
  }
  world.links.cut(pairs);
  return () => world.links.heal(pairs);
}

/** Looks again and again until it is told that it is over, or everything is healed. */
function poll(world: World, look: () => boolean): void {
  const { generation } = world;
  const again = (): void => {
    if (world.generation !== generation || look()) return;
    world.queue.call(world.queue.now + POLL_US, { slot: -1, boot: -1, label: "poll" }, again);
  };
  again();
}
