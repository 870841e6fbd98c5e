/**
 * The registers: a map from key to value that every member builds from the same entries. A small stand-in for the
 * revisioned store; what is around it (dedupe, hash, records, snapshots) stays when that one comes.
 */
import type { EntryBody } from "../pb/index.ts";
import {
  LOADED,
  type Loaded,
  REGISTER_PREFIX,
  type RecordChanges,
  readNumber,
  viewOf,
  writeNumber,
} from "./records.ts";

/** A register that holds a value. */
export interface Register {
  readonly value: string;
  /** Index of the entry that wrote the value; at least 1. */
  readonly modIndex: number;
}

/** What a write did. */
export interface WriteResult {
  /** False: the comparison failed and nothing was changed. A delete of an absent key is done. */
  readonly done: boolean;
  /** The value before; undefined: absent. */
  readonly previous: string | undefined;
}

export type WriteBody = Extract<EntryBody, { type: "put" | "cas" | "delete" }>;

const MOD_INDEX_BYTES = 8;
const encoder = new TextEncoder();
/** Fatal, unlike `textOf`: a saved value that is not UTF-8 is corruption, and may not become another value. */
const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export class RegisterMap {
  readonly #registers = new Map<string, Register>();
  /** Keys changed since the last `takeChanges`. */
  readonly #dirty = new Set<string>();

  /** Number of registers that hold a value. */
  get size(): number {
    return this.#registers.size;
  }

  get(key: string): Register | undefined {
    return this.#registers.get(key);
  }

  /** Carries out a write of the entry at `index`. A function of (state, index, body) and nothing else. */
  apply(index: number, body: WriteBody): WriteResult {
    const previous = this.#registers.get(body.key)?.value;
    if (body.type === "cas" && previous !== body.expect) return { done: false, previous };
    if (body.type === "delete") {
      if (!this.#registers.delete(body.key)) return { done: true, previous };
    } else {
      this.#registers.set(body.key, { value: body.value, modIndex: index });
    }
    this.#dirty.add(body.key);
    return { done: true, previous };
  }

  /** Appends the records changed since the last call. */
  takeChanges(into: RecordChanges): void {
    for (const key of this.#dirty) {
      const register = this.#registers.get(key);
      // A key that came and went between two batches is deleted without ever having been put: harmless.
      if (register === undefined) into.deletes.push(REGISTER_PREFIX + key);
      else into.puts.push([REGISTER_PREFIX + key, encodeRegister(register)]);
    }
    this.#dirty.clear();
  }

  /** Takes one saved record; only while the map is being built. */
  load(name: string, bytes: Uint8Array): Loaded {
    const key = name.slice(REGISTER_PREFIX.length);
    if (bytes.length < MOD_INDEX_BYTES) {
      return { type: "refused", reason: `register ${key}: ${bytes.length} bytes are too few` };
    }
    const modIndex = readNumber(viewOf(bytes), 0);
    if (modIndex === undefined || modIndex === 0) {
      return { type: "refused", reason: `register ${key}: its index is out of range` };
    }
    const value = decodeStrict(bytes.subarray(MOD_INDEX_BYTES));
    if (value === undefined) return { type: "refused", reason: `register ${key}: its value is not UTF-8` };
    this.#registers.set(key, { value, modIndex });
    return LOADED;
  }
}

function encodeRegister(register: Register): Uint8Array {
  const value = encoder.encode(register.value);
  const bytes = new Uint8Array(MOD_INDEX_BYTES + value.length);
  writeNumber(viewOf(bytes), 0, register.modIndex);
  bytes.set(value, MOD_INDEX_BYTES);
  return bytes;
}

function decodeStrict(bytes: Uint8Array): string | undefined {
  try {
    return strictDecoder.decode(bytes);
  } catch {
    // The decoder's only error is malformed input; the caller refuses the record by name.
    return undefined;
  }
}
