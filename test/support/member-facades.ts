/**
 * Facades (rpc/facade.ts) of real members in one process: the machines of member-harness.ts behind promises. Time moves
 * only when a test moves it, or, for clients that live in other processes, with the clock of this machine.
 */
import { AssertionError, ERR } from "../../src/base/index.ts";
import type { Cancel, Clock } from "../../src/env/index.ts";
import type { Answer, MemberOptions, MemberStatus, Request } from "../../src/member/index.ts";
import type { MemberFacade, StoreFacts, WatchFacade } from "../../src/rpc/index.ts";
import { relayable } from "../../src/server/relays.ts";
import { Cluster } from "./member-harness.ts";

const CLUSTER = 0xc1n;
/** How often members are woken while they follow the machine's clock, ms. */
const STEP_MS = 5;

interface Timer {
  readonly when: number;
  readonly run: () => void;
}

/** A cluster whose members are asked through facades. */
export class Facades {
  readonly cluster: Cluster;
  readonly clock: Clock;
  /** Every watch stream that was opened, in order. */
  readonly watches: WatchFacade[] = [];
  readonly #options: Partial<MemberOptions>;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  readonly #timers = new Set<Timer>();
  #stopFollowing: (() => void) | undefined;

  /** Starts members and waits, in virtual time, until they have a leader. */
  constructor(ids: readonly bigint[], options: Partial<MemberOptions> & { leaseMs?: number } = {}) {
    this.#options = options;
    this.cluster = Cluster.start(ids, options);
    this.clock = {
      now: () => this.cluster.now,
      wakeAt: (when, run) => this.#wakeAt(when, run),
      giveWay: () => Promise.resolve(),
    };
    this.cluster.elect();
  }

  get leader(): bigint {
    return this.cluster.leader();
  }

  facade(id: bigint): MemberFacade {
    return {
      cluster: CLUSTER,
      member: id,
      request: (request) => this.#relayed(id, request),
      openWatch: (onReady) => this.#openWatch(id, onReady),
      status: () => this.#status(id),
      members: () => this.cluster.member(id).members(),
      store: () => this.#store(id),
    };
  }

  /** Lets time pass; timers and answers come as they fall due. */
  advance(ms: number): void {
    const end = this.cluster.now + ms;
    for (;;) {
      const next = this.#nextTimer();
      if (next === undefined || next.when > end) break;
      this.cluster.advance(Math.max(0, next.when - this.cluster.now));
      this.#timers.delete(next);
      next.run();
      this.#settle();
    }
    this.cluster.advance(end - this.cluster.now);
    this.#settle();
  }

  /** From now on time passes as on this machine, until `stop`. */
  follow(): void {
    let before = performance.now();
    const timer = setInterval(() => {
      const now = performance.now();
      this.advance(Math.floor(now - before));
      before += Math.floor(now - before);
    }, STEP_MS);
    this.#stopFollowing = () => clearInterval(timer);
  }

  stop(): void {
    this.#stopFollowing?.();
    this.#stopFollowing = undefined;
  }

  /** Waits for a promise while time passes, at most this long. */
  async within<T>(promise: Promise<T>, ms = 20_000): Promise<T> {
    let isSettled = false;
    const settled = promise.finally(() => {
      isSettled = true;
    });
    for (let passed = 0; passed < ms; passed += 10) {
      // The promise may take a few turns of the event loop to say that it is settled.
      await new Promise((resolve) => setImmediate(resolve));
      if (isSettled) return settled;
      this.advance(10);
    }
    throw new AssertionError("no answer in time", { ms });
  }

  /** As the driver: what only the leader does is asked of it, if there is a way. */
  async #relayed(id: bigint, request: Request): Promise<Answer> {
    const answer = await this.#request(id, request);
    if (answer.type !== "refused" || answer.error !== ERR.notLeader || relayable(request) === undefined) {
      return answer;
    }
    const { leader } = this.cluster.member(id).status();
    return leader === 0n ? { ...answer, error: ERR.noLeader } : this.#request(leader, request);
  }

  #request(id: bigint, request: Request): Promise<Answer> {
    return new Promise((resolve) => {
      const number = this.cluster.request(id, request);
      this.#waiting.set(number, resolve);
      this.#settle();
    });
  }

  /** Hands out what was answered. */
  #settle(): void {
    for (const { answers } of this.cluster.nodes.values()) {
      for (const answer of answers.splice(0)) {
        const resolve = this.#waiting.get(answer.id);
        this.#waiting.delete(answer.id);
        resolve?.(answer);
      }
    }
  }

  #openWatch(id: bigint, onReady: () => void): WatchFacade {
    const stream = this.cluster.member(id).watch.open(onReady);
    const watch: WatchFacade = {
      create: (request) => stream.create(this.cluster.now, request),
      cancel: (watchId) => stream.cancel(watchId),
      requestProgress: () => stream.requestProgress(),
      take: () => stream.take(),
      get queuedBytes() {
        return stream.queuedBytes;
      },
      get watchers() {
        return stream.watchers;
      },
      close: () => stream.close(),
    };
    this.watches.push(watch);
    return watch;
  }

  #status(id: bigint): MemberStatus {
    return this.cluster.member(id).status();
  }

  #store(id: bigint): StoreFacts {
    const { kv } = this.cluster.member(id);
    return {
      revision: kv.store.revision,
      compactRevision: Math.max(0, kv.store.compactRevision),
      usedBytes: kv.usedBytes,
      quotaBytes: this.#options.quotaBytes ?? Number.POSITIVE_INFINITY,
      alarms: kv.alarms.list(),
    };
  }

  #wakeAt(when: number, run: () => void): Cancel {
    const timer = { when, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  #nextTimer(): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) if (next === undefined || timer.when < next.when) next = timer;
    return next;
  }
}
