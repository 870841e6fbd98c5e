/**
 * The errors that clients see: code and text exactly as etcd's (api/v3rpc/rpctypes/error.go), because clients map them
 * by text. They are values, not exceptions: a request that is refused is a normal outcome and changes nothing.
 */

/** gRPC status codes by number. */
export const CODE = {
  canceled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
} as const;

export type Code = (typeof CODE)[keyof typeof CODE];

/** A refusal: equal errors are the same object, so they may be compared by identity. */
export interface KvError {
  readonly code: Code;
  /** Complete text as on the wire. */
  readonly message: string;
}

function error(code: Code, text: string): KvError {
  return Object.freeze({ code, message: `etcdserver: ${text}` });
}

/** Every refusal of the key-value, watch, lease and maintenance services that the replicated state can give. */
export const ERR = {
  emptyKey: error(CODE.invalidArgument, "key is not provided"),
  keyNotFound: error(CODE.invalidArgument, "key not found"),
  valueProvided: error(CODE.invalidArgument, "value is provided"),
  leaseProvided: error(CODE.invalidArgument, "lease is provided"),
  tooManyOps: error(CODE.invalidArgument, "too many operations in txn request"),
  duplicateKey: error(CODE.invalidArgument, "duplicate key given in txn request"),
  invalidSortOption: error(CODE.invalidArgument, "invalid sort option"),
  requestTooLarge: error(CODE.invalidArgument, "request is too large"),
  compacted: error(CODE.outOfRange, "mvcc: required revision has been compacted"),
  futureRevision: error(CODE.outOfRange, "mvcc: required revision is a future revision"),
  leaseTtlTooLarge: error(CODE.outOfRange, "too large lease TTL"),
  noSpace: error(CODE.resourceExhausted, "mvcc: database space exceeded"),
  tooManyRequests: error(CODE.resourceExhausted, "too many requests"),
  leaseNotFound: error(CODE.notFound, "requested lease not found"),
  memberNotFound: error(CODE.notFound, "member not found"),
  memberExists: error(CODE.failedPrecondition, "member ID already exist"),
  peerUrlExists: error(CODE.failedPrecondition, "Peer URLs already exists"),
  memberUrlsInvalid: error(CODE.invalidArgument, "given member URLs are invalid"),
  memberNotLearner: error(CODE.failedPrecondition, "can only promote a learner member"),
  tooManyLearners: error(CODE.failedPrecondition, "too many learner members in cluster"),
  leaseExists: error(CODE.failedPrecondition, "lease already exists"),
  noLeader: error(CODE.unavailable, "no leader"),
  leaderChanged: error(CODE.unavailable, "leader changed"),
  stopped: error(CODE.unavailable, "server stopped"),
  timeout: error(CODE.unavailable, "request timed out"),
  corrupt: error(CODE.dataLoss, "corrupt cluster"),
  notLeader: error(CODE.failedPrecondition, "not leader"),
  badLeaderTransferee: error(CODE.failedPrecondition, "bad leader transferee"),
  learnerNotReady: error(
    CODE.failedPrecondition,
    "can only promote a learner member which is in sync with leader",
  ),
  /** Not of etcd: there a second change waits in the log and comes to nothing. */
  changePending: error(CODE.unavailable, "a membership change is pending, try again when it is done"),
  /** Not of etcd, which panics or ignores such a change. */
  changeInvalid: error(CODE.failedPrecondition, "the membership change does not fit the current members"),
  notSupportedForLearner: error(CODE.failedPrecondition, "rpc not supported for learner"),
} as const;
