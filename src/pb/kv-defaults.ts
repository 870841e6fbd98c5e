/** Requests in which nothing is given but their type: what an absent field means, for decoders and for callers. */
import { EMPTY_BYTES } from "../base/index.ts";
import type { PutRequest, RangeRequest } from "./kv.ts";

/** A range of no key, which every member refuses: the newest of all, in order of keys, linearizable. */
export const RANGE_DEFAULTS: RangeRequest = {
  type: "range",
  key: EMPTY_BYTES,
  rangeEnd: EMPTY_BYTES,
  limit: 0,
  revision: 0,
  sortOrder: "none",
  sortTarget: "key",
  serializable: false,
  keysOnly: false,
  countOnly: false,
  minModRevision: 0,
  maxModRevision: 0,
  minCreateRevision: 0,
  maxCreateRevision: 0,
};

/** A put of no key, which every member refuses. */
export const PUT_DEFAULTS: PutRequest = {
  type: "put",
  key: EMPTY_BYTES,
  value: EMPTY_BYTES,
  lease: 0n,
  prevKv: false,
  ignoreValue: false,
  ignoreLease: false,
};

/** The paths at which etcd's gRPC services take the requests that a log entry can carry, and ranges. */
export const KV_METHODS = {
  range: "/etcdserverpb.KV/Range",
  put: "/etcdserverpb.KV/Put",
  deleteRange: "/etcdserverpb.KV/DeleteRange",
  txn: "/etcdserverpb.KV/Txn",
  compaction: "/etcdserverpb.KV/Compact",
  leaseGrant: "/etcdserverpb.Lease/LeaseGrant",
  leaseRevoke: "/etcdserverpb.Lease/LeaseRevoke",
  alarm: "/etcdserverpb.Maintenance/Alarm",
} as const;
