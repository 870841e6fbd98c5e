/**
 * Frames of a snapshot stream. One frame is checked by itself; that chunks come in order, and that count and
 * hash agree at the end, is for the receiver, who alone knows the frames before.
 */
import { EMPTY_BYTES, fail, hex, LIMITS, unreachable } from "../base/index.ts";
import { idProblem, textProblem, uintProblem } from "./check.ts";
import { readSnapshotMeta, snapshotMetaProblem, writeSnapshotMeta } from "./conf.ts";
import type { Decoded, SnapshotFrame } from "./types.ts";
import {
  decodeWith,
  enter,
  leave,
  type Reader,
  Refusal,
  readBytes,
  readId,
  readText,
  readUint,
  readWord,
  refuseSecond,
  skipField,
} from "./wire-read.ts";
import {
  begin,
  finishTransient,
  open,
  putBytes,
  putId,
  putText,
  putUint,
  putWord,
  type Writer,
} from "./wire-write.ts";

type Begin = Extract<SnapshotFrame, { readonly type: "begin" }>;
type Chunk = Extract<SnapshotFrame, { readonly type: "chunk" }>;
type End = Extract<SnapshotFrame, { readonly type: "end" }>;
/** A frame as read so far: its stream may stand behind its body. */
type Body = Omit<Begin, "stream"> | Omit<Chunk, "stream"> | Omit<End, "stream">;
type Records = (readonly [key: string, value: Uint8Array])[];

const WHAT = "snapshot frame";
const { maxEntriesPerMessage, maxEntryBytes, maxMessageBytes } = LIMITS;
const maxCounter = Number.MAX_SAFE_INTEGER;

/** Number of the body's field in SnapshotFrame (raft.proto). */
const BODY_FIELD = { begin: 2, chunk: 3, end: 4 } as const satisfies Record<SnapshotFrame["type"], number>;

/**
 * The bytes may share their ArrayBuffer with those of other frames: they are to be sent, not kept.
 * @throws AssertionError when a field is out of range, a value exceeds LIMITS.maxEntryBytes, or the whole
 *   exceeds LIMITS.maxMessageBytes
 */
export function encodeSnapshotFrame(frame: SnapshotFrame): Uint8Array {
  const problem = frameProblem(frame);
  if (problem !== undefined) fail(`cannot encode ${WHAT}: ${problem}`);
  const w = begin();
  putUint(w, 1, frame.stream);
  open(w, BODY_FIELD[frame.type]);
  writeBody(w, frame);
  w.ldelim();
  return finishTransient(w, WHAT, maxMessageBytes);
}

function writeBody(w: Writer, frame: SnapshotFrame): void {
  switch (frame.type) {
    case "begin":
      putId(w, 1, frame.from);
      putId(w, 2, frame.to);
      putUint(w, 3, frame.term);
      open(w, 4);
      writeSnapshotMeta(w, frame.meta);
      w.ldelim();
      return;
    case "chunk":
      putUint(w, 1, frame.sequence);
      for (const [key, value] of frame.records) {
        open(w, 2);
        putText(w, 1, key);
        putBytes(w, 2, value);
        w.ldelim();
      }
      return;
    case "end":
      putUint(w, 1, frame.records);
      putWord(w, 2, frame.hash);
      return;
    default:
      unreachable(frame);
  }
}

/** Values of records are copies unless one fills half of `bytes`: the caller gives `bytes` up. */
export function decodeSnapshotFrame(bytes: Uint8Array): Decoded<SnapshotFrame> {
  return decodeWith(WHAT, bytes, maxMessageBytes, readFrame, frameProblem);
}

function readFrame(r: Reader): SnapshotFrame {
  let stream = 0;
  let body: Body | undefined;
  let unknown = 0;
  while (r.pos < r.len) {
    const tag = r.tag();
    const field = tag >>> 3;
    if (field === 1) {
      stream = readUint(r, tag, "stream");
    } else if (field >= BODY_FIELD.begin && field <= BODY_FIELD.end) {
      refuseSecond(body !== undefined, "body");
      const outer = enter(r, tag, "body");
      if (field === BODY_FIELD.begin) body = readBegin(r);
      else if (field === BODY_FIELD.chunk) body = readChunk(r);
      else body = readEnd(r);
      leave(r, outer);
    } else {
      unknown = field;
      skipField(r, tag);
    }
  }
  if (body === undefined)
    throw new Refusal(unknown === 0 ? "body is missing" : `frame type ${unknown} is unknown`);
  return { ...body, stream };
}

function readBegin(r: Reader): Body {
  let from = 0n;
  let to = 0n;
  let term = 0;
  let meta: Begin["meta"] | undefined;
  while (r.pos < r.len) {
    const tag = r.tag();
    switch (tag >>> 3) {
      case 1:
        from = readId(r, tag, "from");
        break;
      case 2:
        to = readId(r, tag, "to");
        break;
      case 3:
        term = readUint(r, tag, "term");
        break;
      case 4: {
        refuseSecond(meta !== undefined, "meta");
        const outer = enter(r, tag, "meta");
        meta = readSnapshotMeta(r);
        leave(r, outer);
        break;
      }
      default:
        skipField(r, tag);
    }
  }
  if (meta === undefined) throw new Refusal("meta is missing");
  return { type: "begin", from, to, term, meta };
}

function readChunk(r: Reader): Body {
  const records: Records = [];
  let sequence = 0;
  while (r.pos < r.len) {
    const tag = r.tag();
    if (tag >>> 3 === 1) {
      sequence = readUint(r, tag, "sequence");
    } else if (tag >>> 3 === 2) {
      if (records.length === maxEntriesPerMessage)
        throw new Refusal(`more than ${maxEntriesPerMessage} records`);
      const outer = enter(r, tag, "record");
      readRecord(r, records);
      leave(r, outer);
    } else {
      skipField(r, tag);
    }
  }
  return { type: "chunk", sequence, records };
}

function readRecord(r: Reader, into: Records): void {
  let key = "";
  let value = EMPTY_BYTES;
  while (r.pos < r.len) {
    const tag = r.tag();
    if (tag >>> 3 === 1) key = readText(r, tag, "record key");
    else if (tag >>> 3 === 2) value = readBytes(r, tag, "record value", maxEntryBytes);
    else skipField(r, tag);
  }
  into.push([key, value]);
}

function readEnd(r: Reader): Body {
  let records = 0;
  let hash = 0;
  while (r.pos < r.len) {
    const tag = r.tag();
    if (tag >>> 3 === 1) records = readUint(r, tag, "records");
    else if (tag >>> 3 === 2) hash = readWord(r, tag, "hash");
    else skipField(r, tag);
  }
  return { type: "end", records, hash };
}

function frameProblem(frame: SnapshotFrame): string | undefined {
  const problem = uintProblem("stream", frame.stream, 0, maxCounter) ?? bodyProblem(frame);
  return problem === undefined ? undefined : `${frame.type}: ${problem}`;
}

function bodyProblem(frame: SnapshotFrame): string | undefined {
  switch (frame.type) {
    case "begin":
      return beginProblem(frame);
    case "chunk":
      return chunkProblem(frame);
    case "end":
      return (
        uintProblem("records", frame.records, 0, maxCounter) ??
        uintProblem("hash", frame.hash, 0, 2 ** 32 - 1)
      );
    default:
      return unreachable(frame);
  }
}

function beginProblem({ from, to, term, meta }: Begin): string | undefined {
  const problem = idProblem("from", from) ?? idProblem("to", to);
  if (problem !== undefined) return problem;
  if (from === to) return `from and to are both ${hex(from)}`;
  if (meta.index === 0) return "meta: a snapshot of the state before the first entry is not sent";
  return (
    uintProblem("term", term, 1, LIMITS.maxTerm) ??
    uintProblem("meta: term", meta.term, 1, term) ??
    prefixed("meta", snapshotMetaProblem(meta))
  );
}

function chunkProblem({ sequence, records }: Chunk): string | undefined {
  const problem = uintProblem("sequence", sequence, 0, maxCounter);
  if (problem !== undefined) return problem;
  if (records.length > maxEntriesPerMessage)
    return `${records.length} records are more than ${maxEntriesPerMessage}`;
  for (const [key, value] of records) {
    const broken = textProblem("record key", key);
    if (broken !== undefined) return broken;
    if (value.length > maxEntryBytes)
      return `record value: ${value.length} bytes are more than ${maxEntryBytes}`;
  }
  return undefined;
}

function prefixed(what: string, problem: string | undefined): string | undefined {
  return problem === undefined ? undefined : `${what}: ${problem}`;
}
