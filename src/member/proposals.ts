/**
 * Which requests already sit in this leader's log, so that a forwarded proposal which arrives twice is appended once.
 *
 * Correctness does not rest on this: apply takes each request once whatever the log holds (apply/requests-seen.ts).
 * What rests on it is that a storm of duplicates costs a lookup each and not an entry each.
 *
 * Between them the two know every request in the log: up to the applied index the applied state does, above it this
 * does. So an identity is added when its entry is appended and removed when it is applied, and on becoming leader the
 * tail that was inherited is read once.
 */
import { decodeEnvelope, type RequestId } from "../pb/index.ts";
import type { Entry } from "../raft/index.ts";

export class ProposedRequests {
  /** Per request instance the sequences that are appended and not applied. Empty while not leading. */
  readonly #ids = new Map<bigint, Set<number>>();

  /** Begins to lead with the entries (applied, last] in its log. */
  lead(entryAt: (index: number) => Entry | undefined, applied: number, last: number): void {
    this.#ids.clear();
    for (let index = applied + 1; index <= last; index++) {
      const entry = entryAt(index);
      if (entry === undefined || entry.type !== "normal" || entry.data.length === 0) continue;
      const envelope = decodeEnvelope(entry.data);
      // An entry that cannot be read is fatal when it is applied; here it merely has no identity.
      if (envelope.type === "ok") this.add(envelope.value.requestId);
    }
  }

  /** No longer leads. */
  follow(): void {
    this.#ids.clear();
  }

  has(id: RequestId): boolean {
    return this.#ids.get(id.instance)?.has(id.sequence) === true;
  }

  /** A request was appended. One without identity (instance 0) is never the same as another. */
  add(id: RequestId): void {
    if (id.instance === 0n) return;
    const sequences = this.#ids.get(id.instance);
    if (sequences === undefined) this.#ids.set(id.instance, new Set([id.sequence]));
    else sequences.add(id.sequence);
  }

  /** The request was applied: from now on the applied state knows it. */
  remove(id: RequestId): void {
    const sequences = this.#ids.get(id.instance);
    if (sequences === undefined) return;
    sequences.delete(id.sequence);
    if (sequences.size === 0) this.#ids.delete(id.instance);
  }
}
