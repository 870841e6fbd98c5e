/**
 * Drives one member: gives it its inputs, each with the time at which it is handled, and carries out what it wants
 * done. What the services (`rpc/`) and the peers (`peer/`) hold of a member is this class. It decides nothing about
 * the state; that is the member's.
 *
 * The rule of the pump: one input at a time, and all effects of it before the next. What comes in while effects are
 * carried out waits in line. Nothing is ever awaited in between, so a completion finds the state that it left.
 */
import type { ListedMember } from "../apply/index.ts";
import { type ClusterId, ERR, fail, hex, type InstanceId, type MemberId, NO_MEMBER } from "../base/index.ts";
import type { BackendMeta, MonoMs, PeerHandler, PeerStanding, SnapshotTaker } from "../env/index.ts";
import type { Answer, Effects, Member, MemberStatus, ReceivedSnapshot, Request } from "../member/index.ts";
import type { PeerDirectory, Relay } from "../pb/index.ts";
import type { Message, SnapshotMeta } from "../raft/index.ts";
import type { MemberFacade, StoreFacts, WatchFacade } from "../rpc/facade.ts";
import type { Wal } from "../wal/index.ts";
import { DriverError, type FailedPart, failureOf } from "./errors.ts";
import { loadState } from "./loading.ts";
import { LogPump } from "./log-writer.ts";
import { Relays, relayable } from "./relays.ts";
import { REFUSING, SnapshotIn } from "./snapshot-in.ts";
import { SnapshotOut } from "./snapshot-out.ts";
import { States } from "./states.ts";
import { closeInOrder } from "./stopping.ts";
import type { DriverOptions, DriverPorts } from "./types.ts";
import { given, Waiters } from "./waiters.ts";
import { WakeUp } from "./wake-up.ts";
import { CLOSED_DOOR, type DoorHost, openDoor } from "./watch-door.ts";

/** Most inputs in line; requests beyond it are refused, and messages dropped. Completions are always taken. */
const MAX_IN_LINE = 10_000;

/** What a driver starts from; made by `openDriver`. */
export interface DriverStart {
  readonly member: Member;
  readonly wal: Wal;
  readonly states: ConstructorParameters<typeof States>[1];
  /** Called once, when the member cannot go on. Everything is being closed; `stop` says when that is done. */
  readonly onFailure: (error: DriverError) => void;
}

export class Driver implements MemberFacade, PeerHandler {
  readonly cluster: ClusterId;
  readonly member: MemberId;
  readonly instance: InstanceId;
  readonly #options: DriverOptions;
  readonly #ports: DriverPorts;
  readonly #machine: Member;
  readonly #onFailure: (error: DriverError) => void;
  readonly #log: LogPump;
  readonly #states: States;
  readonly #out: SnapshotOut;
  readonly #in: SnapshotIn;
  readonly #wakeUp: WakeUp;
  readonly #waiters = new Waiters();
  readonly #relays: Relays;
  readonly #doorHost: DoorHost;
  /** `starting`: nothing goes in or out yet. `over`: stopped or failed, nothing does any more. */
  #phase: "starting" | "running" | "over" = "starting";
  #isPumping = false;
  readonly #inLine: ((now: MonoMs) => void)[] = [];
  #members: readonly ListedMember[] | undefined;
  #leadership: Pick<MemberStatus, "role" | "term" | "leader"> = {
    role: "follower",
    term: 0,
    leader: NO_MEMBER,
  };
  #installing: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;
  #markEnded: () => void = () => undefined;
  /** Resolves when the member has ended or failed. */
  readonly #ended: Promise<void>;

  constructor(options: DriverOptions, ports: DriverPorts, start: DriverStart) {
    const { id, instance } = options.member;
    this.cluster = options.cluster;
    this.member = id;
    this.instance = instance;
    this.#options = options;
    this.#ports = ports;
    this.#machine = start.member;
    this.#onFailure = start.onFailure;
    const { log, peers, files, states, clock } = ports;
    this.#log = new LogPump(start.wal, files, {
      persisted: (seq) => this.#give((now) => this.#machine.persisted(now, seq)),
      logFailed: (error) => this.#fail("log", error),
    });
    const stateFailed = (error: unknown): void => this.#fail("state", error);
    this.#states = new States(states, start.states, {
      backendDurable: (seq) => this.#give((now) => this.#machine.backendDurable(now, seq)),
      isInstalling: () => this.#installing !== undefined || this.#machine.isInstalling,
      stateFailed,
    });
    this.#out = new SnapshotOut(id, {
      peers,
      log,
      events: {
        snapshotOpened: (stream, meta) =>
          this.#give((now) => this.#machine.snapshotOpened(now, stream, meta)),
        snapshotSent: (stream, ok) => this.#give((now) => this.#machine.snapshotSent(now, stream, ok)),
        stateFailed,
      },
    });
    const snapshotReceived = (snapshot: ReceivedSnapshot): void =>
      this.#give((now) => this.#machine.snapshotReceived(now, snapshot));
    const programFailed = (error: unknown): void => this.#fail("program", error);
    this.#in = new SnapshotIn(id, { states: this.#states, log, events: { snapshotReceived, programFailed } });
    this.#wakeUp = new WakeUp(clock, () => this.#give((now) => this.#machine.tick(now)), programFailed);
    this.#ended = new Promise((resolve) => {
      this.#markEnded = resolve;
    });
    this.#relays = new Relays({
      clock,
      peers,
      timeoutMs: options.member.requestTimeoutMs,
      leader: () => (this.#machine.leader === this.member ? NO_MEMBER : this.#machine.leader),
      ask: (request) => this.#ask(request),
    });
    this.#doorHost = {
      use: (run, otherwise) => this.#use(run, otherwise),
      afterwards: (run) => this.#afterwards(run),
    };
  }

  /** Begins to run: the peers are known, the effects of opening are carried out. Once, by `openDriver`. */
  begin(): void {
    if (this.#phase !== "starting") return;
    this.#phase = "running";
    this.#give(() => undefined);
    this.#log.prepare();
  }

  request(request: Request, signal?: AbortSignal): Promise<Answer> {
    const relayed = relayable(request);
    const answered = this.#ask(request, signal);
    if (relayed === undefined) return answered;
    return answered.then((answer) => {
      const isElsewhere = answer.type === "refused" && answer.error === ERR.notLeader;
      return isElsewhere ? this.#relays.ask(relayed, signal) : answer;
    });
  }

  #ask(request: Request, signal?: AbortSignal): Promise<Answer> {
    if (signal?.aborted === true) return Promise.resolve(given(0));
    if (this.#phase !== "running") return Promise.resolve({ type: "refused", id: 0, error: ERR.stopped });
    if (this.#inLine.length >= MAX_IN_LINE) {
      return Promise.resolve({ type: "refused", id: 0, error: ERR.tooManyRequests });
    }
    return new Promise((resolve) => {
      const id = this.#waiters.add(request, signal, resolve);
      this.#give((now) => this.#machine.request(now, id, request));
    });
  }

  openWatch(onReady: () => void): WatchFacade {
    const { watch } = this.#machine;
    return this.#use(() => openDoor((ready) => watch.open(ready), onReady, this.#doorHost), CLOSED_DOOR);
  }

  status(): MemberStatus {
    return this.#machine.status();
  }

  members(): readonly ListedMember[] {
    return this.#machine.members();
  }

  store(): StoreFacts {
    const { store, usedBytes, alarms } = this.#machine.kv;
    return {
      revision: store.revision,
      compactRevision: Math.max(0, store.compactRevision),
      usedBytes,
      quotaBytes: this.#options.member.quotaBytes,
      alarms: alarms.list(),
    };
  }

  standing(id: MemberId): PeerStanding {
    const { known, removed, pinnedInstance } = this.#machine.peerRecord(id);
    if (removed) return { type: "removed" };
    return known ? { type: "known", pinnedInstance } : { type: "unknown" };
  }

  directory(): PeerDirectory {
    const members = this.#machine.members().map(({ id, peerUrls }) => {
      return { id, peerUrls, isStarted: this.#machine.peerRecord(id).pinnedInstance !== 0n };
    });
    return { cluster: this.cluster, applied: this.#machine.status().applied, members };
  }

  receive(message: Message): void {
    if (this.#inLine.length < MAX_IN_LINE) this.#give((now) => this.#machine.step(now, message));
  }

  relayed(from: MemberId, relay: Relay): void {
    this.#relays.take(from, relay);
  }

  unreachable(peer: MemberId): void {
    this.#relays.lost(peer);
    this.#give((now) => this.#machine.unreachable(now, peer));
  }

  snapshot(from: MemberId): SnapshotTaker {
    return this.#phase === "running" ? this.#in.open(from) : REFUSING;
  }

  /**
   * Hands leadership over, lets those who wait have their answers as far as an election timeout allows, and closes
   * everything. Resolves when all is closed, also after a failure. Never rejects. Idempotent.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /** For judges of a run: the machine, to look at between two inputs. */
  get machine(): Pick<Member, "checkInvariants" | "stateHash" | "kv" | "identityOf" | "entryAt" | "isEnded"> {
    return this.#machine;
  }

  /** For judges of a run: the number of the request that was taken last, also of one that another member relayed. */
  get lastRequest(): number {
    return this.#waiters.lastId;
  }

  /** Gives the member an input, now or when those before it are done. */
  #give(input: (now: MonoMs) => void): void {
    if (this.#phase !== "running") return;
    this.#inLine.push(input);
    if (this.#isPumping) return;
    this.#isPumping = true;
    try {
      for (let next = this.#inLine.shift(); next !== undefined; next = this.#inLine.shift()) {
        next(this.#ports.clock.now());
        this.#carryOut(this.#machine.takeEffects());
      }
    } catch (error) {
      this.#fail("member", error);
    } finally {
      this.#isPumping = false;
    }
    this.#settle();
  }

  /** Persist first, so that the disk works while the rest is done; messages do not wait for it. */
  #carryOut(effects: Effects): void {
    if (effects.fatal !== undefined) {
      for (const answer of effects.answers) this.#waiters.answer(answer);
      this.#fail("member", new DriverError("member", effects.fatal));
      return;
    }
    if (effects.persist !== undefined) this.#log.persist(effects.persist);
    if (effects.messages.length > 0) this.#ports.peers.send(effects.messages);
    if (effects.backend !== undefined) this.#states.write(effects.backend);
    for (const answer of effects.answers) this.#waiters.answer(answer);
    for (const send of effects.snapshotSends) this.#out.start(send, this.#states.backend);
    for (const stream of effects.snapshotStops) this.#out.stop(stream);
    if (effects.installSnapshot !== undefined) this.#install(effects.installSnapshot);
    if (effects.discardSnapshots.length > 0) this.#states.maybeTidy();
    if (effects.releaseLog !== undefined) this.#log.release(effects.releaseLog);
    for (const { from, reason } of effects.refused) {
      this.#ports.log.debug({ from: hex(from), reason }, "peer message refused");
    }
  }

  /** What follows from a state that has come to rest. */
  #settle(): void {
    if (this.#phase !== "running") return;
    const { isEnded } = this.#machine;
    const members = this.#machine.members();
    if (members !== this.#members) {
      this.#members = members;
      const others = members.filter(({ id }) => id !== this.member);
      const urlsOf = (id: MemberId, known: readonly string[]): readonly string[] =>
        known.length > 0 ? known : this.#options.addressOf(id);
      this.#ports.peers.setPeers(others.map(({ id, peerUrls }) => ({ id, urls: urlsOf(id, peerUrls) })));
    }
    this.#noteLeadership();
    if (isEnded) this.#markEnded();
    else this.#wakeUp.arrange(this.#machine.nextWake());
  }

  #noteLeadership(): void {
    const { role, term, leader } = this.#machine;
    const known = this.#leadership;
    if (role === known.role && term === known.term && leader === known.leader) return;
    this.#leadership = { role, term, leader };
    this.#ports.log.info({ role, term, leader: hex(leader) }, "leadership changed");
  }

  /** Uses the member between two inputs. */
  #use<T>(run: (now: MonoMs) => T, otherwise: T): T {
    if (this.#phase !== "running") return otherwise;
    if (this.#isPumping) fail("a watch stream is used from inside an input");
    let result = otherwise;
    try {
      result = run(this.#ports.clock.now());
    } catch (error) {
      this.#fail("state", error);
    }
    this.#settle();
    return result;
  }

  /** Bounded by the streams: each asks once until it was drained. */
  #afterwards(run: () => void): void {
    Promise.resolve()
      .then(() => {
        if (this.#phase === "running") run();
      })
      .catch((error: unknown) => this.#fail("program", error));
  }

  /** The log names another state from now on. */
  #install(meta: SnapshotMeta): void {
    const installing = this.#takeOver(meta)
      .catch((error: unknown) => this.#fail("state", error))
      .finally(() => {
        this.#installing = undefined;
        this.#states.maybeTidy();
      });
    this.#installing = installing;
  }

  async #takeOver({ index }: BackendMeta): Promise<void> {
    const release = await this.#states.hold();
    try {
      const backend = await this.#states.open(index);
      if (this.#phase !== "running") return await backend.close();
      const loaded = await loadState(this.#options.member, backend, index, this.#ports.clock);
      if (this.#phase !== "running") return await backend.close();
      const before = this.#states.replace(backend, index);
      this.#give((now) => this.#machine.snapshotInstalled(now, loaded));
      this.#ports.log.info({ index }, "snapshot installed");
      await this.#out.letGoOf(before);
      await before.close();
    } finally {
      release();
    }
  }

  #fail(part: FailedPart, thrown: unknown): void {
    if (this.#phase === "over") return;
    this.#phase = "over";
    const error = failureOf(part, thrown);
    this.#ports.log.error({ part: error.part, reason: error.message }, "member failed");
    this.#inLine.length = 0;
    this.#wakeUp.stop();
    this.#waiters.drain(error.message);
    this.#relays.drain();
    this.#markEnded();
    // Closing waits for disks; whoever runs the process may not want to. It never rejects.
    void this.stop();
    this.#onFailure(error);
  }

  async #stop(): Promise<void> {
    this.#give((now) => this.#machine.stop(now));
    if (this.#phase === "running") await this.#ended;
    this.#phase = "over";
    this.#wakeUp.stop();
    this.#waiters.drain(ERR.stopped.message);
    this.#relays.drain();
    const { peers, files, lock, log } = this.#ports;
    await closeInOrder(log, [
      ["peer transport", () => peers.close()],
      ["snapshot streams", () => Promise.all([this.#out.stopAll(), this.#in.stop()])],
      ["snapshot that is being installed", () => this.#installing],
      ["state", () => this.#states.close()],
      ["log", () => this.#log.stop()],
      ["log files", () => files.close()],
      ["directory lock", () => lock.release()],
    ]);
  }
}
