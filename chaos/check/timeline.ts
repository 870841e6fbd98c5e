/**
 * What the store was after each step of the order: revision, floor, leases. A *position* p is the moment
 * after p steps, from 0; the keys at a position are those of its revision, which the model remembers.
 */

import type { Model, ModelView } from "./model.ts";
import type { Step } from "./order.ts";

export class Timeline {
  readonly steps: Step[] = [];
  /** Revision by position. */
  readonly #revisions: number[] = [1];
  /** First position by revision. */
  readonly #starts: number[] = [0, 0];
  /** Positions at which the floor rose, and to what; both ascending. */
  readonly #floorPositions: number[] = [0];
  readonly #floors: number[] = [-1];
  /** By lease: positions from which on it is there, is gone, is there again, ... */
  readonly #leases = new Map<bigint, number[]>();

  /** The position after the last step. */
  get end(): number {
    return this.steps.length;
  }

  get lastRevision(): number {
    return this.#revisions.at(-1) ?? 1;
  }

  /** Notes a step that was just executed on the model. */
  add(step: Step, model: Model): void {
    this.steps.push(step);
    const position = this.steps.length;
    if (model.revision !== this.lastRevision) this.#starts[model.revision] = position;
    this.#revisions.push(model.revision);
    if (model.compactRevision !== this.#floors.at(-1)) {
      this.#floorPositions.push(position);
      this.#floors.push(model.compactRevision);
    }
    const { request } = step;
    if (request.type === "leaseGrant" || request.type === "leaseRevoke") {
      const turns = this.#leases.get(request.id) ?? [];
      const isThere = turns.length % 2 === 1;
      if (model.hasLease(request.id) !== isThere) turns.push(position);
      this.#leases.set(request.id, turns);
    }
  }

  revisionAt(position: number): number {
    return this.#revisions[position] ?? 1;
  }

  /** The first position with a revision; undefined: no position has it. */
  startOf(revision: number): number | undefined {
    return this.#starts[revision];
  }

  /** The last position with a revision that there is. */
  endOf(revision: number): number {
    const next = this.#starts[revision + 1];
    return next === undefined ? this.end : next - 1;
  }

  floorAt(position: number): number {
    return this.#floors[lastAtOrBelow(this.#floorPositions, position)] ?? -1;
  }

  /** The first position at which a revision is below the floor; undefined: it never is. */
  compactedFrom(revision: number): number | undefined {
    const at = lastAtOrBelow(this.#floors, revision) + 1;
    return this.#floorPositions[at];
  }

  hasLease(id: bigint, position: number): boolean {
    return (lastAtOrBelow(this.#leases.get(id) ?? [], position) + 1) % 2 === 1;
  }

  /** All leases at a position, in order of ID. */
  leasesAt(position: number): readonly bigint[] {
    const ids = [...this.#leases.keys()].filter((id) => this.hasLease(id, position));
    return ids.sort((a, b) => (a < b ? -1 : 1));
  }

  /** Whether a lease that is there at a position is gone at a later one. */
  losesLease(id: bigint, position: number): boolean {
    const turns = this.#leases.get(id) ?? [];
    const at = lastAtOrBelow(turns, position) + 1;
    return at % 2 === 1 && at < turns.length;
  }

  view(position: number): ModelView {
    return {
      revision: this.revisionAt(position),
      compactRevision: this.floorAt(position),
      hasLease: (id) => this.hasLease(id, position),
    };
  }
}

/** Index of the last item <= `value` of an ascending list, or -1. */
export function lastAtOrBelow(list: readonly number[], value: number): number {
  let lo = 0;
  let hi = list.length;
  while (lo < hi) {
    const middle = (lo + hi) >> 1;
    if ((list[middle] as number) <= value) lo = middle + 1;
    else hi = middle;
  }
  return lo - 1;
}
