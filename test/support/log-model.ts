/**
 * A deliberately dumb model of what a log holds, and a generator of batches that a Raft member could write. Shares no
 * code with `src/wal`: the whole history is kept in one array and nothing is ever released.
 */
import type { PersistBatch, Random, RecoveredLog } from "../../src/env/index.ts";
import type { ConfState, Entry, HardState, SnapshotMeta } from "../../src/raft/types.ts";

/** Mulberry32: small, seeded, good enough to choose test inputs. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return {
    int(lo, hi) {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = Math.imul(state ^ (state >>> 15), state | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      const unit = ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000;
      return lo + Math.floor(unit * (hi - lo));
    },
  };
}

export class LogModel {
  hardState: HardState = { term: 0, vote: 0n, commit: 0 };
  snapshot: SnapshotMeta | undefined;
  base = { index: 0, term: 0 };
  entries: Entry[] = [];

  copy(): LogModel {
    return Object.assign(new LogModel(), this, { entries: [...this.entries] });
  }

  get lastIndex(): number {
    return this.base.index + this.entries.length;
  }

  termAt(index: number): number | undefined {
    if (index === this.base.index) return this.base.term;
    return this.entries.find((entry) => entry.index === index)?.term;
  }

  apply(batch: PersistBatch): void {
    if (batch.snapshot !== undefined) {
      const { index, term } = batch.snapshot;
      if (this.termAt(index) !== term) {
        this.base = { index, term };
        this.entries = [];
      }
      this.snapshot = batch.snapshot;
    }
    for (const entry of batch.entries) {
      this.entries = this.entries.filter((known) => known.index < entry.index);
      this.entries.push(entry);
    }
    if (batch.hardState !== undefined) this.hardState = batch.hardState;
  }

  /** What differs between this and a recovered log of which the part up to `released` may be gone. */
  difference(log: RecoveredLog, released: number): string | undefined {
    const { base, entries } = log;
    const lowest = this.base.index;
    const lastIndex = base.index + entries.length;
    if (lastIndex !== this.lastIndex) return `last index ${lastIndex}, expected ${this.lastIndex}`;
    if (base.index < lowest) return `base ${base.index} below ${lowest}`;
    if (base.index > Math.max(lowest, released))
      return `base ${base.index} above what was released: ${released}`;
    if (this.termAt(base.index) !== base.term) return `term ${base.term} at base ${base.index}`;
    const expected = this.entries.slice(base.index - lowest);
    for (const [i, entry] of entries.entries()) {
      if (!isSameEntry(entry, expected[i]))
        return `entry ${i}: ${text(entry)}, expected ${text(expected[i])}`;
    }
    if (text(log.hardState) !== text(this.hardState)) return `hard state ${text(log.hardState)}`;
    if (text(log.snapshot) !== text(this.snapshot)) return `snapshot ${text(log.snapshot)}`;
    return undefined;
  }
}

function isSameEntry(a: Entry, b: Entry | undefined): boolean {
  if (b === undefined || a.index !== b.index || a.term !== b.term || a.type !== b.type) return false;
  return Buffer.compare(a.data, b.data) === 0;
}

function text(value: unknown): string {
  return JSON.stringify(value, (_key, part) => {
    if (typeof part === "bigint") return part.toString(16);
    return part instanceof Uint8Array ? Buffer.from(part).toString("base64") : part;
  });
}

/** Writes what a member could write: terms rise, only uncommitted entries are overwritten, snapshots lie ahead. */
export class BatchGenerator {
  readonly model = new LogModel();
  /** Committed and applied up to here: never overwritten, and what a release may name. */
  floor = 0;
  readonly #random: Random;
  readonly #maxData: number;
  #seq = 0;
  #term = 1;

  constructor(random: Random, maxDataBytes: number) {
    this.#random = random;
    this.#maxData = maxDataBytes;
  }

  /** The next batch, already applied to the model. */
  next(): PersistBatch {
    const kind = this.#random.int(0, 20);
    let snapshot: SnapshotMeta | undefined;
    let first = this.model.lastIndex + 1;
    if (kind === 0) {
      snapshot = this.#snapshotAhead();
      this.floor = snapshot.index;
      first = this.model.termAt(snapshot.index) === snapshot.term ? first : snapshot.index + 1;
    } else if (kind <= 3 && this.model.lastIndex > this.floor) {
      this.#term += 1;
      first = this.#random.int(this.floor + 1, this.model.lastIndex + 1);
    } else if (kind === 4) {
      this.#term += this.#random.int(1, 3);
    }
    const count = kind === 5 ? 0 : this.#random.int(snapshot === undefined ? 1 : 0, 6);
    const entries: Entry[] = [];
    for (let i = 0; i < count; i++) entries.push(this.#entry(first + i));
    const hasHardState = kind === 5 || snapshot !== undefined || this.#random.int(0, 2) === 0;
    const hardState = hasHardState ? { term: this.#term, vote: 2n, commit: this.floor } : undefined;
    this.#seq += 1;
    const batch = { seq: this.#seq, snapshot, entries, hardState };
    this.model.apply(batch);
    this.floor = this.#random.int(this.floor, this.model.lastIndex + 1);
    return batch;
  }

  #entry(index: number): Entry {
    const length = this.#random.int(0, this.#random.int(0, 8) === 0 ? this.#maxData * 8 : this.#maxData);
    // A third of the values is zeros: the case in which a fill of zeros would hide what is missing.
    const byte = this.#random.int(0, 3) === 0 ? 0 : this.#random.int(0, 256);
    const data = new Uint8Array(length).fill(byte);
    return { index, term: this.#term, type: this.#random.int(0, 10) === 0 ? "conf" : "normal", data };
  }

  #snapshotAhead(): SnapshotMeta {
    const index = this.floor + this.#random.int(1, 12);
    const known = this.model.termAt(index);
    const term = known !== undefined && this.#random.int(0, 2) === 0 ? known : this.#term;
    return { index, term, conf: someConf(this.#random.int(1, 4)) };
  }
}

/** A configuration with `voters` voters and something in every other list. */
export function someConf(voters: number): ConfState {
  const ids = Array.from({ length: voters }, (_, i) => BigInt(i + 1));
  return {
    voters: ids,
    votersOutgoing: [1n],
    learners: [0xffff_ffff_ffff_ffffn],
    learnersNext: [],
    leaseMs: 900,
  };
}
