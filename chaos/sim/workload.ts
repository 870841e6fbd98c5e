/**
 * The clients: each has one operation in flight, every written value is unique, few keys make them collide. They
 * choose a member, go to another one after a refusal, and record what they saw; what they never heard of is unknown.
 *
 * Each operation draws from a stream of its own, so that leaving one out (shrinking) changes nothing of the others but
 * their time.
 */
import { bytesOf, EMPTY_BYTES } from "../../src/base/index.ts";
import type { Answer, Request } from "../../src/member/types.ts";
import type { KvResponse } from "../../src/pb/kv.ts";
import {
  type ClientResponse,
  isReadOnly,
  isSerializable,
  type KeepAliveRecord,
  type KvOperation,
  type OperationOutcome,
} from "../check/kv-history.ts";
import { operationKey, type Plan } from "./plan.ts";
import { type Drawn, type Knowledge, REQUEST_KINDS, RequestDraw } from "./requests.ts";
import { Rng } from "./rng.ts";
import type { EventQueue } from "./scheduler.ts";
import { violate } from "./violation.ts";

/** A client's way to a member and back takes this long, plus an exponential part of the same mean. */
const TRIP_US = 100;
/** Processes that one machine can have in a run, for the number of a connection. */
const BOOTS = 4096;
/** Pause after a refusal or a broken connection before the next operation. */
const AFTER_FAILURE_US = 60_000;
/** Why an operation had no chance: nobody listens there. */
const NOT_CONNECTED = "connection refused";
/** Leases that clients remember: older ones are gone, or never matter. */
const MAX_LEASES = 32;

/** An operation as it grows. */
export interface ClientOperation {
  readonly id: number;
  readonly client: number;
  readonly request: Drawn;
  /** Read from the member's state as it is. */
  readonly serializable: boolean;
  readonly slot: number;
  connection: number;
  readonly call: number;
  returned: number;
  outcome: OperationOutcome;
  /** Of a keepalive: revision of the header, TTL. */
  keepAlive: { readonly revision: number; readonly ttl: number } | undefined;
  /** Highest index that any client had been told when this one was called. */
  readonly knownAtCall: number;
  readonly phase: number;
}

/** A write that nothing but the want of a leader can refuse. */
const PROBE: Drawn = { type: "deleteRange", key: bytesOf("probe"), rangeEnd: EMPTY_BYTES, prevKv: false };

interface Client {
  /** Of the current operation. */
  rng: Rng;
  number: number;
  target: number;
  /** A probe writes at this slot until it succeeded once; undefined: an ordinary client. */
  readonly probe: number | undefined;
  current: ClientOperation | undefined;
}

/** What the clients need of the world. */
export interface WorkloadHost {
  readonly queue: EventQueue;
  /** Slots that clients know of, in order; never empty. */
  targets(): readonly number[];
  /** Number of the process at a slot, 0: none, the connect is refused. */
  bootOf(slot: number): number;
  /** Whether process `boot` of a slot has run for the whole life of a request, so that it must have answered it. */
  owesAnswers(slot: number, boot: number): boolean;
  /** The request arrives at the slot's client port at `at`, if the process that runs now still does then. */
  submit(slot: number, id: number, request: Request, at: number): void;
}

/** All clients of one run. */
export class Workload implements Knowledge {
  readonly operations: ClientOperation[] = [];
  readonly leases: bigint[] = [];
  /** Highest revision that anybody was told of. */
  revision = 1;
  /** Answered with success: what the planned work counts. */
  acknowledged = 0;
  #phase = 0;
  readonly #probing = new Set<number>();
  #stopped = false;
  #highestKnown = 0;
  readonly #plan: Plan;
  readonly #host: WorkloadHost;
  readonly #clients: Client[] = [];
  readonly #skip: ReadonlySet<number>;
  readonly #timeoutUs: number;
  readonly #meanThinkUs: number;
  /** By request identity, while it is in flight. */
  readonly #inFlight = new Map<number, ClientOperation>();

  constructor(plan: Plan, host: WorkloadHost) {
    this.#plan = plan;
    this.#host = host;
    this.#skip = new Set(plan.skip);
    const { clients, operationsPerSecond, requestTimeoutMs } = plan.config;
    this.#timeoutUs = (requestTimeoutMs + 1_000) * 1_300;
    this.#meanThinkUs = Math.floor((clients * 1_000_000) / operationsPerSecond);
    for (let i = 0; i < clients; i++) {
      const client = this.#addClient(undefined);
      this.#later(i, 500_000 + client.rng.int(0, this.#meanThinkUs));
    }
  }

  /** One write at each of these slots, repeated until it succeeds. */
  startProbes(slots: readonly number[]): void {
    for (const slot of slots) {
      this.#addClient(slot);
      this.#probing.add(slot);
      this.#later(this.#clients.length - 1, 1_000);
    }
  }

  /** Slots whose probe had no success so far. */
  get probing(): ReadonlySet<number> {
    return this.#probing;
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  /** Operations in flight that were called before this phase. */
  olderThan(phase: number): number {
    let older = 0;
    for (const operation of this.#inFlight.values()) if (operation.phase < phase) older++;
    return older;
  }

  /** Operations called from here on carry this number. */
  enterPhase(phase: number): void {
    this.#phase = phase;
  }

  /** No client begins another operation. */
  stop(): void {
    this.#stopped = true;
  }

  /** A client's turn. */
  step(client: number, operation: number, step: "begin" | "timeout"): void {
    if (step === "begin") {
      this.#begin(client);
      return;
    }
    const pending = this.#inFlight.get(operation);
    if (pending === undefined) return;
    if (this.#host.owesAnswers(pending.slot, pending.connection % BOOTS)) {
      violate("answer-once", `member ${pending.slot} never answered operation ${pending.id}`);
    }
    this.#end(pending, { type: "unknown", error: "no answer" });
  }

  /** The answer reached its client. */
  answer(answer: Answer): void {
    const operation = this.#inFlight.get(answer.id);
    if (operation === undefined) return;
    switch (answer.type) {
      case "done":
        this.#succeeded(operation, answer.index, answer.revision);
        this.#learn(answer.response);
        this.#end(operation, {
          type: "ok",
          revision: answer.revision,
          response: clientResponse(operation, answer.response),
        });
        return;
      case "leaseKept":
        this.#succeeded(operation, answer.index, answer.revision);
        operation.keepAlive = { revision: answer.revision, ttl: answer.ttl };
        this.#end(operation, undefined);
        return;
      case "refused":
        this.#end(operation, { type: "refused", error: answer.error.message });
        return;
      case "unknown":
        this.#end(operation, { type: "unknown", error: answer.reason });
        return;
      case "changed":
        violate("answer-once", `operation ${operation.id} is no configuration change`);
    }
  }

  /** The lease that a keepalive in flight is about. */
  leaseOf(id: number): bigint | undefined {
    const request = this.#inFlight.get(id)?.request;
    return request?.type === "keepAlive" ? request.id : undefined;
  }

  /** A process ended: its clients see their connections break, and cannot know what became of a write. */
  connectionsBroke(slot: number): void {
    for (const operation of [...this.#inFlight.values()]) {
      if (operation.slot === slot) this.#end(operation, { type: "unknown", error: "connection broke" });
    }
  }

  /** What the checkers get. @param nameOf of a member by slot */
  history(nameOf: (slot: number) => string): {
    readonly operations: KvOperation[];
    readonly keepAlives: KeepAliveRecord[];
  } {
    const operations: KvOperation[] = [];
    const keepAlives: KeepAliveRecord[] = [];
    for (const { id, client, connection, slot, call, returned, request, outcome, keepAlive } of this
      .operations) {
      const member = nameOf(slot);
      // It never left the client, so no member and no model has a say in it.
      if (outcome.type === "refused" && outcome.error === NOT_CONNECTED) continue;
      if (request.type !== "keepAlive") {
        operations.push({ id, client, connection, member, call, returned, request, outcome });
        continue;
      }
      const { revision, ttl } = keepAlive ?? { revision: 0, ttl: undefined };
      keepAlives.push({ client, member, lease: request.id, call, returned, revision, ttl });
    }
    return { operations, keepAlives };
  }

  #succeeded(operation: ClientOperation, index: number, revision: number): void {
    if (!operation.serializable && index < operation.knownAtCall) {
      violate(
        "stale-read",
        `operation ${operation.id} at member ${operation.slot} was answered at ${index}, ` +
          `${operation.knownAtCall} had been acknowledged before it was called`,
      );
    }
    this.acknowledged++;
    operation.returned = this.#host.queue.now;
    if (operation.serializable) return;
    if (index > this.#highestKnown) this.#highestKnown = index;
    if (revision > this.revision) this.revision = revision;
  }

  #learn(response: KvResponse): void {
    if (response.type !== "leaseGrant") return;
    this.leases.push(response.id);
    if (this.leases.length > MAX_LEASES) this.leases.shift();
  }

  #begin(number: number): void {
    const client = this.#clients[number];
    if (client === undefined || client.current !== undefined) return;
    if (this.#stopped && client.probe === undefined) return;
    client.number++;
    client.rng = new Rng(this.#plan.seed, `client ${number} ${client.number}`);
    const operation = this.#draw(client, number);
    if (this.#skip.has(operationKey(number, client.number))) {
      this.#later(number, this.#meanThinkUs);
      return;
    }
    this.operations.push(operation);
    const boot = this.#host.bootOf(operation.slot);
    if (boot === 0) {
      client.current = operation;
      this.#end(operation, { type: "refused", error: NOT_CONNECTED });
      return;
    }
    operation.connection = (number * 32 + operation.slot) * BOOTS + boot;
    client.current = operation;
    this.#inFlight.set(operation.id, operation);
    const { queue } = this.#host;
    const trip = TRIP_US + client.rng.exponential(TRIP_US);
    this.#host.submit(operation.slot, operation.id, memberRequest(operation.request), queue.now + trip);
    queue.push(queue.now + this.#timeoutUs, {
      time: 0,
      sequence: 0,
      slot: -1,
      boot: -1,
      kind: "client",
      client: number,
      operation: operation.id,
      step: "timeout",
    });
  }

  #draw(client: Client, number: number): ClientOperation {
    const { rng } = client;
    const { config } = this.#plan;
    const kind = REQUEST_KINDS[drawChoice(rng, config.mix)] ?? "put";
    const request =
      client.probe === undefined
        ? new RequestDraw(rng, config, this, `c${number}.${client.number}`).draw(kind)
        : PROBE;
    const targets = this.#host.targets();
    return {
      id: number * 100_000 + client.number,
      client: number,
      request,
      serializable: request.type !== "keepAlive" && isSerializable(request),
      slot: client.probe ?? targets[client.target % targets.length] ?? 0,
      connection: 0,
      call: this.#host.queue.now,
      returned: Number.POSITIVE_INFINITY,
      outcome: { type: "pending" },
      keepAlive: undefined,
      knownAtCall: this.#highestKnown,
      phase: this.#phase,
    };
  }

  #end(operation: ClientOperation, outcome: OperationOutcome | undefined): void {
    const client = this.#clients[operation.client];
    if (client === undefined || client.current !== operation)
      violate("answer-once", `operation ${operation.id}`);
    if (outcome !== undefined) operation.outcome = outcome;
    if (outcome?.type === "refused") operation.returned = this.#host.queue.now;
    const succeeded = outcome === undefined || outcome.type === "ok";
    this.#inFlight.delete(operation.id);
    client.current = undefined;
    const think = client.rng.exponential(this.#meanThinkUs);
    // Most clients stay with a member that serves them; now and then one moves on.
    const wander = client.rng.int(0, this.#plan.config.wander) === 0;
    if (!succeeded || wander) client.target++;
    if (succeeded && client.probe !== undefined) {
      this.#probing.delete(client.probe);
      return;
    }
    this.#later(operation.client, succeeded ? think : Math.min(think, AFTER_FAILURE_US) + 5_000);
  }

  #addClient(probe: number | undefined): Client {
    const number = this.#clients.length;
    const rng = new Rng(this.#plan.seed, `client ${number}`);
    const client = { rng, number: 0, target: number, probe, current: undefined };
    this.#clients.push(client);
    return client;
  }

  #later(client: number, delayUs: number): void {
    this.#host.queue.push(this.#host.queue.now + delayUs, {
      time: 0,
      sequence: 0,
      slot: -1,
      boot: -1,
      kind: "client",
      client,
      operation: 0,
      step: "begin",
    });
  }
}

/** What a member is asked. */
export function memberRequest(request: Drawn): Request {
  switch (request.type) {
    case "keepAlive":
      return { type: "leaseKeepAlive", lease: request.id };
    case "range":
      return { type: "read", read: request };
    case "txn":
      return isReadOnly(request) ? { type: "read", read: request } : { type: "write", write: request };
    default:
      return { type: "write", write: request };
  }
}

/** The answer must be of the kind of the request. */
function clientResponse(operation: ClientOperation, response: KvResponse): ClientResponse {
  if (response.type === "leaseCheckpoint" || response.type !== operation.request.type) {
    violate("history", `operation ${operation.id} asked for ${operation.request.type}, got ${response.type}`);
  }
  return response;
}

/** Position in `weights`, each as likely as its weight. */
export function drawChoice(rng: Rng, weights: readonly number[]): number {
  let ticket = rng.int(
    0,
    weights.reduce((sum, weight) => sum + weight, 0),
  );
  for (let i = 0; i < weights.length; i++) {
    ticket -= weights[i] as number;
    if (ticket < 0) return i;
  }
  return 0;
}
