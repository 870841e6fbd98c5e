/** What a normal log entry carries. Later versions add bodies; the frame around them stays. */
import { fail, LIMITS, unreachable } from "../base/index.ts";
import { idProblem, nameProblem, textProblem, uintProblem, urlsProblem } from "./check.ts";
import { kvRequestProblem, readKvEntry, writeKvEntry } from "./kv-messages.ts";
import {
  type Decoded,
  ENVELOPE_VERSION,
  type EntryBody,
  type EntryEnvelope,
  type RequestId,
} from "./types.ts";
import {
  decodeWith,
  enter,
  leave,
  type Reader,
  Refusal,
  readId,
  readText,
  readTexts,
  readUint,
  readVersion,
  refuseSecond,
  skipField,
} from "./wire-read.ts";
import { begin, finishLogged, open, putId, putText, putTexts, putUint, type Writer } from "./wire-write.ts";

const WHAT = "entry envelope";
const NO_REQUEST: RequestId = { instance: 0n, sequence: 0 };

/** Number of the body's field in EntryEnvelope (raft.proto). */
const BODY_FIELD = { publish: 9, kv: 10, updateMember: 11 } as const satisfies Record<
  EntryBody["type"],
  number
>;

/**
 * The bytes may share their ArrayBuffer with those of entries made just before and after.
 * @throws AssertionError when a field is out of range or the whole exceeds LIMITS.maxEntryBytes: whoever
 *   takes a request from a client checks its size before
 */
export function encodeEnvelope(envelope: EntryEnvelope): Uint8Array {
  const problem = envelopeProblem(envelope);
  if (problem !== undefined) fail(`cannot encode ${WHAT}: ${problem}`);
  const w = begin();
  putUint(w, 1, envelope.version);
  const { instance, sequence } = envelope.requestId;
  if (instance !== 0n) {
    open(w, 2);
    putId(w, 1, instance);
    putUint(w, 2, sequence);
    w.ldelim();
  }
  putText(w, 3, envelope.user);
  putUint(w, 4, envelope.authRevision);
  putUint(w, 5, envelope.guardRevision);
  open(w, BODY_FIELD[envelope.body.type]);
  writeBody(w, envelope.body);
  w.ldelim();
  return finishLogged(w, WHAT, LIMITS.maxEntryBytes);
}

function writeBody(w: Writer, body: EntryBody): void {
  switch (body.type) {
    case "kv":
      writeKvEntry(w, body.request);
      return;
    case "publish":
      putId(w, 1, body.member);
      putId(w, 2, body.instance);
      putText(w, 3, body.name);
      putTexts(w, 4, body.clientUrls);
      return;
    case "updateMember":
      putId(w, 1, body.member);
      putTexts(w, 2, body.peerUrls);
      return;
    default:
      unreachable(body);
  }
}

/**
 * Refuses a newer version by name. Keys and values of a request may be views of `bytes`, that is of the log: who keeps
 * one for longer copies it. An empty entry has no envelope: it is a new leader's no-op, not asked
 * here.
 */
export function decodeEnvelope(bytes: Uint8Array): Decoded<EntryEnvelope> {
  return decodeWith(WHAT, bytes, LIMITS.maxEntryBytes, readEnvelope, envelopeProblem);
}

function readEnvelope(r: Reader): EntryEnvelope {
  let version = 0;
  let requestId: RequestId | undefined;
  let user = "";
  let authRevision = 0;
  let guardRevision = 0;
  let body: EntryBody | undefined;
  let unknown = 0;
  while (r.pos < r.len) {
    const tag = r.tag();
    const field = tag >>> 3;
    switch (field) {
      case 1:
        version = readVersion(r, tag, WHAT, ENVELOPE_VERSION);
        break;
      case 2: {
        refuseSecond(requestId !== undefined, "requestId");
        const outer = enter(r, tag, "requestId");
        requestId = readRequestId(r);
        leave(r, outer);
        break;
      }
      case 3:
        user = readText(r, tag, "user");
        break;
      case 4:
        authRevision = readUint(r, tag, "authRevision");
        break;
      case 5:
        guardRevision = readUint(r, tag, "guardRevision");
        break;
      case BODY_FIELD.publish:
      case BODY_FIELD.updateMember:
      case BODY_FIELD.kv: {
        refuseSecond(body !== undefined, "body");
        const outer = enter(r, tag, "body");
        body = readBody(r, field);
        leave(r, outer);
        break;
      }
      default:
        unknown = field;
        skipField(r, tag);
    }
  }
  if (body === undefined) throw new Refusal(unknown === 0 ? "body is missing" : `body ${unknown} is unknown`);
  return { version, requestId: requestId ?? NO_REQUEST, user, authRevision, guardRevision, body };
}

function readRequestId(r: Reader): RequestId {
  let instance = 0n;
  let sequence = 0;
  while (r.pos < r.len) {
    const tag = r.tag();
    if (tag >>> 3 === 1) instance = readId(r, tag, "requestId instance");
    else if (tag >>> 3 === 2) sequence = readUint(r, tag, "requestId sequence");
    else skipField(r, tag);
  }
  return { instance, sequence };
}

function readBody(r: Reader, field: number): EntryBody {
  if (field === BODY_FIELD.kv) return { type: "kv", request: readKvEntry(r) };
  return field === BODY_FIELD.publish ? readPublish(r) : readUpdateMember(r);
}

function readPublish(r: Reader): EntryBody {
  let member = 0n;
  let instance = 0n;
  let name = "";
  const clientUrls: string[] = [];
  while (r.pos < r.len) {
    const tag = r.tag();
    if (tag >>> 3 === 1) member = readId(r, tag, "member");
    else if (tag >>> 3 === 2) instance = readId(r, tag, "instance");
    else if (tag >>> 3 === 3) name = readText(r, tag, "name");
    else if (tag >>> 3 === 4) readTexts(r, tag, "clientUrls", clientUrls, LIMITS.maxUrls);
    else skipField(r, tag);
  }
  return { type: "publish", member, instance, name, clientUrls };
}

function readUpdateMember(r: Reader): EntryBody {
  let member = 0n;
  const peerUrls: string[] = [];
  while (r.pos < r.len) {
    const tag = r.tag();
    if (tag >>> 3 === 1) member = readId(r, tag, "member");
    else if (tag >>> 3 === 2) readTexts(r, tag, "peerUrls", peerUrls, LIMITS.maxUrls);
    else skipField(r, tag);
  }
  return { type: "updateMember", member, peerUrls };
}

function envelopeProblem(envelope: EntryEnvelope): string | undefined {
  const { requestId } = envelope;
  return (
    uintProblem("version", envelope.version, 1, ENVELOPE_VERSION) ??
    requestIdProblem(requestId) ??
    textProblem("user", envelope.user) ??
    uintProblem("authRevision", envelope.authRevision, 0, Number.MAX_SAFE_INTEGER) ??
    uintProblem("guardRevision", envelope.guardRevision, 0, Number.MAX_SAFE_INTEGER) ??
    bodyProblem(envelope.body)
  );
}

/** A sequence without an instance would be taken for an identity by whoever compares only the numbers. */
function requestIdProblem({ instance, sequence }: RequestId): string | undefined {
  if (instance === 0n) return uintProblem("requestId sequence without an instance", sequence, 0, 0);
  return (
    idProblem("requestId instance", instance) ??
    uintProblem("requestId sequence", sequence, 1, Number.MAX_SAFE_INTEGER)
  );
}

function bodyProblem(body: EntryBody): string | undefined {
  switch (body.type) {
    case "kv":
      return kvRequestProblem(body.request);
    case "publish":
      return (
        idProblem("member", body.member) ??
        idProblem("instance", body.instance) ??
        nameProblem(body.name) ??
        urlsProblem("clientUrls", body.clientUrls)
      );
    case "updateMember":
      if (body.peerUrls.length === 0) return "peerUrls are empty";
      return idProblem("member", body.member) ?? urlsProblem("peerUrls", body.peerUrls);
    default:
      return unreachable(body);
  }
}
