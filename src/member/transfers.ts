/**
 * Snapshots in both directions: streams that this member sends as leader, and a received one that replaces its state.
 *
 * Receiving has one commit point, the snapshot record in the log (DESIGN §5):
 *
 *     directory complete -> accepted by the core -> record durable -> state loaded
 *                           nothing is applied from here on           applied jumps
 *
 * A crash before the record leaves the old state in use, after it the new one; there is no third case.
 */

import { fail, type MemberId } from "../base/index.ts";
import type { BackendState, RecordReader } from "../env/index.ts";
import { isMember, type SnapshotMeta } from "../raft/index.ts";
import { noticeLeadership } from "./leases.ts";
import { type LoadedState, loadWhole, metaOf } from "./loading.ts";
import type { MemberState } from "./state.ts";

/** A snapshot whose complete directory is durable here. */
export interface ReceivedSnapshot {
  readonly from: MemberId;
  readonly to: MemberId;
  /** The sender's term when it decided to send. */
  readonly term: number;
  readonly meta: SnapshotMeta;
}

/** Starts, stops and gives up streams. */
export function manageStreams(s: MemberState): void {
  for (const { to } of s.raft.takeSnapshotsWanted()) s.streams.want(to);
  if (s.streams.isIdle) return;
  for (const { stream, to } of s.streams.expire(s.now)) {
    s.effects.stopSnapshot(stream);
    s.raft.snapshotStatus(s.now, to, false);
  }
  // A peer that left the configuration gets nothing more; nobody gets anything from a member that does not lead.
  const isLeading = s.leadsTerm !== 0;
  const stopped = s.streams.retain((to) => isLeading && isMember(s.raft.conf, to));
  for (const stream of stopped) s.effects.stopSnapshot(stream);
  for (const send of s.streams.start(s.now, s.raft.term, s.backend.durableIndex))
    s.effects.sendSnapshot(send);
}

/** Ends all streams: they belong to a term in which this member no longer leads. */
export function stopStreams(s: MemberState): void {
  for (const stream of s.streams.retain(() => false)) s.effects.stopSnapshot(stream);
}

/** The driver opened a view of the backend for a stream. */
export function streamOpened(s: MemberState, stream: number, meta: SnapshotMeta): void {
  const to = s.streams.opened(stream, meta);
  if (to !== undefined) s.raft.snapshotOpened(s.now, to, meta.index);
}

/** A stream ended. */
export function streamEnded(s: MemberState, stream: number, ok: boolean): void {
  const to = s.streams.ended(stream);
  if (to !== undefined) s.raft.snapshotStatus(s.now, to, ok);
}

/** A snapshot was received; the core decides whether it is wanted. */
export function takeSnapshot(s: MemberState, snapshot: ReceivedSnapshot): void {
  const { from, meta } = snapshot;
  const result = s.raft.restoreSnapshot(s.now, snapshot);
  if (result.type === "accepted") {
    s.install = { meta, stage: "record" };
    return;
  }
  s.effects.refuse({ from, reason: `snapshot at index ${meta.index}: ${result.reason}` });
  // A second stream of the snapshot that is in use, or about to be, names the same directory: it must stay.
  if (meta.index !== s.stateDirectory && meta.index !== s.install?.meta.index)
    s.effects.discardSnapshot(meta);
}

/** The driver loaded the state that the snapshot record names. */
export function installState(
  s: MemberState,
  state: BackendState | LoadedState,
  below: RecordReader | undefined,
): void {
  const install = s.install;
  const { index, term } = metaOf(state);
  if (install?.stage !== "loading") fail("a state was loaded that nobody waits for", { index });
  const { meta } = install;
  // Exactly: the configuration comes from the record, and the log goes on behind it.
  if (index !== meta.index || term !== meta.term) {
    s.fail(`the snapshot record names (${meta.index}, ${meta.term}), its state is at (${index}, ${term})`);
    return;
  }
  const loaded = loadWhole(s.options, state, below);
  if (loaded.type === "refused") {
    s.fail(`the state of snapshot ${meta.index} cannot be used: ${loaded.reason}`);
    return;
  }
  const { applied, changes } = loaded.state;
  s.install = undefined;
  s.applied = applied;
  s.changes = changes;
  changes.hub = s.watch;
  const { store } = applied.kv;
  s.watch.restored(store.revision, store.compactRevision, store);
  s.reads.restart(applied);
  noticeLeadership(s);
  s.raft.snapshotInstalled(s.now, meta.index);
  s.backend.restart(meta.index);
  s.effects.releaseLog = meta.index;
  s.effects.answerAll(s.pending.skipTo(meta.index, (sequence) => s.isOwnSeen(sequence)));
  s.checkOwnRecord();
}
