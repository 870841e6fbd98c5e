/**
 * The parts of one member, shared by the functions that make it up: `requests-in.ts` (what clients ask), `applying.ts`
 * (what is committed), `storage.ts` (what must be durable, and what may go), `transfers.ts` (snapshots both ways).
 * `member.ts` is the public class and says in which order they run.
 */
import type { AppliedState, ChangeListener } from "../apply/index.ts";
import { ERR } from "../base/index.ts";
import type { MonoMs, Random } from "../env/index.ts";
import type { ChangeSet } from "../mvcc/index.ts";
import type { RequestId } from "../pb/index.ts";
import { isMember, type Raft, type SnapshotMeta } from "../raft/index.ts";
import { WatchHub } from "../watch/index.ts";
import { BackendBatches } from "./backend-batches.ts";
import { EffectsBuffer } from "./effects.ts";
import { wrongInstance } from "./open.ts";
import { ProposedRequests } from "./proposals.ts";
import { Publisher } from "./publish.ts";
import { PendingReads, type Read } from "./reads.ts";
import { PendingRequests } from "./requests.ts";
import { SnapshotStreams } from "./snapshots.ts";
import type { MemberOptions } from "./types.ts";

/** A persist batch on its way to the disk. */
export interface InFlightBatch {
  readonly seq: number;
  readonly snapshot: SnapshotMeta | undefined;
  readonly sentAt: MonoMs;
  /** This stall has made the leader hand over already. */
  handedOver: boolean;
}

/** A keepalive of a lease whose revoke is on the way, or a checkpoint that is to be taken back. */
export interface HeldKeepAlive {
  readonly id: number;
  readonly isOver: boolean;
  readonly lease: bigint;
  readonly deadline: MonoMs;
}

/** A snapshot that replaces the state: first its record becomes durable, then the driver loads it. */
export interface Install {
  readonly meta: SnapshotMeta;
  stage: "record" | "loading";
}

/** Carries what apply changes to the watchers, from the moment on when a member takes the state over. */
export class Changes implements ChangeListener {
  hub: WatchHub | undefined;

  changed(set: ChangeSet): void {
    this.hub?.notify(set);
  }

  compacted(revision: number): void {
    this.hub?.compacted(revision);
  }
}

export class MemberState {
  readonly options: MemberOptions;
  readonly raft: Raft;
  /** Replaced together with `applied`. */
  changes: Changes;
  /** Replaced as a whole when a snapshot is installed. */
  applied: AppliedState;

  readonly effects = new EffectsBuffer();
  readonly pending: PendingRequests;
  readonly proposed = new ProposedRequests();
  readonly backend: BackendBatches;
  readonly streams: SnapshotStreams;
  readonly publisher: Publisher;
  readonly watch: WatchHub;
  /** Reads that are too large for one go. */
  readonly reads: PendingReads;
  /** Keepalives that wait for an entry about their lease. They count against the limit of requests. */
  heldKeepAlives: HeldKeepAlive[] = [];
  /** While it leads: once this is applied, so is everything that earlier leaders replicated about leases. */
  promoteFrom = 0;
  readonly random: Random;

  /** Time of the current input; never falls. */
  now: MonoMs;
  /** The term in which this member was seen leading when it was last looked at; 0: not leading. */
  leadsTerm = 0;
  batch: InFlightBatch | undefined;
  /** The state that the backend batch in flight came from; a snapshot may have replaced it meanwhile. */
  batchedFrom: AppliedState | undefined;
  /** When the next part of what was compacted is deleted. */
  compactAt: MonoMs = 0;
  lastBatchSeq = 0;
  install: Install | undefined;
  /** The driver's current state directory is `state-<this>`: the newest durable snapshot record's index, or 0. */
  stateDirectory: number;
  /** There is more to apply, but this input has done its share. */
  moreToApply = false;
  /** Refuses new requests and hands over; ends by this time at the latest. */
  stopping: { readonly deadline: MonoMs; handOver: "due" | "started" | "none" } | undefined;
  /** Nothing is done any more: stopped, or failed. */
  ended = false;

  readonly #requestInstance: bigint;
  #lastSequence = 0;

  constructor(
    options: MemberOptions,
    raft: Raft,
    start: { readonly applied: AppliedState; readonly changes: Changes; readonly stateDirectory: number },
    deps: { readonly random: Random },
    now: MonoMs,
  ) {
    this.options = options;
    this.raft = raft;
    this.applied = start.applied;
    this.stateDirectory = start.stateDirectory;
    this.pending = new PendingRequests(options.maxPendingRequests, options.requestTimeoutMs);
    this.backend = new BackendBatches(
      { intervalMs: options.backendIntervalMs, batchEntries: options.backendBatchEntries },
      start.applied.index,
    );
    this.streams = new SnapshotStreams(options.maxSnapshotStreams, options.snapshotTimeoutMs);
    this.publisher = new Publisher(options.electionTimeoutMs);
    this.reads = new PendingReads(options.readSlice);
    this.random = deps.random;
    this.changes = start.changes;
    this.watch = new WatchHub(
      {
        maxQueuedBytes: options.maxWatchBytes,
        fragmentBytes: options.watchFragmentBytes,
        progressIntervalMs: options.watchProgressMs,
      },
      { store: start.applied.kv.store, random: deps.random },
    );
    this.changes.hub = this.watch;
    this.#requestInstance = requestInstance(options.instance, deps.random);
    this.now = now;
  }

  /** Number of requests that wait for their answer. */
  get waiting(): number {
    return this.pending.size + this.reads.size + this.heldKeepAlives.length;
  }

  /** A new request identity. One that is not used leaves a gap, which costs nothing. */
  nextRequestId(): RequestId {
    return { instance: this.#requestInstance, sequence: ++this.#lastSequence };
  }

  /** Identity of this process's request `sequence`. */
  requestIdOf(sequence: number): RequestId {
    return { instance: this.#requestInstance, sequence };
  }

  /** Whether this process took the request. */
  isOwnRequest(id: RequestId): boolean {
    return id.instance === this.#requestInstance;
  }

  /** Whether the applied state has this process's request `sequence`. */
  isOwnSeen(sequence: number): boolean {
    return this.applied.isSeen({ instance: this.#requestInstance, sequence });
  }

  /** Whether this member takes part in the configuration that it has applied. */
  isInConf(): boolean {
    return isMember(this.raft.conf, this.options.id);
  }

  /** Hands out how a read came out. */
  finishRead(read: Read): void {
    if (read.type === "later") return;
    if (read.type !== "fatal") {
      this.effects.answer(read);
      return;
    }
    // Nobody waits under its ID any more, so `fail` would not answer it.
    this.effects.answer({ type: "refused", id: read.id, error: ERR.stopped });
    this.fail(read.reason);
  }

  /** The member cannot go on. Nothing leaves it any more but the reason and what its clients must be told. */
  fail(reason: string): void {
    this.effects.answerAll(this.pending.drain(ERR.stopped, reason));
    this.effects.answerAll(this.reads.drain(ERR.stopped));
    for (const { id } of this.heldKeepAlives)
      this.effects.answer({ type: "refused", id, error: ERR.stopped });
    this.heldKeepAlives = [];
    this.effects.fail(reason);
    this.ended = true;
  }

  /**
   * Fails when this member's identity is pinned to another data directory. Its votes and acks of before are lost with
   * that one, so it must not give new ones.
   */
  checkOwnRecord(): void {
    const { id, instance } = this.options;
    const pinned = this.applied.members.pinned(id);
    if (pinned !== 0n && pinned !== instance) this.fail(wrongInstance(id, pinned, instance));
  }
}

/**
 * One process's identity as a source of requests: the data directory's instance mixed with a random number drawn at
 * each start, so that a restarted process, which counts from 1 again, is never taken for the one before. An odd factor
 * makes different draws give different products modulo 2^64.
 */
function requestInstance(instance: bigint, random: Random): bigint {
  const boot = BigInt(random.int(0, 2 ** 48));
  const mixed = BigInt.asUintN(64, instance ^ (boot * 0x9e37_79b9_7f4a_7c15n));
  // 0 would mean "no identity".
  return mixed === 0n ? 1n : mixed;
}
