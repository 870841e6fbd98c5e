// Goal: limits, back-pressure and stop of the gRPC transport, and the pages of the HTTP one. Method: a raw gRPC client
// with our codecs, and fetch, against servers in this process.
import { Client, credentials } from "@grpc/grpc-js";
import { afterEach, describe, expect, it } from "vitest";
import { bytesOf } from "../../src/base/index.ts";
import { decodeWatchResponse, encodeKvRequest, encodeWatchRequest } from "../../src/pb/index.ts";
import { createHttpServer } from "../../src/transport/http/index.ts";
import { Registry, registerCalls, registerMember } from "../../src/transport/metrics/index.ts";
import { put } from "../support/kv-world.ts";
import { createOf } from "../support/rpc-calls.ts";
import { type Serving, serve, until } from "./serving.ts";

const same = (bytes: Buffer): Buffer => bytes;
let stops: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const stop of stops.reverse()) await stop();
  stops = [];
});

async function served(): Promise<{ readonly serving: Serving; readonly client: Client }> {
  const serving = await serve([1n]);
  stops.push(serving.stop);
  const [endpoint = ""] = serving.endpoints;
  const client = new Client(endpoint, credentials.createInsecure(), {
    "grpc.max_receive_message_length": -1,
    "grpc.enable_retries": 0,
  });
  stops.push(() => client.close());
  return { serving, client };
}

function ask(client: Client, path: string, request: Uint8Array): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, same, same, Buffer.from(request), (error, reply) => {
      if (error === null) resolve(reply);
      else reject(error);
    });
  });
}

const PUT = "/etcdserverpb.KV/Put";

describe("gRPC", () => {
  it("refuses a message above the limit before it is read", async () => {
    const { client } = await served();
    const huge = encodeKvRequest(put("a", "v".repeat(2_200_000)));
    await expect(ask(client, PUT, huge)).rejects.toMatchObject({ code: 8 });
    expect(await ask(client, PUT, encodeKvRequest(put("a", "v".repeat(1_500_000))))).toBeInstanceOf(Buffer);
  });

  it("refuses what no service has", async () => {
    const { client } = await served();
    await expect(ask(client, "/etcdserverpb.Auth/UserList", new Uint8Array(0))).rejects.toMatchObject({
      code: 12,
    });
  });

  it("leaves what a client does not read in the member's queue, and gives it all when it reads", async () => {
    const { serving, client } = await served();
    const call = client.makeBidiStreamRequest("/etcdserverpb.Watch/Watch", same, same);
    let told = 0;
    call.on("error", () => undefined);
    call.on("data", (bytes: Buffer) => {
      const response = decodeWatchResponse(bytes);
      if (response.type === "ok") told += response.value.events.length;
    });
    call.write(Buffer.from(encodeWatchRequest(createOf("a"))));
    const facade = serving.facades.facade(1n);
    await ask(client, PUT, encodeKvRequest(put("a", "first")));
    await until(() => told === 1, "the first event");
    call.pause();
    const value = "v".repeat(500_000);
    for (let i = 0; i < 30; i++) await ask(client, PUT, encodeKvRequest(put("a", value)));
    expect(facade.store().revision).toBe(32);
    // The client reads 16 messages ahead and the connection holds one; the others are still the member's to keep.
    expect(serving.facades.watches[0]?.queuedBytes).toBeGreaterThan(5_000_000);
    call.resume();
    await until(() => told === 31, "all events");
    call.cancel();
    await until(() => serving.services[0]?.openStreams === 0, "the stream is closed");
  });

  it("reads no more from a client that takes no answers", async () => {
    const { serving, client } = await served();
    const call = client.makeBidiStreamRequest("/etcdserverpb.Watch/Watch", same, same);
    const CREATES = 12_000;
    let created = 0;
    call.on("error", () => undefined);
    call.on("data", () => {
      created++;
    });
    call.pause();
    const request = Buffer.from(encodeWatchRequest(createOf("a")));
    for (let i = 0; i < CREATES; i++) call.write(request);
    // Other calls on the same connection go on; when the number stands still over many of them, it stands.
    const watchers = (): number => serving.facades.watches[0]?.watchers ?? 0;
    for (let before = -1, still = 0; still < 20; before = watchers()) {
      await ask(client, "/etcdserverpb.Maintenance/Status", new Uint8Array(0));
      still = watchers() === before && before > 0 ? still + 1 : 0;
    }
    expect(watchers()).toBeLessThan(CREATES * 0.8);
    call.resume();
    await until(() => created === CREATES, "all answers");
    expect(watchers()).toBe(CREATES);
    call.cancel();
  });

  it("ends open streams when it stops", async () => {
    const { serving, client } = await served();
    const call = client.makeBidiStreamRequest("/etcdserverpb.Watch/Watch", same, same);
    const ended = new Promise((resolve) => call.on("error", resolve));
    const created = new Promise((resolve) => call.once("data", resolve));
    call.write(Buffer.from(encodeWatchRequest(createOf("a"))));
    await created;
    await serving.stop();
    expect(await ended).toMatchObject({ code: 14, details: "etcdserver: server stopped" });
    await expect(ask(client, PUT, encodeKvRequest(put("a", "1")))).rejects.toMatchObject({ code: 14 });
  });
});

describe("HTTP", () => {
  async function pages(): Promise<{
    readonly serving: Serving;
    readonly get: (path: string) => Promise<Response>;
  }> {
    const { serving, client } = await served();
    const facade = serving.facades.facade(1n);
    const registry = new Registry();
    registerMember(registry, facade, { version: "3.6.14" });
    const calls = registerCalls(registry, serving.services[0]?.methods ?? new Map());
    calls.started(PUT);
    calls.handled(PUT, 11);
    const bugs: unknown[] = [];
    const onBug = (_path: string, error: unknown): void => {
      bugs.push(error);
    };
    const server = createHttpServer({ facade, version: "3.6.14", metrics: () => registry.render(), onBug });
    const port = await server.listen("127.0.0.1", 0);
    stops.push(() => server.stop());
    await ask(client, PUT, encodeKvRequest(put("a", "1")));
    return { serving, get: (path) => fetch(`http://127.0.0.1:${port}${path}`) };
  }

  it("health, probes and version say what etcd says", async () => {
    const { serving, get } = await pages();
    const told = async (path: string) => {
      const response = await get(path);
      return [response.status, await response.text()];
    };
    expect(await told("/health")).toEqual([200, '{"health":"true","reason":""}']);
    expect(await told("/livez")).toEqual([200, "ok\n"]);
    expect(await told("/readyz?verbose")).toEqual([
      200,
      "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n[+]non_learner ok\nok\n",
    ]);
    expect(await told("/readyz/non_learner?verbose")).toEqual([200, "[+]non_learner ok\nok\n"]);
    expect(await told("/version")).toEqual([
      200,
      '{"etcdserver":"3.6.14","etcdcluster":"3.6.0","storage":"3.6.0"}',
    ]);
    expect((await told("/nothing"))[0]).toBe(404);
    expect((await told("/readyz/nothing"))[0]).toBe(404);
    await serving.facades
      .facade(1n)
      .request({ type: "write", write: { type: "alarm", action: "activate", member: 1n, alarm: "corrupt" } });
    expect(await told("/health")).toEqual([503, '{"health":"false","reason":"ALARM CORRUPT"}']);
    expect((await told("/readyz"))[0]).toBe(503);
    expect(await told("/readyz/non_learner")).toEqual([200, "ok\n"]);
    expect((await fetch((await get("/health")).url, { method: "POST" })).status).toBe(405);
  });

  it("metrics have the names that dashboards ask for", async () => {
    const { get } = await pages();
    const text = await (await get("/metrics")).text();
    const labels = 'grpc_service="etcdserverpb.KV",grpc_method="Put",grpc_type="unary"';
    for (const line of [
      "# TYPE etcd_server_has_leader gauge",
      "etcd_server_has_leader 1",
      "etcd_debugging_mvcc_current_revision 2",
      'etcd_server_version{server_version="3.6.14"} 1',
      `grpc_server_handled_total{${labels},grpc_code="OutOfRange"} 1`,
    ]) {
      expect(text.split("\n")).toContain(line);
    }
    expect(bytesOf(text).length).toBeGreaterThan(1_000);
  });
});
