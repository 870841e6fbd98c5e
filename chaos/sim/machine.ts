/**
 * One machine with its disk, clock and (while it runs) one member process: the simulator's counterpart of `server/`.
 * It gives the member its inputs, with `now` sampled when the process gets to them, and carries out its effects.
 *
 * The log is executed operation by operation on the simulated disk, by the real `wal/`; messages leave as bytes of
 * the real codec. Nothing here knows what a correct member does: that is the judges' business.
 */
import type { MemberId } from "../../src/base/index.ts";
import type { BackendBatch, FileOp, PersistBatch } from "../../src/env/index.ts";
import type { Member } from "../../src/member/index.ts";
import type { Answer, Effects, MemberOptions, MemberStatus, Request } from "../../src/member/types.ts";
import { decodeMessage, encodeMessage, type RequestId } from "../../src/pb/index.ts";
import type { Message } from "../../src/raft/types.ts";
import type { Wal } from "../../src/wal/index.ts";
import type { BackendDisk } from "./backend-disk.ts";
import type { MemberClock } from "./clock.ts";
import type { CrashKind, SimDisk } from "./disk.ts";
import { DAMAGED, IMPOSSIBLE } from "./garbage.ts";
import { Hearing } from "./hearing.ts";
import type { Invariants } from "./invariants.ts";
import type { Roster } from "./members.ts";
import type { Network } from "./network.ts";
import type { Observer } from "./observer.ts";
import type { EventQueue, LogDoneEvent, MessageEvent, SimEvent, WakeEvent } from "./scheduler.ts";
import { SlowDisk } from "./slow-disk.ts";
import type { SnapshotPort } from "./streams.ts";
import { formatTime, type Trace } from "./trace.ts";
import { violate } from "./violation.ts";

/** A paused process cannot take more than its sockets hold; beyond it, messages are lost. */
const MAX_DEFERRED = 20_000;
/** A batch, the next segment, a release: a log never has more under way. */
const MAX_LISTS = 3;
/** A batch of several sectors. */
const LARGE_BATCH_BYTES = 4 * 512;
/** Shortest sleep of a process: its timers are not finer, and a member cannot keep the world from moving. */
const MIN_SLEEP_US = 20;

/**
 * Moments at which a log hangs on the order of its file operations: a batch of many sectors is on its way, a segment's
 * first batch is about to be, it is durable; segments are gone; a process has its first batch durable.
 */
export type LogMoment = "large" | "rolling" | "begun" | "released" | "first";

/** What a machine needs of the world around it. */
export interface MachineHost {
  readonly queue: EventQueue;
  readonly trace: Trace;
  readonly network: Network;
  readonly invariants: Invariants;
  readonly observer: Observer;
  readonly roster: Roster;
  answered(slot: number, answer: Answer): void;
  /** A client's write goes into the log under this identity, if it gets there. */
  proposed(id: number, identity: RequestId): void;
  /** The machine begins to lead. */
  leads(slot: number, term: number): void;
  /** The process is gone, with everything that was asked of it. */
  processEnded(slot: number): void;
  /** @param endsAt world time at which what is under way will be over */
  logMoment(machine: Machine, what: LogMoment, endsAt: number): void;
  /** The process must be started again some time later. */
  wantsRestart(slot: number, reason: string): void;
}

/** A running process: exists from a successful open to the crash. */
export interface Process {
  readonly member: Member;
  readonly wal: Wal;
}

export interface MachineParts {
  readonly slot: number;
  readonly id: MemberId;
  readonly clock: MemberClock;
  readonly disk: SimDisk;
  readonly backend: BackendDisk;
}

/** Invariant: `process` is undefined unless `boot` is that of an opened member. */
export class Machine {
  readonly slot: number;
  readonly id: MemberId;
  readonly clock: MemberClock;
  readonly disk: SimDisk;
  readonly backend: BackendDisk;
  options: MemberOptions;
  /** Number of the process; 0 while there is none. */
  boot = 0;
  paused = false;
  process: Process | undefined;
  status: MemberStatus | undefined;
  readonly streams: SnapshotPort;
  readonly #host: MachineHost;
  #boots = 0;
  #wakeAt = Number.POSITIVE_INFINITY;
  readonly #deferred: SimEvent[] = [];
  readonly #hearing: Hearing;
  readonly #slowDisk: SlowDisk;
  /** `isRoll`: it begins a segment. */
  #persist: { readonly batch: PersistBatch; readonly list: number; readonly isRoll: boolean } | undefined;
  /** Batches that this process has made durable. */
  #batches = 0;
  #prepareList = 0;
  /** Set while `release` operations run; segments that may go meanwhile wait for the next call. */
  #releaseList = 0;
  #releaseTo = 0;

  constructor(parts: MachineParts, options: MemberOptions, streams: SnapshotPort, host: MachineHost) {
    this.slot = parts.slot;
    this.id = parts.id;
    this.clock = parts.clock;
    this.disk = parts.disk;
    this.backend = parts.backend;
    this.options = options;
    this.streams = streams;
    this.#host = host;
    this.#hearing = new Hearing(parts.slot);
    this.#slowDisk = new SlowDisk(parts.slot);
  }

  get running(): boolean {
    return this.process !== undefined;
  }

  /** The member's clock, as the process would read it at this instant. */
  get now(): number {
    return this.clock.now(this.#host.queue.now);
  }

  /** A new process begins: returns its number. */
  beginProcess(): number {
    this.boot = ++this.#boots;
    return this.boot;
  }

  /** The process has recovered its data and runs from here on. */
  run(process: Process): void {
    this.process = process;
    this.#wakeAt = Number.POSITIVE_INFINITY;
    this.#slowDisk.began();
    this.#batches = 0;
    this.#persist = undefined;
    this.#prepareList = 0;
    this.#releaseList = 0;
    this.#releaseTo = 0;
    this.pump("open");
    this.#prepare();
  }

  /** The process dies, and with `power` what was not synced. The machine can be started again. */
  crash(kind: CrashKind): void {
    const { queue, network, invariants, observer } = this.#host;
    if (this.boot === 0) {
      this.disk.crash(queue.now, kind);
      return;
    }
    observer.crashed(this);
    this.disk.crash(queue.now, kind);
    this.backend.crash();
    this.boot = 0;
    this.process = undefined;
    this.status = undefined;
    this.paused = false;
    this.#deferred.length = 0;
    this.streams.reset();
    network.stopped(this.slot);
    invariants.stopped(this.slot);
    this.#hearing.stopped();
    this.#host.processEnded(this.slot);
  }

  /** Events of a process that stands still wait for it. */
  defer(event: SimEvent): void {
    if (event.kind === "message" && this.#deferred.length >= MAX_DEFERRED) return;
    this.#deferred.push(event);
  }

  /**
   * The process goes on: everything that waited is handled now, by the clock of now.
   * @param timersLast sockets are looked at before timers, as an event loop may; otherwise in order of arrival.
   */
  takeDeferred(timersLast: boolean): SimEvent[] {
    this.paused = false;
    const events = this.#deferred.splice(0);
    if (!timersLast) return events;
    const isTimer = (event: SimEvent): boolean => event.kind === "wake";
    return [...events.filter((event) => !isTimer(event)), ...events.filter(isTimer)];
  }

  wake(event: WakeEvent): void {
    if (event.time !== this.#wakeAt) return;
    this.#wakeAt = Number.POSITIVE_INFINITY;
    const { process } = this;
    if (process === undefined) return;
    const now = this.now;
    if (process.member.nextWake() > now) {
      this.scheduleWake();
      return;
    }
    process.member.tick(now);
    this.pump("tick");
    const { status } = this;
    const conf = this.#host.invariants.confOf(this.slot);
    if (status === undefined || conf === undefined) return;
    this.#hearing.ticked(status, conf, now, this.options.electionTimeoutMs);
  }

  /** A peer's bytes. What no member sends is refused before it reaches the core, as `peer/` does. */
  receive(event: MessageEvent): void {
    const { process } = this;
    if (process === undefined) return;
    const decoded = decodeMessage(event.bytes);
    if (event.forged !== 0) {
      this.#receiveForged(event, decoded.type === "ok" ? decoded.value : undefined);
      return;
    }
    if (decoded.type === "refused") violate("assertion", `own message does not decode: ${decoded.reason}`);
    const message = decoded.value;
    if (message.to !== this.id || this.#host.roster.slotOf(message.from) !== event.from) {
      violate("assertion", `misrouted ${message.type} of ${message.from.toString(16)}`);
    }
    if (this.#host.trace.recording) this.#line(`<- ${event.from}  ${describeMessage(message)}`);
    const before = this.status;
    if (before !== undefined) {
      this.#hearing.received(event.from, before, message, this.now);
      this.#slowDisk.received(before, message, this.now);
    }
    process.member.step(this.now, message);
    this.pump("step");
    this.#host.observer.stepped(this, message, event.bytes, before);
  }

  request(id: number, request: Request): void {
    const { process } = this;
    if (process === undefined) return;
    if (this.#host.trace.recording) this.#line(`request ${id} ${request.type}`);
    this.#host.observer.requested(this, id, request);
    process.member.request(this.now, id, request);
    const identity = process.member.identityOf(id);
    if (identity !== undefined) this.#host.proposed(id, identity);
    this.pump("request");
  }

  unreachable(peer: MemberId): void {
    const { process } = this;
    if (process === undefined) return;
    process.member.unreachable(this.now, peer);
    this.pump("unreachable");
  }

  /** The first half of a graceful end; the caller ends the process some time later. */
  stop(): void {
    const { process } = this;
    if (process === undefined) return;
    this.#slowDisk.ending();
    process.member.stop(this.now);
    this.pump("stop");
  }

  logDone(event: LogDoneEvent): void {
    const { process } = this;
    const outcome = this.disk.finish(this.#host.queue.now, event.list);
    if (outcome.failure !== undefined) {
      this.#fatal(outcome.failure);
      return;
    }
    if (process === undefined) return;
    if (this.#persist?.list === event.list) {
      const { batch, isRoll } = this.#persist;
      this.#persist = undefined;
      this.#slowDisk.durable();
      if (outcome.durable) this.#host.invariants.batchDurable(this.slot);
      this.#host.observer.batchDurable(this, batch);
      process.member.persisted(this.now, batch.seq);
      this.pump("persisted");
      this.#prepare();
      const isFirst = this.#batches++ === 0;
      if (isRoll) this.#host.logMoment(this, "begun", 0);
      if (isFirst) this.#host.logMoment(this, "first", 0);
    } else if (this.#prepareList === event.list) {
      this.#prepareList = 0;
      process.wal.prepared();
    } else if (this.#releaseList === event.list) {
      this.#releaseList = 0;
      this.#release();
      this.#host.logMoment(this, "released", 0);
    }
  }

  backendDone(): void {
    const { process } = this;
    const seq = this.backend.finish();
    if (process === undefined) return;
    process.member.backendDurable(this.now, seq);
    this.pump("backendDurable");
  }

  /** Takes the effects of the input just given and carries them out. Called after every input. */
  pump(input: string): void {
    const { process } = this;
    if (process === undefined) return;
    const { member } = process;
    const host = this.#host;
    const effects = member.takeEffects();
    const before = this.status;
    const status = host.invariants.check(this.slot, member, this.now);
    this.status = status;
    if (status.role === "leader" && before?.role !== "leader") host.leads(this.slot, status.term);
    this.#slowDisk.settled(status, this.now, this.options.electionTimeoutMs);
    if (host.trace.recording) this.#describe(input, before, status, effects);
    host.observer.pumped(this, before, status, effects);
    if (effects.persist !== undefined) this.#startPersist(effects.persist, status);
    for (const message of effects.messages) this.#send(message);
    if (effects.backend !== undefined) this.#startBackend(effects.backend);
    for (const answer of effects.answers) host.answered(this.slot, answer);
    this.streams.carryOut(this, effects);
    if (effects.releaseLog !== undefined) {
      this.#releaseTo = effects.releaseLog;
      host.invariants.released(this.slot, effects.releaseLog);
      this.#release();
    }
    if (effects.fatal !== undefined) {
      this.#fatal(effects.fatal);
      return;
    }
    this.scheduleWake();
  }

  /** Asks for the next tick; also after the clock's rate changed. */
  scheduleWake(): void {
    const { process } = this;
    if (process === undefined) return;
    const { queue } = this.#host;
    const due = this.clock.worldAt(process.member.nextWake());
    const at = Math.max(due, queue.now + MIN_SLEEP_US);
    if (at >= this.#wakeAt) return;
    this.#wakeAt = at;
    if (at === Number.POSITIVE_INFINITY) return;
    queue.push(at, { time: 0, sequence: 0, slot: this.slot, boot: this.boot, kind: "wake" });
  }

  /** Starts operations on the log's disk; the completion comes as an event. */
  startList(ops: readonly FileOp[]): number {
    return this.#start(ops).list;
  }

  #start(ops: readonly FileOp[]): { readonly list: number; readonly end: number } {
    const { queue } = this.#host;
    const { list, end } = this.disk.start(queue.now, ops);
    if (this.disk.queued > MAX_LISTS) {
      violate("bounded-queue", `member ${this.slot} has ${this.disk.queued} lists of disk operations`);
    }
    queue.push(end, { time: 0, sequence: 0, slot: this.slot, boot: this.boot, kind: "logDone", list });
    return { list, end };
  }

  #startPersist(batch: PersistBatch, status: MemberStatus): void {
    const { process } = this;
    if (process === undefined) return;
    if (this.#persist !== undefined) {
      violate(
        "bounded-queue",
        `member ${this.slot} persists ${batch.seq} while ${this.#persist.batch.seq} is out`,
      );
    }
    this.#host.invariants.batchIssued(this.slot, batch, status);
    this.#slowDisk.issued(this.now);
    const ops = process.wal.append(batch);
    const isRoll = ops.some((op) => op.type === "rename");
    if (isRoll) this.#host.logMoment(this, "rolling", 0);
    const { list, end } = this.#start(ops);
    this.#persist = { batch, list, isRoll };
    const isLarge = ops.some((op) => op.type === "write" && op.bytes.length >= LARGE_BATCH_BYTES);
    if (isLarge) this.#host.logMoment(this, "large", end);
  }

  #startBackend(batch: BackendBatch): void {
    const { queue } = this.#host;
    const latency = this.backend.start(batch, this.disk.settings.slowFactor);
    queue.push(queue.now + latency, {
      time: 0,
      sequence: 0,
      slot: this.slot,
      boot: this.boot,
      kind: "backendDone",
    });
  }

  #send(message: Message): void {
    const { invariants, roster, network } = this.#host;
    invariants.messageSent(this.slot, message);
    const to = roster.slotOf(message.to);
    if (to < 0) violate("assertion", `member ${this.slot} writes to a stranger ${message.to.toString(16)}`);
    network.send(this.slot, to, encodeMessage(message));
  }

  /** The next segment is made beside the appends, in its own file. */
  #prepare(): void {
    if (this.#prepareList !== 0) return;
    const ops = this.process?.wal.prepare();
    if (ops !== undefined) this.#prepareList = this.startList(ops);
  }

  #release(): void {
    if (this.#releaseList !== 0 || this.process === undefined) return;
    const ops = this.process.wal.release(this.#releaseTo);
    if (ops.length > 0) this.#releaseList = this.startList(ops);
  }

  #fatal(reason: string): void {
    this.#host.observer.fatal(this, reason);
    if (this.#host.trace.recording) this.#line(`FATAL ${reason}`);
    // After a failed write nobody knows what the page cache holds; the machine loses it like in a power cut.
    this.crash("power");
    this.#host.wantsRestart(this.slot, reason);
  }

  #receiveForged(event: MessageEvent, message: Message | undefined): void {
    const { observer, network } = this.#host;
    if (message === undefined) {
      observer.forgedRefused();
      network.protocolError(event.from, event.slot);
      return;
    }
    // Damage that still decodes may be a valid lie: the checksum of TCP or TLS would have caught it.
    if (event.forged === DAMAGED) return;
    if (event.forged !== IMPOSSIBLE || this.process === undefined) return;
    this.process.member.step(this.now, message);
    this.pump("forged");
  }

  #describe(input: string, before: MemberStatus | undefined, status: MemberStatus, effects: Effects): void {
    const changed =
      before === undefined ||
      before.role !== status.role ||
      before.term !== status.term ||
      before.leader !== status.leader ||
      before.commit !== status.commit ||
      before.applied !== status.applied;
    const parts: string[] = [];
    if (changed) {
      const leader = this.#host.roster.slotOf(status.leader);
      parts.push(`${status.role} term ${status.term} leader ${leader} last ${status.lastIndex}`);
      parts.push(
        `commit ${status.commit} applied ${status.applied} conf ${this.#host.roster.masksOf(status.conf).hash}`,
      );
    }
    const { persist } = effects;
    if (persist !== undefined) {
      const first = persist.entries[0];
      const entries =
        first === undefined ? "" : ` [${first.index}..+${persist.entries.length} t${first.term}]`;
      const hard = persist.hardState === undefined ? "" : ` term ${persist.hardState.term}`;
      const snapshot = persist.snapshot === undefined ? "" : ` snapshot ${persist.snapshot.index}`;
      parts.push(`persist ${persist.seq}${entries}${hard}${snapshot}`);
    }
    for (const message of effects.messages) {
      parts.push(`-> ${this.#host.roster.slotOf(message.to)} ${describeMessage(message)}`);
    }
    for (const answer of effects.answers) parts.push(describeAnswer(answer));
    if (effects.backend !== undefined)
      parts.push(`backend ${effects.backend.seq} at ${effects.backend.index}`);
    if (effects.releaseLog !== undefined) parts.push(`release ${effects.releaseLog}`);
    if (effects.installSnapshot !== undefined) parts.push(`install ${effects.installSnapshot.index}`);
    for (const refused of effects.refused) parts.push(`refused: ${refused.reason}`);
    if (parts.length > 0) this.#line(`${input}: ${parts.join("; ")}`);
  }

  #line(text: string): void {
    this.#host.trace.line(
      this.#host.queue.now,
      `m${this.slot} (${formatTime(Math.floor(this.now * 1000))}) ${text}`,
    );
  }
}

function describeAnswer(answer: Answer): string {
  const head = `answer ${answer.id} ${answer.type}`;
  switch (answer.type) {
    case "done":
      return `${head} ${answer.response.type} at ${answer.index} revision ${answer.revision}`;
    case "leaseKept":
      return `${head} ttl ${answer.ttl}`;
    case "changed":
      return `${head} at ${answer.index}`;
    case "refused":
      return `${head}: ${answer.error.message}`;
    case "unknown":
      return `${head}: ${answer.reason}`;
    default:
      return head;
  }
}

function describeMessage(message: Message): string {
  const head = `${message.type} t${message.term}`;
  switch (message.type) {
    case "append":
      return `${head} prev (${message.prevIndex}, ${message.prevTerm}) +${message.entries.length} c${message.commit}`;
    case "appendResponse":
      return `${head} ${message.rejected ? "rejected" : "ok"} ${message.index}`;
    case "voteRequest":
      return `${head}${message.pre ? " pre" : ""} last (${message.lastIndex}, ${message.lastTerm})`;
    case "voteResponse":
      return `${head}${message.pre ? " pre" : ""} ${message.granted ? "granted" : "rejected"}`;
    case "heartbeat":
      return `${head} round ${message.round} lease ${message.leaseMs} c${message.commit}`;
    case "heartbeatResponse":
      return `${head} round ${message.round}${message.promised ? " promised" : ""}`;
    default:
      return head;
  }
}
