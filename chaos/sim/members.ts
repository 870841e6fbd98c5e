/** Sets of machines as bit masks, and majorities over them. A machine is its slot, 0-based, at most 30. */
import type { MemberId } from "../../src/base/index.ts";
import type { ConfState } from "../../src/raft/types.ts";
import { violate } from "./violation.ts";

/** Machines that one run can have at most: bits of a non-negative 32-bit integer. */
export const MAX_SLOTS = 30;

/** Where a member listens for its peers at first. */
export function addressOf(id: MemberId): string {
  return `http://${id.toString(16)}:2380`;
}

/** An address that several members are told to use, of whom one may. */
export const ADDRESS_OF_ALL = "http://all:2380";

/** A configuration as masks of slots. Invariant: voters is never 0 once a cluster was bootstrapped. */
export interface ConfMasks {
  readonly conf: ConfState;
  readonly voters: number;
  readonly outgoing: number;
  readonly learners: number;
  readonly hash: string;
}

/** Which machine carries a member identity, for all that ever were. */
export class Roster {
  readonly #slots = new Map<MemberId, number>();

  add(id: MemberId, slot: number): void {
    this.#slots.set(id, slot);
  }

  /** -1 for an identity that was never given out. */
  slotOf(id: MemberId): number {
    return this.#slots.get(id) ?? -1;
  }

  masksOf(conf: ConfState): ConfMasks {
    const parts = [conf.voters, conf.votersOutgoing, conf.learners, conf.learnersNext];
    return {
      conf,
      voters: this.maskOf(conf.voters),
      outgoing: this.maskOf(conf.votersOutgoing),
      learners: this.maskOf(conf.learners) | this.maskOf(conf.learnersNext),
      hash: `${parts.map((ids) => ids.map((id) => this.slotOf(id)).join(",")).join("/")}/${conf.leaseMs}`,
    };
  }

  maskOf(ids: readonly MemberId[]): number {
    let mask = 0;
    for (const id of ids) {
      const slot = this.slotOf(id);
      if (slot < 0) violate("configuration-equality", `configuration names a stranger: ${id.toString(16)}`);
      mask |= 1 << slot;
    }
    return mask;
  }
}

/** Number of bits. */
export function countBits(mask: number): number {
  let bits = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) bits++;
  return bits;
}

/** Whether `set` holds a majority of `of`; an empty half of a joint configuration is satisfied by anybody. */
export function isMajority(set: number, of: number): boolean {
  return of === 0 || countBits(set & of) * 2 > countBits(of);
}

/** Whether `set` can decide in this configuration: a majority of each half. */
export function isQuorum(set: number, conf: ConfMasks): boolean {
  return conf.voters !== 0 && isMajority(set, conf.voters) && isMajority(set, conf.outgoing);
}

/** Whether every quorum of one configuration meets every quorum of the other: by trying all subsets. */
export function quorumsOverlap(a: ConfMasks, b: ConfMasks): boolean {
  const all = a.voters | a.outgoing | b.voters | b.outgoing;
  for (let set = all; ; set = (set - 1) & all) {
    if (isQuorum(set, a) && isQuorum(all & ~set, b)) return false;
    if (set === 0) return true;
  }
}
