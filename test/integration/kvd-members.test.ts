// Goal: a cluster grows and shrinks while it serves, as operators of etcd do it. Method: real processes of kvd and a
// stock etcdctl, which asks a member that does not lead.
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort, type Kvd, KvdPool } from "./kvd-process.ts";
import { etcdctl, isInstalled, type Ran, until } from "./serving.ts";

const hasEtcdctl = isInstalled("etcdctl");
const NAMES = ["m1", "m2", "m3"];

let pool: KvdPool;
let urls: string[] = [];
let addresses: string[] = [];

beforeAll(async () => {
  pool = await KvdPool.build("kvd-members");
  // Two more, for who joins and for who moves.
  urls = (await Promise.all([1, 2, 3, 4, 5].map(freePort))).map((port) => `http://127.0.0.1:${port}`);
  const members = NAMES.map((name, slot) => start(name, slot, "new"));
  addresses = await Promise.all(members.map((member) => member.address()));
});
afterAll(() => pool.close());

function start(name: string, slot: number, state: "new" | "existing"): Kvd {
  const founders = NAMES.map((other, i) => `${other}=${urls[i]}`);
  const all = state === "new" ? founders : [...founders, `${name}=${urls[slot]}`];
  return pool.start([
    ...["--name", name, "--data-dir", join(pool.folder, name), "--initial-cluster-state", state],
    ...["--listen-client-urls", "http://127.0.0.1:0", "--listen-peer-urls", urls[slot] ?? ""],
    ...["--advertise-client-urls", `http://${name}:2379`, "--initial-cluster", all.join(",")],
    ...["--heartbeat-interval=50", "--election-timeout=500", "--wal-segment-bytes=1048576"],
  ]);
}

/** Runs etcdctl at one member. */
const at = (slot: number, ...args: string[]): Promise<Ran> => etcdctl([addresses[slot] ?? ""], args);

async function printed(slot: number, ...args: string[]): Promise<string> {
  const { code, out, err } = await at(slot, ...args);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  return out.trimEnd();
}

/** Lines of the member list without IDs. */
async function listed(slot: number): Promise<readonly string[]> {
  const list = await printed(slot, "member", "list");
  return list
    .split("\n")
    .map((line) => line.split(", ").slice(1).join(", "))
    .sort();
}

async function follower(): Promise<number> {
  for (const slot of NAMES.keys()) {
    const [{ Status }] = JSON.parse(await printed(slot, "endpoint", "status", "-w", "json"));
    if (Status.leader !== Status.header.member_id) return slot;
  }
  throw new Error("all of them lead");
}

async function eventually(holds: () => Promise<boolean>, what: string): Promise<void> {
  let isTrue = false;
  for (let tries = 0; tries < 200 && !isTrue; tries++) {
    isTrue = await holds();
    if (!isTrue) await new Promise((resolve) => setTimeout(resolve, 50));
  }
  expect(isTrue, what).toBe(true);
}

describe.skipIf(!hasEtcdctl)("members", () => {
  it("are listed by each with names and URLs of all", async () => {
    const expected = NAMES.map((name, i) => `started, ${name}, ${urls[i]}, http://${name}:2379, false`);
    for (const slot of NAMES.keys()) {
      await eventually(async () => (await listed(slot)).join() === expected.join(), `list of ${slot}`);
    }
  });

  it("a lease is kept alive at a follower", async () => {
    const slot = await follower();
    const [, id = ""] = /lease ([0-9a-f]+) granted/.exec(await printed(slot, "lease", "grant", "60")) ?? [];
    expect(await printed(slot, "lease", "keep-alive", "--once", id)).toBe(
      `lease ${id} keepalived with TTL(60)`,
    );
    expect(await printed(slot, "lease", "timetolive", id)).toContain(`lease ${id} granted with TTL(60s)`);
  });

  it("one is added at a follower as a learner, joins, is promoted, moved and removed", async () => {
    const slot = await follower();
    await printed(slot, "put", "before", "it came");
    const url = urls[3] ?? "";
    const early = start("m4", 3, "existing");
    await until(() => early.exit !== undefined, "it is refused");
    expect(early.log).toContain(`no member was added with ${url}`);
    const added = await printed(slot, "member", "add", "m4", "--learner", `--peer-urls=${url}`);
    const [, id = ""] = /Member ([0-9a-f]+) added/.exec(added) ?? [];
    expect(await listed(slot)).toContain(`unstarted, , ${url}, , true`);
    expect((await at(slot, "member", "add", "m5", `--peer-urls=${url}`)).err).toContain(
      "Peer URLs already exists",
    );
    const joined = start("m4", 3, "existing");
    addresses[3] = await joined.address();
    await eventually(
      async () => (await listed(slot)).includes(`started, m4, ${url}, http://m4:2379, true`),
      "it is started",
    );
    await eventually(async () => (await at(slot, "member", "promote", id)).code === 0, "it is promoted");
    expect(await printed(3, "get", "before", "--print-value-only")).toBe("it came");
    await printed(slot, "member", "update", id, `--peer-urls=${urls[4]}`);
    expect(await listed(slot)).toContain(`started, m4, ${urls[4]}, http://m4:2379, false`);
    await printed(slot, "member", "remove", id);
    expect(await listed(slot)).toHaveLength(3);
    expect((await at(slot, "member", "remove", id)).err).toContain("member not found");
  });
});
