/**
 * The histories of single keys as registers: get, put, delete and compare-and-set by value, revisions
 * ignored. A history is linearizable exactly when that of each key is (Herlihy and Wing's locality), so keys
 * are searched one by one.
 */
import type { KeyValue, TxnRequest } from "../../src/pb/kv.ts";
import type { ClientRequest, ClientResponse, KvHistory, KvOperation } from "./kv-history.ts";
import { latin1 } from "./model-rules.ts";
import {
  checkLinearizable,
  REGISTER_LIMITS,
  type WglLimits,
  type WglOperation,
  type WglSpecification,
} from "./wgl.ts";

/** A value, latin1; undefined: absent. */
type Value = string | undefined;

/** What one operation does to its key, and what its answer claims. */
interface RegisterOperation extends WglOperation {
  readonly operation: KvOperation;
  readonly key: string;
  /** Compared before it writes; `any`: it is not compared. */
  readonly expect: { readonly type: "any" } | { readonly type: "value"; readonly value: Value };
  /** undefined: it writes nothing. `value` undefined: it deletes. */
  readonly write: { readonly value: Value } | undefined;
  /** What the answer says the value was; undefined: it does not say. */
  readonly before: { readonly value: Value } | undefined;
  /** Whether the answer says that the key was there; undefined: it does not say. */
  readonly wasThere: boolean | undefined;
  /** What the answer says of the comparison; undefined: it does not say. */
  readonly matched: boolean | undefined;
}

export type RegisterVerdict =
  | { readonly type: "ok"; readonly keys: number; readonly operations: number }
  | {
      readonly type: "violation";
      readonly key: string;
      readonly longest: readonly number[];
      readonly stuck: number | undefined;
    }
  | { readonly type: "unknown"; readonly reason: string };

/**
 * Checks a workload of registers. Serializable reads are left out; any other request than those of registers
 * makes the verdict `unknown`.
 */
export function checkRegisters(history: KvHistory, limits: WglLimits = REGISTER_LIMITS): RegisterVerdict {
  const byKey = new Map<string, RegisterOperation[]>();
  for (const operation of history.operations) {
    const { request, outcome } = operation;
    if (outcome.type === "refused" || (request.type === "range" && request.serializable)) continue;
    const register = registerOf(operation);
    if (register === undefined) {
      return { type: "unknown", reason: `operation ${operation.id} is not one of a register` };
    }
    const list = byKey.get(register.key);
    if (list === undefined) byKey.set(register.key, [register]);
    else list.push(register);
  }
  for (const [key, operations] of byKey) {
    const verdict = checkLinearizable(new Registers(), operations, limits);
    if (verdict.type === "unknown") return { type: "unknown", reason: `key ${key}: ${verdict.reason}` };
    if (verdict.type === "violation") {
      const longest = verdict.longest.map(({ operation }) => operation.id);
      return { type: "violation", key, longest, stuck: verdict.stuck?.operation.id };
    }
  }
  return { type: "ok", keys: byKey.size, operations: history.operations.length };
}

/** One register; its states are its values, numbered as they come. */
class Registers implements WglSpecification<RegisterOperation> {
  readonly initial = 0;
  readonly #values: Value[] = [undefined];
  readonly #numbers = new Map<Value, number>([[undefined, 0]]);

  step(state: number, operation: RegisterOperation): number {
    const value = this.#values[state];
    const { expect, write, before, wasThere, matched } = operation;
    if (before !== undefined && before.value !== value) return -1;
    if (wasThere !== undefined && wasThere !== (value !== undefined)) return -1;
    const isMatch = expect.type === "any" || expect.value === value;
    if (matched !== undefined && matched !== isMatch) return -1;
    return isMatch && write !== undefined ? this.#number(write.value) : state;
  }

  #number(value: Value): number {
    const known = this.#numbers.get(value);
    if (known !== undefined) return known;
    this.#values.push(value);
    this.#numbers.set(value, this.#values.length - 1);
    return this.#values.length - 1;
  }
}

const ANY = { type: "any" } as const;

/** An operation as one of a register; undefined: it is none. */
function registerOf(operation: KvOperation): RegisterOperation | undefined {
  const { request, outcome, call, returned } = operation;
  const response = outcome.type === "ok" ? outcome.response : undefined;
  const rest = partsOf(request, response);
  return rest === undefined ? undefined : { operation, call, returned, ...rest };
}

type Parts = Omit<RegisterOperation, "operation" | "call" | "returned">;

function partsOf(request: ClientRequest, response: ClientResponse | undefined): Parts | undefined {
  const nothing = {
    expect: ANY,
    write: undefined,
    before: undefined,
    wasThere: undefined,
    matched: undefined,
  };
  switch (request.type) {
    case "range": {
      if (request.rangeEnd.length > 0 || request.revision > 0 || request.countOnly || request.keysOnly) {
        return undefined;
      }
      const before = response?.type === "range" ? { value: textOfValue(response.kvs[0]) } : undefined;
      return { ...nothing, key: latin1(request.key), before };
    }
    case "put": {
      if (request.lease !== 0n || request.ignoreValue || request.ignoreLease) return undefined;
      const tellsBefore = response?.type === "put" && request.prevKv;
      const before = tellsBefore ? { value: textOfValue(response.prevKv) } : undefined;
      return { ...nothing, key: latin1(request.key), write: { value: latin1(request.value) }, before };
    }
    case "deleteRange": {
      if (request.rangeEnd.length > 0) return undefined;
      const wasThere = response?.type === "deleteRange" ? response.deleted === 1 : undefined;
      return { ...nothing, key: latin1(request.key), write: { value: undefined }, wasThere };
    }
    case "txn": {
      const swap = compareAndSet(request);
      if (swap === undefined) return undefined;
      const matched = response?.type === "txn" ? response.succeeded : undefined;
      return { ...nothing, ...swap, matched };
    }
    default:
      return undefined;
  }
}

/** `if value(key) = x (or key is absent) then put key`, with nothing or a read of the key otherwise. */
function compareAndSet(txn: TxnRequest): Pick<Parts, "key" | "expect" | "write"> | undefined {
  const [compare, success] = [txn.compare[0], txn.success[0]];
  if (compare === undefined || txn.compare.length > 1 || txn.success.length > 1 || txn.failure.length > 0) {
    return undefined;
  }
  const { target } = compare;
  const key = latin1(compare.key);
  const isPlain = compare.result === "equal" && compare.rangeEnd.length === 0 && success?.type === "put";
  if (!isPlain || latin1(success.key) !== key || success.lease !== 0n || success.ignoreValue)
    return undefined;
  const write = { value: latin1(success.value) };
  if (target?.type === "value") return { key, expect: { type: "value", value: latin1(target.value) }, write };
  const isOfAbsence = target !== undefined && target.type !== "lease" && target.value === 0;
  return isOfAbsence ? { key, expect: { type: "value", value: undefined }, write } : undefined;
}

function textOfValue(kv: KeyValue | undefined): Value {
  return kv === undefined ? undefined : latin1(kv.value);
}
