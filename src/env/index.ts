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
export type { FileOp, LogDirectory, LogFiles } from "./log-files.ts";
export type { PersistBatch, RecoveredLog } from "./log-storage.ts";
export type { LogFields, Logger, MonoMs, Random } from "./ports.ts";
export type { RecordReader, Records } from "./records.ts";
