/**
 * The consensus messages of raft/types.ts as PeerMessage of raft.proto. The simulator sends every message
 * through here, so this is written for speed: no closures per message, no bytes moved behind entries.
 */
import { fail, LIMITS, unreachable } from "../base/index.ts";
import type { AppendRequest, Message, ProposeRequest } from "../raft/types.ts";
import { entryFieldSize, proposedFieldSize, writeEntry, writeProposed } from "./entry.ts";
import { messageProblem } from "./message-check.ts";
import { BODY_FIELD, readBody } from "./message-read.ts";
import type { Decoded } from "./types.ts";
import {
  decodeWith,
  enter,
  type Reader,
  Refusal,
  readId,
  readUint,
  refuseSecond,
  skipField,
} from "./wire-read.ts";
import {
  begin,
  finishTransient,
  open,
  openSized,
  putFlag,
  putId,
  putUint,
  varintSize,
  type Writer,
} from "./wire-write.ts";

const WHAT = "peer message";
const { maxMessageBytes } = LIMITS;

/**
 * The bytes may share their ArrayBuffer with those of other messages: they are to be sent, not kept.
 * @throws AssertionError when the message breaks a rule of message-check.ts or exceeds LIMITS.maxMessageBytes
 */
export function encodeMessage(m: Message): Uint8Array {
  const problem = messageProblem(m);
  if (problem !== undefined) fail(`cannot encode ${problem}`);
  const w = begin();
  putId(w, 1, m.from);
  putId(w, 2, m.to);
  putUint(w, 3, m.term);
  writeBody(w, m);
  return finishTransient(w, WHAT, maxMessageBytes);
}

/** One `switch` over the type, so that every field below is read from objects of one shape. */
function writeBody(w: Writer, m: Message): void {
  switch (m.type) {
    case "voteRequest":
      open(w, BODY_FIELD.voteRequest);
      putFlag(w, 1, m.pre);
      putUint(w, 2, m.lastIndex);
      putUint(w, 3, m.lastTerm);
      putFlag(w, 4, m.transfer);
      break;
    case "voteResponse":
      open(w, BODY_FIELD.voteResponse);
      putFlag(w, 1, m.pre);
      putFlag(w, 2, m.granted);
      break;
    case "append":
      writeAppend(w, m);
      return;
    case "appendResponse":
      open(w, BODY_FIELD.appendResponse);
      putFlag(w, 1, m.rejected);
      putUint(w, 2, m.index);
      putUint(w, 3, m.hintIndex);
      putUint(w, 4, m.hintTerm);
      break;
    case "heartbeat":
      open(w, BODY_FIELD.heartbeat);
      putUint(w, 1, m.round);
      putUint(w, 2, m.leaseMs);
      putUint(w, 3, m.commit);
      break;
    case "heartbeatResponse":
      open(w, BODY_FIELD.heartbeatResponse);
      putUint(w, 1, m.round);
      putFlag(w, 2, m.promised);
      break;
    case "timeoutNow":
      open(w, BODY_FIELD.timeoutNow);
      break;
    case "propose":
      writePropose(w, m);
      return;
    case "readIndex":
      open(w, BODY_FIELD.readIndex);
      putUint(w, 1, m.requestId);
      putFlag(w, 2, m.lease);
      break;
    case "readIndexResponse":
      open(w, BODY_FIELD.readIndexResponse);
      putUint(w, 1, m.requestId);
      putUint(w, 2, m.index);
      break;
    default:
      unreachable(m);
  }
  w.ldelim();
}

function writeAppend(w: Writer, m: AppendRequest): void {
  let size = uintFieldSize(m.prevIndex) + uintFieldSize(m.prevTerm) + uintFieldSize(m.commit);
  for (const entry of m.entries) size += entryFieldSize(entry);
  openSized(w, BODY_FIELD.append, size);
  const begun = w.len;
  putUint(w, 1, m.prevIndex);
  putUint(w, 2, m.prevTerm);
  putUint(w, 3, m.commit);
  for (const entry of m.entries) writeEntry(w, 4, entry);
  mustHaveSize(w, begun, size);
}

function writePropose(w: Writer, m: ProposeRequest): void {
  let size = 0;
  for (const entry of m.entries) size += proposedFieldSize(entry);
  openSized(w, BODY_FIELD.propose, size);
  const begun = w.len;
  for (const entry of m.entries) writeProposed(w, 1, entry);
  mustHaveSize(w, begun, size);
}

/** A wrong length would shift everything behind it into other fields, and some of that would still decode. */
function mustHaveSize(w: Writer, begun: number, size: number): void {
  if (w.len - begun !== size) fail("computed size is not what was written", { size, written: w.len - begun });
}

function uintFieldSize(value: number): number {
  return value === 0 ? 0 : 1 + varintSize(value);
}

/**
 * Refuses everything that is not exactly one possible message; the reason names message type, field and
 * value. Data of entries may be views of `bytes`: the caller gives them up.
 */
export function decodeMessage(bytes: Uint8Array): Decoded<Message> {
  return decodeWith(WHAT, bytes, maxMessageBytes, readMessage, messageProblem);
}

/** The head may stand behind the body, so the body's place is kept and read last. */
function readMessage(r: Reader): Message {
  let from = 0n;
  let to = 0n;
  let term = 0;
  let body = 0;
  let bodyAt = 0;
  let bodyEnd = 0;
  let unknown = 0;
  while (r.pos < r.len) {
    const tag = r.tag();
    const field = tag >>> 3;
    if (field === 1) {
      from = readId(r, tag, "from");
    } else if (field === 2) {
      to = readId(r, tag, "to");
    } else if (field === 3) {
      term = readUint(r, tag, "term");
    } else if (field >= BODY_FIELD.voteRequest && field <= BODY_FIELD.readIndexResponse) {
      refuseSecond(body !== 0, "body");
      const outer = enter(r, tag, "body");
      body = field;
      bodyAt = r.pos;
      bodyEnd = r.len;
      r.pos = bodyEnd;
      r.len = outer;
    } else {
      unknown = field;
      skipField(r, tag);
    }
  }
  if (body === 0) throw new Refusal(unknown === 0 ? "body is missing" : `message type ${unknown} is unknown`);
  r.pos = bodyAt;
  r.len = bodyEnd;
  return readBody(r, body, { from, to, term });
}
