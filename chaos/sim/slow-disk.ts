/**
 * Whether a leader whose disk stands still asks another one to lead, noted from outside (DESIGN §4): when its batch is
 * out for half an election timeout and it has heard another voter lately, a transfer must be under way.
 */
import type { MemberId } from "../../src/base/index.ts";
import type { MemberStatus } from "../../src/member/types.ts";
import type { Message } from "../../src/raft/types.ts";
import { violate } from "./violation.ts";

/** The judge of one machine. Invariant: `#since` is undefined unless a batch is out. */
export class SlowDisk {
  readonly #slot: number;
  /** The machine's clock when the batch that is out was issued. */
  #since: number | undefined;
  /** It was judged for this batch: the leader tries once per stall. */
  #judged = false;
  /** The process is asked to end: then it hands over for another reason. */
  #isEnding = false;
  #term = 0;
  /** The machine's clock when a follower last answered in this term. */
  readonly #heardAt = new Map<MemberId, number>();

  constructor(slot: number) {
    this.#slot = slot;
  }

  /** A process begins. */
  began(): void {
    this.#since = undefined;
    this.#isEnding = false;
    this.#term = 0;
  }

  ending(): void {
    this.#isEnding = true;
  }

  issued(now: number): void {
    this.#since = now;
    this.#judged = false;
  }

  durable(): void {
    this.#since = undefined;
  }

  received(status: MemberStatus, message: Message, now: number): void {
    if (message.type !== "appendResponse" && message.type !== "heartbeatResponse") return;
    if (status.role !== "leader" || message.term !== status.term) return;
    if (this.#term !== status.term) this.#heardAt.clear();
    this.#term = status.term;
    this.#heardAt.set(message.from, now);
  }

  /** After every event of the member, before the batch that came out of it is issued. */
  settled(status: MemberStatus, now: number, electionTimeoutMs: number): void {
    if (this.#since === undefined || this.#judged || this.#isEnding) return;
    if (status.role !== "leader") return;
    if (now < this.#since + electionTimeoutMs / 2) return;
    this.#judged = true;
    if (status.transferee !== 0n || this.#term !== status.term) return;
    for (const id of status.conf.voters) {
      const heardAt = this.#heardAt.get(id);
      if (heardAt === undefined || now - heardAt >= electionTimeoutMs - 1) continue;
      violate(
        "slow-disk-hands-over",
        `leader ${this.#slot} of ${status.term}: its disk stands still for ${Math.floor(now - this.#since)} ms, ` +
          `it heard ${id.toString(16)} and does not hand over`,
      );
    }
  }
}
