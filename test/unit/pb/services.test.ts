// Goal: proto/rpc.proto and proto/health.proto say what the table-driven codecs and those of Watch do, as etcd's
// clients read them. Method: one value of each message with every field set, written out by hand as an object of the
// proto, compared both ways through protobufjs reflection; every field of every message must have been set; golden
// bytes; every prefix of the bytes is read without an exception.
import { fileURLToPath } from "node:url";
import protobuf from "protobufjs";
import { describe, expect, it } from "vitest";
import { bytesOf, concatBytes } from "../../../src/base/index.ts";
import * as pb from "../../../src/pb/index.ts";
import type { Event } from "../../../src/pb/kv.ts";
import { fromHex, toHex } from "./values.ts";

const proto = (name: string) => fileURLToPath(new URL(`../../../proto/${name}`, import.meta.url));
const root = new protobuf.Root().loadSync([proto("rpc.proto"), proto("health.proto")], { keepCase: true });
const AS_OBJECT = { longs: String, enums: String, bytes: String, arrays: false } as const;

const { services } = pb;
const MAX_ID = 2n ** 64n - 1n;
const header = { clusterId: MAX_ID, memberId: 2n, revision: 3, raftTerm: 2 ** 40 };
const HEADER = {
  cluster_id: "18446744073709551615",
  member_id: "2",
  revision: "3",
  raft_term: String(2 ** 40),
};

interface Row {
  readonly proto: string;
  readonly codec: pb.MessageCodec<unknown>;
  readonly value: unknown;
  readonly object: object;
}

function row<T>(name: string, codec: pb.MessageCodec<T>, value: T, object: object): Row {
  return { proto: `etcdserverpb.${name}`, codec: codec as pb.MessageCodec<unknown>, value, object };
}

const member = {
  id: MAX_ID,
  name: "m1",
  peerUrls: ["http://a:1", "http://b:2"],
  clientUrls: ["http://c:3"],
  isLearner: true,
};
const MEMBER = {
  ID: "18446744073709551615",
  name: "m1",
  peerURLs: ["http://a:1", "http://b:2"],
  clientURLs: ["http://c:3"],
  isLearner: true,
};

const ROWS: readonly Row[] = [
  row("LeaseKeepAliveRequest", services.leaseKeepAliveRequest, { id: -1n }, { ID: "-1" }),
  row(
    "LeaseKeepAliveResponse",
    services.leaseKeepAliveResponse,
    { header, id: 2n ** 63n - 1n, ttl: 60 },
    { header: HEADER, ID: "9223372036854775807", TTL: "60" },
  ),
  row(
    "LeaseTimeToLiveRequest",
    services.leaseTimeToLiveRequest,
    { id: 5n, keys: true },
    { ID: "5", keys: true },
  ),
  row(
    "LeaseTimeToLiveResponse",
    services.leaseTimeToLiveResponse,
    { header, id: 5n, ttl: -1, grantedTtl: 60, keys: [bytesOf("a"), new Uint8Array(0), bytesOf("b")] },
    { header: HEADER, ID: "5", TTL: "-1", grantedTTL: "60", keys: ["YQ==", "", "Yg=="] },
  ),
  row(
    "LeaseLeasesResponse",
    services.leaseLeasesResponse,
    { header, leases: [{ id: 5n }, { id: 6n }] },
    { header: HEADER, leases: [{ ID: "5" }, { ID: "6" }] },
  ),
  row("MemberListRequest", services.memberListRequest, { linearizable: true }, { linearizable: true }),
  row(
    "MemberListResponse",
    services.memberListResponse,
    {
      header,
      members: [member, { ...member, id: 1n, name: "", peerUrls: [], clientUrls: [], isLearner: false }],
    },
    { header: HEADER, members: [MEMBER, { ID: "1" }] },
  ),
  row("MemberRemoveRequest", services.memberIdRequest, { id: MAX_ID }, { ID: "18446744073709551615" }),
  row("MemberPromoteRequest", services.memberIdRequest, { id: 9n }, { ID: "9" }),
  row(
    "AlarmRequest",
    services.alarmQuery,
    { action: "deactivate", member: 9n, alarm: "corrupt" },
    { action: "DEACTIVATE", memberID: "9", alarm: "CORRUPT" },
  ),
  row(
    "StatusResponse",
    services.statusResponse,
    {
      header,
      version: "3.6.14",
      dbSize: 10,
      leader: MAX_ID,
      raftIndex: 11,
      raftTerm: 12,
      raftAppliedIndex: 13,
      errors: ["one", "two"],
      dbSizeInUse: 14,
      isLearner: true,
      storageVersion: "3.6.0",
      dbSizeQuota: 15,
      downgradeInfo: { enabled: true, targetVersion: "3.5.0" },
    },
    {
      header: HEADER,
      version: "3.6.14",
      dbSize: "10",
      leader: "18446744073709551615",
      raftIndex: "11",
      raftTerm: "12",
      raftAppliedIndex: "13",
      errors: ["one", "two"],
      dbSizeInUse: "14",
      isLearner: true,
      storageVersion: "3.6.0",
      dbSizeQuota: "15",
      downgradeInfo: { enabled: true, targetVersion: "3.5.0" },
    },
  ),
  row("HashKVRequest", services.hashKvRequest, { revision: 7 }, { revision: "7" }),
  row(
    "HashKVResponse",
    services.hashKvResponse,
    { header, hash: 2 ** 32 - 1, compactRevision: 8, hashRevision: 9 },
    { header: HEADER, hash: 4294967295, compact_revision: "8", hash_revision: "9" },
  ),
  row("HashResponse", services.hashResponse, { header, hash: 2 ** 31 }, { header: HEADER, hash: 2147483648 }),
  row("MoveLeaderRequest", services.moveLeaderRequest, { target: 7n }, { targetID: "7" }),
  {
    ...row("", services.healthCheckRequest, { service: "s" }, { service: "s" }),
    proto: "grpc.health.v1.HealthCheckRequest",
  },
  {
    ...row("", services.healthCheckResponse, { status: "notServing" }, { status: "NOT_SERVING" }),
    proto: "grpc.health.v1.HealthCheckResponse",
  },
];

describe.each(ROWS)("$proto", ({ proto: name, codec, value, object }) => {
  const type = root.lookupType(name);

  it("is read by reflection as the value that was encoded", () => {
    expect(type.toObject(type.decode(codec.encode(value)), AS_OBJECT)).toEqual(object);
  });

  it("reads what reflection wrote", () => {
    const bytes = type.encode(type.fromObject(object)).finish();
    expect(codec.decode(bytes)).toEqual({ type: "ok", value });
  });

  it("takes any part of the bytes without an exception", () => {
    const bytes = codec.encode(value);
    for (let end = 0; end < bytes.length; end++) {
      expect(["ok", "refused"]).toContain(codec.decode(bytes.slice(0, end)).type);
    }
  });

  it("has every field of the proto", () => {
    expect(Object.keys(object).sort()).toEqual(type.fieldsArray.map((field) => field.name).sort());
  });
});

describe("lenient as protobuf", () => {
  it.each([
    ["an unknown enum", services.alarmQuery, "0807", { action: undefined, member: 0n, alarm: "none" }],
    ["the last of two counts", services.hashKvRequest, "0801 0802", { revision: 2 }],
    ["unknown fields are passed over", services.hashKvRequest, "5001 0802 fa0601ff", { revision: 2 }],
  ] as const)("%s", (_name, codec, hex, value) => {
    expect(codec.decode(fromHex(hex))).toEqual({ type: "ok", value });
  });

  it("refuses a string that is no UTF-8", () => {
    expect(services.healthCheckRequest.decode(fromHex("0a01ff"))).toEqual({
      type: "refused",
      reason: "health check request: service is not valid UTF-8",
    });
  });

  it("does not write a number that is none", () => {
    expect(() => services.hashKvRequest.encode({ revision: Number.NaN })).toThrow("revision NaN");
  });
});

const create = {
  key: bytesOf("k"),
  rangeEnd: bytesOf("l"),
  startRevision: -5,
  progressNotify: true,
  filters: [0, 1],
  prevKv: true,
  watchId: 2 ** 40,
  fragment: true,
};

describe("WatchRequest", () => {
  const type = root.lookupType("etcdserverpb.WatchRequest");

  it.each<[pb.WatchRequest, object]>([
    [
      { type: "create", create },
      {
        create_request: {
          key: "aw==",
          range_end: "bA==",
          start_revision: "-5",
          progress_notify: true,
          filters: ["NOPUT", "NODELETE"],
          prev_kv: true,
          watch_id: String(2 ** 40),
          fragment: true,
        },
      },
    ],
    [{ type: "cancel", watchId: 7 }, { cancel_request: { watch_id: "7" } }],
    [{ type: "progress" }, { progress_request: {} }],
  ])("$type", (request, object) => {
    expect(type.toObject(type.decode(pb.encodeWatchRequest(request)), AS_OBJECT)).toEqual(object);
    const bytes = type.encode(type.fromObject(object)).finish();
    expect(pb.decodeWatchRequest(bytes)).toEqual({ type: "ok", value: request });
  });

  it.each([
    ["filters one by one", "0a04 2800 2801", { filters: [0, 1] }],
    ["filters packed", "0a04 2a020001", { filters: [0, 1] }],
    ["filters in both ways", "0a05 2800 2a0101", { filters: [0, 1] }],
  ])("reads %s", (_name, hex, want) => {
    const decoded = pb.decodeWatchRequest(fromHex(hex));
    expect(decoded).toMatchObject({ type: "ok", value: { type: "create", create: want } });
  });

  it("passes over what it does not know", () => {
    expect(pb.decodeWatchRequest(fromHex("22020801"))).toEqual({ type: "ok", value: undefined });
  });
});

describe("WatchResponse", () => {
  const type = root.lookupType("etcdserverpb.WatchResponse");
  const kv = {
    key: bytesOf("k"),
    createRevision: 2,
    modRevision: 3,
    version: 1,
    value: bytesOf("v"),
    lease: 0n,
  };
  const events: readonly Event[] = [
    { type: "put", kv, prevKv: undefined },
    { type: "delete", kv: { ...kv, createRevision: 0, version: 0, value: new Uint8Array(0) }, prevKv: kv },
  ];
  const head: pb.WatchHead = {
    watchId: -1,
    created: true,
    canceled: true,
    compactRevision: 9,
    cancelReason: "why",
    fragment: true,
  };
  const bytes = concatBytes([pb.encodeWatchHead(header, head), ...events.map(pb.encodeWatchEvent)]);

  it("is a head and the shared events in a row", () => {
    const KV = { key: "aw==", create_revision: "2", mod_revision: "3", version: "1", value: "dg==" };
    expect(type.toObject(type.decode(bytes), AS_OBJECT)).toEqual({
      header: HEADER,
      watch_id: "-1",
      created: true,
      canceled: true,
      compact_revision: "9",
      cancel_reason: "why",
      fragment: true,
      events: [{ kv: KV }, { type: "DELETE", kv: { key: "aw==", mod_revision: "3" }, prev_kv: KV }],
    });
  });

  it("is read back", () => {
    expect(pb.decodeWatchResponse(bytes)).toEqual({ type: "ok", value: { header, ...head, events } });
  });
});

describe("golden bytes", () => {
  it.each<[string, Uint8Array, string]>([
    ["keepalive", services.leaseKeepAliveRequest.encode({ id: 300n }), "08ac02"],
    [
      "members",
      services.memberListResponse.encode({ header: undefined, members: [{ ...member, id: 1n }] }),
      "122c 0801 12026d31 1a0a687474703a2f2f613a31 1a0a687474703a2f2f623a32 220a687474703a2f2f633a33 2801",
    ],
    [
      "watch request",
      pb.encodeWatchRequest({ type: "create", create }),
      "0a22 0a016b 12016c 18fbffffffffffffffff01 2001 2a020001 3001 38808080808020 4001",
    ],
    ["cancel", pb.encodeWatchRequest({ type: "cancel", watchId: 0 }), "1200"],
    ["serving", services.healthCheckResponse.encode({ status: "serving" }), "0801"],
    ["nothing", services.hashKvRequest.encode({ revision: 0 }), ""],
  ])("%s", (_name, encoded, hex) => {
    expect(toHex(encoded)).toBe(hex.replaceAll(" ", ""));
  });
});
