/**
 * One member alone, for tests that put a single question to the core: messages in, messages out. The other members
 * exist only in its configuration. Its disk is immediate unless the test asks otherwise.
 */
import {
  type ConfState,
  EMPTY_CONF,
  type Entry,
  type Message,
  Raft,
  type RaftOptions,
  type StepResult,
} from "../../src/raft/index.ts";
import { decodeChange, seededRandom } from "./raft-disk.ts";
import { DEFAULT_RAFT } from "./raft-net.ts";

export interface SoloOptions {
  readonly id?: number;
  /** Default 1, 2, 3. */
  readonly voters?: readonly number[];
  readonly conf?: Partial<ConfState>;
  readonly term?: number;
  readonly vote?: number;
  /** Terms of the entries 1, 2, ... Default: one entry of term 1. */
  readonly log?: readonly number[];
  readonly commit?: number;
  readonly leaseMs?: number;
  /** What the member may have promised before it stopped. Default 0, so that a test need not wait. */
  readonly longestLeaseMs?: number;
  readonly raft?: Partial<Omit<RaftOptions, "id">>;
  readonly manualPersist?: boolean;
  readonly now?: number;
}

/** Distributes over the union, so that each kind of message keeps its own fields. */
type Addressed<M> = M extends Message ? Omit<M, "to" | "from"> & { from?: bigint; to?: bigint } : never;

/** A message to the solo member; `from` defaults to 2. */
export type Incoming = Addressed<Message>;

export class Solo {
  readonly raft: Raft;
  now: number;
  #sent: Message[] = [];
  readonly #manual: boolean;

  constructor(options: SoloOptions = {}) {
    const terms = options.log ?? [1];
    const entries = terms.map((term, i): Entry => entryOf(i + 1, term));
    const commit = options.commit ?? 0;
    const voters = (options.voters ?? [1, 2, 3]).map(BigInt);
    const conf: ConfState = { ...EMPTY_CONF, voters, leaseMs: options.leaseMs ?? 0, ...options.conf };
    this.now = options.now ?? 0;
    this.#manual = options.manualPersist ?? false;
    this.raft = new Raft(
      { ...DEFAULT_RAFT, id: BigInt(options.id ?? 1), ...options.raft },
      {
        hardState: {
          term: options.term ?? terms[terms.length - 1] ?? 0,
          vote: BigInt(options.vote ?? 0),
          commit,
        },
        base: { index: 0, term: 0 },
        entries,
        applied: 0,
        conf,
        longestLeaseMs: options.longestLeaseMs ?? 0,
      },
      { random: seededRandom(7), now: this.now },
    );
    this.pump();
  }

  step(message: Incoming): StepResult {
    const whole: Message = { from: 2n, to: this.raft.id, ...message };
    const result = this.raft.step(this.now, whole);
    this.pump();
    return result;
  }

  /** As `step`, and it must be taken. Returns what is sent because of it. */
  answer(message: Incoming): Message[] {
    this.#sent = [];
    const result = this.step(message);
    if (result.type !== "ok") throw new Error(`refused: ${result.reason}`);
    return this.sent();
  }

  /** Time passes to `ms` later, with one tick at the end. */
  tick(ms: number): void {
    this.now += ms;
    this.raft.tick(this.now);
    this.pump();
  }

  /** The election timeout fires. */
  timeout(): void {
    this.tick(Math.max(0, this.raft.nextWake() - this.now));
  }

  /** Wins an election by the votes of everybody else. */
  lead(): void {
    this.stand();
    for (const from of this.#others())
      this.step({ type: "voteResponse", from, term: this.raft.term, pre: false, granted: true });
    if (this.raft.role !== "leader") throw new Error("not elected");
    this.#sent = [];
  }

  /** Passes the pre-vote and stands for election. */
  stand(): void {
    this.timeout();
    for (const from of this.#others())
      if (this.raft.role === "preCandidate")
        this.step({ type: "voteResponse", from, term: this.raft.term + 1, pre: true, granted: true });
  }

  /** What was sent since the last call. */
  sent(): Message[] {
    const sent = this.#sent;
    this.#sent = [];
    return sent;
  }

  /** Makes one batch durable. Returns whether there was one. */
  persist(): boolean {
    if (this.raft.takeBatch() === undefined) return false;
    this.raft.persisted(this.now);
    this.pump();
    return true;
  }

  terms(): number[] {
    const terms: number[] = [];
    for (let i = this.raft.firstIndex; i <= this.raft.lastIndex; i++) terms.push(this.raft.termAt(i) ?? 0);
    return terms;
  }

  /** Runs the effects; for after a call on `raft` itself. */
  pump(): void {
    do {
      for (const entry of this.raft.takeCommitted(1000, 1 << 20)) {
        if (entry.type === "conf") this.raft.applyConfChange(this.now, entry.index, decodeChange(entry.data));
        this.raft.appliedTo(this.now, entry.index);
      }
      this.#sent.push(...this.raft.takeMessages());
    } while (!this.#manual && this.#persistOne());
    this.raft.checkInvariantsDeep();
  }

  #persistOne(): boolean {
    if (this.raft.takeBatch() === undefined) return false;
    this.raft.persisted(this.now);
    return true;
  }

  #others(): bigint[] {
    const { voters, votersOutgoing } = this.raft.conf;
    return [...new Set([...voters, ...votersOutgoing])].filter((id) => id !== this.raft.id);
  }
}

/** A normal entry whose text is `<index>.<term>`. */
export function entryOf(index: number, term: number): Entry {
  return { index, term, type: "normal", data: Buffer.from(`${index}.${term}`) };
}

/** Entries `lo`, `lo` + 1, ... with these terms. */
export function entriesFrom(lo: number, terms: readonly number[]): Entry[] {
  return terms.map((term, i) => entryOf(lo + i, term));
}
