/**
 * Random requests of etcd's API: few keys, so that they meet; every option; now and then what is refused. What exists
 * (revisions, leases) is asked of the world they are made for, so that most of them make sense.
 */
import { bytesOf, EMPTY_BYTES } from "../../src/base/index.ts";
import type { Random } from "../../src/env/index.ts";
import type {
  Compare,
  DeleteRangeRequest,
  KvRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from "../../src/pb/kv.ts";

/** Where the requests go to. */
export interface RequestWorld {
  readonly revision: number;
  readonly compactRevision: number;
  /** IDs of the leases that are there. */
  readonly leases: readonly bigint[];
  /** Whether alarms are on: then they are soon switched off. */
  readonly alarmed: boolean;
}

export const FROM_KEY = new Uint8Array([0]);

const KEYS: readonly Uint8Array[] = [
  ...Array.from({ length: 60 }, (_, i) => bytesOf(`k/${String.fromCharCode(97 + (i % 12))}${i}`)),
  ...Array.from({ length: 30 }, (_, i) => new Uint8Array([0x6b, i * 8])),
  new Uint8Array([0]),
  new Uint8Array([0, 0]),
  new Uint8Array([0xff]),
  new Uint8Array([0xff, 0xff, 1]),
  bytesOf("k"),
];
/** Lease IDs are drawn from [1, LEASES], negative ones included as etcd allows them. */
const LEASES = 12;
const ORDERS = ["none", "none", "none", "ascend", "descend"] as const;
const TARGETS = ["key", "key", "version", "create", "mod", "value"] as const;
const RESULTS = ["equal", "greater", "less", "notEqual"] as const;

/** Makes requests, each from the state of the world when it is asked for. */
export class RequestMaker {
  readonly #random: Random;
  readonly #world: RequestWorld;

  constructor(random: Random, world: RequestWorld) {
    this.#random = random;
    this.#world = world;
  }

  /** A request for the log. */
  write(): KvRequest {
    if (this.#world.alarmed && this.#oneIn(3)) return this.#alarm("deactivate");
    const draw = this.#random.int(0, 1000);
    if (draw < 470) return this.put();
    if (draw < 590) return this.deleteRange();
    if (draw < 860) return this.txn(2);
    if (draw < 880) return { type: "compaction", revision: this.#compactTo(), physical: this.#oneIn(2) };
    if (draw < 935) return this.#grant();
    if (draw < 980) return { type: "leaseRevoke", id: this.#leaseId() };
    if (draw < 996) {
      return {
        type: "leaseCheckpoint",
        leases: [{ id: this.#leaseId(), remainingTtl: this.#random.int(0, 50) }],
      };
    }
    return this.#alarm(this.#oneIn(2) ? "activate" : "deactivate");
  }

  put(): PutRequest {
    const ignoreValue = this.#oneIn(12);
    const ignoreLease = this.#oneIn(12);
    return {
      type: "put",
      key: this.#key(),
      value: ignoreValue && !this.#oneIn(20) ? EMPTY_BYTES : this.#value(),
      lease: (ignoreLease && !this.#oneIn(20)) || !this.#oneIn(3) ? 0n : this.#leaseId(),
      prevKv: this.#oneIn(3),
      ignoreValue,
      ignoreLease,
    };
  }

  deleteRange(): DeleteRangeRequest {
    const rangeEnd = this.#oneIn(3) ? this.#rangeEnd() : EMPTY_BYTES;
    return { type: "deleteRange", key: this.#key(), rangeEnd, prevKv: this.#oneIn(2) };
  }

  range(): RangeRequest {
    const filter = (): number => (this.#oneIn(12) ? this.#random.int(0, this.#world.revision + 3) : 0);
    return {
      type: "range",
      key: this.#key(),
      rangeEnd: this.#oneIn(4) ? EMPTY_BYTES : this.#rangeEnd(),
      limit: this.#oneIn(2) ? 0 : this.#random.int(-1, 12),
      revision: this.#oneIn(2) ? 0 : this.#readRevision(),
      sortOrder: this.#oneIn(200) ? undefined : this.#pick(ORDERS),
      sortTarget: this.#oneIn(200) ? undefined : this.#pick(TARGETS),
      serializable: this.#oneIn(2),
      keysOnly: this.#oneIn(6),
      countOnly: this.#oneIn(8),
      minModRevision: filter(),
      maxModRevision: filter(),
      minCreateRevision: filter(),
      maxCreateRevision: filter(),
    };
  }

  /** @param depth how many levels of txns may be nested in it. */
  txn(depth: number): TxnRequest {
    const branch = (): TxnRequest["success"] => this.#list(4, () => this.#operation(depth));
    return {
      type: "txn",
      compare: this.#list(3, () => this.compare()),
      success: branch(),
      failure: branch(),
    };
  }

  /** A txn that only reads. */
  readTxn(): TxnRequest {
    const branch = (): TxnRequest["success"] => this.#list(3, () => this.range());
    return {
      type: "txn",
      compare: this.#list(3, () => this.compare()),
      success: branch(),
      failure: branch(),
    };
  }

  compare(): Compare {
    return {
      result: this.#oneIn(100) ? undefined : this.#pick(RESULTS),
      key: this.#key(),
      rangeEnd: this.#oneIn(4) ? this.#rangeEnd() : EMPTY_BYTES,
      target: this.#target(),
    };
  }

  #target(): Compare["target"] {
    const { revision } = this.#world;
    switch (this.#random.int(0, 12)) {
      case 0:
      case 1:
        return { type: "version", value: this.#random.int(0, 4) };
      case 2:
      case 3:
        return { type: "create", value: this.#oneIn(2) ? 0 : this.#random.int(1, revision + 2) };
      case 4:
      case 5:
        return { type: "mod", value: this.#oneIn(2) ? 0 : this.#random.int(1, revision + 2) };
      case 6:
      case 7:
      case 8:
        return { type: "value", value: this.#value() };
      case 9:
      case 10:
        return { type: "lease", value: this.#oneIn(2) ? 0n : this.#leaseId() };
      default:
        return this.#oneIn(5) ? undefined : { type: "version", value: -1 };
    }
  }

  #operation(depth: number): RequestOp | undefined {
    const draw = this.#random.int(0, 100);
    if (draw < 45) return this.put();
    if (draw < 60) return this.deleteRange();
    if (draw < 88 || depth === 0) return this.#oneIn(300) ? undefined : this.#rangeInTxn();
    return this.txn(depth - 1);
  }

  /** Mostly of the newest revision: one that fails takes its whole txn with it. */
  #rangeInTxn(): RangeRequest {
    const range = this.range();
    return this.#oneIn(4) ? range : { ...range, revision: 0 };
  }

  #grant(): KvRequest {
    const ttl = this.#oneIn(20) ? 9_000_000_001 : this.#random.int(2, 100);
    return { type: "leaseGrant", id: this.#leaseId(), ttl };
  }

  #alarm(action: "activate" | "deactivate"): KvRequest {
    const alarm = this.#oneIn(3) ? "corrupt" : "nospace";
    return { type: "alarm", action, member: BigInt(this.#random.int(1, 3)), alarm };
  }

  /** Sometimes one that exists, sometimes any. */
  #leaseId(): bigint {
    const { leases } = this.#world;
    if (leases.length > 0 && !this.#oneIn(6)) return this.#pick(leases);
    const id = BigInt(this.#random.int(1, LEASES + 1));
    return this.#oneIn(4) ? -id : id;
  }

  #compactTo(): number {
    const { revision, compactRevision } = this.#world;
    if (this.#oneIn(8)) return this.#random.int(-1, revision + 3);
    return this.#random.int(Math.max(0, compactRevision), revision + 1);
  }

  #readRevision(): number {
    const { revision, compactRevision } = this.#world;
    if (this.#oneIn(10)) return this.#random.int(-3, 2);
    return this.#random.int(Math.max(1, compactRevision - 2), revision + 3);
  }

  #key(): Uint8Array {
    return this.#oneIn(150) ? EMPTY_BYTES : this.#pick(KEYS);
  }

  #rangeEnd(): Uint8Array {
    return this.#oneIn(4) ? FROM_KEY : this.#pick(KEYS);
  }

  #value(): Uint8Array {
    return bytesOf("x".repeat(this.#random.int(0, 3)) + String(this.#random.int(0, 6)));
  }

  #list<T>(most: number, make: () => T): T[] {
    return Array.from({ length: this.#random.int(0, most) }, make);
  }

  #pick<T>(items: readonly T[]): T {
    return items[this.#random.int(0, items.length)] as T;
  }

  #oneIn(n: number): boolean {
    return this.#random.int(0, n) === 0;
  }
}
