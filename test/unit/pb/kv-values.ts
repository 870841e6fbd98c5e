/**
 * Generators of etcd's requests, answers, key-values and events, and what each is in terms of proto/rpc.proto and
 * proto/kv.proto, written out by hand as in values.ts.
 */
import fc from "fast-check";
import {
  type AnyRequest,
  decodeEvent,
  decodeKeyValue,
  decodeKvRequest,
  decodeKvResponse,
  encodeEvent,
  encodeKeyValue,
  encodeKvRequest,
  encodeKvResponse,
  type ResponseHeader,
} from "../../../src/pb/index.ts";
import type {
  Compare,
  Event,
  KeyValue,
  KvRequest,
  KvResponse,
  RequestOp,
  ResponseOp,
  TxnRequest,
} from "../../../src/pb/kv.ts";
import type { AnyCodec, Codec } from "./values.ts";

const MAX_SAFE = Number.MAX_SAFE_INTEGER;

/** Integers on both sides of every length of a varint. */
const count: fc.Arbitrary<number> = fc.oneof(
  fc.integer({ min: 0, max: 300 }),
  fc.constantFrom(
    ...[2 ** 14 - 1, 2 ** 14, 2 ** 21 - 1, 2 ** 21, 2 ** 28, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32],
    ...[2 ** 35 - 1, 2 ** 35, 2 ** 42, 2 ** 49 - 1, 2 ** 49, MAX_SAFE],
  ),
  fc.integer({ min: 0, max: MAX_SAFE }),
);
const int64: fc.Arbitrary<number> = fc.oneof(
  count,
  count.map((n) => (n === 0 ? 0 : -n)),
);
const uint64: fc.Arbitrary<bigint> = fc.oneof(
  fc.bigInt({ min: 0n, max: 200n }),
  fc.constantFrom(2n ** 32n - 1n, 2n ** 32n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
);
const lease: fc.Arbitrary<bigint> = uint64.map((n) => BigInt.asIntN(64, n));
const bool = fc.boolean();
const bytes: fc.Arbitrary<Uint8Array> = fc.oneof(
  { weight: 4, arbitrary: fc.uint8Array({ maxLength: 20 }) },
  { weight: 1, arbitrary: fc.integer({ min: 60, max: 400 }).map((n) => new Uint8Array(n).fill(n)) },
);

/** Objects with a type and generated fields. */
function tagged<K extends string, T>(
  type: K,
  fields: { [F in keyof T]: fc.Arbitrary<T[F]> },
): fc.Arbitrary<{ readonly type: K } & T> {
  return fc.record(fields).map((value) => ({ type, ...value }));
}

const range = tagged("range", {
  key: bytes,
  rangeEnd: bytes,
  limit: int64,
  revision: int64,
  sortOrder: fc.constantFrom("none" as const, "ascend" as const, "descend" as const, undefined),
  sortTarget: fc.constantFrom(...(["key", "version", "create", "mod", "value"] as const), undefined),
  serializable: bool,
  keysOnly: bool,
  countOnly: bool,
  minModRevision: int64,
  maxModRevision: int64,
  minCreateRevision: int64,
  maxCreateRevision: int64,
});
const put = tagged("put", {
  key: bytes,
  value: bytes,
  lease,
  prevKv: bool,
  ignoreValue: bool,
  ignoreLease: bool,
});
const deleteRange = tagged("deleteRange", { key: bytes, rangeEnd: bytes, prevKv: bool });

const target: fc.Arbitrary<Compare["target"]> = fc.oneof(
  fc.record({ type: fc.constantFrom("version" as const, "create" as const, "mod" as const), value: int64 }),
  fc.record({ type: fc.constant("value" as const), value: bytes }),
  fc.record({ type: fc.constant("lease" as const), value: lease }),
  fc.constant(undefined),
);
const compare: fc.Arbitrary<Compare> = fc.record({
  result: fc.constantFrom(...(["equal", "greater", "less", "notEqual"] as const), undefined),
  key: bytes,
  rangeEnd: bytes,
  target,
});

const { txn } = fc.letrec<{ txn: TxnRequest; op: RequestOp | undefined }>((tie) => ({
  op: fc.oneof({ maxDepth: 3 }, range, put, deleteRange, fc.constant(undefined), tie("txn")),
  txn: tagged("txn", {
    compare: fc.array(compare, { maxLength: 3 }),
    success: fc.array(tie("op"), { maxLength: 4 }),
    failure: fc.array(tie("op"), { maxLength: 2 }),
  }),
}));

const REQUESTS = {
  range,
  put,
  deleteRange,
  txn,
  compaction: tagged("compaction", { revision: int64, physical: bool }),
  leaseGrant: tagged("leaseGrant", { id: lease, ttl: int64 }),
  leaseRevoke: tagged("leaseRevoke", { id: lease }),
  leaseCheckpoint: tagged("leaseCheckpoint", {
    leases: fc.array(fc.record({ id: lease, remainingTtl: int64 }), { maxLength: 4 }),
  }),
  alarm: tagged("alarm", {
    action: fc.constantFrom("activate" as const, "deactivate" as const),
    member: uint64,
    alarm: fc.constantFrom("nospace" as const, "corrupt" as const),
  }),
} satisfies { [T in AnyRequest["type"]]: fc.Arbitrary<Extract<AnyRequest, { readonly type: T }>> };

/** What a log entry can carry. */
export const kvRequest: fc.Arbitrary<KvRequest> = fc.oneof(
  put,
  deleteRange,
  txn,
  REQUESTS.compaction,
  REQUESTS.leaseGrant,
  REQUESTS.leaseRevoke,
  REQUESTS.leaseCheckpoint,
  REQUESTS.alarm,
);

const keyValue: fc.Arbitrary<KeyValue> = fc.record({
  key: bytes,
  createRevision: count,
  modRevision: count,
  version: count,
  value: bytes,
  lease,
});
const event: fc.Arbitrary<Event> = fc.record({
  type: fc.constantFrom("put" as const, "delete" as const),
  kv: keyValue,
  prevKv: fc.option(keyValue, { nil: undefined }),
});

const rangeResponse = tagged("range", {
  kvs: fc.array(keyValue, { maxLength: 4 }),
  more: bool,
  count: int64,
});
const putResponse = tagged("put", { prevKv: fc.option(keyValue, { nil: undefined }) });
const deleteRangeResponse = tagged("deleteRange", {
  deleted: fc.oneof(fc.constant(0), int64),
  prevKvs: fc.array(keyValue, { maxLength: 3 }),
});
const txnResponse = fc.letrec<{ txn: Extract<ResponseOp, { type: "txn" }>; op: ResponseOp }>((tie) => ({
  op: fc.oneof({ maxDepth: 3 }, rangeResponse, putResponse, deleteRangeResponse, tie("txn")),
  txn: tagged("txn", { succeeded: bool, responses: fc.array(tie("op"), { maxLength: 4 }) }),
})).txn;

const RESPONSES = {
  range: rangeResponse,
  put: putResponse,
  deleteRange: deleteRangeResponse,
  txn: txnResponse,
  compaction: fc.constant({ type: "compaction" as const }),
  leaseGrant: tagged("leaseGrant", { id: lease, ttl: int64 }),
  leaseRevoke: fc.constant({ type: "leaseRevoke" as const }),
  leaseCheckpoint: fc.constant({ type: "leaseCheckpoint" as const }),
  alarm: tagged("alarm", {
    alarms: fc.array(
      fc.record({ member: uint64, alarm: fc.constantFrom("nospace" as const, "corrupt" as const) }),
      { maxLength: 3 },
    ),
  }),
} satisfies { [T in KvResponse["type"]]: fc.Arbitrary<Extract<KvResponse, { readonly type: T }>> };

const header: fc.Arbitrary<ResponseHeader | undefined> = fc.option(
  fc.record({ clusterId: uint64, memberId: uint64, revision: int64, raftTerm: count }),
  { nil: undefined },
);

// The proto form.

const SORT_ORDER = { none: 0, ascend: 1, descend: 2 };
const SORT_TARGET = { key: 0, version: 1, create: 2, mod: 3, value: 4 };
const RESULT = { equal: 0, greater: 1, less: 2, notEqual: 3 };
const ALARM = { nospace: 1, corrupt: 2 };
const UNKNOWN = 127;

function requestProto(request: AnyRequest): object {
  switch (request.type) {
    case "range":
      return {
        key: request.key,
        range_end: request.rangeEnd,
        limit: String(request.limit),
        revision: String(request.revision),
        sort_order: request.sortOrder === undefined ? UNKNOWN : SORT_ORDER[request.sortOrder],
        sort_target: request.sortTarget === undefined ? UNKNOWN : SORT_TARGET[request.sortTarget],
        serializable: request.serializable,
        keys_only: request.keysOnly,
        count_only: request.countOnly,
        min_mod_revision: String(request.minModRevision),
        max_mod_revision: String(request.maxModRevision),
        min_create_revision: String(request.minCreateRevision),
        max_create_revision: String(request.maxCreateRevision),
      };
    case "put":
      return {
        key: request.key,
        value: request.value,
        lease: String(request.lease),
        prev_kv: request.prevKv,
        ignore_value: request.ignoreValue,
        ignore_lease: request.ignoreLease,
      };
    case "deleteRange":
      return { key: request.key, range_end: request.rangeEnd, prev_kv: request.prevKv };
    case "txn":
      return {
        compare: request.compare.map(compareProto),
        success: request.success.map(opProto),
        failure: request.failure.map(opProto),
      };
    case "compaction":
      return { revision: String(request.revision), physical: request.physical };
    case "leaseGrant":
      return { TTL: String(request.ttl), ID: String(request.id) };
    case "leaseRevoke":
      return { ID: String(request.id) };
    case "leaseCheckpoint": {
      const checkpoints = request.leases.map((l) => {
        return { ID: String(l.id), remaining_TTL: String(l.remainingTtl) };
      });
      return { checkpoints };
    }
    case "alarm": {
      const action = request.action === "activate" ? 1 : 2;
      return { action, memberID: String(request.member), alarm: ALARM[request.alarm] };
    }
  }
}

/** KvEntry of raft.proto. */
export function kvEntryProto(request: KvRequest): object {
  const field = {
    put: "put",
    deleteRange: "delete_range",
    txn: "txn",
    compaction: "compaction",
    leaseGrant: "lease_grant",
    leaseRevoke: "lease_revoke",
    leaseCheckpoint: "lease_checkpoint",
    alarm: "alarm",
  }[request.type];
  return { [field]: requestProto(request) };
}

function opProto(op: RequestOp | undefined): object {
  if (op === undefined) return {};
  const field = {
    range: "request_range",
    put: "request_put",
    deleteRange: "request_delete_range",
    txn: "request_txn",
  }[op.type];
  return { [field]: requestProto(op) };
}

function compareProto({ result, key, rangeEnd, target }: Compare): object {
  const head = { result: result === undefined ? UNKNOWN : RESULT[result], key, range_end: rangeEnd };
  switch (target?.type) {
    case "version":
      return { ...head, target: 0, version: String(target.value) };
    case "create":
      return { ...head, target: 1, create_revision: String(target.value) };
    case "mod":
      return { ...head, target: 2, mod_revision: String(target.value) };
    case "value":
      return { ...head, target: 3, value: target.value };
    case "lease":
      return { ...head, target: 4, lease: String(target.value) };
    default:
      return { ...head, target: UNKNOWN };
  }
}

function keyValueProto(kv: KeyValue): object {
  return {
    key: kv.key,
    create_revision: String(kv.createRevision),
    mod_revision: String(kv.modRevision),
    version: String(kv.version),
    value: kv.value,
    lease: String(kv.lease),
  };
}

function eventProto(e: Event): object {
  const prev = e.prevKv === undefined ? {} : { prev_kv: keyValueProto(e.prevKv) };
  return { type: e.type === "put" ? 0 : 1, kv: keyValueProto(e.kv), ...prev };
}

export interface Answered {
  readonly header: ResponseHeader | undefined;
  readonly response: KvResponse;
}

function headerProto(of: Partial<ResponseHeader>): object {
  return {
    cluster_id: String(of.clusterId ?? 0n),
    member_id: String(of.memberId ?? 0n),
    revision: String(of.revision ?? 0),
    raft_term: String(of.raftTerm ?? 0),
  };
}

function answerProto({ header, response }: Answered): object {
  if (header === undefined) return fieldsProto(response, undefined);
  const written = { header: headerProto(header) };
  return { ...written, ...fieldsProto(response, { end: BigInt(header.revision), told: changes(response) }) };
}

/** As in etcd: every change is counted when it is made. `told` is what is still to come. */
interface Counting {
  readonly end: bigint;
  told: number;
}

function changes(response: KvResponse): number {
  if (response.type === "txn") return response.responses.reduce((sum, op) => sum + changes(op), 0);
  return response.type === "put" || (response.type === "deleteRange" && response.deleted > 0) ? 1 : 0;
}

function nestedProto(op: ResponseOp, counting: Counting, all: number): object {
  if (op.type === "txn") return { header: headerProto({}), ...fieldsProto(op, counting, all) };
  counting.told -= changes(op);
  const revision = counting.told < all || all === 0 ? counting.end : counting.end - 1n;
  return { header: { ...headerProto({}), revision: String(revision) }, ...fieldsProto(op, undefined) };
}

function fieldsProto(
  response: KvResponse,
  counting: Counting | undefined,
  all = counting?.told ?? 0,
): object {
  switch (response.type) {
    case "range":
      return { kvs: response.kvs.map(keyValueProto), more: response.more, count: String(response.count) };
    case "put":
      return response.prevKv === undefined ? {} : { prev_kv: keyValueProto(response.prevKv) };
    case "deleteRange":
      return { deleted: String(response.deleted), prev_kvs: response.prevKvs.map(keyValueProto) };
    case "txn": {
      const responses = response.responses.map((op) => {
        const field = {
          range: "response_range",
          put: "response_put",
          deleteRange: "response_delete_range",
          txn: "response_txn",
        }[op.type];
        return {
          [field]: counting === undefined ? fieldsProto(op, undefined) : nestedProto(op, counting, all),
        };
      });
      return { succeeded: response.succeeded, responses };
    }
    case "leaseGrant":
      return { ID: String(response.id), TTL: String(response.ttl) };
    case "alarm": {
      const alarms = response.alarms.map((a) => ({ memberID: String(a.member), alarm: ALARM[a.alarm] }));
      return { alarms };
    }
    default:
      return {};
  }
}

function upper(type: string): string {
  return type.slice(0, 1).toUpperCase() + type.slice(1);
}

function any<T>(codec: Codec<T>): AnyCodec {
  return codec as unknown as AnyCodec;
}

function requestCodec<T extends AnyRequest["type"]>(type: T, value: fc.Arbitrary<AnyRequest>): AnyCodec {
  return any<AnyRequest>({
    name: `${type} request`,
    proto: `.etcdserverpb.${upper(type)}Request`,
    value,
    encode: encodeKvRequest,
    decode: (input) => decodeKvRequest(type, input),
    toProto: requestProto,
  });
}

function responseCodec<T extends KvResponse["type"]>(type: T, response: fc.Arbitrary<KvResponse>): AnyCodec {
  return any<Answered>({
    name: `${type} response`,
    proto: `.etcdserverpb.${upper(type)}Response`,
    value: fc.record({ header, response }),
    encode: (value) => encodeKvResponse(value.response, value.header),
    decode: (input) => decodeKvResponse(type, input),
    toProto: answerProto,
  });
}

/** Every message of etcd that is encoded. */
export const KV_CODECS: readonly AnyCodec[] = [
  any<KeyValue>({
    name: "key value",
    proto: ".mvccpb.KeyValue",
    value: keyValue,
    encode: encodeKeyValue,
    decode: decodeKeyValue,
    toProto: keyValueProto,
  }),
  any<Event>({
    name: "event",
    proto: ".mvccpb.Event",
    value: event,
    encode: encodeEvent,
    decode: decodeEvent,
    toProto: eventProto,
  }),
  requestCodec("range", REQUESTS.range),
  requestCodec("put", REQUESTS.put),
  requestCodec("deleteRange", REQUESTS.deleteRange),
  requestCodec("txn", REQUESTS.txn),
  requestCodec("compaction", REQUESTS.compaction),
  requestCodec("leaseGrant", REQUESTS.leaseGrant),
  requestCodec("leaseRevoke", REQUESTS.leaseRevoke),
  requestCodec("leaseCheckpoint", REQUESTS.leaseCheckpoint),
  requestCodec("alarm", REQUESTS.alarm),
  responseCodec("range", RESPONSES.range),
  responseCodec("put", RESPONSES.put),
  responseCodec("deleteRange", RESPONSES.deleteRange),
  responseCodec("txn", RESPONSES.txn),
  responseCodec("compaction", RESPONSES.compaction),
  responseCodec("leaseGrant", RESPONSES.leaseGrant),
  responseCodec("leaseRevoke", RESPONSES.leaseRevoke),
  responseCodec("leaseCheckpoint", RESPONSES.leaseCheckpoint),
  responseCodec("alarm", RESPONSES.alarm),
];
