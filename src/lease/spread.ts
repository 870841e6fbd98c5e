/**
 * Spreads a pile-up of deadlines. A new leader gives all leases their full TTL at one moment; if ten thousand
 * of them are abandoned, their revokes must not all be due at once, or they fill the log and nothing else
 * gets through.
 */
import { compareIds } from "../base/index.ts";
import type { MonoMs } from "../env/index.ts";

/** Revokes per second that the leader proposes at most (etcd: defaultLeaseRevokeRate). */
export const REVOKES_PER_SECOND = 1000;

/** Deadlines in any second: a quarter of the rate is left for leases that run out beside the pile-up. */
const PER_SECOND = (REVOKES_PER_SECOND * 3) / 4;

/**
 * Deadlines for leases that ask for them, none earlier than asked, in the order asked (ties by ID), and so
 * late that of any 751 in a row the last is at least a second after the first. Both arrays have one order,
 * which is also the result's.
 */
export function deadlinesOf(
  leases: readonly { readonly id: bigint }[],
  asked: readonly MonoMs[],
): readonly MonoMs[] {
  const deadlines = [...asked];
  if (leases.length <= PER_SECOND) return deadlines;
  const order = leases.map((_lease, i) => i);
  const idAt = (i: number): bigint => leases[i]?.id ?? 0n;
  const at = (i: number): MonoMs => deadlines[i] ?? 0;
  order.sort((a, b) => at(a) - at(b) || compareIds(idAt(a), idAt(b)));
  // Sorted input and a sorted prefix give a sorted result, so comparing with one place back is enough.
  for (let rank = PER_SECOND; rank < order.length; rank++) {
    const i = order[rank] as number;
    deadlines[i] = Math.max(at(i), at(order[rank - PER_SECOND] as number) + 1000);
  }
  return deadlines;
}
