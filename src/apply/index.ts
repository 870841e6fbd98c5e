export {
  type Applied,
  AppliedLoader,
  type AppliedOptions,
  AppliedState,
  LOADED_PREFIXES,
} from "./applied-state.ts";
export { ALARM_PREFIX, type Alarm, Alarms } from "./kv/alarms.ts";
export { isKvRecord, KvLoader, type KvStateOfMember } from "./kv/kv-loader.ts";
export { KvState, type Leases } from "./kv/kv-state.ts";
export { costOf, DEFAULT_QUOTA_BYTES } from "./kv/quota.ts";
export type { ReadJob } from "./kv/reads.ts";
export { DEFAULT_REQUEST_LIMITS, type RequestLimits, requestProblem } from "./kv/request-problem.ts";
export { isReadOnlyTxn, isSerializableTxn } from "./kv/txn.ts";
export type {
  ChangeListener,
  KvOutcome,
  KvStore,
  Outcome,
  RangeOutcome,
  TxnOutcome,
} from "./kv/types.ts";
export {
  isInConf,
  isSame,
  type ListedMember,
  MemberRecords,
  membersOf,
  type Published,
} from "./member-records.ts";
export { Overlay } from "./overlay.ts";
export type { RecordChanges } from "./records.ts";
export { MAX_SEEN_INSTANCES, RequestsSeen, SEEN_WINDOW } from "./requests-seen.ts";
