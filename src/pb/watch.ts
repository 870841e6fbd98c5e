/**
 * Messages of etcd's Watch service. A response is written in two parts: a head of its own for every watcher, made here,
 * and the events, which were encoded once for all of them (kv-value.ts) and stand in a row behind it.
 */
import { fail } from "../base/index.ts";
import { append, blob, enums, type Field, flag, int64, message, nested, text } from "./fields.ts";
import type { Event } from "./kv.ts";
import type { ResponseHeader } from "./kv-response.ts";
import { readEvent } from "./kv-value.ts";
import { putInt64, putLong } from "./kv-wire.ts";
import { headerCodec } from "./services.ts";
import type { Decoded } from "./types.ts";
import { decodeWith, enter, leave, type Reader, skipField } from "./wire-read.ts";
import {
  begin,
  finish,
  finishTransient,
  open,
  putFlag,
  putText,
  putUint,
  type Writer,
} from "./wire-write.ts";

/** Values of WatchCreateRequest.filters: which events are left out. */
export const WATCH_FILTER = { noPut: 0, noDelete: 1 } as const;

const MAX_HEAD_BYTES = 64 * 1024;
const MAX_REQUEST_BYTES = 2 ** 31 - 1;

export const watchCreateRequest = message("watch create request", {
  key: blob(1),
  rangeEnd: blob(2),
  startRevision: int64(3),
  progressNotify: flag(4),
  /** Numbers of WATCH_FILTER; others say nothing. */
  filters: enums(5),
  prevKv: flag(6),
  watchId: int64(7),
  fragment: flag(8),
});

export type WatchCreateRequest = ReturnType<typeof watchCreateRequest.read>;

const watchCancelRequest = message("watch cancel request", { watchId: int64(1) });

/** What a client asks of its stream. */
export type WatchRequest =
  | { readonly type: "create"; readonly create: WatchCreateRequest }
  | { readonly type: "cancel"; readonly watchId: number }
  | { readonly type: "progress" };

/** The bytes are the caller's. @throws AssertionError when a number does not fit */
export function encodeWatchRequest(request: WatchRequest): Uint8Array {
  const problem = request.type === "create" ? watchCreateRequest.problem(request.create) : undefined;
  if (problem !== undefined) fail(`cannot encode watch request: ${problem}`);
  const w = begin();
  if (request.type === "create") {
    open(w, 1);
    watchCreateRequest.write(w, request.create);
  } else if (request.type === "cancel") {
    open(w, 2);
    watchCancelRequest.write(w, request);
  } else {
    open(w, 3);
  }
  w.ldelim();
  return finish(w, "watch request", MAX_REQUEST_BYTES);
}

/** A request, or undefined for one of a kind that this program does not know: it is passed over, as etcd does. */
export function decodeWatchRequest(bytes: Uint8Array): Decoded<WatchRequest | undefined> {
  return decodeWith("watch request", bytes, MAX_REQUEST_BYTES, readWatchRequest, () => undefined);
}

function readWatchRequest(r: Reader): WatchRequest | undefined {
  let request: WatchRequest | undefined;
  while (r.pos < r.len) {
    const tag = r.tag();
    const field = tag >>> 3;
    if (field === 0 || field > 3) {
      skipField(r, tag);
      continue;
    }
    const outer = enter(r, tag, "request");
    if (field === 1) {
      request = { type: "create", create: watchCreateRequest.read(r) };
    } else if (field === 2) {
      request = { type: "cancel", watchId: watchCancelRequest.read(r).watchId };
    } else {
      while (r.pos < r.len) skipField(r, r.tag());
      request = { type: "progress" };
    }
    leave(r, outer);
  }
  return request;
}

/** A watch response without its events; the fields mean what `watch/types.ts` says. */
export interface WatchHead {
  readonly watchId: number;
  readonly created: boolean;
  readonly canceled: boolean;
  readonly compactRevision: number;
  readonly cancelReason: string;
  readonly fragment: boolean;
}

/**
 * What comes before the events of a response: with arrays of `encodeWatchEvent` behind it, it is a WatchResponse.
 * The bytes are for sending, not for keeping: they may share their memory with others.
 */
export function encodeWatchHead(header: ResponseHeader, head: WatchHead): Uint8Array {
  const w = begin();
  open(w, 1);
  writeHeader(w, header);
  w.ldelim();
  putInt64(w, 2, head.watchId);
  putFlag(w, 3, head.created);
  putFlag(w, 4, head.canceled);
  putInt64(w, 5, head.compactRevision);
  putText(w, 6, head.cancelReason);
  putFlag(w, 7, head.fragment);
  return finishTransient(w, "watch response without events", MAX_HEAD_BYTES);
}

function writeHeader(w: Writer, header: ResponseHeader): void {
  putLong(w, 1, header.clusterId);
  putLong(w, 2, header.memberId);
  putInt64(w, 3, header.revision);
  putUint(w, 4, header.raftTerm);
}

/** A response as a client reads it. */
export interface WatchResponse extends WatchHead {
  /** undefined: the message had none. */
  readonly header: ResponseHeader | undefined;
  readonly events: readonly Event[];
}

/** Keys and values may be views of `bytes`: the caller gives them up. */
export function decodeWatchResponse(bytes: Uint8Array): Decoded<WatchResponse> {
  return watchResponse.decode(bytes);
}

/** Events of a response; they are written by `encodeWatchEvent`, not here. */
const events: Field<readonly Event[]> = {
  number: 11,
  absent: [],
  write: () => fail("events are encoded one by one"),
  read(r, tag, what, before) {
    const outer = enter(r, tag, what);
    const event = readEvent(r);
    leave(r, outer);
    return append(before, event);
  },
  problem: () => undefined,
};

const watchResponse = message("watch response", {
  header: nested(1, headerCodec),
  watchId: int64(2),
  created: flag(3),
  canceled: flag(4),
  compactRevision: int64(5),
  cancelReason: text(6),
  fragment: flag(7),
  events,
});
