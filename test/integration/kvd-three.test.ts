// Goal: three processes of kvd are one store: what one acknowledged all have, the loss of one costs nothing, one that
// lost its data never comes back as if nothing had happened. Method: real processes that talk over TCP, one of them
// killed, stopped or robbed of its data, asked by npm's etcd3.
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { freePort, type Kvd, KvdPool } from "./kvd-process.ts";
import { until } from "./serving.ts";

const NAMES = ["m1", "m2", "m3"];

let pool: KvdPool;
let members: Kvd[] = [];
let peerUrls: string[] = [];

beforeAll(async () => {
  pool = await KvdPool.build("kvd-three");
  peerUrls = (await Promise.all(NAMES.map(freePort))).map((port) => `http://127.0.0.1:${port}`);
  members = NAMES.map((_, slot) => start(slot));
  for (const member of members) await member.address();
});
afterAll(() => pool.close());

function start(slot: number): Kvd {
  const name = NAMES[slot] ?? "";
  return pool.start([
    ...["--name", name, "--data-dir", join(pool.folder, name)],
    ...["--listen-client-urls", "http://127.0.0.1:0", "--listen-peer-urls", peerUrls[slot] ?? ""],
    ...["--initial-cluster", NAMES.map((other, i) => `${other}=${peerUrls[i]}`).join(",")],
    ...[
      "--heartbeat-interval=50",
      "--election-timeout=500",
      "--wal-segment-bytes=1048576",
      "--snapshot-count=100",
    ],
  ]);
}

async function restart(slot: number): Promise<Kvd> {
  const member = start(slot);
  members[slot] = member;
  await member.address();
  return member;
}

function memberAt(slot: number): Kvd {
  const member = members[slot];
  if (member === undefined) throw new Error(`no member ${slot}`);
  return member;
}

/** Which of those that run leads. */
async function leaderSlot(): Promise<number> {
  for (const [slot, member] of members.entries()) {
    if (member.exit !== undefined) continue;
    const { header, leader } = await (await member.client()).maintenance.status();
    if (leader === header.member_id) return slot;
  }
  throw new Error("nobody leads");
}

/** What a member has by itself. */
async function own(slot: number, key: string): Promise<string | null> {
  const client = await memberAt(slot).client();
  return client.get(key).serializable(true).string();
}

it("what one acknowledged is read at all of them", async () => {
  for (const [slot, name] of NAMES.entries()) await (await memberAt(slot).client()).put(name).value(name);
  for (const slot of NAMES.keys()) {
    expect(await (await memberAt(slot).client()).getAll().prefix("m").strings()).toEqual({
      m1: "m1",
      m2: "m2",
      m3: "m3",
    });
  }
});

it("a watch at a follower hears what is written at the leader", async () => {
  const leader = await leaderSlot();
  const watcher = await (await memberAt((leader + 1) % 3).client()).watch().key("told").create();
  const told = new Promise((resolve) => watcher.once("put", (kv) => resolve(String(kv.value))));
  await (await memberAt(leader).client()).put("told").value("yes");
  expect(await told).toBe("yes");
  await watcher.cancel();
});

it("a leader that is killed is replaced, and catches up when it comes back", async () => {
  const gone = await leaderSlot();
  await memberAt(gone).end("SIGKILL");
  const other = await memberAt((gone + 1) % 3).client();
  const { leader: dead } = await other.maintenance.status();
  await eventually(async () => {
    const { leader } = await other.maintenance.status();
    expect(["0", dead]).not.toContain(leader);
  });
  await other.put("after").value("kill");
  await restart(gone);
  await eventually(async () => expect(await own(gone, "after")).toBe("kill"));
});

it("a leader that is stopped hands over and loses nothing", async () => {
  const gone = await leaderSlot();
  const client = await memberAt(gone).client();
  for (let i = 0; i < 20; i++) await client.put(`n${i}`).value(String(i));
  expect(await memberAt(gone).end("SIGTERM")).toEqual({ code: 0, signal: null });
  const other = await memberAt((gone + 1) % 3).client();
  await eventually(async () => expect(await other.getAll().prefix("n").count()).toBe(20));
  await restart(gone);
});

it("a member that was away for longer than the log reaches back gets a snapshot", async () => {
  const away = ((await leaderSlot()) + 1) % 3;
  await memberAt(away).end("SIGTERM");
  const client = await memberAt((away + 1) % 3).client();
  for (let i = 0; i < 500; i++) await client.put("counted").value(String(i));
  const back = await restart(away);
  await eventually(async () => expect(await own(away, "counted")).toBe("499"));
  // The old state goes when the new one is in use.
  const folder = join(pool.folder, NAMES[away] ?? "", "member", "state");
  await eventually(async () => expect(readdirSync(folder)).not.toContain("state-0"));
  // It counts as one of the others again.
  await (await back.client()).put("back").value("yes");
});

it("a member that lost its data is refused by the others, who go on", async () => {
  const robbed = (await leaderSlot()) === 0 ? 1 : 0;
  await memberAt(robbed).end("SIGTERM");
  rmSync(join(pool.folder, NAMES[robbed] ?? ""), { recursive: true });
  const again = start(robbed);
  await until(() => again.log.includes("it lost its data"), "the refusal is in its log");
  expect(again.log).not.toContain("ready to serve client requests");
  const other = await memberAt((robbed + 1) % 3).client();
  await other.put("still").value("here");
  expect(await other.get("still").string()).toBe("here");
});

/** Repeats an expectation that becomes true in time. */
async function eventually(run: () => Promise<void>): Promise<void> {
  const end = performance.now() + 20_000;
  for (;;) {
    try {
      await run();
      return;
    } catch (error) {
      if (performance.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
