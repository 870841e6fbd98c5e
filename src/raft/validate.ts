/**
 * What no correct member sends, whatever happened before: refused here with a reason, before it can change anything.
 * The codec checks the same of bytes; this line of defence holds for messages from any transport.
 */
import { hex, LIMITS, type MemberId, NO_MEMBER } from "../base/index.ts";
import type { AppendRequest, Message } from "./types.ts";

/** Why `m` is impossible, or undefined. */
export function impossibleMessage(self: MemberId, m: Message): string | undefined {
  if (m.to !== self) return `it is addressed to ${hex(m.to)}, this is ${hex(self)}`;
  if (m.from === self || m.from === NO_MEMBER) return `it claims to come from ${hex(m.from)}`;
  if (!isCount(m.term, LIMITS.maxTerm) || m.term === 0) return `term ${m.term} is out of range`;
  switch (m.type) {
    case "voteRequest":
      return outOfRange("lastIndex", m.lastIndex) ?? termAbove("lastTerm", m.lastTerm, m.term);
    case "append":
      return impossibleEntries(m);
    case "appendResponse":
      return outOfRange("index", m.index) ?? outOfRange("hintIndex", m.hintIndex);
    case "heartbeat":
      return outOfRange("commit", m.commit) ?? outOfRange("round", m.round) ?? badLease(m.leaseMs);
    case "heartbeatResponse":
      return outOfRange("round", m.round);
    case "readIndexResponse":
      return outOfRange("index", m.index);
    case "propose":
      // It would pass by the judgement of `proposeConfChange`; members make changes only on themselves as leader.
      return m.entries.some((e) => e.type === "conf")
        ? "a configuration change is never forwarded"
        : undefined;
    case "readIndex":
    case "timeoutNow":
    case "voteResponse":
      return undefined;
  }
}

function impossibleEntries(m: AppendRequest): string | undefined {
  const reason =
    outOfRange("prevIndex", m.prevIndex) ??
    outOfRange("commit", m.commit) ??
    termAbove("prevTerm", m.prevTerm, m.term);
  if (reason !== undefined) return reason;
  if ((m.prevIndex === 0) !== (m.prevTerm === 0))
    return `prevIndex ${m.prevIndex} has prevTerm ${m.prevTerm}`;
  let term = m.prevTerm;
  let index = m.prevIndex;
  for (const entry of m.entries) {
    index++;
    if (entry.index !== index) return `entry ${entry.index} stands where ${index} belongs`;
    if (entry.term < term || entry.term > m.term || entry.term === 0) {
      return `entry ${index} has term ${entry.term} between ${term} and ${m.term}`;
    }
    term = entry.term;
  }
  return outOfRange("last index", index);
}

function isCount(value: number, max: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= max;
}

function outOfRange(name: string, value: number): string | undefined {
  return isCount(value, LIMITS.maxIndex) ? undefined : `${name} ${value} is out of range`;
}

function termAbove(name: string, value: number, term: number): string | undefined {
  return isCount(value, term) ? undefined : `${name} ${value} is not in 0..${term}`;
}

function badLease(leaseMs: number): string | undefined {
  return isCount(leaseMs, LIMITS.maxLeaseMs) ? undefined : `leaseMs ${leaseMs} is out of range`;
}
