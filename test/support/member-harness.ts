/**
 * A few real members in one process, with a disk that keeps only what was reported durable and a network that
 * delivers at once. Time moves only when a test moves it. Tests reach in: they cut links, hold disks, look at
 * messages, crash members. Every message and snapshot frame passes its codec, so no object is shared.
 */
import { AssertionError } from "../../src/base/index.ts";
import type {
  BackendBatch,
  BackendState,
  PersistBatch,
  Random,
  RecordReader,
  RecoveredLog,
} from "../../src/env/index.ts";
import {
  type Answer,
  bootstrapLog,
  cutSnapshot,
  DEFAULT_OPTIONS,
  type Effects,
  emptyLog,
  emptyState,
  type Member,
  type MemberOptions,
  openMember,
  type Request,
  SnapshotReceiver,
  type SnapshotSend,
} from "../../src/member/index.ts";
import {
  decodeMessage,
  decodeSnapshotFrame,
  encodeMessage,
  encodeSnapshotFrame,
} from "../../src/pb/index.ts";
import type { Entry, Message } from "../../src/raft/index.ts";

/** A small generator with a full period; good enough to spread timeouts. */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return {
    int(lo, hi) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      const high = state;
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      const value = (high & 0x1f_ffff) * 2 ** 32 + state;
      return lo + (value % (hi - lo));
    },
  };
}

/** What survives a crash of a member: its log and its state directories. */
export class Disk {
  log: RecoveredLog;
  readonly directories = new Map<number, BackendState>();

  constructor(log: RecoveredLog) {
    this.log = log;
    this.directories.set(0, emptyState());
  }

  get state(): BackendState {
    const state = this.directories.get(this.log.snapshot?.index ?? 0);
    if (state === undefined) throw new AssertionError("the log names a directory that is not there", {});
    return state;
  }

  /** Reads records of the directory that is in use now, also when it is no longer. */
  reader(): RecordReader {
    const directory = this.log.snapshot?.index ?? 0;
    return { get: (name) => this.directories.get(directory)?.records.get(name) };
  }

  /** Makes a batch durable: snapshot record, entries, hard state. */
  persist(batch: PersistBatch): void {
    let { hardState, snapshot, base, entries } = this.log;
    if (batch.snapshot !== undefined) {
      snapshot = batch.snapshot;
      const at = entries.findIndex((entry) => entry.index === batch.snapshot?.index);
      if (entries[at]?.term !== batch.snapshot.term) {
        base = { index: batch.snapshot.index, term: batch.snapshot.term };
        entries = [];
      }
    }
    const first = batch.entries[0];
    if (first !== undefined) {
      entries = [...entries.filter((entry) => entry.index < first.index), ...batch.entries.map(copyEntry)];
    }
    if (batch.hardState !== undefined) hardState = batch.hardState;
    this.log = { hardState, snapshot, base, entries };
  }

  release(index: number): void {
    const { base, entries } = this.log;
    const kept = entries.filter((entry) => entry.index > index);
    const last = entries[entries.length - kept.length - 1];
    this.log = {
      ...this.log,
      base: last === undefined ? base : { index: last.index, term: last.term },
      entries: kept,
    };
  }

  save(directory: number, batch: BackendBatch): void {
    const records = new Map(this.directories.get(directory)?.records);
    for (const name of batch.deletes) records.delete(name);
    for (const [name, value] of batch.puts) records.set(name, value.slice());
    this.directories.set(directory, { index: batch.index, term: batch.term, conf: batch.conf, records });
  }
}

/** Where a member of these clusters would listen. */
export function peerUrlOf(id: bigint): string {
  return `http://member-${id}:2380`;
}

function copyEntry(entry: Entry): Entry {
  return { ...entry, data: entry.data.slice() };
}

export interface Node {
  readonly id: bigint;
  readonly options: MemberOptions;
  readonly disk: Disk;
  /** undefined while it is down. */
  member: Member | undefined;
  /** True: it reads records from its disk, as with a real backend; else it keeps them in memory. */
  readonly readsDisk: boolean;
  /** True: persist batches stay on their way until `flush`. */
  holdLog: boolean;
  holdBackend: boolean;
  logBatch: PersistBatch | undefined;
  backendBatch: { readonly directory: number; readonly batch: BackendBatch } | undefined;
  readonly answers: Answer[];
  readonly refused: string[];
  readonly released: number[];
  readonly discarded: number[];
  readonly installed: number[];
  readonly stopped: number[];
  fatal: string | undefined;
}

export class Cluster {
  now = 0;
  readonly nodes = new Map<bigint, Node>();
  /** Every message that left a member, whether it arrived or not. */
  readonly sent: Message[] = [];
  /** Decides what arrives. */
  passes: (message: Message) => boolean = () => true;
  /** Streams wait here instead of being sent when true. */
  holdSnapshots = false;
  readonly heldSnapshots: { readonly from: bigint; readonly send: SnapshotSend }[] = [];
  readonly #queue: Message[] = [];
  #nextRequest = 1;
  #seed: number;

  constructor(seed = 1) {
    this.#seed = seed;
  }

  /** Starts a cluster of these members from one first entry. */
  static start(
    ids: readonly bigint[],
    options: Partial<MemberOptions> & { leaseMs?: number; readsDisk?: boolean } = {},
  ): Cluster {
    const cluster = new Cluster();
    const { leaseMs, ...rest } = options;
    const voters = ids.map((id) => ({ id, peerUrls: [peerUrlOf(id)] }));
    for (const id of ids) cluster.add(id, rest, bootstrapLog({ voters, leaseMs: leaseMs ?? 0 }).log);
    return cluster;
  }

  /** Adds and starts a member, one that joins unless a log is given. */
  add(
    id: bigint,
    { readsDisk = false, ...options }: Partial<MemberOptions> & { readsDisk?: boolean } = {},
    log: RecoveredLog = emptyLog(),
  ): Node {
    const node: Node = {
      id,
      options: {
        ...DEFAULT_OPTIONS,
        id,
        instance: id * 100n + 7n,
        name: `m${id}`,
        clientUrls: [`http://member-${id}:2379`],
        ...options,
      },
      readsDisk,
      disk: new Disk(log),
      member: undefined,
      holdLog: false,
      holdBackend: false,
      logBatch: undefined,
      backendBatch: undefined,
      answers: [],
      refused: [],
      released: [],
      discarded: [],
      installed: [],
      stopped: [],
      fatal: undefined,
    };
    this.nodes.set(id, node);
    this.open(node);
    return node;
  }

  open(node: Node): void {
    const below = node.readsDisk ? node.disk.reader() : undefined;
    const recovered = { log: node.disk.log, state: node.disk.state, below };
    const opened = openMember(node.options, recovered, { random: seeded(this.#seed++ * 7919) }, this.now);
    if (opened.type === "refused") throw new AssertionError(opened.reason, {});
    node.member = opened.member;
    this.pump();
  }

  /** The process ends at once: what was not reported durable is lost. */
  crash(node: Node): void {
    node.member = undefined;
    node.logBatch = undefined;
    node.backendBatch = undefined;
  }

  node(id: bigint): Node {
    const node = this.nodes.get(id);
    if (node === undefined) throw new AssertionError("no such member", { id });
    return node;
  }

  member(id: bigint): Member {
    const { member } = this.node(id);
    if (member === undefined) throw new AssertionError("the member is down", { id });
    return member;
  }

  /** Feeds one input to a member and lets everything that follows happen. */
  input(id: bigint, feed: (member: Member, now: number) => void): void {
    feed(this.member(id), this.now);
    this.pump();
  }

  /** Sends a client's request; returns its number. */
  request(id: bigint, request: Request): number {
    const number = this.#nextRequest++;
    this.input(id, (member, now) => member.request(now, number, request));
    return number;
  }

  /** The answer to a request, if there is one; a second one is a failure. */
  answer(id: bigint, number: number): Answer | undefined {
    const found = this.node(id).answers.filter((answer) => answer.id === number);
    if (found.length > 1) throw new AssertionError("two answers to one request", { number });
    return found[0];
  }

  /** Lets time pass, waking members when they ask for it. */
  advance(ms: number): void {
    const end = this.now + ms;
    for (let wakes = 0; ; wakes++) {
      if (wakes > 1_000_000) throw new AssertionError("members wake for ever", { now: this.now });
      let next = Number.POSITIVE_INFINITY;
      for (const { member } of this.nodes.values()) if (member) next = Math.min(next, member.nextWake());
      if (next > end) break;
      this.now = Math.max(this.now, next);
      for (const { member } of this.nodes.values()) {
        if (member && member.nextWake() <= this.now) member.tick(this.now);
      }
      this.pump();
    }
    this.now = end;
  }

  /** Lets time pass until `done`, at most `ms`. */
  until(done: () => boolean, ms = 20_000): void {
    const end = this.now + ms;
    while (!done()) {
      if (this.now >= end) throw new AssertionError("it did not happen in time", { now: this.now });
      this.advance(10);
    }
  }

  /** The member that leads the highest term. */
  leader(): bigint {
    let best: { id: bigint; term: number } | undefined;
    for (const { id, member } of this.nodes.values()) {
      const status = member?.status();
      if (status?.role === "leader" && status.term > (best?.term ?? 0)) best = { id, term: status.term };
    }
    return best?.id ?? 0n;
  }

  /** Waits for a leader that has committed in its term and that every running member of its configuration follows. */
  elect(): bigint {
    this.until(() => {
      const leader = this.leader();
      if (leader === 0n) return false;
      const { commit, conf, lastIndex } = this.member(leader).status();
      if (commit !== lastIndex) return false;
      const ids = [...conf.voters, ...conf.learners].filter((id) => this.nodes.get(id)?.member);
      return ids.every((id) => this.member(id).status().leader === leader);
    });
    return this.leader();
  }

  /** Anybody but this one, who is up. */
  other(...ids: bigint[]): bigint {
    for (const { id, member } of this.nodes.values()) if (member && !ids.includes(id)) return id;
    throw new AssertionError("there is no other member", {});
  }

  /** Cuts a member off, both ways. */
  isolate(...ids: bigint[]): void {
    this.passes = (message) => ids.includes(message.from) === ids.includes(message.to);
  }

  heal(): void {
    this.passes = () => true;
  }

  /** Sends a request and waits for its answer. */
  ask(id: bigint, request: Request, ms = 5_000): Answer {
    const number = this.request(id, request);
    this.until(() => this.answer(id, number) !== undefined, ms);
    const answer = this.answer(id, number);
    if (answer === undefined) throw new AssertionError("no answer", { number });
    return answer;
  }

  /** The held log batch becomes durable. */
  flush(node: Node): void {
    node.holdLog = false;
    this.#completeLog(node);
    this.pump();
  }

  flushBackend(node: Node): void {
    node.holdBackend = false;
    this.#completeBackend(node);
    this.pump();
  }

  /** Sends the snapshot streams that were held. */
  releaseSnapshots(): void {
    this.holdSnapshots = false;
    for (const { from, send } of this.heldSnapshots.splice(0)) this.#stream(this.node(from), send);
    this.pump();
  }

  /** Carries out effects and delivers messages until nothing moves. */
  pump(): void {
    for (let rounds = 0; ; rounds++) {
      if (rounds > 100_000) throw new AssertionError("messages go round for ever", {});
      let moved = false;
      for (const node of this.nodes.values()) if (node.member && this.#act(node)) moved = true;
      const message = this.#queue.shift();
      if (message !== undefined) {
        this.#deliver(message);
        moved = true;
      }
      if (!moved) return;
    }
  }

  /** Hands a message to its receiver as if it had just arrived. */
  deliver(message: Message): void {
    this.#deliver(message);
    this.pump();
  }

  #deliver(message: Message): void {
    const node = this.nodes.get(message.to);
    if (!node?.member || !this.passes(message)) return;
    const decoded = decodeMessage(encodeMessage(message));
    if (decoded.type === "refused") throw new AssertionError(decoded.reason, {});
    node.member.step(this.now, decoded.value);
  }

  #act(node: Node): boolean {
    const { member } = node;
    if (!member) return false;
    const effects = member.takeEffects();
    member.checkInvariants();
    node.answers.push(...effects.answers);
    for (const { reason } of effects.refused) node.refused.push(reason);
    node.stopped.push(...effects.snapshotStops);
    for (const meta of effects.discardSnapshots) {
      node.discarded.push(meta.index);
      node.disk.directories.delete(meta.index);
    }
    if (effects.releaseLog !== undefined) {
      node.released.push(effects.releaseLog);
      node.disk.release(effects.releaseLog);
    }
    node.fatal ??= effects.fatal;
    for (const message of effects.messages) {
      this.sent.push(message);
      this.#queue.push(message);
    }
    return this.#store(node, effects) || effects.messages.length > 0;
  }

  #store(node: Node, effects: Effects): boolean {
    const { member, disk } = node;
    if (!member) return false;
    let moved = false;
    if (effects.installSnapshot !== undefined) {
      node.installed.push(effects.installSnapshot.index);
      member.snapshotInstalled(this.now, disk.state, node.readsDisk ? disk.reader() : undefined);
      moved = true;
    }
    if (effects.backend !== undefined) {
      node.backendBatch = { directory: disk.log.snapshot?.index ?? 0, batch: effects.backend };
      if (!node.holdBackend) moved = this.#completeBackend(node) || moved;
    }
    if (effects.persist !== undefined) {
      if (node.logBatch !== undefined) throw new AssertionError("two batches in flight", {});
      node.logBatch = effects.persist;
      if (!node.holdLog) moved = this.#completeLog(node) || moved;
    }
    for (const send of effects.snapshotSends) {
      if (this.holdSnapshots) this.heldSnapshots.push({ from: node.id, send });
      else this.#stream(node, send);
      moved = true;
    }
    return moved;
  }

  #completeLog(node: Node): boolean {
    const batch = node.logBatch;
    if (batch === undefined) return false;
    node.logBatch = undefined;
    node.disk.persist(batch);
    node.member?.persisted(this.now, batch.seq);
    return true;
  }

  #completeBackend(node: Node): boolean {
    const flight = node.backendBatch;
    if (flight === undefined) return false;
    node.backendBatch = undefined;
    node.disk.save(flight.directory, flight.batch);
    node.member?.backendDurable(this.now, flight.batch.seq);
    return true;
  }

  #stream(node: Node, send: SnapshotSend): void {
    const { member } = node;
    if (!member) return;
    const state = node.disk.state;
    const { index, term, conf } = state;
    member.snapshotOpened(this.now, send.stream, { index, term, conf });
    const target = this.nodes.get(send.to);
    const header = { stream: send.stream, from: node.id, to: send.to, term: send.term };
    const probe: Message = { type: "timeoutNow", from: node.id, to: send.to, term: send.term };
    if (!target?.member || !this.passes(probe)) {
      member.snapshotSent(this.now, send.stream, false);
      return;
    }
    const receiver = new SnapshotReceiver(send.to);
    for (const frame of cutSnapshot(header, state, 64)) {
      const decoded = decodeSnapshotFrame(encodeSnapshotFrame(frame));
      if (decoded.type === "refused") throw new AssertionError(decoded.reason, {});
      const received = receiver.take(decoded.value);
      if (received.type === "refused") throw new AssertionError(received.reason, {});
      if (received.type !== "complete") continue;
      // A directory that is in use is never filled a second time.
      if (target.disk.state.index !== received.meta.index || index === 0) {
        target.disk.directories.set(received.meta.index, received.state);
      }
      target.member.snapshotReceived(this.now, received);
      member.snapshotSent(this.now, send.stream, true);
    }
  }
}
