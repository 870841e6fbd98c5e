/** What the tests of the store share: records in a map, stores from records, keys and ranges by text. */
import { bytesOf, EMPTY_BYTES, textOf } from "../../../src/base/index.ts";
import {
  type ChangeSet,
  type HashResult,
  type KeyMeta,
  type KeyRange,
  Store,
} from "../../../src/mvcc/index.ts";
import type { MapRecords } from "../../support/map-records.ts";

/** Loads what the records hold, as a restart does: everything but values, in order of name. */
export function reload(records: MapRecords): ReturnType<ReturnType<typeof Store.loader>["finish"]> {
  const loader = Store.loader(records);
  for (const name of records.names()) {
    if (name[0] !== "v") loader.add(name, records.get(name) ?? EMPTY_BYTES);
  }
  return loader.finish();
}

/** As `reload`, for records that must be good. */
export function mustReload(records: MapRecords): Store {
  const loaded = reload(records);
  if (loaded.type === "refused") throw new Error(loaded.reason);
  return loaded.store;
}

export function one(key: string): KeyRange {
  return { key: bytesOf(key), rangeEnd: EMPTY_BYTES };
}

/** [key, end); end "\0": from key on. */
export function range(key: string, end: string): KeyRange {
  return { key: bytesOf(key), rangeEnd: bytesOf(end) };
}

export const EVERYTHING: KeyRange = range("", "\0");

/** A transaction by steps: `a=1` puts, `a=` puts nothing, `-a` deletes, `-a..c` deletes [a, c). */
export function write(store: Store, ...steps: readonly string[]): ChangeSet | undefined {
  const txn = store.begin();
  for (const step of steps) {
    const [key = "", value] = step.split("=");
    if (value !== undefined) {
      txn.put(bytesOf(key), bytesOf(value), 0n);
      continue;
    }
    const [lo = "", hi] = step.slice(1).split("..");
    txn.deleteRange(hi === undefined ? one(lo) : range(lo, hi));
  }
  return txn.end();
}

/** A key as of one revision, on one line: key, value, createRevision, modRevision, version. */
export function show(store: Store, meta: KeyMeta): string {
  const value = store.value(meta);
  const text = value instanceof Uint8Array ? textOf(value) : value.reason;
  return `${textOf(meta.key)}=${text} c${meta.createRevision} m${meta.modRevision} v${meta.version}`;
}

/** A whole range as of a revision. */
export function showAll(store: Store, at = 0, of = EVERYTHING): string[] {
  return store.resolve(of, at, 0).metas.map((meta) => show(store, meta));
}

/** A change set on one line. */
export function showSet(set: ChangeSet): string {
  const changes = set.changes.map(({ type, meta, previous }) => {
    const before = previous === undefined ? "" : ` was m${previous.modRevision}`;
    return `${type} ${textOf(meta.key)}@${meta.modRevision}.${meta.sub}${before}`;
  });
  return changes.join(", ");
}

/** Compacts and deletes everything that it dropped. */
export function compactFully(store: Store, revision: number, budget = 1_000_000): void {
  const refused = store.compact(revision);
  if (refused !== undefined) throw new Error(refused.message);
  while (store.compactionStep(budget));
}

/** HashKV in slices of `budget`. */
export function hashOf(store: Store, revision = 0, budget = 1_000_000): HashResult {
  const job = store.startHash(revision);
  if ("code" in job) throw new Error(job.message);
  while (job.step(budget));
  const { result } = job;
  if (result?.type !== "hash") throw new Error(result === undefined ? "no hash" : result.reason);
  return result;
}
