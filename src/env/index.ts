export type {
  Backend,
  BackendBatch,
  BackendDirectory,
  BackendMeta,
  BackendRecord,
  BackendSnapshot,
  BackendState,
  ReceivingState,
  RecordVisitor,
} from "./backend.ts";
export type { Cancel, Clock } from "./clock.ts";
export type { FileOp, LogDirectory, LogFiles } from "./log-files.ts";
export type { PersistBatch, RecoveredLog } from "./log-storage.ts";
export {
  membersOf,
  type PeerAddress,
  type PeerHandler,
  type PeerStanding,
  type PeerTransport,
  type SnapshotSink,
  type SnapshotTaker,
} from "./peers.ts";
export type { LogFields, Logger, MonoMs, Random } from "./ports.ts";
export type { RecordReader, Records } from "./records.ts";
