/**
 * What the cluster has agreed on about each member beside its place in the configuration: which data directory it
 * runs on, and whether it was removed.
 *
 * A member that lost its data has forgotten its vote and its acks, so it must not come back under its old identity
 * (DESIGN §5). The first instance that a member publishes is pinned; the handshake refuses another. A removed ID is
 * remembered for ever, because nothing else tells a late message of that member from one of a member to come.
 */
import { hex, type InstanceId, MAX_ID, type MemberId } from "../base/index.ts";
import type { ConfState } from "../raft/types.ts";
import { idOfRecord, LOADED, type Loaded, MEMBER_PREFIX, type RecordChanges, viewOf } from "./records.ts";

const PINNED = 1;
const REMOVED = 2;
const RECORD_BYTES = 9;

/** Instance 0 stands for a removed member: no data directory has it. */
const REMOVED_INSTANCE: InstanceId = 0n;

/** What became of a publication. */
export type Published = "pinned" | "known" | "refused";

export class MemberRecords {
  readonly #records = new Map<MemberId, InstanceId>();
  readonly #dirty = new Set<MemberId>();

  /** The pinned instance; 0 when none is, or the member was removed. */
  pinned(id: MemberId): InstanceId {
    return this.#records.get(id) ?? 0n;
  }

  isRemoved(id: MemberId): boolean {
    return this.#records.get(id) === REMOVED_INSTANCE;
  }

  /** The first instance of a member is pinned; a different one later, or one of a removed member, changes nothing. */
  publish(id: MemberId, instance: InstanceId): Published {
    const pinned = this.#records.get(id);
    if (pinned === undefined) {
      if (instance === REMOVED_INSTANCE) return "refused";
      this.#records.set(id, instance);
      this.#dirty.add(id);
      return "pinned";
    }
    return pinned === instance && pinned !== REMOVED_INSTANCE ? "known" : "refused";
  }

  /**
   * Remembers who was in the configuration before and is in no part of it any more. While a configuration is joint
   * its outgoing voters are still members: they are removed when it is left, not when it is entered.
   */
  noteConfChange(before: ConfState, after: ConfState): void {
    const remaining = new Set(membersOf(after));
    for (const id of membersOf(before)) {
      if (remaining.has(id)) continue;
      this.#records.set(id, REMOVED_INSTANCE);
      this.#dirty.add(id);
    }
  }

  /** Appends the records changed since the last call. */
  takeChanges(into: RecordChanges): void {
    for (const id of this.#dirty) {
      into.puts.push([MEMBER_PREFIX + hex(id), encodeRecord(this.pinned(id))]);
    }
    this.#dirty.clear();
  }

  /** Takes one saved record; only while the state is being built. */
  load(name: string, bytes: Uint8Array): Loaded {
    const id = idOfRecord(name);
    const instance = decodeRecord(bytes);
    if (id === undefined || instance === undefined) {
      return { type: "refused", reason: `member record ${name} is malformed` };
    }
    this.#records.set(id, instance);
    return LOADED;
  }
}

/** Everybody who takes part in a configuration, in either half, as voter or learner; without repeats. */
export function membersOf(conf: ConfState): MemberId[] {
  const ids = new Set<MemberId>(conf.voters);
  for (const id of conf.votersOutgoing) ids.add(id);
  for (const id of conf.learners) ids.add(id);
  return [...ids];
}

/** Whether the member takes part in the configuration, in either half, as voter or learner. */
export function isInConf(conf: ConfState, id: MemberId): boolean {
  // learnersNext is a subset of votersOutgoing.
  return conf.voters.includes(id) || conf.votersOutgoing.includes(id) || conf.learners.includes(id);
}

function encodeRecord(instance: InstanceId): Uint8Array {
  const bytes = new Uint8Array(RECORD_BYTES);
  bytes[0] = instance === REMOVED_INSTANCE ? REMOVED : PINNED;
  viewOf(bytes).setBigUint64(1, instance & MAX_ID, true);
  return bytes;
}

function decodeRecord(bytes: Uint8Array): InstanceId | undefined {
  if (bytes.length !== RECORD_BYTES) return undefined;
  const instance = viewOf(bytes).getBigUint64(1, true);
  const kind = instance === REMOVED_INSTANCE ? REMOVED : PINNED;
  return bytes[0] === kind ? instance : undefined;
}
