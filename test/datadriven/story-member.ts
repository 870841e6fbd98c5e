/**
 * One member of a story: the consensus core, and a disk that holds just what was reported durable. Applied
 * state is a list of contents, durable as soon as it is applied, so a restart resumes behind it.
 */
import type { MemberId } from "../../src/base/index.ts";
import { NO_MEMBER, textOf } from "../../src/base/index.ts";
import {
  type ConfState,
  EMPTY_CONF,
  type Entry,
  type HardState,
  Raft,
  type RaftBatch,
  type RaftOptions,
  type SnapshotMeta,
} from "../../src/raft/index.ts";
import { parseChange } from "./words.ts";

/** The state that a snapshot carries and that a restart finds. */
export interface StoredState {
  readonly index: number;
  readonly term: number;
  readonly conf: ConfState;
}

interface Disk {
  hardState: HardState;
  base: { readonly index: number; readonly term: number };
  entries: Entry[];
  state: StoredState;
}

/** Always the lower end: the stories choose who campaigns by name, not by chance. */
const LOWEST = { int: (lo: number): number => lo };

export class StoryMember {
  readonly id: MemberId;
  readonly disk: Disk;
  /** Undefined while crashed. */
  raft: Raft | undefined;
  /** A batch taken and not durable. */
  batch: RaftBatch | undefined;
  /** A batch waits for the directive `persist`, and entries for `apply`. */
  manualPersist = false;
  manualApply = false;
  readonly #options: RaftOptions;

  constructor(options: RaftOptions, disk: Disk, now: number) {
    this.id = options.id;
    this.#options = options;
    this.disk = disk;
    this.start(now);
  }

  /** The running core. @throws Error while crashed */
  get live(): Raft {
    if (this.raft === undefined) throw new Error(`member ${this.id} is down`);
    return this.raft;
  }

  /** Starts from what the disk holds. */
  start(now: number): void {
    const { hardState, base, entries, state } = this.disk;
    let longestLeaseMs = state.conf.leaseMs;
    for (const entry of entries) {
      if (entry.type !== "conf") continue;
      longestLeaseMs = Math.max(longestLeaseMs, parseChange(textOf(entry.data)).leaseMs ?? 0);
    }
    this.raft = new Raft(
      this.#options,
      { hardState, base, entries, applied: state.index, conf: state.conf, longestLeaseMs },
      { random: LOWEST, now },
    );
  }

  /** Forgets everything that is not on the disk. */
  crash(): void {
    this.raft = undefined;
    this.batch = undefined;
  }

  /** The batch that is out reaches the disk. Returns the snapshot that it made current, if any. */
  persist(now: number): SnapshotMeta | undefined {
    const batch = this.batch;
    if (batch === undefined) throw new Error(`member ${this.id} has no batch on its way to the disk`);
    this.batch = undefined;
    const { disk } = this;
    if (batch.snapshot !== undefined) {
      disk.base = { index: batch.snapshot.index, term: batch.snapshot.term };
      disk.entries = [];
      disk.state = batch.snapshot;
    }
    const first = batch.entries[0];
    if (first !== undefined) {
      disk.entries.length = first.index - disk.base.index - 1;
      disk.entries.push(...batch.entries);
    }
    if (batch.hardState !== undefined) disk.hardState = batch.hardState;
    this.live.persisted(now);
    return batch.snapshot;
  }

  /** Notes that the state contains `entry`. */
  applied(entry: Entry): void {
    this.disk.state = { index: entry.index, term: entry.term, conf: this.live.conf };
  }

  /** Drops the log up to and with `index`, in memory and on disk. */
  compact(index: number): void {
    this.live.compact(index);
    const { disk } = this;
    const last = disk.entries[index - disk.base.index - 1];
    if (last === undefined) throw new Error(`the disk of ${this.id} has no entry ${index}`);
    disk.entries = disk.entries.slice(index - disk.base.index);
    disk.base = { index, term: last.term };
  }
}

/** The disk of a member that joins: nothing at all. */
export function emptyDisk(): Disk {
  return {
    hardState: { term: 0, vote: NO_MEMBER, commit: 0 },
    base: { index: 0, term: 0 },
    entries: [],
    state: { index: 0, term: 0, conf: EMPTY_CONF },
  };
}

/** The disk of a member whose log is `entries`, of which the first `commit` are committed and applied. */
export function seededDisk(start: {
  entries: readonly Entry[];
  term: number;
  commit: number;
  conf: ConfState;
}): Disk {
  const term = start.entries[start.commit - 1]?.term ?? 0;
  return {
    hardState: { term: start.term, vote: NO_MEMBER, commit: start.commit },
    base: { index: 0, term: 0 },
    entries: [...start.entries],
    state: { index: start.commit, term, conf: start.conf },
  };
}
