/**
 * A small deterministic cluster over class Raft, for tests that read as stories: virtual time, one queue of messages
 * that can be cut, dropped, held back and repeated, disks that survive a crash, and the safety properties of
 * `raft-checks.ts` after every step. Members are named 1, 2, 3, ... Nothing happens unless the test says so:
 * `settle` delivers, `run` lets time pass, `campaign` and `elect` fire an election timeout.
 */
import { textOf } from "../../src/base/index.ts";
import {
  type ConfChange,
  EMPTY_CONF,
  type Entry,
  type Message,
  type ProposeResult,
  Raft,
  type RaftBatch,
  type RaftOptions,
  type ReadState,
} from "../../src/raft/index.ts";
import { Checks, render, SafetyError } from "./raft-checks.ts";
import { Disk, decodeChange, encodeChange, type NetState, replay, seededRandom } from "./raft-disk.ts";

export interface NetOptions {
  /** Voters of the bootstrap entry (index 1, term 1), which every log begins with. */
  readonly voters: readonly number[];
  readonly learners?: readonly number[];
  /** Members that have a process but no configuration yet. */
  readonly spares?: readonly number[];
  /** leaseMs of the bootstrap configuration; 0: no leases. Default 0. */
  readonly leaseMs?: number;
  readonly raft?: Partial<Omit<RaftOptions, "id">>;
  readonly seed?: number;
  /** Every message takes this long, ms. Default 0. */
  readonly latencyMs?: number;
  /** Batches wait for `persist`. Default false: durable at once. */
  readonly manualPersist?: boolean;
  /** A read that is older than what was committed when it was asked throws. Default true; else see `staleReads`. */
  readonly throwOnStaleRead?: boolean;
}

/** What the disk of a member holds before the cluster starts, beyond the bootstrap entry. */
export interface Preset {
  readonly term?: number;
  readonly vote?: number;
  /** Terms of entries 2, 3, ...; each holds the text `<index>.<term>`. */
  readonly log?: readonly number[];
  readonly commit?: number;
}

/** A snapshot on its way. */
export interface NetSnapshot {
  readonly from: bigint;
  readonly to: bigint;
  readonly term: number;
  readonly state: NetState;
}

interface Parcel {
  readonly at: number;
  readonly body: Message | NetSnapshot;
}

export interface NetMember {
  readonly id: bigint;
  raft: Raft;
  disk: Disk;
  up: boolean;
  state: NetState;
  /** The batch that was taken and is not durable yet. */
  batch: RaftBatch | undefined;
  received: NetState | undefined;
  /** Outcome of each waiter that was answered. */
  readonly reads: Map<number, ReadState>;
  /** Local clock: offsetMs + rate x net.now. */
  rate: number;
  offsetMs: number;
  /** Committed entries are not applied while this is set. */
  applyPaused: boolean;
  /** The process is stopped: no tick in `run`, and what arrives waits; a test may still call into it. */
  paused: boolean;
}

export const DEFAULT_RAFT: Omit<RaftOptions, "id"> = {
  electionTimeoutMs: 1000,
  heartbeatMs: 100,
  leaseReads: false,
  maxInflightMessages: 16,
  maxAppendBytes: 1024,
  maxUncommittedBytes: 1 << 20,
  maxPendingReads: 64,
};

const MAX_STEPS = 200_000;

export class Net {
  readonly members = new Map<number, NetMember>();
  readonly checks = new Checks();
  /** Messages that left a member, in order, dropped ones included. Tests may empty it. */
  sent: Message[] = [];
  /** On the way, by due time. */
  queue: Parcel[] = [];
  /** What `intercept` held back. */
  held: (Message | NetSnapshot)[] = [];
  /** Messages that a member refused; a correct network has none, so `deliver` throws unless this is allowed. */
  refusals: string[] = [];
  allowRefusals = false;
  /** Reads answered with an index below what was committed when they were asked. */
  staleReads: { member: number; waiter: number; index: number; committed: number }[] = [];
  /** Decides on every message as it leaves. Default: all pass. */
  intercept: (m: Message) => "pass" | "drop" | "hold" = () => "pass";
  snapshotsSent = 0;
  now = 0;
  /** Batches wait for `persist`; may be switched on the way. */
  manualPersist: boolean;

  readonly #options: NetOptions;
  readonly #raft: Omit<RaftOptions, "id">;
  readonly #cuts = new Set<string>();
  readonly #asked = new Map<string, number>();
  #starts = 0;

  constructor(options: NetOptions, presets: Readonly<Record<number, Preset>> = {}) {
    this.#options = options;
    this.manualPersist = options.manualPersist ?? false;
    this.#raft = { ...DEFAULT_RAFT, ...options.raft };
    for (const n of [...options.voters, ...(options.learners ?? [])])
      this.#add(n, this.#presetDisk(presets[n]));
    for (const n of options.spares ?? []) this.#add(n, emptyDisk());
    for (const member of this.members.values()) this.#pump(member);
  }

  member(n: number): NetMember {
    const member = this.members.get(n);
    if (member === undefined) throw new Error(`no member ${n}`);
    return member;
  }

  raft(n: number): Raft {
    return this.member(n).raft;
  }

  /** Members whose process runs and that lead, with the highest term first. */
  leaders(): number[] {
    const leaders = [...this.members].filter(([, m]) => m.up && m.raft.role === "leader");
    return leaders.sort(([, a], [, b]) => b.raft.term - a.raft.term).map(([n]) => n);
  }

  /** The one leader of the highest term. Throws when there is none. */
  leader(): number {
    const [leader] = this.leaders();
    if (leader === undefined) throw new Error("nobody leads");
    return leader;
  }

  /** Terms of the log from the first entry that is not cut. */
  terms(n: number): number[] {
    const { raft } = this.member(n);
    const terms: number[] = [];
    for (let i = raft.firstIndex; i <= raft.lastIndex; i++) terms.push(raft.termAt(i) ?? 0);
    return terms;
  }

  /** Texts applied at `n`. */
  values(n: number): readonly string[] {
    return this.member(n).state.values;
  }

  // Inputs. Each ends with the checks; what it causes others to do waits for `settle`, `deliver` or `run`.

  propose(n: number, text: string): ProposeResult {
    return this.#input(n, (raft, now) => raft.propose(now, [{ type: "normal", data: Buffer.from(text) }]));
  }

  change(n: number, change: Partial<ConfChange>): ProposeResult {
    const whole: ConfChange = { joint: false, steps: [], leaseMs: undefined, ...change };
    return this.#input(n, (raft, now) => raft.proposeConfChange(now, whole, encodeChange(whole)));
  }

  transfer(n: number, to: number): ReturnType<Raft["transferLeadership"]> {
    return this.#input(n, (raft, now) => raft.transferLeadership(now, BigInt(to)));
  }

  /** Asks for a read index. The outcome will be in `member(n).reads`. */
  read(n: number, waiter: number): void {
    this.#asked.set(`${n}/${waiter}`, this.checks.maxCommitted);
    this.#input(n, (raft, now) => raft.readIndex(now, waiter));
  }

  tick(n: number): void {
    this.#input(n, (raft, now) => raft.tick(now));
  }

  /** Anything else on the class. */
  input<T>(n: number, act: (raft: Raft, now: number) => T): T {
    return this.#input(n, act);
  }

  /** Fires the election timeout of `n` at once, by a jump of its clock. */
  campaign(n: number): void {
    const member = this.member(n);
    let tries = 0;
    do {
      this.#jump(member, member.raft.nextWake());
      this.tick(n);
    } while (member.raft.role === "follower" && ++tries < 5);
  }

  /** Lets time pass without a tick until nobody is bound to a leader, then makes `n` win an election. */
  elect(n: number): void {
    this.skip(2 * this.#raft.electionTimeoutMs);
    let latest = this.now;
    for (const member of this.members.values()) {
      if (!member.up) continue;
      latest = Math.max(latest, (member.raft.promiseUntil - member.offsetMs) / member.rate);
    }
    this.now = latest;
    // A member of an old term first learns the newest one from the refusal.
    for (let tries = 0; tries < 3 && this.raft(n).role !== "leader"; tries++) {
      this.campaign(n);
      this.settle();
    }
    if (this.raft(n).role !== "leader") throw new Error(`member ${n} was not elected`);
  }

  /** Time passes and nobody notices. */
  skip(ms: number): void {
    this.now += ms;
  }

  /** Time passes: ticks when they are due, messages when they arrive. */
  run(ms: number): void {
    const end = this.now + ms;
    for (let steps = 0; ; steps++) {
      if (steps > MAX_STEPS) throw new Error("run does not come to an end");
      const due = this.#nextDue();
      const wake = this.#nextWake();
      const next = Math.min(due, wake.at);
      if (next > end) break;
      this.now = Math.max(this.now, next);
      if (due <= wake.at) this.deliver();
      else if (wake.member !== undefined) {
        this.#jump(wake.member, wake.member.raft.nextWake());
        this.#input(Number(wake.member.id), (raft, now) => raft.tick(now));
      }
    }
    this.now = end;
  }

  /** Runs until `done`, at most `ms`. Returns whether it came true. */
  runUntil(ms: number, done: () => boolean): boolean {
    const end = this.now + ms;
    while (!done()) {
      if (this.now >= end) return false;
      this.run(Math.min(10, end - this.now));
    }
    return true;
  }

  /** Delivers everything on the way, and what follows from it. Time stands still. */
  settle(): void {
    for (let steps = 0; this.deliver(); steps++) {
      if (steps > MAX_STEPS) throw new Error("settle does not come to an end");
    }
  }

  /** Delivers the first message that `pick` takes. Returns whether there was one. */
  deliver(pick: (m: Message | NetSnapshot) => boolean = () => true): boolean {
    const at = this.queue.findIndex(({ body }) => !this.#isPaused(body.to) && pick(body));
    const [parcel] = at < 0 ? [] : this.queue.splice(at, 1);
    if (parcel === undefined) return false;
    this.arrive(parcel.body);
    return true;
  }

  /** `body` arrives now, whether it was ever sent or not: late, repeated and forged messages come this way. */
  arrive(body: Message | NetSnapshot): void {
    const member = this.members.get(Number(body.to));
    if (member === undefined || !member.up || this.#cuts.has(`${body.from}>${body.to}`)) {
      if ("state" in body) this.#snapshotEnded(body, false);
      return;
    }
    if ("state" in body) this.#snapshotArrives(member, body);
    else {
      const result = this.#input(Number(member.id), (raft, now) => raft.step(now, body));
      if (result.type === "refused") {
        this.refusals.push(result.reason);
        if (!this.allowRefusals) throw new SafetyError("refused", `${result.reason}: ${render(body)}`);
      }
    }
  }

  /** Puts what was held back into the queue, last. */
  release(): void {
    for (const body of this.held.splice(0)) this.#enqueue(body);
  }

  /** Drops everything on the way. */
  dropAll(): void {
    for (const { body } of this.queue.splice(0)) if ("state" in body) this.#snapshotEnded(body, false);
  }

  cut(a: number, b: number): void {
    this.cutOneWay(a, b);
    this.cutOneWay(b, a);
  }

  cutOneWay(from: number, to: number): void {
    this.#cuts.add(`${BigInt(from)}>${BigInt(to)}`);
  }

  isolate(n: number): void {
    for (const other of this.members.keys()) if (other !== n) this.cut(n, other);
  }

  /** Everybody in `group` is cut off from everybody else. */
  partition(group: readonly number[]): void {
    for (const a of group) for (const b of this.members.keys()) if (!group.includes(b)) this.cut(a, b);
  }

  heal(): void {
    this.#cuts.clear();
  }

  /** Takes the batch that waits, without making it durable. Returns whether there was one. */
  take(n: number): boolean {
    const member = this.member(n);
    if (member.batch !== undefined) return false;
    member.batch = member.raft.takeBatch();
    return member.batch !== undefined;
  }

  /** Makes the batch that is out, or the next one, durable. Returns whether there was one. */
  persist(n: number): boolean {
    const member = this.member(n);
    if (member.batch === undefined) this.take(n);
    if (!this.#write(member)) return false;
    this.#input(n, (raft, now) => {
      raft.persisted(now);
      this.#installReceived(member);
    });
    return true;
  }

  /** Persists until nothing is left, at every member. */
  persistAll(): void {
    for (const [n, member] of this.members) while (member.up && this.persist(n));
  }

  /** The process ends; memory is lost. @param batchReached what was on its way to the disk got there unnoticed */
  crash(n: number, batchReached = false): void {
    const member = this.member(n);
    if (batchReached) this.#write(member);
    member.up = false;
    member.batch = undefined;
    member.received = undefined;
  }

  /**
   * Starts from what the disk holds. @param confFromLog with the newest configuration in its log, committed or not:
   * how the thesis has it, and not how the product does it; only for showing what would go wrong
   */
  restart(n: number, confFromLog = false): void {
    const member = this.member(n);
    member.up = true;
    member.state = member.disk.base;
    member.raft = this.#newRaft(member, confFromLog);
    this.checks.restarted(member.id);
    this.#pump(member);
  }

  /** The state up to `index` became durable and the log before it was cut. */
  compact(n: number, index: number): void {
    this.member(n).disk.compact(index);
    this.#input(n, (raft) => raft.compact(index));
  }

  /** Runs the effects of a member after a test touched it behind the net's back. */
  pump(n: number): void {
    this.#pump(this.member(n));
  }

  /** From now on the clock of `n` runs at `rate`. */
  setRate(n: number, rate: number): void {
    const member = this.member(n);
    member.offsetMs += (member.rate - rate) * this.now;
    member.rate = rate;
  }

  localNow(member: NetMember): number {
    return member.offsetMs + member.rate * this.now;
  }

  #input<T>(n: number, act: (raft: Raft, now: number) => T): T {
    const member = this.member(n);
    if (!member.up) throw new Error(`member ${n} is down`);
    const result = act(member.raft, this.localNow(member));
    this.#pump(member);
    return result;
  }

  #add(n: number, disk: Disk): void {
    const id = BigInt(n);
    const shell = { id, disk, up: true, state: disk.base, batch: undefined, received: undefined };
    const clock = {
      rate: 1,
      offsetMs: 0,
      applyPaused: false,
      paused: false,
      reads: new Map<number, ReadState>(),
    };
    const member: NetMember = { ...shell, ...clock, raft: this.#newRaft({ id, disk, rate: 1, offsetMs: 0 }) };
    this.members.set(n, member);
  }

  #newRaft(member: Pick<NetMember, "id" | "disk" | "rate" | "offsetMs">, confFromLog = false): Raft {
    const random = seededRandom((this.#options.seed ?? 1) * 1000 + Number(member.id) * 100 + this.#starts++);
    const now = member.offsetMs + member.rate * this.now;
    const start = member.disk.start();
    const conf = confFromLog ? replay(member.disk.base, start.entries).conf : start.conf;
    return new Raft({ ...this.#raft, id: member.id }, { ...start, conf }, { random, now });
  }

  #presetDisk(preset: Preset | undefined): Disk {
    const { voters, learners, leaseMs } = this.#options;
    const steps = [
      ...voters.map((n) => ({ type: "addVoter" as const, id: BigInt(n) })),
      ...(learners ?? []).map((n) => ({ type: "addLearner" as const, id: BigInt(n) })),
    ];
    const bootstrap: ConfChange = { joint: false, steps, leaseMs: leaseMs ?? 0 };
    const disk = emptyDisk();
    disk.entries.push({ index: 1, term: 1, type: "conf", data: encodeChange(bootstrap) });
    for (const term of preset?.log ?? []) {
      const index = disk.entries.length + 1;
      disk.entries.push({ index, term, type: "normal", data: Buffer.from(`${index}.${term}`) });
    }
    const term = preset?.term ?? disk.entries[disk.entries.length - 1]?.term ?? 1;
    disk.hardState = { term, vote: BigInt(preset?.vote ?? 0), commit: preset?.commit ?? 1 };
    return disk;
  }

  /** Does what a member's driver does after every input, as far as nothing has to wait. */
  #pump(member: NetMember): void {
    for (let again = true; again; ) {
      again = this.#apply(member);
      for (const m of member.raft.takeMessages()) this.#send(member, m);
      for (const state of member.raft.takeReadStates()) this.#answered(member, state);
      for (const { to } of member.raft.takeSnapshotsWanted()) this.#openSnapshot(member, to);
      if (this.manualPersist || member.batch !== undefined) continue;
      member.batch = member.raft.takeBatch();
      if (this.#write(member)) {
        member.raft.persisted(this.localNow(member));
        this.#installReceived(member);
        again = true;
      }
    }
    const running = [...this.members.values()].filter((m) => m.up);
    this.checks.after(member, running);
  }

  #apply(member: NetMember): boolean {
    if (member.applyPaused) return false;
    const entries = member.raft.takeCommitted(1000, 1 << 20);
    for (const entry of entries) this.#applyOne(member, entry);
    return entries.length > 0;
  }

  #applyOne(member: NetMember, entry: Entry): void {
    const now = this.localNow(member);
    member.state = replay(member.state, [entry]);
    if (entry.type === "conf") member.raft.applyConfChange(now, entry.index, decodeChange(entry.data));
    member.raft.appliedTo(now, entry.index);
  }

  #write(member: NetMember): boolean {
    if (member.batch === undefined) return false;
    member.disk.write(member.batch, member.received);
    member.batch = undefined;
    return true;
  }

  #send(member: NetMember, m: Message): void {
    this.checks.sending(member, m);
    this.sent.push(m);
    const verdict = this.intercept(m);
    if (verdict === "pass") this.#enqueue(m);
    else if (verdict === "hold") this.held.push(m);
  }

  #enqueue(body: Message | NetSnapshot): void {
    this.queue.push({ at: this.now + (this.#options.latencyMs ?? 0), body });
  }

  #answered(member: NetMember, state: ReadState): void {
    const n = Number(member.id);
    if (member.reads.has(state.waiter)) throw new Error(`waiter ${state.waiter} was answered twice`);
    member.reads.set(state.waiter, state);
    const committed = this.#asked.get(`${n}/${state.waiter}`) ?? 0;
    if (state.type !== "ready" || state.index >= committed) return;
    this.staleReads.push({ member: n, waiter: state.waiter, index: state.index, committed });
    if (this.#options.throwOnStaleRead !== false) {
      throw new SafetyError("stale read", `member ${n} reads at ${state.index}, committed was ${committed}`);
    }
  }

  #openSnapshot(member: NetMember, to: bigint): void {
    const state = member.state;
    member.raft.snapshotOpened(this.localNow(member), to, state.index);
    this.snapshotsSent++;
    this.#enqueue({ from: member.id, to, term: member.raft.term, state });
  }

  #snapshotArrives(member: NetMember, snapshot: NetSnapshot): void {
    const { index, term, conf } = snapshot.state;
    const { from, to } = snapshot;
    this.#input(Number(member.id), (raft, now) => {
      // The state lies complete on disk before the core hears of it.
      const before = member.received;
      member.received = snapshot.state;
      const taken = raft.restoreSnapshot(now, { from, to, term: snapshot.term, meta: { index, term, conf } });
      if (taken.type === "ignored") member.received = before;
    });
    this.#snapshotEnded(snapshot, true);
  }

  #snapshotEnded(snapshot: NetSnapshot, ok: boolean): void {
    const sender = this.members.get(Number(snapshot.from));
    if (sender === undefined || !sender.up) return;
    this.#input(Number(sender.id), (raft, now) => raft.snapshotStatus(now, snapshot.to, ok));
  }

  #installReceived(member: NetMember): void {
    const state = member.received;
    if (state === undefined || member.disk.base.index !== state.index) return;
    member.received = undefined;
    member.state = state;
    member.raft.snapshotInstalled(this.localNow(member), state.index);
  }

  #jump(member: NetMember, local: number): void {
    const behind = local - this.localNow(member);
    if (behind > 0) member.offsetMs += behind;
  }

  #nextDue(): number {
    return this.queue.find(({ body }) => !this.#isPaused(body.to))?.at ?? Number.POSITIVE_INFINITY;
  }

  #isPaused(id: bigint): boolean {
    return this.members.get(Number(id))?.paused === true;
  }

  #nextWake(): { at: number; member: NetMember | undefined } {
    let at = Number.POSITIVE_INFINITY;
    let first: NetMember | undefined;
    for (const member of this.members.values()) {
      if (!member.up || member.paused) continue;
      const wake = Math.max(this.now, (member.raft.nextWake() - member.offsetMs) / member.rate);
      if (wake < at) [at, first] = [wake, member];
    }
    return { at, member: first };
  }
}

function emptyDisk(): Disk {
  return new Disk({ index: 0, term: 0, conf: EMPTY_CONF, values: [] });
}

/** Text of an entry's data. */
export function textAt(raft: Raft, index: number): string {
  return textOf(raft.entryAt(index)?.data ?? new Uint8Array(0));
}
