export { bootstrapLog, emptyLog, emptyState, type Founder } from "./bootstrap.ts";
export { type LoadedState, type LoadResult, StateLoading } from "./loading.ts";
export { Member, type Opened, openMember, type PeerRecord } from "./member.ts";
export { DEFAULT_OPTIONS, validateOptions } from "./options.ts";
export { MAX_APPLY_LAG } from "./requests-in.ts";
export { type Received, SnapshotChecker, SnapshotReceiver } from "./snapshot-receiver.ts";
export { beginFrame, cutSnapshot, SnapshotCutter, type SnapshotHeader } from "./snapshot-sender.ts";
export type { ReceivedSnapshot } from "./transfers.ts";
export type {
  Answer,
  Effects,
  MemberOptions,
  MemberStatus,
  Request,
  SnapshotSend,
  WriteRequest,
} from "./types.ts";
