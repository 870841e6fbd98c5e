export { bootstrapLog, emptyLog, emptyState } from "./bootstrap.ts";
export { Member, type Opened, openMember, type PeerRecord } from "./member.ts";
export { DEFAULT_OPTIONS, validateOptions } from "./options.ts";
export { MAX_REQUEST_BYTES } from "./requests-in.ts";
export { type Received, SnapshotChecker, SnapshotReceiver } from "./snapshot-receiver.ts";
export { cutSnapshot, type SnapshotHeader } from "./snapshot-sender.ts";
export type { ReceivedSnapshot } from "./transfers.ts";
export type {
  Answer,
  Effects,
  MemberOptions,
  MemberStatus,
  RefusedReason,
  Request,
  SnapshotSend,
} from "./types.ts";
