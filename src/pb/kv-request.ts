/**
 * The plain requests of etcd's KV and Lease services and of alarms: messages of proto/rpc.proto without tag and length.
 * Transactions, which nest, are in kv-txn.ts; what callers use is in kv-messages.ts.
 *
 * Writers expect what `*Problem` of kv-messages.ts allows; readers read up to the reader's end.
 */
import { EMPTY_BYTES } from "../base/index.ts";
import type {
  AlarmRequest,
  AlarmType,
  CompactionRequest,
  DeleteRangeRequest,
  LeaseCheckpointRequest,
  LeaseGrantRequest,
  LeaseRevokeRequest,
  PutRequest,
  RangeRequest,
  SortOrder,
  SortTarget,
} from "./kv.ts";
import { RANGE_DEFAULTS } from "./kv-defaults.ts";
import {
  longSize,
  putInt64,
  putLong,
  readBlob,
  readBool,
  readEnum,
  readInt64,
  readLong,
  readUlong,
} from "./kv-wire.ts";
import { enter, leave, type Reader, Refusal, skipField } from "./wire-read.ts";
import { open, putBytes, putFlag, putUint, varintSize, type Writer } from "./wire-write.ts";

/** Enums of rpc.proto, by number. */
const SORT_ORDERS: readonly SortOrder[] = ["none", "ascend", "descend"];
const SORT_TARGETS: readonly SortTarget[] = ["key", "version", "create", "mod", "value"];
/** Number 0, "get" and "none", changes nothing and is never in the log. */
const ALARM_ACTIONS: readonly (AlarmRequest["action"] | undefined)[] = [undefined, "activate", "deactivate"];
const ALARM_TYPES: readonly (AlarmType | undefined)[] = [undefined, "nospace", "corrupt"];

/** Stands for a value of an enum that this program does not know: etcd's are below. */
const UNKNOWN_ENUM = 127;

/** The number of a value of an enum; an unknown one stays unknown. */
export function enumNumber<T>(values: readonly T[], value: T | undefined): number {
  return value === undefined ? UNKNOWN_ENUM : values.indexOf(value);
}

export function writeRange(w: Writer, request: RangeRequest): void {
  putBytes(w, 1, request.key);
  putBytes(w, 2, request.rangeEnd);
  putInt64(w, 3, request.limit);
  putInt64(w, 4, request.revision);
  putUint(w, 5, enumNumber(SORT_ORDERS, request.sortOrder));
  putUint(w, 6, enumNumber(SORT_TARGETS, request.sortTarget));
  putFlag(w, 7, request.serializable);
  putFlag(w, 8, request.keysOnly);
  putFlag(w, 9, request.countOnly);
  putInt64(w, 10, request.minModRevision);
  putInt64(w, 11, request.maxModRevision);
  putInt64(w, 12, request.minCreateRevision);
  putInt64(w, 13, request.maxCreateRevision);
}

export function readRange(r: Reader): RangeRequest {
  const range: { -readonly [F in keyof RangeRequest]: RangeRequest[F] } = { ...RANGE_DEFAULTS };
  while (r.pos < r.len) {
    const tag = r.tag();
    const field = tag >>> 3;
    if (field === 1) range.key = readBlob(r, tag, "key");
    else if (field === 2) range.rangeEnd = readBlob(r, tag, "rangeEnd");
    else if (field === 3) range.limit = readInt64(r, tag, "limit");
    else if (field === 4) range.revision = readInt64(r, tag, "revision");
    else if (field === 5) range.sortOrder = SORT_ORDERS[readEnum(r, tag, "sortOrder")];
    else if (field === 6) range.sortTarget = SORT_TARGETS[readEnum(r, tag, "sortTarget")];
    else if (field === 7) range.serializable = readBool(r, tag, "serializable");
    else if (field === 8) range.keysOnly = readBool(r, tag, "keysOnly");
    else if (field === 9) range.countOnly = readBool(r, tag, "countOnly");
    else if (field === 10) range.minModRevision = readInt64(r, tag, "minModRevision");
    else if (field === 11) range.maxModRevision = readInt64(r, tag, "maxModRevision");
    else if (field === 12) range.minCreateRevision = readInt64(r, tag, "minCreateRevision");
    else if (field === 13) range.maxCreateRevision = readInt64(r, tag, "maxCreateRevision");
    else skipField(r, tag);
  }
  return range;
}

/** Bytes of a put: known before, so that nothing is moved behind a value that may be large. */
export function putRequestSize(request: PutRequest): number {
  return (
    blobSize(request.key) +
    blobSize(request.value) +
    (request.lease === 0n ? 0 : 1 + longSize(request.lease)) +
    (request.prevKv ? 2 : 0) +
    (request.ignoreValue ? 2 : 0) +
    (request.ignoreLease ? 2 : 0)
  );
}

function blobSize(bytes: Uint8Array): number {
  return bytes.length === 0 ? 0 : 1 + varintSize(bytes.length) + bytes.length;
}

export function writePut(w: Writer, request: PutRequest): void {
  putBytes(w, 1, request.key);
  putBytes(w, 2, request.value);
  putLong(w, 3, request.lease);
  putFlag(w, 4, request.prevKv);
  putFlag(w, 5, request.ignoreValue);
  putFlag(w, 6, request.ignoreLease);
}

export function readPut(r: Reader): PutRequest {
  let key = EMPTY_BYTES;
  let value = EMPTY_BYTES;
  let lease = 0n;
  let prevKv = false;
  let ignoreValue = false;
  let ignoreLease = false;
  while (r.pos < r.len) {
    const tag = r.tag();
    const field = tag >>> 3;
    if (field === 1) key = readBlob(r, tag, "key");
    else if (field === 2) value = readBlob(r, tag, "value");
    else if (field === 3) lease = readLong(r, tag, "lease");
    else if (field === 4) prevKv = readBool(r, tag, "prevKv");
    else if (field === 5) ignoreValue = readBool(r, tag, "ignoreValue");
    else if (field === 6) ignoreLease = readBool(r, tag, "ignoreLease");
    else skipField(r, tag);
  }
  return { type: "put", key, value, lease, prevKv, ignoreValue, ignoreLease };
}

export function writeDeleteRange(w: Writer, request: DeleteRangeRequest): void {
  putBytes(w, 1, request.key);
  putBytes(w, 2, request.rangeEnd);
  putFlag(w, 3, request.prevKv);
}

export function readDeleteRange(r: Reader): DeleteRangeRequest {
  let key = EMPTY_BYTES;
  let rangeEnd = EMPTY_BYTES;
  let prevKv = false;
  while (r.pos < r.len) {
    const tag = r.tag();
    const field = tag >>> 3;
    if (field === 1) key = readBlob(r, tag, "key");
    else if (field === 2) rangeEnd = readBlob(r, tag, "rangeEnd");
    else if (field === 3) prevKv = readBool(r, tag, "prevKv");
    else skipField(r, tag);
  }
  return { type: "deleteRange", key, rangeEnd, prevKv };
}

export function writeCompaction(w: Writer, request: CompactionRequest): void {
  putInt64(w, 1, request.revision);
  putFlag(w, 2, request.physical);
}

export function readCompaction(r: Reader): CompactionRequest {
  let revision = 0;
  let physical = false;
  while (r.pos < r.len) {
    const tag = r.tag();
    if (tag >>> 3 === 1) revision = readInt64(r, tag, "revision");
    else if (tag >>> 3 === 2) physical = readBool(r, tag, "physical");
    else skipField(r, tag);
  }
  return { type: "compaction", revision, physical };
}

export function writeLeaseGrant(w: Writer, request: LeaseGrantRequest): void {
  putInt64(w, 1, request.ttl);
  putLong(w, 2, request.id);
}

export function readLeaseGrant(r: Reader): LeaseGrantRequest {
  let ttl = 0;
  let id = 0n;
  while (r.pos < r.len) {
    const tag = r.tag();
    if (tag >>> 3 === 1) ttl = readInt64(r, tag, "ttl");
    else if (tag >>> 3 === 2) id = readLong(r, tag, "id");
    else skipField(r, tag);
  }
  return { type: "leaseGrant", id, ttl };
}

export function writeLeaseRevoke(w: Writer, request: LeaseRevokeRequest): void {
  putLong(w, 1, request.id);
}

export function readLeaseRevoke(r: Reader): LeaseRevokeRequest {
  let id = 0n;
  while (r.pos < r.len) {
    const tag = r.tag();
    if (tag >>> 3 === 1) id = readLong(r, tag, "id");
    else skipField(r, tag);
  }
  return { type: "leaseRevoke", id };
}

export function writeLeaseCheckpoint(w: Writer, request: LeaseCheckpointRequest): void {
  for (const { id, remainingTtl } of request.leases) {
    open(w, 1);
    putLong(w, 1, id);
    putInt64(w, 2, remainingTtl);
    w.ldelim();
  }
}

export function readLeaseCheckpoint(r: Reader): LeaseCheckpointRequest {
  const leases: { readonly id: bigint; readonly remainingTtl: number }[] = [];
  while (r.pos < r.len) {
    const tag = r.tag();
    if (tag >>> 3 !== 1) {
      skipField(r, tag);
      continue;
    }
    const outer = enter(r, tag, "checkpoint");
    leases.push(readCheckpoint(r));
    leave(r, outer);
  }
  return { type: "leaseCheckpoint", leases };
}

function readCheckpoint(r: Reader): { readonly id: bigint; readonly remainingTtl: number } {
  let id = 0n;
  let remainingTtl = 0;
  while (r.pos < r.len) {
    const tag = r.tag();
    if (tag >>> 3 === 1) id = readLong(r, tag, "id");
    else if (tag >>> 3 === 2) remainingTtl = readInt64(r, tag, "remainingTtl");
    else skipField(r, tag);
  }
  return { id, remainingTtl };
}

export function writeAlarm(w: Writer, request: AlarmRequest): void {
  putUint(w, 1, ALARM_ACTIONS.indexOf(request.action));
  putLong(w, 2, request.member);
  putUint(w, 3, ALARM_TYPES.indexOf(request.alarm));
}

/** Only what changes something: action "get" and alarm "none" are answered by a member without asking the log. */
export function readAlarm(r: Reader): AlarmRequest {
  let action = 0;
  let member = 0n;
  let alarm = 0;
  while (r.pos < r.len) {
    const tag = r.tag();
    if (tag >>> 3 === 1) action = readEnum(r, tag, "action");
    else if (tag >>> 3 === 2) member = readUlong(r, tag, "member");
    else if (tag >>> 3 === 3) alarm = readEnum(r, tag, "alarm");
    else skipField(r, tag);
  }
  const known = ALARM_ACTIONS[action];
  if (known === undefined) throw new Refusal(`alarm action ${action} changes nothing`);
  return { type: "alarm", action: known, member, alarm: alarmType(alarm) };
}

/** Fields of an AlarmMember. */
export function writeAlarmMember(w: Writer, member: bigint, alarm: AlarmType): void {
  putLong(w, 1, member);
  putUint(w, 2, ALARM_TYPES.indexOf(alarm));
}

export function readAlarmMember(r: Reader): { readonly member: bigint; readonly alarm: AlarmType } {
  let member = 0n;
  let alarm = 0;
  while (r.pos < r.len) {
    const tag = r.tag();
    if (tag >>> 3 === 1) member = readUlong(r, tag, "member");
    else if (tag >>> 3 === 2) alarm = readEnum(r, tag, "alarm");
    else skipField(r, tag);
  }
  return { member, alarm: alarmType(alarm) };
}

function alarmType(number: number): AlarmType {
  const type = ALARM_TYPES[number];
  if (type === undefined) throw new Refusal(`alarm type ${number} is unknown`);
  return type;
}
