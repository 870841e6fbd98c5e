/**
 * The invariants that hold after every event, judged from outside: from batches handed to the disk, from what the
 * disk made durable, from messages as they leave, and from the status of the member that the event was for. Each is
 * O(1) amortised. The names are those of the Raft paper, figure 3, where it has one (reliability.md §4).
 */
import type { ListedMember } from "../../src/apply/index.ts";
import type { MemberId } from "../../src/base/index.ts";
import type { PersistBatch, RecoveredLog } from "../../src/env/index.ts";
import type { MemberStatus } from "../../src/member/types.ts";
import type { Entry, Message } from "../../src/raft/types.ts";
import { type ConfMasks, countBits, isQuorum, quorumsOverlap, type Roster } from "./members.ts";
import { chainOf, ShadowLog } from "./shadow-log.ts";
import { violate } from "./violation.ts";

/** Terms are packed below indexes in one number; a run that needs more elections than this is broken anyway. */
const MAX_TERM = 65_536;

/** One member as the invariants know it; all of it survives the member's processes. */
interface Watched {
  readonly slot: number;
  readonly id: MemberId;
  /** Handed to the disk, durable or not. */
  issued: ShadowLog;
  /** On the platter, by the word of the simulated disk. */
  durable: ShadowLog;
  /**
   * What was on the platter when the data was lost. Acknowledgements of it may still arrive and count, rightly: the
   * member never votes again, so every later quorum has all the others of theirs (fault atlas, `faults.ts`).
   */
  gone: ShadowLog | undefined;
  /** The log may have let go of what lies at or below: it was told so, or a snapshot record stands for it. */
  releasable: number;
  /** Lowest index at which `issued` may differ from `durable`. */
  dirtyFrom: number;
  running: boolean;
  term: number;
  commit: number;
  applied: number;
  leaderOf: number;
  /** The term whose leader's log was compared with everything committed before. */
  completeFor: number;
  leaseUntil: number;
  conf: ConfMasks | undefined;
  /** Last index of a `conf` entry in the issued log. */
  lastConfIndex: number;
}

/** What the invariants look at in a running member. */
export interface Observed {
  status(): MemberStatus;
  stateHash(): number;
  members(): readonly ListedMember[];
  readonly kv: {
    readonly usedBytes: number;
    readonly alarms: { readonly isFull: boolean; readonly isCorrupt: boolean };
  };
}

interface KnownEntry {
  readonly chain: number;
  readonly entry: Entry;
}

/** The judge of one run. Every method throws SimViolation when something is broken. */
export class Invariants {
  readonly #roster: Roster;
  readonly #watched: Watched[] = [];
  /** (index, term) -> the one entry that may be there, in any log, ever (Log Matching). */
  readonly #entries = new Map<number, KnownEntry>();
  readonly #committedChains: number[] = [0];
  readonly #committedTerms: number[] = [0];
  readonly #stateHashes: (number | undefined)[] = [];
  /** Bytes that count against the quota and the alarms, by applied index. */
  readonly #space: (number | undefined)[] = [];
  /** By applied index: names and addresses of the members. */
  readonly #lists: (string | undefined)[] = [];
  /** Lists that were written out already; a member gives the same object until it changes. */
  readonly #listTexts = new WeakMap<readonly ListedMember[], string>();
  readonly #confHashes: (string | undefined)[] = [];
  readonly #leaders = new Map<number, number>();
  /** term * 32 + candidate -> machines whose vote is bound to it by what is durable. */
  readonly #votes = new Map<number, number>();
  /** term * 32 + voter -> candidate slot + 1 of that vote. */
  readonly #voteOf = new Map<number, number>();
  #maxCommitTerm = 0;
  /** Highest term in which somebody stood for election; term 1 is that of the bootstrap entry. */
  #maxCampaign = 1;
  /** When each index was seen to be committed, world time. */
  readonly #committedAt: number[] = [0];
  /** Set by the world before each event. */
  now = 0;

  constructor(roster: Roster) {
    this.#roster = roster;
  }

  /** Highest index that any leader committed. */
  get committed(): number {
    return this.#committedChains.length - 1;
  }

  /** Highest term in which something was committed. */
  get maxCommitTerm(): number {
    return this.#maxCommitTerm;
  }

  /** The committed entry at `index`, with the time at which it was first seen committed. */
  committedEntry(index: number): { readonly entry: Entry; readonly at: number } | undefined {
    const known = this.#entries.get(index * MAX_TERM + (this.#committedTerms[index] ?? 0));
    return known && { entry: known.entry, at: this.#committedAt[index] ?? 0 };
  }

  /** A machine with an empty log joins the world. */
  addMember(slot: number, id: MemberId): void {
    this.#watched[slot] = {
      slot,
      id,
      issued: new ShadowLog(),
      durable: new ShadowLog(),
      gone: undefined,
      releasable: 0,
      dirtyFrom: 1,
      running: false,
      term: 0,
      commit: 0,
      applied: 0,
      leaderOf: 0,
      completeFor: 0,
      leaseUntil: Number.NEGATIVE_INFINITY,
      conf: undefined,
      lastConfIndex: 0,
    };
  }

  /** Entries that are committed by decree: the bootstrap log, the same on all first members. */
  bootstrap(entries: readonly Entry[]): void {
    for (const entry of entries) {
      const chain = chainOf(this.#committedChains[entry.index - 1] ?? 0, entry);
      this.#entries.set(entry.index * MAX_TERM + entry.term, { chain, entry });
      this.#committedChains[entry.index] = chain;
      this.#committedTerms[entry.index] = entry.term;
      this.#committedAt[entry.index] = 0;
    }
  }

  /** Highest durable index of a member. */
  durableLast(slot: number): number {
    return this.#at(slot).durable.last;
  }

  issuedLast(slot: number): number {
    return this.#at(slot).issued.last;
  }

  issuedTermAt(slot: number, index: number): number | undefined {
    return this.#at(slot).issued.termAt(index);
  }

  /** Whether the log of a member holds, at or below `index`, other entries than were committed there. */
  differsFromCommitted(slot: number, index: number): boolean {
    const { issued } = this.#at(slot);
    const at = Math.min(issued.last, index, this.committed);
    return at > issued.base && issued.chainAt(at) !== this.#committedChains[at];
  }

  /** Index of the last configuration entry in the log of a member. */
  lastConfIndex(slot: number): number {
    return this.#at(slot).lastConfIndex;
  }

  /** The configuration that a member has applied, as masks. */
  confOf(slot: number): ConfMasks | undefined {
    return this.#at(slot).conf;
  }

  /** A batch goes to the disk. */
  batchIssued(slot: number, batch: PersistBatch, status: MemberStatus | undefined): void {
    const watched = this.#at(slot);
    const { issued } = watched;
    if (batch.snapshot !== undefined) {
      const { index, term } = batch.snapshot;
      const chain = this.#committedChains[index];
      if (chain === undefined || this.#committedTerms[index] !== term) {
        violate(
          "commit-is-committed",
          `member ${slot} takes a snapshot at (${index}, ${term}), not committed`,
        );
      }
      if (issued.last > index && issued.termAt(index) !== term) watched.dirtyFrom = 0;
      watched.dirtyFrom = Math.min(watched.dirtyFrom, index);
      issued.putSnapshot(index, term, chain);
      watched.releasable = Math.max(watched.releasable, index);
    }
    const leader = status?.role === "leader" ? status : undefined;
    for (const entry of batch.entries) this.#entryIssued(watched, entry, leader);
    if (batch.hardState !== undefined) issued.hardState = batch.hardState;
    if (
      leader !== undefined &&
      watched.completeFor < leader.term &&
      issued.termAt(issued.last) === leader.term
    ) {
      this.#checkCompleteness(watched, leader.term, batch);
    }
  }

  /** The log may let go of everything at or below `index`. */
  released(slot: number, index: number): void {
    const watched = this.#at(slot);
    watched.releasable = Math.max(watched.releasable, index);
  }

  /** The disk says: the batch issued last is durable. */
  batchDurable(slot: number): void {
    const watched = this.#at(slot);
    watched.durable.catchUp(watched.issued, watched.dirtyFrom);
    watched.dirtyFrom = watched.issued.last + 1;
    this.#hardStateDurable(watched);
  }

  /** A message leaves a member; what it promises must be on its disk by now. */
  messageSent(slot: number, message: Message): void {
    if (message.type === "append" || message.type === "heartbeat") return;
    const { durable } = this.#at(slot);
    const term = durable.hardState.term;
    switch (message.type) {
      case "voteResponse": {
        if (message.pre || !message.granted) return;
        const candidate = this.#roster.slotOf(message.to);
        if (this.#voteOf.get(message.term * 32 + slot) !== candidate + 1) {
          violate(
            "vote-durable-before-sent",
            `member ${slot} votes for ${candidate} in ${message.term}: not durable`,
          );
        }
        return;
      }
      case "appendResponse":
        if (message.rejected) return;
        if (message.index > durable.last) {
          violate(
            "ack-durable-before-sent",
            `member ${slot} acks ${message.index}, durable is ${durable.last}`,
          );
        }
        // An ack in a term that a crash forgets would let a leader of an earlier term overwrite what was acked. A
        // heartbeat response promises nothing of the kind: the durable votes of the term guard its reads.
        if (message.term > term) {
          violate(
            "term-durable-before-sent",
            `member ${slot} acks in term ${message.term}, durable is ${term}`,
          );
        }
        return;
      default:
        return;
    }
  }

  /** The machine's process is gone. */
  stopped(slot: number): void {
    const watched = this.#at(slot);
    watched.running = false;
    watched.leaderOf = 0;
    watched.leaseUntil = Number.NEGATIVE_INFINITY;
  }

  /** The machine's data is gone; what it once promised stays known. */
  wiped(slot: number): void {
    const watched = this.#at(slot);
    watched.gone = watched.durable;
    watched.issued = new ShadowLog();
    watched.durable = new ShadowLog();
    watched.releasable = 0;
    watched.dirtyFrom = 1;
    watched.term = 0;
    watched.commit = 0;
    watched.applied = 0;
    watched.lastConfIndex = 0;
  }

  /**
   * Recovery gave this log. It must be what was durable, or that and the whole batch that was under way.
   * @param synced whether everything that recovery saw is on the platter.
   * @returns whether the batch under way was lost.
   */
  recovered(slot: number, log: RecoveredLog, synced: boolean): boolean {
    const watched = this.#at(slot);
    if (log.base.index > watched.releasable) {
      violate(
        "released-is-allowed",
        `member ${slot} recovered a log from ${log.base.index} on, it may have begun at ${watched.releasable}`,
      );
    }
    const seen = new ShadowLog();
    const baseChain = this.#chainForBase(watched, log.base.index, log.base.term);
    seen.putSnapshot(log.base.index, log.base.term, baseChain);
    watched.lastConfIndex = 0;
    let chain = baseChain;
    for (const entry of log.entries) {
      chain = chainOf(chain, entry);
      seen.put(entry.index, entry.term, chain);
      if (entry.type === "conf") watched.lastConfIndex = entry.index;
    }
    seen.hardState = log.hardState;
    const isIssued = seen.equals(watched.issued);
    if (!isIssued && !seen.equals(watched.durable)) {
      violate(
        "recovery-keeps-durable",
        `member ${slot} recovered ${seen.describe()}; durable ${watched.durable.describe()}, ` +
          `with the batch under way ${watched.issued.describe()}`,
      );
    }
    watched.issued = seen;
    watched.dirtyFrom = 0;
    if (synced) this.batchDurable(slot);
    return !isIssued;
  }

  /** After every event of a running member. */
  check(slot: number, member: Observed, localNow: number): MemberStatus {
    const watched = this.#at(slot);
    const status = member.status();
    if (!watched.running) {
      watched.running = true;
      watched.conf = undefined;
      // A restart may forget how far it had applied and committed, and a term in which it had promised nothing.
      watched.term = watched.durable.hardState.term;
      watched.commit = 0;
      watched.applied = 0;
    }
    if (status.term < watched.term) this.#backwards("monotonic-term", slot, watched.term, status.term);
    if (status.commit < watched.commit)
      this.#backwards("monotonic-commit", slot, watched.commit, status.commit);
    if (status.applied < watched.applied) {
      this.#backwards("monotonic-applied", slot, watched.applied, status.applied);
    }
    if (status.persisted > watched.durable.last) {
      violate(
        "persisted-is-durable",
        `member ${slot}: persisted ${status.persisted} > ${watched.durable.last}`,
      );
    }
    if (status.role === "candidate" || status.role === "leader") {
      this.#maxCampaign = Math.max(this.#maxCampaign, status.term);
    } else if (status.term > this.#maxCampaign) {
      violate(
        "term-without-candidate",
        `member ${slot} is in term ${status.term}, nobody stood in ${status.term}`,
      );
    }
    watched.term = status.term;
    const confBefore = watched.conf;
    if (confBefore === undefined || confBefore.conf !== status.conf) this.#confSeen(watched, status);
    // A leader that applies its own removal commits and steps down in one event.
    const led = watched.leaderOf === status.term;
    if (status.role !== "leader") watched.leaderOf = 0;
    else if (!led) this.#elected(watched, status, confBefore);
    if (status.commit > watched.commit) {
      this.#commitSeen(watched, status, confBefore, led || status.role === "leader");
    }
    if (status.applied > watched.applied) this.#appliedSeen(watched, status, member);
    watched.leaseUntil = status.role === "leader" ? status.leaseUntil : Number.NEGATIVE_INFINITY;
    if (watched.leaseUntil > localNow && this.#maxCommitTerm > status.term) {
      violate(
        "lease-exclusive",
        `member ${slot} holds a lease in ${status.term}, ${this.#maxCommitTerm} committed`,
      );
    }
    return status;
  }

  /** Until when, by its own clock, a member believes that no other leader can commit. */
  leaseUntil(slot: number): number {
    return this.#at(slot).leaseUntil;
  }

  leaderTerm(slot: number): number {
    return this.#at(slot).leaderOf;
  }

  /** The leader of a term, as a slot; -1 when there was none. */
  leaderIn(term: number): number {
    return this.#leaders.get(term) ?? -1;
  }

  get elections(): number {
    return this.#leaders.size;
  }

  #entryIssued(watched: Watched, entry: Entry, leader: MemberStatus | undefined): void {
    const { issued, slot } = watched;
    const { index, term } = entry;
    if (index > issued.last + 1 || index <= issued.base) {
      violate("log-matching", `member ${slot} writes ${index} behind (${issued.base}, ${issued.last}]`);
    }
    if (term >= MAX_TERM) violate("log-matching", `term ${term} at ${index} is beyond what a run can reach`);
    const chain = chainOf(issued.chainAt(index - 1) ?? 0, entry);
    if (index <= issued.last) {
      if (issued.chainAt(index) !== chain && this.#committedChains[index] === issued.chainAt(index)) {
        violate("log-matching", `member ${slot} overwrites the committed entry ${index}`);
      }
      if (leader !== undefined && issued.termAt(index) === leader.term) {
        violate("leader-append-only", `leader ${slot} of term ${leader.term} overwrites its entry ${index}`);
      }
      if (watched.lastConfIndex >= index) watched.lastConfIndex = 0;
      watched.dirtyFrom = Math.min(watched.dirtyFrom, index);
    }
    const key = index * MAX_TERM + term;
    const known = this.#entries.get(key);
    if (known === undefined) this.#entries.set(key, { chain, entry });
    else if (known.chain !== chain) {
      violate("log-matching", `two logs differ at or before (${index}, ${term}), one is of member ${slot}`);
    }
    if (entry.type === "conf") {
      if (leader !== undefined && term === leader.term && watched.lastConfIndex > leader.applied) {
        violate(
          "one-pending-configuration",
          `leader ${slot}: ${watched.lastConfIndex} and ${index} are pending`,
        );
      }
      watched.lastConfIndex = index;
    }
    issued.put(index, term, chain);
  }

  /** All that was committed in earlier terms is in the log of a leader, before its own first entry. */
  #checkCompleteness(watched: Watched, term: number, batch: PersistBatch): void {
    const own = batch.entries.find((entry) => entry.term === term);
    if (own === undefined) return;
    watched.completeFor = term;
    let last = this.committed;
    while (last > 0 && (this.#committedTerms[last] as number) >= term) last--;
    const ours = watched.issued.chainAt(last);
    const known = last <= watched.issued.base || ours === this.#committedChains[last];
    if (last >= own.index || !known) {
      violate("leader-completeness", `leader ${watched.slot} of ${term} lacks the committed entry ${last}`);
    }
  }

  #hardStateDurable(watched: Watched): void {
    const { term, vote } = watched.durable.hardState;
    if (vote === 0n) return;
    this.#voteIsBound(watched.slot, term, this.#roster.slotOf(vote));
  }

  /** From here on this member can give its vote of `term` to nobody else, whatever it forgets. */
  #voteIsBound(slot: number, term: number, candidate: number): void {
    const key = term * 32 + slot;
    const before = this.#voteOf.get(key);
    if (before === candidate + 1) return;
    if (before !== undefined) {
      violate("one-vote-per-term", `member ${slot} in ${term}: ${before - 1}, then ${candidate}`);
    }
    this.#voteOf.set(key, candidate + 1);
    const votes = term * 32 + candidate;
    this.#votes.set(votes, (this.#votes.get(votes) ?? 0) | (1 << slot));
  }

  #elected(watched: Watched, status: MemberStatus, confBefore: ConfMasks | undefined): void {
    const { term } = status;
    const { slot } = watched;
    watched.leaderOf = term;
    const other = this.#leaders.get(term);
    if (other !== undefined)
      violate("election-safety", `members ${other} and ${slot} both lead term ${term}`);
    this.#leaders.set(term, slot);
    const votes = this.#votes.get(term * 32 + slot) ?? 0;
    const conf = watched.conf;
    const enough =
      (conf !== undefined && isQuorum(votes, conf)) ||
      (confBefore !== undefined && isQuorum(votes, confBefore));
    if (!enough) {
      violate("election-quorum-durable", `leader ${slot} of ${term} has durable votes of mask ${votes} only`);
    }
  }

  #commitSeen(
    watched: Watched,
    status: MemberStatus,
    confBefore: ConfMasks | undefined,
    isLeader: boolean,
  ): void {
    const { commit } = status;
    const { slot } = watched;
    watched.commit = commit;
    if (commit <= this.committed) return;
    if (!isLeader) {
      violate("commit-is-committed", `member ${slot} commits ${commit}, leaders committed ${this.committed}`);
    }
    const known = this.#entries.get(commit * MAX_TERM + status.term);
    if (known === undefined) {
      violate(
        "commit-is-committed",
        `leader ${slot} commits ${commit}, which is not of its term ${status.term}`,
      );
    }
    let holders = 0;
    let source: ShadowLog | undefined;
    for (const other of this.#watched) {
      const holds = holdingLog(other, commit, known.chain, status.term);
      if (holds === undefined) continue;
      holders |= 1 << other.slot;
      if (source === undefined || holds.base < source.base) source = holds;
    }
    const conf = watched.conf;
    const enough =
      (conf !== undefined && isQuorum(holders, conf)) ||
      (confBefore !== undefined && isQuorum(holders, confBefore));
    if (!enough || source === undefined) {
      violate(
        "commit-on-durable-quorum",
        `leader ${slot} commits ${commit}; it is durable on ${countBits(holders)} (mask ${holders})`,
      );
    }
    this.#extendCommitted(source, commit, slot);
    if (status.term > this.#maxCommitTerm) this.#maxCommitTerm = status.term;
  }

  #extendCommitted(source: ShadowLog, commit: number, slot: number): void {
    const from = this.committed;
    if (source.chainAt(from) !== this.#committedChains[from]) {
      violate("leader-completeness", `leader ${slot} commits ${commit} over another entry ${from}`);
    }
    for (let i = from + 1; i <= commit; i++) {
      const chain = source.chainAt(i);
      const term = source.termAt(i);
      if (chain === undefined || term === undefined)
        violate("commit-is-committed", `no holder knows entry ${i}`);
      this.#committedChains.push(chain);
      this.#committedTerms.push(term);
      this.#committedAt.push(this.now);
    }
  }

  #appliedSeen(watched: Watched, status: MemberStatus, member: Observed): void {
    const { applied } = status;
    const { slot, durable } = watched;
    watched.applied = applied;
    if (applied > status.commit) violate("commit-is-committed", `member ${slot} applied ${applied} > commit`);
    const mine = durable.chainAt(applied);
    if (mine !== undefined && applied > durable.base && mine !== this.#committedChains[applied]) {
      violate("state-machine-safety", `member ${slot} applied another entry ${applied} than was committed`);
    }
    const hash = member.stateHash();
    const known = this.#stateHashes[applied];
    if (known === undefined) this.#stateHashes[applied] = hash;
    else if (known !== hash)
      violate("state-machine-safety", `member ${slot} differs in its state at ${applied}`);
    // Replicated, and no part of the hash: it is over what requests answered.
    const { usedBytes, alarms } = member.kv;
    const space = usedBytes * 4 + (alarms.isFull ? 2 : 0) + (alarms.isCorrupt ? 1 : 0);
    const knownSpace = this.#space[applied];
    if (knownSpace === undefined) this.#space[applied] = space;
    else if (knownSpace !== space)
      violate(
        "state-machine-safety",
        `member ${slot} counts ${usedBytes} bytes at ${applied}, others do not`,
      );
    this.#listSeen(slot, applied, member.members());
    const conf = watched.conf?.hash;
    const knownConf = this.#confHashes[applied];
    if (knownConf === undefined) this.#confHashes[applied] = conf;
    else if (knownConf !== conf) {
      violate("configuration-equality", `member ${slot} at ${applied}: ${conf}, others ${knownConf}`);
    }
  }

  /** Names and addresses of members are replicated; one that lost its URL to another may not keep it elsewhere. */
  #listSeen(slot: number, applied: number, members: readonly ListedMember[]): void {
    let list = this.#listTexts.get(members);
    if (list === undefined) {
      list = listText(members);
      this.#listTexts.set(members, list);
    }
    const known = this.#lists[applied];
    if (known === undefined) this.#lists[applied] = list;
    else if (known !== list)
      violate(
        "state-machine-safety",
        `member ${slot} lists other members at ${applied}: ${list}, not ${known}`,
      );
  }

  #confSeen(watched: Watched, status: MemberStatus): void {
    const next = this.#roster.masksOf(status.conf);
    const before = watched.conf;
    watched.conf = next;
    if (before === undefined || before.hash === next.hash || before.voters === 0) return;
    // A jump over several changes (restart, snapshot, one long apply) need not overlap; single steps must.
    if (status.applied - watched.applied > 1) return;
    if (!quorumsOverlap(before, next)) {
      violate("configuration-overlap", `member ${watched.slot}: ${before.hash} -> ${next.hash}`);
    }
  }

  #chainForBase(watched: Watched, index: number, term: number): number {
    if (index === 0) return 0;
    if (this.#committedTerms[index] === term) return this.#committedChains[index] as number;
    const chain = watched.issued.chainAt(index) ?? watched.durable.chainAt(index);
    if (chain !== undefined && watched.issued.termAt(index) === term) return chain;
    violate(
      "recovery-keeps-durable",
      `member ${watched.slot}: log begins at (${index}, ${term}), not committed`,
    );
  }

  #backwards(
    id: "monotonic-term" | "monotonic-commit" | "monotonic-applied",
    slot: number,
    from: number,
    to: number,
  ) {
    violate(id, `member ${slot}: ${from} -> ${to}`);
  }

  #at(slot: number): Watched {
    return this.#watched[slot] ?? violate("assertion", `no member in slot ${slot}`);
  }
}

/** The log of a member that has, or had when it was lost, this entry on the platter. */
function holdingLog(watched: Watched, index: number, chain: number, term: number): ShadowLog | undefined {
  for (const log of [watched.durable, watched.gone]) {
    if (log?.chainAt(index) === chain && log.termAt(index) === term) return log;
  }
  return undefined;
}

function listText(members: readonly ListedMember[]): string {
  return members
    .map(({ id, name, peerUrls, clientUrls, isLearner }) =>
      [id.toString(16), name, peerUrls, clientUrls, isLearner].join(" "),
    )
    .join("; ");
}
