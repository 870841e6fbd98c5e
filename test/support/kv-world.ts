/** A key-value state over a Map, with short forms of the requests, for tables of what they do. */
import { KvLoader, type KvOutcome, type KvStateOfMember, Overlay } from "../../src/apply/index.ts";
import { bytesOf, EMPTY_BYTES } from "../../src/base/index.ts";
import type { ChangeSet } from "../../src/mvcc/index.ts";
import type {
  Compare,
  DeleteRangeRequest,
  KvRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from "../../src/pb/kv.ts";
import { latin1 } from "./kv-answers.ts";
import { putOf, rangeOf } from "./plain-requests.ts";

export function put(key: string, value = "", rest: Partial<PutRequest> = {}): PutRequest {
  return putOf(bytesOf(key), bytesOf(value), rest);
}

/** @param end "" one key, "\0" from the key on. */
export function del(key: string, end = "", prevKv = false): DeleteRangeRequest {
  return { type: "deleteRange", key: bytesOf(key), rangeEnd: bytesOf(end), prevKv };
}

export function range(key: string, end = "", rest: Partial<RangeRequest> = {}): RangeRequest {
  return rangeOf(bytesOf(key), { rangeEnd: bytesOf(end), ...rest });
}

type Op = RequestOp | undefined;

export function txn(
  compare: readonly Compare[],
  success: readonly Op[] = [],
  failure: readonly Op[] = [],
): TxnRequest {
  return { type: "txn", compare, success, failure };
}

export function compare(
  key: string,
  target: Compare["target"],
  result: Compare["result"] = "equal",
  end = "",
): Compare {
  return { key: bytesOf(key), rangeEnd: bytesOf(end), target, result };
}

export function grant(id: bigint, ttl = 60): KvRequest {
  return { type: "leaseGrant", id, ttl };
}

export function compaction(revision: number): KvRequest {
  return { type: "compaction", revision, physical: false };
}

export class KvWorld {
  /** What is durable. */
  readonly records = new Map<string, Uint8Array>();
  /** What the listener was told: "3 put a", "4 delete b", "compacted 3". */
  readonly heard: string[] = [];
  overlay: Overlay = new Overlay(this.records);
  state: KvStateOfMember = this.#load();

  constructor(...requests: readonly KvRequest[]) {
    for (const request of requests) this.mustDo(request);
  }

  apply(request: KvRequest): KvOutcome {
    return this.state.apply(request);
  }

  /** Applies a request that must not be refused. */
  mustDo(request: KvRequest): Extract<KvOutcome, { type: "done" }> {
    const outcome = this.apply(request);
    if (outcome.type === "done") return outcome;
    throw new Error(outcome.type === "refused" ? outcome.error.message : outcome.reason);
  }

  /** All keys as "key=value", of the newest revision. */
  keys(): string[] {
    const outcome = this.state.range(range("\0", "\0"));
    if (outcome.type !== "done") throw new Error("a range over everything failed");
    return outcome.response.kvs.map((kv) => `${latin1(kv.key)}=${latin1(kv.value)}`);
  }

  /** Everything that a refused request must leave alone. */
  fingerprint(): unknown[] {
    const { store, leases, alarms } = this.state;
    const held = leases.ids().map((id) => [id, leases.get(id), leases.keysOf(id)]);
    const history = store.history(
      { key: bytesOf("\0"), rangeEnd: bytesOf("\0") },
      this.#from(),
      store.revision,
      1e9,
    );
    const heard = [...this.heard];
    return [store.revision, store.compactRevision, store.logicalBytes, held, alarms.list(), history, heard];
  }

  /** Makes everything durable. */
  save(): void {
    const { puts, deletes } = this.overlay.take();
    for (const name of deletes) this.records.delete(name);
    for (const [name, bytes] of puts) this.records.set(name, bytes);
    this.overlay.durable();
  }

  /** Comes up again from what is durable; the reason when it is refused. */
  restart(): string | undefined {
    this.overlay = new Overlay(this.records);
    const loaded = this.#finishLoad();
    if (loaded.type === "refused") return loaded.reason;
    this.state = loaded.state;
    return undefined;
  }

  #from(): number {
    return Math.max(1, this.state.store.compactRevision + 1);
  }

  #load(): KvStateOfMember {
    const loaded = this.#finishLoad();
    if (loaded.type === "refused") throw new Error(loaded.reason);
    return loaded.state;
  }

  #finishLoad(): ReturnType<KvLoader["finish"]> {
    const loader = new KvLoader(this.overlay, {
      changed: (set) => this.#hear(set),
      compacted: (revision) => this.heard.push(`compacted ${revision}`),
    });
    for (const name of [...this.records.keys()].sort()) {
      loader.add(name, this.records.get(name) ?? EMPTY_BYTES);
    }
    return loader.finish();
  }

  #hear(set: ChangeSet): void {
    for (const { type, meta } of set.changes) {
      this.heard.push(`${set.revision} ${type} ${latin1(meta.key)}`);
    }
  }
}
