/**
 * How the leader sees one other member: what it has, what is on the way, and how fast to send. The transitions live
 * here and only here.
 *
 * - probe: where the logs part is not known; one append at a time.
 * - replicate: the logs agree up to `match`; appends are pipelined within the window.
 * - snapshot: the member needs entries that the log no longer has; nothing is sent until the snapshot is through.
 *
 * etcd raft: tracker/progress.go, tracker/inflights.go; Raft thesis §10.2.1 (pipelining).
 */
import { assert, fail } from "../base/index.ts";
import type { MonoMs } from "../env/index.ts";
import type { ProgressState } from "./types.ts";

export class Progress {
  state: ProgressState = "probe";
  /** Highest index known to equal the leader's log, durable at the member. Invariant: 0 <= match < next. */
  match = 0;
  /** The next index to send. */
  next: number;
  /** In probe: an append is unanswered, the next one waits for its answer or for a heartbeat's. */
  probeSent = false;
  /** In snapshot: the index of the snapshot on its way; 0 while it is not opened. */
  pendingSnapshot = 0;
  /** When anything of the current term was last heard from it; -Infinity: never. */
  heardAt: MonoMs = Number.NEGATIVE_INFINITY;
  /** Newest heartbeat round that it answered, and newest whose lease it promised. 0: none in this term. */
  ackedRound = 0;
  promisedRound = 0;
  /** Last index of each unanswered append, oldest first. Invariant: ascending, at most `window` of them. */
  readonly #inflight: number[] = [];
  readonly #window: number;

  constructor(next: number, window: number) {
    assert(next >= 1 && window >= 1, "progress starts out of range", { next, window });
    this.next = next;
    this.#window = window;
  }

  get inflight(): number {
    return this.#inflight.length;
  }

  /** Whether no append may be sent now. */
  isPaused(): boolean {
    if (this.state === "probe") return this.probeSent;
    if (this.state === "replicate") return this.#inflight.length >= this.#window;
    return true;
  }

  /** Notes that an append with `count` entries from `next` went out. */
  sent(count: number): void {
    if (this.state === "replicate") {
      if (count === 0) return;
      this.next += count;
      this.#inflight.push(this.next - 1);
    } else if (this.state === "probe") {
      this.probeSent = true;
    } else {
      fail("an append was sent to a member that waits for a snapshot", { next: this.next });
    }
  }

  /** The member has everything up to `index`. Returns whether that was news. */
  maybeMatch(index: number): boolean {
    const news = index > this.match;
    if (news) this.match = index;
    if (this.next <= index) this.next = index + 1;
    while (this.#inflight.length > 0 && (this.#inflight[0] as number) <= index) this.#inflight.shift();
    if (news || this.state === "probe") this.probeSent = false;
    return news;
  }

  /**
   * The member refused the append that followed `rejected`; what it may still share with us ends at `hint`.
   * Returns false when the answer is older than what is known: a late or repeated message must not move `next` back,
   * and never to or below `match`, which is durable there (etcd raft #149).
   */
  maybeBacktrack(rejected: number, hint: number): boolean {
    if (this.state === "replicate") {
      if (rejected <= this.match) return false;
      this.becomeProbe();
      return true;
    }
    if (this.state !== "probe" || rejected !== this.next - 1 || rejected <= this.match) return false;
    this.next = Math.max(Math.min(rejected, hint + 1), this.match + 1);
    this.probeSent = false;
    return true;
  }

  /** A heartbeat was answered: the way is open, so one more append may look what became of the others. */
  heartbeatAnswered(): void {
    this.probeSent = false;
    if (this.state === "replicate" && this.#inflight.length >= this.#window) this.#inflight.shift();
  }

  becomeProbe(): void {
    this.next = this.state === "snapshot" ? Math.max(this.match, this.pendingSnapshot) + 1 : this.match + 1;
    this.#reset("probe");
  }

  becomeReplicate(): void {
    this.next = this.match + 1;
    this.#reset("replicate");
  }

  becomeSnapshot(): void {
    this.#reset("snapshot");
  }

  /** The snapshot did not arrive: it counts for nothing. */
  snapshotFailed(): void {
    this.pendingSnapshot = 0;
  }

  /** All but the time as text (dump.ts). */
  dump(): string {
    const sent = `${this.probeSent ? "sent " : ""}inflight [${this.#inflight.join(" ")}]`;
    const rounds = `rounds ${this.ackedRound} ${this.promisedRound}`;
    return `${this.state} ${this.match}..${this.next} ${sent} snapshot ${this.pendingSnapshot} ${rounds}`;
  }

  checkInvariants(lastIndex: number): void {
    assert(this.match >= 0 && this.match < this.next, "match >= next", {
      match: this.match,
      next: this.next,
    });
    assert(this.match <= lastIndex, "match beyond the log", { match: this.match, lastIndex });
    assert(this.#inflight.length <= this.#window, "inflight window overrun", {
      inflight: this.#inflight.length,
    });
    for (let i = 1; i < this.#inflight.length; i++) {
      const [before, after] = [this.#inflight[i - 1] as number, this.#inflight[i] as number];
      assert(before < after, "inflight not ascending", { before, after });
    }
  }

  #reset(state: ProgressState): void {
    this.state = state;
    this.probeSent = false;
    this.pendingSnapshot = 0;
    this.#inflight.length = 0;
  }
}
