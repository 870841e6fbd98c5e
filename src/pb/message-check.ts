/**
 * What makes a consensus message impossible, whoever sends it: values beyond the shared bounds, positions
 * that contradict themselves, entries that no log could hold. What is possible but stale or wrong for the
 * receiver's state is for the core to judge.
 */
import { hex, LIMITS, MAX_ID, unreachable } from "../base/index.ts";
import type { AppendRequest, Entry, Message, ProposeRequest, VoteRequest } from "../raft/types.ts";
import { idProblem, positionProblem, uintProblem } from "./check.ts";

const { maxTerm, maxIndex, maxEntriesPerMessage, maxEntryBytes, maxLeaseMs } = LIMITS;
const maxCounter = Number.MAX_SAFE_INTEGER;

/** The rule that the message breaks, naming its type, or undefined. */
export function messageProblem(m: Message): string | undefined {
  const problem = headProblem(m) ?? bodyProblem(m);
  return problem === undefined ? undefined : `${m.type}: ${problem}`;
}

function headProblem(m: Message): string | undefined {
  const { from, to, term } = m;
  // One test each for the usual case; the words are made only when it fails.
  if (from <= 0n || from > MAX_ID) return idProblem("from", from);
  if (to <= 0n || to > MAX_ID) return idProblem("to", to);
  if (from === to) return `from and to are both ${hex(from)}`;
  return uintProblem("term", term, term === 0 ? lowestTerm(m) : 1, maxTerm);
}

/**
 * A member that never heard of a term may deny a pre-vote in its own, 0; everything else happens in a term.
 */
function lowestTerm(m: Message): number {
  return m.type === "voteResponse" && m.pre && !m.granted ? 0 : 1;
}

function bodyProblem(m: Message): string | undefined {
  switch (m.type) {
    case "voteRequest":
      return voteRequestProblem(m);
    case "voteResponse":
      return undefined;
    case "append":
      return appendProblem(m);
    case "appendResponse":
      return (
        uintProblem("index", m.index, 0, maxIndex) ??
        uintProblem("hintIndex", m.hintIndex, 0, m.rejected ? m.index : maxIndex) ??
        uintProblem("hintTerm", m.hintTerm, 0, m.hintIndex === 0 ? 0 : m.term)
      );
    case "heartbeat":
      return (
        uintProblem("round", m.round, 1, maxCounter) ??
        uintProblem("leaseMs", m.leaseMs, 0, maxLeaseMs) ??
        uintProblem("commit", m.commit, 0, maxIndex)
      );
    case "heartbeatResponse":
      return uintProblem("round", m.round, 1, maxCounter);
    case "timeoutNow":
      return undefined;
    case "propose":
      return proposeProblem(m);
    case "readIndex":
      return uintProblem("requestId", m.requestId, 1, maxCounter);
    case "readIndexResponse":
      return (
        uintProblem("requestId", m.requestId, 1, maxCounter) ?? uintProblem("index", m.index, 1, maxIndex)
      );
    default:
      return unreachable(m);
  }
}

/** A candidate campaigns in a term above all that it has seen, its log included (Raft paper §5.2). */
function voteRequestProblem(m: VoteRequest): string | undefined {
  return (
    uintProblem("lastIndex", m.lastIndex, 0, maxIndex) ??
    uintProblem("lastTerm", m.lastTerm, 0, m.term - 1) ??
    positionProblem("last", m.lastIndex, m.lastTerm)
  );
}

/** Every log is contiguous, and terms never fall along it up to the leader's own (Raft paper §5.3). */
function appendProblem(m: AppendRequest): string | undefined {
  const problem =
    uintProblem("prevIndex", m.prevIndex, 0, maxIndex) ??
    uintProblem("prevTerm", m.prevTerm, 0, m.term) ??
    positionProblem("prev", m.prevIndex, m.prevTerm) ??
    uintProblem("commit", m.commit, 0, maxIndex) ??
    countProblem(m.entries.length);
  if (problem !== undefined) return problem;
  let index = m.prevIndex;
  let term = Math.max(m.prevTerm, 1);
  for (const entry of m.entries) {
    index++;
    const broken = entryProblem(entry, index, term, m.term);
    if (broken !== undefined) return broken;
    term = entry.term;
  }
  return undefined;
}

function entryProblem(entry: Entry, index: number, minTerm: number, term: number): string | undefined {
  // Thousands of entries pass here for one that does not: no words are made before something is wrong.
  if (entry.index !== index) return `entry index ${entry.index} is not ${index}`;
  if (index > maxIndex) return uintProblem("entry index", index, 1, maxIndex);
  const broken = uintProblem("term", entry.term, minTerm, term) ?? dataProblem(entry.data.length);
  return broken === undefined ? undefined : `entry ${index}: ${broken}`;
}

function proposeProblem(m: ProposeRequest): string | undefined {
  if (m.entries.length === 0) return "no entries";
  const problem = countProblem(m.entries.length);
  if (problem !== undefined) return problem;
  for (const entry of m.entries) {
    const broken = dataProblem(entry.data.length);
    if (broken !== undefined) return `entry: ${broken}`;
  }
  return undefined;
}

function countProblem(count: number): string | undefined {
  if (count <= maxEntriesPerMessage) return undefined;
  return `${count} entries are more than ${maxEntriesPerMessage}`;
}

function dataProblem(size: number): string | undefined {
  return size <= maxEntryBytes ? undefined : `${size} bytes are more than ${maxEntryBytes}`;
}
