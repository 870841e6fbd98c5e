/**
 * Committed entries become state, and what waited for them is answered. In order, each once, at most so many per
 * input, and only what is durable in the local log: an answer to a client may rest on it, and so may the backend.
 */
import { ERR, unreachable } from "../base/index.ts";
import type { MonoMs } from "../env/index.ts";
import { decodeConfChange } from "../pb/index.ts";
import type { Entry } from "../raft/index.ts";
import type { ReadyRead } from "./requests.ts";
import { noticeGrowth } from "./space.ts";
import type { MemberState } from "./state.ts";

/**
 * Most that one input applies; the rest waits for the next one, which `nextWake` asks for at once. New keys cost most,
 * 10 to 20 µs each on a busy machine: so many of them hold the event loop for a few milliseconds.
 */
export const APPLY_ENTRIES = 256;
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
  const usedBefore = s.applied.kv.usedBytes;
  for (const entry of entries) {
    if (entry.type === "conf") applyConf(s, entry);
    else applyNormal(s, entry);
    if (s.ended) return;
    s.backend.noteApplied(s.now, entry.data.length);
    s.effects.answerAll(s.pending.takeConfs(entry.index, entry.term));
  }
  s.raft.appliedTo(s.now, last.index);
  s.moreToApply = s.applied.index < Math.min(s.raft.commit, s.raft.persistedIndex);
  if (s.applied.kv.usedBytes > usedBefore) noticeGrowth(s);
}

function applyNormal(s: MemberState, entry: Entry): void {
  const applied = s.applied.applyNormal(entry);
  switch (applied.type) {
    case "noop":
      return;
    case "fatal":
      s.fail(applied.reason);
      return;
    case "kv": {
      s.proposed.remove(applied.requestId);
      if (!s.isOwnRequest(applied.requestId)) return;
      const id = s.pending.takeWrite(applied.requestId.sequence);
      if (id === undefined) return;
      const { outcome } = applied;
      if (outcome.type === "refused") s.effects.answer({ type: "refused", id, error: outcome.error });
      else s.effects.answer({ ...outcome, id, index: entry.index });
      return;
    }
    case "duplicate": {
      s.proposed.remove(applied.requestId);
      if (!s.isOwnRequest(applied.requestId)) return;
      const id = s.pending.takeWrite(applied.requestId.sequence);
      if (id !== undefined) s.effects.answer({ type: "unknown", id, reason: "duplicate" });
      return;
    }
    case "memberUpdated": {
      s.proposed.remove(applied.requestId);
      if (!s.isOwnRequest(applied.requestId)) return;
      const id = s.pending.takeWrite(applied.requestId.sequence);
      if (id === undefined) return;
      const { refused } = applied;
      if (refused !== undefined) s.effects.answer({ type: "refused", id, error: refused });
      else s.effects.answer({ type: "changed", id, index: entry.index });
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
  const conf = s.raft.applyConfChange(s.now, entry.index, change.value);
  s.applied.applyConf(entry, conf, change.value.steps);
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
    const error = state.reason === "too many requests" ? ERR.tooManyRequests : ERR.noLeader;
    s.effects.answer({ type: "refused", id: read.id, error });
  }
  const index = s.applied.index;
  for (let read = s.pending.takeReadyRead(index); read !== undefined; read = s.pending.takeReadyRead(index)) {
    answerRead(s, read);
    if (s.ended) return;
  }
}

/** Answers a read from the state as it is, or begins to. */
export function answerRead(s: MemberState, { id, request, deadline }: ReadyRead): void {
  const { index, kv } = s.applied;
  const { leases } = kv;
  const { revision } = kv.store;
  switch (request.type) {
    case "read":
      s.finishRead(s.reads.start(s.applied, id, request, deadline));
      return;
    case "leaseKeepAlive": {
      if (cameTooLongAgo(s, deadline)) {
        s.effects.answer({ type: "refused", id, error: ERR.timeout });
        return;
      }
      const ttl = leases.renew(s.now, request.lease);
      if (ttl === undefined) s.effects.answer({ type: "refused", id, error: ERR.notLeader });
      else if (mustBeHeld(s, request.lease, ttl))
        s.heldKeepAlives.push({ id, lease: request.lease, isOver: ttl === 0, deadline });
      else s.effects.answer({ type: "leaseKept", id, index, revision, ttl });
      return;
    }
    case "leaseTimeToLive": {
      const info = leases.get(request.lease);
      const ttl = info === undefined ? -1 : leases.remaining(s.now, request.lease);
      if (ttl === undefined) {
        s.effects.answer({ type: "refused", id, error: ERR.notLeader });
        return;
      }
      const keys = request.keys && info !== undefined ? leases.keysOf(request.lease) : [];
      const grantedTtl = info?.grantedTtl ?? 0;
      s.effects.answer({ type: "leaseTtl", id, index, revision, ttl, grantedTtl, keys });
      return;
    }
    case "leaseLeases":
      s.effects.answer({ type: "leases", id, index, revision, leases: leases.ids() });
      return;
    default:
      unreachable(request);
  }
}

/**
 * Its time is over and its revoke is on the way: "gone" is said when it is, as etcd does. Or a checkpoint says less
 * than is promised here: that is to be taken back first.
 */
function mustBeHeld(s: MemberState, lease: bigint, ttl: number): boolean {
  const { leases } = s.applied.kv;
  return ttl === 0 ? leases.has(lease) : leases.isCheckpointed(lease);
}

/**
 * Whether a keepalive waited so long that another leader may have been elected after its round and may give the lease
 * less than is promised here. A new leader adds an election timeout to every lease; a tenth is for drifting clocks.
 */
export function cameTooLongAgo(s: MemberState, deadline: MonoMs): boolean {
  const { electionTimeoutMs, requestTimeoutMs } = s.options;
  return s.now - (deadline - requestTimeoutMs) > (electionTimeoutMs * 9) / 10;
}
