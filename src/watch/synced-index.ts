/**
 * The synced watchers, found by key. Watchers of the same key or range are one group: a change is matched
 * once per group and made into bytes once, so ten thousand watchers of one key cost one look-up and ten
 * thousand pushes.
 */
import { fail } from "../base/index.ts";
import type { EncodedChange } from "./event-batch.ts";
import { RangeTree } from "./range-tree.ts";
import type { WatchedRange, Watcher } from "./watcher.ts";

export interface WatchGroup {
  readonly range: WatchedRange;
  /** In no particular order. Invariant: members[i].place === i. */
  readonly members: Watcher[];
  /** Changes of the revision that is being told; empty between two revisions. */
  pending: EncodedChange[];
}

export class SyncedIndex {
  readonly #keys = new Map<string, WatchGroup>();
  readonly #ranges = new RangeTree<WatchGroup>();
  #size = 0;

  /** Number of watchers. */
  get size(): number {
    return this.#size;
  }

  add(watcher: Watcher): void {
    const { range } = watcher;
    let group = this.#groupOf(range);
    if (group === undefined) {
      group = { range, members: [], pending: [] };
      if (range.end === "") this.#keys.set(range.start, group);
      else this.#ranges.add(range.start, range.end, group);
    }
    watcher.place = group.members.length;
    group.members.push(watcher);
    this.#size++;
  }

  /**
   * The last member of the group takes the place, so whoever walks over members goes from the last to the
   * first.
   */
  remove(watcher: Watcher): void {
    const { range, place } = watcher;
    const group = this.#groupOf(range);
    if (group?.members[place] !== watcher) fail("watcher is not in the index", { id: watcher.id });
    const last = group.members.pop() as Watcher;
    if (last !== watcher) {
      group.members[place] = last;
      last.place = place;
    }
    this.#size--;
    if (group.members.length > 0) return;
    if (range.end === "") this.#keys.delete(range.start);
    else this.#ranges.remove(range.start, range.end);
  }

  /** Appends the groups whose range holds the key. */
  find(key: string, into: WatchGroup[]): void {
    const group = this.#keys.get(key);
    if (group !== undefined) into.push(group);
    if (this.#ranges.size > 0) this.#ranges.find(key, into);
  }

  /** Takes everybody out; returns them in an order that depends on nothing but the calls before. */
  clear(): Watcher[] {
    const all = this.#all();
    this.#keys.clear();
    this.#ranges.clear();
    this.#size = 0;
    return all;
  }

  /** @throws AssertionError */
  checkInvariants(): void {
    this.#ranges.checkInvariants();
    const all = this.#all();
    if (all.length !== this.#size) fail("size differs", { is: all.length, size: this.#size });
    for (const watcher of all) {
      const group = this.#groupOf(watcher.range);
      const isPlaced = group?.members[watcher.place] === watcher && group.pending.length === 0;
      if (!isPlaced || watcher.state !== "synced") fail("misplaced watcher", { id: watcher.id });
    }
  }

  #groupOf({ start, end }: WatchedRange): WatchGroup | undefined {
    return end === "" ? this.#keys.get(start) : this.#ranges.get(start, end);
  }

  #all(): Watcher[] {
    const groups = [...this.#keys.values()];
    this.#ranges.each((group) => groups.push(group));
    return groups.flatMap((group) => group.members);
  }
}
