// Goal: what operators and probes ask (members, status, alarms, hashes, handing over, health) is answered as etcd
// does, and what is not there yet is refused in words. Method: handlers over real members in virtual time.
import { describe, expect, it } from "vitest";
import { CODE, ERR } from "../../../src/base/index.ts";
import type { MemberOptions } from "../../../src/member/index.ts";
import { decodeKvResponse, encodeKvRequest, services as messages } from "../../../src/pb/index.ts";
import { checkHealth, createServices, PROBES, runChecks } from "../../../src/rpc/index.ts";
import { put, range } from "../../support/kv-world.ts";
import { Facades } from "../../support/member-facades.ts";
import { seeded } from "../../support/member-harness.ts";
import { RpcClient } from "../../support/rpc-calls.ts";

function cluster(ids: readonly bigint[], options: Partial<MemberOptions> = {}) {
  const facades = new Facades(ids, options);
  const client = (id: bigint) => {
    const services = createServices({
      facade: facades.facade(id),
      random: seeded(1),
      clock: facades.clock,
    });
    return new RpcClient(services, facades);
  };
  return { facades, client };
}

const LIST = "/etcdserverpb.Cluster/MemberList";
const list = (client: RpcClient, linearizable = true) =>
  client.ask(LIST, [messages.memberListRequest, { linearizable }], messages.memberListResponse);
const status = (client: RpcClient) =>
  client.ask("/etcdserverpb.Maintenance/Status", [messages.empty, {}], messages.statusResponse);

describe("members", () => {
  it("are listed with names and addresses, under a header without a revision", async () => {
    const { client } = cluster([1n, 2n, 3n]);
    const { header, members } = await list(client(2n));
    expect(header).toMatchObject({ memberId: 2n, revision: 0 });
    expect(members.map(({ id, name, isLearner }) => [id, name, isLearner])).toEqual([
      [1n, "m1", false],
      [2n, "m2", false],
      [3n, "m3", false],
    ]);
    expect(members[0]?.peerUrls).toEqual(["http://member-1:2380"]);
  });

  it("are listed by a member that is cut off, if the list may be old", async () => {
    const { client, facades } = cluster([1n, 2n, 3n]);
    const id = facades.cluster.other(facades.leader);
    facades.cluster.isolate(id);
    expect((await list(client(id), false)).members).toHaveLength(3);
    const bytes = messages.memberListRequest.encode({ linearizable: true });
    expect((await client(id).refusal(LIST, bytes)).code).toBe(CODE.unavailable);
  });

  it("are removed by the leader; an unknown one is not found", async () => {
    const { client, facades } = cluster([1n, 2n, 3n]);
    const { leader } = facades;
    const gone = facades.cluster.other(leader);
    const path = "/etcdserverpb.Cluster/MemberRemove";
    const left = await client(leader).ask(
      path,
      [messages.memberIdRequest, { id: gone }],
      messages.memberListResponse,
    );
    expect(left.members.map(({ id }) => id)).not.toContain(gone);
    const again = await client(leader).refusal(path, messages.memberIdRequest.encode({ id: gone }));
    expect(again).toEqual({ code: CODE.notFound, message: "etcdserver: member not found" });
  });

  it("are not promoted if they vote already", async () => {
    const { client, facades } = cluster([1n, 2n, 3n]);
    const bytes = messages.memberIdRequest.encode({ id: facades.leader });
    expect(await client(facades.leader).refusal("/etcdserverpb.Cluster/MemberPromote", bytes)).toEqual({
      code: CODE.failedPrecondition,
      message: "etcdserver: can only promote a learner member",
    });
  });

  it("are added with their URLs and an ID of their own, nameless until they start", async () => {
    const { client, facades } = cluster([1n, 2n, 3n]);
    const leader = client(facades.leader);
    const path = "/etcdserverpb.Cluster/MemberAdd";
    const request = { peerUrls: ["http://new:2380"], isLearner: true };
    const added = await leader.ask(path, [messages.memberAddRequest, request], messages.memberAddResponse);
    const { member, members } = added;
    expect(member).toMatchObject({
      name: "",
      peerUrls: ["http://new:2380"],
      clientUrls: [],
      isLearner: true,
    });
    expect(members).toHaveLength(4);
    expect(members).toContainEqual(member);
    const again = await leader.refusal(path, messages.memberAddRequest.encode(request));
    expect(again).toEqual({ code: CODE.failedPrecondition, message: "etcdserver: Peer URLs already exists" });
  });

  it("are told to listen elsewhere at any member", async () => {
    const { client, facades } = cluster([1n, 2n, 3n]);
    const follower = facades.cluster.other(facades.leader);
    const { members } = await client(follower).ask(
      "/etcdserverpb.Cluster/MemberUpdate",
      [messages.memberUpdateRequest, { id: 1n, peerUrls: ["http://b:1", "http://a:1"] }],
      messages.memberListResponse,
    );
    expect(members[0]?.peerUrls).toEqual(["http://a:1", "http://b:1"]);
  });

  const badUrls = [[], [""], ["a:1"], ["http://a"], ["http://a:1/path"], ["ftp://a:1"], ["http://a:1", "x"]];
  it.each(badUrls.map((peerUrls) => ({ peerUrls })))("have no URLs like $peerUrls", async ({ peerUrls }) => {
    const { client } = cluster([1n]);
    const text = { code: CODE.invalidArgument, message: "etcdserver: given member URLs are invalid" };
    const add = messages.memberAddRequest.encode({ peerUrls, isLearner: false });
    expect(await client(1n).refusal("/etcdserverpb.Cluster/MemberAdd", add)).toEqual(text);
    const update = messages.memberUpdateRequest.encode({ id: 1n, peerUrls });
    expect(await client(1n).refusal("/etcdserverpb.Cluster/MemberUpdate", update)).toEqual(text);
  });
});

describe("status", () => {
  it("tells version, sizes, leader and positions", async () => {
    const { client, facades } = cluster([1n, 2n, 3n]);
    const id = facades.cluster.other(facades.leader);
    await client(id).kv("put", put("a", "1"));
    const told = await status(client(id));
    const { commit, applied, term } = facades.facade(id).status();
    expect(told).toMatchObject({
      version: "3.6.14",
      storageVersion: "3.6.0",
      leader: facades.leader,
      raftIndex: commit,
      raftAppliedIndex: applied,
      raftTerm: term,
      errors: [],
      isLearner: false,
    });
    expect(told.header?.revision).toBe(2);
  });

  it("of an empty store is not zero bytes, because etcdctl divides by them", async () => {
    const { client } = cluster([1n]);
    expect((await status(client(1n))).dbSize).toBe(1);
  });

  it("tells what is wrong", async () => {
    const { client, facades } = cluster([1n, 2n, 3n]);
    const id = facades.cluster.other(facades.leader);
    facades.cluster.isolate(id);
    facades.cluster.until(() => facades.cluster.member(id).status().leader === 0n);
    expect((await status(client(id))).errors).toEqual(["etcdserver: no leader"]);
  });
});

describe("alarms", () => {
  const PATH = "/etcdserverpb.Maintenance/Alarm";

  it("are raised, listed, told by status and taken back", async () => {
    const { client } = cluster([1n]);
    const ask = async (
      action: "get" | "activate" | "deactivate",
      member: bigint,
      alarm: "none" | "nospace",
    ) => {
      const reply = await client(1n).raw(PATH, messages.alarmQuery.encode({ action, member, alarm }));
      if (!(reply instanceof Uint8Array)) throw new Error(reply.message);
      const decoded = decodeKvResponse("alarm", reply);
      return decoded.type === "ok" ? decoded.value.response.alarms : [];
    };
    expect(await ask("get", 0n, "none")).toEqual([]);
    const raised = [{ member: 9n, alarm: "nospace" }];
    expect(await ask("activate", 9n, "nospace")).toEqual(raised);
    expect(await ask("get", 0n, "none")).toEqual(raised);
    expect((await status(client(1n))).errors).toEqual(["memberID:9 alarm:NOSPACE "]);
    const refusal = await client(1n).refusal("/etcdserverpb.KV/Put", encodeKvRequest(put("a", "1")));
    expect(refusal).toBe(ERR.noSpace);
    expect(await ask("deactivate", 9n, "nospace")).toEqual(raised);
    expect(await ask("get", 0n, "none")).toEqual([]);
    expect((await client(1n).kv("put", put("a", "1"))).header?.revision).toBe(2);
  });
});

describe("hashes", () => {
  it("are equal on members with equal keys, and refused for revisions that are not there", async () => {
    const { client, facades } = cluster([1n, 2n, 3n]);
    await client(1n).kv("put", put("a", "1"));
    facades.advance(500);
    const path = "/etcdserverpb.Maintenance/HashKV";
    const hashed = await Promise.all(
      [1n, 2n, 3n].map((id) =>
        client(id).ask(path, [messages.hashKvRequest, { revision: 0 }], messages.hashKvResponse),
      ),
    );
    expect(new Set(hashed.map(({ hash }) => hash)).size).toBe(1);
    expect(hashed[0]).toMatchObject({ hashRevision: 2 });
    const future = await client(1n).refusal(path, messages.hashKvRequest.encode({ revision: 9 }));
    expect(future).toBe(ERR.futureRevision);
  });
});

describe("handing over", () => {
  const PATH = "/etcdserverpb.Maintenance/MoveLeader";

  it("is answered when the other member leads", async () => {
    const { client, facades } = cluster([1n, 2n, 3n]);
    const { leader } = facades;
    const target = facades.cluster.other(leader);
    const bytes = messages.moveLeaderRequest.encode({ target });
    expect(await client(leader).raw(PATH, bytes)).toEqual(new Uint8Array(0));
    expect(facades.leader).toBe(target);
    expect(await client(leader).refusal(PATH, bytes)).toBe(ERR.notLeader);
  });

  it("to a member that does not answer is given up, in etcd's words", async () => {
    const { client, facades } = cluster([1n, 2n, 3n]);
    const { leader } = facades;
    const target = facades.cluster.other(leader);
    facades.cluster.isolate(target);
    expect(await client(leader).refusal(PATH, messages.moveLeaderRequest.encode({ target }))).toEqual({
      code: CODE.unknown,
      message: "etcdserver: request timed out, leader transfer took too long",
    });
    expect(facades.leader).toBe(leader);
  });

  it.each([9n, 0n])("to member %d, which is none, is refused", async (target) => {
    const { client, facades } = cluster([1n, 2n, 3n]);
    const refusal = await client(facades.leader).refusal(PATH, messages.moveLeaderRequest.encode({ target }));
    expect(refusal).toEqual(ERR.badLeaderTransferee);
  });
});

describe("what is not there", () => {
  it("defragmentation has nothing to do; its answer has no header", async () => {
    const { client } = cluster([1n]);
    expect(await client(1n).raw("/etcdserverpb.Maintenance/Defragment", new Uint8Array(0))).toEqual(
      new Uint8Array(0),
    );
  });

  it("a snapshot is refused in words", async () => {
    const stream = cluster([1n]).client(1n).stream("/etcdserverpb.Maintenance/Snapshot");
    expect(await stream.next()).toMatchObject({ type: "end", error: { code: CODE.unimplemented } });
    expect(stream.session.take()).toBeUndefined();
  });
});

describe("a learner", () => {
  it("serves its status and its own state only", async () => {
    const { facades, client } = cluster([1n]);
    facades.cluster.add(4n, {});
    const change = {
      joint: false,
      steps: [{ type: "addLearner" as const, id: 4n, peerUrls: ["http://member-4:2380"] }],
      leaseMs: undefined,
    };
    await facades.within(facades.facade(1n).request({ type: "changeMembers", change }));
    facades.cluster.until(() => facades.cluster.member(4n).status().conf.learners.includes(4n));
    expect((await status(client(4n))).isLearner).toBe(true);
    const local = await client(4n).kv("range", range("a", "", { serializable: true }));
    expect(local.response.count).toBe(0);
    const write = await client(4n).refusal("/etcdserverpb.KV/Put", encodeKvRequest(put("a", "1")));
    expect(write).toBe(ERR.notSupportedForLearner);
    const watch = client(4n).stream("/etcdserverpb.Watch/Watch");
    expect(await watch.next()).toEqual({ type: "end", error: ERR.notSupportedForLearner });
  });
});

describe("health", () => {
  it("of gRPC: the whole serves, parts are unknown", async () => {
    const { client } = cluster([1n]);
    const check = "/grpc.health.v1.Health/Check";
    const told = await client(1n).ask(
      check,
      [messages.healthCheckRequest, { service: "" }],
      messages.healthCheckResponse,
    );
    expect(told.status).toBe("serving");
    const unknown = await client(1n).refusal(check, messages.healthCheckRequest.encode({ service: "x" }));
    expect(unknown.code).toBe(CODE.notFound);
    const stream = client(1n).stream("/grpc.health.v1.Health/Watch");
    stream.session.message(messages.healthCheckRequest.encode({ service: "x" }));
    expect(messages.healthCheckResponse.decode(await stream.message())).toEqual({
      type: "ok",
      value: { status: "serviceUnknown" },
    });
  });

  it("of probes follows alarms, the leader and reads", async () => {
    const { facades } = cluster([1n, 2n, 3n]);
    const id = facades.cluster.other(facades.leader);
    const facade = facades.facade(id);
    const whole = { exclude: [], serializable: false };
    expect(await facades.within(checkHealth(facade, whole))).toEqual({ isHealthy: true, reason: "" });
    expect(await facades.within(runChecks(facade, PROBES.readyz))).toEqual({
      isOk: true,
      report: "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n[+]non_learner ok\n",
    });
    await facades.within(
      facade.request({
        type: "write",
        write: { type: "alarm", action: "activate", member: 1n, alarm: "nospace" },
      }),
    );
    expect(await facades.within(checkHealth(facade, whole))).toEqual({
      isHealthy: false,
      reason: "ALARM NOSPACE",
    });
    const excluded = { exclude: ["NOSPACE"], serializable: false };
    expect((await facades.within(checkHealth(facade, excluded))).isHealthy).toBe(true);
    facades.cluster.isolate(id);
    facades.cluster.until(() => facades.cluster.member(id).status().leader === 0n);
    expect(await facades.within(checkHealth(facade, excluded))).toEqual({
      isHealthy: false,
      reason: "RAFT NO LEADER",
    });
    expect((await facades.within(checkHealth(facade, { ...excluded, serializable: true }))).isHealthy).toBe(
      true,
    );
    expect((await facades.within(runChecks(facade, PROBES.readyz))).report).toContain(
      "[-]linearizable_read failed: etcdserver:",
    );
  });
});
