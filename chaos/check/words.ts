/** Requests, answers and keys in a few words, for findings and for the page. */
import { hex } from "../../src/base/index.ts";
import type { Event, KeyValue } from "../../src/pb/kv.ts";
import type { ClientRequest, ClientResponse, KvOperation, WatchRecord } from "./kv-history.ts";
import { latin1 } from "./model-rules.ts";

const MAX_TEXT = 40;

/** Bytes for a reader: printable as they are, the rest escaped, long ones cut. */
export function showBytes(bytes: Uint8Array): string {
  const text = latin1(bytes).replace(
    /[^ -~]/g,
    (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
  return text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT)}…(${bytes.length} B)`;
}

export function showKeyValue(kv: KeyValue | undefined): string {
  if (kv === undefined) return "absent";
  const lease = kv.lease === 0n ? "" : ` lease ${hex(kv.lease)}`;
  const { createRevision, modRevision, version } = kv;
  const place = `create ${createRevision} mod ${modRevision} version ${version}${lease}`;
  return `${showBytes(kv.key)}=${showBytes(kv.value)} (${place})`;
}

export function showEvent(event: Event): string {
  const previous = event.prevKv === undefined ? "" : `, before ${showKeyValue(event.prevKv)}`;
  return `${event.type} ${showKeyValue(event.kv)}${previous}`;
}

function showRange(key: Uint8Array, rangeEnd: Uint8Array): string {
  return rangeEnd.length === 0 ? showBytes(key) : `[${showBytes(key)}, ${showBytes(rangeEnd)})`;
}

export function showRequest(request: ClientRequest): string {
  switch (request.type) {
    case "range": {
      const at = request.revision > 0 ? ` at ${request.revision}` : "";
      const kind = request.serializable ? "serializable range" : "range";
      return `${kind} ${showRange(request.key, request.rangeEnd)}${at}`;
    }
    case "put": {
      const lease = request.lease === 0n ? "" : ` lease ${hex(request.lease)}`;
      return `put ${showBytes(request.key)}=${showBytes(request.value)}${lease}`;
    }
    case "deleteRange":
      return `delete ${showRange(request.key, request.rangeEnd)}`;
    case "txn": {
      const { compare, success, failure } = request;
      return `txn of ${compare.length} compares, ${success.length} or ${failure.length} operations`;
    }
    case "compaction":
      return `compact ${request.revision}`;
    case "leaseGrant":
      return `grant lease ${hex(request.id)} for ${request.ttl} s`;
    case "leaseRevoke":
      return `revoke lease ${hex(request.id)}`;
    case "alarm":
      return `${request.action} alarm ${request.alarm}`;
  }
}

export function showResponse(response: ClientResponse): string {
  switch (response.type) {
    case "range": {
      const more = response.more ? " and more" : "";
      const keys = response.kvs.map(showKeyValue).join("; ");
      return `${response.kvs.length} of ${response.count} keys${more}: ${keys}`;
    }
    case "put":
      return response.prevKv === undefined ? "put" : `put, before ${showKeyValue(response.prevKv)}`;
    case "deleteRange":
      return `${response.deleted} deleted ${response.prevKvs.map(showKeyValue).join("; ")}`;
    case "txn":
      return `${response.succeeded ? "then" : "else"}: ${response.responses.map(showResponse).join(" | ")}`;
    case "leaseGrant":
      return `lease ${hex(response.id)} for ${response.ttl} s`;
    case "alarm":
      return `alarms: ${response.alarms.map((alarm) => alarm.alarm).join(" ")}`;
    default:
      return response.type;
  }
}

/** An operation with its client, times and outcome. */
export function showOperation(operation: KvOperation): string {
  const { id, client, call, returned, request, outcome } = operation;
  let end: string = outcome.type;
  if (outcome.type === "ok") end = `revision ${outcome.revision}`;
  if (outcome.type === "refused") end = `"${outcome.error}"`;
  return `operation ${id} (client ${client}, ${showRequest(request)}, ${call}..${returned}, ${end})`;
}

export function showWatch(watch: WatchRecord): string {
  const { id, client, member, request } = watch;
  const from = request.startRevision === 0 ? "now" : `${request.startRevision}`;
  const range = showRange(request.key, request.rangeEnd);
  return `watcher ${id} (client ${client} at ${member}, ${range} from ${from})`;
}
