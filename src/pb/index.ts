export { nameProblem, urlsProblem } from "./check.ts";
export {
  confChangeProblem,
  confStateProblem,
  decodeConfChange,
  decodeConfState,
  decodeSnapshotMeta,
  encodeConfChange,
  encodeConfState,
  encodeSnapshotMeta,
} from "./conf.ts";
export { decodeDirectory, encodeDirectory, encodeLookup, isLookup } from "./directory.ts";
export { decodeEnvelope, encodeEnvelope } from "./envelope.ts";
export type { MessageCodec, MessageOf } from "./fields.ts";
export { decodeHello, encodeHello } from "./hello.ts";
export { KV_METHODS, PUT_DEFAULTS, RANGE_DEFAULTS } from "./kv-defaults.ts";
export {
  type AnyRequest,
  decodeKvRequest,
  encodeKvRequest,
  kvRequestProblem,
  type RequestOf,
} from "./kv-messages.ts";
export {
  type Answer,
  decodeKvResponse,
  encodeKvResponse,
  type ResponseHeader,
  type ResponseOf,
} from "./kv-response.ts";
export { MAX_TXN_DEPTH } from "./kv-txn.ts";
export {
  decodeEvent,
  decodeKeyValue,
  encodeEvent,
  encodeKeyValue,
  encodeWatchEvent,
  keyValueSize,
} from "./kv-value.ts";
export { decodeMemberRecord, encodeMemberRecord } from "./member-record.ts";
export { decodeMessage, encodeMessage } from "./message.ts";
export { messageProblem } from "./message-check.ts";
export { decodeRelay, encodeRelay, isRelay } from "./relay.ts";
export type { MemberInfo } from "./services.ts";
export * as services from "./services.ts";
export { decodeSnapshotFrame, encodeSnapshotFrame } from "./snapshot-frame.ts";
export {
  type Decoded,
  ENVELOPE_VERSION,
  type EntryBody,
  type EntryEnvelope,
  type MemberRecord,
  PEER_PROTOCOL_VERSION,
  type PeerDirectory,
  type PeerHello,
  type PeerVerdict,
  type Relay,
  type RelayedAnswer,
  type RelayedRequest,
  type RequestId,
  type SnapshotFrame,
} from "./types.ts";
export { decodeVerdict, encodeVerdict, MAX_REASON_BYTES } from "./verdict.ts";
export {
  decodeWatchRequest,
  decodeWatchResponse,
  encodeWatchHead,
  encodeWatchRequest,
  WATCH_FILTER,
  type WatchCreateRequest,
  type WatchHead,
  type WatchRequest,
  type WatchResponse,
} from "./watch.ts";
