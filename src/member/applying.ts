/**
 * Committed entries become state, and what waited for them is answered. In order, each once, at most so many per
 * input, and only what is durable in the local log: an answer to a client may rest on it, and so may the backend.
 */
import { decodeConfChange } from "../pb/index.ts";
import type { Entry } from "../raft/index.ts";
import type { MemberState } from "./state.ts";

/** Most that one input applies; the rest waits for the next one, which `nextWake` asks for at once. */
export const APPLY_ENTRIES = 1024;
export const APPLY_BYTES = 4 * 1024 * 1024;

/** Applies what is committed, up to this input's share. */
export function applyCommitted(s: MemberState): void {
  s.moreToApply = false;
  // While a snapshot takes over, the state is about to be replaced. While the backend is far behind, more would grow
  // the overlay without limit; its completion goes on here.
  if (s.install !== undefined || s.backend.isFull) return;
  const entries = s.raft.takeCommitted(APPLY_ENTRIES, APPLY_BYTES);
  const last = entries[entries.length - 1];
  if (last === undefined) return;
  for (const entry of entries) {
    if (entry.type === "conf") applyConf(s, entry);
    else applyNormal(s, entry);
    if (s.ended) return;
    s.backend.noteApplied(s.now, entry.data.length);
    s.effects.answerAll(s.pending.takeConfs(entry.index, entry.term));
  }
  s.raft.appliedTo(s.now, last.index);
  s.moreToApply = s.applied.index < Math.min(s.raft.commit, s.raft.persistedIndex);
}

function applyNormal(s: MemberState, entry: Entry): void {
  const applied = s.applied.applyNormal(entry);
  switch (applied.type) {
    case "noop":
      return;
    case "fatal":
      s.fail(applied.reason);
      return;
    case "written": {
      s.proposed.remove(applied.requestId);
      if (!s.isOwnRequest(applied.requestId)) return;
      const id = s.pending.takeWrite(applied.requestId.sequence);
      if (id === undefined) return;
      s.effects.answer({ type: "written", id, index: entry.index, ...applied.result });
      return;
    }
    case "duplicate": {
      s.proposed.remove(applied.requestId);
      if (!s.isOwnRequest(applied.requestId)) return;
      const id = s.pending.takeWrite(applied.requestId.sequence);
      if (id !== undefined) s.effects.answer({ type: "unknown", id, reason: "duplicate" });
      return;
    }
    case "published":
      s.proposed.remove(applied.requestId);
      s.checkOwnRecord();
      return;
  }
}

function applyConf(s: MemberState, entry: Entry): void {
  const change = decodeConfChange(entry.data);
  if (change.type === "refused") {
    s.fail(`entry ${entry.index} cannot be applied: ${change.reason}`);
    return;
  }
  s.applied.applyConf(entry, s.raft.applyConfChange(s.now, entry.index, change.value));
}

/** Answers the reads whose index is known and applied. */
export function answerReads(s: MemberState): void {
  for (const state of s.raft.takeReadStates()) {
    if (state.type === "ready") {
      s.pending.readAt(state.waiter, state.index);
      continue;
    }
    const read = s.pending.takeRead(state.waiter);
    if (read === undefined) continue;
    // A read has no effect, so giving it up is always definite.
    const reason = state.reason === "too many requests" ? "too many requests" : "no leader";
    s.effects.answer({ type: "refused", id: read.id, reason });
  }
  const index = s.applied.index;
  for (let read = s.pending.takeReadyRead(index); read !== undefined; read = s.pending.takeReadyRead(index)) {
    answerRead(s, read.id, read.key);
  }
}

/** Answers a read from the state as it is. */
export function answerRead(s: MemberState, id: number, key: string): void {
  const register = s.applied.get(key);
  s.effects.answer({
    type: "read",
    id,
    index: s.applied.index,
    value: register?.value,
    modIndex: register?.modIndex ?? 0,
  });
}
