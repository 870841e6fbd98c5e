/**
 * Messages of etcd's Lease, Cluster and Maintenance services and of gRPC's health service that are not about the
 * replicated key-value state: names and numbers as in proto/rpc.proto and proto/health.proto.
 *
 * Requests and answers of the state itself (Range ... Alarm) are in kv-messages.ts and kv-response.ts.
 */
import {
  blobs,
  flag,
  int64,
  leaseId,
  list,
  type MessageOf,
  memberId,
  message,
  nested,
  oneOf,
  text,
  texts,
  uint32,
  uint64,
} from "./fields.ts";

/** Who answers, and as of when; see `ResponseHeader` in kv-response.ts. */
export const headerCodec = message("header", {
  clusterId: memberId(1),
  memberId: memberId(2),
  /** Of the store; 0 in answers that have nothing to do with it. */
  revision: int64(3),
  raftTerm: uint64(4),
});

const header = nested(1, headerCodec);

/** Also an answer that is a header and nothing else. */
export const headerOnly = message("response", { header });
/** A request or answer without fields. */
export const empty = message("empty message", {});

// Lease

export const leaseKeepAliveRequest = message("lease keepalive request", { id: leaseId(1) });

export const leaseKeepAliveResponse = message("lease keepalive response", {
  header,
  id: leaseId(2),
  /** Seconds that the lease has again; 0: there is no such lease. */
  ttl: int64(3),
});

export const leaseTimeToLiveRequest = message("lease time to live request", {
  id: leaseId(1),
  keys: flag(2),
});

export const leaseTimeToLiveResponse = message("lease time to live response", {
  header,
  id: leaseId(2),
  /** Seconds left; -1: there is no such lease. */
  ttl: int64(3),
  grantedTtl: int64(4),
  keys: blobs(5),
});

export const leaseLeasesResponse = message("lease list response", {
  header,
  leases: list(2, message("lease status", { id: leaseId(1) })),
});

// Cluster

export const memberCodec = message("member", {
  id: memberId(1),
  /** Empty: it has not started yet. */
  name: text(2),
  peerUrls: texts(3),
  clientUrls: texts(4),
  isLearner: flag(5),
});

/** A member as clients are told of it. */
export type MemberInfo = MessageOf<typeof memberCodec>;

export const memberListRequest = message("member list request", {
  /** Not before everything that was answered anywhere when it was asked. */
  linearizable: flag(1),
});

/** Answers of MemberList, MemberRemove, MemberUpdate and MemberPromote: header and all members. */
export const memberListResponse = message("member list response", {
  header,
  members: list(2, memberCodec),
});

export const memberAddRequest = message("member add request", { peerUrls: texts(1), isLearner: flag(2) });

export const memberAddResponse = message("member add response", {
  header,
  /** The new one. */
  member: nested(2, memberCodec),
  members: list(3, memberCodec),
});

export const memberUpdateRequest = message("member update request", { id: memberId(1), peerUrls: texts(2) });

/** Requests that name a member and nothing else: MemberRemove, MemberPromote. */
export const memberIdRequest = message("member request", { id: memberId(1) });

// Maintenance

const ALARM_ACTIONS = ["get", "activate", "deactivate"] as const;
const ALARM_TYPES = ["none", "nospace", "corrupt"] as const;

/** An alarm request of a client; one that is to change something becomes an `AlarmRequest` of kv.ts. */
export const alarmQuery = message("alarm request", {
  action: oneOf(1, ALARM_ACTIONS),
  member: memberId(2),
  alarm: oneOf(3, ALARM_TYPES),
});

export const statusResponse = message("status response", {
  header,
  version: text(2),
  /** Bytes; above 0, because etcdctl divides by it. */
  dbSize: int64(3),
  /** 0n: none is known. */
  leader: memberId(4),
  /** Committed. */
  raftIndex: uint64(5),
  raftTerm: uint64(6),
  raftAppliedIndex: uint64(7),
  errors: texts(8),
  dbSizeInUse: int64(9),
  isLearner: flag(10),
  storageVersion: text(11),
  /** 0: none. */
  dbSizeQuota: int64(12),
  downgradeInfo: nested(13, message("downgrade info", { enabled: flag(1), targetVersion: text(2) })),
});

export const hashKvRequest = message("hash request", {
  /** 0: the newest. */
  revision: int64(1),
});

export const hashKvResponse = message("hash of revisions response", {
  header,
  hash: uint32(2),
  compactRevision: int64(3),
  hashRevision: int64(4),
});

export const hashResponse = message("hash response", { header, hash: uint32(2) });

export const moveLeaderRequest = message("move leader request", { target: memberId(1) });

// gRPC health

export const healthCheckRequest = message("health check request", {
  /** Empty: the server as a whole. */
  service: text(1),
});

export const healthCheckResponse = message("health check response", {
  status: oneOf(1, ["unknown", "serving", "notServing", "serviceUnknown"]),
});
