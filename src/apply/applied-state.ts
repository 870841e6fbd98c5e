/**
 * Everything that entries build up, applied in log order: registers, requests seen, member records, the configuration
 * and a running hash. A function of the entries and nothing else: no clock, no chance, no option of this member may
 * reach it, or members that applied the same entries would differ.
 *
 * The hash chains (index, term, type, data, outcome) of every entry, so equal applied index means equal hash on all
 * members, over restarts and snapshots too: it is saved as a record in the same backend batch. That costs 32 bits per
 * comparison and finds an entry applied twice, skipped, or with another outcome at the first index where it happened.
 */
import { fail, finishHash, mixHash, mixHashBytes, mixHashNumber } from "../base/index.ts";
import type { BackendState } from "../env/index.ts";
import { decodeEnvelope, type EntryEnvelope, type RequestId } from "../pb/index.ts";
import type { ConfState, Entry } from "../raft/types.ts";
import { MemberRecords, type Published } from "./member-records.ts";
import {
  HASH_RECORD,
  type Loaded,
  MEMBER_PREFIX,
  REGISTER_PREFIX,
  REQUESTS_PREFIX,
  type RecordChanges,
  viewOf,
} from "./records.ts";
import { type Register, RegisterMap, type WriteResult } from "./register-map.ts";
import { RequestsSeen } from "./requests-seen.ts";

/** What applying a normal entry came to. */
export type Applied =
  /** The no-op of a new leader. */
  | { readonly type: "noop" }
  | { readonly type: "written"; readonly requestId: RequestId; readonly result: WriteResult }
  | { readonly type: "published"; readonly requestId: RequestId; readonly published: Published }
  /**
   * The request was applied before, or is older than what is remembered; nothing was changed. Nobody can be given an
   * outcome for it: if the first copy was applied here, its answer went out then; if it is merely too old, a copy
   * may or may not have been applied. So whoever still waits hears "unknown", never "refused".
   */
  | { readonly type: "duplicate"; readonly requestId: RequestId }
  /**
   * The entry cannot be understood. It was not applied and the state is as before. Every member of this build says
   * so at the same index; skipping it instead would make this member differ, without a word, from one that can read
   * it.
   */
  | { readonly type: "fatal"; readonly reason: string };

/** The part of an entry's outcome that goes into the hash. */
const OUTCOME = { noop: 1, done: 2, notDone: 3, duplicate: 4, pinned: 5, known: 6, refused: 7 } as const;

const TYPE_CODE = { normal: 1, conf: 2 } as const;
const NOOP: Applied = { type: "noop" };
const HASH_BYTES = 4;

export class AppliedState {
  readonly #registers = new RegisterMap();
  readonly #requests = new RequestsSeen();
  readonly #members = new MemberRecords();
  #index: number;
  #term: number;
  #conf: ConfState;
  #hash = 0;

  private constructor(state: BackendState) {
    this.#index = state.index;
    this.#term = state.term;
    this.#conf = state.conf;
  }

  /** Builds the state from what a backend holds, or says why its records cannot be trusted. */
  static load(
    state: BackendState,
  ):
    | { readonly type: "ok"; readonly state: AppliedState }
    | { readonly type: "refused"; readonly reason: string } {
    const applied = new AppliedState(state);
    const loaded = applied.#load(state);
    return loaded.type === "ok" ? { type: "ok", state: applied } : loaded;
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

  /** Number of registers that hold a value. */
  get size(): number {
    return this.#registers.size;
  }

  get members(): Pick<MemberRecords, "pinned" | "isRemoved"> {
    return this.#members;
  }

  get(key: string): Register | undefined {
    return this.#registers.get(key);
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

  /** Notes that the next entry was applied by the consensus core, and the configuration that came out of it. */
  applyConf(entry: Entry, conf: ConfState): void {
    this.#mustBeNext(entry, "conf");
    this.#members.noteConfChange(this.#conf, conf);
    this.#conf = conf;
    this.#advance(entry, hashConf(conf));
  }

  /** The records changed since the last call, for the backend batch at `index`. The hash is always among them. */
  takeChanges(): RecordChanges {
    const changes: RecordChanges = { puts: [], deletes: [] };
    this.#registers.takeChanges(changes);
    this.#requests.takeChanges(changes);
    this.#members.takeChanges(changes);
    const hash = new Uint8Array(HASH_BYTES);
    viewOf(hash).setInt32(0, this.#hash, true);
    changes.puts.push([HASH_RECORD, hash]);
    return changes;
  }

  /** @throws AssertionError */
  checkInvariants(): void {
    this.#requests.checkInvariants();
    if (this.#index === 0 && this.#registers.size > 0) fail("registers before the first entry");
  }

  #applyEnvelope(entry: Entry, envelope: EntryEnvelope): Applied {
    const { requestId, body } = envelope;
    if (!this.#requests.maybeTake(requestId, entry.index)) {
      this.#advance(entry, OUTCOME.duplicate);
      return { type: "duplicate", requestId };
    }
    if (body.type === "publish") {
      const published = this.#members.publish(body.member, body.instance);
      this.#advance(entry, OUTCOME[published]);
      return { type: "published", requestId, published };
    }
    if (body.type === "kv") fail("a request of etcd's API for the registers", { index: entry.index });
    const result = this.#registers.apply(entry.index, body);
    this.#advance(entry, result.done ? OUTCOME.done : OUTCOME.notDone);
    return { type: "written", requestId, result };
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

  #load(state: BackendState): Loaded {
    const requests = new Map<string, Uint8Array>();
    let hashFound = false;
    for (const [name, bytes] of state.records) {
      let loaded: Loaded;
      switch (name[0]) {
        case REGISTER_PREFIX:
          loaded = this.#registers.load(name, bytes);
          break;
        case MEMBER_PREFIX:
          loaded = this.#members.load(name, bytes);
          break;
        case REQUESTS_PREFIX:
          requests.set(name, bytes);
          continue;
        case HASH_RECORD:
          if (name !== HASH_RECORD || bytes.length !== HASH_BYTES) return malformed(name);
          this.#hash = viewOf(bytes).getInt32(0, true);
          hashFound = true;
          continue;
        default:
          return malformed(name);
      }
      if (loaded.type === "refused") return loaded;
    }
    // The hash is in every batch, so a state without it is not what a member wrote.
    if (hashFound !== state.index > 0) {
      return {
        type: "refused",
        reason: hashFound ? "records before the first entry" : `no hash record at index ${state.index}`,
      };
    }
    return this.#requests.load(requests);
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
