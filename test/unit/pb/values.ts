/**
 * Generators of valid values of every encoded type, and what each is in terms of proto/raft.proto. The proto
 * form is written out by hand, field by field: made from the codecs it would repeat their mistakes.
 */
import fc from "fast-check";
import { bytesOf, compareIds, ERR, type KvError, LIMITS, MAX_ID } from "../../../src/base/index.ts";
import {
  type Decoded,
  decodeConfChange,
  decodeConfState,
  decodeDirectory,
  decodeEnvelope,
  decodeHello,
  decodeMemberRecord,
  decodeMessage,
  decodeRelay,
  decodeSnapshotFrame,
  decodeSnapshotMeta,
  decodeVerdict,
  type EntryBody,
  type EntryEnvelope,
  encodeConfChange,
  encodeConfState,
  encodeDirectory,
  encodeEnvelope,
  encodeHello,
  encodeLookup,
  encodeMemberRecord,
  encodeMessage,
  encodeRelay,
  encodeSnapshotFrame,
  encodeSnapshotMeta,
  encodeVerdict,
  isLookup,
  type MemberRecord,
  type PeerDirectory,
  type PeerHello,
  type PeerVerdict,
  type Relay,
  type RelayedAnswer,
  type RelayedRequest,
  type SnapshotFrame,
} from "../../../src/pb/index.ts";
import type {
  ConfChange,
  ConfChangeStep,
  ConfState,
  Entry,
  Message,
  SnapshotMeta,
} from "../../../src/raft/types.ts";

import { KV_CODECS, kvEntryProto, kvRequest } from "./kv-values.ts";

const MAX_SAFE = Number.MAX_SAFE_INTEGER;

/** Integers in [lo, hi]: small ones, ones around every varint length, the ends. */
export function uint(lo: number, hi: number): fc.Arbitrary<number> {
  const edges = [
    0,
    127,
    128,
    2 ** 14,
    2 ** 21,
    2 ** 28 - 1,
    2 ** 28,
    2 ** 31,
    2 ** 32 - 1,
    2 ** 32,
    2 ** 35,
    2 ** 49,
  ];
  const inside = [lo, hi, ...edges.filter((n) => n > lo && n < hi)];
  return fc.oneof(
    fc.integer({ min: lo, max: Math.min(hi, lo + 300) }),
    fc.constantFrom(...inside),
    fc.integer({ min: lo, max: hi }),
  );
}

const id: fc.Arbitrary<bigint> = fc.oneof(
  fc.bigInt({ min: 1n, max: 5n }),
  fc.constantFrom(MAX_ID, 2n ** 63n, 2n ** 32n, 2n ** 32n - 1n),
  fc.bigInt({ min: 1n, max: MAX_ID }),
);

/** Byte strings on both sides of every size at which the reader changes from copy to view. */
const data: fc.Arbitrary<Uint8Array> = fc.oneof(
  { weight: 4, arbitrary: fc.uint8Array({ maxLength: 20 }) },
  { weight: 1, arbitrary: fc.integer({ min: 60, max: 400 }).map((n) => new Uint8Array(n).fill(n)) },
);

const text: fc.Arbitrary<string> = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.string({ unit: "binary", maxLength: 12 }),
  fc.constantFrom(
    "\uFEFFbom",
    "käse",
    "日本",
    "\u{1F9C0}".repeat(20),
    "x".repeat(127),
    "x".repeat(128),
    "\0",
  ),
);

/** URLs of a member are any strings here but the empty one. */
function urls(minLength: number): fc.Arbitrary<string[]> {
  return fc.array(
    text.filter((url) => url !== ""),
    { minLength, maxLength: 4 },
  );
}

const pair = fc.tuple(id, id).filter(([from, to]) => from !== to);
const term = uint(1, LIMITS.maxTerm);
const index = uint(0, LIMITS.maxIndex);
const counter = uint(1, MAX_SAFE);
const leaseMs = uint(0, LIMITS.maxLeaseMs);
const entryType = fc.constantFrom("normal", "conf");

/** The roles that one member can have in a valid configuration, as the lists that it is in. */
const ROLES = [
  ["voters"],
  ["learners"],
  ["voters", "votersOutgoing"],
  ["votersOutgoing"],
  ["votersOutgoing", "learnersNext"],
];

const confState: fc.Arbitrary<ConfState> = fc
  .record({
    members: fc.uniqueArray(fc.tuple(id, fc.constantFrom(...ROLES)), {
      maxLength: 10,
      selector: ([member]) => member,
    }),
    leaseMs,
  })
  .map(({ members, leaseMs }) => {
    const list = (name: string) =>
      members
        .filter(([, roles]) => roles.includes(name))
        .map(([member]) => member)
        .sort(compareIds);
    return {
      voters: list("voters"),
      votersOutgoing: list("votersOutgoing"),
      learners: list("learners"),
      learnersNext: list("learnersNext"),
      leaseMs,
    };
  });

const step: fc.Arbitrary<ConfChangeStep> = fc.oneof(
  fc.record({ type: fc.constantFrom("addVoter", "addLearner", "remove"), id }),
  fc.record({ type: fc.constantFrom("addVoter", "addLearner"), id, peerUrls: urls(1) }),
);

const confChange: fc.Arbitrary<ConfChange> = fc.oneof(
  fc.record({
    joint: fc.constant(false),
    steps: fc.array(step, { maxLength: 5 }),
    leaseMs: fc.option(leaseMs, { nil: undefined }),
  }),
  fc.record({
    joint: fc.constant(true),
    steps: fc.array(step, { minLength: 1, maxLength: 5 }),
    leaseMs: fc.constant(undefined),
  }),
);

const snapshotMeta: fc.Arbitrary<SnapshotMeta> = fc
  .record({ index, term, conf: confState })
  .map(({ index, term, conf }) => ({ index, term: index === 0 ? 0 : term, conf }));

const appendBody = fc
  .record({
    prev: fc.record({ index: uint(0, LIMITS.maxIndex - 10), term }),
    commit: index,
    entries: fc.array(fc.record({ more: uint(0, 3), type: entryType, data }), { maxLength: 6 }),
    more: uint(0, 3),
  })
  .map(({ prev, commit, entries, more }) => {
    // A term near its bound would leave no room for the terms of the entries.
    const first = Math.min(prev.term, LIMITS.maxTerm - 100);
    let at = first;
    const list: Entry[] = entries.map((entry, i) => {
      at += entry.more;
      return { index: prev.index + 1 + i, term: at, type: entry.type, data: entry.data };
    });
    const prevTerm = prev.index === 0 ? 0 : first;
    return { term: at + more, prevIndex: prev.index, prevTerm, commit, entries: list };
  });

function message<Body extends object>(type: string, body: fc.Arbitrary<Body>): fc.Arbitrary<Message> {
  return fc
    .tuple(pair, term, body)
    .map(([[from, to], term, rest]) => ({ type, from, to, term, ...rest }) as never);
}

const bool = fc.boolean();

/** One arbitrary per type of message: a test that needs each of them can take them by name. */
export const MESSAGES: Readonly<Record<Message["type"], fc.Arbitrary<Message>>> = {
  voteRequest: message(
    "voteRequest",
    fc
      .record({
        pre: bool,
        lastIndex: index,
        lastTerm: uint(1, LIMITS.maxTerm - 1),
        more: uint(1, 9),
        transfer: bool,
      })
      .map(({ pre, lastIndex, lastTerm, more, transfer }) => {
        const term = Math.min(lastTerm + more, LIMITS.maxTerm);
        return { pre, lastIndex, lastTerm: lastIndex === 0 ? 0 : lastTerm, transfer, term };
      }),
  ),
  voteResponse: message(
    "voteResponse",
    fc.oneof(fc.record({ pre: bool, granted: bool }), fc.constant({ pre: true, granted: false, term: 0 })),
  ),
  append: message("append", appendBody),
  appendResponse: message(
    "appendResponse",
    fc
      .record({ rejected: bool, index, hint: index, hintTerm: uint(0, LIMITS.maxTerm), more: uint(1, 9) })
      .map(({ rejected, index, hint, hintTerm, more }) => {
        const hintIndex = rejected ? Math.min(hint, index) : 0;
        const known = hintIndex === 0 ? 0 : hintTerm;
        return { rejected, index, hintIndex, hintTerm: known, term: Math.min(known + more, LIMITS.maxTerm) };
      }),
  ),
  heartbeat: message("heartbeat", fc.record({ round: counter, leaseMs, commit: index })),
  heartbeatResponse: message("heartbeatResponse", fc.record({ round: counter, promised: bool })),
  timeoutNow: message("timeoutNow", fc.constant({})),
  propose: message(
    "propose",
    fc.record({ entries: fc.array(fc.record({ type: entryType, data }), { minLength: 1, maxLength: 6 }) }),
  ),
  readIndex: message("readIndex", fc.record({ requestId: counter, lease: bool })),
  readIndexResponse: message(
    "readIndexResponse",
    fc.record({ requestId: counter, index: uint(1, LIMITS.maxIndex) }),
  ),
};

const entryBody: fc.Arbitrary<EntryBody> = fc.oneof(
  fc.record({
    type: fc.constant("publish" as const),
    member: id,
    instance: id,
    name: text,
    clientUrls: urls(0),
  }),
  fc.record({ type: fc.constant("updateMember" as const), member: id, peerUrls: urls(1) }),
  fc.record({ type: fc.constant("kv" as const), request: kvRequest }),
);

const envelope: fc.Arbitrary<EntryEnvelope> = fc.record({
  version: fc.constant(1),
  requestId: fc.oneof(
    fc.record({ instance: id, sequence: counter }),
    fc.constant({ instance: 0n, sequence: 0 }),
  ),
  user: text,
  authRevision: uint(0, MAX_SAFE),
  guardRevision: uint(0, MAX_SAFE),
  body: entryBody,
});

const memberRecord: fc.Arbitrary<MemberRecord> = fc.oneof(
  fc.record({
    instance: fc.oneof(id, fc.constant(0n)),
    removed: fc.constant(false),
    name: text,
    peerUrls: urls(0),
    clientUrls: urls(0),
  }),
  fc.constant({ instance: 0n, removed: true, name: "", peerUrls: [], clientUrls: [] }),
);

const int64 = fc.integer({ min: -1, max: 2 ** 40 });
const position = { index, revision: uint(0, MAX_SAFE), ttl: int64 };

const relay: fc.Arbitrary<Relay> = fc.oneof(
  fc.record({
    type: fc.constant("ask" as const),
    number: counter,
    request: fc.oneof(
      fc.record({ type: fc.constant("leaseKeepAlive" as const), lease: fc.bigInt(-5n, 2n ** 63n - 1n) }),
      fc.record({
        type: fc.constant("leaseTimeToLive" as const),
        lease: fc.bigInt(0n, 9n),
        keys: fc.boolean(),
      }),
      fc.record({ type: fc.constant("changeMembers" as const), change: confChange }),
    ),
  }),
  fc.record({
    type: fc.constant("reply" as const),
    number: counter,
    answer: fc.oneof(
      fc.record({ type: fc.constant("leaseKept" as const), ...position }),
      fc.record({
        type: fc.constant("leaseTtl" as const),
        ...position,
        grantedTtl: int64,
        keys: fc.array(data, { maxLength: 3 }),
      }),
      fc.record({ type: fc.constant("changed" as const), index }),
      fc.record({
        type: fc.constant("refused" as const),
        error: fc.constantFrom<KvError>(ERR.timeout, ERR.memberNotFound, { code: 13, message: "another" }),
      }),
      fc.record({ type: fc.constant("unknown" as const), reason: text }),
    ),
  }),
);

const hello: fc.Arbitrary<PeerHello> = fc.record({
  version: fc.constant(1),
  cluster: id,
  member: id,
  instance: id,
  to: id,
  purpose: fc.constantFrom("consensus", "snapshot"),
});

const verdict: fc.Arbitrary<PeerVerdict> = fc.oneof(
  fc.constant({ type: "accepted" as const }),
  fc.record({ type: fc.constant("refused" as const), reason: text.filter((reason) => reason !== "") }),
);

const frame: fc.Arbitrary<SnapshotFrame> = fc.oneof(
  fc
    .record({
      stream: uint(0, MAX_SAFE),
      pair,
      more: uint(0, 9),
      index: uint(1, LIMITS.maxIndex),
      term,
      conf: confState,
    })
    .map(({ stream, pair: [from, to], more, index, term, conf }) => {
      const meta = { index, term, conf };
      return { type: "begin" as const, stream, from, to, term: Math.min(term + more, LIMITS.maxTerm), meta };
    }),
  fc.record({
    type: fc.constant("chunk" as const),
    stream: uint(0, MAX_SAFE),
    sequence: uint(0, MAX_SAFE),
    records: fc.array(fc.tuple(text, data), { maxLength: 6 }),
  }),
  fc.record({
    type: fc.constant("end" as const),
    stream: uint(0, MAX_SAFE),
    records: uint(0, MAX_SAFE),
    hash: uint(0, 2 ** 32 - 1),
  }),
);

/**
 * A type with its codec, its generator, and its message in raft.proto, or, after a dot, its message by package.
 */
export interface Codec<T> {
  readonly name: string;
  readonly proto: string;
  readonly value: fc.Arbitrary<T>;
  readonly encode: (value: T) => Uint8Array;
  readonly decode: (bytes: Uint8Array) => Decoded<T>;
  readonly toProto: (value: T) => object;
}

/** Hides which type a codec is for, so that codecs of different types fit into one table. */
export type AnyCodec = Codec<unknown>;

function codec<T>(name: string, of: Omit<Codec<T>, "name">): AnyCodec {
  return { name, ...of } as unknown as AnyCodec;
}

const u = (value: number): string => String(value);
const f = (value: bigint): string => value.toString();
const ENTRY_TYPE = { normal: 1, conf: 2 } as const;
const STEP_TYPE = { addVoter: 1, addLearner: 2, remove: 3 } as const;
const PURPOSE = { consensus: 1, snapshot: 2 } as const;

function confStateProto(conf: ConfState): object {
  return {
    voters: conf.voters.map(f),
    voters_outgoing: conf.votersOutgoing.map(f),
    learners: conf.learners.map(f),
    learners_next: conf.learnersNext.map(f),
    lease_ms: conf.leaseMs,
  };
}

function confChangeProto({ joint, steps, leaseMs }: ConfChange): object {
  const list = steps.map((one) => ({
    type: STEP_TYPE[one.type],
    id: f(one.id),
    peer_urls: one.peerUrls ?? [],
  }));
  return { joint, steps: list, ...(leaseMs === undefined ? {} : { lease_ms: leaseMs }) };
}

function metaProto(meta: SnapshotMeta): object {
  return { index: u(meta.index), term: u(meta.term), conf: confStateProto(meta.conf) };
}

function messageProto(m: Message): object {
  return { from: f(m.from), to: f(m.to), term: u(m.term), ...messageBodyProto(m) };
}

function messageBodyProto(m: Message): object {
  switch (m.type) {
    case "voteRequest": {
      const last = { last_index: u(m.lastIndex), last_term: u(m.lastTerm) };
      return { vote_request: { pre: m.pre, ...last, transfer: m.transfer } };
    }
    case "voteResponse":
      return { vote_response: { pre: m.pre, granted: m.granted } };
    case "append": {
      const prev = { prev_index: u(m.prevIndex), prev_term: u(m.prevTerm) };
      const entries = m.entries.map((entry) => ({
        index: u(entry.index),
        term: u(entry.term),
        type: ENTRY_TYPE[entry.type],
        data: entry.data,
      }));
      return { append: { ...prev, commit: u(m.commit), entries } };
    }
    case "appendResponse": {
      const hint = { hint_index: u(m.hintIndex), hint_term: u(m.hintTerm) };
      return { append_response: { rejected: m.rejected, index: u(m.index), ...hint } };
    }
    case "heartbeat":
      return { heartbeat: { round: u(m.round), lease_ms: m.leaseMs, commit: u(m.commit) } };
    case "heartbeatResponse":
      return { heartbeat_response: { round: u(m.round), promised: m.promised } };
    case "timeoutNow":
      return { timeout_now: {} };
    case "propose": {
      const entries = m.entries.map((entry) => ({ type: ENTRY_TYPE[entry.type], data: entry.data }));
      return { propose: { entries } };
    }
    case "readIndex":
      return { read_index: { request_id: u(m.requestId), lease: m.lease } };
    case "readIndexResponse":
      return { read_index_response: { request_id: u(m.requestId), index: u(m.index) } };
  }
}

function envelopeProto(envelope: EntryEnvelope): object {
  const { instance, sequence } = envelope.requestId;
  return {
    version: envelope.version,
    request_id: instance === 0n ? null : { instance: f(instance), sequence: u(sequence) },
    user: envelope.user,
    auth_revision: u(envelope.authRevision),
    guard_revision: u(envelope.guardRevision),
    ...entryBodyProto(envelope.body),
  };
}

function entryBodyProto(body: EntryBody): object {
  switch (body.type) {
    case "publish":
      return {
        publish: {
          member: f(body.member),
          instance: f(body.instance),
          name: body.name,
          client_urls: body.clientUrls,
        },
      };
    case "updateMember":
      return { update_member: { member: f(body.member), peer_urls: body.peerUrls } };
    case "kv":
      return { kv: kvEntryProto(body.request) };
  }
}

function memberRecordProto({ instance, removed, name, peerUrls, clientUrls }: MemberRecord): object {
  return { instance: f(instance), removed, name, peer_urls: peerUrls, client_urls: clientUrls };
}

function relayProto(value: Relay): object {
  const body = value.type === "ask" ? askedProto(value.request) : answeredProto(value.answer);
  return { from: "0", to: "0", term: "0", relay: { number: u(value.number), ...body } };
}

function askedProto(request: RelayedRequest): object {
  switch (request.type) {
    case "leaseKeepAlive":
      return { lease_keep_alive: { lease: f(request.lease) } };
    case "leaseTimeToLive":
      return { lease_time_to_live: { lease: f(request.lease), keys: request.keys } };
    case "changeMembers":
      return { change_members: { change: encodeConfChange(request.change) } };
  }
}

function answeredProto(answer: RelayedAnswer): object {
  switch (answer.type) {
    case "leaseKept":
      return { lease_kept: { index: u(answer.index), revision: u(answer.revision), ttl: u(answer.ttl) } };
    case "leaseTtl": {
      const { index: at, revision, ttl, grantedTtl, keys } = answer;
      return {
        lease_ttl: { index: u(at), revision: u(revision), ttl: u(ttl), granted_ttl: u(grantedTtl), keys },
      };
    }
    case "changed":
      return { changed: { index: u(answer.index) } };
    case "refused":
      return { refused: { ...answer.error } };
    case "unknown":
      return { unknown: { reason: answer.reason } };
  }
}

function helloProto(hello: PeerHello): object {
  return {
    version: hello.version,
    cluster: f(hello.cluster),
    member: f(hello.member),
    instance: f(hello.instance),
    to: f(hello.to),
    purpose: PURPOSE[hello.purpose],
  };
}

function verdictProto(verdict: PeerVerdict): object {
  const accepted = verdict.type === "accepted";
  return { accepted, reason: verdict.type === "accepted" ? "" : verdict.reason };
}

function frameProto(frame: SnapshotFrame): object {
  const stream = u(frame.stream);
  switch (frame.type) {
    case "begin": {
      const ids = { from: f(frame.from), to: f(frame.to) };
      return { stream, begin: { ...ids, term: u(frame.term), meta: metaProto(frame.meta) } };
    }
    case "chunk": {
      const records = frame.records.map(([key, value]) => ({ key, value }));
      return { stream, chunk: { sequence: u(frame.sequence), records } };
    }
    case "end":
      return { stream, end: { records: u(frame.records), hash: frame.hash } };
  }
}

const messageCodec = {
  proto: "PeerMessage",
  encode: encodeMessage,
  decode: decodeMessage,
  toProto: messageProto,
};

/** Every encoded type, each type of message apart. */
export const CODECS: readonly AnyCodec[] = [
  ...Object.entries(MESSAGES).map(([name, value]) => codec<Message>(name, { ...messageCodec, value })),
  codec<EntryEnvelope>("entryEnvelope", {
    proto: "EntryEnvelope",
    value: envelope,
    encode: encodeEnvelope,
    decode: decodeEnvelope,
    toProto: envelopeProto,
  }),
  codec<ConfChange>("confChange", {
    proto: "ConfChange",
    value: confChange,
    encode: encodeConfChange,
    decode: decodeConfChange,
    toProto: confChangeProto,
  }),
  codec<ConfState>("confState", {
    proto: "ConfState",
    value: confState,
    encode: encodeConfState,
    decode: decodeConfState,
    toProto: confStateProto,
  }),
  codec<SnapshotMeta>("snapshotMeta", {
    proto: "SnapshotMeta",
    value: snapshotMeta,
    encode: encodeSnapshotMeta,
    decode: decodeSnapshotMeta,
    toProto: metaProto,
  }),
  codec<Relay>("relay", {
    proto: "PeerMessage",
    value: relay,
    encode: encodeRelay,
    decode: decodeRelay,
    toProto: relayProto,
  }),
  codec<"lookup">("lookup", {
    proto: "PeerHello",
    value: fc.constant("lookup" as const),
    encode: encodeLookup,
    decode: (bytes) =>
      isLookup(bytes.slice(-4))
        ? { type: "ok", value: "lookup" }
        : { type: "refused", reason: "the frame is no look-up" },
    toProto: () => ({
      version: 0,
      cluster: "0",
      member: "0",
      instance: "0",
      to: "0",
      purpose: 0,
      lookup: { version: 1 },
    }),
  }),
  codec<PeerDirectory>("directory", {
    proto: "PeerDirectory",
    value: fc.record({
      cluster: id,
      applied: index,
      members: fc.array(fc.record({ id, peerUrls: urls(0), isStarted: fc.boolean() }), { maxLength: 3 }),
    }),
    encode: encodeDirectory,
    decode: decodeDirectory,
    toProto: ({ cluster, applied, members }) => ({
      version: 1,
      cluster: f(cluster),
      applied: u(applied),
      members: members.map((one) => ({ id: f(one.id), peer_urls: one.peerUrls, is_started: one.isStarted })),
    }),
  }),
  codec<MemberRecord>("memberRecord", {
    proto: "MemberRecord",
    value: memberRecord,
    encode: encodeMemberRecord,
    decode: decodeMemberRecord,
    toProto: memberRecordProto,
  }),
  codec<PeerHello>("peerHello", {
    proto: "PeerHello",
    value: hello,
    encode: encodeHello,
    decode: decodeHello,
    toProto: helloProto,
  }),
  codec<PeerVerdict>("peerVerdict", {
    proto: "PeerVerdict",
    value: verdict,
    encode: encodeVerdict,
    decode: decodeVerdict,
    toProto: verdictProto,
  }),
  codec<SnapshotFrame>("snapshotFrame", {
    proto: "SnapshotFrame",
    value: frame,
    encode: encodeSnapshotFrame,
    decode: decodeSnapshotFrame,
    toProto: frameProto,
  }),
  ...KV_CODECS,
];

/** Hex of bytes and back, for tables. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

export function fromHex(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex.replaceAll(" ", ""), "hex"));
}

/** A value of bytes, for tables. */
export const DATA = bytesOf("data");
