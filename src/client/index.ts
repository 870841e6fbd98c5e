export type { ResponseHeader } from "../pb/index.ts";
export type {
  Compare,
  CompareResult,
  DeleteRangeRequest,
  Event,
  KeyValue,
  PutRequest,
  RangeRequest,
  RequestOp,
  SortOrder,
  SortTarget,
  TxnRequest,
} from "../pb/kv.ts";
export type { CallOptions } from "./calls.ts";
export { Client, type ClientOptions } from "./client.ts";
export type { MemberList } from "./cluster.ts";
export type { ClientTls } from "./endpoint.ts";
export { ClientError, CompactedError, WatchCanceledError } from "./errors.ts";
export {
  type Alarm,
  type Answered,
  deleteRequest,
  type Given,
  prefixEnd,
  putRequest,
  rangeRequest,
} from "./kv.ts";
export type { LeaseKept, LeaseList, LeaseTimeToLive } from "./lease.ts";
export type { HashKv, MemberStatus } from "./maintenance.ts";
export type { MemberAddResponse } from "./messages.ts";
export type { Told, WatchOptions } from "./watch.ts";
