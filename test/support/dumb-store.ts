/**
 * A store of keys at every revision that anybody can check by reading: a list of all change sets, searched
 * from end to end. It keeps everything for ever and refuses what was compacted, so that asking for it is
 * found out.
 */
import { bytesOf, EMPTY_BYTES, ERR, type KvError, latin1Of } from "../../src/base/index.ts";
import type {
  Change,
  ChangeSet,
  DamagedRecord,
  KeyMeta,
  KeyRange,
  Resolved,
  StoreView,
} from "../../src/mvcc/types.ts";
import type { Event, KeyValue } from "../../src/pb/kv.ts";

/** What to write; a string is taken as UTF-8. */
export type DumbWrite =
  | { readonly put: string; readonly value?: string; readonly lease?: bigint }
  | { readonly delete: string };

export class DumbStore implements StoreView {
  readonly sets: ChangeSet[] = [];
  compactRevision = -1;
  /** Number of calls of `history`, for tests that ask how often it is read. */
  historyReads = 0;

  get revision(): number {
    return this.sets.length + 1;
  }

  /** One transaction; a delete of what is not there is no change. undefined: nothing changed. */
  write(...writes: readonly DumbWrite[]): ChangeSet | undefined {
    const revision = this.revision + 1;
    const changes: Change[] = [];
    for (const write of writes) {
      const key = bytesOf("put" in write ? write.put : write.delete);
      const previous = this.#newest(latin1Of(key), this.revision);
      const base = { key, modRevision: revision, sub: changes.length };
      if ("put" in write) {
        const meta: KeyMeta = {
          ...base,
          createRevision: previous?.createRevision ?? revision,
          version: (previous?.version ?? 0) + 1,
          lease: write.lease ?? 0n,
        };
        changes.push({ type: "put", meta, value: bytesOf(write.value ?? `v${revision}`), previous });
      } else if (previous !== undefined) {
        const meta: KeyMeta = { ...base, createRevision: 0, version: 0, lease: 0n };
        changes.push({ type: "delete", meta, value: undefined, previous });
      }
    }
    if (changes.length === 0) return undefined;
    const set = { revision, changes };
    this.sets.push(set);
    return set;
  }

  compact(revision: number): void {
    if (revision <= this.compactRevision || revision > this.revision) throw new Error("bad compaction");
    this.compactRevision = revision;
  }

  /** Another store with the same content, as one that came in a snapshot. */
  copy(): DumbStore {
    const copy = new DumbStore();
    copy.sets.push(...this.sets);
    copy.compactRevision = this.compactRevision;
    return copy;
  }

  readProblem(revision: number): KvError | undefined {
    if (revision > this.revision) return ERR.futureRevision;
    return revision > 0 && revision < this.compactRevision ? ERR.compacted : undefined;
  }

  resolve(range: KeyRange, revision: number, limit: number): Resolved {
    const keys = new Set<string>();
    for (const { changes } of this.sets) {
      for (const { meta } of changes) if (isInRange(meta.key, range)) keys.add(latin1Of(meta.key));
    }
    const at = revision <= 0 ? this.revision : revision;
    const metas: KeyMeta[] = [];
    for (const key of [...keys].sort()) {
      const meta = this.#newest(key, at);
      if (meta !== undefined) metas.push(meta);
    }
    return { metas: limit > 0 ? metas.slice(0, limit) : metas, count: metas.length };
  }

  count(range: KeyRange, revision: number): number {
    return this.resolve(range, revision, 0).count;
  }

  value(meta: KeyMeta): Uint8Array | DamagedRecord {
    return this.sets[meta.modRevision - 2]?.changes[meta.sub]?.value ?? EMPTY_BYTES;
  }

  keyValue(meta: KeyMeta): KeyValue {
    const { key, createRevision, modRevision, version, lease } = meta;
    const value = this.value(meta);
    if (!(value instanceof Uint8Array)) throw new Error("this store has no damage");
    return { key, createRevision, modRevision, version, value, lease };
  }

  /**
   * As the contract has it: changes outside the range count against `maxChanges` too, and values are left
   * out.
   */
  history(
    range: KeyRange,
    from: number,
    to: number,
    maxChanges: number,
  ): { readonly sets: readonly ChangeSet[]; readonly next: number } {
    if (from < this.compactRevision || to > this.revision) throw new Error(`no history of ${from} to ${to}`);
    this.historyReads++;
    const sets: ChangeSet[] = [];
    let examined = 0;
    for (let revision = Math.max(2, from); revision <= to; revision++) {
      const all = this.sets[revision - 2]?.changes ?? [];
      const changes = all.filter(({ meta }) => isInRange(meta.key, range));
      if (changes.length > 0) {
        sets.push({ revision, changes: changes.map((change) => ({ ...change, value: undefined })) });
      }
      examined += all.length;
      if (examined >= maxChanges) return { sets, next: revision + 1 };
    }
    return { sets, next: to + 1 };
  }

  event({ type, meta, previous }: Change, prevKv: boolean): Event {
    const isThere = prevKv && previous !== undefined && meta.modRevision - 1 >= this.compactRevision;
    return { type, kv: this.keyValue(meta), prevKv: isThere ? this.keyValue(previous) : undefined };
  }

  pin(): () => void {
    return () => undefined;
  }

  /** The key as of a revision; undefined: absent. */
  #newest(key: string, revision: number): KeyMeta | undefined {
    let found: KeyMeta | undefined;
    for (const set of this.sets) {
      if (set.revision > revision) break;
      for (const { type, meta } of set.changes) {
        if (latin1Of(meta.key) === key) found = type === "put" ? meta : undefined;
      }
    }
    return found;
  }
}

/** Whether a key lies in a range, as `KeyRange` says. */
export function isInRange(key: Uint8Array, range: KeyRange): boolean {
  const [at, lo, hi] = [latin1Of(key), latin1Of(range.key), latin1Of(range.rangeEnd)];
  if (hi === "") return at === lo;
  return at >= lo && (hi === "\0" || at < hi);
}
