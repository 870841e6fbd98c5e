/**
 * How the stories tell what members say and do. Positions are written `index/term`; "3→1" is a message from 3
 * to 1. The wording is part of the expected output: a change here rewrites every story (UPDATE=1).
 */
import { type MemberId, NO_MEMBER, textOf } from "../../src/base/index.ts";
import type {
  ConfChange,
  ConfChangeStep,
  ConfState,
  Entry,
  Message,
  Raft,
  RaftBatch,
} from "../../src/raft/index.ts";

/** "5/3": index 5 of term 3. */
export function position(index: number, term: number): string {
  return `${index}/${term}`;
}

/** An entry with its content: `5/3 "x"`, `6/3 no-op`, `7/3 change +4`. */
export function entryText(entry: Entry): string {
  return `${position(entry.index, entry.term)} ${contentText(entry)}`;
}

/** The content of an entry alone. */
export function contentText(entry: Entry): string {
  if (entry.type === "conf") return entry.data.length === 0 ? "leave joint" : `change ${textOf(entry.data)}`;
  return entry.data.length === 0 ? "no-op" : `"${textOf(entry.data)}"`;
}

/** One line for a message, without its arrow. */
export function messageText(m: Message): string {
  switch (m.type) {
    case "voteRequest": {
      const what = m.pre ? "would you vote for me" : "vote for me";
      const order = m.transfer ? ", by order of the leader" : "";
      return `${what} in term ${m.term}? my log ends at ${position(m.lastIndex, m.lastTerm)}${order}`;
    }
    case "voteResponse":
      return `${m.pre ? "pre-vote" : "vote"} ${m.granted ? "granted" : "refused"}, term ${m.term}`;
    case "append": {
      const entries = m.entries.length === 0 ? "nothing" : m.entries.map(entryText).join(", ");
      const after = position(m.prevIndex, m.prevTerm);
      return `append after ${after}: ${entries}; commit ${m.commit}, term ${m.term}`;
    }
    case "appendResponse":
      return m.rejected
        ? `no match at ${m.index}, try ${position(m.hintIndex, m.hintTerm)}, term ${m.term}`
        : `have up to ${m.index}, term ${m.term}`;
    case "heartbeat": {
      const lease = m.leaseMs > 0 ? `, lease ${m.leaseMs} ms` : "";
      return `heartbeat ${m.round}: commit ${m.commit}${lease}, term ${m.term}`;
    }
    case "heartbeatResponse":
      return `heard ${m.round}${m.promised ? " and promised" : ""}, term ${m.term}`;
    case "timeoutNow":
      return `campaign now, term ${m.term}`;
    case "propose":
      return `please append ${m.entries.map((e) => `"${textOf(e.data)}"`).join(", ")}`;
    case "readIndex":
      return `read index, please (question ${m.requestId})`;
    case "readIndexResponse":
      return `read index ${m.index} (question ${m.requestId})`;
  }
}

/** "1→2 …": a message with its ends. */
export function arrowText(m: Message): string {
  return `${m.from}→${m.to} ${messageText(m)}`;
}

/** What a batch makes durable. */
export function batchText(batch: RaftBatch): string {
  const parts: string[] = [];
  if (batch.snapshot !== undefined) {
    parts.push(`snapshot ${position(batch.snapshot.index, batch.snapshot.term)}`);
  }
  if (batch.entries.length > 0) parts.push(batch.entries.map(entryText).join(", "));
  const hard = batch.hardState;
  if (hard !== undefined) parts.push(`term ${hard.term} vote ${idText(hard.vote)} commit ${hard.commit}`);
  return parts.join("; ");
}

/** A configuration: "voters 1 2 3 | outgoing 1 2 | learners 4 | next learners 2 | lease 500 ms". */
export function confText(conf: ConfState): string {
  const parts = [`voters ${conf.voters.join(" ")}`];
  if (conf.votersOutgoing.length > 0) parts.push(`outgoing ${conf.votersOutgoing.join(" ")}`);
  if (conf.learners.length > 0) parts.push(`learners ${conf.learners.join(" ")}`);
  if (conf.learnersNext.length > 0) parts.push(`next learners ${conf.learnersNext.join(" ")}`);
  if (conf.leaseMs > 0) parts.push(`lease ${conf.leaseMs} ms`);
  return parts.join(" | ");
}

/** What a member is and whom it follows. */
export function roleText(raft: Raft): string {
  switch (raft.role) {
    case "leader":
      return `leads term ${raft.term}`;
    case "candidate":
      return `stands in term ${raft.term}`;
    case "preCandidate":
      return `asks for pre-votes in term ${raft.term}`;
    case "follower":
      return raft.leader === NO_MEMBER
        ? `follows nobody in term ${raft.term}`
        : `follows ${raft.leader} in term ${raft.term}`;
  }
}

/** "-" for nobody. */
export function idText(id: MemberId): string {
  return id === NO_MEMBER ? "-" : String(id);
}

/**
 * A configuration change in the stories' own notation, which is also the data of its entry: `+4` adds a
 * voter, `~4` a learner, `-4` removes, `lease:500` sets the lease, `joint` makes it joint. Parts are joined
 * by commas.
 */
export function parseChange(text: string): ConfChange {
  const steps: ConfChangeStep[] = [];
  let joint = false;
  let leaseMs: number | undefined;
  for (const part of text.split(",").filter((p) => p !== "")) {
    if (part === "joint") joint = true;
    else if (part.startsWith("lease:")) leaseMs = Number(part.slice("lease:".length));
    else steps.push({ type: stepType(part), id: BigInt(part.slice(1)) });
  }
  return { joint, steps, leaseMs };
}

function stepType(part: string): ConfChangeStep["type"] {
  if (part.startsWith("+")) return "addVoter";
  if (part.startsWith("~")) return "addLearner";
  if (part.startsWith("-")) return "remove";
  throw new Error(`"${part}" is no configuration step`);
}
