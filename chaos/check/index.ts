export { checkKvHistory } from "./check-kv.ts";
export type { CheckedCounts, Finding, KvRule, KvVerdict } from "./findings.ts";
export { historyLines, historyOfLines } from "./history-file.ts";
export {
  type Band,
  type ClientRequest,
  type ClientResponse,
  type HashAnswer,
  type HashRecord,
  isReadOnly,
  isSerializable,
  type KeepAliveRecord,
  type KvHistory,
  type KvOperation,
  type LeaderBand,
  type LeaseDump,
  type LeaseReadRecord,
  type LogRecord,
  type MemberDump,
  type OperationOutcome,
  type WatchAnswer,
  type WatchRecord,
} from "./kv-history.ts";
export { Model, type ModelChange, type ModelOutcome, type ModelView } from "./model.ts";
export { compareBytes, doorProblem, latin1, MAX_TXN_OPS, sameKeyValue } from "./model-rules.ts";
export {
  checkLinearizable,
  MODEL_LIMITS,
  REGISTER_LIMITS,
  type WglLimits,
  type WglOperation,
  type WglSpecification,
  type WglVerdict,
} from "./wgl.ts";
export { checkBeginning, checkPiece } from "./wgl-model.ts";
export { checkRegisters, type RegisterVerdict } from "./wgl-register.ts";
