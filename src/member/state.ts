/**
 * The parts of one member, shared by the functions that make it up: `requests-in.ts` (what clients ask), `applying.ts`
 * (what is committed), `storage.ts` (what must be durable, and what may go), `transfers.ts` (snapshots both ways).
 * `member.ts` is the public class and says in which order they run.
 */
import type { AppliedState } from "../apply/index.ts";
import type { MonoMs, Random } from "../env/index.ts";
import type { RequestId } from "../pb/index.ts";
import { isMember, type Raft, type SnapshotMeta } from "../raft/index.ts";
import { BackendBatches } from "./backend-batches.ts";
import { EffectsBuffer } from "./effects.ts";
import { wrongInstance } from "./open.ts";
import { ProposedRequests } from "./proposals.ts";
import { Publisher } from "./publish.ts";
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

/** A snapshot that replaces the state: first its record becomes durable, then the driver loads it. */
export interface Install {
  readonly meta: SnapshotMeta;
  stage: "record" | "loading";
}

export class MemberState {
  readonly options: MemberOptions;
  readonly raft: Raft;
  /** Replaced as a whole when a snapshot is installed. */
  applied: AppliedState;

  readonly effects = new EffectsBuffer();
  readonly pending: PendingRequests;
  readonly proposed = new ProposedRequests();
  readonly backend: BackendBatches;
  readonly streams: SnapshotStreams;
  readonly publisher: Publisher;

  /** Time of the current input; never falls. */
  now: MonoMs;
  /** The term in which this member was seen leading when it was last looked at; 0: not leading. */
  leadsTerm = 0;
  batch: InFlightBatch | undefined;
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
    start: { readonly applied: AppliedState; readonly stateDirectory: number },
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
    this.#requestInstance = requestInstance(options.instance, deps.random);
    this.now = now;
  }

  /** A new request identity. One that is not used leaves a gap, which costs nothing. */
  nextRequestId(): RequestId {
    return { instance: this.#requestInstance, sequence: ++this.#lastSequence };
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

  /** The member cannot go on. Nothing leaves it any more but the reason and what its clients must be told. */
  fail(reason: string): void {
    this.effects.answerAll(this.pending.drain("stopped", reason));
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
