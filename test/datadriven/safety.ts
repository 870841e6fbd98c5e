/**
 * What must hold whatever a story does, checked after every input to any member. It watches members only from
 * outside: roles, logs, commit indexes and what was applied.
 */
import { textOf } from "../../src/base/index.ts";
import type { Entry, Raft } from "../../src/raft/index.ts";

export class Safety {
  readonly #leaders = new Map<number, bigint>();
  /** Index -> term of what some member knew to be committed. */
  readonly #committed = new Map<number, number>();
  /** Index -> what some member applied there. */
  readonly #applied = new Map<number, string>();

  /** @throws Error naming the property of the Raft paper's figure 3 that does not hold */
  check(members: readonly Raft[]): void {
    for (const raft of members) {
      raft.checkInvariantsDeep();
      for (let i = raft.firstIndex; i <= raft.commit; i++) this.#noteCommitted(raft, i);
    }
    for (const raft of members) if (raft.role === "leader") this.#checkLeader(raft);
    for (const a of members) for (const b of members) if (a.id < b.id) checkLogMatching(a, b);
  }

  /** State Machine Safety: nobody applies another entry at the same index. */
  applied(raft: Raft, entry: Entry): void {
    const what = `term ${entry.term} ${entry.type} "${textOf(entry.data)}"`;
    const before = this.#applied.get(entry.index);
    if (before === undefined) this.#applied.set(entry.index, what);
    else if (before !== what) {
      throw new Error(
        `State Machine Safety: ${raft.id} applies ${what} at ${entry.index}, another applied ${before}`,
      );
    }
  }

  #noteCommitted(raft: Raft, index: number): void {
    const term = raft.termAt(index);
    if (term === undefined) return;
    const known = this.#committed.get(index);
    if (known === undefined) this.#committed.set(index, term);
    else if (known !== term) {
      throw new Error(`${raft.id} commits term ${term} at ${index}, where term ${known} was committed`);
    }
  }

  #checkLeader(raft: Raft): void {
    const known = this.#leaders.get(raft.term);
    if (known === undefined) this.#leaders.set(raft.term, raft.id);
    else if (known !== raft.id) {
      throw new Error(`Election Safety: ${known} and ${raft.id} lead term ${raft.term}`);
    }
    // A leader that others have outlived need not have what they committed after it.
    if (Math.max(...this.#leaders.keys()) > raft.term) return;
    for (const [index, term] of this.#committed) {
      if (index < raft.firstIndex || raft.termAt(index) === term) continue;
      throw new Error(`Leader Completeness: ${raft.id} leads term ${raft.term} without ${index}/${term}`);
    }
  }
}

function checkLogMatching(a: Raft, b: Raft): void {
  let same = false;
  const lo = Math.max(a.firstIndex, b.firstIndex);
  for (let i = Math.min(a.lastIndex, b.lastIndex); i >= lo; i--) {
    const equal = a.termAt(i) === b.termAt(i);
    if (same && !equal) throw new Error(`Log Matching: ${a.id} and ${b.id} agree after ${i}, but not at it`);
    same = equal;
  }
}
