/** What happened: the changes of past revisions, and changes completed into the events that clients see. */
import { EMPTY_BYTES, fail } from "../base/index.ts";
import type { Event, KeyValue } from "../pb/kv.ts";
import { isInRange } from "./counting.ts";
import { DamagedError } from "./damaged.ts";
import { NONE } from "./keys.ts";
import type { StoreState } from "./state.ts";
import type { Change, ChangeSet, KeyMeta, KeyRange } from "./types.ts";

/** A stretch of history; `next` is the revision to go on from. */
export interface History {
  readonly sets: readonly ChangeSet[];
  readonly next: number;
}

/** Change sets of revisions [from, to] that touch the range; see `StoreView.history`. */
export function historyOf(
  state: StoreState,
  range: KeyRange,
  bounds: { readonly from: number; readonly to: number; readonly maxChanges: number },
): History {
  const { from, to, maxChanges } = bounds;
  const sets: ChangeSet[] = [];
  let [examined, revision, next] = [0, 0, to + 1];
  let changes: Change[] = [];
  state.eachRow(from, to, (row, main) => {
    if (main !== revision) {
      if (examined >= maxChanges) {
        next = main;
        return false;
      }
      if (changes.length > 0) sets.push({ revision, changes });
      changes = [];
      revision = main;
    }
    examined++;
    if (!isInRange(state, state.rows.key(row), range)) return true;
    // Rows at the floor that compaction is about to delete are no longer history, whether they are there or not.
    if (state.isKept(row, state.compactRevision)) changes.push(changeOf(state, row, main));
    return true;
  });
  if (changes.length > 0) sets.push({ revision, changes });
  return { sets, next };
}

/** Completes a change into an event; see `StoreView.event`. @throws DamagedError */
export function eventOf(state: StoreState, change: Change, prevKv: boolean): Event {
  const { type, meta, value } = change;
  const previous = prevKv ? beforeRevision(state, change) : undefined;
  return {
    type,
    kv:
      type === "delete"
        ? kvOf(meta, EMPTY_BYTES)
        : value === undefined
          ? keyValueOf(state, meta)
          : kvOf(meta, value),
    prevKv: previous === undefined ? undefined : keyValueOf(state, previous),
  };
}

/**
 * What a watcher is told that the key was: what a read at the revision before finds, and nothing for a put that created
 * the key. So a txn's own earlier change of the key is none. etcd: server/etcdserver/api/v3rpc/watch.go
 */
function beforeRevision(state: StoreState, { type, meta, previous }: Change): KeyMeta | undefined {
  const { key, createRevision, modRevision, sub } = meta;
  // Such a read is refused when that revision is compacted.
  if (previous === undefined || modRevision - 1 < state.compactRevision) return undefined;
  if (type === "put" && createRevision === modRevision) return undefined;
  if (previous.modRevision < modRevision) return previous;
  const { rows } = state;
  const { chunk, row: place } = rows.seek(modRevision, sub);
  let row = rows.id(rows.order[chunk] ?? fail("a change without a row", { modRevision, sub }), place);
  while (row !== NONE && rows.main(row) === modRevision) row = rows.older(row);
  return row === NONE || rows.isDelete(row) ? undefined : state.meta(row, key);
}

/** A key with its value. @throws DamagedError */
export function keyValueOf(state: StoreState, meta: KeyMeta): KeyValue {
  const value = state.value(meta);
  if (!(value instanceof Uint8Array)) throw new DamagedError(value);
  return kvOf(meta, value);
}

function kvOf(meta: KeyMeta, value: Uint8Array): KeyValue {
  const { key, createRevision, modRevision, version, lease } = meta;
  return { key, createRevision, modRevision, version, value, lease };
}

function changeOf(state: StoreState, row: number, main: number): Change {
  const { rows } = state;
  const meta = state.meta(row);
  const older = rows.older(row);
  // Below the floor it depends on physical progress whether the older row is there, so it is not looked at.
  const known = main > state.compactRevision && older !== NONE && !rows.isDelete(older);
  const previous = known ? state.meta(older, meta.key) : undefined;
  return { type: rows.isDelete(row) ? "delete" : "put", meta, value: undefined, previous };
}
