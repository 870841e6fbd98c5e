// Goal: the formats are frozen. Method: one value of each type with the bytes that it has had since version
// 1, both ways. A change that fails here cuts off every log and every member that runs the version before:
// add a field instead.
import { describe, expect, it } from "vitest";
import * as pb from "../../../src/pb/index.ts";
import type { ConfState, Message } from "../../../src/raft/types.ts";
import { put as putOp } from "../../support/kv-world.ts";
import { DATA, fromHex, toHex } from "./values.ts";

const from = 0x8e9e05c52164694dn;
const to = 0x91bc3c398fb3c146n;
const head = { from, to, term: 300 };

const conf: ConfState = {
  voters: [1n, 2n, 3n],
  votersOutgoing: [1n, 4n],
  learners: [5n],
  learnersNext: [4n],
  leaseMs: 900,
};

type MessageRow = readonly [message: Message, hex: string];

/** What every message of the table begins with: from, to, term. */
const HEAD = "094d696421c5059e8e1146c1b38f393cbc9118ac02";

const messages: readonly MessageRow[] = [
  [
    { type: "voteRequest", ...head, pre: true, lastIndex: 70_000, lastTerm: 299, transfer: true },
    "220b080110f0a20418ab022001",
  ],
  [{ type: "voteResponse", ...head, pre: true, granted: true }, "2a0408011001"],
  [
    {
      type: "append",
      ...head,
      prevIndex: 7,
      prevTerm: 299,
      commit: 6,
      entries: [
        { index: 8, term: 299, type: "normal", data: DATA },
        { index: 9, term: 300, type: "conf", data: new Uint8Array(0) },
      ],
    },
    "321f080710ab021806220d080810ab0218012204646174612207080910ac021802",
  ],
  [
    { type: "appendResponse", ...head, rejected: true, index: 9, hintIndex: 8, hintTerm: 7 },
    "3a080801100918082007",
  ],
  [
    { type: "heartbeat", ...head, round: 2 ** 40, leaseMs: 900, commit: 2 ** 33 },
    "421008808080808020108407188080808020",
  ],
  [{ type: "heartbeatResponse", ...head, round: 5, promised: true }, "4a0408051001"],
  [{ type: "timeoutNow", ...head }, "5200"],
  [
    {
      type: "propose",
      ...head,
      entries: [
        { type: "normal", data: DATA },
        { type: "conf", data: new Uint8Array(0) },
      ],
    },
    "5a0e0a0808011204646174610a020802",
  ],
  [
    { type: "readIndex", ...head, requestId: Number.MAX_SAFE_INTEGER, lease: true },
    "620b08ffffffffffffff0f1001",
  ],
  [{ type: "readIndexResponse", ...head, requestId: 12, index: 34 }, "6a04080c1022"],
];

describe("messages", () => {
  it.each(messages.map(([value, hex]) => ({ type: value.type, value, hex })))("$type", ({ value, hex }) => {
    expect(toHex(pb.encodeMessage(value))).toBe(HEAD + hex);
    expect(pb.decodeMessage(fromHex(HEAD + hex))).toEqual({ type: "ok", value });
  });
});

interface Row {
  readonly name: string;
  readonly encode: () => Uint8Array;
  readonly decode: (bytes: Uint8Array) => pb.Decoded<unknown>;
  readonly value: unknown;
  readonly hex: string;
}

function row<T>(
  name: string,
  [encode, decode]: readonly [(value: T) => Uint8Array, (bytes: Uint8Array) => pb.Decoded<T>],
  value: T,
  hex: string,
): Row {
  return { name, encode: () => encode(value), decode, value, hex };
}

const ENVELOPE = [pb.encodeEnvelope, pb.decodeEnvelope] as const;
const CHANGE = [pb.encodeConfChange, pb.decodeConfChange] as const;
const CONF = [pb.encodeConfState, pb.decodeConfState] as const;
const META = [pb.encodeSnapshotMeta, pb.decodeSnapshotMeta] as const;
const RECORD = [pb.encodeMemberRecord, pb.decodeMemberRecord] as const;
const RELAY = [pb.encodeRelay, pb.decodeRelay] as const;
const HELLO = [pb.encodeHello, pb.decodeHello] as const;
const VERDICT = [pb.encodeVerdict, pb.decodeVerdict] as const;
const FRAME = [pb.encodeSnapshotFrame, pb.decodeSnapshotFrame] as const;

const requestId = { instance: from, sequence: 77 };
const envelope = { version: 1, requestId, user: "root", authRevision: 3, guardRevision: 4 };

const others: readonly Row[] = [
  row<pb.EntryEnvelope>(
    "put",
    ENVELOPE,
    { ...envelope, body: { type: "kv", request: putOp("k", "v", { lease: 7n }) } },
    "0801120b094d696421c5059e8e104d1a04726f6f7420032804520a0a080a016b1201761807",
  ),
  row<pb.EntryEnvelope>(
    "publish without a request",
    ENVELOPE,
    {
      version: 1,
      requestId: { instance: 0n, sequence: 0 },
      user: "",
      authRevision: 0,
      guardRevision: 0,
      body: { type: "publish", member: 1n, instance: to, name: "", clientUrls: [] },
    },
    "08014a120901000000000000001146c1b38f393cbc91",
  ),
  row<pb.EntryEnvelope>(
    "publish with name and URLs",
    ENVELOPE,
    { ...envelope, body: { type: "publish", member: 1n, instance: to, name: "a", clientUrls: ["u", "v"] } },
    "0801120b094d696421c5059e8e104d1a04726f6f74200328044a1b0901000000000000001146c1b38f393cbc911a0161220175220176",
  ),
  row<pb.EntryEnvelope>(
    "update of a member",
    ENVELOPE,
    { ...envelope, body: { type: "updateMember", member: 1n, peerUrls: ["u", "v"] } },
    "0801120b094d696421c5059e8e104d1a04726f6f74200328045a0f090100000000000000120175120176",
  ),
  row(
    "added with its URLs",
    CHANGE,
    { joint: false, steps: [{ type: "addLearner", id: 2n, peerUrls: ["u", "v"] }], leaseMs: undefined },
    "121108021102000000000000001a01751a0176",
  ),
  row<pb.Relay>(
    "relayed keepalive",
    RELAY,
    { type: "ask", number: 300, request: { type: "leaseKeepAlive", lease: 7n } },
    "720708ac0212020807",
  ),
  row<pb.Relay>(
    "relayed answer",
    RELAY,
    { type: "reply", number: 1, answer: { type: "leaseKept", index: 9, revision: 8, ttl: 60 } },
    "720a08013a0608091008183c",
  ),
  row<pb.PeerDirectory>(
    "directory",
    [pb.encodeDirectory, pb.decodeDirectory],
    { cluster: 0xc1n, applied: 9, members: [{ id: 2n, peerUrls: ["u"], isStarted: true }] },
    "080110c1011809220708021201751801",
  ),
  row<pb.MemberRecord>(
    "member record",
    RECORD,
    { instance: to, removed: false, name: "a", peerUrls: ["u", "v"], clientUrls: ["w"] },
    "0946c1b38f393cbc911a01612201752201762a0177",
  ),
  row<pb.MemberRecord>(
    "removed member",
    RECORD,
    { instance: 0n, removed: true, name: "", peerUrls: [], clientUrls: [] },
    "1001",
  ),
  row(
    "joint change",
    CHANGE,
    {
      joint: true,
      steps: [
        { type: "addVoter", id: 1n },
        { type: "addLearner", id: 2n },
        { type: "remove", id: 3n },
      ],
      leaseMs: undefined,
    },
    "0801120b0801110100000000000000120b0802110200000000000000120b0803110300000000000000",
  ),
  row("lease change", CHANGE, { joint: false, steps: [], leaseMs: 0 }, "1800"),
  row("leave the joint configuration", CHANGE, { joint: false, steps: [], leaseMs: undefined }, ""),
  row(
    "configuration",
    CONF,
    conf,
    "0a18010000000000000002000000000000000300000000000000121001000000000000000400000000000000" +
      "1a08050000000000000022080400000000000000288407",
  ),
  row(
    "snapshot meta",
    META,
    { index: 70_000, term: 299, conf },
    "08f0a20410ab021a430a18010000000000000002000000000000000300000000000000121001000000000000" +
      "0004000000000000001a08050000000000000022080400000000000000288407",
  ),
  row<pb.PeerHello>(
    "hello",
    HELLO,
    { version: 1, cluster: 0xc1n, member: from, instance: 0x1an, to, purpose: "snapshot" },
    "080111c100000000000000194d696421c5059e8e211a000000000000002946c1b38f393cbc913002",
  ),
  row<pb.PeerVerdict>("accepted", VERDICT, { type: "accepted" }, "0801"),
  row<pb.PeerVerdict>("refused", VERDICT, { type: "refused", reason: "why" }, "1203776879"),
  row<pb.SnapshotFrame>(
    "begin",
    FRAME,
    { type: "begin", stream: 3, from, to, term: 300, meta: { index: 9, term: 8, conf } },
    "08031260094d696421c5059e8e1146c1b38f393cbc9118ac022249080910081a430a18010000000000000002" +
      "0000000000000003000000000000001210010000000000000004000000000000001a08050000000000000022" +
      "080400000000000000288407",
  ),
  row<pb.SnapshotFrame>(
    "chunk",
    FRAME,
    {
      type: "chunk",
      stream: 3,
      sequence: 1,
      records: [
        ["k", DATA],
        ["", new Uint8Array(0)],
      ],
    },
    "08031a0f080112090a016b1204646174611200",
  ),
  row<pb.SnapshotFrame>(
    "end",
    FRAME,
    { type: "end", stream: 3, records: 2, hash: 0xdeadbeef },
    "08032207080215efbeadde",
  ),
];

describe("the rest", () => {
  it.each(others)("$name", ({ encode, decode, value, hex }) => {
    expect(toHex(encode())).toBe(hex);
    expect(decode(fromHex(hex))).toEqual({ type: "ok", value });
  });
});
