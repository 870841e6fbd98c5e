/** Random requests over a handful of keys, some of them invalid; every written value is unique. */

import type { ClientRequest } from "../../../chaos/check/index.ts";
import { bytesOf, EMPTY_BYTES } from "../../../src/base/index.ts";
import type {
  Compare,
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from "../../../src/pb/kv.ts";
import { putOf, rangeOf } from "../../support/plain-requests.ts";
import type { Random } from "./random.ts";

const KEYS = ["a", "ab", "b", "b\0", "c", "d"].map(bytesOf);
const END = Uint8Array.of(0);
const ORDERS = ["none", "ascend", "descend"] as const;
const TARGETS = ["key", "version", "create", "mod", "value"] as const;
const RESULTS = ["equal", "greater", "less", "notEqual"] as const;

/** What requests refer to as the run goes on. */
export interface Known {
  readonly revision: number;
  readonly leases: readonly bigint[];
  /** Of a new lease; never 0n, never one before. */
  nextLease(): bigint;
  /** Unique in the run. */
  nextValue(): Uint8Array;
}

export function randomKey(random: Random): Uint8Array {
  return random.pick(KEYS);
}

export function randomRequest(random: Random, known: Known): ClientRequest {
  const dice = random.int(0, 100);
  if (dice < 30) return randomPut(random, known);
  if (dice < 55) return randomRange(random, known);
  if (dice < 65) return randomDelete(random);
  if (dice < 83) return randomTxn(random, known, 0);
  if (dice < 87) return { type: "compaction", revision: random.int(0, known.revision + 2), physical: false };
  if (dice < 93) {
    const isTaken = known.leases.length > 0 && random.chance(0.1);
    const id = isTaken ? random.pick(known.leases) : known.nextLease();
    return { type: "leaseGrant", id, ttl: random.chance(0.03) ? 9_000_000_001 : random.int(1, 4) };
  }
  if (dice < 96) return { type: "leaseRevoke", id: random.maybe(known.leases) ?? 77n };
  return invalidRequest(random, known);
}

function randomPut(random: Random, known: Known): PutRequest {
  const lease = random.chance(0.3) ? (random.maybe(known.leases) ?? 0n) : 0n;
  const prevKv = random.chance(0.4);
  const key = randomKey(random);
  if (random.chance(0.08)) return putOf(key, EMPTY_BYTES, { ignoreValue: true, lease, prevKv });
  return putOf(key, known.nextValue(), {
    lease: random.chance(0.9) ? lease : 78n,
    prevKv,
    ...(random.chance(0.1) ? { ignoreLease: true, lease: 0n } : {}),
  });
}

function randomRange(random: Random, known: Known): RangeRequest {
  const filter = (): number => (random.chance(0.1) ? random.int(0, known.revision + 2) : 0);
  return rangeOf(randomKey(random), {
    rangeEnd: randomEnd(random),
    limit: random.chance(0.3) ? random.int(1, 4) : 0,
    revision: random.chance(0.25) ? Math.max(0, known.revision - random.int(-2, 12)) : 0,
    sortOrder: random.chance(0.7) ? "none" : random.pick(ORDERS),
    sortTarget: random.chance(0.7) ? "key" : random.pick(TARGETS),
    serializable: random.chance(0.3),
    keysOnly: random.chance(0.1),
    countOnly: random.chance(0.1),
    minModRevision: filter(),
    maxModRevision: filter(),
    minCreateRevision: filter(),
    maxCreateRevision: filter(),
  });
}

function randomEnd(random: Random): Uint8Array {
  const dice = random.int(0, 10);
  if (dice < 4) return EMPTY_BYTES;
  return dice < 7 ? END : randomKey(random);
}

function randomDelete(random: Random): DeleteRangeRequest {
  const rangeEnd = random.chance(0.7) ? EMPTY_BYTES : randomEnd(random);
  return { type: "deleteRange", key: randomKey(random), rangeEnd, prevKv: random.chance(0.4) };
}

function randomTxn(random: Random, known: Known, depth: number): TxnRequest {
  const list = <T>(max: number, make: () => T): T[] => Array.from({ length: random.int(0, max) }, make);
  const op = (): RequestOp => {
    const dice = random.int(0, 10);
    if (dice < 4) return randomPut(random, known);
    if (dice < 7) return randomRange(random, known);
    return dice < 9 || depth > 1 ? randomDelete(random) : randomTxn(random, known, depth + 1);
  };
  return {
    type: "txn",
    compare: list(3, () => randomCompare(random, known)),
    success: list(4, op),
    failure: list(3, op),
  };
}

function randomCompare(random: Random, known: Known): Compare {
  const type = random.pick(["version", "create", "mod", "value", "lease"] as const);
  let target: Compare["target"];
  if (type === "value") target = { type, value: bytesOf("v") };
  else if (type === "lease") target = { type, value: random.maybe(known.leases) ?? 0n };
  else target = { type, value: type === "version" ? random.int(0, 3) : random.int(0, known.revision + 1) };
  const rangeEnd = random.chance(0.8) ? EMPTY_BYTES : randomEnd(random);
  return { result: random.pick(RESULTS), key: randomKey(random), rangeEnd, target };
}

function invalidRequest(random: Random, known: Known): ClientRequest {
  const key = randomKey(random);
  return random.pick<ClientRequest>([
    putOf(EMPTY_BYTES, known.nextValue()),
    putOf(key, known.nextValue(), { ignoreValue: true }),
    putOf(key, known.nextValue(), { ignoreLease: true, lease: 5n }),
    rangeOf(EMPTY_BYTES),
    rangeOf(key, { sortOrder: undefined }),
    { type: "deleteRange", key: EMPTY_BYTES, rangeEnd: EMPTY_BYTES, prevKv: false },
    { type: "txn", compare: [], success: [undefined], failure: [] },
    {
      type: "txn",
      compare: [],
      success: [putOf(key, known.nextValue()), putOf(key, known.nextValue())],
      failure: [],
    },
  ]);
}
