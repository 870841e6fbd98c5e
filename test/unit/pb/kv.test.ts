// Goal: etcd's messages at their edges: integers that do not fit, enums from the future, targets that do not match,
// nesting without end, revisions inside a transaction's answer. Method: bytes by hand or by protobufjs reflection;
// generated values are tested by round-trip.test.ts, proto.test.ts and fuzz.test.ts.
import { fileURLToPath } from "node:url";
import protobuf from "protobufjs";
import { describe, expect, it } from "vitest";
import { EMPTY_BYTES } from "../../../src/base/index.ts";
import * as pb from "../../../src/pb/index.ts";
import type { Event, KeyValue, PutRequest, RangeRequest, TxnRequest } from "../../../src/pb/kv.ts";
import { rangeOf } from "../../support/plain-requests.ts";
import { fromHex, toHex } from "./values.ts";

const root = new protobuf.Root().loadSync(
  fileURLToPath(new URL("../../../proto/rpc.proto", import.meta.url)),
  { keepCase: true },
);
const MAX_SAFE = Number.MAX_SAFE_INTEGER;

function ok<T>(decoded: pb.Decoded<T>): T {
  if (decoded.type === "refused") throw new Error(decoded.reason);
  return decoded.value;
}

function reflected(type: string, value: object): Uint8Array {
  const message = root.lookupType(`etcdserverpb.${type}`);
  return message.encode(message.fromObject(value)).finish();
}

describe("int64", () => {
  it.each([
    ["largest exact", "9007199254740991", MAX_SAFE],
    ["one above it", "9007199254740992", MAX_SAFE],
    ["largest", "9223372036854775807", MAX_SAFE],
    ["minus one", "-1", -1],
    ["a word", "4294967296", 2 ** 32],
    ["minus a word", "-4294967296", -(2 ** 32)],
    ["smallest exact", "-9007199254740991", -MAX_SAFE],
    ["one below it", "-9007199254740992", -MAX_SAFE],
    ["smallest", "-9223372036854775808", -MAX_SAFE],
  ])("%s: %s is the number %d", (_name, wire, number) => {
    const { revision, limit } = ok(
      pb.decodeKvRequest("range", reflected("RangeRequest", { revision: wire, limit: wire })),
    );
    expect([revision, limit]).toEqual([number, number]);
  });

  it.each([
    ["smallest", -(2n ** 63n)],
    ["minus one", -1n],
    ["largest", 2n ** 63n - 1n],
    ["above every number", 2n ** 53n + 1n],
    ["a word", 2n ** 32n],
  ])("%s lease ID is exact", (_name, id) => {
    const bytes = reflected("LeaseRevokeRequest", { ID: String(id) });
    expect(pb.encodeKvRequest({ type: "leaseRevoke", id })).toEqual(new Uint8Array(bytes));
    expect(ok(pb.decodeKvRequest("leaseRevoke", bytes)).id).toBe(id);
  });

  it.each([
    ["overlong zero", "20 80808080808080808000", 0],
    ["bits beyond the 64th are dropped, as in Go", "20 ffffffffffffffffff7f", -1],
  ])("%s", (_name, hex, revision) => {
    expect(ok(pb.decodeKvRequest("range", fromHex(hex))).revision).toBe(revision);
  });

  it.each([
    ["eleven bytes", "20 8080808080808080808000", "range: revision is a varint of more than ten bytes"],
    ["cut off", "20 8080", "range: revision is truncated"],
    ["as fixed64", "21 0000000000000000", "range: revision has wire type 1"],
  ])("refuses %s", (_name, hex, reason) => {
    expect(pb.decodeKvRequest("range", fromHex(hex))).toEqual({ type: "refused", reason });
  });

  it.each<[string, () => Uint8Array, string]>([
    [
      "lease above 64 bits",
      () => pb.encodeKvRequest({ type: "leaseRevoke", id: 2n ** 63n }),
      "id 9223372036854775808",
    ],
    [
      "revision that is no number",
      () => pb.encodeKvRequest({ type: "compaction", revision: Number.NaN, physical: false }),
      "revision NaN",
    ],
  ])("does not write %s", (_name, encode, message) => {
    expect(encode).toThrow(message);
  });
});

describe("lenient as protobuf", () => {
  const defaults = rangeOf(EMPTY_BYTES);

  it.each<[string, string, Partial<RangeRequest>]>([
    ["no bytes are all defaults", "", {}],
    ["an unknown sort order is undefined", "2803", { sortOrder: undefined }],
    ["a negative sort target is undefined", "30ffffffffffffffffff01", { sortTarget: undefined }],
    ["an enum is its lower 32 bits", "288180808010", { sortOrder: "ascend" }],
    ["any bool but 0 is true", "3802", { serializable: true }],
    ["a bool beyond 32 bits is true", "388080808010", { serializable: true }],
    ["the last of two counts", "0a0161 0a0162", { key: fromHex("62") }],
    ["unknown fields are passed over", "f006 01 fa0601ff", {}],
  ])("%s", (_name, hex, expected) => {
    expect(ok(pb.decodeKvRequest("range", fromHex(hex)))).toEqual({ ...defaults, ...expected });
  });

  it.each<[string, string, TxnRequest["compare"][number]["target"]]>([
    ["no value is zero", "10 02", { type: "mod", value: 0 }],
    ["a value for another target is zero", "10 03 20 07", { type: "value", value: EMPTY_BYTES }],
    ["a value for the target", "10 04 40 07", { type: "lease", value: 7n }],
    ["an unknown target has none", "10 05 20 07", undefined],
  ])("compare: %s", (_name, hex, target) => {
    const compare = fromHex(hex);
    const txn = ok(pb.decodeKvRequest("txn", new Uint8Array([0x0a, compare.length, ...compare])));
    expect(txn.compare[0]?.target).toEqual(target);
  });

  it("an operation without a kind is told as undefined", () => {
    expect(ok(pb.decodeKvRequest("txn", fromHex("1200 1a00"))).success).toEqual([undefined]);
  });

  it.each([
    ["get", { action: 0 }, "alarm: alarm action 0 changes nothing"],
    ["activate nothing", { action: 1, alarm: 0 }, "alarm: alarm type 0 is unknown"],
    ["activate an unknown one", { action: 1, alarm: 3 }, "alarm: alarm type 3 is unknown"],
  ])("refuses an alarm: %s", (_name, value, reason) => {
    expect(pb.decodeKvRequest("alarm", reflected("AlarmRequest", value))).toEqual({
      type: "refused",
      reason,
    });
  });
});

describe("nesting", () => {
  function nested(depth: number): TxnRequest {
    let txn: TxnRequest = { type: "txn", compare: [], success: [], failure: [] };
    for (let i = 0; i < depth; i++) txn = { ...txn, success: [txn] };
    return txn;
  }

  it("goes as deep as the limit", () => {
    const txn = nested(pb.MAX_TXN_DEPTH - 1);
    expect(toHex(pb.encodeKvRequest(ok(pb.decodeKvRequest("txn", pb.encodeKvRequest(txn)))))).toBe(
      toHex(pb.encodeKvRequest(txn)),
    );
  });

  it("is neither written nor read beyond", () => {
    expect(() => pb.encodeKvRequest(nested(pb.MAX_TXN_DEPTH))).toThrow("txn in more than 500 others");
    let bytes = new Uint8Array(0);
    for (let i = 0; i < 20_000; i++) {
      const op = new Uint8Array([0x22, ...varint(bytes.length), ...bytes.subarray(0, 40_000)]);
      bytes = new Uint8Array([0x12, ...varint(op.length), ...op]);
      if (bytes.length > 12_000) break;
    }
    const got = pb.decodeKvRequest("txn", bytes);
    expect(got).toEqual({ type: "refused", reason: "txn: txn in more than 500 others" });
  });

  function varint(value: number): number[] {
    return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)];
  }
});

describe("revisions inside the answer of a txn", () => {
  const header = { clusterId: 1n, memberId: 2n, revision: 10, raftTerm: 3 };
  const range = { type: "range", kvs: [], more: false, count: 0 } as const;
  const put = { type: "put", prevKv: undefined } as const;
  const none = { type: "deleteRange", deleted: 0, prevKvs: [] } as const;
  const one = { type: "deleteRange", deleted: 1, prevKvs: [] } as const;
  const txn = (...responses: pb.ResponseOf<"txn">["responses"]) => {
    return { type: "txn", succeeded: true, responses } as const;
  };

  it.each<[string, pb.ResponseOf<"txn">, unknown]>([
    ["only reads", txn(range, none), [10, 10]],
    ["before and after a put", txn(range, none, put, range, none), [9, 9, 10, 10, 10]],
    ["a delete that deleted", txn(none, one, range), [9, 10, 10]],
    ["a put inside", txn(range, txn(range, put), range), [9, [9, 10], 10]],
  ])("%s", (_name, response, revisions) => {
    const type = root.lookupType("etcdserverpb.TxnResponse");
    const message = type.decode(pb.encodeKvResponse(response, header));
    expect(told(type.toObject(message, { longs: Number, arrays: true }))).toEqual(revisions);
  });

  function told(txnObject: { readonly [field: string]: unknown }): unknown[] {
    return (txnObject["responses"] as Record<string, Record<string, unknown>>[]).map((op) => {
      const [kind, body] = Object.entries(op)[0] ?? [];
      if (body === undefined) throw new Error("empty response");
      if (kind === "response_txn") {
        expect(body["header"]).toEqual({});
        return told(body);
      }
      const inner = body["header"] as Record<string, unknown>;
      expect(Object.keys(inner)).toEqual(["revision"]);
      return inner["revision"];
    });
  }
});

describe("golden bytes", () => {
  const kv: KeyValue = {
    key: fromHex("6b"),
    createRevision: 2,
    modRevision: 300,
    version: 3,
    value: fromHex("7631"),
    lease: -1n,
  };
  const deleted: KeyValue = { ...kv, createRevision: 0, version: 0, value: EMPTY_BYTES, lease: 0n };
  const put: PutRequest = {
    type: "put",
    key: fromHex("6b"),
    value: fromHex("76"),
    lease: 1n,
    prevKv: true,
    ignoreValue: false,
    ignoreLease: false,
  };
  const deletion: Event = { type: "delete", kv: deleted, prevKv: kv };
  const envelope: pb.EntryEnvelope = {
    version: 1,
    requestId: { instance: 0n, sequence: 0 },
    user: "",
    authRevision: 0,
    guardRevision: 0,
    body: { type: "kv", request: put },
  };

  it.each<[string, Uint8Array, string]>([
    ["key value", pb.encodeKeyValue(kv), "0a016b 1002 18ac02 2003 2a027631 30ffffffffffffffffff01"],
    ["put event", pb.encodeEvent({ type: "put", kv: deleted, prevKv: undefined }), "12060a016b18ac02"],
    [
      "delete event in a watch response",
      pb.encodeWatchEvent(deletion),
      "5a25 0801 12060a016b18ac02 1a190a016b100218ac0220032a02763130ffffffffffffffffff01",
    ],
    ["put", pb.encodeKvRequest(put), "0a016b 120176 1801 2001"],
    ["put in the log", pb.encodeEnvelope(envelope), "0801 520c0a0a 0a016b 120176 1801 2001"],
  ])("%s", (_name, bytes, hex) => {
    expect(toHex(bytes)).toBe(hex.replaceAll(" ", ""));
  });

  it.each([
    ["nothing", "5200", "entry envelope: request is missing"],
    ["a request of tomorrow", "52024a00", "entry envelope: request 9 is unknown"],
    ["two requests", "52040a000a00", "entry envelope: request is given twice"],
  ])("refuses %s in the log", (_name, hex, reason) => {
    expect(pb.decodeEnvelope(fromHex(`0801${hex}`))).toEqual({ type: "refused", reason });
  });

  it("does not write an event with a revision that is no integer", () => {
    expect(() => pb.encodeEvent({ type: "put", kv: { ...kv, modRevision: 1.5 }, prevKv: undefined })).toThrow(
      "not a revision or a version (value=1.5)",
    );
  });

  it.each([65, 300])("reads a value of %i bytes as a view of what it was given", (size) => {
    const bytes = pb.encodeEnvelope({
      ...envelope,
      body: { type: "kv", request: { ...put, value: new Uint8Array(size).fill(7) } },
    });
    const { body } = ok(pb.decodeEnvelope(bytes));
    if (body.type !== "kv" || body.request.type !== "put") throw new Error(body.type);
    expect(body.request.value).toEqual(new Uint8Array(size).fill(7));
    expect(body.request.value.buffer).toBe(bytes.buffer);
  });
});
