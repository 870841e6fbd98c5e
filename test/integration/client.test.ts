// Goal: programs get etcd's answers from our client, over failures of members. Method: the client against servers in
// this process, and watches and leases whose connection is cut on the way.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bytesOf, textOf } from "../../src/base/index.ts";
import {
  Client,
  ClientError,
  CompactedError,
  prefixEnd,
  WatchCanceledError,
} from "../../src/client/index.ts";
import { systemRandom } from "../../src/main/ports.ts";
import { REAL_CLOCK } from "../support/clocks.ts";
import { type Serving, serve, until } from "./serving.ts";

const key = bytesOf;

function clientOf(endpoints: readonly string[]): Client {
  return new Client({ endpoints }, { clock: REAL_CLOCK, random: systemRandom });
}

async function errorOf(call: Promise<unknown>): Promise<ClientError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ClientError)) throw new Error(`no refusal: ${String(error)}`);
  return error;
}

/** Reads a watch to its end. */
async function drained(watch: AsyncIterable<unknown>): Promise<number> {
  let told = 0;
  for await (const _ of watch) told++;
  return told;
}

describe("one member", () => {
  let serving: Serving;
  let client: Client;
  beforeAll(async () => {
    serving = await serve([1n]);
    client = clientOf(serving.endpoints);
  });
  afterAll(async () => {
    client.close();
    await serving.stop();
    expect(serving.bugs).toEqual([]);
  });

  it("writes, reads and deletes", async () => {
    const { header } = await client.kv.put({ key: key("a/1"), value: key("one") });
    expect(header.clusterId).toBe(0xc1n);
    await client.kv.put({ key: key("a/2"), value: key("two") });
    const range = await client.kv.range({
      key: key("a/"),
      rangeEnd: prefixEnd(key("a/")),
      sortOrder: "descend",
    });
    expect(range.kvs.map((kv) => `${textOf(kv.key)}=${textOf(kv.value)}`)).toEqual(["a/2=two", "a/1=one"]);
    const txn = await client.kv.txn({
      compare: [
        { key: key("a/1"), rangeEnd: key(""), result: "equal", target: { type: "version", value: 1 } },
      ],
      success: [{ type: "deleteRange", key: key("a/"), rangeEnd: prefixEnd(key("a/")), prevKv: false }],
      failure: [],
    });
    expect([txn.succeeded, txn.responses]).toEqual([
      true,
      [{ type: "deleteRange", deleted: 2, prevKvs: [] }],
    ]);
  });

  it("throws etcd's code and text, and says that nothing was changed", async () => {
    const error = await errorOf(client.kv.put({ key: key(""), value: key("x") }));
    expect([error.code, error.message, error.outcome]).toEqual([
      3,
      "etcdserver: key is not provided",
      "refused",
    ]);
  });

  it("a call that its caller gives up ends at once", async () => {
    const error = await errorOf(client.kv.range({ key: key("a") }, { signal: AbortSignal.abort() }));
    expect(error.message).toBe("context canceled");
  });

  it("watches from a revision, and ends plainly when it is told to", async () => {
    const { header } = await client.kv.put({ key: key("w"), value: key("1") });
    const end = new AbortController();
    const told: string[] = [];
    const watch = client.watch({ key: key("w"), startRevision: header.revision, signal: end.signal });
    await client.kv.put({ key: key("w"), value: key("2") });
    for await (const one of watch) {
      if (one.type === "events") told.push(...one.events.map((event) => textOf(event.kv.value)));
      if (told.length === 2) end.abort();
    }
    expect(told).toEqual(["1", "2"]);
  });

  it("a watch below the compacted revision throws it; an empty range its reason", async () => {
    const { header } = await client.kv.put({ key: key("c"), value: key("1") });
    await client.kv.compact({ revision: header.revision });
    const { signal } = new AbortController();
    const compacted = await errorOf(drained(client.watch({ key: key("c"), startRevision: 1, signal })));
    expect(compacted).toBeInstanceOf(CompactedError);
    expect(compacted).toMatchObject({ compactRevision: header.revision });
    const empty = await errorOf(client.watch({ key: key("b"), rangeEnd: key("a"), signal }).next());
    expect(empty).toBeInstanceOf(WatchCanceledError);
    expect(empty.message).toContain("watcher range is empty");
  });

  it("leases are granted, kept, told of and revoked", async () => {
    const { id } = await client.leases.grant({ ttl: 100 });
    await client.kv.put({ key: key("l"), value: key("x"), lease: id });
    expect((await client.leases.keepAliveOnce(id)).ttl).toBe(100);
    const told = await client.leases.timeToLive({ id, keys: true });
    expect([told.grantedTtl, told.keys.map(textOf)]).toEqual([100, ["l"]]);
    expect((await client.leases.list()).leases).toContainEqual({ id });
    await client.leases.revoke(id);
    expect((await client.kv.range({ key: key("l") })).kvs).toEqual([]);
    expect((await errorOf(client.leases.keepAliveOnce(id))).message).toBe(
      "etcdserver: requested lease not found",
    );
  });

  it("members and their state", async () => {
    expect((await client.cluster.list()).members.map(({ id }) => id)).toEqual([1n]);
    const status = await client.maintenance.status();
    expect([status.leader, status.errors]).toEqual([1n, []]);
    expect((await client.maintenance.hashKv(0)).hash).toBeGreaterThan(0);
    expect((await client.maintenance.alarms()).alarms).toEqual([]);
  });
});

describe("several endpoints", () => {
  it("a dead one costs no call, and nobody there is said", async () => {
    const serving = await serve([1n]);
    const client = clientOf(["127.0.0.1:1", ...serving.endpoints]);
    await client.kv.put({ key: key("a"), value: key("1") });
    expect((await client.kv.range({ key: key("a") })).count).toBe(1);
    client.close();
    const lonely = clientOf(["127.0.0.1:1"]);
    const error = await errorOf(lonely.kv.put({ key: key("a"), value: key("1") }, { timeoutMs: 200 }));
    expect([error.message, error.outcome]).toEqual(["context deadline exceeded", "refused"]);
    lonely.close();
    await serving.stop();
  });

  it("a watch goes on at another member when its own stops", async () => {
    const serving = await serve([1n, 2n, 3n]);
    const [first = "", ...others] = serving.endpoints;
    const writer = clientOf(others);
    const client = clientOf([first, ...others]);
    const end = new AbortController();
    const told: string[] = [];
    const watching = (async () => {
      for await (const one of client.watch({ key: key("k"), startRevision: 2, signal: end.signal })) {
        if (one.type === "events") told.push(...one.events.map((event) => textOf(event.kv.value)));
      }
    })();
    await writer.kv.put({ key: key("k"), value: key("1") });
    await until(() => told.length === 1, "the first event");
    serving.services[0]?.stop();
    await writer.kv.put({ key: key("k"), value: key("2") });
    await writer.kv.put({ key: key("k"), value: key("3") });
    await until(() => told.length === 3, "events from another member");
    end.abort();
    await watching;
    expect(told).toEqual(["1", "2", "3"]);
    client.close();
    writer.close();
    await serving.stop();
  });
});
