/**
 * Valid histories: clients whose calls overlap, three members that apply at their own pace, watchers on each
 * of them, lost answers, expired leases, compactions. The model executes every request at one moment between
 * call and return, so what comes out is legal by construction.
 */

import {
  type ClientRequest,
  doorProblem,
  isReadOnly,
  isSerializable,
  type KeepAliveRecord,
  type KvHistory,
  type KvOperation,
  type LeaseReadRecord,
  type LogRecord,
  MAX_TXN_OPS,
  Model,
  type ModelOutcome,
  type ModelView,
  type OperationOutcome,
  type WatchRecord,
} from "../../../chaos/check/index.ts";
import { bytesOf, compareIds, ERR } from "../../../src/base/index.ts";
import type { KvRequest, RangeRequest, TxnRequest } from "../../../src/pb/kv.ts";
import { Random } from "./random.ts";
import { randomRequest } from "./requests.ts";
import { Watcher, type WatcherHost } from "./watchers.ts";

export interface GenerateOptions {
  readonly operations: number;
  readonly withLog: boolean;
}

const MEMBERS = ["m1", "m2", "m3"];
const US_PER_SECOND = 1_000_000;

/** What a member knew after so many log records. */
interface Applied {
  readonly revision: number;
  readonly compactRevision: number;
}

interface Mutable<T> {
  value: T;
}

/** One generated run; the model is that of its end. */
export interface Generated {
  readonly history: KvHistory;
  readonly model: Model;
}

export function generate(seed: number, options: GenerateOptions): Generated {
  return new Generator(seed, options).run();
}

class Generator implements WatcherHost {
  readonly random: Random;
  readonly model = new Model();
  now = 0;
  readonly #options: GenerateOptions;
  readonly #operations: KvOperation[] = [];
  readonly #keepAlives: KeepAliveRecord[] = [];
  readonly #leaseReads: LeaseReadRecord[] = [];
  readonly #log: LogRecord[] = [];
  readonly #applied: Applied[] = [{ revision: 1, compactRevision: -1 }];
  /** Position of each member in the log. */
  readonly #members = MEMBERS.map(() => 0);
  readonly #watchers: Watcher[] = [];
  readonly #leases = new Map<bigint, { readonly granted: number; readonly ttl: number }>();
  readonly #events: { readonly at: number; readonly run: () => void }[] = [];
  #values = 0;
  #leaseIds = 100n;

  constructor(seed: number, options: GenerateOptions) {
    this.random = new Random(seed);
    this.#options = options;
  }

  get revision(): number {
    return this.model.revision;
  }

  get leases(): readonly bigint[] {
    return [...this.#leases.keys()].sort(compareIds);
  }

  nextLease(): bigint {
    this.#leaseIds++;
    return this.#leaseIds;
  }

  nextValue(): Uint8Array {
    this.#values++;
    return bytesOf(`v${this.#values}`);
  }

  memberView(member: number): Applied {
    return this.#applied[this.#members[member] ?? 0] ?? { revision: 1, compactRevision: -1 };
  }

  run(): Generated {
    const clients = this.random.int(2, 7);
    // Who reads everything makes sure that no revision goes unseen.
    this.#addWatcher(true);
    const watchers = this.random.int(0, 5);
    for (let i = 0; i < watchers; i++) this.#later(this.#delay(3_000_000), () => this.#addWatcher(false));
    for (let client = 0; client < clients; client++)
      this.#later(this.#delay(50_000), () => this.#call(client));
    this.#later(100_000, () => this.#housekeeping());
    for (let next = this.#takeEvent(); next !== undefined; next = this.#takeEvent()) {
      this.now = Math.max(this.now + 1, next.at);
      next.run();
    }
    return this.#finish();
  }

  #takeEvent(): { readonly at: number; readonly run: () => void } | undefined {
    let first = 0;
    for (let i = 1; i < this.#events.length; i++) {
      if ((this.#events[i]?.at ?? 0) < (this.#events[first]?.at ?? 0)) first = i;
    }
    return this.#events.splice(first, 1)[0];
  }

  #later(delay: number, run: () => void): void {
    this.#events.push({ at: this.now + delay, run });
  }

  #delay(max: number): number {
    return this.random.int(1, max);
  }

  /** Members catch up, leases run out. */
  #housekeeping(): void {
    for (let member = 0; member < MEMBERS.length; member++) {
      if (this.random.chance(0.5)) this.#advance(member, this.random.int(0, this.#applied.length));
    }
    for (const [id, { granted, ttl }] of this.#leases) {
      if (this.now - granted <= ttl * US_PER_SECOND || !this.random.chance(0.5)) continue;
      this.#commit({ type: "leaseRevoke", id }, undefined);
      this.#leases.delete(id);
    }
    if (this.#operations.length < this.#options.operations) this.#later(100_000, () => this.#housekeeping());
  }

  #advance(member: number, position: number): void {
    if (position <= (this.#members[member] ?? 0)) return;
    this.#members[member] = position;
    for (const watcher of this.#watchers) if (watcher.member === member) watcher.catchUp();
  }

  #commit(request: KvRequest, operation: number | undefined): ModelOutcome {
    const outcome = this.model.apply(request);
    const index = this.#log.length + 1;
    const identity = `${operation ?? `m${index}`}`;
    this.#log.push({ index, at: this.now, identity, operation, request });
    this.#applied.push({ revision: this.model.revision, compactRevision: this.model.compactRevision });
    return outcome;
  }

  #call(client: number): void {
    if (this.#operations.length >= this.#options.operations) return;
    const dice = this.random.int(0, 20);
    if (dice === 0) this.#keepAlive(client);
    else if (dice === 1) this.#readLeases(client);
    else this.#ask(client);
  }

  #ask(client: number): void {
    const member = this.random.int(0, MEMBERS.length);
    const request = randomRequest(this.random, this);
    const id = this.#operations.length;
    const base = {
      id,
      client,
      connection: client * MEMBERS.length + member,
      member: MEMBERS[member] ?? "",
      call: this.now,
      request,
    };
    const pending: OperationOutcome = { type: "pending" };
    this.#operations.push({ ...base, returned: Number.POSITIVE_INFINITY, outcome: pending });
    const end = (outcome: OperationOutcome): void => {
      const isAnswer = outcome.type === "ok" || outcome.type === "refused";
      this.#operations[id] = { ...base, outcome, returned: isAnswer ? this.now : Number.POSITIVE_INFINITY };
    };
    if (this.random.chance(0.07)) {
      this.#lose(client, id, request, end);
      return;
    }
    this.#later(this.#delay(100_000), () => {
      const outcome = this.#execute(request, member, id);
      this.#later(this.#delay(100_000), () => {
        end(outcome);
        this.#next(client);
      });
    });
  }

  #next(client: number): void {
    this.#later(this.#delay(100_000), () => this.#call(client));
  }

  /**
   * The answer is lost; the request may be executed much later, after the next calls of its client, or never.
   */
  #lose(client: number, id: number, request: ClientRequest, end: (outcome: OperationOutcome) => void): void {
    const isExecuted = this.random.chance(0.6) && doorProblem(request, MAX_TXN_OPS) === undefined;
    if (isExecuted && !isReadOnly(request)) {
      this.#later(this.#delay(500_000), () => this.#commit(request as KvRequest, id));
    }
    this.#later(this.#delay(200_000), () => {
      if (this.random.chance(0.8)) end({ type: "unknown", error: ERR.timeout.message });
      this.#next(client);
    });
  }

  #execute(request: ClientRequest, member: number, id: number): OperationOutcome {
    if (this.random.chance(0.02)) return { type: "refused", error: ERR.tooManyRequests.message };
    const door = doorProblem(request, MAX_TXN_OPS);
    if (door !== undefined) return { type: "refused", error: door.message };
    if (isReadOnly(request)) {
      return answerOf(this.#read(request as RangeRequest | TxnRequest, member));
    }
    const outcome = this.#commit(request as KvRequest, id);
    this.#advance(member, this.#applied.length - 1);
    if (request.type === "leaseGrant" && outcome.error === undefined) {
      this.#leases.set(request.id, { granted: this.now, ttl: request.ttl });
    }
    if (request.type === "leaseRevoke") this.#leases.delete(request.id);
    return answerOf(outcome);
  }

  #read(request: RangeRequest | TxnRequest, member: number): ModelOutcome | undefined {
    if (!isSerializable(request)) {
      this.#advance(member, this.#applied.length - 1);
      return this.model.peek(request);
    }
    const { revision, compactRevision } = this.memberView(member);
    const view: ModelView = { revision, compactRevision, hasLease: () => false };
    return this.model.peek(request, view);
  }

  #keepAlive(client: number): void {
    const lease = this.random.chance(0.8) ? (this.random.maybe(this.leases) ?? 66n) : 66n;
    const call = this.now;
    this.#later(this.#delay(50_000), () => {
      const ttl: Mutable<number | undefined> = { value: undefined };
      if (this.random.chance(0.9)) ttl.value = this.model.hasLease(lease) ? 2 : 0;
      const { revision } = this.model;
      this.#later(this.#delay(50_000), () => {
        const returned = ttl.value === undefined ? Number.POSITIVE_INFINITY : this.now;
        this.#keepAlives.push({ client, member: "m1", lease, call, returned, revision, ttl: ttl.value });
        this.#next(client);
      });
    });
  }

  #readLeases(client: number): void {
    const lease = this.random.chance(0.8) ? (this.random.maybe(this.leases) ?? 66n) : 66n;
    const call = this.now;
    this.#later(this.#delay(50_000), () => {
      const known = this.model.leases();
      const found = known.find(({ id }) => id === lease);
      const isOne = this.random.chance(0.7);
      const one = { type: "one", lease, ttl: -1, grantedTtl: 0, keys: [] } as const;
      const said = isOne
        ? { ...one, ...(found && { ttl: this.random.int(0, 3), grantedTtl: found.ttl, keys: found.keys }) }
        : ({ type: "all", leases: known.map(({ id }) => id) } as const);
      const { revision } = this.model;
      this.#later(this.#delay(50_000), () => {
        this.#leaseReads.push({ client, member: "m1", call, returned: this.now, revision, said });
        this.#next(client);
      });
    });
  }

  #addWatcher(isOfAll: boolean): void {
    const member = this.random.int(0, MEMBERS.length);
    this.#watchers.push(new Watcher(this, this.#watchers.length, member, MEMBERS[member] ?? "", isOfAll));
  }

  #finish(): Generated {
    for (let member = 0; member < MEMBERS.length; member++) this.#advance(member, this.#applied.length - 1);
    const { model } = this;
    const watches: WatchRecord[] = this.#watchers.map((watcher) => watcher.record());
    const history: KvHistory = {
      title: "generated",
      operations: this.#operations,
      watches,
      keepAlives: this.#keepAlives,
      leaseReads: this.#leaseReads,
      hashAnswers: [],
      dumps: MEMBERS.map((member) => ({
        member,
        revision: model.revision,
        compactRevision: model.compactRevision,
        kvs: model.keyValues(),
        leases: model.leases(),
        hashes: [{ revision: model.revision, compactRevision: model.compactRevision, hash: 7 }],
      })),
      log: this.#options.withLog ? this.#log : undefined,
      faults: [],
      leaders: [],
      end: this.now + 1_000,
    };
    return { history, model };
  }
}

function answerOf(outcome: ModelOutcome | undefined): OperationOutcome {
  if (outcome === undefined) throw new Error("a read would have changed something");
  if (outcome.error !== undefined) return { type: "refused", error: outcome.error.message };
  if (outcome.response.type === "leaseCheckpoint") throw new Error("no client asks for this");
  return { type: "ok", revision: outcome.revision, response: outcome.response };
}
