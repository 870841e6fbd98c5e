/**
 * Identities are 64-bit and opaque: `bigint` in the program, hexadecimal in print (DESIGN §2).
 * They are compared for equality and sorted for a stable order; nothing is ever computed from them.
 */

/** Identity of a member, unique in the life of its cluster: a removed member's ID never returns. 0 means none. */
export type MemberId = bigint;

/** Identity of a cluster: members of different clusters refuse each other. 0 is never a valid one. */
export type ClusterId = bigint;

/**
 * Identity of one data directory, drawn once when it is made. A member that lost its data has another one, which is
 * how the others know that it has forgotten its vote. 0 means not yet known.
 */
export type InstanceId = bigint;

/** "No member": the leader while there is none, the vote that was not given. */
export const NO_MEMBER: MemberId = 0n;

/** Upper bound (inclusive) of an identity on the wire. */
export const MAX_ID = 0xffff_ffff_ffff_ffffn;

/** Renders an identity the way logs, errors and the CLI show it. */
export function hex(id: bigint): string {
  return id.toString(16);
}

/** Orders identities ascending, for `Array.prototype.sort`. */
export function compareIds(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
