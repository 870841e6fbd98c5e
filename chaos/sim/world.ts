/**
 * The world of one run: machines, network, clients, operator and judges around one event queue. It hands each event
 * to whom it is for; what the faults do to it is in `faults.ts`, the phases of a run in `run.ts`.
 */

import { AppliedState, DEFAULT_REQUEST_LIMITS } from "../../src/apply/index.ts";
import { type InstanceId, LIMITS, type MemberId, mixHashBytes } from "../../src/base/index.ts";
import type { PeerStanding } from "../../src/env/index.ts";
import { bootstrapLog, emptyState, type Founder } from "../../src/member/index.ts";
import type { Answer, MemberOptions, Request } from "../../src/member/types.ts";
import {
  PEER_PROTOCOL_VERSION,
  type PeerHello,
  type PeerVerdict,
  type RequestId,
} from "../../src/pb/index.ts";
import { judgeHello } from "../../src/peer/index.ts";
import type { Band, LeaderBand } from "../check/index.ts";
import { BackendDisk } from "./backend-disk.ts";
import { type BootContext, startProcess } from "./boot.ts";
import { DRIFT_BOUND_PPM, MemberClock } from "./clock.ts";
import { SimDisk } from "./disk.ts";
import { Invariants } from "./invariants.ts";
import { LeaseLife } from "./lease-life.ts";
import { Links } from "./links.ts";
import { type LogMoment, Machine, type MachineHost } from "./machine.ts";
import { ADDRESS_OF_ALL, addressOf, MAX_SLOTS, Roster } from "./members.ts";
import { Network, type NetworkHost, type Purpose } from "./network.ts";
import { Observer } from "./observer.ts";
import { OPERATOR_REQUESTS, Operator, type OperatorHost } from "./operator.ts";
import type { Plan } from "./plan.ts";
import type { Knowledge } from "./requests.ts";
import { drawId, Rng } from "./rng.ts";
import { EventQueue, type SimEvent } from "./scheduler.ts";
import { Sometimes } from "./sometimes.ts";
import { MachineStreams, type SnapshotMoment, type StreamHost } from "./streams.ts";
import { Trace } from "./trace.ts";
import { violate } from "./violation.ts";
import { Watchers } from "./watchers.ts";
import { Workload, type WorkloadHost } from "./workload.ts";

/** A run keeps some slots free, so that a dead member can still be replaced at the end of a long churn. */
const MAX_MACHINES = 24;
/** Watchers that ask for it hear of the revision this often. */
const WATCH_PROGRESS_MS = 1_000;
/** A member may be late by this much with the answer to a request whose time has run out. */
const ANSWER_SLACK_MS = 500;
/** Members check their own invariants after every so many events. */
const SELF_CHECK_EVENTS = 128;

/** A run that needs more events than this has no verdict. */
const MAX_EVENTS = 6_000_000;

/** The run was ended without a verdict. */
export class GaveUp extends Error {}

/** Everything of one run. */
export class World implements MachineHost, NetworkHost, StreamHost, OperatorHost, WorkloadHost {
  readonly plan: Plan;
  readonly queue = new EventQueue();
  readonly trace: Trace;
  readonly links = new Links();
  readonly roster = new Roster();
  readonly sometimes = new Sometimes();
  readonly invariants: Invariants;
  readonly observer: Observer;
  readonly network: Network;
  readonly workload: Workload;
  readonly watchers: Watchers;
  /** By the identity under which a write was proposed: the operation of the client. */
  /** Faults and leaders over time, for the picture of a failure. */
  readonly bands: Band[] = [];
  readonly leaderBands: LeaderBand[] = [];
  readonly identities = new Map<string, number>();
  readonly leaseLife: LeaseLife;
  readonly operator: Operator;
  readonly machines: Machine[] = [];
  readonly cluster: bigint;
  /** Machines whose data is gone or unusable, as a mask; they only go off. */
  lost = 0;
  /** Machines that left the cluster and were turned off. */
  retired = 0;
  /** Machines whose log had bits flipped and was not opened since. */
  damaged = 0;
  /** The machine that is up without its data under its old identity; -1: none. */
  wiped = -1;
  /** While set, stopped machines stay off (the minority in the liveness phase). */
  heldDown = 0;
  /** Rises when everything is healed: the ends of earlier faults no longer count. */
  generation = 0;
  faultsApplied = 0;
  /** Called at the steps of a snapshot, after the member was told. */
  onSnapshotMoment: ((machine: Machine, what: SnapshotMoment) => void) | undefined;
  /** Called at moments that a fault may wait for. */
  onLogMoment: ((machine: Machine, what: LogMoment, endsAt: number) => void) | undefined;
  readonly #rng: Rng;
  readonly #diskRng: Rng;
  readonly #resumeRng: Rng;
  readonly #founders: readonly MemberId[];
  readonly #answered = new Set<number>();
  /** By slot: how many processes have been started on it. */
  readonly #starts: number[] = [];
  /** World time at which a machine's last pause ended. */
  readonly #resumedAt: number[] = [];
  #selfChecks = 0;
  /** The newest term whose first commit was held against all leases. */
  #leasesCheckedIn = 0;

  constructor(plan: Plan, recording: boolean) {
    this.plan = plan;
    this.trace = new Trace(recording);
    this.#rng = new Rng(plan.seed, "world");
    this.#diskRng = new Rng(plan.seed, "disk");
    this.#resumeRng = new Rng(plan.seed, "resume");
    this.cluster = drawId(this.#rng);
    this.invariants = new Invariants(this.roster);
    this.observer = new Observer(this.sometimes, this.invariants);
    const rng = new Rng(plan.seed, "network");
    this.network = new Network(plan.config.network, {
      links: this.links,
      rng,
      queue: this.queue,
      host: this,
    });
    for (let i = 0; i < plan.config.members; i++) this.#addMachine();
    this.#founders = this.machines.map((machine) => machine.id);
    const first = bootstrapLog({ voters: this.#founders.map(founderOf), leaseMs: plan.config.leaseMs });
    this.invariants.bootstrap(first.log.entries);
    for (const machine of this.machines) this.start(machine.slot);
    this.operator = new Operator(this);
    this.workload = new Workload(plan, this);
    this.watchers = new Watchers(plan, this);
    this.leaseLife = new LeaseLife();
    for (let i = 0; i < plan.config.learners; i++) this.operator.enqueue({ type: "join", promote: false });
  }

  /** Lets the world go on until a time, microseconds, or until `isDone` says so at one of its checks. */
  run(until: number, isDone?: () => boolean): boolean {
    const { queue } = this;
    let nextCheck = isDone === undefined ? Number.POSITIVE_INFINITY : queue.now;
    while (queue.nextTime <= until) {
      if (queue.nextTime >= nextCheck) {
        if (isDone?.() === true) return true;
        nextCheck = queue.nextTime + 20_000;
      }
      if (this.trace.events > MAX_EVENTS) throw new GaveUp(`more than ${MAX_EVENTS} events`);
      const event = queue.pop();
      if (event !== undefined) this.#dispatch(event);
    }
    queue.advance(until);
    return isDone?.() === true;
  }

  /** Starts the process of a machine that is off and may run. */
  start(slot: number): void {
    const machine = this.machineAt(slot);
    const bit = 1 << slot;
    if (machine.boot !== 0 || ((this.retired | this.heldDown) & bit) !== 0) return;
    if ((this.lost & bit) !== 0 && this.wiped !== slot) return;
    this.#rename(machine);
    startProcess(machine, this.#bootContext(slot));
  }

  /** Starts a machine again after a while, unless it was started or forbidden meanwhile. */
  startAfter(slot: number, delayUs: number): void {
    this.queue.call(this.queue.now + delayUs, { slot: -1, boot: -1, label: "start" }, () => this.start(slot));
  }

  /** A process stands still for a while, or until everything is healed. */
  resume(slot: number): void {
    const machine = this.machineAt(slot);
    if (!machine.paused) return;
    this.observer.resumed(machine);
    this.#resumedAt[slot] = this.queue.now;
    this.note(`m${slot} goes on`);
    const { boot } = machine;
    for (const event of machine.takeDeferred(this.#resumeRng.int(0, 2) === 0)) {
      if (machine.boot !== boot) return;
      this.#handle(machine, event);
    }
  }

  /** Its data is gone: it must not decide anything any more. */
  lose(slot: number): void {
    this.lost |= 1 << slot;
  }

  /** Gives a machine an empty disk and another data directory instance, as a careless operator would. */
  wipe(slot: number): void {
    const machine = this.machineAt(slot);
    machine.crash("power");
    machine.disk.wipe();
    machine.backend.wipe(emptyState());
    machine.options = { ...machine.options, instance: drawId(this.#rng) };
    this.invariants.wiped(slot);
    this.lose(slot);
    this.wiped = slot;
  }

  /** Whether a member's identity is pinned to its data directory in the durable state of every other one. */
  isPinnedEverywhere(slot: number): boolean {
    const { id, options } = this.machineAt(slot);
    for (const machine of this.machines) {
      const isOut = ((this.retired | this.lost) & (1 << machine.slot)) !== 0;
      if (machine.slot === slot || isOut) continue;
      const loaded = AppliedState.load(machine.backend.view());
      if (loaded.type === "refused")
        violate("fatal", `member ${machine.slot}: state refused: ${loaded.reason}`);
      if (loaded.state.members.pinned(id) !== options.instance) return false;
    }
    return true;
  }

  note(text: string): void {
    this.trace.mixText(text);
    if (this.trace.recording) this.trace.line(this.queue.now, text);
  }

  // What machines ask.

  answered(slot: number, answer: Answer): void {
    if (this.#answered.has(answer.id)) violate("answer-once", `request ${answer.id} has two answers`);
    this.#answered.add(answer.id);
    const { committed } = this.invariants;
    // Committed was judged by the disks of a quorum, so an answer within it is about what no crash can take back.
    if ("index" in answer && answer.index > committed) {
      violate(
        "ack-on-durable-quorum",
        `member ${slot} answers ${answer.id} at ${answer.index} > ${committed}`,
      );
    }
    if (answer.type === "leaseKept") this.#kept(answer);
    const at = this.queue.now + 100 + this.#rng.exponential(100);
    this.queue.push(at, { time: 0, sequence: 0, slot: -1, boot: slot, kind: "answer", answer });
  }

  #kept({ id, ttl }: Extract<Answer, { type: "leaseKept" }>): void {
    const lease = this.workload.leaseOf(id);
    if (lease !== undefined) this.leaseLife.kept(lease, ttl, this.queue.now);
    if (ttl > 0) this.sometimes.reached("lease kept alive");
  }

  proposed(id: number, identity: RequestId): void {
    if (id < OPERATOR_REQUESTS) this.identities.set(identityName(identity), id);
  }

  leads(slot: number, term: number): void {
    const { now } = this.queue;
    const last = this.leaderBands.pop();
    if (last !== undefined) this.leaderBands.push({ ...last, to: Math.min(last.to, now) });
    this.leaderBands.push({ from: now, to: Number.POSITIVE_INFINITY, member: `m${slot}`, term });
  }

  get knowledge(): Knowledge {
    return this.workload;
  }

  processEnded(slot: number): void {
    this.workload.connectionsBroke(slot);
    this.watchers.connectionsBroke(slot);
  }

  wantsRestart(slot: number, reason: string): void {
    this.note(`m${slot} stopped: ${reason}`);
    if (this.wiped === slot) return;
    if (!reason.startsWith("EIO") && !reason.startsWith("ENOSPC")) {
      violate("fatal", `member ${slot}: ${reason}`);
    }
    this.startAfter(slot, 50_000 + this.#rng.exponential(400_000));
  }

  snapshotMoment(machine: Machine, what: SnapshotMoment): void {
    this.onSnapshotMoment?.(machine, what);
  }

  logMoment(machine: Machine, what: LogMoment, endsAt: number): void {
    this.onLogMoment?.(machine, what, endsAt);
  }

  // What the network asks.

  bootOf(slot: number): number {
    const machine = this.machineAt(slot);
    return machine.running ? machine.boot : 0;
  }

  helloOf(slot: number, to: number, purpose: Purpose): PeerHello {
    const { id, options } = this.machineAt(slot);
    return {
      version: PEER_PROTOCOL_VERSION,
      cluster: this.cluster,
      member: id,
      instance: options.instance,
      to: this.machineAt(to).id,
      purpose,
    };
  }

  judge(slot: number, hello: PeerHello): PeerVerdict {
    const { id, options, process } = this.machineAt(slot);
    const record = process?.member.peerRecord(hello.member);
    let judged: PeerStanding = { type: "unknown" };
    if (record?.removed === true) judged = { type: "removed" };
    else if (record !== undefined && (record.known || record.pinnedInstance !== 0n)) {
      judged = { type: "known", pinnedInstance: record.pinnedInstance };
    }
    const self = { cluster: this.cluster, member: id, instance: options.instance };
    const verdict = judgeHello(self, judged, hello);
    const isWiped =
      this.wiped !== -1 && this.wiped !== slot && this.machineAt(this.wiped).id === hello.member;
    // Everybody knew the pin when its data was lost (`isPinnedEverywhere`).
    if (isWiped && verdict.type === "accepted") {
      violate("wiped-member-excluded", `member ${slot} lets in member ${this.wiped}, which lost its data`);
    }
    return verdict;
  }

  unreachable(slot: number, peer: number): void {
    this.machineAt(slot).unreachable(this.machineAt(peer).id);
  }

  helloRefused(slot: number, peer: number, _instance: InstanceId, reason: string): void {
    this.note(`m${slot} refuses m${peer}: ${reason}`);
    if (this.wiped === peer) this.sometimes.reached("wiped member refused");
  }

  // What clients and the operator ask.

  targets(): readonly number[] {
    const out = this.retired | this.lost;
    const slots: number[] = [];
    for (const machine of this.machines) if ((out & (1 << machine.slot)) === 0) slots.push(machine.slot);
    return slots.length === 0 ? [0] : slots;
  }

  owesAnswers(slot: number, boot: number): boolean {
    const machine = this.machineAt(slot);
    if (machine.boot !== boot || machine.paused) return false;
    // A request that came during a pause was taken when it ended; its time runs from there, by the member's clock.
    const lifeUs = (this.plan.config.requestTimeoutMs + ANSWER_SLACK_MS) * 1000;
    return this.queue.now - (this.#resumedAt[slot] ?? 0) > lifeUs;
  }

  submit(slot: number, id: number, request: Request, at: number): void {
    const { boot } = this.machineAt(slot);
    this.queue.push(at, { time: 0, sequence: 0, slot, boot, kind: "request", id, request });
  }

  leader(): Machine | undefined {
    let found: Machine | undefined;
    for (const machine of this.machines) {
      if (machine.status?.role !== "leader" || machine.paused) continue;
      if (found?.status === undefined || machine.status.term > found.status.term) found = machine;
    }
    return found;
  }

  machineAt(slot: number): Machine {
    return this.machines[slot] ?? violate("assertion", `no machine ${slot}`);
  }

  slotOf(id: MemberId): number {
    return this.roster.slotOf(id);
  }

  isWatched(slot: number): boolean {
    return this.watchers.isWatching(slot);
  }

  memberAt(slot: number): MemberId {
    return this.machineAt(slot).id;
  }

  isServing(slot: number): boolean {
    const conf = this.leader()?.status?.conf;
    const { id } = this.machineAt(slot);
    return conf === undefined || conf.voters.includes(id) || conf.learners.includes(id);
  }

  isLost(slot: number): boolean {
    return (this.lost & (1 << slot)) !== 0;
  }

  isWipedUp(): boolean {
    return this.wiped !== -1;
  }

  addMachine(): Machine | undefined {
    if (this.machines.length >= MAX_MACHINES) return undefined;
    const machine = this.#addMachine();
    this.start(machine.slot);
    return machine;
  }

  retire(slot: number): void {
    const delay = 300_000 + this.#rng.exponential(1_500_000);
    this.queue.call(this.queue.now + delay, { slot: -1, boot: -1, label: "retire" }, () => {
      this.retired |= 1 << slot;
      this.note(`m${slot} is turned off`);
      this.machineAt(slot).crash("kill");
    });
  }

  #dispatch(event: SimEvent): void {
    const { slot, kind } = event;
    this.trace.event(event.time, kind, slot, contentOf(event));
    if (kind === "message" && !this.network.arrives(event)) return;
    if (slot < 0) {
      this.#handleOwn(event);
      return;
    }
    const machine = this.machineAt(slot);
    if (event.boot !== -1 && event.boot !== machine.boot) return;
    if (machine.paused) machine.defer(event);
    else this.#handle(machine, event);
  }

  #handleOwn(event: SimEvent): void {
    switch (event.kind) {
      case "client":
        this.workload.step(event.client, event.operation, event.step);
        return;
      case "answer":
        if (event.answer.id > OPERATOR_REQUESTS) this.operator.answered(event.answer);
        else this.workload.answer(event.answer);
        return;
      case "call":
        event.run();
        return;
      default:
        violate("assertion", `event ${event.kind} for nobody`);
    }
  }

  #handle(machine: Machine, event: SimEvent): void {
    this.invariants.now = this.queue.now;
    switch (event.kind) {
      case "wake":
        machine.wake(event);
        break;
      case "message":
        machine.receive(event);
        break;
      case "logDone":
        machine.logDone(event);
        break;
      case "backendDone":
        machine.backendDone();
        break;
      case "request":
        machine.request(event.id, event.request);
        break;
      case "call":
        event.run();
        break;
      default:
        violate("assertion", `event ${event.kind} for a machine`);
    }
    if (this.invariants.maxCommitTerm !== this.#leasesCheckedIn) this.#checkLeases();
    if (++this.#selfChecks % SELF_CHECK_EVENTS === 0) machine.process?.member.checkInvariants();
  }

  /**
   * Nobody who may read by a lease may have been overtaken: asked whenever something was committed in a new term.
   * Between two such instants leases only run out, or are renewed in an event of their holder, which is checked then.
   */
  #checkLeases(): void {
    const { maxCommitTerm } = this.invariants;
    this.#leasesCheckedIn = maxCommitTerm;
    for (const machine of this.machines) {
      if (machine.paused || machine.status?.role !== "leader" || machine.status.term >= maxCommitTerm)
        continue;
      if (machine.status.leaseUntil > machine.now) {
        violate(
          "lease-exclusive",
          `member ${machine.slot} holds a lease in ${machine.status.term}, term ${maxCommitTerm} has committed`,
        );
      }
    }
  }

  /**
   * Whoever starts may have been given another name and another address for its clients; now and then the operator
   * says that it listens for its peers elsewhere.
   */
  #rename(machine: Machine): void {
    const { slot, id } = machine;
    const starts = (this.#starts[slot] ?? 0) + 1;
    this.#starts[slot] = starts;
    const rng = new Rng(this.plan.seed, `name ${slot} ${starts}`);
    if (starts > 1 && rng.int(0, 2) === 0) return;
    const name = `m${slot}.${starts}`;
    machine.options = { ...machine.options, name, clientUrls: [`http://${name}:2379`] };
    if (starts > 1)
      this.operator.move(id, rng.int(0, 3) === 0 ? ADDRESS_OF_ALL : `${addressOf(id)}${starts}`);
  }

  #addMachine(): Machine {
    const slot = this.machines.length;
    if (slot >= MAX_SLOTS) violate("assertion", "no more slots");
    const { config } = this.plan;
    const rng = new Rng(this.plan.seed, `machine ${slot}`);
    const id = drawId(rng);
    const instance = drawId(rng);
    const offsetUs = rng.int(1, 1_000_000_000);
    const clock = new MemberClock(offsetUs, this.drawDrift(rng));
    const settings = {
      syncMeanUs: config.syncMeanUs,
      slowFactor: 1,
      stallUs: 0,
      failNext: "none" as const,
      full: false,
    };
    const disk = new SimDisk(new Rng(this.plan.seed, `disk ${slot}`), settings);
    const backend = new BackendDisk(new Rng(this.plan.seed, `backend ${slot}`), emptyState());
    const leaseReads = config.readMode === "lease" || (config.readMode === "mixed" && slot % 2 === 0);
    const options = { ...this.#optionsOf(id, instance, leaseReads), quotaBytes: this.#quotaOf(slot) };
    const streams = new MachineStreams(this, new Rng(this.plan.seed, `streams ${slot}`), config.chunkBytes);
    const machine = new Machine({ slot, id, clock, disk, backend }, options, streams, this);
    this.machines.push(machine);
    this.roster.add(id, slot);
    this.invariants.addMember(slot, id);
    return machine;
  }

  /** How much faster than the world a clock runs, parts per million. */
  drawDrift(rng: Rng): number {
    switch (this.plan.config.drift) {
      case "within":
        return rng.int(0, DRIFT_BOUND_PPM + 1);
      case "bound":
        return rng.int(0, 2) * DRIFT_BOUND_PPM;
      case "twice":
        return rng.int(0, 2) * 2 * DRIFT_BOUND_PPM;
    }
  }

  /** Not the same for all: an option may differ, and must not make the members differ. */
  #quotaOf(slot: number): number {
    const { quotaBytes } = this.plan.config;
    return quotaBytes + Math.floor(((slot % 3) * quotaBytes) / 8);
  }

  #optionsOf(id: MemberId, instance: InstanceId, leaseReads: boolean): MemberOptions {
    const { config } = this.plan;
    return {
      id,
      instance,
      name: "",
      clientUrls: [],
      maxLearners: LIMITS.maxMembers,
      electionTimeoutMs: config.electionTimeoutMs,
      heartbeatMs: config.heartbeatMs,
      readMode: leaseReads ? "lease" : "quorum",
      requestTimeoutMs: config.requestTimeoutMs,
      maxPendingRequests: config.maxPendingRequests,
      maxUncommittedBytes: config.maxUncommittedBytes,
      maxInflightMessages: config.maxInflightMessages,
      maxAppendBytes: config.maxAppendBytes,
      snapshotEntries: config.snapshotEntries,
      catchUpEntries: config.catchUpEntries,
      backendIntervalMs: config.backendIntervalMs,
      backendBatchEntries: config.backendBatchEntries,
      maxSnapshotStreams: config.maxSnapshotStreams,
      snapshotTimeoutMs: config.snapshotTimeoutMs,
      quotaBytes: Number.POSITIVE_INFINITY,
      requestLimits: DEFAULT_REQUEST_LIMITS,
      maxWatchBytes: config.maxWatchBytes,
      watchFragmentBytes: config.watchFragmentBytes,
      watchProgressMs: WATCH_PROGRESS_MS,
      leaseCheckpointMs: config.leaseCheckpointMs,
      readSlice: config.readSlice,
      compactionBatch: config.compactionBatch,
      compactionPauseMs: 10,
    };
  }

  #bootContext(slot: number): BootContext {
    const isFounder = slot < this.plan.config.members;
    const founding = { voters: this.#founders.map(founderOf), leaseMs: this.plan.config.leaseMs };
    return {
      seed: this.plan.seed,
      cluster: this.cluster,
      segmentBytes: this.plan.config.segmentBytes,
      // A founder that lost its data is started once more with the flags of the first day, if it was not alone then:
      // alone it would found a cluster of its own, which no peer could refuse.
      founding: isFounder && (this.wiped !== slot || this.#founders.length > 1) ? founding : undefined,
      damaged: (this.damaged & (1 << slot)) !== 0,
      rng: this.#diskRng,
      host: this,
      sometimes: this.sometimes,
      refused: (machine, reason) => {
        this.note(`m${machine.slot} is refused: ${reason}`);
        this.damaged &= ~(1 << machine.slot);
        this.lose(machine.slot);
        this.operator.enqueue({ type: "replace", slot: machine.slot });
      },
      started: (machine) => {
        this.damaged &= ~(1 << machine.slot);
      },
    };
  }
}

/** An initial member, with the address that its first configuration gives it. */
function founderOf(id: MemberId): Founder {
  return { id, peerUrls: [addressOf(id)] };
}

/** A request's identity as text. */
export function identityName({ instance, sequence }: RequestId): string {
  return `${instance.toString(16)}.${sequence}`;
}

/** A number for the trace that tells events of one kind apart. */
function contentOf(event: SimEvent): number {
  switch (event.kind) {
    case "message":
      return mixHashBytes(event.from, event.bytes);
    case "logDone":
      return event.list;
    case "request":
      return event.id;
    case "answer":
      return event.answer.id ^ ("index" in event.answer ? event.answer.index : -1);
    case "client":
      return event.client * 1_000_000 + event.operation;
    case "call":
      return event.label.length;
    default:
      return event.boot;
  }
}
