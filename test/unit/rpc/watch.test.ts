// Goal: a watch stream tells what etcd's clients expect, and a client that takes nothing costs a bounded queue.
// Method: sessions over a real member in virtual time, taken from as a transport takes; responses are read from bytes.
import { describe, expect, it } from "vitest";
import { bytesOf, CODE, ERR, textOf } from "../../../src/base/index.ts";
import type { MemberOptions } from "../../../src/member/index.ts";
import { createServices } from "../../../src/rpc/index.ts";
import { del, put } from "../../support/kv-world.ts";
import { Facades } from "../../support/member-facades.ts";
import { seeded } from "../../support/member-harness.ts";
import { callOf, createOf, RpcClient } from "../../support/rpc-calls.ts";

const WATCH = "/etcdserverpb.Watch/Watch";

function solo(options: Partial<MemberOptions> = {}) {
  const facades = new Facades([1n], options);
  const services = createServices({ facade: facades.facade(1n), random: seeded(1), clock: facades.clock });
  return { facades, services, client: new RpcClient(services, facades) };
}

describe("a watch", () => {
  it("is created, then told every change with header, old value and revision", async () => {
    const { client } = solo();
    await client.kv("put", put("a", "0"));
    const stream = client.stream(WATCH);
    stream.watch(createOf("a", { prevKv: true }));
    expect(await stream.watchResponse()).toMatchObject({
      header: { clusterId: 0xc1n, memberId: 1n, revision: 2, raftTerm: 2 },
      watchId: 0,
      created: true,
      events: [],
    });
    await client.kv("put", put("a", "1"));
    await client.kv("deleteRange", del("a"));
    const first = await stream.watchResponse();
    expect(first.header?.revision).toBe(3);
    expect(first.events).toMatchObject([{ type: "put", kv: { modRevision: 3 }, prevKv: { modRevision: 2 } }]);
    const second = await stream.watchResponse();
    expect(second.events).toMatchObject([{ type: "delete", kv: { modRevision: 4, version: 0 } }]);
  });

  it("starts in the past, leaves out what its filters name, and is cancelled", async () => {
    const { client } = solo();
    for (const value of ["1", "2"]) await client.kv("put", put("a", value));
    await client.kv("deleteRange", del("a"));
    const stream = client.stream(WATCH);
    stream.watch(createOf("a", { startRevision: 2, filters: [1], watchId: 7 }));
    expect(await stream.watchResponse()).toMatchObject({ watchId: 7, created: true });
    const { events } = await stream.watchResponse();
    expect(events.map((event) => textOf(event.kv.value))).toEqual(["1", "2"]);
    stream.watch({ type: "cancel", watchId: 7 });
    expect(await stream.watchResponse()).toMatchObject({ watchId: 7, canceled: true, created: false });
    stream.watch({ type: "cancel", watchId: 99 });
    expect(stream.session.take()).toBeUndefined();
  });

  it.each([
    ["an empty range", createOf("b", { rangeEnd: bytesOf("a") }), "mvcc: watcher range is empty"],
    ["a negative revision", createOf("a", { startRevision: -1 }), ERR.compacted.message],
  ])("of %s is created and canceled with the reason", async (_name, request, cancelReason) => {
    const stream = solo().client.stream(WATCH);
    stream.watch(request);
    expect(await stream.watchResponse()).toMatchObject({
      watchId: -1,
      created: true,
      canceled: true,
      cancelReason,
    });
  });

  it("of compacted history is created, then canceled with the revision", async () => {
    const { client } = solo();
    for (const value of ["1", "2", "3"]) await client.kv("put", put("a", value));
    await client.kv("compaction", { type: "compaction", revision: 4, physical: false });
    const stream = client.stream(WATCH);
    stream.watch(createOf("a", { startRevision: 2 }));
    expect(await stream.watchResponse()).toMatchObject({ created: true, canceled: false });
    expect(await stream.watchResponse()).toMatchObject({
      canceled: true,
      compactRevision: 4,
      cancelReason: "",
      events: [],
    });
  });

  it("reports progress on request, for no watcher in particular", async () => {
    const { client } = solo();
    await client.kv("put", put("a", "1"));
    const stream = client.stream(WATCH);
    stream.watch(createOf("a"));
    await stream.watchResponse();
    stream.watch({ type: "progress" });
    expect(await stream.watchResponse()).toMatchObject({ watchId: -1, header: { revision: 2 }, events: [] });
  });

  it("goes on when the client has sent all it wants to", async () => {
    const { client } = solo();
    const stream = client.stream(WATCH);
    stream.watch(createOf("a"));
    stream.session.halfClose();
    await stream.watchResponse();
    await client.kv("put", put("a", "1"));
    expect((await stream.watchResponse()).events).toHaveLength(1);
  });

  it("ends when the client sends what is no protobuf", async () => {
    const stream = solo().client.stream(WATCH);
    stream.session.message(new Uint8Array([0x0a, 0x50]));
    expect(await stream.next()).toMatchObject({ type: "end", error: { code: CODE.internal } });
    expect(stream.session.wantsInput).toBe(false);
    expect(stream.session.take()).toBeUndefined();
  });
});

describe("many watchers", () => {
  it("share the bytes of an event", async () => {
    const { client } = solo();
    const streams = [client.stream(WATCH), client.stream(WATCH)];
    for (const stream of streams) {
      stream.watch(createOf("a"));
      await stream.watchResponse();
    }
    await client.kv("put", put("a", "x".repeat(1_000)));
    const parts = streams.map((stream) => {
      const output = stream.session.take();
      return output?.type === "message" ? output.parts : [];
    });
    expect(parts[0]).toHaveLength(2);
    expect(parts[0]?.[1]).toBe(parts[1]?.[1]);
  });

  it("a stalled client costs its queue and slows nobody, and gets every event when it comes back", async () => {
    const { client, facades } = solo({ maxWatchBytes: 20_000 });
    const facade = facades.facade(1n);
    const stalled = client.stream(WATCH);
    const lively = client.stream(WATCH);
    for (const stream of [stalled, lively]) stream.watch(createOf("a"));
    await stalled.watchResponse();
    await lively.watchResponse();
    const revisions: number[] = [];
    for (let i = 0; i < 100; i++) {
      await client.kv("put", put("a", "x".repeat(1_000)));
      expect((await lively.watchResponse()).events).toHaveLength(1);
    }
    expect(facade.store().revision).toBe(101);
    while (revisions.length < 100) {
      for (const event of (await stalled.watchResponse()).events) revisions.push(event.kv.modRevision);
    }
    expect(revisions).toEqual(Array.from({ length: 100 }, (_, i) => i + 2));
  });
});

describe("a stream ends", () => {
  it("when the services stop, before what is queued", async () => {
    const { client, services } = solo();
    const stream = client.stream(WATCH);
    stream.watch(createOf("a"));
    services.stop();
    expect(await stream.next()).toEqual({ type: "end", error: ERR.stopped });
    stream.session.close();
    expect(services.openStreams).toBe(0);
  });

  it("when it insists on a leader and there is none for three election timeouts, others stay", async () => {
    const facades = new Facades([1n, 2n, 3n]);
    const id = facades.cluster.other(facades.leader);
    const services = createServices({
      facade: facades.facade(id),
      random: seeded(1),
      clock: facades.clock,
    });
    const client = new RpcClient(services, facades);
    const insisting = client.stream(WATCH, callOf({ hasleader: "true" }));
    const patient = client.stream(WATCH);
    for (const stream of [insisting, patient]) {
      stream.watch(createOf("a"));
      await stream.watchResponse();
    }
    facades.advance(10_000);
    expect(insisting.session.take()).toBeUndefined();
    facades.cluster.isolate(id);
    facades.cluster.until(() => facades.cluster.member(id).status().leader === 0n);
    facades.advance(1_900);
    expect(insisting.session.take()).toBeUndefined();
    facades.advance(1_200);
    expect(insisting.session.take()).toEqual({ type: "end", error: ERR.noLeader });
    expect(patient.session.take()).toBeUndefined();
    const late = client.stream(WATCH, callOf({ hasleader: "true" }));
    expect(late.session.take()).toEqual({ type: "end", error: ERR.noLeader });
  });
});
