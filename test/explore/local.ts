/**
 * One member as the explorer sees it: the consensus core, a disk that holds just what is durable, and a clock
 * that moves only when an input says so. Deterministic: the inputs since its last start make the member, so a
 * state can be made again by repeating them.
 */
import { bytesOf, type MemberId, NO_MEMBER, textOf } from "../../src/base/index.ts";
import type {
  ConfState,
  Entry,
  HardState,
  Message,
  Raft,
  RaftBatch,
  RaftOptions,
  RaftStart,
} from "../../src/raft/index.ts";
import { parseChange } from "../datadriven/words.ts";
import type { Ghost } from "./ghosts.ts";

export const ELECTION_MS = 1000;
export const HEARTBEAT_MS = 100;

/** The class under exploration: the product's, or a broken copy of it. */
export type RaftClass = new (
  options: RaftOptions,
  start: RaftStart,
  deps: { random: { int(lo: number, hi: number): number }; now: number },
) => Raft;

/** What survives a crash. */
export interface Disk {
  readonly hardState: HardState;
  readonly entries: readonly Entry[];
}

/** What does not change in the life of a member. */
export interface LocalSetup {
  readonly id: MemberId;
  /** Applied at every start, with the configuration as of it: a state that lags as far as it can. */
  readonly applied: number;
  readonly conf: ConfState;
  /** A batch waits for the input `persist`; otherwise it is durable at once. */
  readonly slowDisk: boolean;
}

/** One thing that may happen to a member. */
export type Input =
  /** `late`: the member has not heard its leader for an election timeout when the message comes. */
  | { readonly type: "deliver"; readonly message: Message; readonly late: boolean }
  | { readonly type: "timeout" | "heartbeat" | "quorumLost" | "persist" | "crash" | "propose" }
  | { readonly type: "change"; readonly change: string }
  /** A reader comes at a moment when `committed` is the highest index that any leader has committed. */
  | { readonly type: "read"; readonly committed: number };

const LOWEST = { int: (lo: number): number => lo };

export class LocalMember {
  readonly raft: Raft;
  disk: Disk;
  readonly #setup: LocalSetup;
  #now = 0;
  #batch: RaftBatch | undefined;
  #messages: Message[] = [];
  #ghosts: Ghost[] = [];

  /** @throws AssertionError of the core, where its own assertions fail */
  constructor(raftClass: RaftClass, setup: LocalSetup, disk: Disk) {
    this.#setup = setup;
    this.disk = disk;
    const start: RaftStart = {
      hardState: disk.hardState,
      base: { index: 0, term: 0 },
      entries: disk.entries,
      applied: setup.applied,
      conf: setup.conf,
      longestLeaseMs: 0,
    };
    const options: RaftOptions = {
      id: setup.id,
      electionTimeoutMs: ELECTION_MS,
      heartbeatMs: HEARTBEAT_MS,
      leaseReads: false,
      maxInflightMessages: 2,
      maxAppendBytes: 1,
      maxUncommittedBytes: 1_000_000,
      maxPendingReads: 10,
    };
    this.raft = new raftClass(options, start, { random: LOWEST, now: 0 });
    this.#drain();
  }

  get hasBatchOut(): boolean {
    return this.#batch !== undefined;
  }

  /** Whether the member would refuse to help depose the leader that it follows. */
  get hasLiveLeader(): boolean {
    return (
      this.raft.role === "follower" && this.raft.leader !== NO_MEMBER && this.#now < this.raft.nextWake()
    );
  }

  /** Equal keys behave alike for ever. */
  key(): string {
    const log = this.disk.entries.map((e) => `${e.index}/${e.term}/${textOf(e.data)}`).join(" ");
    const { term, vote, commit } = this.disk.hardState;
    const late = this.#now - this.raft.nextWake();
    return `${this.raft.id}: ${this.raft.dump()} | ${late} | ${term} ${vote} ${commit} ${log}`;
  }

  /** Gives one input other than `crash`. Returns what was sent and what was learned. */
  step(input: Exclude<Input, { type: "crash" }>): { messages: readonly Message[]; ghosts: readonly Ghost[] } {
    this.#messages = [];
    this.#ghosts = [];
    const before = { role: this.raft.role, commit: this.raft.commit };
    this.#input(input);
    this.#drain();
    this.#learn(before);
    this.raft.checkInvariantsDeep();
    return { messages: this.#messages, ghosts: this.#ghosts };
  }

  #input(input: Exclude<Input, { type: "crash" }>): void {
    const { raft } = this;
    switch (input.type) {
      case "deliver": {
        if (input.late) this.#now = raft.nextWake();
        const result = raft.step(this.#now, input.message);
        if (result.type === "refused") this.#ghosts.push({ type: "refusal", reason: result.reason });
        return;
      }
      case "timeout":
      case "heartbeat":
        this.#now = raft.nextWake();
        raft.tick(this.#now);
        return;
      case "quorumLost":
        this.#now += 2 * ELECTION_MS;
        raft.tick(this.#now);
        return;
      case "persist":
        this.#complete();
        return;
      case "propose":
        // The content names the proposer, so that entries of two leaders of one term would differ.
        raft.propose(this.#now, [{ type: "normal", data: bytesOf(String(raft.id)) }]);
        return;
      case "change":
        raft.proposeConfChange(this.#now, parseChange(input.change), bytesOf(input.change));
        return;
      case "read":
        raft.readIndex(this.#now, input.committed);
    }
  }

  #complete(): void {
    const batch = this.#batch;
    if (batch === undefined) throw new Error("no batch is out");
    this.#batch = undefined;
    const first = batch.entries[0];
    const entries =
      first === undefined
        ? this.disk.entries
        : [...this.disk.entries.slice(0, first.index - 1), ...batch.entries];
    this.disk = { hardState: batch.hardState ?? this.disk.hardState, entries };
    this.raft.persisted(this.#now);
  }

  #drain(): void {
    for (;;) {
      const worked = this.#tryBatch() || this.#takeMessages() || this.#apply() || this.#takeReads();
      if (!worked) return;
    }
  }

  #tryBatch(): boolean {
    const batch = this.raft.takeBatch();
    if (batch === undefined) return false;
    this.#batch = batch;
    if (!this.#setup.slowDisk) this.#complete();
    return true;
  }

  #takeMessages(): boolean {
    const messages = this.raft.takeMessages();
    for (const m of messages) {
      const reason = undurablePromise(m, this.disk);
      if (reason !== undefined) throw new Error(`sent before durable: ${reason}`);
      this.#messages.push(m);
    }
    return messages.length > 0;
  }

  #apply(): boolean {
    const { raft } = this;
    const entries = raft.takeCommitted(1000, 1_000_000);
    for (const entry of entries) {
      this.#ghosts.push({ type: "applied", index: entry.index, what: contentOf(entry) });
      if (entry.type === "conf")
        raft.applyConfChange(this.#now, entry.index, parseChange(textOf(entry.data)));
      raft.appliedTo(this.#now, entry.index);
    }
    return entries.length > 0;
  }

  #takeReads(): boolean {
    const states = this.raft.takeReadStates();
    for (const state of states) {
      if (state.type === "ready" && state.index < state.waiter) {
        throw new Error(
          `stale read: index ${state.index}, though ${state.waiter} was committed before it came`,
        );
      }
    }
    this.raft.takeSnapshotsWanted();
    return states.length > 0;
  }

  #learn(before: { role: string; commit: number }): void {
    const { raft } = this;
    if (raft.role !== "leader") return;
    if (before.role !== "leader") {
      const log: string[] = [];
      for (let i = 1; i <= raft.lastIndex; i++) log.push(contentOf(raft.entryAt(i)));
      this.#ghosts.push({ type: "leader", term: raft.term, id: raft.id, log });
    }
    for (let i = before.commit + 1; i <= raft.commit; i++) {
      this.#ghosts.push({ type: "committed", term: raft.term, index: i, what: contentOf(raft.entryAt(i)) });
    }
  }
}

function contentOf(entry: Entry | undefined): string {
  return entry === undefined
    ? "nothing"
    : `${entry.term}${entry.type === "conf" ? "c" : ""}"${textOf(entry.data)}"`;
}

/**
 * What `m` promises and the disk does not hold, or undefined (Raft paper, figure 2: "updated before
 * responding").
 */
function undurablePromise(m: Message, disk: Disk): string | undefined {
  const { term, vote } = disk.hardState;
  const preVote = (m.type === "voteRequest" || m.type === "voteResponse") && m.pre;
  if (!preVote && m.type !== "heartbeatResponse" && m.type !== "readIndex" && m.term > term) {
    return `${m.type} of term ${m.term}, the disk has ${term}`;
  }
  if (m.type === "voteResponse" && !m.pre && m.granted && m.term === term && vote !== m.to) {
    return `a vote for ${m.to}, the disk has ${vote}`;
  }
  if (m.type === "appendResponse" && !m.rejected && m.index > disk.entries.length) {
    return `an acknowledgement of ${m.index}, the disk ends at ${disk.entries.length}`;
  }
  return undefined;
}
