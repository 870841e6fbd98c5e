/**
 * What clients ask for: drawn request by request, over few keys, so that they meet; with old and future revisions,
 * leases that are gone, and now and then something that every member must refuse.
 */
import { bytesOf, EMPTY_BYTES } from "../../src/base/index.ts";
import type {
  Compare,
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  SortOrder,
  SortTarget,
  TxnRequest,
} from "../../src/pb/kv.ts";
import type { WatchCreate } from "../../src/watch/types.ts";
import type { ClientRequest } from "../check/kv-history.ts";
import type { SeedConfig } from "./plan.ts";
import type { Rng } from "./rng.ts";

/** Kinds of requests, in the order of `SeedConfig.mix`. */
export const REQUEST_KINDS = [
  "put",
  "delete",
  "txn",
  "range",
  "serializableRange",
  "oldRange",
  "readTxn",
  "compaction",
  "leaseGrant",
  "leaseRevoke",
  "keepAlive",
] as const;

export type RequestKind = (typeof REQUEST_KINDS)[number];

/** A request on the way, or a keepalive. */
export type Drawn = ClientRequest | { readonly type: "keepAlive"; readonly id: bigint };

/** What clients know of the world when they ask. */
export interface Knowledge {
  /** Highest revision that anybody was told of. */
  readonly revision: number;
  /** Leases that were granted, newest last; most of them are gone. */
  readonly leases: readonly bigint[];
}

const FROM_KEY = Uint8Array.of(0);
/** First key and end of the prefix that all keys share. */
const PREFIX = bytesOf("k");
const PREFIX_END = bytesOf("l");
/** How far around the newest revision reads and watches begin. */
const REVISION_REACH = 100;

/** How many keys there are, and how long values may be. */
export type RequestSizes = Pick<SeedConfig, "keys" | "valueBytes">;

/** Draws requests of one operation. Every written value begins with `name`, which is unique in the run. */
export class RequestDraw {
  readonly #rng: Rng;
  readonly #config: RequestSizes;
  readonly #knowledge: Knowledge;
  readonly #name: string;
  #values = 0;

  constructor(rng: Rng, config: RequestSizes, knowledge: Knowledge, name: string) {
    this.#rng = rng;
    this.#config = config;
    this.#knowledge = knowledge;
    this.#name = name;
  }

  draw(kind: RequestKind): Drawn {
    const rng = this.#rng;
    switch (kind) {
      case "put":
        return this.#put(this.#key());
      case "delete":
        return this.#delete();
      case "txn":
        return this.#txn(2, this.#keys());
      case "range":
        return this.range(false, 0);
      case "serializableRange":
        return this.range(true, 0);
      case "oldRange":
        return this.range(rng.int(0, 2) === 0, this.#revisionAround(20, 3));
      case "readTxn":
        return this.#readTxn();
      case "compaction":
        return {
          type: "compaction",
          revision: Math.max(0, this.#knowledge.revision - rng.int(-2, 60)),
          physical: false,
        };
      case "leaseGrant":
        return { type: "leaseGrant", id: this.#newLease(), ttl: rng.int(0, 8) };
      case "leaseRevoke":
        return { type: "leaseRevoke", id: this.#lease() };
      case "keepAlive":
        return { type: "keepAlive", id: this.#lease() };
    }
  }

  /** @param revision 0: the newest. */
  range(serializable: boolean, revision: number): RangeRequest {
    const rng = this.#rng;
    const isPlain = rng.int(0, 3) === 0;
    const span = isPlain ? { key: this.#key(), rangeEnd: EMPTY_BYTES } : this.#span();
    const isSorted = !isPlain && rng.int(0, 4) === 0;
    const isFiltered = !isPlain && rng.int(0, 6) === 0;
    return {
      type: "range",
      ...span,
      limit: isPlain ? 0 : rng.pick([0, 0, 1, 2, 3]),
      revision,
      sortOrder: isSorted ? rng.pick<SortOrder>(["none", "ascend", "descend"]) : "none",
      // Ties between keys are free in etcd; by key and by revision there are none.
      sortTarget: isSorted ? rng.pick<SortTarget>(["key", "mod"]) : "key",
      serializable,
      keysOnly: rng.int(0, 10) === 0,
      countOnly: rng.int(0, 10) === 0,
      minModRevision: isFiltered ? this.#revisionAround(20, 0) : 0,
      maxModRevision: isFiltered && rng.int(0, 2) === 0 ? this.#revisionAround(10, 0) : 0,
      minCreateRevision: 0,
      maxCreateRevision: isFiltered && rng.int(0, 3) === 0 ? this.#revisionAround(10, 0) : 0,
    };
  }

  /** A watch from up to a hundred revisions back to a hundred ahead, or from now on. */
  watch(): WatchCreate {
    const rng = this.#rng;
    const span = rng.int(0, 3) === 0 ? { key: this.#key(), rangeEnd: EMPTY_BYTES } : this.#span();
    const kind = rng.int(0, 8);
    return {
      ...span,
      startRevision: rng.int(0, 3) === 0 ? 0 : this.#revisionAround(REVISION_REACH, REVISION_REACH),
      progressNotify: rng.int(0, 2) === 0,
      noPut: kind === 0,
      noDelete: kind === 1,
      prevKv: rng.int(0, 2) === 0,
      fragment: rng.int(0, 2) === 0,
      watchId: 0,
    };
  }

  #key(): Uint8Array {
    return bytesOf(`k${this.#rng.int(0, this.#config.keys)}`);
  }

  #span(): { readonly key: Uint8Array; readonly rangeEnd: Uint8Array } {
    switch (this.#rng.int(0, 5)) {
      case 0:
        return { key: this.#key(), rangeEnd: FROM_KEY };
      case 1:
        return { key: FROM_KEY, rangeEnd: FROM_KEY };
      case 2:
        // Now and then empty: the end may lie before the begin.
        return { key: this.#key(), rangeEnd: this.#key() };
      default:
        return { key: PREFIX, rangeEnd: PREFIX_END };
    }
  }

  #put(key: Uint8Array): PutRequest {
    const rng = this.#rng;
    const keepsValue = rng.int(0, 20) === 0;
    const keepsLease = rng.int(0, 20) === 0;
    return {
      type: "put",
      key,
      value: keepsValue ? EMPTY_BYTES : this.#value(),
      lease: !keepsLease && rng.int(0, 5) === 0 ? this.#lease() : 0n,
      prevKv: rng.int(0, 2) === 0,
      ignoreValue: keepsValue,
      ignoreLease: keepsLease,
    };
  }

  #value(): Uint8Array {
    const { valueBytes } = this.#config;
    const padding = valueBytes === 0 ? 0 : this.#rng.int(0, valueBytes + 1);
    return bytesOf(`${this.#name}.${++this.#values}${".".repeat(padding)}`);
  }

  #delete(): DeleteRangeRequest {
    const rng = this.#rng;
    const span = rng.int(0, 3) > 0 ? { key: this.#key(), rangeEnd: EMPTY_BYTES } : this.#span();
    return { type: "deleteRange", ...span, prevKv: rng.int(0, 2) === 0 };
  }

  #readTxn(): TxnRequest {
    const rng = this.#rng;
    const serializable = rng.int(0, 3) === 0;
    const ranges = (): RangeRequest[] =>
      Array.from({ length: rng.int(1, 3) }, () => this.range(serializable, 0));
    return { type: "txn", compare: this.#compares(), success: ranges(), failure: ranges() };
  }

  #keys(): number[] {
    return Array.from({ length: this.#config.keys }, (_, i) => i);
  }

  /** @param keys that it may write: a key that is written twice on one path makes the whole request invalid. */
  #txn(depth: number, keys: readonly number[]): TxnRequest {
    return {
      type: "txn",
      compare: this.#compares(),
      success: this.#operations(depth, [...keys]),
      failure: this.#operations(depth, [...keys]),
    };
  }

  #operations(depth: number, keys: number[]): RequestOp[] {
    const rng = this.#rng;
    const operations: RequestOp[] = [];
    const count = rng.int(0, 4);
    const isCareless = rng.int(0, 30) === 0;
    for (let i = 0; i < count; i++) {
      const kind = rng.int(0, 8);
      if (kind < 2) {
        operations.push(this.range(false, rng.int(0, 10) === 0 ? this.#revisionAround(20, 1) : 0));
        continue;
      }
      if (keys.length === 0) break;
      const at = rng.int(0, keys.length);
      const number = keys[at] ?? 0;
      const key = bytesOf(`k${number}`);
      if (kind === 2 && depth > 0) operations.push(this.#txn(depth - 1, [number]));
      else if (kind < 5) operations.push({ type: "deleteRange", key, rangeEnd: EMPTY_BYTES, prevKv: true });
      else operations.push(this.#put(key));
      if (!isCareless) keys.splice(at, 1);
    }
    return operations;
  }

  #compares(): Compare[] {
    const rng = this.#rng;
    return Array.from({ length: rng.int(0, 3) }, () => {
      const isRange = rng.int(0, 8) === 0;
      const span = isRange
        ? { key: PREFIX, rangeEnd: PREFIX_END }
        : { key: this.#key(), rangeEnd: EMPTY_BYTES };
      return {
        ...span,
        result: rng.pick(["equal", "greater", "less", "notEqual"] as const),
        target: this.#target(),
      };
    });
  }

  #target(): NonNullable<Compare["target"]> {
    const rng = this.#rng;
    switch (rng.int(0, 5)) {
      case 0:
        return { type: "version", value: rng.int(0, 4) };
      case 1:
        return { type: "create", value: rng.int(0, 2) === 0 ? 0 : this.#revisionAround(20, 0) };
      case 2:
        return { type: "value", value: bytesOf(`c${rng.int(0, 9)}`) };
      case 3:
        return { type: "lease", value: rng.int(0, 2) === 0 ? 0n : this.#lease() };
      default:
        return { type: "mod", value: rng.int(0, 4) === 0 ? 0 : this.#revisionAround(6, 0) };
    }
  }

  #revisionAround(back: number, ahead: number): number {
    return Math.max(1, this.#knowledge.revision + this.#rng.int(-back, ahead + 1));
  }

  #lease(): bigint {
    const { leases } = this.#knowledge;
    const last = leases[leases.length - 1 - Math.min(this.#rng.exponential(2), 20)];
    return last ?? 7n;
  }

  /** 0: the member chooses. */
  #newLease(): bigint {
    const kind = this.#rng.int(0, 6);
    if (kind === 0) return this.#lease();
    return kind < 3 ? BigInt(this.#rng.int(1, 2 ** 30)) : 0n;
  }
}
