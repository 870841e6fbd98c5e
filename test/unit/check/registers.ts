/** Legal histories of registers, and mutations of them that no order of the operations can explain. */

import {
  type ClientRequest,
  type KvHistory,
  type KvOperation,
  latin1,
  Model,
} from "../../../chaos/check/index.ts";
import { bytesOf, EMPTY_BYTES, ERR } from "../../../src/base/index.ts";
import type { TxnRequest } from "../../../src/pb/kv.ts";
import { putOf, rangeOf } from "../../support/plain-requests.ts";
import type { Random } from "./random.ts";

const KEYS = ["x", "y"].map(bytesOf);
const NEVER = bytesOf("never written");

/** @param values of the run so far, to compare with. */
function randomRegisterRequest(
  random: Random,
  value: Uint8Array,
  values: readonly Uint8Array[],
): ClientRequest {
  const key = random.pick(KEYS);
  const dice = random.int(0, 10);
  if (dice < 4) return rangeOf(key);
  if (dice < 7) return putOf(key, value, { prevKv: random.chance(0.5) });
  if (dice < 8) return { type: "deleteRange", key, rangeEnd: EMPTY_BYTES, prevKv: false };
  return swapOf(key, random.maybe(values), value);
}

/** `expect` undefined: absence. */
function swapOf(key: Uint8Array, expect: Uint8Array | undefined, value: Uint8Array): TxnRequest {
  const target = expect === undefined ? { type: "version", value: 0 } : { type: "value", value: expect };
  return {
    type: "txn",
    compare: [
      { result: "equal", key, rangeEnd: EMPTY_BYTES, target: target as TxnRequest["compare"][0]["target"] },
    ],
    success: [putOf(key, value)],
    failure: [],
  };
}

/**
 * Clients whose calls overlap; each operation is executed by the model at a moment between call and return.
 */
export function generateRegisters(random: Random, count: number): KvHistory {
  const clients = random.int(2, 6);
  const free = Array.from({ length: clients }, () => 0);
  const planned = Array.from({ length: count }, (_, id) => {
    const client = random.int(0, clients);
    const call = (free[client] ?? 0) + random.int(1, 100);
    const executed = call + random.int(1, 200);
    const returned = executed + random.int(1, 200);
    const isLost = random.chance(0.05);
    free[client] = returned;
    return {
      id,
      client,
      call,
      executed: isLost ? executed + random.int(0, 1_000) : executed,
      returned,
      isLost,
    };
  });
  const model = new Model();
  const values: Uint8Array[] = [];
  const operations: KvOperation[] = [];
  for (const { id, client, call, executed, returned, isLost } of planned.sort(
    (a, b) => a.executed - b.executed,
  )) {
    const value = bytesOf(`v${id}`);
    const request = randomRegisterRequest(random, value, values);
    if (request.type === "put") values.push(value);
    const base = { id, client, connection: client, member: "", call, request };
    const isExecuted = !isLost || (random.chance(0.5) && executed > call);
    const result = isExecuted ? execute(model, request) : undefined;
    if (isLost || result?.response === undefined || result.response.type === "leaseCheckpoint") {
      const outcome = { type: "unknown", error: ERR.timeout.message } as const;
      operations.push({ ...base, returned: Number.POSITIVE_INFINITY, outcome });
      continue;
    }
    const { revision, response } = result;
    operations.push({ ...base, returned, outcome: { type: "ok", revision, response } });
  }
  const end = Math.max(...free);
  return {
    title: "registers",
    operations,
    watches: [],
    keepAlives: [],
    leaseReads: [],
    hashAnswers: [],
    dumps: [],
    log: undefined,
    faults: [],
    leaders: [],
    end,
  };
}

function execute(model: Model, request: ClientRequest): ReturnType<Model["apply"]> {
  return request.type === "range" ? model.range(request) : model.apply(request);
}

/** A mutation of a history of registers; undefined: there was nothing to break. */
export type RegisterMutation = (history: KvHistory, random: Random) => KvHistory | undefined;

interface Read {
  readonly operation: KvOperation;
  readonly name: string;
}

function readsOf(history: KvHistory): Read[] {
  return history.operations.flatMap((operation) => {
    const { request, outcome } = operation;
    return request.type === "range" && outcome.type === "ok"
      ? [{ operation, name: latin1(request.key) }]
      : [];
  });
}

/** Puts that were answered. */
function putsOf(
  history: KvHistory,
): { readonly operation: KvOperation; readonly name: string; readonly value: Uint8Array }[] {
  return history.operations.flatMap((operation) => {
    const { request, outcome } = operation;
    if (request.type !== "put" || outcome.type !== "ok") return [];
    return [{ operation, name: latin1(request.key), value: request.value }];
  });
}

/** The read gives this value; undefined: the key is absent. */
function withRead(history: KvHistory, { operation, name }: Read, value: Uint8Array | undefined): KvHistory {
  const kv = { key: bytesOf(name), createRevision: 2, modRevision: 2, version: 1, lease: 0n };
  const kvs = value === undefined ? [] : [{ ...kv, value }];
  const response = { type: "range", kvs, more: false, count: kvs.length } as const;
  return replace(history, { ...operation, outcome: { type: "ok", revision: 2, response } });
}

function replace(history: KvHistory, changed: KvOperation): KvHistory {
  return {
    ...history,
    operations: history.operations.map((other) => (other.id === changed.id ? changed : other)),
  };
}

export const REGISTER_MUTATIONS: Readonly<Record<string, RegisterMutation>> = {
  "a value that was never written": (history, random) => {
    const read = random.maybe(readsOf(history));
    return read === undefined ? undefined : withRead(history, read, NEVER);
  },
  // Its only writer was called after the read had returned.
  "a value of the future": (history, random) => {
    const pairs = readsOf(history).flatMap((read) =>
      putsOf(history)
        .filter((put) => put.name === read.name && put.operation.call > read.operation.returned)
        .map((put) => ({ read, value: put.value })),
    );
    const pair = random.maybe(pairs);
    return pair === undefined ? undefined : withRead(history, pair.read, pair.value);
  },
  // Written once, overwritten by a put that began when that was over and was over when the read began.
  "a value that was overwritten": (history, random) => {
    const puts = putsOf(history);
    const cases = readsOf(history).flatMap((read) => {
      const before = puts.filter(
        (put) => put.name === read.name && put.operation.returned < read.operation.call,
      );
      return before
        .filter((old) => before.some((newer) => newer.operation.call > old.operation.returned))
        .map((old) => ({ read, value: old.value }));
    });
    const found = random.maybe(cases);
    return found === undefined ? undefined : withRead(history, found.read, found.value);
  },
  // Written, and nobody ever deletes.
  "a write that is lost": (history, random) => {
    const isDeleted = history.operations.some(({ request }) => request.type === "deleteRange");
    const kept: KvHistory = isDeleted ? withoutDeletes(history) : history;
    const puts = putsOf(kept);
    const reads = readsOf(kept).filter((read) =>
      puts.some((put) => put.name === read.name && put.operation.returned < read.operation.call),
    );
    const read = random.maybe(reads);
    return read === undefined ? undefined : withRead(kept, read, undefined);
  },
  "a comparison with what was never there": (history, random) => {
    const swaps = history.operations.filter(
      ({ request, outcome }) =>
        request.type === "txn" &&
        outcome.type === "ok" &&
        outcome.response.type === "txn" &&
        outcome.response.succeeded,
    );
    const swap = random.maybe(swaps);
    const put = swap?.request.type === "txn" ? swap.request.success[0] : undefined;
    if (swap === undefined || put?.type !== "put") return undefined;
    return replace(history, { ...swap, request: swapOf(put.key, NEVER, put.value) });
  },
  "a delete of a key that nobody wrote": (history, random) => {
    const operation: KvOperation = {
      id: 100_000,
      client: 50,
      connection: 50,
      member: "",
      call: 1,
      returned: random.int(2, 500),
      request: { type: "deleteRange", key: bytesOf("nobody"), rangeEnd: EMPTY_BYTES, prevKv: false },
      outcome: { type: "ok", revision: 2, response: { type: "deleteRange", deleted: 1, prevKvs: [] } },
    };
    return { ...history, operations: [...history.operations, operation] };
  },
};

/** Without deletes, answers that saw their effect stand for nothing; only puts and one read are kept. */
function withoutDeletes(history: KvHistory): KvHistory {
  return {
    ...history,
    operations: history.operations.filter(({ request }) => request.type !== "deleteRange"),
  };
}
