// Goal: a driver serves, keeps what it acknowledged, and ends in order. Method: real drivers over the simulator's
// ports; time moves only when the world's events are handled.
import { describe, expect, it } from "vitest";
import { bytesOf, ERR, textOf } from "../../../src/base/index.ts";
import type { Request } from "../../../src/member/index.ts";
import { decodeEvent } from "../../../src/pb/index.ts";
import { ask, driverOf, putRequest, settled, startWorld, until } from "../../support/driver-world.ts";
import { rangeOf, watchFrom } from "../../support/plain-requests.ts";

function get(key: string): Request {
  return { type: "read", read: rangeOf(bytesOf(key)) };
}

describe("one member", () => {
  it("answers puts and reads, and tells its facts", async () => {
    const world = await startWorld({ members: 1 });
    expect(await ask(world, 0, putRequest("a", "1"))).toMatchObject({ type: "done", revision: 2 });
    expect(await ask(world, 0, get("a"))).toMatchObject({
      type: "done",
      response: { kvs: [{ value: bytesOf("1"), modRevision: 2 }] },
    });
    const driver = driverOf(world, 0);
    expect(driver.status()).toMatchObject({ role: "leader", leader: driver.member });
    expect(driver.store()).toMatchObject({ revision: 2, compactRevision: 0, alarms: [] });
    expect(driver.store().usedBytes).toBeGreaterThan(0);
  });

  it("has everything that it acknowledged after a power cut, at any moment", async () => {
    const world = await startWorld({ members: 1, member: { snapshotEntries: 10, catchUpEntries: 2 } });
    for (let i = 0; i < 40; i++) {
      await ask(world, 0, putRequest("a", String(i)));
      if (i % 8 === 3) {
        world.machines[0]?.crashAndRestart("power", 1_000);
        await until(world, () => world.machines[0]?.driver?.status().role === "leader");
      }
      expect(await ask(world, 0, get("a"))).toMatchObject({
        response: { kvs: [{ value: bytesOf(String(i)) }] },
      });
    }
  });

  it("tells watchers, who may ask for more from inside the call", async () => {
    const world = await startWorld({ members: 1 });
    const driver = driverOf(world, 0);
    const seen: string[] = [];
    const door = driver.openWatch(() => {
      for (let output = door.take(); output !== undefined; output = door.take()) {
        if (output.created) void driver.request(putRequest("a", "in"));
        for (const event of output.events) {
          const decoded = decodeEvent(event.subarray(2));
          if (decoded.type === "ok") seen.push(textOf(decoded.value.kv.value));
        }
      }
    });
    expect(door.create(watchFrom(bytesOf("a")))).toBe(0);
    await until(world, () => seen.length === 1);
    await ask(world, 0, putRequest("a", "out"));
    await until(world, () => seen.length === 2);
    expect(seen).toEqual(["in", "out"]);
    door.close();
    expect(door.watchers).toBe(0);
  });

  it("drops the answer that nobody waits for", async () => {
    const world = await startWorld({ members: 1 });
    const stopper = new AbortController();
    const answer = driverOf(world, 0).request(putRequest("a", "1"), stopper.signal);
    stopper.abort();
    expect(await answer).toMatchObject({ type: "unknown" });
    // What was proposed takes effect all the same.
    await until(world, () => driverOf(world, 0).store().revision === 2);
    expect(await driverOf(world, 0).request(get("a"), stopper.signal)).toMatchObject({ type: "unknown" });
  });
});

describe("the end", () => {
  it("comes in order: nobody hangs, everything is closed, and only once", async () => {
    const world = await startWorld({ members: 1 });
    const machine = world.machines[0];
    const driver = driverOf(world, 0);
    const answer = driver.request(putRequest("a", "1"));
    machine?.stop();
    expect(driver.stop()).toBe(driver.stop());
    // The machine judges that lock, log, states and transport are closed.
    await settled(world, driver.stop());
    expect(await answer).toMatchObject({ type: "done" });
    expect(await driver.request(get("a"))).toMatchObject({ type: "refused", error: ERR.stopped });
    expect(driver.openWatch(() => undefined).create(watchFrom(bytesOf("a")))).toBe(-1);
  });

  it("comes at once when the log fails, and what may have happened is unknown", async () => {
    const world = await startWorld({ members: 1 });
    const machine = world.machines[0];
    const driver = driverOf(world, 0);
    if (machine !== undefined) machine.disk.settings.failNext = "sync";
    const write = driver.request(putRequest("a", "1"));
    const read = driver.request(get("a"));
    expect(await settled(world, write)).toMatchObject({
      type: "unknown",
      reason: expect.stringContaining("EIO"),
    });
    expect(await read).toMatchObject({ type: "refused", error: ERR.stopped });
    expect(await driver.request(get("a"))).toMatchObject({ type: "refused", error: ERR.stopped });
    await settled(world, driver.stop());
    await until(world, () => machine?.driver?.status().role === "leader");
  });
});

describe("three members", () => {
  it("agree, and go on when the leader stops in order", async () => {
    const world = await startWorld({ members: 3 });
    const leader = world.machines.findIndex((m) => m.driver?.status().role === "leader");
    expect(await ask(world, (leader + 1) % 3, putRequest("a", "1"))).toMatchObject({ type: "done" });
    world.machines[leader]?.stop();
    await settled(world, driverOf(world, leader).stop());
    const rest = [(leader + 1) % 3, (leader + 2) % 3];
    await until(world, () => rest.some((slot) => driverOf(world, slot).status().role === "leader"));
    expect(await ask(world, rest[0] ?? 0, get("a"))).toMatchObject({
      response: { kvs: [{ value: bytesOf("1") }] },
    });
  });

  it("catch up by snapshot", async () => {
    const world = await startWorld({ members: 3, member: { snapshotEntries: 10, catchUpEntries: 2 } });
    const leader = world.machines.findIndex((m) => m.driver?.status().role === "leader");
    const away = world.machines[(leader + 1) % 3];
    if (away === undefined) throw new Error("no such member");
    away.crash("power");
    for (let i = 0; i < 60; i++) await ask(world, leader, putRequest(`k${i}`, String(i)));
    await until(world, () => (driverOf(world, leader).status().firstIndex ?? 0) > 20);
    away.start();
    await until(world, () => away.driver?.store().revision === 61);
    const installed = away.states.memory.indexes.at(-1);
    expect(installed).toBeGreaterThan(20);
    expect(await ask(world, away.slot, get("k7"))).toMatchObject({
      response: { kvs: [{ value: bytesOf("7") }] },
    });
    // The state of before is removed once nobody needs it.
    await until(world, () => away.states.memory.indexes.length === 1);
    expect(away.states.memory.indexes).toEqual([installed]);
  });
});

describe("what only the leader does", () => {
  /** Three members, and the slots of the leader and of another one. */
  async function three() {
    const world = await startWorld({ members: 3 });
    const leader = world.slotOf(driverOf(world, 0).status().leader);
    return { world, leader, follower: (leader + 1) % 3 };
  }
  const grant: Request = { type: "write", write: { type: "leaseGrant", id: 7n, ttl: 60 } };
  const addMember: Request = {
    type: "changeMembers",
    change: {
      joint: false,
      steps: [{ type: "addLearner", id: 99n, peerUrls: ["http://new:1"] }],
      leaseMs: undefined,
    },
  };

  it("is asked of it by any other", async () => {
    const { world, follower } = await three();
    await ask(world, follower, grant);
    const kept = await ask(world, follower, { type: "leaseKeepAlive", lease: 7n });
    expect(kept).toMatchObject({ type: "leaseKept", ttl: 60 });
    const told = await ask(world, follower, { type: "leaseTimeToLive", lease: 7n, keys: true });
    expect(told).toMatchObject({ type: "leaseTtl", grantedTtl: 60, keys: [] });
    expect(await ask(world, follower, addMember)).toMatchObject({ type: "changed" });
    await until(world, () => driverOf(world, follower).members().length === 4);
    expect(await ask(world, follower, addMember)).toMatchObject({ type: "refused", error: ERR.memberExists });
  });

  it("is not handing over: that stays with it, as in etcd", async () => {
    const { world, follower } = await three();
    const answer = await ask(world, follower, { type: "transferLeader", to: 0n });
    expect(answer).toMatchObject({ type: "refused", error: ERR.notLeader });
  });

  it("has an unknown outcome when the way is lost, if it was a change, and none if it was a question", async () => {
    const { world, leader, follower } = await three();
    await ask(world, follower, grant);
    const driver = driverOf(world, follower);
    const change = driver.request(addMember);
    const question = driver.request({ type: "leaseKeepAlive", lease: 7n });
    world.network.cut(leader, follower);
    world.network.cut(follower, leader);
    expect(await settled(world, change)).toMatchObject({ type: "unknown" });
    expect(await settled(world, question)).toMatchObject({ type: "refused" });
  });
});
