/**
 * How a cluster and a member begin. The initial members of a cluster all start from the same first entry, which makes
 * the configuration known and committed before anybody has voted; a joining member starts from nothing and learns
 * everything, the configuration included, from the leader's log or from a snapshot.
 */
import { compareIds, type MemberId, NO_MEMBER } from "../base/index.ts";
import type { BackendState, PersistBatch, RecoveredLog } from "../env/index.ts";
import { encodeConfChange } from "../pb/index.ts";
import type { ConfChangeStep, Entry, HardState } from "../raft/types.ts";

const BOOTSTRAP_TERM = 1;

/** An initial member and where it listens for its peers; none: nobody said it. */
export interface Founder {
  readonly id: MemberId;
  readonly peerUrls: readonly string[];
}

/**
 * The log of an initial member, and the batch that makes it durable before the member is opened.
 *
 * Committing an entry that no leader proposed is safe only because all initial members hold the same bytes at index 1
 * and the same committed position: whoever leads first has it. So voters and URLs are sorted here, and the caller must
 * give every initial member the same voters, with the same URLs, and the same `leaseMs`.
 */
export function bootstrapLog(cluster: { readonly voters: readonly Founder[]; readonly leaseMs: number }): {
  readonly log: RecoveredLog;
  readonly batch: PersistBatch;
} {
  const voters = [...cluster.voters].sort((a, b) => compareIds(a.id, b.id));
  const first: Entry = {
    index: 1,
    term: BOOTSTRAP_TERM,
    type: "conf",
    data: encodeConfChange({
      joint: false,
      steps: voters.map(firstStep),
      leaseMs: cluster.leaseMs,
    }),
  };
  const hardState: HardState = { term: BOOTSTRAP_TERM, vote: NO_MEMBER, commit: 1 };
  return {
    log: { hardState, snapshot: undefined, base: { index: 0, term: 0 }, entries: [first] },
    batch: { seq: 1, snapshot: undefined, entries: [first], hardState },
  };
}

function firstStep({ id, peerUrls }: Founder): ConfChangeStep {
  if (peerUrls.length === 0) return { type: "addVoter", id };
  return { type: "addVoter", id, peerUrls: [...peerUrls].sort() };
}

/** The log of a member that joins an existing cluster. */
export function emptyLog(): RecoveredLog {
  return {
    hardState: { term: 0, vote: NO_MEMBER, commit: 0 },
    snapshot: undefined,
    base: { index: 0, term: 0 },
    entries: [],
  };
}

/** The state before the first entry: of every member that never applied anything. */
export function emptyState(): BackendState {
  return {
    index: 0,
    term: 0,
    conf: { voters: [], votersOutgoing: [], learners: [], learnersNext: [], leaseMs: 0 },
    records: new Map(),
  };
}
