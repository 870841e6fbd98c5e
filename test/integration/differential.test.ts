// Goal: what etcdctl prints, and how it exits, is the same with us as with a real etcd. Method: the same commands, in
// the same order, against both; endpoints, identities, version, sizes and hashes are taken out of the outputs.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, credentials } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bytesOf } from "../../src/base/index.ts";
import {
  decodeWatchResponse,
  encodeWatchRequest,
  type WatchRequest,
  type WatchResponse,
} from "../../src/pb/index.ts";
import { createOf } from "../support/rpc-calls.ts";
import { etcdctl, isInstalled, type Serving, serve, until } from "./serving.ts";

const hasBoth = isInstalled("etcdctl") && isInstalled("etcd");

/** A command; with input: a transaction. `$L` stands for the lease that was granted last. */
type Command = readonly [args: string, input?: string];

const COMMANDS: readonly Command[] = [
  ["put k1 v1"],
  ["put k2 v2"],
  ["put k3 v3 -w json"],
  ["get k1 -w json"],
  ["get k --prefix -w fields"],
  ["get k1 k3"],
  ["get k --prefix --limit 2 -w json"],
  ["get k --prefix --sort-by VALUE --order DESCEND"],
  ["get k --prefix --sort-by MODIFY --limit 1"],
  ["get k2 --from-key --keys-only"],
  ["get k1 --rev 2 -w json"],
  ["get k1 --rev 99"],
  ["get k1 --consistency s -w json"],
  ["get missing -w json"],
  ["put k1 v1b --prev-kv -w json"],
  ["put k1 --ignore-value"],
  ["put nokey --ignore-value"],
  ["del k1 --prev-kv -w json"],
  ["del k1 -w json"],
  ["del k --prefix -w fields"],
  ["put a 1"],
  ["txn -w json", 'mod("a") > "0"\n\nput b 2\nget a\ndel zz\n\nput c 3\n\n'],
  ["txn -w json", 'value("a") = "x"\n\nput b 2\n\nput c 3\nget c\nget a --rev 10\n\n'],
  ["txn -w json", "\nget a\nput e 4\nget e\ndel e\nput f 5\n\n\n"],
  ["txn -w json", "\nget a\nput e 4\nget e\nput f 5\nget f\n\n\n"],
  ["txn -w fields", 'ver("a") = "1"\n\nget a\ndel a --prefix --prev-kv\nget a\n\n\n'],
  ["txn", "\nput d 4\nput d 5\n\n\n"],
  ["txn", "\nput e 4\ndel e\n\n\n"],
  ["txn", "\nget a --rev 99\n\n\n"],
  ["put a 2"],
  ["compaction 5 -w fields"],
  ["compaction 5"],
  ["compaction 999"],
  ["get a --rev 3"],
  ["compaction 6 --physical"],
  ["lease grant 100 -w json"],
  ["lease grant 1 -w fields"],
  ["lease grant 9999999999"],
  ["lease revoke 1234"],
  ["lease timetolive 1234 --keys -w json"],
  ["lease keep-alive 1234 --once"],
  ["put x y --lease=1234"],
  ["lease grant 300"],
  ["put lk1 v --lease=$L"],
  ["put lk2 v --lease=$L"],
  ["lease timetolive $L --keys"],
  ["lease keep-alive $L --once"],
  ["get lk1 -w json"],
  ["put lk1 v --ignore-lease -w json"],
  ["lease revoke $L"],
  ["get lk --prefix -w json"],
  ["alarm list"],
  ["alarm disarm"],
  ["endpoint status -w json"],
  ["endpoint hashkv"],
  ["member list"],
  ["member list -w json"],
  ["member remove 1234"],
  ["member promote 1234"],
  ["defrag"],
  ["move-leader 1234"],
  ["lock l1 echo locked"],
  ["watch b a"],
  ["watch a --rev 2"],
  ["get --prefix k -w json --keys-only"],
];

/** Replaces what is each server's own. */
function common(text: string, endpoint: string): string {
  return (
    text
      .replaceAll(endpoint, "ENDPOINT")
      .replaceAll(/http:\/\/[^",\s\]]+/g, "URL")
      .replaceAll(
        /"(cluster_id|member_id|leader|ID|lease|dbSize|dbSizeInUse|raftIndex|raftAppliedIndex)":\d+/g,
        '"$1":N',
      )
      .replaceAll(/"(ClusterID|MemberID|ID|Lease)" : \d+/g, '"$1" : N')
      .replaceAll(/"id":\d+/g, '"id":N')
      .replaceAll(/"version":"[^"]+"/g, '"version":"V"')
      .replaceAll(/\b[0-9a-f]{16}\b/g, "ID")
      .replaceAll(/remaining\(\d+s\)/g, "remaining(Ns)")
      .replaceAll(/^ENDPOINT, \d+$/gm, "ENDPOINT, HASH")
      // Printed without leading zeros: one ID of sixteen is shorter.
      .replaceAll(/^(?:[0-9a-f]{1,15}|ID), started/gm, "ID, started")
  );
}

async function runAll(endpoint: string): Promise<string[]> {
  const printed: string[] = [];
  let lease = "";
  for (const [line, input] of COMMANDS) {
    const args = line.replace("$L", lease).split(" ");
    const { code, out, err, statuses } = await etcdctl([endpoint], args, input);
    lease = /^lease ([0-9a-f]{16}) granted/.exec(out)?.[1] ?? lease;
    printed.push(
      `${line}${input === undefined ? "" : ` <<< ${input}`}\n[${code} ${statuses}] ${common(`${out}${err}`, endpoint)}`,
    );
  }
  return printed;
}

async function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

describe.skipIf(!hasBoth)("etcdctl against etcd and against us", () => {
  let ours: Serving;
  let etcd: ChildProcess;
  let endpoint: string;
  const folder = mkdtempSync(join(tmpdir(), "waymark-etcd-"));

  beforeAll(async () => {
    ours = await serve([1n]);
    const client = await freePort();
    const peer = `http://127.0.0.1:${await freePort()}`;
    endpoint = `127.0.0.1:${client}`;
    const flags = {
      name: "m1",
      "data-dir": folder,
      "listen-client-urls": `http://${endpoint}`,
      "advertise-client-urls": `http://${endpoint}`,
      "listen-peer-urls": peer,
      "initial-advertise-peer-urls": peer,
      "initial-cluster": `m1=${peer}`,
    };
    const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
    etcd = spawn("etcd", args, { stdio: "ignore" });
    for (let tries = 0; ; tries++) {
      if ((await etcdctl([endpoint], ["endpoint", "health"])).code === 0) break;
      if (tries === 20) throw new Error("etcd does not serve");
    }
  });

  afterAll(async () => {
    etcd.kill();
    await ours.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it("prints the same", async () => {
    const [endpointOfOurs = ""] = ours.endpoints;
    const printed = await runAll(endpointOfOurs);
    expect(printed).toEqual(await runAll(endpoint));
    expect(ours.bugs).toEqual([]);
  });

  it("tells the same on a watch stream", async () => {
    const [endpointOfOurs = ""] = ours.endpoints;
    const told = await watchAll(endpointOfOurs);
    expect(told).toEqual(await watchAll(endpoint));
    expect(told.flat().length).toBeGreaterThan(STEPS.length);
  });
});

/** What a client does on a stream or beside it, and how many responses follow. */
interface Step {
  readonly what: string;
  readonly send?: WatchRequest;
  readonly run?: readonly string[];
  readonly responses: number;
}

const END = bytesOf("wz");
// No negative start: etcd 3.4 makes such a watcher and cancels it then, 3.6 and we refuse it at once.
const STEPS: readonly Step[] = [
  { what: "history to watch", run: ["put", "w1", "0"], responses: 0 },
  { what: "create", send: createOf("w1"), responses: 1 },
  { what: "an event", run: ["put", "w1", "a"], responses: 1 },
  { what: "another key", run: ["put", "other", "a"], responses: 0 },
  {
    what: "create by ID, of a range",
    send: createOf("w", { rangeEnd: END, watchId: 7, prevKv: true }),
    responses: 1,
  },
  { what: "an ID twice", send: createOf("w", { watchId: 7 }), responses: 1 },
  { what: "an empty range", send: createOf("w", { rangeEnd: bytesOf("a") }), responses: 1 },
  { what: "an event for two", run: ["put", "w1", "b"], responses: 2 },
  { what: "a delete for two", run: ["del", "w", "--prefix"], responses: 2 },
  { what: "cancel", send: { type: "cancel", watchId: 7 }, responses: 1 },
  { what: "cancel of nothing", send: { type: "cancel", watchId: 99 }, responses: 0 },
  { what: "progress", send: { type: "progress" }, responses: 1 },
  { what: "a future revision", send: createOf("w2", { startRevision: 1_000 }), responses: 1 },
  { what: "only deletes", send: createOf("w3", { filters: [0] }), responses: 1 },
  { what: "a put that is filtered", run: ["put", "w3", "1"], responses: 0 },
  { what: "a delete that is not", run: ["del", "w3"], responses: 1 },
];

/** Does all steps on one stream; the responses of each, those of one step in order of watch ID. */
async function watchAll(endpoint: string): Promise<unknown[]> {
  const same = (bytes: Buffer): Buffer => bytes;
  const client = new Client(endpoint, credentials.createInsecure());
  const call = client.makeBidiStreamRequest("/etcdserverpb.Watch/Watch", same, same);
  const got: WatchResponse[] = [];
  call.on("error", () => undefined);
  call.on("data", (bytes: Buffer) => {
    const response = decodeWatchResponse(bytes);
    if (response.type === "ok") got.push(response.value);
  });
  const told: unknown[] = [];
  for (const { what, send, run, responses } of STEPS) {
    if (send !== undefined) call.write(Buffer.from(encodeWatchRequest(send)));
    if (run !== undefined) await etcdctl([endpoint], run);
    await until(() => got.length >= responses, what);
    const batch = got.splice(0).sort((a, b) => a.watchId - b.watchId);
    told.push([what, batch.map((response) => ({ ...response, header: response.header?.revision }))]);
  }
  call.cancel();
  client.close();
  return told;
}
