/** Messages of the Cluster and Maintenance services that only clients need so far; numbers are those of etcd. */
import {
  blob,
  flag,
  list,
  type MessageOf,
  memberId,
  message,
  nested,
  text,
  texts,
  uint64,
} from "../pb/fields.ts";
import { headerCodec, memberCodec } from "../pb/services.ts";

const header = nested(1, headerCodec);

export const memberAddRequest = message("member add request", { peerUrls: texts(1), isLearner: flag(2) });

/** The new member and, with it, all. */
export const memberAddResponse = message("member add response", {
  header,
  member: nested(2, memberCodec),
  members: list(3, memberCodec),
});

export type MemberAddResponse = MessageOf<typeof memberAddResponse>;

export const memberUpdateRequest = message("member update request", { id: memberId(1), peerUrls: texts(2) });

export const snapshotResponse = message("snapshot response", {
  header,
  /** Of the file, behind this blob. */
  remainingBytes: uint64(2),
  blob: blob(3),
  version: text(4),
});

export type SnapshotResponse = MessageOf<typeof snapshotResponse>;
