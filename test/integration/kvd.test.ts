// Goal: kvd as an operator meets it: it says when it serves, keeps what it acknowledged through SIGTERM and SIGKILL,
// refuses what would lose a vote, and names a wrong flag. Method: real processes with data directories in a temporary
// folder, asked by npm's etcd3.
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Kvd, KvdPool } from "./kvd-process.ts";
import { until } from "./serving.ts";

let pool: KvdPool;
beforeAll(async () => {
  pool = await KvdPool.build("kvd");
});
afterAll(() => pool.close());

function start(name: string): Kvd {
  return pool.start([
    ...["--name", name, "--data-dir", join(pool.folder, name)],
    ...["--listen-client-urls", "http://127.0.0.1:0", "--listen-peer-urls", "http://127.0.0.1:0"],
    ...["--heartbeat-interval=20", "--election-timeout=100", "--wal-segment-bytes=1048576"],
  ]);
}

describe("kvd", () => {
  it("keeps what it acknowledged, stopped or killed", async () => {
    const first = start("keeps");
    const client = await first.client();
    await client.put("a").value("1");
    const lease = client.lease(600, { autoKeepAlive: false });
    await lease.put("leased").value("2");
    expect(await first.end("SIGTERM")).toEqual({ code: 0, signal: null });
    expect(first.log).toContain('"msg":"stopped"');

    const second = start("keeps");
    const again = await second.client();
    expect(await again.getAll().strings()).toEqual({ a: "1", leased: "2" });
    for (let i = 0; i < 50; i++) await again.put(`k${i}`).value(String(i));
    await second.end("SIGKILL");

    const third = await start("keeps").client();
    expect(await third.getAll().prefix("k").count()).toBe(50);
    const { kvs, header } = await third.get("k49").exec();
    expect([kvs[0]?.mod_revision, header.revision]).toEqual(["53", "53"]);
  });

  it("ends open watches and says so when it is stopped", async () => {
    const kvd = start("watched");
    const client = await kvd.client();
    const watcher = await client.watch().key("a").create();
    const lost = new Promise((resolve) => watcher.on("disconnected", resolve));
    await kvd.end("SIGTERM");
    expect(String(await lost)).toContain("server stopped");
  });

  it("is not started twice on one directory", async () => {
    const holder = start("twice");
    await holder.address();
    const second = start("twice");
    await until(() => second.exit !== undefined, "the second one ends");
    expect(second.exit?.code).toBe(1);
    expect(second.log).toContain("is in use by process");
  });

  it("refuses a directory whose log is gone", async () => {
    const kvd = start("lost");
    await kvd.address();
    await kvd.end("SIGTERM");
    const wal = join(pool.folder, "lost", "member", "wal");
    for (const file of readdirSync(wal)) rmSync(join(wal, file));
    const again = start("lost");
    await until(() => again.exit !== undefined, "it ends");
    expect(again.exit?.code).toBe(1);
    expect(again.log).toContain("the log of this member is gone");
  });

  it("names an address that is taken, and the flag", async () => {
    const url = `http://${await start("holder").address()}`;
    const second = pool.start([
      ...["--name=second", "--data-dir", join(pool.folder, "second"), "--wal-segment-bytes=1048576"],
      ...["--listen-client-urls", url, "--listen-peer-urls", "http://127.0.0.1:0"],
    ]);
    await until(() => second.exit !== undefined, "it ends");
    expect(second.exit?.code).toBe(1);
    expect(second.log).toContain(`cannot listen at ${url} (--listen-client-urls)`);
    // Every line of it is JSON, also when something fails.
    for (const line of second.log.trim().split("\n")) expect(() => JSON.parse(line)).not.toThrow();
  });

  it("names a flag that it does not know", async () => {
    const kvd = pool.start(["--nope"]);
    await until(() => kvd.exit !== undefined, "it ends");
    expect([kvd.exit?.code, kvd.log]).toEqual([2, "kvd: unknown flag --nope; see kvd --help\n"]);
  });
});
