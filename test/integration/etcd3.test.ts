// Goal: npm's etcd3 client works with us as with etcd. Method: the real client against servers in this process.
import { Etcd3, EtcdLockFailedError } from "etcd3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Serving, serve, until } from "./serving.ts";

describe.each([
  ["one member", [1n]],
  ["three members", [1n, 2n, 3n]],
])("etcd3 with %s", (_name, ids) => {
  let serving: Serving;
  let client: Etcd3;
  beforeAll(async () => {
    serving = await serve(ids);
    client = new Etcd3({ hosts: [...serving.endpoints] });
  });
  afterAll(async () => {
    client.close();
    await serving.stop();
    expect(serving.bugs).toEqual([]);
  });

  it("puts, gets and deletes", async () => {
    await client.put("a/1").value("one");
    await client.put("a/2").value("two");
    expect(await client.get("a/1").string()).toBe("one");
    expect(await client.get("none").string()).toBeNull();
    expect(await client.getAll().prefix("a/").strings()).toEqual({ "a/1": "one", "a/2": "two" });
    expect(await client.getAll().prefix("a/").sort("Key", "Descend").limit(1).keys()).toEqual(["a/2"]);
    expect(await client.getAll().prefix("a/").count()).toBe(2);
    const { deleted } = await client.delete().prefix("a/");
    expect(deleted).toBe("2");
  });

  it("compares and swaps", async () => {
    await client.put("c").value("1");
    const swap = (from: string, to: string) =>
      client.if("c", "Value", "==", from).then(client.put("c").value(to)).else(client.get("c")).commit();
    expect((await swap("1", "2")).succeeded).toBe(true);
    expect((await swap("1", "3")).succeeded).toBe(false);
    expect(await client.get("c").string()).toBe("2");
    await client.stm().transact(async (tx) => {
      const value = await tx.get("c").string();
      await tx.put("c").value(`${value}${value}`);
    });
    expect(await client.get("c").string()).toBe("22");
  });

  it("watches", async () => {
    const watcher = await client.watch().prefix("w/").create();
    const told: string[] = [];
    watcher.on("put", (kv) => told.push(`put ${kv.key} ${kv.value}`));
    watcher.on("delete", (kv) => told.push(`delete ${kv.key}`));
    await client.put("w/1").value("x");
    await client.put("other").value("x");
    await client.delete().key("w/1");
    await until(() => told.length === 2, "two events");
    expect(told).toEqual(["put w/1 x", "delete w/1"]);
    const { revision } = (await client.put("w/1").value("y")).header;
    const past = await client.watch().prefix("w/").startRevision(revision).create();
    const values: string[] = [];
    past.on("put", (kv) => values.push(String(kv.value)));
    await until(() => values.length === 1, "the past");
    await past.cancel();
    await watcher.cancel();
  });

  it("says what was compacted", async () => {
    await client.put("x").value("1");
    const { revision } = (await client.put("x").value("2")).header;
    await client.kv.compact({ revision });
    await expect(client.get("x").revision(2)).rejects.toThrow("required revision has been compacted");
  });

  it("keeps leases alive until they are revoked", async () => {
    const lease = client.lease(5);
    await lease.put("l").value("held");
    const id = await lease.grant();
    await lease.keepaliveOnce();
    const { TTL, keys } = await client.leaseClient.leaseTimeToLive({ ID: id, keys: true });
    expect(Number(TTL)).toBeGreaterThan(2);
    expect(keys.map(String)).toEqual(["l"]);
    await lease.revoke();
    expect(await client.get("l").string()).toBeNull();
  });

  it("locks out another", async () => {
    const first = await client.lock("mutex").ttl(10).acquire();
    await expect(client.lock("mutex").ttl(10).acquire()).rejects.toThrow(EtcdLockFailedError);
    await first.release();
    await (await client.lock("mutex").ttl(10).acquire()).release();
  });

  it("elects a leader", async () => {
    const election = client.election("e", 10);
    const campaign = election.campaign("me");
    await new Promise<void>((resolve) => campaign.on("elected", resolve));
    expect(await election.leader()).toBe("me");
    await campaign.resign();
  });

  it("asks for members, status and hash", async () => {
    const { members } = await client.cluster.memberList({});
    expect(members.map(({ name }) => name)).toEqual(ids.map((id) => `m${id}`));
    const status = await client.maintenance.status();
    expect(Number(status.dbSize)).toBeGreaterThan(0);
    expect(status.leader).toBe(String(serving.facades.leader));
  });
});
