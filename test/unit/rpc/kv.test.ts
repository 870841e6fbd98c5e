// Goal: the KV and Lease services and what holds for every call behave as etcd's clients expect. Method: handlers over
// a real member in virtual time; answers are read from their bytes.
import { describe, expect, it } from "vitest";
import { bytesOf, CODE, ERR, textOf } from "../../../src/base/index.ts";
import type { MemberOptions } from "../../../src/member/index.ts";
import { encodeKvRequest, services as messages } from "../../../src/pb/index.ts";
import { createServices, type RpcOptions, statusOf } from "../../../src/rpc/index.ts";
import { compare, del, put, range, txn } from "../../support/kv-world.ts";
import { Facades } from "../../support/member-facades.ts";
import { seeded } from "../../support/member-harness.ts";
import { callOf, RpcClient } from "../../support/rpc-calls.ts";

function solo(options: Partial<RpcOptions> & { member?: Partial<MemberOptions> } = {}) {
  const facades = new Facades([1n], options.member);
  const services = createServices(
    { facade: facades.facade(1n), random: seeded(1), clock: facades.clock },
    options,
  );
  return { facades, services, client: new RpcClient(services, facades) };
}

const RANGE = "/etcdserverpb.KV/Range";
const PUT = "/etcdserverpb.KV/Put";

describe("answers carry", () => {
  it("cluster, member and term, and the revision of the store", async () => {
    const { client } = solo();
    const first = await client.kv("put", put("a", "1"));
    expect(first.header).toEqual({ clusterId: 0xc1n, memberId: 1n, revision: 2, raftTerm: 2 });
    await client.kv("put", put("b", "2"));
    // A read of the past tells the present revision (reference §1.2).
    const past = await client.kv("range", range("a", "", { revision: 2 }));
    expect(past.header?.revision).toBe(3);
    expect(past.response.kvs.map((kv) => textOf(kv.value))).toEqual(["1"]);
  });

  it("what each request asked for", async () => {
    const { client } = solo();
    await client.kv("put", put("a", "1"));
    const put2 = await client.kv("put", put("a", "2", { prevKv: true }));
    expect(textOf(put2.response.prevKv?.value ?? bytesOf("none"))).toBe("1");
    const both = await client.kv(
      "txn",
      txn([compare("a", { type: "version", value: 2 })], [put("b", "3"), range("b")], []),
    );
    expect(both.response).toMatchObject({
      succeeded: true,
      responses: [{ type: "put" }, { type: "range", count: 1 }],
    });
    const deleted = await client.kv("deleteRange", del("a", "", true));
    expect(deleted.response).toMatchObject({ deleted: 1, prevKvs: [{ version: 2 }] });
    const compacted = await client.kv("compaction", { type: "compaction", revision: 3, physical: true });
    expect(compacted.header?.revision).toBe(5);
  });
});

describe("refusals", () => {
  it.each([
    ["an empty key", PUT, put("", "1"), ERR.emptyKey],
    ["a missing key whose value is to stay", PUT, put("x", "", { ignoreValue: true }), ERR.keyNotFound],
    ["an unknown lease", PUT, put("x", "1", { lease: 7n }), ERR.leaseNotFound],
    ["a value beside ignore_value", PUT, put("x", "1", { ignoreValue: true }), ERR.valueProvided],
    ["a future revision", RANGE, range("x", "", { revision: 9 }), ERR.futureRevision],
    ["an unknown sort order", RANGE, range("x", "", { sortOrder: undefined }), ERR.invalidSortOption],
  ])("%s", async (_name, path, request, error) => {
    const { client } = solo();
    expect(await client.refusal(path, encodeKvRequest(request))).toEqual(error);
  });

  it("of a request above the largest one that the member takes", async () => {
    const { client } = solo();
    const large = encodeKvRequest(put("x", "v".repeat(1_572_864)));
    expect(await client.refusal(PUT, large)).toBe(ERR.requestTooLarge);
  });

  it("of bytes that are no protobuf, in gRPC's words", async () => {
    const { client } = solo();
    const refusal = await client.refusal(PUT, new Uint8Array([0x0a, 0x05, 0x61]));
    expect(refusal.code).toBe(CODE.internal);
    expect(refusal.message).toMatch(/^grpc: error unmarshalling request: put: key is truncated/);
  });

  it("travel with the code that etcd's server sends", () => {
    expect(statusOf(ERR.tooManyRequests)).toEqual({
      code: CODE.unknown,
      message: "etcdserver: too many requests",
    });
    expect(statusOf(ERR.noSpace)).toEqual({
      code: CODE.resourceExhausted,
      message: "etcdserver: mvcc: database space exceeded",
    });
  });
});

describe("every call", () => {
  it("needs room for its bytes, and gives it back", async () => {
    const { client, services, facades } = solo({ maxInFlightBytes: 3_000 });
    facades.cluster.node(1n).holdLog = true;
    const bytes = encodeKvRequest(put("a", "v".repeat(1_000)));
    const method = services.methods.get(PUT);
    if (method?.type !== "unary") throw new Error("no put");
    const first = method.handle(bytes, callOf());
    expect(services.inFlightBytes).toBeGreaterThan(3_000);
    expect(await client.refusal(PUT, bytes)).toBe(ERR.tooManyRequests);
    facades.cluster.flush(facades.cluster.node(1n));
    expect((await facades.within(first)).type).toBe("ok");
    expect(services.inFlightBytes).toBe(0);
    expect(await client.raw(PUT, bytes)).toBeInstanceOf(Uint8Array);
  });

  it("ends when nobody waits for it any more", async () => {
    const { services, facades } = solo();
    facades.cluster.node(1n).holdLog = true;
    const method = services.methods.get(PUT);
    if (method?.type !== "unary") throw new Error("no put");
    const abort = new AbortController();
    const waiting = method.handle(encodeKvRequest(put("a", "1")), callOf({}, abort.signal));
    abort.abort();
    expect(await facades.within(waiting)).toMatchObject({ type: "error", error: { code: CODE.canceled } });
    expect(services.inFlightBytes).toBe(0);
  });

  it("is refused once the services are stopped", async () => {
    const { services, client } = solo();
    services.stop();
    expect(await client.refusal(PUT, encodeKvRequest(put("a", "1")))).toBe(ERR.stopped);
  });
});

describe("without a leader", () => {
  it("a client that insists on one is refused at once, others wait", async () => {
    const facades = new Facades([1n, 2n, 3n]);
    const id = facades.cluster.other(facades.leader);
    const services = createServices({
      facade: facades.facade(id),
      random: seeded(1),
      clock: facades.clock,
    });
    const client = new RpcClient(services, facades);
    facades.cluster.isolate(id);
    facades.cluster.until(() => facades.cluster.member(id).status().leader === 0n);
    const bytes = encodeKvRequest(range("a"));
    expect(await client.refusal(RANGE, bytes, callOf({ hasleader: "true" }))).toBe(ERR.noLeader);
    const local = await client.kv("range", range("a", "", { serializable: true }));
    expect(local.response.count).toBe(0);
    expect(await client.refusal(RANGE, bytes)).toMatchObject({ code: CODE.unavailable });
  });

  it("a write that may still happen is told as a timeout", async () => {
    const facades = new Facades([1n, 2n, 3n]);
    const { leader } = facades;
    const services = createServices({
      facade: facades.facade(leader),
      random: seeded(1),
      clock: facades.clock,
    });
    const client = new RpcClient(services, facades);
    facades.cluster.isolate(leader);
    expect(await client.refusal(PUT, encodeKvRequest(put("a", "1")))).toBe(ERR.timeout);
  });
});

describe("leases", () => {
  it("are granted, told and revoked", async () => {
    const { client } = solo();
    const granted = await client.kv("leaseGrant", { type: "leaseGrant", id: 7n, ttl: 60 });
    expect(granted.response).toMatchObject({ id: 7n, ttl: 60 });
    await client.kv("put", put("a", "1", { lease: 7n }));
    const left = await client.ask(
      "/etcdserverpb.Lease/LeaseTimeToLive",
      [messages.leaseTimeToLiveRequest, { id: 7n, keys: true }],
      messages.leaseTimeToLiveResponse,
    );
    expect(left).toMatchObject({ id: 7n, grantedTtl: 60, keys: [bytesOf("a")] });
    expect(left.ttl).toBeGreaterThan(50);
    const all = await client.ask(
      "/etcdserverpb.Lease/LeaseLeases",
      [messages.empty, {}],
      messages.leaseLeasesResponse,
    );
    expect(all.leases).toEqual([{ id: 7n }]);
    await client.kv("leaseRevoke", { type: "leaseRevoke", id: 7n });
    const gone = await client.ask(
      "/etcdserverpb.Lease/LeaseTimeToLive",
      [messages.leaseTimeToLiveRequest, { id: 7n, keys: false }],
      messages.leaseTimeToLiveResponse,
    );
    expect(gone).toMatchObject({ id: 7n, ttl: -1, grantedTtl: 0, keys: [] });
  });

  it("are kept alive in the order asked; an unknown one is TTL 0 and no error", async () => {
    const { client } = solo();
    await client.kv("leaseGrant", { type: "leaseGrant", id: 7n, ttl: 60 });
    const stream = client.stream("/etcdserverpb.Lease/LeaseKeepAlive", callOf({ hasleader: "true" }));
    for (const id of [7n, 8n, 7n]) stream.session.message(messages.leaseKeepAliveRequest.encode({ id }));
    stream.session.halfClose();
    const told: unknown[] = [];
    for (let i = 0; i < 3; i++) {
      const answer = messages.leaseKeepAliveResponse.decode(await stream.message());
      if (answer.type === "ok") told.push([answer.value.id, answer.value.ttl]);
    }
    expect(told).toEqual([
      [7n, 60],
      [8n, 0],
      [7n, 60],
    ]);
    expect(await stream.next()).toEqual({ type: "end", error: undefined });
  });

  it("a client that keeps alive without reading answers is not read from without end", () => {
    const { client } = solo();
    const stream = client.stream("/etcdserverpb.Lease/LeaseKeepAlive");
    let read = 0;
    while (stream.session.wantsInput && read < 1_000) {
      stream.session.message(messages.leaseKeepAliveRequest.encode({ id: 8n }));
      read++;
    }
    expect(read).toBe(64);
  });

  it("a follower asks the leader", async () => {
    const facades = new Facades([1n, 2n, 3n]);
    const follower = facades.cluster.other(facades.leader);
    const deps = { facade: facades.facade(follower), random: seeded(1), clock: facades.clock };
    const path = "/etcdserverpb.Lease/LeaseTimeToLive";
    const client = new RpcClient(createServices(deps), facades);
    await client.kv("leaseGrant", { type: "leaseGrant", id: 7n, ttl: 60 });
    const told = await client.ask(
      path,
      [messages.leaseTimeToLiveRequest, { id: 7n, keys: false }],
      messages.leaseTimeToLiveResponse,
    );
    expect(told.grantedTtl).toBe(60);
    expect(told.header?.memberId).toBe(follower);
  });
});
