/**
 * What the cluster has agreed on about each member beside its place in the configuration: which data directory it
 * runs on, whether it was removed, what it is called, and where it is reached.
 *
 * A member that lost its data has forgotten its vote and its acks, so it must not come back under its old identity
 * (DESIGN §5). The first instance that a member publishes is pinned; the handshake refuses another. A removed ID is
 * remembered for ever, because nothing else tells a late message of that member from one of a member to come.
 */
import { compareIds, ERR, hex, type InstanceId, type KvError, type MemberId } from "../base/index.ts";
import { decodeMemberRecord, type EntryBody, encodeMemberRecord, type MemberRecord } from "../pb/index.ts";
import type { ConfChangeStep, ConfState } from "../raft/types.ts";
import { idOfRecord, LOADED, type Loaded, MEMBER_PREFIX, type RecordChanges } from "./records.ts";

const UNKNOWN: MemberRecord = { instance: 0n, removed: false, name: "", peerUrls: [], clientUrls: [] };
const REMOVED: MemberRecord = { ...UNKNOWN, removed: true };

/** What a member's publication says. */
type Publication = Extract<EntryBody, { type: "publish" }>;

/** What became of a publication; `changed`: the member was known, its name or its URLs are new. */
export type Published = "pinned" | "known" | "changed" | "refused";

/** A member of the applied configuration, as etcd lists it. */
export interface ListedMember extends Pick<MemberRecord, "name" | "peerUrls" | "clientUrls"> {
  readonly id: MemberId;
  readonly isLearner: boolean;
}

export class MemberRecords {
  readonly #records = new Map<MemberId, MemberRecord>();
  readonly #dirty = new Set<MemberId>();
  /** The list that was made last, until something of it changes. */
  #listed: { readonly conf: ConfState; readonly members: readonly ListedMember[] } | undefined;

  /** The pinned instance; 0 when none is, or the member was removed. */
  pinned(id: MemberId): InstanceId {
    return this.of(id).instance;
  }

  isRemoved(id: MemberId): boolean {
    return this.of(id).removed;
  }

  /** What is known of a member; of a stranger nothing is. */
  of(id: MemberId): MemberRecord {
    return this.#records.get(id) ?? UNKNOWN;
  }

  /** The members of a configuration in order of ID; the same object as long as nothing of it has changed. */
  list(conf: ConfState): readonly ListedMember[] {
    if (this.#listed?.conf === conf) return this.#listed.members;
    const members = membersOf(conf)
      .sort(compareIds)
      .map((id) => {
        const { name, peerUrls, clientUrls } = this.of(id);
        const isLearner = conf.learners.includes(id) || conf.learnersNext.includes(id);
        return { id, name, peerUrls, clientUrls, isLearner };
      });
    this.#listed = { conf, members };
    return members;
  }

  /** Why no member but `id` may get these peer URLs; undefined: none of the configuration has one of them. */
  urlsProblem(conf: ConfState, id: MemberId, peerUrls: readonly string[]): KvError | undefined {
    const isTaken = membersOf(conf).some(
      (other) => other !== id && this.of(other).peerUrls.some((url) => peerUrls.includes(url)),
    );
    return isTaken ? ERR.peerUrlExists : undefined;
  }

  /**
   * The first instance of a member is pinned; from then on only that one changes the name and the URLs. Another one,
   * or one of a removed member, changes nothing.
   */
  publish({ member, instance, name, clientUrls }: Publication): Published {
    const known = this.of(member);
    if (known.removed || instance === 0n) return "refused";
    if (known.instance !== 0n && known.instance !== instance) return "refused";
    const isPinned = known.instance === instance;
    if (isPinned && isSame(known, { name, clientUrls })) return "known";
    this.#set(member, { ...known, instance, name, clientUrls });
    return isPinned ? "changed" : "pinned";
  }

  /** Gives a member of the configuration other peer URLs, or says why not: then nothing is changed. */
  update(conf: ConfState, id: MemberId, peerUrls: readonly string[]): KvError | undefined {
    if (!isInConf(conf, id)) return ERR.memberNotFound;
    const problem = this.urlsProblem(conf, id, peerUrls);
    if (problem === undefined) this.#set(id, { ...this.of(id), peerUrls });
    return problem;
  }

  /**
   * Takes the URLs of who came into the configuration, and remembers who was in it before and is in no part of it any
   * more. While a configuration is joint its outgoing voters are still members: they are removed when it is left, not
   * when it is entered. A change that did not fit left the configuration as it was, and brings nobody.
   */
  noteConfChange(before: ConfState, after: ConfState, steps: readonly ConfChangeStep[]): void {
    for (const { id, peerUrls } of steps) {
      if (peerUrls === undefined || isInConf(before, id) || !isInConf(after, id)) continue;
      // No leader proposes to bring back who was removed; a record that is final stays so all the same.
      if (!this.isRemoved(id)) this.#set(id, { ...this.of(id), peerUrls });
    }
    for (const id of membersOf(before)) if (!isInConf(after, id)) this.#set(id, REMOVED);
  }

  /** Appends the records changed since the last call. */
  takeChanges(into: RecordChanges): void {
    for (const id of this.#dirty) into.puts.push([MEMBER_PREFIX + hex(id), encodeMemberRecord(this.of(id))]);
    this.#dirty.clear();
  }

  /** Takes one saved record; only while the state is being built. */
  load(name: string, bytes: Uint8Array): Loaded {
    const id = idOfRecord(name);
    const record = decodeMemberRecord(bytes);
    if (id === undefined || record.type === "refused") {
      const reason = record.type === "refused" ? `: ${record.reason}` : "";
      return { type: "refused", reason: `member record ${name} is malformed${reason}` };
    }
    this.#records.set(id, record.value);
    return LOADED;
  }

  #set(id: MemberId, record: MemberRecord): void {
    this.#records.set(id, record);
    this.#dirty.add(id);
    this.#listed = undefined;
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

/** Whether a member has said the same of itself before. */
export function isSame(
  a: Pick<MemberRecord, "name" | "clientUrls">,
  b: Pick<MemberRecord, "name" | "clientUrls">,
): boolean {
  const { clientUrls } = b;
  return (
    a.name === b.name &&
    a.clientUrls.length === clientUrls.length &&
    a.clientUrls.every((url, i) => url === clientUrls[i])
  );
}
