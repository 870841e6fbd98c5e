/**
 * The clients: each has one operation in flight, every written value is unique, few keys make them collide. They
 * choose a member, go to another one after a refusal, and record what they saw; what they never heard of is unknown.
 *
 * Each operation draws from a stream of its own, so that leaving one out (shrinking) changes nothing of the others but
 * their time.
 */
import type { Answer, Request } from "../../src/member/types.ts";
import type { OperationKind, Outcome } from "../check/index.ts";
import { operationKey, type Plan } from "./plan.ts";
import { Rng } from "./rng.ts";
import type { EventQueue } from "./scheduler.ts";
import { violate } from "./violation.ts";

/** A client's way to a member and back takes this long, plus an exponential part of the same mean. */
const TRIP_US = 100;
/** Processes that one machine can have in a run, for the number of a connection. */
const BOOTS = 4096;
/** Pause after a refusal or a broken connection before the next operation. */
const AFTER_FAILURE_US = 60_000;

/** An operation as it grows; read by the checker at the end (check/history.ts). */
export interface ClientOperation {
  readonly id: number;
  readonly client: number;
  readonly kind: OperationKind;
  readonly key: string;
  readonly value: string;
  readonly expect: string | undefined;
  readonly serializable: boolean;
  readonly slot: number;
  connection: number;
  readonly call: number;
  returned: number;
  outcome: Outcome;
  index: number;
  done: boolean;
  previous: string | undefined;
  read: string | undefined;
  modIndex: number;
  /** Highest index that any client had been told when this one was called. */
  readonly knownAtCall: number;
  readonly phase: number;
}

interface Client {
  /** Of the current operation. */
  rng: Rng;
  number: number;
  target: number;
  /** A probe writes at this slot until it succeeded once; undefined: an ordinary client. */
  readonly probe: number | undefined;
  current: ClientOperation | undefined;
  /** What it last saw under each key, to make comparisons that have a chance. */
  readonly seen: Map<string, string | undefined>;
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
export class Workload {
  readonly operations: ClientOperation[] = [];
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
    this.#end(pending, "unknown");
  }

  /** The answer reached its client. */
  answer(answer: Answer): void {
    const operation = this.#inFlight.get(answer.id);
    if (operation === undefined) return;
    switch (answer.type) {
      case "written":
        operation.index = answer.index;
        operation.done = answer.done;
        operation.previous = answer.previous;
        this.#noteSeen(operation, operation.kind === "delete" ? undefined : operation.value, answer.done);
        break;
      case "read":
        operation.index = answer.index;
        operation.read = answer.value;
        operation.modIndex = answer.modIndex;
        this.#noteSeen(operation, answer.value, true);
        if (!operation.serializable && answer.index < operation.knownAtCall) {
          violate(
            "stale-read",
            `operation ${operation.id} at member ${operation.slot} read at ${answer.index}, ` +
              `${operation.knownAtCall} had been acknowledged before it was called`,
          );
        }
        break;
      case "refused":
      case "unknown":
        this.#end(operation, answer.type);
        return;
      case "done":
        violate("answer-once", `operation ${operation.id} is no configuration change`);
    }
    this.acknowledged++;
    if (!operation.serializable && operation.index > this.#highestKnown) this.#highestKnown = operation.index;
    this.#end(operation, answer.type);
  }

  /** A process ended: its clients see their connections break, and cannot know what became of a write. */
  connectionsBroke(slot: number): void {
    for (const operation of [...this.#inFlight.values()]) {
      if (operation.slot === slot) this.#end(operation, "unknown");
    }
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
      // Connection refused: it never left the client.
      client.current = operation;
      this.#end(operation, "refused");
      return;
    }
    operation.connection = (number * 32 + operation.slot) * BOOTS + boot;
    client.current = operation;
    this.#inFlight.set(operation.id, operation);
    const { queue } = this.#host;
    const trip = TRIP_US + client.rng.exponential(TRIP_US);
    this.#host.submit(operation.slot, operation.id, requestOf(operation), queue.now + trip);
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
    const choice = client.probe === undefined ? drawChoice(rng, config.mix) : 0;
    const key = `k${rng.int(0, config.keys)}`;
    const guess = rng.int(0, 8);
    const kind = (["put", "cas", "delete", "get", "get"] as const)[choice] ?? "put";
    const padding = config.valueBytes === 0 ? 0 : rng.int(0, config.valueBytes + 1);
    const targets = this.#host.targets();
    return {
      id: number * 100_000 + client.number,
      client: number,
      kind,
      key,
      value: kind === "put" || kind === "cas" ? `c${number}.${client.number}${".".repeat(padding)}` : "",
      expect: kind === "cas" ? (guess === 0 ? undefined : client.seen.get(key)) : undefined,
      serializable: choice === 4,
      slot: client.probe ?? targets[client.target % targets.length] ?? 0,
      connection: 0,
      call: this.#host.queue.now,
      returned: Number.POSITIVE_INFINITY,
      outcome: "pending",
      index: 0,
      done: false,
      previous: undefined,
      read: undefined,
      modIndex: 0,
      knownAtCall: this.#highestKnown,
      phase: this.#phase,
    };
  }

  #noteSeen(operation: ClientOperation, value: string | undefined, done: boolean): void {
    const client = this.#clients[operation.client];
    client?.seen.set(operation.key, done ? value : operation.previous);
  }

  #end(operation: ClientOperation, outcome: Outcome): void {
    const client = this.#clients[operation.client];
    if (client === undefined || client.current !== operation)
      violate("answer-once", `operation ${operation.id}`);
    operation.outcome = outcome;
    const succeeded = outcome === "written" || outcome === "read";
    if (succeeded) operation.returned = this.#host.queue.now;
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
    const client = { rng, number: 0, target: number, probe, current: undefined, seen: new Map() };
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

function requestOf(operation: ClientOperation): Request {
  const { kind, key, value } = operation;
  switch (kind) {
    case "put":
      return { type: "put", key, value };
    case "cas":
      return { type: "cas", key, expect: operation.expect, value };
    case "delete":
      return { type: "delete", key };
    case "get":
      return { type: "get", key, serializable: operation.serializable };
  }
}

/** Position in `weights`, each as likely as its weight. */
function drawChoice(rng: Rng, weights: readonly number[]): number {
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
