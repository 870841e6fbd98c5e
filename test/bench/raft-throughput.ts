/**
 * What the consensus core does by itself: three members in one process, a log in memory, 256 B entries, batches as
 * they come. No disk, no network, no state machine; with or without the codec between the members.
 *
 * An entry counts when *all three* members have handed it out as committed, so nothing is left behind unfinished.
 */
import type { MemberId } from "../../src/base/index.ts";
import { decodeMessage, encodeMessage } from "../../src/pb/index.ts";
import { changeConf, EMPTY_CONF, type Message, type ProposedEntry, Raft } from "../../src/raft/index.ts";

const IDS: readonly MemberId[] = [1n, 2n, 3n];
/** Entries proposed and not yet applied everywhere, at most. */
const WINDOW = 10_000;
/** Entries per call of `propose`: what a server gathers in one turn of its event loop. */
const PER_PROPOSAL = 100;
/** The log is cut this far behind what is applied. */
const KEPT = 5_000;

export interface ThroughputOptions {
  /** Entries to commit. */
  readonly entries: number;
  readonly entryBytes: number;
  /** Encode and decode every message, as between processes. */
  readonly codec: boolean;
}

/** Commits and applies the entries on all members; returns how many each of them handed out, without no-ops. */
export function commitEntries(options: ThroughputOptions): number[] {
  const cluster = new Cluster(options.codec);
  const leader = cluster.elect();
  const entry: ProposedEntry = { type: "normal", data: new Uint8Array(options.entryBytes).fill(7) };
  let proposed = 0;
  while (proposed < options.entries || cluster.lowest() < options.entries) {
    while (proposed < options.entries && proposed - cluster.lowest() < WINDOW) {
      const count = Math.min(PER_PROPOSAL, options.entries - proposed);
      const result = leader.propose(cluster.now, new Array<ProposedEntry>(count).fill(entry));
      if (result.type === "dropped") break;
      proposed += count;
    }
    cluster.turn();
  }
  return cluster.applied();
}

class Cluster {
  now = 0;
  readonly #rafts = new Map<MemberId, Raft>();
  readonly #applied = new Map<MemberId, number>();
  readonly #codec: boolean;

  constructor(codec: boolean) {
    this.#codec = codec;
    const steps = IDS.map((id) => ({ type: "addVoter", id }) as const);
    const result = changeConf(EMPTY_CONF, { joint: false, steps, leaseMs: undefined });
    if (result.type === "refused") throw new Error(result.reason);
    let chance = 1;
    const random = {
      int(lo: number, hi: number): number {
        chance = (Math.imul(chance, 1664525) + 1013904223) >>> 0;
        return lo + (chance % (hi - lo));
      },
    };
    for (const id of IDS) {
      const options = {
        id,
        electionTimeoutMs: 1000,
        heartbeatMs: 100,
        leaseReads: false,
        maxInflightMessages: 256,
        maxAppendBytes: 1024 * 1024,
        maxUncommittedBytes: 64 * 1024 * 1024,
        maxPendingReads: 1,
      };
      const start = {
        hardState: { term: 1, vote: 0n, commit: 1 },
        base: { index: 1, term: 1 },
        entries: [],
        applied: 1,
        conf: result.conf,
        longestLeaseMs: 0,
      };
      this.#rafts.set(id, new Raft(options, start, { random, now: 0 }));
      this.#applied.set(id, 0);
    }
  }

  elect(): Raft {
    for (;;) {
      this.now += 50;
      for (const raft of this.#rafts.values()) raft.tick(this.now);
      this.turn();
      for (const raft of this.#rafts.values()) if (raft.role === "leader") return raft;
    }
  }

  /** One turn of everybody: persist, send, apply. */
  turn(): void {
    for (const [id, raft] of this.#rafts) {
      if (raft.takeBatch() !== undefined) raft.persisted(this.now);
      for (const message of raft.takeMessages()) this.#deliver(message);
      let count = 0;
      for (let entries = take(raft); entries.length > 0; entries = take(raft)) {
        for (const entry of entries) if (entry.data.length > 0) count++;
        const last = entries[entries.length - 1];
        if (last !== undefined) raft.appliedTo(this.now, last.index);
      }
      this.#applied.set(id, (this.#applied.get(id) ?? 0) + count);
      if (raft.applied - raft.firstIndex > 2 * KEPT) raft.compact(raft.applied - KEPT);
    }
  }

  applied(): number[] {
    return [...this.#applied.values()];
  }

  lowest(): number {
    return Math.min(...this.#applied.values());
  }

  #deliver(message: Message): void {
    let arriving = message;
    if (this.#codec) {
      const decoded = decodeMessage(encodeMessage(message));
      if (decoded.type === "refused") throw new Error(decoded.reason);
      arriving = decoded.value;
    }
    const result = this.#rafts.get(message.to)?.step(this.now, arriving);
    if (result?.type !== "ok") throw new Error(result?.reason ?? "no such member");
  }
}

function take(raft: Raft) {
  return raft.takeCommitted(4096, 64 * 1024 * 1024);
}
