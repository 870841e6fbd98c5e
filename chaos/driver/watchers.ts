/**
 * Watching clients. Each has one stream at one member; when the process goes, it resumes at another one where it
 * stopped. The first of them watches everything from the beginning, so that the checkers know what each revision did.
 */
import type { WatchFacade } from "../../src/rpc/facade.ts";
import type { WatchCreate, WatchOutput } from "../../src/watch/types.ts";
import type { WatchAnswer, WatchRecord } from "../check/kv-history.ts";
import { type Knowledge, RequestDraw } from "../sim/requests.ts";
import { Rng } from "../sim/rng.ts";
import { answerOf } from "../sim/watchers.ts";
import type { DriverMachine } from "./machine.ts";
import type { World } from "./world.ts";

const RECONNECT_US = 60_000;
const TRIP_US = 100;
/** Numbers of watching clients begin above those of the others. */
const FIRST_CLIENT = 100;
/** Responses that one visit takes. */
const TAKE = 20;
/** A client that is slow lets so much time pass before it takes. */
const SLOW_US = 300_000;

const EVERYTHING: WatchCreate = {
  key: Uint8Array.of(0),
  rangeEnd: Uint8Array.of(0),
  startRevision: 1,
  progressNotify: false,
  noPut: false,
  noDelete: false,
  prevKv: false,
  fragment: false,
  watchId: 0,
};

interface Watcher {
  readonly record: Omit<WatchRecord, "closed" | "mustReachEnd"> & { readonly answers: WatchAnswer[] };
  closed: number;
  watchId: number;
  next: number;
}

interface Client {
  readonly number: number;
  readonly rng: Rng;
  target: number;
  stream: WatchFacade | undefined;
  slot: number;
  boot: number;
  watcher: Watcher | undefined;
  /** What to ask for on the next stream. */
  request: WatchCreate;
  isTaking: boolean;
}

export class WatchClients {
  readonly #world: World;
  readonly #clients: Client[] = [];
  readonly #watchers: Watcher[] = [];
  #streams = 0;
  #isStopped = false;

  constructor(world: World, knowledge: Knowledge) {
    this.#world = world;
    for (let i = 0; i < world.settings.watchers; i++) {
      const rng = new Rng(world.seed, `watcher ${i}`);
      const drawn = new RequestDraw(rng, world.settings, knowledge, "").watch();
      const client: Client = {
        number: FIRST_CLIENT + i,
        rng,
        target: i,
        stream: undefined,
        slot: -1,
        boot: 0,
        watcher: undefined,
        request: i === 0 ? EVERYTHING : { ...drawn, startRevision: 0 },
        isTaking: false,
      };
      this.#clients.push(client);
      this.#later(client, 300_000);
    }
  }

  /** Nobody is slow any more. */
  stop(): void {
    this.#isStopped = true;
  }

  ended(machine: DriverMachine): void {
    for (const client of this.#clients) if (client.slot === machine.slot) this.#broke(client);
  }

  /** Asks for progress; who has not been told of `revision`, or undefined. To be called again until then. */
  whoLags(revision: number): string | undefined {
    let lagging: string | undefined;
    for (const client of this.#clients) {
      const { watcher, stream, number } = client;
      if (watcher === undefined || stream === undefined) lagging = `watch client ${number} is not connected`;
      else if (watcher.next <= revision)
        lagging = `watch client ${number} waits for ${watcher.next} of ${revision}`;
      this.#world.machines[client.slot]?.life?.after(0, "progress", () => {
        if (client.stream === stream) stream?.requestProgress();
      });
    }
    return lagging;
  }

  history(): WatchRecord[] {
    const open = new Set(this.#clients.map(({ watcher }) => watcher));
    return this.#watchers.map((watcher) => ({
      ...watcher.record,
      closed: watcher.closed,
      mustReachEnd: open.has(watcher),
    }));
  }

  #connect(client: Client): void {
    if (client.stream !== undefined) return;
    const { machines } = this.#world;
    const machine = machines[client.target++ % machines.length];
    const { driver, life } = machine ?? {};
    if (machine === undefined || driver === undefined || life === undefined || machine.isPaused) {
      this.#later(client, RECONNECT_US);
      return;
    }
    client.slot = machine.slot;
    client.boot = life.boot;
    client.isTaking = false;
    const stream = driver.openWatch(() => {
      if (client.stream !== stream) return;
      // Some take what there is in the very call that tells them.
      if (client.number % 2 === 1) this.#take(client);
      else this.#ready(client);
    });
    client.stream = stream;
    const streamNumber = ++this.#streams;
    life.after(TRIP_US, "watch", () => {
      if (client.stream === stream) this.#create(client, stream, streamNumber);
    });
  }

  #create(client: Client, stream: WatchFacade, streamNumber: number): void {
    const { request } = client;
    const watcher: Watcher = {
      record: {
        id: this.#watchers.length + 1,
        client: client.number,
        connection: (client.number * 32 + client.slot) * 4096 + client.boot,
        member: `m${client.slot}`,
        stream: streamNumber,
        request,
        call: this.#world.queue.now,
        answers: [],
      },
      closed: Number.POSITIVE_INFINITY,
      watchId: -2,
      next: request.startRevision,
    };
    this.#watchers.push(watcher);
    client.watcher = watcher;
    watcher.watchId = stream.create(request);
    if (watcher.watchId === -1) watcher.watchId = -2;
  }

  /** There is something to take: soon, or late. */
  #ready(client: Client): void {
    if (client.isTaking) return;
    client.isTaking = true;
    const { stream, rng } = client;
    const isSlow = !this.#isStopped && rng.int(0, 15) === 0;
    const delay = isSlow ? rng.int(0, SLOW_US) : TRIP_US + rng.exponential(TRIP_US);
    this.#world.machines[client.slot]?.life?.after(delay, "take", () => {
      if (client.stream !== stream) return;
      client.isTaking = false;
      this.#take(client);
    });
  }

  #take(client: Client): void {
    for (let i = 0; i < TAKE; i++) {
      const output = client.stream?.take();
      if (output === undefined) return;
      this.#took(client, output);
    }
    this.#ready(client);
  }

  #took(client: Client, output: WatchOutput): void {
    const { watcher } = client;
    const { queue, trace } = this.#world;
    const answer = answerOf(output, queue.now);
    trace.event(queue.now, "told", client.slot, answer.revision * 16 + answer.events.length);
    const isOfStream = output.watchId === -1 && !output.created;
    if (watcher === undefined || (isOfStream && watcher.record.answers.length === 0)) return;
    watcher.record.answers.push(answer);
    if (answer.events.length > 0 && !answer.fragment) {
      watcher.next = (answer.events.at(-1)?.kv.modRevision ?? 0) + 1;
    } else if (answer.created && watcher.next === 0) {
      watcher.next = answer.revision + 1;
    } else if (answer.events.length === 0 && !answer.created && !answer.canceled) {
      watcher.next = Math.max(watcher.next, answer.revision + 1);
    }
    if (!output.canceled) return;
    // Its history is gone: it begins again where there is some.
    const floor = output.compactRevision;
    watcher.closed = queue.now;
    client.watcher = undefined;
    // Or it asked for an empty range, which is refused.
    client.request = { ...(floor > 0 ? client.request : EVERYTHING), startRevision: Math.max(floor, 0) };
    client.stream?.close();
    client.stream = undefined;
    client.slot = -1;
    this.#later(client, RECONNECT_US);
  }

  #broke(client: Client): void {
    const { watcher } = client;
    if (watcher !== undefined) {
      watcher.closed = this.#world.queue.now;
      client.request = { ...client.request, startRevision: watcher.next };
    }
    client.watcher = undefined;
    client.stream = undefined;
    client.slot = -1;
    this.#later(client, RECONNECT_US);
  }

  #later(client: Client, delayUs: number): void {
    const { queue } = this.#world;
    const target = { slot: -1, boot: -1, label: "watcher" };
    queue.call(queue.now + delayUs, target, () => this.#connect(client));
  }
}
