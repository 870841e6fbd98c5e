// Goal: a stock etcdctl works with us and prints what it prints with etcd. Method: the real program against a server
// in this process; what is expected was printed by etcd 3.4.23 for the same commands (IDs are our own).
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { etcdctl, isInstalled, type Ran, RunningEtcdctl, type Serving, serve, until } from "./serving.ts";

const hasEtcdctl = isInstalled("etcdctl");

let solo: Serving;
beforeAll(async () => {
  solo = await serve([1n]);
});
afterAll(async () => {
  expect(solo.bugs).toEqual([]);
  await solo.stop();
});

const run = (args: readonly string[], input?: string): Promise<Ran> => etcdctl(solo.endpoints, args, input);

/** Lines of a successful run. */
async function lines(...args: string[]): Promise<readonly string[]> {
  const { code, out, err } = await run(args);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  return out.trimEnd().split("\n");
}

async function printed(...args: string[]): Promise<string> {
  return (await lines(...args)).join("|");
}

async function failed(...args: string[]): Promise<string> {
  const { code, err } = await run(args);
  expect(code).toBe(1);
  return err;
}

describe.skipIf(!hasEtcdctl)("keys", () => {
  it("put, get and del with their flags", async () => {
    for (const key of ["k1", "k2", "k3"]) expect(await printed("put", key, `v${key}`)).toBe("OK");
    expect(await printed("get", "k1")).toBe("k1|vk1");
    expect(await printed("get", "k", "--prefix", "--keys-only", "--limit=2")).toBe("k1||k2");
    expect(
      await printed("get", "k", "--prefix", "--print-value-only", "--order=DESCEND", "--sort-by=KEY"),
    ).toBe("vk3|vk2|vk1");
    expect(await printed("get", "k1", "k3", "--print-value-only")).toBe("vk1|vk2");
    expect(await printed("get", "k2", "--from-key", "--keys-only")).toBe("k2||k3");
    const counted = await printed("get", "k", "--prefix", "--limit=1", "-w", "fields");
    expect(counted).toContain('"More" : true|"Count" : 3');
    expect(await printed("put", "k1", "new", "--prev-kv")).toBe("OK|k1|vk1");
    expect(await printed("get", "k1", "--rev=2", "--print-value-only")).toBe("vk1");
    expect(await printed("get", "k1", "--consistency=s", "--print-value-only")).toBe("new");
    expect(await printed("del", "k1", "--prev-kv")).toBe("1|k1|new");
    expect(await printed("del", "k", "--prefix")).toBe("2");
    expect(await printed("del", "k", "--prefix")).toBe("0");
  });

  it("json has header, key and count", async () => {
    await run(["put", "json", "x"]);
    const { header, kvs, count } = JSON.parse(await printed("get", "json", "-w", "json"));
    expect(header).toEqual({ cluster_id: 193, member_id: 1, revision: kvs[0].mod_revision, raft_term: 2 });
    expect(kvs[0]).toMatchObject({ key: "anNvbg==", version: 1, value: "eA==" });
    expect(count).toBe(1);
  });

  it("txn takes the branch that its comparisons choose", async () => {
    await run(["put", "t", "1"]);
    const taken = await run(
      ["txn"],
      'mod("t") > "0"\nvalue("t") = "1"\n\nput t2 2\nget t\ndel none\n\nput t 9\n\n',
    );
    expect(taken.out).toBe("SUCCESS\n\nOK\n\nt\n1\n\n0\n");
    const other = await run(["txn"], 'ver("t") = "5"\n\nput t 9\n\nget t2\n\n');
    expect(other.out).toBe("FAILURE\n\nt2\n2\n");
    const twice = await run(["txn"], "\nput t 1\nput t 2\n\n\n");
    expect(twice.err).toContain("etcdserver: duplicate key given in txn request");
  });

  it.each<[string[], string]>([
    [["get", "x", "--rev=99999"], "etcdserver: mvcc: required revision is a future revision"],
    [["put", "nokey", "--ignore-value"], "etcdserver: key not found"],
    [["put", "", "x"], "etcdserver: key is not provided"],
    [["put", "x", "y", "--lease=1234"], "etcdserver: requested lease not found"],
    [["lease", "grant", "9999999999"], "etcdserver: too large lease TTL"],
    [["compaction", "99999"], "etcdserver: mvcc: required revision is a future revision"],
    [["member", "remove", "1234"], "etcdserver: member not found"],
    [["move-leader", "1234"], "etcdserver: bad leader transferee"],
  ])("%s fails with etcd's words", async (args, message) => {
    expect(await failed(...args)).toContain(message);
  });

  it("values above the limit are refused", async () => {
    const { code, err } = await run(["put", "big"], "a".repeat(1_600_000));
    expect([code, err]).toEqual([1, "Error: etcdserver: request is too large"]);
  });
});

describe.skipIf(!hasEtcdctl)("watch", () => {
  it("prints history and what follows", async () => {
    await run(["put", "w1", "a"]);
    const { kvs } = JSON.parse(await printed("get", "w1", "-w", "json"));
    const watch = new RunningEtcdctl(solo.endpoints, [
      "watch",
      "w",
      "--prefix",
      `--rev=${kvs[0].mod_revision}`,
    ]);
    await until(() => watch.out === "PUT\nw1\na\n", "history");
    await run(["put", "w2", "b"]);
    await run(["del", "w1"]);
    await until(() => watch.out === "PUT\nw1\na\nPUT\nw2\nb\nDELETE\nw1\n\n", "live events");
    watch.stop();
    await until(() => solo.services[0]?.openStreams === 0, "the stream is closed");
  });
});

describe.skipIf(!hasEtcdctl)("leases", () => {
  it("grant, timetolive, keep-alive, list, revoke", async () => {
    const granted = await printed("lease", "grant", "300");
    const id = /^lease ([0-9a-f]{16}) granted with TTL\(300s\)$/.exec(granted)?.[1] ?? "";
    await run(["put", "l1", "x", `--lease=${id}`]);
    expect(await printed("lease", "timetolive", id, "--keys")).toMatch(
      new RegExp(
        `^lease ${id} granted with TTL\\(300s\\), remaining\\(\\d+s\\), attached keys\\(\\[l1\\]\\)$`,
      ),
    );
    expect(await printed("lease", "keep-alive", id, "--once")).toBe(`lease ${id} keepalived with TTL(300)`);
    expect(await lines("lease", "list")).toContain(id);
    expect(await printed("lease", "revoke", id)).toBe(`lease ${id} revoked`);
    expect(await printed("lease", "timetolive", id)).toBe(`lease ${id} already expired`);
    expect(await printed("get", "l1")).toBe("");
  });

  it("lock runs a command under a lock", async () => {
    expect(await printed("lock", "mutex", "echo", "locked")).toBe("locked");
  });
});

describe.skipIf(!hasEtcdctl)("operators", () => {
  it("endpoint status, health and hash, member list, alarm, defrag, compaction", async () => {
    const [endpoint = ""] = solo.endpoints;
    expect(await printed("endpoint", "status")).toMatch(
      new RegExp(`^${endpoint}, 1, 3.6.14, .* kB|B, true, false, 2, \\d+, \\d+, $`),
    );
    const health = await run(["endpoint", "health"]);
    expect(health.code).toBe(0);
    expect(health.err).toContain(`${endpoint} is healthy`);
    expect(await printed("endpoint", "hashkv")).toMatch(new RegExp(`^${endpoint}, \\d+$`));
    expect(await printed("member", "list")).toBe(
      "1, started, m1, http://member-1:2380, http://member-1:2379, false",
    );
    expect(await printed("alarm", "list")).toBe("");
    expect(await printed("defrag")).toBe(`Finished defragmenting etcd member[${endpoint}]`);
    await run(["put", "c", "1"]);
    const { header } = JSON.parse(await printed("get", "c", "-w", "json"));
    expect(await printed("compaction", String(header.revision))).toBe(
      `compacted revision ${header.revision}`,
    );
    expect(await failed("get", "c", "--rev=2")).toContain(
      "etcdserver: mvcc: required revision has been compacted",
    );
  });

  it("what is not there is said", async () => {
    const snapshot = await run(["snapshot", "save", join(tmpdir(), "waymark-none")]);
    expect(snapshot.code).toBe(5);
    expect(snapshot.err).toContain("a snapshot in etcd's file format is not served");
  });
});

describe.skipIf(!hasEtcdctl)("three members", () => {
  let three: Serving;
  beforeAll(async () => {
    three = await serve([1n, 2n, 3n]);
  });
  afterAll(async () => {
    expect(three.bugs).toEqual([]);
    await three.stop();
  });

  it("answer alike, whichever is asked, and hand leadership over", async () => {
    const { endpoints, facades } = three;
    expect((await etcdctl(endpoints, ["put", "a", "1"])).out).toBe("OK\n");
    for (const endpoint of endpoints) {
      expect((await etcdctl([endpoint], ["get", "a"])).out).toBe("a\n1\n");
      expect((await etcdctl([endpoint], ["member", "list"])).out.split("\n")).toHaveLength(4);
      const lease = await etcdctl([endpoint], ["lease", "grant", "60"]);
      const id = lease.out.split(" ")[1] ?? "";
      const kept = await etcdctl([endpoint], ["lease", "keep-alive", id, "--once"]);
      expect(kept.out).toBe(`lease ${id} keepalived with TTL(60)\n`);
    }
    const { leader } = facades;
    const target = leader === 1n ? 2n : 1n;
    const moved = await etcdctl(endpoints, ["move-leader", target.toString(16)]);
    expect(moved.out).toBe(`Leadership transferred from ${leader} to ${target}\n`);
    expect(facades.leader).toBe(target);
  });
});

describe.skipIf(!hasEtcdctl || !isInstalled("openssl"))("TLS", () => {
  let folder: string;
  let secure: Serving;
  const file = (name: string): string => join(folder, name);

  /** Makes a key and a certificate of our authority, or the authority itself. */
  function certify(name: string): void {
    const make = (...args: string[]): void => {
      execFileSync("openssl", args, { stdio: "ignore", cwd: folder });
    };
    const pair = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", `${name}.key`];
    const subject = ["-subj", `/CN=${name}`];
    if (name === "ca") {
      make("req", "-x509", ...pair, ...subject, "-days", "2", "-out", "ca.crt");
      return;
    }
    writeFileSync(file("names"), "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n");
    make("req", ...pair, ...subject, "-out", `${name}.csr`);
    const issue = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names"];
    make("x509", "-req", "-in", `${name}.csr`, ...issue, "-out", `${name}.crt`);
  }

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "waymark-tls-"));
    for (const name of ["ca", "server", "client"]) certify(name);
    const read = (name: string): Uint8Array => readFileSync(file(name));
    secure = await serve([1n], {
      cert: read("server.crt"),
      key: read("server.key"),
      clientCa: read("ca.crt"),
    });
  });
  afterAll(async () => {
    await secure.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it("serves clients with a certificate, and nobody else", async () => {
    const endpoints = secure.endpoints.map((endpoint) => `https://${endpoint}`);
    const trust = [`--cacert=${file("ca.crt")}`];
    const own = [`--cert=${file("client.crt")}`, `--key=${file("client.key")}`];
    expect((await etcdctl(endpoints, [...trust, ...own, "put", "a", "1"])).out).toBe("OK\n");
    expect((await etcdctl(endpoints, [...trust, "--dial-timeout=500ms", "get", "a"])).code).not.toBe(0);
    expect((await etcdctl(secure.endpoints, ["--dial-timeout=500ms", "get", "a"])).code).not.toBe(0);
  });
});
