/**
 * Everything that entries build up, applied in log order: the key-value state, requests seen, member records, the
 * configuration and a running hash. A function of the entries and nothing else: no clock, no chance, no option of this
 * member may reach it, or members that applied the same entries would differ.
 *
 * The hash chains (index, term, type, data, outcome) of every entry, so equal applied index means equal hash on all
 * members, over restarts and snapshots too: it is saved as a record in the same backend batch. That costs 32 bits per
 * comparison and finds an entry applied twice, skipped, or with another outcome at the first index where it happened.
 */
import {
  fail,
  finishHash,
  type KvError,
  mixHash,
  mixHashBytes,
  mixHashNumber,
  runToEnd,
  type Work,
} from "../base/index.ts";
import type { BackendMeta, BackendRecord, BackendState, RecordReader } from "../env/index.ts";
import type { LessorOptions } from "../lease/index.ts";
import { decodeEnvelope, type EntryEnvelope, type RequestId } from "../pb/index.ts";
import type { KvRequest } from "../pb/kv.ts";
import type { ConfChangeStep, ConfState, Entry } from "../raft/types.ts";
import { isKvRecord, KV_LOADED_PREFIXES, KvLoader, type KvStateOfMember } from "./kv/kv-loader.ts";
import { hashOutcome } from "./kv/outcome-hash.ts";
import type { ChangeListener, KvOutcome } from "./kv/types.ts";
import { type ListedMember, MemberRecords, type Published } from "./member-records.ts";
import { Overlay } from "./overlay.ts";
import {
  HASH_RECORD,
  LOADED,
  type Loaded,
  MEMBER_PREFIX,
  REQUESTS_PREFIX,
  type RecordChanges,
  viewOf,
} from "./records.ts";
import { RequestsSeen } from "./requests-seen.ts";

/** What applying a normal entry came to. */
export type Applied =
  /** The no-op of a new leader. */
  | { readonly type: "noop" }
  /** A request of etcd's API, done or refused. */
  | {
      readonly type: "kv";
      readonly requestId: RequestId;
      readonly outcome: Exclude<KvOutcome, { type: "fatal" }>;
    }
  | { readonly type: "published"; readonly requestId: RequestId; readonly published: Published }
  /** `refused`: why nothing was changed; undefined: the member has its new peer URLs. */
  | {
      readonly type: "memberUpdated";
      readonly requestId: RequestId;
      readonly refused: KvError | undefined;
    }
  /**
   * The request was applied before, or is older than what is remembered; nothing was changed. Nobody can be given an
   * outcome for it: if the first copy was applied here, its answer went out then; if it is merely too old, a copy
   * may or may not have been applied. So whoever still waits hears "unknown", never "refused".
   */
  | { readonly type: "duplicate"; readonly requestId: RequestId }
  /**
   * The entry cannot be understood, or a record that it rests on is damaged on this disk. The member must stop. In the
   * first case the state is as before, and every member of this build says so at the same index; skipping the entry
   * instead would make this member differ, without a word, from one that can read it. In the second the state in
   * memory may be half changed, and nothing of it may reach the backend.
   */
  | { readonly type: "fatal"; readonly reason: string };

/** The part of an entry's outcome that goes into the hash. */
const OUTCOME = {
  noop: 1,
  duplicate: 2,
  pinned: 3,
  known: 4,
  refused: 5,
  kv: 6,
  changed: 7,
  updated: 8,
  updateRefused: 9,
} as const;

const TYPE_CODE = { normal: 1, conf: 2 } as const;
const NOOP: Applied = { type: "noop" };
const HASH_BYTES = 4;
/** What `AppliedLoader` must be given, ascending: everything but values, which are read where they lie. */
export const LOADED_PREFIXES: readonly string[] = [
  ...KV_LOADED_PREFIXES,
  HASH_RECORD,
  MEMBER_PREFIX,
  REQUESTS_PREFIX,
].sort();

const NOBODY: ChangeListener = { changed: () => undefined, compacted: () => undefined };

export interface AppliedOptions {
  /**
   * Where records of the key-value state are read that are durable; `batchDurable` says when a batch has come there.
   * undefined: they are kept in memory.
   */
  readonly below?: RecordReader;
  /** Who is told of changes; undefined: nobody. */
  readonly listener?: ChangeListener;
  readonly leases?: LessorOptions;
}

export class AppliedState {
  /** The keys, leases and alarms. Read it freely; what changes its answers comes only through the log. */
  readonly kv: KvStateOfMember;
  readonly #requests: RequestsSeen;
  readonly #members: MemberRecords;
  #index: number;
  #term: number;
  #conf: ConfState;
  #hash: number;
  readonly #overlay: Overlay;
  /** What is durable, if nobody else keeps it; undefined: `AppliedOptions.below` does. */
  readonly #memory: Map<string, Uint8Array> | undefined;

  /** Made by `AppliedLoader.finish` only. */
  constructor(parts: LoadedParts) {
    this.#index = parts.meta.index;
    this.#term = parts.meta.term;
    this.#conf = parts.meta.conf;
    this.#requests = parts.requests;
    this.#members = parts.members;
    this.#memory = parts.memory;
    this.#overlay = parts.overlay;
    this.#hash = parts.hash;
    this.kv = parts.kv;
  }

  /** Builds the state from what a backend holds, or says why its records cannot be trusted. */
  static load(state: BackendState, options: AppliedOptions = {}): LoadedApplied {
    const loader = new AppliedLoader(state, options);
    for (const name of [...state.records.keys()].sort()) {
      loader.add([[name, state.records.get(name) ?? fail("a record is gone", { name })]]);
    }
    return loader.finish();
  }

  /** Index of the last applied entry; 0: none. */
  get index(): number {
    return this.#index;
  }

  /** Term of the last applied entry; 0: none. */
  get term(): number {
    return this.#term;
  }

  /** The configuration as of `index`. */
  get conf(): ConfState {
    return this.#conf;
  }

  get members(): Pick<MemberRecords, "pinned" | "isRemoved" | "of" | "urlsProblem"> {
    return this.#members;
  }

  /** The members of `conf` in order of ID; another object whenever something of it changed. */
  listMembers(): readonly ListedMember[] {
    return this.#members.list(this.#conf);
  }

  /** Bytes of key-value records that are not known to be durable. */
  get undurableBytes(): number {
    return this.#overlay.bytes;
  }

  /** Whether the request was applied, or is too old to tell. */
  isSeen(id: RequestId): boolean {
    return this.#requests.has(id);
  }

  /** Hash over everything applied, unsigned 32-bit. Equal on all members with equal `index`. */
  hash(): number {
    return finishHash(this.#hash);
  }

  /** Applies the next entry, which must be a normal one. */
  applyNormal(entry: Entry): Applied {
    this.#mustBeNext(entry, "normal");
    if (entry.data.length === 0) {
      this.#advance(entry, OUTCOME.noop);
      return NOOP;
    }
    const decoded = decodeEnvelope(entry.data);
    if (decoded.type === "refused") {
      return { type: "fatal", reason: `entry ${entry.index} cannot be applied: ${decoded.reason}` };
    }
    return this.#applyEnvelope(entry, decoded.value);
  }

  /**
   * Notes that the next entry was applied by the consensus core, and the configuration that came out of it.
   * @param steps of the change that the entry carries
   */
  applyConf(entry: Entry, conf: ConfState, steps: readonly ConfChangeStep[] = []): void {
    this.#mustBeNext(entry, "conf");
    this.#members.noteConfChange(this.#conf, conf, steps);
    this.#conf = conf;
    this.#advance(entry, hashConf(conf));
  }

  /**
   * The records changed since the last call, for the backend batch at `index`. The hash is always among them.
   *
   * @throws AssertionError with `AppliedOptions.below`, while the batch before is not durable
   */
  takeChanges(): RecordChanges {
    const changes = this.#overlay.take();
    if (this.#memory !== undefined) {
      for (const name of changes.deletes) this.#memory.delete(name);
      for (const [name, bytes] of changes.puts) this.#memory.set(name, bytes);
      this.#overlay.durable();
    }
    this.#requests.takeChanges(changes);
    this.#members.takeChanges(changes);
    const hash = new Uint8Array(HASH_BYTES);
    viewOf(hash).setInt32(0, this.#hash, true);
    changes.puts.push([HASH_RECORD, hash]);
    return changes;
  }

  /** The changes of the last `takeChanges` are durable, and readable from `AppliedOptions.below`. */
  batchDurable(): void {
    if (this.#memory === undefined) this.#overlay.durable();
  }

  /** @throws AssertionError */
  checkInvariants(): void {
    this.#requests.checkInvariants();
    this.#overlay.checkInvariants();
    const { revision } = this.kv.store;
    if (this.#index === 0 && revision > 1) fail("keys before the first entry", { revision });
  }

  #applyEnvelope(entry: Entry, envelope: EntryEnvelope): Applied {
    const { requestId, body } = envelope;
    if (!this.#requests.maybeTake(requestId, entry.index)) {
      this.#advance(entry, OUTCOME.duplicate);
      return { type: "duplicate", requestId };
    }
    if (body.type === "publish") {
      const published = this.#members.publish(body);
      this.#advance(entry, OUTCOME[published]);
      return { type: "published", requestId, published };
    }
    if (body.type === "updateMember") {
      const refused = this.#members.update(this.#conf, body.member, body.peerUrls);
      this.#advance(entry, refused === undefined ? OUTCOME.updated : OUTCOME.updateRefused);
      return { type: "memberUpdated", requestId, refused };
    }
    return this.#applyKv(entry, requestId, body.request);
  }

  #applyKv(entry: Entry, requestId: RequestId, request: KvRequest): Applied {
    const outcome = this.kv.apply(request);
    if (outcome.type === "fatal") {
      return { type: "fatal", reason: `entry ${entry.index} cannot be applied: ${outcome.reason}` };
    }
    this.#advance(entry, mixHash(OUTCOME.kv, hashOutcome(outcome)));
    return { type: "kv", requestId, outcome };
  }

  #mustBeNext(entry: Entry, type: Entry["type"]): void {
    if (entry.index !== this.#index + 1) {
      fail("entry applied out of order", { index: entry.index, applied: this.#index });
    }
    if (entry.term < this.#term) fail("term went back", { term: entry.term, applied: this.#term });
    if (entry.type !== type) fail("entry of another type", { type: entry.type, expected: type });
  }

  #advance(entry: Entry, outcome: number): void {
    let hash = mixHashNumber(this.#hash, entry.index);
    hash = mixHashNumber(hash, entry.term);
    hash = mixHash(hash, TYPE_CODE[entry.type]);
    hash = mixHashBytes(hash, entry.data);
    this.#hash = mixHash(hash, outcome);
    this.#index = entry.index;
    this.#term = entry.term;
  }
}

export type LoadedApplied =
  | { readonly type: "ok"; readonly state: AppliedState }
  | { readonly type: "refused"; readonly reason: string };

interface LoadedParts {
  readonly meta: BackendMeta;
  readonly requests: RequestsSeen;
  readonly members: MemberRecords;
  readonly memory: Map<string, Uint8Array> | undefined;
  readonly overlay: Overlay;
  readonly hash: number;
  readonly kv: KvStateOfMember;
}

/**
 * Builds a state from its records, a part at a time, so that nobody ever holds all of them: give it those whose names
 * begin with LOADED_PREFIXES, in order of names, then `finish`. Without `AppliedOptions.below` it wants all records.
 */
export class AppliedLoader {
  readonly #meta: BackendMeta;
  readonly #memory: Map<string, Uint8Array> | undefined;
  readonly #overlay: Overlay;
  readonly #kv: KvLoader;
  readonly #members = new MemberRecords();
  /** At most MAX_SEEN_INSTANCES of them, or the state is refused. */
  readonly #requests = new Map<string, Uint8Array>();
  #hash: number | undefined;
  #refused: Extract<Loaded, { type: "refused" }> | undefined;

  constructor(meta: BackendMeta, options: AppliedOptions = {}) {
    this.#meta = meta;
    this.#memory = options.below === undefined ? new Map() : undefined;
    this.#overlay = new Overlay(options.below ?? this.#memory ?? new Map());
    this.#kv = new KvLoader(this.#overlay, options.listener ?? NOBODY, options.leases);
  }

  /** Takes the next records. After the first that is refused the others are passed over. */
  add(records: readonly BackendRecord[]): void {
    for (const [name, bytes] of records) {
      if (this.#refused !== undefined) return;
      if (isKvRecord(name)) {
        this.#memory?.set(name, bytes);
        this.#kv.add(name, bytes);
        continue;
      }
      const loaded = this.#addOther(name, bytes);
      if (loaded.type === "refused") this.#refused = loaded;
    }
  }

  /** The state, or why its records cannot be trusted. Only once. */
  finish(): LoadedApplied {
    return runToEnd(this.finishing());
  }

  /** As `finish`, in steps: yields about how many keys or revisions it has been through. */
  *finishing(): Work<LoadedApplied> {
    if (this.#refused !== undefined) return this.#refused;
    const { index } = this.#meta;
    // The hash is in every batch, so a state without it is not what a member wrote.
    if ((this.#hash !== undefined) !== index > 0) {
      const reason = index > 0 ? `no hash record at index ${index}` : "records before the first entry";
      return { type: "refused", reason };
    }
    const kv = yield* this.#kv.finishing();
    if (kv.type === "refused") return kv;
    const requests = new RequestsSeen();
    const seen = requests.load(this.#requests);
    if (seen.type === "refused") return seen;
    const state = new AppliedState({
      meta: this.#meta,
      requests,
      members: this.#members,
      memory: this.#memory,
      overlay: this.#overlay,
      hash: this.#hash ?? 0,
      kv: kv.state,
    });
    return { type: "ok", state };
  }

  #addOther(name: string, bytes: Uint8Array): Loaded {
    switch (name[0]) {
      case MEMBER_PREFIX:
        return this.#members.load(name, bytes);
      case REQUESTS_PREFIX:
        this.#requests.set(name, bytes);
        return LOADED;
      case HASH_RECORD:
        if (name !== HASH_RECORD || bytes.length !== HASH_BYTES) return malformed(name);
        this.#hash = viewOf(bytes).getInt32(0, true);
        return LOADED;
      default:
        return malformed(name);
    }
  }
}

function malformed(name: string): Loaded {
  return { type: "refused", reason: `record ${JSON.stringify(name)} is not one that this program knows` };
}

/** A configuration as one word: members that disagree about it part at this entry, not at the next election. */
function hashConf(conf: ConfState): number {
  let hash = conf.leaseMs;
  for (const ids of [conf.voters, conf.votersOutgoing, conf.learners, conf.learnersNext]) {
    hash = mixHash(hash, ids.length);
    for (const id of ids) {
      hash = mixHash(hash, Number(id & 0xffff_ffffn));
      hash = mixHash(hash, Number(id >> 32n));
    }
  }
  return hash;
}
