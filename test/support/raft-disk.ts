/**
 * What a member of the Raft test harness has on disk, and the small deterministic pieces that the harness needs beside
 * it: a codec for configuration changes and a seeded generator. Own codec on purpose: tests of the core must not fail
 * because the wire format is broken.
 */
import { bytesOf, textOf } from "../../src/base/index.ts";
import type { Random } from "../../src/env/index.ts";
import {
  type ConfChange,
  type ConfChangeStep,
  type ConfState,
  changeConf,
  type Entry,
  type HardState,
  isJoint,
  type RaftBatch,
  type RaftStart,
} from "../../src/raft/index.ts";

/** `change` as bytes; `conf` entries with empty data leave the joint configuration. */
export function encodeChange(change: ConfChange): Uint8Array {
  const steps = change.steps.map((step) => [step.type, step.id.toString(16)]);
  return bytesOf(JSON.stringify({ joint: change.joint, steps, leaseMs: change.leaseMs }));
}

/** Inverse of `encodeChange`. */
export function decodeChange(data: Uint8Array): ConfChange {
  if (data.length === 0) return { joint: true, steps: [], leaseMs: undefined };
  const raw: { joint: boolean; steps: [ConfChangeStep["type"], string][]; leaseMs?: number } = JSON.parse(
    textOf(data),
  );
  return {
    joint: raw.joint,
    steps: raw.steps.map(([type, id]) => ({ type, id: BigInt(`0x${id}`) })),
    leaseMs: raw.leaseMs,
  };
}

/** A generator from a seed (splitmix32). */
export function seededRandom(seed: number): Random {
  let state = seed | 0;
  return {
    int(lo, hi) {
      state = (state + 0x9e3779b9) | 0;
      let z = state ^ (state >>> 16);
      z = Math.imul(z, 0x21f0aaad);
      z ^= z >>> 15;
      z = Math.imul(z, 0x735a2d97);
      z ^= z >>> 15;
      return lo + ((z >>> 0) % (hi - lo));
    },
  };
}

/** The replicated state of the harness: every non-empty normal entry's text, in order, and the configuration. */
export interface NetState {
  readonly index: number;
  readonly term: number;
  readonly conf: ConfState;
  readonly values: readonly string[];
}

/** The durable past of one member. The state is durable at `base` only; the rest is replayed from the log. */
export class Disk {
  hardState: HardState = { term: 0, vote: 0n, commit: 0 };
  /** The state that the log begins after. */
  base: NetState;
  entries: Entry[] = [];

  constructor(base: NetState) {
    this.base = base;
  }

  get lastIndex(): number {
    return this.base.index + this.entries.length;
  }

  termAt(index: number): number | undefined {
    if (index === this.base.index) return this.base.term;
    return index < this.base.index ? undefined : this.entries[index - this.base.index - 1]?.term;
  }

  /** @param received the state that a snapshot record in the batch names */
  write(batch: RaftBatch, received: NetState | undefined): void {
    if (batch.snapshot !== undefined) {
      if (received?.index !== batch.snapshot.index) throw new Error("a snapshot record without its state");
      this.base = received;
      this.entries = [];
    }
    const first = batch.entries[0];
    if (first !== undefined) {
      this.entries.length = first.index - this.base.index - 1;
      this.entries.push(...batch.entries);
    }
    if (batch.hardState !== undefined) this.hardState = batch.hardState;
  }

  /** Moves the base forward to `index`, as a durable state with a cut log does. */
  compact(index: number): void {
    if (index <= this.base.index) return;
    const count = index - this.base.index;
    this.base = replay(this.base, this.entries.slice(0, count));
    this.entries = this.entries.slice(count);
  }

  /** What a process starts from. */
  start(): RaftStart {
    let longestLeaseMs = this.base.conf.leaseMs;
    for (const entry of this.entries) {
      if (entry.type !== "conf") continue;
      longestLeaseMs = Math.max(longestLeaseMs, decodeChange(entry.data).leaseMs ?? 0);
    }
    return {
      hardState: this.hardState,
      base: { index: this.base.index, term: this.base.term },
      entries: this.entries.slice(),
      applied: this.base.index,
      conf: this.base.conf,
      longestLeaseMs,
    };
  }
}

/** What `entries` make of `state`. */
export function replay(state: NetState, entries: readonly Entry[]): NetState {
  let { index, term, conf } = state;
  const values = state.values.slice();
  for (const entry of entries) {
    index = entry.index;
    term = entry.term;
    if (entry.type === "conf") {
      const result = changeConf(conf, decodeChange(entry.data));
      if (result.type === "ok") conf = result.conf;
    } else if (entry.data.length > 0) {
      values.push(textOf(entry.data));
    }
  }
  return { index, term, conf, values };
}

/** `{1 2 3}`, joint `{1 2 4|1 2 3}`, learners after a semicolon: for messages of failed checks and for tests. */
export function showConf(conf: ConfState): string {
  const half = (ids: readonly bigint[]) => ids.map((id) => id.toString(16)).join(" ");
  const outgoing = isJoint(conf) ? `|${half(conf.votersOutgoing)}` : "";
  const learners = conf.learners.length > 0 ? `; ${half(conf.learners)}` : "";
  const next = conf.learnersNext.length > 0 ? `; next ${half(conf.learnersNext)}` : "";
  return `{${half(conf.voters)}${outgoing}${learners}${next}}`;
}
