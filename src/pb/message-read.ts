/**
 * Bodies of the consensus messages, field by field. Each function reads up to the reader's end and leaves all
 * rules to message-check.ts; only what has no place in the type is refused here: an unknown entry type, too
 * many entries.
 */
import { LIMITS } from "../base/index.ts";
import type { Entry, Message, MessageType, ProposedEntry } from "../raft/types.ts";
import { readEntry, readProposed } from "./entry.ts";
import { enter, leave, type Reader, Refusal, readFlag, readUint, skipField } from "./wire-read.ts";

/** Number of the body's field in PeerMessage (raft.proto). */
export const BODY_FIELD = {
  voteRequest: 4,
  voteResponse: 5,
  append: 6,
  appendResponse: 7,
  heartbeat: 8,
  heartbeatResponse: 9,
  timeoutNow: 10,
  propose: 11,
  readIndex: 12,
  readIndexResponse: 13,
} as const satisfies Record<MessageType, number>;

/** What all messages share. */
export interface Head {
  readonly from: bigint;
  readonly to: bigint;
  readonly term: number;
}

/** The message whose body is field `field` and ends where the reader does. `field` is one of BODY_FIELD. */
export function readBody(r: Reader, field: number, head: Head): Message {
  switch (field) {
    case BODY_FIELD.voteRequest:
      return readVoteRequest(r, head);
    case BODY_FIELD.voteResponse:
      return readVoteResponse(r, head);
    case BODY_FIELD.append:
      return readAppend(r, head);
    case BODY_FIELD.appendResponse:
      return readAppendResponse(r, head);
    case BODY_FIELD.heartbeat:
      return readHeartbeat(r, head);
    case BODY_FIELD.heartbeatResponse:
      return readHeartbeatResponse(r, head);
    case BODY_FIELD.timeoutNow:
      return readTimeoutNow(r, head);
    case BODY_FIELD.propose:
      return readPropose(r, head);
    case BODY_FIELD.readIndex:
      return readReadIndex(r, head);
    case BODY_FIELD.readIndexResponse:
      return readReadIndexResponse(r, head);
    default:
      throw new Refusal(`message type ${field} is unknown`);
  }
}

function readVoteRequest(r: Reader, { from, to, term }: Head): Message {
  let pre = false;
  let lastIndex = 0;
  let lastTerm = 0;
  let transfer = false;
  while (r.pos < r.len) {
    const tag = r.tag();
    switch (tag >>> 3) {
      case 1:
        pre = readFlag(r, tag, "pre");
        break;
      case 2:
        lastIndex = readUint(r, tag, "lastIndex");
        break;
      case 3:
        lastTerm = readUint(r, tag, "lastTerm");
        break;
      case 4:
        transfer = readFlag(r, tag, "transfer");
        break;
      default:
        skipField(r, tag);
    }
  }
  return { type: "voteRequest", from, to, term, pre, lastIndex, lastTerm, transfer };
}

function readVoteResponse(r: Reader, { from, to, term }: Head): Message {
  let pre = false;
  let granted = false;
  while (r.pos < r.len) {
    const tag = r.tag();
    if (tag >>> 3 === 1) pre = readFlag(r, tag, "pre");
    else if (tag >>> 3 === 2) granted = readFlag(r, tag, "granted");
    else skipField(r, tag);
  }
  return { type: "voteResponse", from, to, term, pre, granted };
}

function readAppend(r: Reader, { from, to, term }: Head): Message {
  const entries: Entry[] = [];
  let prevIndex = 0;
  let prevTerm = 0;
  let commit = 0;
  while (r.pos < r.len) {
    const tag = r.tag();
    switch (tag >>> 3) {
      case 1:
        prevIndex = readUint(r, tag, "prevIndex");
        break;
      case 2:
        prevTerm = readUint(r, tag, "prevTerm");
        break;
      case 3:
        commit = readUint(r, tag, "commit");
        break;
      case 4: {
        refuseMoreEntries(entries.length);
        const outer = enter(r, tag, "entry");
        entries.push(readEntry(r));
        leave(r, outer);
        break;
      }
      default:
        skipField(r, tag);
    }
  }
  return { type: "append", from, to, term, prevIndex, prevTerm, commit, entries };
}

/** Two bytes on the wire are an object here: the bound holds while reading, not only afterwards. */
function refuseMoreEntries(count: number): void {
  if (count < LIMITS.maxEntriesPerMessage) return;
  throw new Refusal(`more than ${LIMITS.maxEntriesPerMessage} entries`);
}

function readAppendResponse(r: Reader, { from, to, term }: Head): Message {
  let rejected = false;
  let index = 0;
  let hintIndex = 0;
  let hintTerm = 0;
  while (r.pos < r.len) {
    const tag = r.tag();
    switch (tag >>> 3) {
      case 1:
        rejected = readFlag(r, tag, "rejected");
        break;
      case 2:
        index = readUint(r, tag, "index");
        break;
      case 3:
        hintIndex = readUint(r, tag, "hintIndex");
        break;
      case 4:
        hintTerm = readUint(r, tag, "hintTerm");
        break;
      default:
        skipField(r, tag);
    }
  }
  return { type: "appendResponse", from, to, term, rejected, index, hintIndex, hintTerm };
}

function readHeartbeat(r: Reader, { from, to, term }: Head): Message {
  let round = 0;
  let leaseMs = 0;
  let commit = 0;
  while (r.pos < r.len) {
    const tag = r.tag();
    switch (tag >>> 3) {
      case 1:
        round = readUint(r, tag, "round");
        break;
      case 2:
        leaseMs = readUint(r, tag, "leaseMs");
        break;
      case 3:
        commit = readUint(r, tag, "commit");
        break;
      default:
        skipField(r, tag);
    }
  }
  return { type: "heartbeat", from, to, term, round, leaseMs, commit };
}

function readHeartbeatResponse(r: Reader, { from, to, term }: Head): Message {
  let round = 0;
  let promised = false;
  while (r.pos < r.len) {
    const tag = r.tag();
    if (tag >>> 3 === 1) round = readUint(r, tag, "round");
    else if (tag >>> 3 === 2) promised = readFlag(r, tag, "promised");
    else skipField(r, tag);
  }
  return { type: "heartbeatResponse", from, to, term, round, promised };
}

function readTimeoutNow(r: Reader, { from, to, term }: Head): Message {
  while (r.pos < r.len) skipField(r, r.tag());
  return { type: "timeoutNow", from, to, term };
}

function readPropose(r: Reader, { from, to, term }: Head): Message {
  const entries: ProposedEntry[] = [];
  while (r.pos < r.len) {
    const tag = r.tag();
    if (tag >>> 3 === 1) {
      refuseMoreEntries(entries.length);
      const outer = enter(r, tag, "entry");
      entries.push(readProposed(r));
      leave(r, outer);
    } else {
      skipField(r, tag);
    }
  }
  return { type: "propose", from, to, term, entries };
}

function readReadIndex(r: Reader, { from, to, term }: Head): Message {
  let requestId = 0;
  let lease = false;
  while (r.pos < r.len) {
    const tag = r.tag();
    if (tag >>> 3 === 1) requestId = readUint(r, tag, "requestId");
    else if (tag >>> 3 === 2) lease = readFlag(r, tag, "lease");
    else skipField(r, tag);
  }
  return { type: "readIndex", from, to, term, requestId, lease };
}

function readReadIndexResponse(r: Reader, { from, to, term }: Head): Message {
  let requestId = 0;
  let index = 0;
  while (r.pos < r.len) {
    const tag = r.tag();
    if (tag >>> 3 === 1) requestId = readUint(r, tag, "requestId");
    else if (tag >>> 3 === 2) index = readUint(r, tag, "index");
    else skipField(r, tag);
  }
  return { type: "readIndexResponse", from, to, term, requestId, index };
}
