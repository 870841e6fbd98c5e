/**
 * The world of a story: members on one clock, a network whose every message waits until a directive delivers
 * or drops it, and the teller that turns what members do into lines. Nothing here knows directives
 * (`verbs.ts`).
 *
 * Lines come in two weights: news (roles, configurations, reads, refusals) and details (messages, batches,
 * commits). A quiet directive tells only the news.
 */
import type { MemberId } from "../../src/base/index.ts";
import { textOf } from "../../src/base/index.ts";
import type { Message, Raft, ReadState, SnapshotMeta } from "../../src/raft/index.ts";
import { Safety } from "./safety.ts";
import type { StoredState, StoryMember } from "./story-member.ts";
import {
  arrowText,
  batchText,
  confText,
  contentText,
  entryText,
  parseChange,
  position,
  roleText,
} from "./words.ts";

/** Which messages a directive means; undefined fields mean any. */
export interface MessageFilter {
  readonly from: MemberId | undefined;
  readonly to: MemberId | undefined;
  readonly type: string | undefined;
}

interface Seen {
  readonly role: string;
  readonly vote: MemberId;
  readonly commit: number;
  readonly lastIndex: number;
  readonly terms: readonly number[];
}

/** Rounds of `stabilize` after which a story counts as never coming to rest. */
const MAX_ROUNDS = 200;

export class Story {
  /** Milliseconds; the clock of every member. */
  now = 0;
  readonly members = new Map<MemberId, StoryMember>();
  /** Sent and neither delivered nor dropped, oldest first. */
  network: Message[] = [];
  /** Links that lose everything, as "from>to". */
  readonly cut = new Set<string>();
  /** Snapshot views opened and not yet sent, as "from>to". */
  readonly views = new Map<string, { readonly term: number; readonly meta: StoredState }>();
  quiet = false;
  readonly #safety = new Safety();
  #lines: string[] = [];

  /** The member called `id`. @throws Error when there is none */
  member(id: MemberId): StoryMember {
    const member = this.members.get(id);
    if (member === undefined) throw new Error(`there is no member ${id}`);
    return member;
  }

  /** The lines told since the last call. */
  takeLines(): string[] {
    const lines = this.#lines;
    this.#lines = [];
    return lines;
  }

  news(line: string): void {
    this.#lines.push(line);
  }

  detail(line: string): void {
    if (!this.quiet) this.#lines.push(line);
  }

  /** Gives one input to a member and tells everything that follows from it at that member. */
  act<T>(member: StoryMember, input: (raft: Raft, now: number) => T): T {
    const before = see(member.live);
    const result = input(member.live, this.now);
    this.#follow(member, before);
    return result;
  }

  /** Completes the batch that is on its way to the disk of `member`. */
  persist(member: StoryMember): void {
    this.detail(`${member.id}: durable`);
    this.act(member, () => this.#complete(member));
  }

  /** Applies what a member with manual apply has been handed. */
  apply(member: StoryMember): void {
    const before = see(member.live);
    this.#apply(member);
    this.#follow(member, before);
  }

  /** Delivers one message, or loses it on a cut link. */
  deliver(m: Message): void {
    const to = this.members.get(m.to);
    const lost = this.cut.has(`${m.from}>${m.to}`) || to?.raft === undefined;
    if (to === undefined || lost) {
      this.detail(`lost ${arrowText(m)}`);
      return;
    }
    this.detail(`> ${arrowText(m)}`);
    this.act(to, (raft, now) => {
      const result = raft.step(now, m);
      if (result.type === "refused") this.news(`${m.to} refuses it: ${result.reason}`);
    });
  }

  /** Takes the messages that fit out of the network, oldest first. */
  take(filter: MessageFilter, max: number): Message[] {
    const taken: Message[] = [];
    const rest: Message[] = [];
    for (const m of this.network) {
      if (taken.length < max && fits(m, filter)) taken.push(m);
      else rest.push(m);
    }
    this.network = rest;
    return taken;
  }

  /**
   * Completes every batch and delivers every message, until nothing is left to do. Manual apply stays manual.
   */
  stabilize(): void {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      let idle = true;
      for (const member of this.members.values()) {
        if (member.raft === undefined) continue;
        if (member.batch !== undefined) {
          this.persist(member);
          idle = false;
        }
      }
      const wave = this.network;
      this.network = [];
      for (const m of wave) this.deliver(m);
      if (idle && wave.length === 0) return;
    }
    throw new Error(`no rest after ${MAX_ROUNDS} rounds`);
  }

  /** Lets the clock run to `until`, waking members when they are due and delivering everything at once. */
  run(until: number): void {
    this.stabilize();
    for (;;) {
      let next: StoryMember | undefined;
      for (const member of this.members.values()) {
        if (member.raft === undefined) continue;
        if (next === undefined || member.raft.nextWake() < next.live.nextWake()) next = member;
      }
      const due = next?.live.nextWake() ?? Number.POSITIVE_INFINITY;
      if (next === undefined || due > until) break;
      this.now = Math.max(this.now, due);
      this.act(next, (raft, now) => raft.tick(now));
      this.stabilize();
    }
    this.now = until;
  }

  /** Tells what changed, then carries out what the member wants, as a driver would. */
  #follow(member: StoryMember, before: Seen): void {
    let seen = before;
    for (;;) {
      seen = this.#tellChange(member, seen);
      const worked = this.#tryBatch(member) || this.#drain(member);
      this.#safety.check([...this.members.values()].flatMap((m) => (m.raft === undefined ? [] : [m.raft])));
      if (!worked) return;
    }
  }

  #tellChange(member: StoryMember, before: Seen): Seen {
    const { id } = member;
    const after = see(member.live);
    if (after.role !== before.role) this.news(`${id} ${after.role}`);
    if (after.vote !== before.vote && after.vote !== 0n && after.vote !== id)
      this.news(`${id} votes for ${after.vote}`);
    const raft = member.live;
    for (let i = Math.max(raft.firstIndex, before.commit + 1); i <= before.lastIndex; i++) {
      if (raft.termAt(i) === before.terms[i]) continue;
      this.news(`${id} gives up ${i}..${before.lastIndex}`);
      break;
    }
    if (after.commit !== before.commit) this.detail(`${id} knows ${after.commit} to be committed`);
    return after;
  }

  #tryBatch(member: StoryMember): boolean {
    const batch = member.live.takeBatch();
    if (batch === undefined) return false;
    member.batch = batch;
    this.detail(`${member.id} writes ${batchText(batch)}`);
    if (!member.manualPersist) this.#complete(member);
    return true;
  }

  #complete(member: StoryMember): void {
    const snapshot: SnapshotMeta | undefined = member.persist(this.now);
    if (snapshot === undefined) return;
    member.live.snapshotInstalled(this.now, snapshot.index);
    this.news(`${member.id} stands at snapshot ${snapshot.index}: ${confText(snapshot.conf)}`);
  }

  #drain(member: StoryMember): boolean {
    const raft = member.live;
    const messages = raft.takeMessages();
    for (const m of messages) {
      this.network.push(m);
      this.detail(`  ${arrowText(m)}`);
    }
    const reads = raft.takeReadStates();
    for (const state of reads) this.news(readText(member.id, state));
    const wanted = raft.takeSnapshotsWanted();
    for (const { to } of wanted) this.news(`${member.id}: ${to} needs a snapshot`);
    const applied = member.manualApply ? false : this.#apply(member);
    return applied || messages.length + reads.length + wanted.length > 0;
  }

  #apply(member: StoryMember): boolean {
    const raft = member.live;
    const entries = raft.takeCommitted(1000, 1_000_000);
    for (const entry of entries) {
      this.#safety.applied(raft, entry);
      this.detail(`${member.id} applies ${entryText(entry)}`);
      if (entry.type === "conf") {
        const conf = raft.applyConfChange(this.now, entry.index, parseChange(textOf(entry.data)));
        this.news(`${member.id} is configured by ${contentText(entry)}: ${confText(conf)}`);
      }
      member.applied(entry);
      raft.appliedTo(this.now, entry.index);
    }
    return entries.length > 0;
  }
}

function see(raft: Raft): Seen {
  const terms: number[] = [];
  for (let i = raft.firstIndex; i <= raft.lastIndex; i++) terms[i] = raft.termAt(i) ?? 0;
  return {
    role: roleText(raft),
    vote: raft.vote,
    commit: raft.commit,
    lastIndex: raft.lastIndex,
    terms,
  };
}

function fits(m: Message, filter: MessageFilter): boolean {
  if (filter.from !== undefined && m.from !== filter.from) return false;
  if (filter.to !== undefined && m.to !== filter.to) return false;
  return filter.type === undefined || m.type === filter.type;
}

function readText(id: MemberId, state: ReadState): string {
  if (state.type === "dropped") return `${id}: read ${state.waiter} is dropped, ${state.reason}`;
  return `${id}: read ${state.waiter} may go at ${state.index}${state.lease ? ", by the lease" : ""}`;
}

/** One line of a member's log from its base on. */
export function logText(raft: Raft): string {
  const base = raft.firstIndex - 1;
  const parts = [`base ${position(base, raft.termAt(base) ?? 0)}`];
  for (let i = raft.firstIndex; i <= raft.lastIndex; i++) {
    const entry = raft.entryAt(i);
    if (entry !== undefined) parts.push(entryText(entry));
  }
  return parts.join(", ");
}
