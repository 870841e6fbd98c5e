/**
 * Notices from outside when one of the `Sometimes` points is reached: from effects, status before and after an
 * input, and the disk. Product code has no hooks for it.
 */
import { mixHashBytes } from "../../src/base/index.ts";
import type { PersistBatch } from "../../src/env/index.ts";
import type { Effects, MemberStatus, Request } from "../../src/member/types.ts";
import type { Message } from "../../src/raft/types.ts";
import { isSerializable } from "../check/index.ts";
import type { Invariants } from "./invariants.ts";
import type { Machine } from "./machine.ts";
import type { Sometimes } from "./sometimes.ts";

/** How many forwarded proposals a leader's observer remembers, to know a repeated one. */
const MAX_PROPOSALS = 64;

/** What is remembered of one machine between its events. */
interface Seen {
  /** The term in which it sent TimeoutNow. */
  transferTerm: number;
  /** Its process has heard from a leader since it began. */
  heardLeader: boolean;
  /** Its clock when the batch that is out was handed to the disk; undefined: none is out. */
  persistSince: number | undefined;
  /** Index of a complete snapshot directory whose record is not durable. */
  directory: number | undefined;
  /** The log names a snapshot that is not loaded yet. */
  installing: boolean;
  readonly proposals: number[];
}

/** The watcher of one run. */
export class Observer {
  readonly #sometimes: Sometimes;
  readonly #invariants: Invariants;
  readonly #seen: (Seen | undefined)[] = [];
  /** Reads that a leader took after its lease had run out. */
  readonly #leaselessReads = new Set<number>();
  /** The request that is being taken right now. */
  #current: { readonly id: number; readonly request: Request } | undefined;
  #granted = false;

  constructor(sometimes: Sometimes, invariants: Invariants) {
    this.#sometimes = sometimes;
    this.#invariants = invariants;
  }

  requested(_machine: Machine, id: number, request: Request): void {
    this.#current = { id, request };
  }

  /** After every input, before its effects are carried out. */
  pumped(machine: Machine, before: MemberStatus | undefined, status: MemberStatus, effects: Effects): void {
    const seen = this.#of(machine.slot);
    if (status.leader !== 0n) seen.heardLeader = true;
    this.#granted = false;
    for (const message of effects.messages) {
      if (message.type === "timeoutNow") this.#handsOver(machine, seen, status);
      else if (message.type === "voteResponse" && message.granted) this.#granted = true;
    }
    if (effects.persist !== undefined) {
      seen.persistSince = machine.now;
      this.#persisting(machine, status, effects.persist);
    }
    const current = this.#current;
    if (current !== undefined) {
      this.#current = undefined;
      if (isLinearizableRead(current.request)) {
        this.#readTaken(machine, current.id, status, effects);
      }
    }
    for (const answer of effects.answers) {
      if (answer.type === "done" && this.#leaselessReads.delete(answer.id)) {
        this.#sometimes.reached("lease expired, quorum round used");
      }
    }
    if (before === undefined) return;
    const leads = before.role === "leader" && status.role === "leader" && before.term === status.term;
    const ended = leads && before.leaseUntil > machine.now && !(status.leaseUntil > machine.now);
    // A change voids the lease from its proposal on.
    if (ended && (before.conf !== status.conf || current?.request.type === "changeMembers")) {
      this.#sometimes.reached("lease void by configuration change");
    }
    this.#changed(machine, before, status);
  }

  /** After a peer's message was taken. */
  stepped(machine: Machine, message: Message, bytes: Uint8Array, before: MemberStatus | undefined): void {
    const { status } = machine;
    if (before === undefined || status === undefined) return;
    const seen = this.#of(machine.slot);
    if (message.type === "voteRequest") {
      const wanted = !message.transfer && message.term > before.term && message.lastIndex >= before.lastIndex;
      const withheld =
        wanted && !this.#granted && status.vote !== message.from && before.promiseUntil > machine.now;
      if (withheld && seen.heardLeader) this.#sometimes.reached("vote withheld by promise");
      else if (withheld) this.#sometimes.reached("vote withheld after restart");
    } else if (message.type === "propose" && before.role === "leader" && status.role === "leader") {
      const hash = mixHashBytes(status.term, bytes);
      if (!seen.proposals.includes(hash)) {
        seen.proposals.push(hash);
        if (seen.proposals.length > MAX_PROPOSALS) seen.proposals.shift();
      } else if (before.lastIndex === status.lastIndex) {
        this.#sometimes.reached("duplicate proposal dropped");
      }
    }
  }

  batchDurable(machine: Machine, batch: PersistBatch): void {
    const seen = this.#of(machine.slot);
    seen.persistSince = undefined;
    if (batch.snapshot === undefined) return;
    seen.directory = undefined;
    seen.installing = true;
    this.#sometimes.reached("snapshot record durable");
  }

  crashed(machine: Machine): void {
    const seen = this.#of(machine.slot);
    if (seen.directory !== undefined) this.#sometimes.reached("crash between snapshot directory and record");
    if (seen.installing) this.#sometimes.reached("crash between snapshot record and install");
    if (machine.streams.sending > 0) this.#sometimes.reached("crash while sending a snapshot");
    if (machine.streams.isReceiving) this.#sometimes.reached("crash while receiving a snapshot");
    if (machine.process?.member.kv.store.compactionPending) {
      this.#sometimes.reached("crash while deleting what was compacted");
    }
    this.#seen[machine.slot] = undefined;
  }

  fatal(_machine: Machine, reason: string): void {
    if (reason.startsWith("EIO")) this.#sometimes.reached("disk error was fatal");
    if (reason.startsWith("ENOSPC")) this.#sometimes.reached("disk full was fatal");
  }

  forgedRefused(): void {
    this.#sometimes.reached("forged message refused");
  }

  opened(machine: Machine): void {
    this.#sometimes.reached("snapshot opened");
    if (machine.streams.sending > 1) this.#sometimes.reached("two snapshots sent at once");
  }

  /** The first frame of a stream came in. */
  comes(machine: Machine): void {
    const { directory, installing } = this.#of(machine.slot);
    if (machine.streams.isReceiving || directory !== undefined || installing) {
      this.#sometimes.reached("snapshot comes while another does");
    }
  }

  streamEnded(ok: boolean): void {
    this.#sometimes.reached(ok ? "snapshot sent" : "snapshot broken");
  }

  received(machine: Machine, index: number): void {
    this.#of(machine.slot).directory = index;
    this.#sometimes.reached("snapshot received");
  }

  discarded(machine: Machine): void {
    this.#of(machine.slot).directory = undefined;
    this.#sometimes.reached("stale snapshot discarded");
  }

  installed(machine: Machine, isWatched: boolean): void {
    this.#of(machine.slot).installing = false;
    this.#sometimes.reached("snapshot installed");
    if (isWatched) this.#sometimes.reached("watcher across a snapshot");
  }

  /** A process goes on after a pause. */
  resumed(machine: Machine): void {
    const { status } = machine;
    if (status === undefined) return;
    this.#sometimes.reached("process paused");
    if (status.role !== "leader" || status.leaseUntil === Number.NEGATIVE_INFINITY) return;
    if (status.leaseUntil < machine.now) this.#sometimes.reached("leader paused past its lease");
  }

  #handsOver(machine: Machine, seen: Seen, status: MemberStatus): void {
    seen.transferTerm = status.term;
    const since = seen.persistSince;
    if (since !== undefined && machine.now - since >= machine.options.electionTimeoutMs / 2) {
      this.#sometimes.reached("slow disk hands over");
    }
  }

  #persisting(machine: Machine, status: MemberStatus, batch: PersistBatch): void {
    const { slot } = machine;
    if (batch.snapshot !== undefined) {
      if (this.#invariants.differsFromCommitted(slot, batch.snapshot.index)) {
        this.#sometimes.reached("snapshot over conflicting entries");
      }
      return;
    }
    const first = batch.entries[0];
    if (first === undefined || status.role === "leader") return;
    const old = this.#invariants.issuedTermAt(slot, first.index);
    if (old !== undefined && old !== first.term) this.#sometimes.reached("conflicting entries overwritten");
  }

  #readTaken(machine: Machine, id: number, status: MemberStatus, effects: Effects): void {
    if (status.role !== "leader") return;
    const answered = effects.answers.some((answer) => answer.id === id && answer.type === "done");
    const isAlone = status.conf.voters.length + status.conf.votersOutgoing.length === 1;
    if (isAlone) return;
    const hasLease = status.leaseUntil > machine.now;
    if (answered && hasLease) this.#sometimes.reached("lease read served");
    if (!answered && this.#invariants.maxCommitTerm < status.term) {
      this.#sometimes.reached("read waited for the new term");
    }
    if (machine.options.readMode !== "lease" || status.conf.leaseMs === 0 || hasLease || answered) return;
    this.#leaselessReads.add(id);
    if (this.#of(machine.slot).transferTerm === status.term) {
      this.#sometimes.reached("lease refused after transfer");
    }
  }

  #changed(machine: Machine, before: MemberStatus, status: MemberStatus): void {
    if (status.role === "leader" && before.role !== "leader") {
      if (before.lastIndex > this.#invariants.committed) {
        this.#sometimes.reached("leader change with uncommitted tail");
      }
      return;
    }
    if (before.conf === status.conf) return;
    const was = before.conf;
    const is = status.conf;
    if (was.votersOutgoing.length > 0 && is.votersOutgoing.length === 0) {
      this.#sometimes.reached("joint configuration left");
    }
    if (before.role === "leader" && was.voters.includes(machine.id) && !is.voters.includes(machine.id)) {
      this.#sometimes.reached("leader removed itself");
    }
    if (was.learners.some((id) => is.voters.includes(id))) this.#sometimes.reached("learner promoted");
    if (was.leaseMs !== is.leaseMs && was.voters.length > 0) this.#sometimes.reached("lease length changed");
  }

  #of(slot: number): Seen {
    const known = this.#seen[slot];
    if (known !== undefined) return known;
    const seen: Seen = {
      transferTerm: 0,
      heardLeader: false,
      persistSince: undefined,
      directory: undefined,
      installing: false,
      proposals: [],
    };
    this.#seen[slot] = seen;
    return seen;
  }
}

function isLinearizableRead(request: Request): boolean {
  return request.type === "read" && !isSerializable(request.read);
}
