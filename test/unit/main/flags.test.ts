// Goal: flags mean what etcd's operators expect, and a wrong one is named. Method: tables.
import { describe, expect, it } from "vitest";
import { helpText, type KvdConfig, parseFlags } from "../../../src/main/flags.ts";
import { foundingCluster } from "../../../src/main/identity.ts";

function config(...args: string[]): KvdConfig {
  const parsed = parseFlags(args, {});
  if (parsed.type !== "ok") throw new Error(parsed.type === "refused" ? parsed.reason : parsed.type);
  return parsed.config;
}

describe("flags", () => {
  it("without any it is one member on etcd's ports", () => {
    expect(config()).toMatchObject({
      name: "default",
      dataDir: "default.etcd",
      listenClientUrls: ["http://localhost:2379"],
      advertiseClientUrls: ["http://localhost:2379"],
      initialCluster: [{ name: "default", peerUrls: ["http://localhost:2380"] }],
      initialClusterState: "new",
      heartbeatMs: 100,
      electionTimeoutMs: 1000,
      quotaBytes: 2 * 1024 ** 3,
      readMode: "quorum",
      snapshotCount: 10_000,
    });
  });

  it.each<[string, string[], Partial<KvdConfig>]>([
    ["=", ["--name=m1"], { name: "m1" }],
    ["the next argument", ["--name", "m1"], { name: "m1" }],
    ["one dash", ["-name=m1"], { name: "m1" }],
    ["the last of two", ["--name=a", "--name=b"], { name: "b" }],
    ["no quota", ["--quota-backend-bytes=-1"], { quotaBytes: Number.POSITIVE_INFINITY }],
    [
      "lists",
      ["--listen-client-urls=http://a:1,http://b:2"],
      { listenClientUrls: ["http://a:1", "http://b:2"] },
    ],
    [
      "certificates",
      [
        "--listen-client-urls=https://a:1",
        "--cert-file=c",
        "--key-file=k",
        "--client-cert-auth",
        "--trusted-ca-file=t",
      ],
      { tls: { certFile: "c", keyFile: "k", clientCaFile: "t" } },
    ],
    ["IPv6", ["--listen-client-urls=http://[::1]:1/"], { listenClientUrls: ["http://[::1]:1"] }],
    [
      "a member with two URLs",
      ["--name=a", "--initial-cluster=a=http://x:1,b=http://y:1,a=http://x:2"],
      {
        initialCluster: [
          { name: "a", peerUrls: ["http://x:1", "http://x:2"] },
          { name: "b", peerUrls: ["http://y:1"] },
        ],
      },
    ],
  ])("%s", (_name, args, expected) => {
    expect(config(...args)).toMatchObject(expected);
  });

  it("come from the environment, unless they are given", () => {
    const env = { ETCD_NAME: "from-env", ETCD_ELECTION_TIMEOUT: "500" };
    expect(parseFlags(["--election-timeout=700"], env)).toMatchObject({
      type: "ok",
      config: { name: "from-env", electionTimeoutMs: 700 },
    });
  });

  it.each([
    [["--nope=1"], "unknown flag --nope"],
    [["start"], '"start" is no flag'],
    [["--name"], "flag --name needs a value"],
    [["--heartbeat-interval=1s"], '--heartbeat-interval: "1s" is not a whole number in [1, 50000]'],
    [["--election-timeout=400"], "--election-timeout 400 is below five times --heartbeat-interval 100"],
    [["--read-mode=fast"], '--read-mode: "fast" is none of quorum, lease'],
    [
      ["--listen-client-urls=localhost:2379"],
      '--listen-client-urls: "localhost:2379" is not http://host:port',
    ],
    [["--listen-peer-urls=https://a:1"], "certificates cannot be given for it yet"],
    [["--listen-client-urls=https://a:1"], "--cert-file and --key-file are not given"],
    [["--cert-file=c"], "--cert-file and --key-file go together"],
    [["--client-cert-auth"], "--client-cert-auth needs --trusted-ca-file"],
    [["--client-cert-auth=yes"], '--client-cert-auth: "yes" is none of true, false'],
    [["--name=c", "--initial-cluster=a=http://x:1"], '--initial-cluster does not name this member, "c"'],
    [["--initial-cluster=http://x:1"], '"http://x:1" is not name=url'],
    [["--wal-segment-bytes=20000"], "20000 is no multiple of 4096"],
  ])("%s is refused by name", (args, reason) => {
    const parsed = parseFlags(args, {});
    expect(parsed.type === "refused" ? parsed.reason : parsed.type).toContain(reason);
  });

  it("help names every flag that is taken", () => {
    const names = [...helpText().matchAll(/^ {2}--([a-z-]+)/gm)].map(([, name]) => name ?? "");
    expect(names).toContain("initial-cluster");
    for (const name of names) {
      const { type, ...rest } = parseFlags([`--${name}`, "?"], {});
      expect([type, JSON.stringify(rest)]).not.toEqual(["refused", expect.stringContaining("unknown flag")]);
    }
  });
});

describe("identities", () => {
  const three = "a=http://x:1,b=http://y:1,c=http://z:1";

  it("are the same at every initial member, whatever the order of the list", () => {
    const a = foundingCluster(config("--name=a", `--initial-cluster=${three}`));
    const b = foundingCluster(config("--name=b", "--initial-cluster=c=http://z:1,b=http://y:1,a=http://x:1"));
    expect(b.cluster).toBe(a.cluster);
    const byName = (cluster: typeof a) =>
      Object.fromEntries(cluster.members.map(({ name, id }) => [name, id]));
    expect(byName(b)).toEqual(byName(a));
    expect(new Set(a.members.map(({ id }) => id)).size).toBe(3);
  });

  it.each([
    ["another token", ["--name=a", `--initial-cluster=${three}`, "--initial-cluster-token=t"]],
    ["another URL", ["--name=a", "--initial-cluster=a=http://x:2,b=http://y:1,c=http://z:1"]],
    // It decides the length of the replicated lease, which is in the first entry of all of them.
    ["another election timeout", ["--name=a", `--initial-cluster=${three}`, "--election-timeout=2000"]],
  ])("with %s it is another cluster with other members", (_name, args) => {
    const one = foundingCluster(config("--name=a", `--initial-cluster=${three}`));
    const other = foundingCluster(config(...args));
    expect(other.cluster).not.toBe(one.cluster);
    for (const { id } of other.members) expect(one.members.map((member) => member.id)).not.toContain(id);
  });
});
