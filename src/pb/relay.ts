/**
 * What a member asks the leader for its clients, and what it is told: questions that only the leader answers, and
 * changes that only it makes. They share the consensus connection, but they are no part of consensus: a frame holds one
 * of them and nothing else, and the connection says from whom it is.
 */
import { CODE, type Code, ERR, type KvError, unreachable } from "../base/index.ts";
import { decodeConfChange, encodeConfChange } from "./conf.ts";
import {
  blob,
  blobs,
  flag,
  int64,
  leaseId,
  type MessageOf,
  message,
  nested,
  text,
  uint32,
  uint64,
} from "./fields.ts";
import type { Decoded, Relay, RelayedAnswer, RelayedRequest } from "./types.ts";

const position = { index: uint64(1), revision: int64(2), ttl: int64(3) };

const relay = message("relay", {
  number: uint64(1),
  leaseKeepAlive: nested(2, message("relayed keepalive", { lease: leaseId(1) })),
  leaseTimeToLive: nested(3, message("relayed time to live", { lease: leaseId(1), keys: flag(2) })),
  changeMembers: nested(4, message("relayed change", { change: blob(1) })),
  refused: nested(5, message("refused", { code: uint32(1), message: text(2) })),
  unknown: nested(6, message("unknown", { reason: text(1) })),
  leaseKept: nested(7, message("lease kept", position)),
  leaseTtl: nested(8, message("lease time", { ...position, grantedTtl: int64(4), keys: blobs(5) })),
  changed: nested(9, message("changed", { index: uint64(1) })),
});

type Wire = MessageOf<typeof relay>;

/** PeerMessage of raft.proto, as far as it is a relay. */
const frame = message("peer message", { relay: nested(14, relay) });
/** Tag of its field 14; every consensus message begins with another. */
const RELAY_TAG = 0x72;

const NONE = {
  leaseKeepAlive: undefined,
  leaseTimeToLive: undefined,
  changeMembers: undefined,
  refused: undefined,
  unknown: undefined,
  leaseKept: undefined,
  leaseTtl: undefined,
  changed: undefined,
};

/** Errors by their text: equal ones are one object in this process, too. */
const KNOWN = new Map<string, KvError>(Object.values(ERR).map((error) => [error.message, error]));
const CODES: readonly Code[] = Object.values(CODE);

/** Whether a frame of the consensus connection is a relay; it may still be malformed. */
export function isRelay(bytes: Uint8Array): boolean {
  return bytes[0] === RELAY_TAG;
}

/** @throws AssertionError when a number is out of range, or a change breaks a rule of `confChangeProblem` */
export function encodeRelay(value: Relay): Uint8Array {
  const body = value.type === "ask" ? wireOfRequest(value.request) : wireOfAnswer(value.answer);
  return frame.encode({ relay: { ...NONE, number: value.number, ...body } });
}

/** Refuses what is none of both, or more than one thing. */
export function decodeRelay(bytes: Uint8Array): Decoded<Relay> {
  const decoded = frame.decode(bytes);
  if (decoded.type === "refused") return decoded;
  const wire = decoded.value.relay;
  if (wire === undefined) return { type: "refused", reason: "relay: it is missing" };
  const given = Object.values({ ...wire, number: undefined }).filter((part) => part !== undefined);
  if (given.length !== 1) return { type: "refused", reason: `relay: ${given.length} bodies instead of one` };
  return readBody(wire);
}

function wireOfRequest(request: RelayedRequest): Partial<Wire> {
  switch (request.type) {
    case "leaseKeepAlive":
      return { leaseKeepAlive: { lease: request.lease } };
    case "leaseTimeToLive":
      return { leaseTimeToLive: { lease: request.lease, keys: request.keys } };
    case "changeMembers":
      return { changeMembers: { change: encodeConfChange(request.change) } };
    default:
      return unreachable(request);
  }
}

function wireOfAnswer(answer: RelayedAnswer): Partial<Wire> {
  switch (answer.type) {
    case "leaseKept": {
      const { index, revision, ttl } = answer;
      return { leaseKept: { index, revision, ttl } };
    }
    case "leaseTtl": {
      const { index, revision, ttl, grantedTtl, keys } = answer;
      return { leaseTtl: { index, revision, ttl, grantedTtl, keys } };
    }
    case "changed":
      return { changed: { index: answer.index } };
    case "refused":
      return { refused: { code: answer.error.code, message: answer.error.message } };
    case "unknown":
      return { unknown: { reason: answer.reason } };
    default:
      return unreachable(answer);
  }
}

function readBody(wire: Wire): Decoded<Relay> {
  const { number, leaseKeepAlive, leaseTimeToLive, changeMembers } = wire;
  if (leaseKeepAlive !== undefined) return ask(number, { type: "leaseKeepAlive", ...leaseKeepAlive });
  if (leaseTimeToLive !== undefined) return ask(number, { type: "leaseTimeToLive", ...leaseTimeToLive });
  if (changeMembers !== undefined) {
    const change = decodeConfChange(changeMembers.change);
    return change.type === "refused" ? change : ask(number, { type: "changeMembers", change: change.value });
  }
  const { leaseKept, leaseTtl, changed, refused, unknown } = wire;
  if (leaseKept !== undefined) return reply(number, { type: "leaseKept", ...leaseKept });
  if (leaseTtl !== undefined) return reply(number, { type: "leaseTtl", ...leaseTtl });
  if (changed !== undefined) return reply(number, { type: "changed", ...changed });
  if (refused !== undefined) return reply(number, { type: "refused", error: errorOf(refused) });
  return reply(number, { type: "unknown", reason: unknown?.reason ?? "" });
}

function ask(number: number, request: RelayedRequest): Decoded<Relay> {
  return { type: "ok", value: { type: "ask", number, request } };
}

function reply(number: number, answer: RelayedAnswer): Decoded<Relay> {
  return { type: "ok", value: { type: "reply", number, answer } };
}

function errorOf({ code, message: text }: { readonly code: number; readonly message: string }): KvError {
  const known = CODES.find((one) => one === code) ?? CODE.unknown;
  return KNOWN.get(text) ?? { code: known, message: text };
}
