/**
 * What must hold over all members after every step of the Raft test harness (Raft paper, figure 3): Election Safety,
 * Log Matching, Leader Completeness, State Machine Safety, commit and term that never fall, and that nothing is
 * promised in a message before it is on disk. The checks look only at the public view of each member and at its disk.
 */
import type { Entry, Message, Raft } from "../../src/raft/index.ts";
import type { Disk } from "./raft-disk.ts";

/** One member as the checks see it. */
export interface Checked {
  readonly id: bigint;
  readonly raft: Raft;
  readonly disk: Disk;
}

interface Committed {
  readonly entry: Entry;
  /** Term of the member at which it was first seen committed. */
  readonly inTerm: number;
}

/** A safety property does not hold. */
export class SafetyError extends Error {
  readonly property: string;
  constructor(property: string, text: string) {
    super(`${property}: ${text}`);
    this.name = "SafetyError";
    this.property = property;
  }
}

export class Checks {
  readonly #leaders = new Map<number, bigint>();
  /** By index; index 0 is unused. */
  readonly #committed: (Committed | undefined)[] = [];
  readonly #votes = new Map<string, bigint>();
  readonly #last = new Map<bigint, { term: number; commit: number }>();
  /** By member: up to where its process was compared with `#committed`. */
  readonly #checkedTo = new Map<bigint, number>();
  #maxCommitted = 0;

  /** Highest index that any member ever knew to be committed. */
  get maxCommitted(): number {
    return this.#maxCommitted;
  }

  /** Who led `term`, if anybody did. */
  leaderOf(term: number): bigint | undefined {
    return this.#leaders.get(term);
  }

  /** The member's process ended: what it had in memory may fall back to what is durable. */
  restarted(id: bigint): void {
    this.#last.delete(id);
    this.#checkedTo.delete(id);
  }

  /** After a step of one member. @param all the members whose process runs */
  after(member: Checked, all: readonly Checked[]): void {
    member.raft.checkInvariantsDeep();
    this.#monotonic(member);
    this.#electionSafety(member);
    this.#newlyCommitted(member);
    this.#logMatching(member, all);
  }

  /** Before `m` leaves `member`: what it promises must be durable there. */
  sending(member: Checked, m: Message): void {
    const { disk } = member;
    const durable = disk.hardState;
    if (m.type === "voteRequest" && !m.pre) {
      // In a later term that is durable, what was held for this one may still leave: it cannot be repeated.
      if (durable.term > m.term) return;
      this.#mustBeDurable(durable.term === m.term && durable.vote === member.id, m);
      this.#mustBeDurable(disk.lastIndex >= m.lastIndex && disk.termAt(m.lastIndex) === m.lastTerm, m);
    } else if (m.type === "voteResponse" && m.granted && !m.pre) {
      this.#mustBeDurable(durable.term > m.term || (durable.term === m.term && durable.vote === m.to), m);
      const key = `${member.id}@${m.term}`;
      const before = this.#votes.get(key);
      if (before !== undefined && before !== m.to) {
        throw new SafetyError("one vote per term", `${key} went to ${before} and to ${m.to}`);
      }
      this.#votes.set(key, m.to);
    } else if (m.type === "appendResponse") {
      this.#mustBeDurable(durable.term >= m.term, m);
      // In a later term another leader may have overwritten it since, which takes nothing from the answer.
      if (!m.rejected && durable.term === m.term) this.#mustBeDurable(disk.lastIndex >= m.index, m);
    } else if (m.type === "heartbeatResponse" && m.promised) {
      this.#mustBeDurable(durable.term >= m.term, m);
    } else if (m.type === "append" || m.type === "heartbeat") {
      this.#mustBeDurable(durable.term >= m.term, m);
    }
  }

  #mustBeDurable(durable: boolean, m: Message): void {
    if (!durable) throw new SafetyError("durable before sent", render(m));
  }

  #monotonic({ id, raft }: Checked): void {
    const last = this.#last.get(id);
    if (last !== undefined && (raft.term < last.term || raft.commit < last.commit)) {
      throw new SafetyError(
        "monotonic",
        `member ${id}: term ${last.term}->${raft.term} commit ${last.commit}->${raft.commit}`,
      );
    }
    this.#last.set(id, { term: raft.term, commit: raft.commit });
  }

  #electionSafety(member: Checked): void {
    const { id, raft } = member;
    if (raft.role !== "leader") return;
    const known = this.#leaders.get(raft.term);
    if (known === id) return;
    if (known !== undefined)
      throw new SafetyError("election safety", `term ${raft.term} has ${known} and ${id}`);
    this.#leaders.set(raft.term, id);
    this.#leaderCompleteness(member);
  }

  #leaderCompleteness({ id, raft }: Checked): void {
    for (let index = raft.firstIndex; index <= this.#maxCommitted; index++) {
      const committed = this.#committed[index];
      if (committed === undefined || committed.inTerm >= raft.term) continue;
      if (raft.termAt(index) !== committed.entry.term) {
        throw new SafetyError(
          "leader completeness",
          `leader ${id} of term ${raft.term} has term ${raft.termAt(index)} at ${index}, ` +
            `committed was term ${committed.entry.term}`,
        );
      }
    }
  }

  #newlyCommitted({ id, raft }: Checked): void {
    const from = Math.max(raft.firstIndex, (this.#checkedTo.get(id) ?? 0) + 1);
    this.#checkedTo.set(id, raft.commit);
    for (let index = from; index <= raft.commit; index++) {
      const entry = raft.entryAt(index);
      const known = this.#committed[index];
      if (entry === undefined) continue;
      if (known === undefined) {
        this.#committed[index] = { entry, inTerm: raft.term };
      } else if (!sameEntry(known.entry, entry)) {
        throw new SafetyError(
          "state machine safety",
          `member ${id} commits term ${entry.term} at ${index}, committed was term ${known.entry.term}`,
        );
      }
    }
    this.#maxCommitted = Math.max(this.#maxCommitted, raft.commit);
  }

  #logMatching(member: Checked, all: readonly Checked[]): void {
    for (const other of all) {
      if (other.id === member.id) continue;
      const [a, b] = [member.raft, other.raft];
      let agrees = false;
      const lowest = Math.max(a.firstIndex, b.firstIndex);
      for (let index = Math.min(a.lastIndex, b.lastIndex); index >= lowest; index--) {
        const [x, y] = [a.entryAt(index), b.entryAt(index)];
        if (x === undefined || y === undefined) continue;
        if (x.term === y.term) agrees = true;
        if (agrees && !sameEntry(x, y)) {
          throw new SafetyError("log matching", `members ${a.id} and ${b.id} differ at ${index}`);
        }
      }
    }
  }
}

function sameEntry(a: Entry, b: Entry): boolean {
  if (a === b) return true;
  if (a.term !== b.term || a.type !== b.type || a.data.length !== b.data.length) return false;
  return a.data.every((byte, i) => byte === b.data[i]);
}

/** A message on one line, for failures. */
export function render(m: Message): string {
  return JSON.stringify(m, (key, value) => {
    if (typeof value === "bigint") return value.toString(16);
    return key === "entries" && Array.isArray(value) ? `${value.length} entries` : value;
  });
}
