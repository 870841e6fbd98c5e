/**
 * How a lease is saved: the record `l` and the ID as 16 hex digits, so that names order as IDs do (negative
 * ones, which etcd allows, last). 24 bytes, little-endian: the ID again, granted TTL, remaining TTL of the
 * last checkpoint. The ID is there twice so that a value that strayed to another name is found out; that the
 * bytes are as written is what the backend's checksum says. Frozen: these records travel in snapshots.
 */
import { MAX_LEASE_TTL } from "./types.ts";

/** First letter of the names. */
export const LEASE_PREFIX = "l";

const RECORD_BYTES = 24;
const NAME = /^l[0-9a-f]{16}$/;

/** The record's name. Requires an ID in [-2^63, 2^63). */
export function recordOfLease(id: bigint): string {
  return LEASE_PREFIX + BigInt.asUintN(64, id).toString(16).padStart(16, "0");
}

/** The record's bytes; TTLs in seconds. */
export function encodeLease(id: bigint, grantedTtl: number, remainingTtl: number): Uint8Array {
  const bytes = new Uint8Array(RECORD_BYTES);
  const view = new DataView(bytes.buffer);
  view.setBigInt64(0, id, true);
  view.setFloat64(8, grantedTtl, true);
  view.setFloat64(16, remainingTtl, true);
  return bytes;
}

/** What `finish` gives: the leases, or why one of the records cannot be one. */
export type LoadedLeases<L> =
  | { readonly type: "ok"; readonly lessor: L }
  /** `reason` names the record. */
  | { readonly type: "refused"; readonly reason: string };

/** Takes the saved leases. The first record that is not one refuses them all, at `finish`. */
export class LessorLoader<L> {
  readonly #lessor: L;
  readonly #take: (id: bigint, grantedTtl: number, remainingTtl: number) => void;
  readonly #seen = new Set<bigint>();
  #refusal: string | undefined;

  /** @param take gets every lease that a record holds, each once. */
  constructor(lessor: L, take: (id: bigint, grantedTtl: number, remainingTtl: number) => void) {
    this.#lessor = lessor;
    this.#take = take;
  }

  /** In any order. The bytes are not kept. */
  add(name: string, bytes: Uint8Array): void {
    if (this.#refusal !== undefined) return;
    const problem = this.#problem(name, bytes);
    if (problem !== undefined) this.#refusal = `lease: record ${JSON.stringify(name)} ${problem}`;
  }

  finish(): LoadedLeases<L> {
    if (this.#refusal !== undefined) return { type: "refused", reason: this.#refusal };
    return { type: "ok", lessor: this.#lessor };
  }

  /** Takes the record, or says what is wrong with it. */
  #problem(name: string, bytes: Uint8Array): string | undefined {
    if (!NAME.test(name)) return "has no lease's name";
    if (bytes.length !== RECORD_BYTES) return `has ${bytes.length} bytes, not ${RECORD_BYTES}`;
    const view = new DataView(bytes.buffer, bytes.byteOffset, RECORD_BYTES);
    const id = view.getBigInt64(0, true);
    if (id === 0n || recordOfLease(id) !== name) return `is of lease ${BigInt.asUintN(64, id).toString(16)}`;
    if (this.#seen.has(id)) return "comes twice";
    const grantedTtl = view.getFloat64(8, true);
    const remainingTtl = view.getFloat64(16, true);
    if (!Number.isInteger(grantedTtl) || grantedTtl < 1 || grantedTtl > MAX_LEASE_TTL) {
      return `has a TTL of ${grantedTtl} s`;
    }
    if (!Number.isInteger(remainingTtl) || remainingTtl < 0 || remainingTtl >= grantedTtl) {
      return `has ${remainingTtl} s left of ${grantedTtl} s`;
    }
    this.#seen.add(id);
    this.#take(id, grantedTtl, remainingTtl);
    return undefined;
  }
}
