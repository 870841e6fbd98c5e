/**
 * The clients that watch: each holds one stream at one member, with a few watchers on it, takes what is queued after a
 * while that may be long, and when its member dies goes on at another one where it had stopped.
 *
 * A stream is used as a transport uses it: creates come as events of the machine, answers are taken when the hub says
 * that there are some. What was queued in a process that dies is lost with it.
 */
import { decodeEvent } from "../../src/pb/index.ts";
import type { Event } from "../../src/pb/kv.ts";
import type { WatchCreate, WatchOutput, WatchStream } from "../../src/watch/types.ts";
import type { WatchAnswer, WatchRecord } from "../check/kv-history.ts";
import type { Machine } from "./machine.ts";
import type { Plan } from "./plan.ts";
import { type Knowledge, RequestDraw } from "./requests.ts";
import { Rng } from "./rng.ts";
import type { EventQueue } from "./scheduler.ts";
import type { Sometimes } from "./sometimes.ts";
import { violate } from "./violation.ts";

const TRIP_US = 200;
/** How long a client that is slow leaves what is queued; longer than many writes take. */
const SLOW_US = 3_000_000;
/** Most responses that a client takes at once. */
const TAKE = 64;
/** A client looks again after this when it could not connect, or its member died. */
const RECONNECT_US = 80_000;
const MAX_WATCHERS = 3;
/** Clients' numbers of streams start here, apart from those that write. */
const FIRST_CLIENT = 1_000;
/** Bytes of tag and length before an encoded event: the tag is one byte, the length at most four. */
const EVENT_TAG = (11 << 3) | 2;

/** A watcher as it grows; becomes a WatchRecord. */
interface Watcher {
  readonly id: number;
  readonly connection: number;
  readonly slot: number;
  readonly stream: number;
  readonly request: WatchCreate;
  readonly call: number;
  readonly answers: WatchAnswer[];
  cancelAsked: number;
  closed: number;
  watchId: number;
  /** Where to go on: the revision after the last one that it was told of. */
  next: number;
  ended: boolean;
}

interface Client {
  readonly number: number;
  rng: Rng;
  turns: number;
  /** The turn that is scheduled; an earlier one that is still in the queue is void. */
  due: number;
  target: number;
  stream: WatchStream | undefined;
  streamNumber: number;
  slot: number;
  boot: number;
  /** A take is scheduled. */
  taking: boolean;
  /** Watchers of the stream that is open, created or not. */
  readonly watchers: Watcher[];
  /** What to ask for again on the next stream. */
  readonly resume: { readonly request: WatchCreate; readonly next: number }[];
}

/** What watching clients need of the world. */
export interface WatchersHost {
  readonly queue: EventQueue;
  readonly sometimes: Sometimes;
  readonly knowledge: Knowledge;
  targets(): readonly number[];
  machineAt(slot: number): Machine;
  /** Whether the machine is a member, by what the leader has applied. */
  isServing(slot: number): boolean;
}

/** All watching clients of one run. */
export class Watchers {
  readonly records: Watcher[] = [];
  readonly #plan: Plan;
  readonly #host: WatchersHost;
  readonly #clients: Client[] = [];
  #streams = 0;
  #stopped = false;

  constructor(plan: Plan, host: WatchersHost) {
    this.#plan = plan;
    this.#host = host;
    for (let i = 0; i < plan.config.watchers; i++) {
      const number = FIRST_CLIENT + i;
      const client: Client = {
        number,
        rng: new Rng(plan.seed, `watcher ${i}`),
        turns: 0,
        due: 0,
        target: i,
        stream: undefined,
        streamNumber: 0,
        slot: 0,
        boot: 0,
        taking: false,
        watchers: [],
        resume: [],
      };
      this.#clients.push(client);
      this.#later(client, 700_000 + client.rng.int(0, 2_000_000));
    }
  }

  /** Nobody cancels or creates anything any more, and nobody is slow. */
  stop(): void {
    this.#stopped = true;
    for (const client of this.#clients) this.#take(client);
  }

  /** Whether somebody watches at a member. */
  isWatching(slot: number): boolean {
    return this.#clients.some(
      (client) => client.stream !== undefined && client.slot === slot && client.watchers.length > 0,
    );
  }

  /** A process ended, and its streams with it. */
  connectionsBroke(slot: number): void {
    for (const client of this.#clients) {
      if (client.stream !== undefined && client.slot === slot) this.#broke(client);
    }
  }

  /**
   * Asks every stream for its progress. Returns a client whose watchers have not been told of `revision`; undefined:
   * there is none. To be called again, some time apart, until then.
   */
  whoLags(revision: number): string | undefined {
    let lagging: string | undefined;
    for (const client of this.#clients) {
      // A member that left the cluster is told of nothing any more; its clients go elsewhere.
      if (client.stream !== undefined && !this.#host.isServing(client.slot)) {
        client.stream.close();
        this.#broke(client);
      }
      if (client.stream === undefined) {
        lagging = `watch client ${client.number} is not connected`;
        continue;
      }
      for (const watcher of client.watchers) {
        if (watcher.ended || (watcher.answers.length > 0 && watcher.next > revision)) continue;
        lagging = `watcher ${watcher.id} is told from ${watcher.next} on, the store is at ${revision}`;
      }
      // One that waits for the future keeps its stream from reporting progress, as in etcd.
      for (const watcher of client.watchers) {
        if (!watcher.ended && watcher.request.startRevision > revision) this.#cancel(client, watcher);
      }
      client.stream.requestProgress();
      this.#take(client);
    }
    return lagging;
  }

  history(nameOf: (slot: number) => string): WatchRecord[] {
    const open = new Set<Watcher>();
    for (const client of this.#clients) for (const watcher of client.watchers) open.add(watcher);
    return this.records.map((watcher) => ({
      id: watcher.id,
      client: Math.floor(watcher.connection / 4096 / 32),
      connection: watcher.connection,
      member: nameOf(watcher.slot),
      stream: watcher.stream,
      request: watcher.request,
      call: watcher.call,
      answers: watcher.answers,
      cancelAsked: watcher.cancelAsked,
      closed: watcher.closed,
      mustReachEnd: open.has(watcher) && !watcher.ended,
    }));
  }

  /** A client's turn: it connects, or now and then changes what it watches. */
  #turn(client: Client): void {
    client.turns++;
    client.rng = new Rng(this.#plan.seed, `watcher ${client.number} ${client.turns}`);
    if (client.stream === undefined) {
      this.#connect(client);
    } else if (!this.#stopped) {
      this.#change(client);
    }
    this.#later(
      client,
      client.stream === undefined ? RECONNECT_US : 500_000 + client.rng.exponential(4_000_000),
    );
  }

  #connect(client: Client): void {
    const targets = this.#host.targets();
    const slot = targets[client.target++ % targets.length] ?? 0;
    const machine = this.#host.machineAt(slot);
    const { process } = machine;
    if (process === undefined || machine.paused || (this.#stopped && !this.#host.isServing(slot))) return;
    client.slot = slot;
    client.boot = machine.boot;
    client.streamNumber = ++this.#streams;
    const { streamNumber } = client;
    client.stream = process.member.watch.open(() => {
      if (client.streamNumber === streamNumber) this.#ready(client);
    });
    for (const { request, next } of client.resume.splice(0)) {
      this.#create(client, { ...request, startRevision: next });
    }
    if (client.watchers.length === 0) this.#create(client, this.#draw(client).watch());
  }

  #change(client: Client): void {
    const { rng, watchers } = client;
    const victim = watchers[rng.int(0, MAX_WATCHERS)];
    if (victim !== undefined && !victim.ended && rng.int(0, 3) === 0) {
      this.#cancel(client, victim);
    }
    if (watchers.filter((watcher) => !watcher.ended).length < MAX_WATCHERS) {
      this.#create(client, this.#draw(client).watch());
    }
    if (rng.int(0, 3) === 0) this.#atMachine(client, (stream) => stream.requestProgress());
  }

  #cancel(client: Client, watcher: Watcher): void {
    const { queue } = this.#host;
    watcher.cancelAsked = Math.min(watcher.cancelAsked, queue.now);
    this.#atMachine(client, (stream) => {
      // A request names an ID. If its watcher ended meanwhile, another one may have taken that, and is meant then.
      for (const other of client.watchers) {
        if (other.watchId === watcher.watchId) other.cancelAsked = Math.min(other.cancelAsked, queue.now);
      }
      stream.cancel(watcher.watchId);
    });
  }

  #create(client: Client, request: WatchCreate): void {
    const watcher: Watcher = {
      id: this.records.length + 1,
      connection: (client.number * 32 + client.slot) * 4096 + client.boot,
      slot: client.slot,
      stream: client.streamNumber,
      request,
      call: this.#host.queue.now,
      answers: [],
      cancelAsked: Number.POSITIVE_INFINITY,
      closed: Number.POSITIVE_INFINITY,
      watchId: -1,
      next: request.startRevision,
      ended: false,
    };
    this.records.push(watcher);
    client.watchers.push(watcher);
    this.#atMachine(client, (stream, machine) => {
      watcher.watchId = stream.create(machine.now, request);
      // Its answer comes with ID -1, which on this stream nobody else can have at the moment.
      if (watcher.watchId === -1) watcher.watchId = -2;
    });
  }

  /** A request on the stream reaches the process, if that still runs then. */
  #atMachine(client: Client, run: (stream: WatchStream, machine: Machine) => void): void {
    const { queue } = this.#host;
    const { stream, slot, boot } = client;
    if (stream === undefined) return;
    const trip = TRIP_US + client.rng.exponential(TRIP_US);
    queue.call(queue.now + trip, { slot, boot, label: "watch" }, () => {
      if (client.stream !== stream) return;
      const machine = this.#host.machineAt(slot);
      run(stream, machine);
      machine.scheduleWake();
    });
  }

  /** There is something to take: soon, or late. */
  #ready(client: Client): void {
    if (client.taking) return;
    client.taking = true;
    const { queue } = this.#host;
    const { streamNumber, rng } = client;
    const isSlow = !this.#stopped && rng.int(0, 20) === 0;
    const delay = isSlow ? rng.int(0, SLOW_US) : TRIP_US + rng.exponential(TRIP_US);
    queue.call(queue.now + delay, { slot: -1, boot: -1, label: "watched" }, () => {
      if (client.streamNumber !== streamNumber) return;
      client.taking = false;
      this.#take(client);
    });
  }

  #take(client: Client): void {
    const { stream } = client;
    if (stream === undefined) return;
    const machine = this.#host.machineAt(client.slot);
    // A process that stands still sends nothing.
    if (machine.paused) {
      this.#ready(client);
      return;
    }
    for (let i = 0; i < TAKE; i++) {
      const output = stream.take();
      if (output === undefined) {
        machine.scheduleWake();
        return;
      }
      this.#took(client, output);
    }
    this.#ready(client);
    machine.scheduleWake();
  }

  #took(client: Client, output: WatchOutput): void {
    const answer = answerOf(output, this.#host.queue.now);
    if (output.watchId === -1 && !output.created) {
      // Progress of the whole stream.
      for (const watcher of client.watchers)
        if (!watcher.ended && watcher.answers.length > 0) this.#told(watcher, answer);
      this.#host.sometimes.reached("watch progress on request");
      return;
    }
    const wanted = output.watchId === -1 ? -2 : output.watchId;
    const watcher = client.watchers.find((w) => w.watchId === wanted && !w.ended);
    if (watcher === undefined) {
      violate(
        "history",
        `stream ${client.streamNumber}: an answer for watch ${output.watchId}, which is not there`,
      );
    }
    this.#told(watcher, answer);
    if (output.canceled) this.#canceled(client, watcher, output);
  }

  #told(watcher: Watcher, answer: WatchAnswer): void {
    watcher.answers.push(answer);
    const { events, revision } = answer;
    if (events.length > 0 && !answer.fragment) {
      watcher.next = (events.at(-1)?.kv.modRevision ?? 0) + 1;
    } else if (answer.created && watcher.next === 0) {
      watcher.next = revision + 1;
    } else if (events.length === 0 && !answer.created && !answer.canceled) {
      watcher.next = Math.max(watcher.next, revision + 1);
    }
  }

  #canceled(client: Client, watcher: Watcher, output: WatchOutput): void {
    watcher.ended = true;
    watcher.closed = this.#host.queue.now;
    client.watchers.splice(client.watchers.indexOf(watcher), 1);
    if (output.compactRevision > 0) {
      this.#host.sometimes.reached("watch cancelled by compaction");
      if (!this.#stopped) this.#create(client, { ...watcher.request, startRevision: output.compactRevision });
    }
  }

  #broke(client: Client): void {
    const { now } = this.#host.queue;
    for (const watcher of client.watchers.splice(0)) {
      watcher.closed = now;
      if (watcher.ended) continue;
      if (watcher.answers.length > 0) this.#host.sometimes.reached("watch resumed at another process");
      client.resume.push({ request: watcher.request, next: watcher.next });
    }
    client.stream = undefined;
    client.streamNumber = 0;
    client.taking = false;
    this.#later(client, RECONNECT_US);
  }

  #draw(client: Client): RequestDraw {
    return new RequestDraw(client.rng, this.#plan.config, this.#host.knowledge, "");
  }

  #later(client: Client, delayUs: number): void {
    const { queue } = this.#host;
    const due = ++client.due;
    queue.call(queue.now + delayUs, { slot: -1, boot: -1, label: "watcher" }, () => {
      if (client.due === due) this.#turn(client);
    });
  }
}

/** A response as the checkers read it. @param at when it was received */
export function answerOf(output: WatchOutput, at: number): WatchAnswer {
  const { revision, created, canceled, compactRevision, cancelReason, fragment } = output;
  const events = output.events.map(decodeQueued);
  return { at, revision, created, canceled, compactRevision, cancelReason, fragment, events };
}

/** A queued event: tag and length of WatchResponse.events, then the event. */
function decodeQueued(bytes: Uint8Array): Event {
  if (bytes[0] !== EVENT_TAG) violate("history", `a queued event begins with ${bytes[0] ?? -1}`);
  let at = 1;
  while (((bytes[at] ?? 0) & 0x80) !== 0) at++;
  const decoded = decodeEvent(bytes.subarray(at + 1));
  if (decoded.type === "refused") violate("history", `an event does not decode: ${decoded.reason}`);
  return decoded.value;
}
