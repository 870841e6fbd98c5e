/**
 * Clients of the drivers: each has one operation in flight, every written value is unique, few keys make them meet.
 * They hear of an answer in the moment in which its promise settles; when the process goes, what they asked is unknown.
 */
import type { Answer } from "../../src/member/index.ts";
import type { KvResponse } from "../../src/pb/kv.ts";
import { type ClientResponse, isSerializable, type OperationOutcome } from "../check/kv-history.ts";
import { type Drawn, type Knowledge, REQUEST_KINDS, RequestDraw } from "../sim/requests.ts";
import { Rng } from "../sim/rng.ts";
import { violate, violationOf } from "../sim/violation.ts";
import {
  type ClientRecords,
  drawChoice,
  isOfModel,
  memberRequest,
  noteSide,
  type SideAnswer,
} from "../sim/workload.ts";
import type { DriverMachine } from "./machine.ts";
import type { World } from "./world.ts";

/** A client's way to a member, plus an exponential part of the same mean. */
const TRIP_US = 100;
const THINK_US = 15_000;
const AFTER_FAILURE_US = 60_000;
/** One request in so many is given up by its client. */
const ABORT_EVERY = 25;
/** Weights of REQUEST_KINDS. */
const MIX = [30, 6, 10, 12, 4, 3, 4, 2, 3, 2, 4, 2, 1, 2, 0];
/** Leases outlive the run, so that nothing happens in it that nobody asked for, seconds. */
const LEASE_TTL = 600;
const MAX_LEASES = 16;

interface Operation {
  readonly id: number;
  readonly client: Client;
  readonly request: Drawn;
  readonly slot: number;
  readonly boot: number;
  readonly call: number;
  returned: number;
  outcome: OperationOutcome;
  /** The answer to what no model of keys answers. */
  side: SideAnswer | undefined;
  /** The driver has it. */
  isSubmitted: boolean;
  /** Highest index that any client had been told of when this was called. */
  readonly knownAtCall: number;
}

interface Client {
  readonly number: number;
  turns: number;
  target: number;
  current: Operation | undefined;
}

export class Clients implements Knowledge {
  revision = 1;
  readonly leases: bigint[] = [];
  readonly operations: Operation[] = [];
  acknowledged = 0;
  readonly #world: World;
  readonly #clients: Client[] = [];
  #isStopped = false;
  #highestKnown = 0;
  /** Slots at which something succeeded since this was emptied. */
  readonly served = new Set<number>();

  constructor(world: World) {
    this.#world = world;
    for (let number = 0; number < world.settings.clients; number++) {
      const client: Client = { number, turns: 0, target: number, current: undefined };
      this.#clients.push(client);
      this.#later(client, 200_000 + number * 5_000);
    }
  }

  get members(): readonly bigint[] {
    return this.#world.machines.map(({ id }) => id);
  }

  stop(): void {
    this.#isStopped = true;
  }

  get inFlight(): number {
    return this.#clients.filter(({ current }) => current !== undefined).length;
  }

  /** A process ended: connections to it broke. */
  ended(machine: DriverMachine): void {
    for (const { current } of this.#clients) {
      if (current?.slot === machine.slot) this.#end(current, { type: "unknown", error: "connection broke" });
    }
  }

  /** A driver has stopped in order: then nobody may wait for an answer of it. */
  closed(machine: DriverMachine): void {
    for (const { current } of this.#clients) {
      if (current?.slot !== machine.slot || !current.isSubmitted) continue;
      violate("answer-once", `member ${machine.slot} stopped and never answered operation ${current.id}`);
    }
  }

  history(): ClientRecords {
    const records: ClientRecords = { operations: [], keepAlives: [], leaseReads: [], hashAnswers: [] };
    for (const operation of this.operations) {
      const { id, client, slot, boot, call, returned, request, outcome, side } = operation;
      const member = `m${slot}`;
      if (!isOfModel(request)) {
        noteSide(records, { client: client.number, request, side, call, returned }, member);
        continue;
      }
      const connection = (client.number * 32 + slot) * 4096 + boot;
      const head = { id, client: client.number, connection, member };
      records.operations.push({ ...head, call, returned, request, outcome });
    }
    return records;
  }

  #turn(client: Client): void {
    if (client.current !== undefined || this.#isStopped) return;
    const { queue, machines, seed, settings } = this.#world;
    const turn = ++client.turns;
    const rng = new Rng(seed, `client ${client.number} ${turn}`);
    const machine = machines[client.target % machines.length];
    const life = machine?.life;
    if (machine?.driver === undefined || life === undefined) {
      client.target++;
      this.#later(client, 5_000 + rng.exponential(AFTER_FAILURE_US));
      return;
    }
    const operation: Operation = {
      id: client.number * 100_000 + turn,
      client,
      request: this.#draw(rng, `c${client.number}.${turn}`, settings),
      slot: machine.slot,
      boot: life.boot,
      call: queue.now,
      returned: Number.POSITIVE_INFINITY,
      outcome: { type: "pending" },
      side: undefined,
      isSubmitted: false,
      knownAtCall: this.#highestKnown,
    };
    this.operations.push(operation);
    client.current = operation;
    life.after(TRIP_US + rng.exponential(TRIP_US), "request", () => this.#submit(operation, machine, rng));
  }

  #submit(operation: Operation, machine: DriverMachine, rng: Rng): void {
    operation.isSubmitted = true;
    let signal: AbortSignal | undefined;
    if (rng.int(0, ABORT_EVERY) === 0) {
      const stopper = new AbortController();
      signal = stopper.signal;
      machine.life?.after(rng.int(0, 20_000), "abort", () => stopper.abort());
    }
    const { driver } = machine;
    const before = driver?.lastRequest ?? 0;
    const asked = driver?.request(memberRequest(operation.request), signal);
    const number = driver?.lastRequest ?? 0;
    // What was not even taken has no number; other members' questions have some of them.
    const identity = number === before ? undefined : driver?.machine.identityOf(number);
    if (identity !== undefined) this.#world.log.proposed(identity, operation.id);
    asked
      ?.then((answer) => this.#answered(operation, answer))
      .catch((error: unknown) => this.#world.report(violationOf(error)));
  }

  #answered(operation: Operation, answer: Answer): void {
    // Its client has gone away with the process.
    if (operation.client.current !== operation) return;
    switch (answer.type) {
      case "done":
        this.#succeeded(operation, answer.index, answer.revision);
        if (answer.response.type === "leaseGrant") this.#learn(answer.response.id);
        this.#end(operation, {
          type: "ok",
          revision: answer.revision,
          response: this.#own(operation, answer.response),
        });
        return;
      case "leaseKept":
      case "leaseTtl":
      case "leases":
      case "hash":
        this.#succeeded(operation, "index" in answer ? answer.index : 0, answer.revision);
        operation.side = answer;
        this.#end(operation, undefined);
        return;
      case "refused":
        this.#end(operation, { type: "refused", error: answer.error.message });
        return;
      case "unknown":
        this.#end(operation, { type: "unknown", error: answer.reason });
        return;
      default:
        this.#world.machines[operation.slot]?.life?.violate(
          "answer-once",
          `operation ${operation.id}: ${answer.type}`,
        );
    }
  }

  #own(operation: Operation, response: KvResponse): ClientResponse {
    if (response.type !== "leaseCheckpoint" && response.type === operation.request.type) return response;
    const life = this.#world.machines[operation.slot]?.life;
    const what = `operation ${operation.id} asked for ${operation.request.type}, got ${response.type}`;
    return life?.violate("answer-once", what) ?? violate("answer-once", what);
  }

  #succeeded(operation: Operation, index: number, revision: number): void {
    const { request, slot } = operation;
    operation.returned = this.#world.queue.now;
    this.acknowledged++;
    this.served.add(slot);
    if (isOfModel(request) ? isSerializable(request) : request.type === "hashKv") return;
    if (index < operation.knownAtCall) {
      const what = `operation ${operation.id} was answered at ${index}, ${operation.knownAtCall} was known before`;
      this.#world.machines[slot]?.life?.violate("stale-read", what);
    }
    this.#highestKnown = Math.max(this.#highestKnown, index);
    this.revision = Math.max(this.revision, revision);
  }

  #end(operation: Operation, outcome: OperationOutcome | undefined): void {
    const { client } = operation;
    const { trace, queue } = this.#world;
    trace.event(queue.now, outcome?.type ?? "kept", operation.slot, operation.id);
    if (trace.recording) {
      const text = `${operation.request.type} ${operation.id} ${outcome?.type ?? "kept"}`;
      trace.line(
        queue.now,
        `m${operation.slot} ${text} ${outcome !== undefined && "error" in outcome ? outcome.error : ""}`,
      );
    }
    if (outcome !== undefined) operation.outcome = outcome;
    if (outcome?.type === "refused") operation.returned = queue.now;
    client.current = undefined;
    const succeeded = outcome === undefined || outcome.type === "ok";
    if (!succeeded || client.turns % 7 === 0) client.target++;
    const rng = new Rng(this.#world.seed, `think ${operation.id}`);
    this.#later(client, succeeded ? rng.exponential(THINK_US) : 5_000 + rng.exponential(AFTER_FAILURE_US));
  }

  #draw(rng: Rng, name: string, sizes: { readonly keys: number; readonly valueBytes: number }): Drawn {
    const kind = REQUEST_KINDS[drawChoice(rng, MIX)] ?? "put";
    const drawn = new RequestDraw(rng, sizes, this, name).draw(kind);
    return drawn.type === "leaseGrant" ? { ...drawn, ttl: LEASE_TTL } : drawn;
  }

  #learn(lease: bigint): void {
    this.leases.push(lease);
    if (this.leases.length > MAX_LEASES) this.leases.shift();
  }

  #later(client: Client, delayUs: number): void {
    const { queue } = this.#world;
    queue.call(queue.now + delayUs, { slot: -1, boot: -1, label: "client" }, () => this.#turn(client));
  }
}
