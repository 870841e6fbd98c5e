/**
 * The store from its records, in order of name, values unread. Every record is believed only if its seal is right and
 * it can follow those before it: above the floor revisions have no gap and versions count up by one. Below it a
 * deletion may have been cut short by a crash, and anything that was there can be missing.
 */

import { runToEnd, type Work } from "../base/index.ts";
import type { Records } from "../env/index.ts";
import { hashOf, NONE } from "./keys.ts";
import {
  CHANGE_PREFIX,
  type ChangeRecord,
  decodeChange,
  decodeFloor,
  FLOOR_RECORD,
  type Refused,
  revisionOfName,
} from "./records.ts";
import type { RowChunk } from "./rows.ts";
import { sortingKeys } from "./sort-keys.ts";
import { FIRST_REVISION, StoreState } from "./state.ts";
import type { KeyMeta } from "./types.ts";

/** The state, or why it cannot be trusted, naming the record. */
export type LoadedStore = { readonly type: "ok"; readonly state: StoreState } | Refused;

/** Is told of every present key that hangs on a lease, in no order. */
export type LeasedVisitor = (meta: KeyMeta) => void;

/** Keys looked at between two chances to give way. */
const KEYS_PER_STEP = 1024;
/** What a key on a lease counts for: its visitor takes several times as long as the rest. */
const UNITS_PER_LEASED = 8;

export class StateLoader {
  readonly #state: StoreState;
  #refused: Refused | undefined;
  #hasFloor = false;
  #main = FIRST_REVISION;
  #sub = 0;
  /** Whether any row has a lease. */
  #hasLeased = false;

  constructor(records: Records) {
    this.#state = new StoreState(records);
  }

  /** Takes the next record `c` or `i`. After the first that is refused the others are passed over. */
  add(name: string, bytes: Uint8Array): void {
    if (this.#refused !== undefined) return;
    const problem = name[0] === CHANGE_PREFIX ? this.#addChange(name, bytes) : this.#addFloor(name, bytes);
    if (problem !== undefined) this.#refuse(name, problem);
  }

  finish(): LoadedStore {
    return runToEnd(this.finishing());
  }

  /** As `finish`, in steps: yields about how many keys or rows it has been through. Only one of them, and once. */
  *finishing(visit: LeasedVisitor = () => undefined): Work<LoadedStore> {
    const state = this.#state;
    // The newest change is never compacted away, so a floor above it means that changes are missing.
    if (state.compactRevision > this.#main) {
      this.#refuse(
        FLOOR_RECORD,
        `its floor is ${state.compactRevision}, but the last change is of revision ${this.#main}`,
      );
    }
    if (this.#refused !== undefined) return this.#refused;
    state.revision = this.#main;
    state.lastChanges = this.#lastChanges();
    // While nothing is removed, key IDs are given out from 0 on.
    const ids = new Uint32Array(state.keys.size);
    for (let id = 0; id < ids.length; id++) ids[id] = id;
    yield* sortingKeys(state.keys, ids);
    yield* state.index.filling(ids);
    for (let lo = 0; lo < ids.length; lo += KEYS_PER_STEP) {
      const hi = Math.min(ids.length, lo + KEYS_PER_STEP);
      let units = 0;
      for (let id = lo; id < hi; id++) units += this.#noteKey(id, visit);
      yield units;
    }
    // All rows were counted as they were appended. Only a floor drops any, and only up to itself.
    for (const chunk of state.rows.order) {
      if (!this.#forgetDropped(chunk)) break;
      yield chunk.end - chunk.begin;
    }
    return { type: "ok", state };
  }

  /** Tells the index and the visitor of a key. Units of work that it took. */
  #noteKey(id: number, visit: LeasedVisitor): number {
    const { keys, rows, index } = this.#state;
    const newest = keys.newest(id);
    const isPresent = !rows.isDelete(newest);
    index.noteFilled(id, rows.main(newest), isPresent);
    if (!this.#hasLeased || !isPresent) return 1;
    if (rows.leaseLow(newest) === 0 && rows.leaseHigh(newest) === 0) return 1;
    visit(this.#state.meta(newest));
    return UNITS_PER_LEASED;
  }

  /** Takes what compaction has dropped out of the logical size. False: it drops nothing from here on. */
  #forgetDropped(chunk: RowChunk): boolean {
    const state = this.#state;
    const { rows, compactRevision } = state;
    for (let i = chunk.begin; i < chunk.end; i++) {
      const row = rows.id(chunk, i);
      if (rows.main(row) > compactRevision) return false;
      if (!state.isKept(row, compactRevision)) state.logicalBytes -= state.rowBytes(row);
    }
    return true;
  }

  #refuse(name: string, problem: string): void {
    this.#refused ??= { type: "refused", reason: `record ${JSON.stringify(name)} is refused: ${problem}` };
  }

  #addFloor(name: string, bytes: Uint8Array): string | undefined {
    if (name !== FLOOR_RECORD) return "the store has no record of this name";
    if (this.#hasFloor || this.#state.rows.size > 0) return "it is out of order";
    const decoded = decodeFloor(bytes);
    if (decoded.type === "refused") return decoded.reason;
    this.#hasFloor = true;
    this.#state.compactRevision = decoded.value.compactRevision;
    this.#state.physical = decoded.value.physical;
    return undefined;
  }

  #addChange(name: string, bytes: Uint8Array): string | undefined {
    const revision = revisionOfName(name);
    if (revision === undefined) return "its name is no revision";
    const { main, sub } = revision;
    const misplaced = this.#placeProblem(main, sub);
    if (misplaced !== undefined) return misplaced;
    const decoded = decodeChange(main, sub, bytes);
    if (decoded.type === "refused") return decoded.reason;
    const { before } = decoded.value;
    // The last change of a revision is the newest of its key: no compaction at or below that revision drops it.
    const counted = main === this.#main ? before : this.#lastChanges();
    if (main > this.#state.compactRevision && before !== counted) {
      return `changes before it are missing: the last revision had ${before}, ${counted} were found`;
    }
    return this.#append(main, sub, decoded.value);
  }

  /** Number of changes of the last revision, as its records tell. */
  #lastChanges(): number {
    return this.#state.rows.size === 0 ? 0 : this.#sub + 1;
  }

  /** Why a change cannot follow the last one. */
  #placeProblem(main: number, sub: number): string | undefined {
    const { compactRevision, rows } = this.#state;
    const isFirst = rows.size === 0;
    const isAfter = main > this.#main || (main === this.#main && !isFirst && sub > this.#sub);
    if (!isAfter) return `it is out of order, after revision ${this.#main}.${this.#sub}`;
    if (main <= compactRevision) return undefined;
    // Something of the revision at the floor is always left, so not even there is a gap.
    const expected = sub === 0 ? main === this.#main + 1 : main === this.#main && sub === this.#sub + 1;
    return expected ? undefined : `the change before it is missing, the last is ${this.#main}.${this.#sub}`;
  }

  #append(main: number, sub: number, change: ChangeRecord): string | undefined {
    const state = this.#state;
    const hash = hashOf(change.key);
    const found = state.keys.lookup(change.key, Number.POSITIVE_INFINITY, hash);
    const older = found < 0 ? NONE : state.keys.newest(found);
    const problem = this.#chainProblem(main, older, change);
    if (problem !== undefined) return problem;
    const key = found < 0 ? state.keys.add(change.key, hash) : found;
    const { createRevision, version, leaseLow, leaseHigh, valueBytes } = change;
    if (leaseLow !== 0 || leaseHigh !== 0) this.#hasLeased = true;
    state.append({ main, sub, key, createRevision, version, leaseLow, leaseHigh, valueBytes });
    this.#main = main;
    this.#sub = sub;
    return undefined;
  }

  /** Why a change cannot follow the last one of its key. */
  #chainProblem(main: number, older: number, change: ChangeRecord): string | undefined {
    const { rows, compactRevision } = this.#state;
    const before = older === NONE || rows.isDelete(older) ? 0 : rows.version(older);
    const created = before === 0 ? 0 : rows.createRevision(older);
    const { isPut, version, createRevision } = change;
    if (isPut && version === 1 && createRevision !== main)
      return "a first version was created by another revision";
    if (main <= compactRevision) {
      if (!isPut || before === 0) return undefined;
      if (createRevision === created)
        return version > before ? undefined : `version ${version} follows ${before}`;
      return createRevision >= rows.main(older)
        ? undefined
        : "its key was created anew before it was deleted";
    }
    if (!isPut) return before > 0 ? undefined : "it deletes what is not there";
    if (version !== before + 1) return `version ${version} follows ${before}`;
    return before === 0 || createRevision === created
      ? undefined
      : "its createRevision is not that of its key";
  }
}
