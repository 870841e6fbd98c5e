export type {
  ProposeResult,
  RaftBatch,
  RaftOptions,
  RaftStart,
  ReadState,
  SnapshotWanted,
  TransferResult,
} from "./api.ts";
export { changeConf, EMPTY_CONF, isJoint, isLeave, isMember, isVoter, membersOf } from "./conf.ts";
export { Raft } from "./raft.ts";
export { FIRST_ELECTED_TERM, PROMISE_FACTOR } from "./state.ts";
export type {
  AppendRequest,
  AppendResponse,
  ConfChange,
  ConfChangeStep,
  ConfState,
  Entry,
  HardState,
  Heartbeat,
  HeartbeatResponse,
  Message,
  MessageType,
  ProgressState,
  ProposedEntry,
  ProposeRequest,
  ReadIndexRequest,
  ReadIndexResponse,
  Role,
  SnapshotMeta,
  StepResult,
  TimeoutNow,
  VoteRequest,
  VoteResponse,
} from "./types.ts";
