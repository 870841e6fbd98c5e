/**
 * What must become durable, in the log and in the backend, and how much of the log may go once it is.
 *
 * Persist before send: what promises durability stays inside the consensus core until `persistDone`; this file hands
 * the driver the batch and nothing that rests on it. Heartbeats, appends and read rounds do not wait.
 */
import { fail, NO_MEMBER } from "../base/index.ts";
import type { MemberState } from "./state.ts";

/** Hands out everything that is not durable yet, unless a batch is still on its way. */
export function issuePersistBatch(s: MemberState): void {
  if (s.batch !== undefined) return;
  const batch = s.raft.takeBatch();
  if (batch === undefined) return;
  const seq = ++s.lastBatchSeq;
  s.batch = { seq, snapshot: batch.snapshot, sentAt: s.now, handedOver: false };
  s.effects.persist = {
    seq,
    snapshot: batch.snapshot,
    entries: batch.entries,
    hardState: batch.hardState,
  };
}

/** The batch in flight is durable. */
export function persistDone(s: MemberState, seq: number): void {
  const batch = s.batch;
  if (batch?.seq !== seq) fail("batch completed out of turn", { seq, inFlight: batch?.seq ?? 0 });
  s.batch = undefined;
  // The messages that waited for it come out with the core's other messages from here on.
  s.raft.persisted(s.now);
  if (batch.snapshot === undefined) return;
  const install = s.install;
  if (install?.meta !== batch.snapshot) fail("a snapshot record that nobody installs", { seq });
  // The record is the commit point: from now on an open uses the snapshot's directory.
  install.stage = "loading";
  s.stateDirectory = batch.snapshot.index;
  s.effects.installSnapshot = batch.snapshot;
}

/**
 * When the disk is slow, the leader's log is the bottleneck of everybody, and a write that hangs for seconds hangs for
 * all; any other voter serves better. Once per stall: if that was refused or came to nothing, insisting would only
 * keep new requests out.
 */
export function handOverIfDiskIsSlow(s: MemberState): void {
  if (s.batch === undefined || s.now < slowDiskAt(s)) return;
  s.batch.handedOver = true;
  s.raft.transferLeadership(s.now, NO_MEMBER);
}

/** When the batch in flight counts as stalled and makes the leader hand over; Infinity: it does not. */
export function slowDiskAt(s: MemberState): number {
  if (s.batch === undefined || s.batch.handedOver || s.raft.role !== "leader")
    return Number.POSITIVE_INFINITY;
  return s.batch.sentAt + s.options.electionTimeoutMs / 2;
}

/**
 * Hands out what was applied since the last backend batch. Everything applied is durable in the log, so the backend
 * cannot come to be ahead of it. None while a snapshot takes over: the directory is about to change.
 */
export function issueBackendBatch(s: MemberState): void {
  if (s.install !== undefined || !s.backend.isDue(s.now)) return;
  const { puts, deletes } = s.applied.takeChanges();
  s.batchedFrom = s.applied;
  s.effects.backend = s.backend.issue({
    index: s.applied.index,
    term: s.applied.term,
    conf: s.applied.conf,
    puts,
    deletes,
  });
}

/** The backend batch in flight is durable. */
export function backendDone(s: MemberState, seq: number): void {
  s.backend.durable(seq);
  // A snapshot that was installed meanwhile brought a state of its own, which knows nothing of this batch.
  if (s.batchedFrom === s.applied) s.applied.batchDurable();
  s.batchedFrom = undefined;
}

/** Deletes a part of what was compacted. It changes no answer, so every member does it in its own time. */
export function deleteCompacted(s: MemberState): void {
  if (s.now < compactionDue(s)) return;
  s.applied.kv.store.compactionStep(s.options.compactionBatch);
  s.backend.noteDeleted(s.now);
  s.compactAt = s.now + s.options.compactionPauseMs;
}

/** When the next part is due; Infinity: nothing is, or not before the backend has caught up. */
export function compactionDue(s: MemberState): number {
  if (s.install !== undefined || s.backend.isFull || !s.applied.kv.store.compactionPending) {
    return Number.POSITIVE_INFINITY;
  }
  return s.compactAt;
}

/**
 * Cuts the log in memory and lets its segments go. Never beyond the backend's *durable* index, or a restart would find
 * a gap between the two; never beyond what a snapshot under way leaves to be sent; and so many entries less that a
 * slow follower is not sent a snapshot for a short absence.
 */
export function cutLog(s: MemberState): void {
  const durable = s.backend.durableIndex;
  if (s.install !== undefined || durable - (s.raft.firstIndex - 1) <= s.options.snapshotEntries) return;
  const cut = Math.min(durable - s.options.catchUpEntries, s.streams.keepAfter());
  if (cut < s.raft.firstIndex) return;
  s.raft.compact(cut);
  s.effects.releaseLog = cut;
}
