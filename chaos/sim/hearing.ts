/**
 * Whom a leader has heard, noted from outside, and whether it still leads although it hears no majority (Raft thesis
 * §6.2). Judged after a tick, so that a process that stood still has had its chance to look at the clock.
 */
import type { MemberStatus } from "../../src/member/types.ts";
import type { Message } from "../../src/raft/types.ts";
import { type ConfMasks, MAX_SLOTS } from "./members.ts";
import { violate } from "./violation.ts";

/** The judge of one machine. */
export class Hearing {
  readonly #self: number;
  #term = 0;
  #conf = "";
  /** By slot, the machine's own clock; a member that just came counts as heard. */
  readonly #at = new Float64Array(MAX_SLOTS);

  constructor(slot: number) {
    this.#self = slot;
  }

  /** The process is gone. */
  stopped(): void {
    this.#term = 0;
  }

  /** A message reached the machine. */
  received(from: number, status: MemberStatus, message: Message, now: number): void {
    if (message.type !== "appendResponse" && message.type !== "heartbeatResponse") return;
    if (status.role === "leader" && message.term === status.term) this.#at[from] = now;
  }

  /** After a tick. @param electionTimeoutMs of this machine; a leader checks its quorum once per heartbeat. */
  ticked(status: MemberStatus, conf: ConfMasks, now: number, electionTimeoutMs: number): void {
    if (status.role !== "leader") {
      this.#term = 0;
      return;
    }
    if (this.#term !== status.term || this.#conf !== conf.hash) this.#at.fill(now);
    this.#term = status.term;
    this.#conf = conf.hash;
    for (const voters of [conf.voters, conf.outgoing]) {
      if (voters === 0) continue;
      const silence = now - majorityHeard(this.#at, voters, this.#self, now);
      if (silence <= 2 * electionTimeoutMs) continue;
      violate(
        "leader-without-quorum",
        `member ${this.#self} leads term ${status.term} and has heard no majority for ${Math.floor(silence)} ms`,
      );
    }
  }
}

/** The latest time since which a majority of the voters has been heard; the leader hears itself. */
function majorityHeard(at: Float64Array, voters: number, self: number, now: number): number {
  const times: number[] = [];
  for (let slot = 0; slot < MAX_SLOTS; slot++) {
    if (((voters >> slot) & 1) === 1) times.push(slot === self ? now : (at[slot] as number));
  }
  times.sort((a, b) => b - a);
  return times[times.length >> 1] ?? Number.NEGATIVE_INFINITY;
}
