/**
 * Vocabulary of etcd's v3 API as the replicated state sees it: requests, their answers, keys and events. Types only;
 * names and meaning are etcd's (api/etcdserverpb/rpc.proto, api/mvccpb/kv.proto), in camelCase.
 *
 * Integers: an int64 of a client is a `number`. Above 2^53-1 the codec gives `Number.MAX_SAFE_INTEGER`, below
 * -(2^53-1) its negative, so that a future revision stays one and a huge limit stays unlimited. Lease IDs are `bigint`
 * in [-2^63, 2^63). Absent bytes are empty bytes. Byte arrays are owned by the request and never changed.
 */

export interface KeyValue {
  readonly key: Uint8Array;
  readonly createRevision: number;
  readonly modRevision: number;
  /** Number of puts since the key was created, from 1; 0 in a delete event. */
  readonly version: number;
  readonly value: Uint8Array;
  /** 0n: none. */
  readonly lease: bigint;
}

/** One change of one key. `kv` of a delete has key and modRevision only, the rest is zero. */
export interface Event {
  readonly type: "put" | "delete";
  readonly kv: KeyValue;
  readonly prevKv: KeyValue | undefined;
}

export type SortOrder = "none" | "ascend" | "descend";
export type SortTarget = "key" | "version" | "create" | "mod" | "value";

export interface RangeRequest {
  readonly type: "range";
  readonly key: Uint8Array;
  /** Empty: one key. The byte 0 alone: every key from `key` on. */
  readonly rangeEnd: Uint8Array;
  /** At most so many keys; <= 0: all. */
  readonly limit: number;
  /** <= 0: the newest. */
  readonly revision: number;
  /** undefined: a number that etcd does not know; refused. */
  readonly sortOrder: SortOrder | undefined;
  readonly sortTarget: SortTarget | undefined;
  readonly serializable: boolean;
  readonly keysOnly: boolean;
  readonly countOnly: boolean;
  /** Filters; 0: none. */
  readonly minModRevision: number;
  readonly maxModRevision: number;
  readonly minCreateRevision: number;
  readonly maxCreateRevision: number;
}

export interface PutRequest {
  readonly type: "put";
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly lease: bigint;
  readonly prevKv: boolean;
  readonly ignoreValue: boolean;
  readonly ignoreLease: boolean;
}

export interface DeleteRangeRequest {
  readonly type: "deleteRange";
  readonly key: Uint8Array;
  readonly rangeEnd: Uint8Array;
  readonly prevKv: boolean;
}

export type CompareResult = "equal" | "greater" | "less" | "notEqual";

export interface Compare {
  /** undefined: a number that etcd does not know; such a compare holds. */
  readonly result: CompareResult | undefined;
  readonly key: Uint8Array;
  readonly rangeEnd: Uint8Array;
  /** What is compared, with what. undefined: a target that etcd does not know; it counts as equal. */
  readonly target:
    | { readonly type: "version" | "create" | "mod"; readonly value: number }
    | { readonly type: "value"; readonly value: Uint8Array }
    | { readonly type: "lease"; readonly value: bigint }
    | undefined;
}

/** An operation of a txn; undefined: an empty one, refused with `key not found`. */
export type RequestOp = RangeRequest | PutRequest | DeleteRangeRequest | TxnRequest;

export interface TxnRequest {
  readonly type: "txn";
  readonly compare: readonly Compare[];
  readonly success: readonly (RequestOp | undefined)[];
  readonly failure: readonly (RequestOp | undefined)[];
}

export interface CompactionRequest {
  readonly type: "compaction";
  readonly revision: number;
  /** Answer only when what was compacted is deleted, durably. */
  readonly physical: boolean;
}

export interface LeaseGrantRequest {
  readonly type: "leaseGrant";
  /** In a log entry: > 0n, chosen by the member that took the request when the client gave 0. */
  readonly id: bigint;
  /** Seconds, as granted: in a log entry not below the minimum. */
  readonly ttl: number;
}

export interface LeaseRevokeRequest {
  readonly type: "leaseRevoke";
  readonly id: bigint;
}

/** Remaining times that survive a change of the leader. Made by the leader, never by a client. */
export interface LeaseCheckpointRequest {
  readonly type: "leaseCheckpoint";
  readonly leases: readonly { readonly id: bigint; readonly remainingTtl: number }[];
}

export type AlarmType = "nospace" | "corrupt";

export interface AlarmRequest {
  readonly type: "alarm";
  readonly action: "activate" | "deactivate";
  readonly member: bigint;
  readonly alarm: AlarmType;
}

/** What a log entry can carry for the replicated state. A read-only txn is never proposed. */
export type KvRequest =
  | PutRequest
  | DeleteRangeRequest
  | TxnRequest
  | CompactionRequest
  | LeaseGrantRequest
  | LeaseRevokeRequest
  | LeaseCheckpointRequest
  | AlarmRequest;

export interface RangeResponse {
  readonly type: "range";
  readonly kvs: readonly KeyValue[];
  readonly more: boolean;
  /** Keys in the range at that revision, whatever limit and filters leave of them. */
  readonly count: number;
}

export interface PutResponse {
  readonly type: "put";
  readonly prevKv: KeyValue | undefined;
}

export interface DeleteRangeResponse {
  readonly type: "deleteRange";
  readonly deleted: number;
  readonly prevKvs: readonly KeyValue[];
}

export interface TxnResponse {
  readonly type: "txn";
  readonly succeeded: boolean;
  readonly responses: readonly ResponseOp[];
}

export type ResponseOp = RangeResponse | PutResponse | DeleteRangeResponse | TxnResponse;

export interface CompactionResponse {
  readonly type: "compaction";
}

export interface LeaseGrantResponse {
  readonly type: "leaseGrant";
  readonly id: bigint;
  readonly ttl: number;
}

export interface LeaseRevokeResponse {
  readonly type: "leaseRevoke";
}

export interface LeaseCheckpointResponse {
  readonly type: "leaseCheckpoint";
}

export interface AlarmResponse {
  readonly type: "alarm";
  readonly alarms: readonly { readonly member: bigint; readonly alarm: AlarmType }[];
}

export type KvResponse =
  | ResponseOp
  | CompactionResponse
  | LeaseGrantResponse
  | LeaseRevokeResponse
  | LeaseCheckpointResponse
  | AlarmResponse;
