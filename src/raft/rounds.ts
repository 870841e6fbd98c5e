/**
 * Heartbeat rounds: what the leader of one term knows about still being the leader.
 *
 * A round is one broadcast of heartbeats with a number that is unique within the term. When a quorum has answered
 * round r (or a later one), no other leader had been elected when r was sent: that is what a linearizable read needs
 * (Raft thesis §6.4), and, if the answers carry the promise, what the leader lease needs (§6.4.1, DESIGN §6). Readers
 * are tied to the *number* of a round that begins after they arrived. etcd's reused request contexts let a delayed
 * answer to an old round confirm a new one (etcd #20418); a number that only rises cannot.
 */
import { assert, LIMITS } from "../base/index.ts";
import type { MonoMs } from "../env/index.ts";

/** Rounds whose send time is remembered. An answer to an older one extends no lease. */
const REMEMBERED_ROUNDS = 64;

/** A reader that waits for a round: a local waiter, or a follower's request. */
export interface Reader {
  /** NO_MEMBER (0n): `waiter` is local. Otherwise the follower that asked. */
  readonly from: bigint;
  /** The local waiter, or the follower's requestId. */
  readonly waiter: number;
  /** The reader takes an answer that rests on the lease. */
  readonly lease: boolean;
}

interface WaitingReader {
  readonly reader: Reader;
  /** The first round that began after the reader arrived. */
  readonly round: number;
  /** The commit index when it arrived. */
  readonly index: number;
}

export class Rounds {
  /** Number of the newest round; 0: none was sent in this term. */
  #round = 0;
  /** Newest round answered by a quorum. Invariant: confirmed <= round. */
  #confirmed = 0;
  readonly #sentAt: MonoMs[] = new Array<MonoMs>(REMEMBERED_ROUNDS).fill(Number.NEGATIVE_INFINITY);
  /** Readers by arrival; their rounds ascend. */
  readonly #waiting: WaitingReader[] = [];
  /** Readers that came before an entry of this term was committed: their index is not known yet. */
  #early: Reader[] = [];
  /** Rounds below this one extend no lease: a configuration change voids it. */
  #leaseFloor = 1;
  #leaseUntil: MonoMs = Number.NEGATIVE_INFINITY;

  get round(): number {
    return this.#round;
  }
  get leaseUntil(): MonoMs {
    return this.#leaseUntil;
  }
  get pending(): number {
    return this.#waiting.length + this.#early.length;
  }

  /** Begins a round. @param now the time before its first heartbeat is sent */
  begin(now: MonoMs): number {
    this.#round++;
    this.#sentAt[this.#round % REMEMBERED_ROUNDS] = now;
    return this.#round;
  }

  /** Whether somebody waits for a round that has not begun, and none is unanswered that would begin it soon. */
  wantsRound(): boolean {
    const last = this.#waiting[this.#waiting.length - 1];
    return last !== undefined && last.round > this.#round && this.#confirmed === this.#round;
  }

  /** Adds a reader whose answer is `index` as soon as a round that begins from now on is confirmed. */
  wait(reader: Reader, index: number): void {
    this.#waiting.push({ reader, round: this.#round + 1, index });
  }

  /** Adds a reader that came before the first commit of the term. */
  waitForCommit(reader: Reader): void {
    this.#early.push(reader);
  }

  /** Hands back the readers that waited for the first commit of the term. */
  takeEarly(): Reader[] {
    const early = this.#early;
    this.#early = [];
    return early;
  }

  /** A quorum answered `round`. Returns the readers that this releases. */
  confirm(round: number): readonly { readonly reader: Reader; readonly index: number }[] {
    assert(round <= this.#round, "a round was answered that was never sent", { round, newest: this.#round });
    if (round <= this.#confirmed) return [];
    this.#confirmed = round;
    let count = 0;
    while (count < this.#waiting.length && (this.#waiting[count] as WaitingReader).round <= round) count++;
    return count === 0 ? [] : this.#waiting.splice(0, count);
  }

  /** A quorum promised `round`: the lease runs from when that round was *sent*, not from when it was answered. */
  promise(round: number, leaseMs: number): void {
    if (round < this.#leaseFloor || leaseMs === 0) return;
    if (round + REMEMBERED_ROUNDS <= this.#round) return;
    const until = (this.#sentAt[round % REMEMBERED_ROUNDS] as MonoMs) + leaseMs;
    if (until > this.#leaseUntil) this.#leaseUntil = until;
  }

  /** Ends the lease: only rounds begun after this count for the next one. */
  voidLease(): void {
    this.#leaseFloor = this.#round + 1;
    this.#leaseUntil = Number.NEGATIVE_INFINITY;
  }

  /** All of it as text, times relative to `now` (dump.ts). */
  dump(now: MonoMs): string {
    const sent: number[] = [];
    for (let round = this.#round; round > Math.max(0, this.#round - REMEMBERED_ROUNDS); round--) {
      const age = now - (this.#sentAt[round % REMEMBERED_ROUNDS] as MonoMs);
      // An older one can extend no lease that lasts.
      if (age < LIMITS.maxLeaseMs) sent.push(age);
    }
    const waiting = [...this.#waiting.map((w) => [w.reader, w.round, w.index] as const), ...this.#early];
    const readers = JSON.stringify(waiting, (_key, v: unknown) => (typeof v === "bigint" ? `${v}n` : v));
    const lease = `lease ${this.#leaseFloor} ${Math.max(0, this.#leaseUntil - now)}`;
    return `rounds ${this.#round} ${this.#confirmed} sent ${sent.join(" ")} ${lease} readers ${readers}`;
  }

  /** All that wait, for when the term ends. */
  takeAll(): Reader[] {
    const all = this.#waiting.map((w) => w.reader).concat(this.#early);
    this.#waiting.length = 0;
    this.#early = [];
    return all;
  }
}
