/**
 * The whole state of a consensus core as text. Two cores with equal dumps answer every sequence of inputs
 * alike, so an explorer may treat them as one; a timeline may print where two runs part. Not a format: nobody
 * reads it back.
 *
 * Times are told relative to `now`, and what lies in the past is told as just that, so that two states that
 * differ only in when they were reached are equal.
 */
import { mixHashBytes } from "../base/index.ts";
import type { Progress } from "./progress.ts";
import type { RaftState } from "./state.ts";
import type { Entry, Message } from "./types.ts";

/** @returns one line, without line breaks */
export function dumpState(s: RaftState): string {
  const parts = [
    `${s.role} term ${s.term} vote ${s.vote} leader ${s.leader} applied ${s.applied}`,
    `log ${s.log.dump()}`,
    `conf ${json(s.conf)}`,
    `durable ${json(s.durable)} out ${json(s.batchOut)}`,
    `deadline ${s.electionDeadline - s.now} live ${left(s, s.leaderHeardAt + s.options.electionTimeoutMs)}`,
    `promise ${left(s, s.promiseUntil)}`,
    `votes ${json([...s.votes])} transferred ${s.transferCampaign}`,
    `reads ${json(s.remoteRead)} ${json(s.queuedReads)} ${s.nextRequestId}`,
    `snapshot ${json(s.installing)} ${json(s.snapshotUnsaved)}`,
    `outbox ${set(s.outbox)} held ${set(s.held)} ${set(s.heldForBatch)} states ${json(s.readStates)}`,
  ];
  if (s.role === "leader") {
    parts.push(
      `heartbeat ${s.heartbeatDue - s.now} ${s.rounds.dump(s.now)} conf since ${s.pendingConfIndex}`,
    );
    parts.push(`transfer ${json(s.transfer)} ${s.leaseGivenUp} bytes ${s.uncommittedBytes}`);
    parts.push(`wanted ${json(s.snapshotsWanted)}`);
    for (const [id, progress] of s.progress) parts.push(`${id} ${dumpProgress(progress, s.now)}`);
  }
  return parts.join("; ");
}

/** An entry by what tells it from others: place, kind and a hash of its content. */
export function dumpEntry(entry: Entry): string {
  const kind = entry.type === "conf" ? "c" : "";
  return `${entry.index}/${entry.term}${kind}#${mixHashBytes(0, entry.data) >>> 0}`;
}

function dumpProgress(p: Progress, now: number): string {
  return `${p.dump()} heard ${p.heardAt - now}`;
}

/** Messages without order or number: a network may change both anyway. */
function set(messages: readonly Message[]): string {
  return [...new Set(messages.map(json))].sort().join(" ");
}

function left(s: RaftState, until: number): number {
  return Math.max(0, until - s.now);
}

/** JSON with identities as text. */
function json(value: unknown): string {
  const text = JSON.stringify(value, (_key, v: unknown) => {
    if (typeof v === "bigint") return `${v}n`;
    return v instanceof Uint8Array ? mixHashBytes(0, v) >>> 0 : v;
  });
  return text ?? "-";
}
