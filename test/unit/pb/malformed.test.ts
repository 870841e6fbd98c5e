// Goal: impossible, forged and broken input is refused with a reason that names field and value. Method: a
// table per kind. What breaks a rule is written by protobufjs reflection, which checks nothing; what breaks
// the wire, as hex.
import { fileURLToPath } from "node:url";
import protobuf from "protobufjs";
import { describe, expect, it } from "vitest";
import { AssertionError, LIMITS } from "../../../src/base/index.ts";
import * as pb from "../../../src/pb/index.ts";
import type { ConfState, Message } from "../../../src/raft/types.ts";
import { put as putOp } from "../../support/kv-world.ts";
import { fromHex } from "./values.ts";

const root = new protobuf.Root().loadSync(
  fileURLToPath(new URL("../../../proto/raft.proto", import.meta.url)),
  {
    keepCase: true,
  },
);

function bytesOf(proto: string, value: Record<string, unknown>): Uint8Array {
  const type = root.lookupType(`waymark.raft.${proto}`);
  return new Uint8Array(type.encode(type.fromObject(value)).finish());
}

function reasonOf(got: pb.Decoded<unknown>): string {
  return got.type === "ok" ? "accepted" : got.reason;
}

type Row = readonly [name: string, value: Record<string, unknown>, reason: string];

const OVER_TERM = LIMITS.maxTerm + 1;
const OVER_INDEX = LIMITS.maxIndex + 1;
const MAX_SAFE = Number.MAX_SAFE_INTEGER;
const head = { from: 1, to: 2, term: 5 };
const heartbeat = { round: 1, lease_ms: 900, commit: 7 };
const entry = { index: 8, term: 4, type: 1 };
const append = { prev_index: 7, prev_term: 4, commit: 7 };
const many = (count: number, one: object) => Array.from({ length: count }, () => one);

describe("messages", () => {
  const rows: Row[] = [
    ["no body", head, "body is missing"],
    ["from 0", { ...head, from: 0, heartbeat }, "heartbeat: from is missing"],
    ["to 0", { ...head, to: 0, heartbeat }, "heartbeat: to is missing"],
    ["to itself", { ...head, to: 1, heartbeat }, "heartbeat: from and to are both 1"],
    [
      "term 0",
      { ...head, term: 0, heartbeat },
      `heartbeat: term 0 is not an integer in [1, ${LIMITS.maxTerm}]`,
    ],
    [
      "term 0 in a granted pre-vote",
      { ...head, term: 0, vote_response: { pre: true, granted: true } },
      `voteResponse: term 0 is not an integer in [1, ${LIMITS.maxTerm}]`,
    ],
    [
      "term 0 in a denied vote",
      { ...head, term: 0, vote_response: {} },
      `voteResponse: term 0 is not an integer in [1, ${LIMITS.maxTerm}]`,
    ],
    [
      "term above the bound",
      { ...head, term: OVER_TERM, heartbeat },
      `heartbeat: term ${OVER_TERM} is not an integer in [1, ${LIMITS.maxTerm}]`,
    ],
    [
      "term one above what a number holds",
      { ...head, term: "9007199254740992", heartbeat },
      "term 9007199254740992 is above 9007199254740991",
    ],
    [
      "term that a double would round down",
      { ...head, term: "9007199254740993", heartbeat },
      "term 9007199254740993 is above 9007199254740991",
    ],
    [
      "largest term",
      { ...head, term: "18446744073709551615", heartbeat },
      "term 18446744073709551615 is above 9007199254740991",
    ],
    [
      "candidate with an entry of the term it asks for",
      { ...head, vote_request: { last_index: 3, last_term: 5 } },
      "voteRequest: lastTerm 5 is not an integer in [0, 4]",
    ],
    [
      "last entry without term",
      { ...head, vote_request: { last_index: 3 } },
      "voteRequest: last index 3 cannot have term 0",
    ],
    [
      "term of no last entry",
      { ...head, vote_request: { last_term: 3 } },
      "voteRequest: last index 0 cannot have term 3",
    ],
    [
      "last index above the bound",
      { ...head, vote_request: { last_index: OVER_INDEX, last_term: 3 } },
      `voteRequest: lastIndex ${OVER_INDEX} is not an integer in [0, ${LIMITS.maxIndex}]`,
    ],
    [
      "prev index above the bound",
      { ...head, append: { ...append, prev_index: OVER_INDEX } },
      `append: prevIndex ${OVER_INDEX} is not an integer in [0, ${LIMITS.maxIndex}]`,
    ],
    [
      "prev term above the message's",
      { ...head, append: { ...append, prev_term: 6 } },
      "append: prevTerm 6 is not an integer in [0, 5]",
    ],
    [
      "prev index without term",
      { ...head, append: { prev_index: 7 } },
      "append: prev index 7 cannot have term 0",
    ],
    [
      "commit above the bound",
      { ...head, append: { ...append, commit: OVER_INDEX } },
      `append: commit ${OVER_INDEX} is not an integer in [0, ${LIMITS.maxIndex}]`,
    ],
    [
      "first entry jumps",
      { ...head, append: { ...append, entries: [{ ...entry, index: 9 }] } },
      "append: entry index 9 is not 8",
    ],
    [
      "entry repeats",
      { ...head, append: { ...append, entries: [entry, entry] } },
      "append: entry index 8 is not 9",
    ],
    [
      "entry above the last index",
      {
        ...head,
        append: { ...append, prev_index: LIMITS.maxIndex, entries: [{ ...entry, index: OVER_INDEX }] },
      },
      `append: entry index ${OVER_INDEX} is not an integer in [1, ${LIMITS.maxIndex}]`,
    ],
    [
      "entry term falls",
      {
        ...head,
        append: {
          ...append,
          entries: [
            { ...entry, term: 5 },
            { ...entry, index: 9 },
          ],
        },
      },
      "append: entry 9: term 4 is not an integer in [5, 5]",
    ],
    [
      "entry term below prev term",
      { ...head, append: { ...append, entries: [{ ...entry, term: 3 }] } },
      "append: entry 8: term 3 is not an integer in [4, 5]",
    ],
    [
      "entry term above the message's",
      { ...head, append: { ...append, entries: [{ ...entry, term: 6 }] } },
      "append: entry 8: term 6 is not an integer in [4, 5]",
    ],
    [
      "first entry of the log without term",
      { ...head, append: { entries: [{ index: 1, type: 1 }] } },
      "append: entry 1: term 0 is not an integer in [1, 5]",
    ],
    [
      "entry without type",
      { ...head, append: { ...append, entries: [{ index: 8, term: 4 }] } },
      "entry type 0 is unknown",
    ],
    [
      "entry of a later type",
      { ...head, append: { ...append, entries: [{ ...entry, type: 3 }] } },
      "entry type 3 is unknown",
    ],
    [
      "too many entries",
      { ...head, append: { ...append, entries: many(LIMITS.maxEntriesPerMessage + 1, entry) } },
      `more than ${LIMITS.maxEntriesPerMessage} entries`,
    ],
    [
      "too large an entry",
      {
        ...head,
        append: { ...append, entries: [{ ...entry, data: new Uint8Array(LIMITS.maxEntryBytes + 1) }] },
      },
      `entry data: ${LIMITS.maxEntryBytes + 1} bytes are more than ${LIMITS.maxEntryBytes}`,
    ],
    [
      "index above the bound",
      { ...head, append_response: { index: OVER_INDEX } },
      `appendResponse: index ${OVER_INDEX} is not an integer in [0, ${LIMITS.maxIndex}]`,
    ],
    [
      "hint beyond the rejected index",
      { ...head, append_response: { rejected: true, index: 4, hint_index: 5, hint_term: 1 } },
      "appendResponse: hintIndex 5 is not an integer in [0, 4]",
    ],
    [
      "hint of a term that the sender cannot know",
      { ...head, append_response: { rejected: true, index: 4, hint_index: 3, hint_term: 6 } },
      "appendResponse: hintTerm 6 is not an integer in [0, 5]",
    ],
    [
      "term of no hint",
      { ...head, append_response: { rejected: true, index: 4, hint_term: 1 } },
      "appendResponse: hintTerm 1 is not an integer in [0, 0]",
    ],
    [
      "no round",
      { ...head, heartbeat: { commit: 1 } },
      `heartbeat: round 0 is not an integer in [1, ${MAX_SAFE}]`,
    ],
    [
      "lease above the bound",
      { ...head, heartbeat: { ...heartbeat, lease_ms: 60_001 } },
      "heartbeat: leaseMs 60001 is not an integer in [0, 60000]",
    ],
    [
      "heartbeat commit above the bound",
      { ...head, heartbeat: { ...heartbeat, commit: OVER_INDEX } },
      `heartbeat: commit ${OVER_INDEX} is not an integer in [0, ${LIMITS.maxIndex}]`,
    ],
    [
      "acknowledges no round",
      { ...head, heartbeat_response: { promised: true } },
      `heartbeatResponse: round 0 is not an integer in [1, ${MAX_SAFE}]`,
    ],
    ["proposes nothing", { ...head, propose: {} }, "propose: no entries"],
    ["proposes an unknown type", { ...head, propose: { entries: [{ type: 9 }] } }, "entry type 9 is unknown"],
    [
      "proposes too many",
      { ...head, propose: { entries: many(LIMITS.maxEntriesPerMessage + 1, { type: 1 }) } },
      `more than ${LIMITS.maxEntriesPerMessage} entries`,
    ],
    [
      "asks for an index without a request",
      { ...head, read_index: {} },
      `readIndex: requestId 0 is not an integer in [1, ${MAX_SAFE}]`,
    ],
    [
      "answers no request",
      { ...head, read_index_response: { index: 1 } },
      `readIndexResponse: requestId 0 is not an integer in [1, ${MAX_SAFE}]`,
    ],
    [
      "read index 0",
      { ...head, read_index_response: { request_id: 1 } },
      `readIndexResponse: index 0 is not an integer in [1, ${LIMITS.maxIndex}]`,
    ],
  ];
  it.each(rows)("%s", (_, value, reason) => {
    expect(reasonOf(pb.decodeMessage(bytesOf("PeerMessage", value)))).toBe(`peer message: ${reason}`);
  });
});

describe("configurations", () => {
  const rows: Row[] = [
    ["voter 0", { voters: [0, 1] }, "voters: member is missing"],
    ["unsorted", { voters: [2, 1] }, "voters: member 1 does not come after 2"],
    ["repeated", { learners: [171, 171] }, "learners: member ab does not come after ab"],
    [
      "unsorted learnersNext",
      { voters_outgoing: [1, 2], learners_next: [2, 1] },
      "learnersNext: member 1 does not come after 2",
    ],
    ["voter and learner", { voters: [1, 2], learners: [2] }, "member 2 is in voters and in learners"],
    [
      "outgoing voter and learner",
      { voters: [1], voters_outgoing: [3], learners: [3] },
      "member 3 is in votersOutgoing and in learners",
    ],
    [
      "next learner that stays a voter",
      { voters: [1], voters_outgoing: [1], learners_next: [1] },
      "member 1 is in voters and in learnersNext",
    ],
    [
      "next learner without a joint configuration",
      { voters: [1], learners_next: [3] },
      "learnersNext: member 3 is not in votersOutgoing",
    ],
    [
      "lease above the bound",
      { voters: [1], lease_ms: 60_001 },
      "leaseMs 60001 is not an integer in [0, 60000]",
    ],
    [
      "too long a list",
      { voters: Array.from({ length: 65 }, (_, i) => i + 1) },
      "voters: 65 identities are more than 64",
    ],
    [
      "too many members together",
      {
        voters: Array.from({ length: 40 }, (_, i) => i + 1),
        learners: Array.from({ length: 25 }, (_, i) => i + 100),
      },
      "65 members are more than 64",
    ],
  ];
  it.each(rows)("%s", (_, value, reason) => {
    expect(reasonOf(pb.decodeConfState(bytesOf("ConfState", value)))).toBe(`conf state: ${reason}`);
  });

  it("accepts as many members as the bound says, however many lists they are in", () => {
    const all = Array.from({ length: LIMITS.maxMembers }, (_, i) => BigInt(i + 1));
    const conf: ConfState = { voters: all, votersOutgoing: all, learners: [], learnersNext: [], leaseMs: 0 };
    expect(pb.decodeConfState(pb.encodeConfState(conf))).toEqual({ type: "ok", value: conf });
  });
});

describe("changes and positions", () => {
  const changes: Row[] = [
    ["joint without steps", { joint: true }, "a joint change has no steps"],
    [
      "joint with a lease",
      { joint: true, steps: [{ type: 1, id: 1 }], lease_ms: 0 },
      "a joint change has leaseMs 0",
    ],
    ["lease above the bound", { lease_ms: 70_000 }, "leaseMs 70000 is not an integer in [0, 60000]"],
    ["step without type", { steps: [{ id: 1 }] }, "step type 0 is unknown"],
    ["step of a later type", { steps: [{ type: 4, id: 1 }] }, "step type 4 is unknown"],
    ["step about nobody", { steps: [{ type: 1 }] }, "step id is missing"],
    ["too many steps", { steps: many(129, { type: 3, id: 1 }) }, "more than 128 steps"],
  ];
  it.each(changes)("change: %s", (_, value, reason) => {
    expect(reasonOf(pb.decodeConfChange(bytesOf("ConfChange", value)))).toBe(`conf change: ${reason}`);
  });

  it("change: no bytes leave the joint configuration", () => {
    const leave = { joint: false, steps: [], leaseMs: undefined };
    expect(pb.decodeConfChange(new Uint8Array(0))).toEqual({ type: "ok", value: leave });
    expect(pb.encodeConfChange(leave).length).toBe(0);
  });

  const metas: Row[] = [
    ["no configuration", { index: 1, term: 1 }, "conf is missing"],
    ["no term", { index: 1, conf: {} }, "snapshot index 1 cannot have term 0"],
    ["no index", { term: 1, conf: {} }, "snapshot index 0 cannot have term 1"],
    [
      "index above the bound",
      { index: OVER_INDEX, term: 1, conf: {} },
      `index ${OVER_INDEX} is not an integer in [0, ${LIMITS.maxIndex}]`,
    ],
    [
      "broken configuration",
      { index: 1, term: 1, conf: { voters: [2, 1] } },
      "voters: member 1 does not come after 2",
    ],
  ];
  it.each(metas)("snapshot meta: %s", (_, value, reason) => {
    expect(reasonOf(pb.decodeSnapshotMeta(bytesOf("SnapshotMeta", value)))).toBe(`snapshot meta: ${reason}`);
  });
});

describe("entry envelopes", () => {
  const kv = { put: { key: Buffer.from("k") } };
  const rows: Row[] = [
    ["newer version", { version: 2, kv }, "entry envelope version 2 is newer than this program reads (1)"],
    ["no version", { kv }, "entry envelope: version 0 is not an integer in [1, 1]"],
    ["no body", { version: 1 }, "entry envelope: body is missing"],
    [
      "sequence without instance",
      { version: 1, request_id: { sequence: 3 }, kv },
      "entry envelope: requestId sequence without an instance 3 is not an integer in [0, 0]",
    ],
    [
      "instance without sequence",
      { version: 1, request_id: { instance: 3 }, kv },
      `entry envelope: requestId sequence 0 is not an integer in [1, ${MAX_SAFE}]`,
    ],
    ["publishes nobody", { version: 1, publish: { instance: 1 } }, "entry envelope: member is missing"],
    ["publishes no instance", { version: 1, publish: { member: 1 } }, "entry envelope: instance is missing"],
  ];
  it.each(rows)("%s", (_, value, reason) => {
    expect(reasonOf(pb.decodeEnvelope(bytesOf("EntryEnvelope", value)))).toBe(reason);
  });

  it.each([6, 7, 8])("a body of before the first release: %i", (field) => {
    const bytes = fromHex(`0801${(field * 8 + 2).toString(16)}060a016b120176`);
    expect(reasonOf(pb.decodeEnvelope(bytes))).toBe(`entry envelope: body ${field} is unknown`);
  });

  it("refuses a newer version before it reads what that may have changed", () => {
    const reason = "entry envelope version 7 is newer than this program reads (1)";
    expect(reasonOf(pb.decodeEnvelope(fromHex("0807 0d00000000 ff")))).toBe(reason);
  });
});

describe("hellos and snapshot frames", () => {
  const hello = { version: 1, cluster: 9, member: 1, instance: 7, to: 2, purpose: 1 };
  const hellos: Row[] = [
    [
      "newer version",
      { ...hello, version: 2 },
      "peer protocol version 2 is newer than this program reads (1)",
    ],
    ["no version", { ...hello, version: 0 }, "peer hello: version 0 is not an integer in [1, 1]"],
    ["no cluster", { ...hello, cluster: 0 }, "peer hello: cluster is missing"],
    ["no member", { ...hello, member: 0 }, "peer hello: member is missing"],
    ["no instance", { ...hello, instance: 0 }, "peer hello: instance is missing"],
    ["to nobody", { ...hello, to: 0 }, "peer hello: to is missing"],
    ["no purpose", { ...hello, purpose: 0 }, "peer hello: purpose 0 is unknown"],
    ["later purpose", { ...hello, purpose: 3 }, "peer hello: purpose 3 is unknown"],
  ];
  it.each(hellos)("hello: %s", (_, value, reason) => {
    expect(reasonOf(pb.decodeHello(bytesOf("PeerHello", value)))).toBe(reason);
  });

  const verdicts: Row[] = [
    ["neither", {}, "peer verdict: refused without a reason"],
    ["both", { accepted: true, reason: "no" }, "peer verdict: accepted, with a reason why not"],
    ["a long reason", { reason: "x".repeat(2049) }, "peer verdict: reason has more than 2048 bytes"],
    ["a longer reason", { reason: "x".repeat(5000) }, "peer verdict: 5003 bytes are more than 4096"],
  ];
  it.each(verdicts)("verdict: %s", (_, value, reason) => {
    expect(reasonOf(pb.decodeVerdict(bytesOf("PeerVerdict", value)))).toBe(reason);
  });

  it.each(["x".repeat(5000), "\u20ac".repeat(700), "\u{1F9C0}".repeat(600)])(
    "a long reason is cut",
    (reason) => {
      const decoded = pb.decodeVerdict(pb.encodeVerdict({ type: "refused", reason }));
      if (decoded.type !== "ok" || decoded.value.type !== "refused") throw new Error("not refused");
      expect(reason.startsWith(decoded.value.reason)).toBe(true);
      expect(decoded.value.reason.length).toBeGreaterThan(500);
    },
  );

  const meta = { index: 5, term: 3, conf: { voters: [1] } };
  const begin = { from: 1, to: 2, term: 4, meta };
  const frames: Row[] = [
    ["no body", { stream: 1 }, "body is missing"],
    ["from 0", { begin: { ...begin, from: 0 } }, "begin: from is missing"],
    ["to itself", { begin: { ...begin, to: 1 } }, "begin: from and to are both 1"],
    ["no meta", { begin: { from: 1, to: 2, term: 4 } }, "meta is missing"],
    [
      "snapshot of nothing",
      { begin: { ...begin, meta: { conf: {} } } },
      "begin: meta: a snapshot of the state before the first entry is not sent",
    ],
    [
      "term below the snapshot's",
      { begin: { ...begin, term: 2 } },
      "begin: meta: term 3 is not an integer in [1, 2]",
    ],
    [
      "broken configuration",
      { begin: { ...begin, meta: { ...meta, conf: { voters: [1], learners: [1] } } } },
      "begin: meta: member 1 is in voters and in learners",
    ],
    [
      "too many records",
      { chunk: { records: many(LIMITS.maxEntriesPerMessage + 1, { key: "k" }) } },
      `more than ${LIMITS.maxEntriesPerMessage} records`,
    ],
    [
      "count above what a number holds",
      { end: { records: "9007199254740992" } },
      "records 9007199254740992 is above 9007199254740991",
    ],
  ];
  it.each(frames)("frame: %s", (_, value, reason) => {
    expect(reasonOf(pb.decodeSnapshotFrame(bytesOf("SnapshotFrame", value)))).toBe(
      `snapshot frame: ${reason}`,
    );
  });
});

describe("the wire", () => {
  const ids = "09 0100000000000000 11 0200000000000000";
  const beat = "42 04 0801 1807";
  const rows: readonly (readonly [name: string, hex: string, reason: string])[] = [
    ["nothing", "", "body is missing"],
    ["truncated identity", "09 01000000", "truncated (index out of range: 5 + 4 > 5)"],
    ["truncated varint", `${ids} 18 80`, "term is truncated"],
    ["truncated tag", `${ids} 1805 ${beat} 80`, "truncated (index out of range: 27 + 1 > 27)"],
    ["varint of eleven bytes", `${ids} 18 8080808080808080808001`, "term is a varint of more than ten bytes"],
    [
      "varint above 64 bits",
      `${ids} 18 8080808080808080807e`,
      "term 1162144876643701751808 is above 9007199254740991",
    ],
    ["overlong varint that fits", `${ids} 18 8580808000 ${beat}`, "accepted"],
    ["body longer than the message", `${ids} 1805 42 20 0801`, "body is truncated: 2 of 32 bytes"],
    ["field longer than its body", `${ids} 1805 32 04 2220 0801`, "entry is truncated: 2 of 32 bytes"],
    [
      "entry data longer than the entry",
      `${ids} 1805 32 06 2204 2220 0000`,
      "entry data is truncated: 2 of 32 bytes",
    ],
    ["length above 31 bits", `${ids} 1805 42 ffffffff0f`, "malformed (invalid length encoding)"],
    ["wrong wire type of a number", `${ids} 1d 05000000 ${beat}`, "term has wire type 5"],
    ["wrong wire type of an identity", `0801`, "from has wire type 0"],
    ["wrong wire type of a body", `${ids} 1805 4001`, "body has wire type 0"],
    ["group", `${ids} 1805 ${beat} 7b 7c`, "unknown field 15 has wire type 3"],
    ["reserved wire type", `${ids} 1805 ${beat} 7e`, "unknown field 15 has wire type 6"],
    ["field 0", `${ids} 1805 ${beat} 00`, "field number 0"],
    ["two bodies of one type", `${ids} 1805 ${beat} ${beat}`, "body is given twice"],
    ["two bodies", `${ids} 1805 ${beat} 5200`, "body is given twice"],
    ["later type", `${ids} 1805 7200`, "message type 14 is unknown"],
    ["flag 2", `${ids} 1805 2a 02 0802`, "pre 2 is neither 0 nor 1"],
    [
      "unknown fields of every kind",
      `${ids} 1805 ${beat} 7805 71 0000000000000000 7a02ffff 7d 00000000`,
      "accepted",
    ],
    ["unknown field in the body", `${ids} 1805 42 06 0801 1807 7805`, "accepted"],
  ];
  it.each(rows)("%s", (_, hex, reason) => {
    const expected = reason === "accepted" ? reason : `peer message: ${reason}`;
    expect(reasonOf(pb.decodeMessage(fromHex(hex)))).toBe(expected);
  });

  it("takes the last of a scalar given twice", () => {
    const got = pb.decodeMessage(fromHex(`${ids} 1805 1806 ${beat}`));
    expect(got.type === "ok" && got.value.term).toBe(6);
  });

  it("takes fields in any order", () => {
    const value = { type: "heartbeat", from: 1n, to: 2n, term: 5, round: 1, leaseMs: 0, commit: 7 };
    expect(pb.decodeMessage(fromHex(`42 04 1807 0801 1805 ${ids}`))).toEqual({ type: "ok", value });
  });

  it("refuses identities that are not whole", () => {
    expect(reasonOf(pb.decodeConfState(fromHex("0a 03 010203")))).toBe(
      "conf state: voters: 3 bytes are no whole identities",
    );
  });

  it.each([
    ["lone continuation byte", "80"],
    ["surrogate", "eda080"],
    ["overlong", "c080"],
    ["cut sequence", "e697"],
  ])("refuses text that is not UTF-8: %s", (_, text) => {
    const hex = `0801 1a 0${text.length / 2} ${text}`;
    expect(reasonOf(pb.decodeEnvelope(fromHex(hex)))).toBe("entry envelope: user is not valid UTF-8");
  });

  it.each([
    ["message", pb.decodeMessage, LIMITS.maxMessageBytes],
    ["envelope", pb.decodeEnvelope, LIMITS.maxEntryBytes],
    ["hello", pb.decodeHello, 4096],
  ] as const)("refuses a %s above its limit unread", (_, decode, max) => {
    expect(reasonOf(decode(new Uint8Array(max + 1)))).toContain(`${max + 1} bytes are more than ${max}`);
  });
});

describe("encoders assert what decoders refuse", () => {
  const beat: Message = { type: "heartbeat", from: 1n, to: 2n, term: 5, round: 1, leaseMs: 0, commit: 7 };
  const conf: ConfState = { voters: [1n], votersOutgoing: [], learners: [], learnersNext: [], leaseMs: 0 };
  const put = putOp("k", "v");
  const large = { ...put, value: new Uint8Array(LIMITS.maxEntryBytes) };
  const envelope: pb.EntryEnvelope = {
    version: 1,
    requestId: { instance: 1n, sequence: 1 },
    user: "",
    authRevision: 0,
    guardRevision: 0,
    body: { type: "kv", request: put },
  };
  const rows: readonly (readonly [name: string, encode: () => Uint8Array, reason: string])[] = [
    ["fractional term", () => pb.encodeMessage({ ...beat, term: 1.5 }), "term 1.5"],
    ["not a number", () => pb.encodeMessage({ ...beat, round: Number.NaN }), "round NaN"],
    ["negative index", () => pb.encodeMessage({ ...beat, commit: -1 }), "commit -1"],
    ["identity of 65 bits", () => pb.encodeMessage({ ...beat, from: 1n << 64n }), "from 10000000000000000"],
    ["negative identity", () => pb.encodeMessage({ ...beat, to: -1n }), "to -1"],
    ["message to itself", () => pb.encodeMessage({ ...beat, to: 1n }), "from and to are both 1"],
    [
      "unsorted voters",
      () => pb.encodeConfState({ ...conf, voters: [2n, 1n] }),
      "member 1 does not come after 2",
    ],
    ["joint nothing", () => pb.encodeConfChange({ joint: true, steps: [], leaseMs: undefined }), "no steps"],
    ["position", () => pb.encodeSnapshotMeta({ index: 1, term: 0, conf }), "index 1 cannot have term 0"],
    ["version of tomorrow", () => pb.encodeEnvelope({ ...envelope, version: 2 }), "version 2"],
    ["lone surrogate", () => pb.encodeEnvelope({ ...envelope, user: "a\ud800b" }), "user holds a lone"],
    [
      "too large a value",
      () => pb.encodeEnvelope({ ...envelope, body: { type: "kv", request: large } }),
      "does not fit its limit",
    ],
    [
      "hello to nobody",
      () =>
        pb.encodeHello({ version: 1, cluster: 1n, member: 1n, instance: 1n, to: 0n, purpose: "snapshot" }),
      "to is missing",
    ],
    ["refusal without a reason", () => pb.encodeVerdict({ type: "refused", reason: "" }), "without a reason"],
    [
      "hash of 33 bits",
      () => pb.encodeSnapshotFrame({ type: "end", stream: 1, records: 0, hash: 2 ** 32 }),
      "hash",
    ],
  ];
  it.each(rows)("%s", (_, encode, reason) => {
    expect(encode).toThrow(AssertionError);
    expect(encode).toThrow(reason);
  });

  it("encodes well after an encoding that failed", () => {
    expect(() => pb.encodeEnvelope({ ...envelope, body: { type: "kv", request: large } })).toThrow();
    expect(pb.decodeMessage(pb.encodeMessage(beat))).toEqual({ type: "ok", value: beat });
  });
});
