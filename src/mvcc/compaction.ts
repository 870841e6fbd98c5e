/**
 * Compaction. The floor moves at once, with the entry that asks for it, and from then on nothing below it is answered;
 * rows and records below are deleted later, in slices, when the member has time. How far that has come differs from
 * member to member, so nothing here may reach an answer, a hash or the logical size.
 *
 * A pass goes once over the rows up to its floor, oldest first. It can be cut short anywhere by a crash: the next one
 * begins anew and finds less to do.
 */
import { ERR, fail, type KvError } from "../base/index.ts";
import { NONE } from "./keys.ts";
import { changeName, encodeFloor, FLOOR_RECORD, valueName } from "./records.ts";
import { CHUNK_ROWS, type RowChunk } from "./rows.ts";
import type { StoreState } from "./state.ts";
import { ROWS_PER_UNIT } from "./work.ts";

/** Units of work (`work.ts`): a row or a key that moves, the records of a row, a key that is forgotten. */
const MOVE_UNITS = 1 / 8;
const DELETE_UNITS = 1;
const FORGET_UNITS = 1;

interface Pass {
  readonly floor: number;
  /** Index in `rows.order` of the chunk that is being read; those before it are packed. */
  at: number;
  /** Where survivors go; undefined: into a fresh chunk. */
  output: RowChunk | undefined;
}

export class Compactor {
  readonly #state: StoreState;
  #pass: Pass | undefined;
  /** Whether keys were removed since the blocks of keys were last looked through. */
  #hasHoles = false;

  constructor(state: StoreState) {
    this.#state = state;
  }

  /** Moves the floor; see `Store.compact`. */
  compact(revision: number): KvError | undefined {
    const state = this.#state;
    if (state.isWriting) fail("compaction inside a transaction", { revision });
    if (revision <= state.compactRevision) return ERR.compacted;
    if (revision > state.revision) return ERR.futureRevision;
    state.logicalBytes -= droppedBytes(state, state.compactRevision, revision);
    state.compactRevision = revision;
    this.#saveFloor();
    return undefined;
  }

  /** Whether `step` has something to do. */
  get hasWork(): boolean {
    return this.#pass !== undefined || this.#hasHoles || this.#floor() > this.#state.physical;
  }

  /** Does about `budget` units of work (`work.ts`). Whether there is more to do. */
  step(budget: number): boolean {
    if (this.#state.isWriting) fail("compaction inside a transaction");
    let left = budget;
    while (left > 0) {
      if (this.#pass === undefined && this.#floor() > this.#state.physical) {
        this.#pass = { floor: this.#floor(), at: 0, output: undefined };
      }
      if (this.#pass !== undefined) left -= this.#sweep(this.#pass, left);
      else if (this.#hasHoles) left -= this.#fillHoles();
      else return false;
    }
    return this.hasWork;
  }

  /** The highest floor up to which deletion is allowed. */
  #floor(): number {
    let floor = this.#state.compactRevision;
    for (const pinned of this.#state.pins.keys()) if (pinned < floor) floor = pinned;
    return floor;
  }

  /** Returns what it cost. */
  #sweep(pass: Pass, budget: number): number {
    const { rows } = this.#state;
    let cost = 0;
    while (cost < budget) {
      const chunk = rows.order[pass.at];
      const row = chunk === undefined ? NONE : rows.id(chunk, chunk.begin);
      if (chunk === undefined || rows.main(row) > pass.floor) {
        this.#finish(pass);
        return cost + 1;
      }
      // Only a chunk of which nothing was taken yet is looked at as a whole, so that no row is looked at twice.
      const survivors = chunk.begin === 0 ? this.#survivors(pass, chunk) : 0;
      cost += survivors / ROWS_PER_UNIT;
      if (survivors === CHUNK_ROWS) {
        pass.output = undefined;
        pass.at++;
      } else if (this.#state.isKept(row, pass.floor)) {
        this.#keep(pass);
        cost += MOVE_UNITS;
      } else {
        cost += this.#delete(pass, row);
      }
    }
    return cost;
  }

  /**
   * How many rows at the front of a chunk survive; CHUNK_ROWS: all of a full one, which then stays where it is. 0 where
   * that would leave the chunk before it mostly empty.
   */
  #survivors(pass: Pass, chunk: RowChunk): number {
    if (chunk.end !== CHUNK_ROWS) return 0;
    if (pass.output !== undefined && pass.output.end < CHUNK_ROWS / 2) return 0;
    const { rows } = this.#state;
    if (rows.main(rows.id(chunk, CHUNK_ROWS - 1)) > pass.floor) return 0;
    let survivors = 0;
    while (survivors < CHUNK_ROWS && this.#state.isKept(rows.id(chunk, survivors), pass.floor)) survivors++;
    return survivors;
  }

  #keep(pass: Pass): void {
    const { rows, keys } = this.#state;
    if (pass.output === undefined || pass.output.end === CHUNK_ROWS) {
      pass.output = rows.openBefore(pass.at);
      pass.at++;
    }
    const moved = rows.move(pass.at, pass.output);
    if (rows.newer(moved) === NONE) keys.setNewest(rows.key(moved), moved);
  }

  /** Returns what it cost. */
  #delete(pass: Pass, row: number): number {
    const { rows, keys, index, records } = this.#state;
    const [main, sub, id] = [rows.main(row), rows.sub(row), rows.key(row)];
    records.delete(changeName(main, sub));
    if (!rows.isDelete(row)) records.delete(valueName(main, sub));
    const isLast = rows.newer(row) === NONE;
    rows.drop(pass.at);
    if (!isLast) return DELETE_UNITS;
    index.remove(id);
    keys.remove(id);
    this.#hasHoles = true;
    return DELETE_UNITS + FORGET_UNITS;
  }

  #finish(pass: Pass): void {
    this.#state.physical = pass.floor;
    this.#pass = undefined;
    this.#saveFloor();
  }

  #fillHoles(): number {
    const cost = this.#state.keys.maybeRelocate();
    if (cost === 0) this.#hasHoles = false;
    return cost * MOVE_UNITS + 1;
  }

  #saveFloor(): void {
    const { compactRevision, physical, records } = this.#state;
    records.put(FLOOR_RECORD, encodeFloor({ compactRevision, physical }));
  }
}

/**
 * Logical bytes that a compaction at `to` frees when the last was at `from`. A put is freed by the compaction that
 * reaches the change after it, a delete by the first compaction above it. Chunks have summed up what their rows make
 * garbage, so only those at the two ends are gone through.
 */
function droppedBytes(state: StoreState, from: number, to: number): number {
  return garbageBetween(state, from, to) + deletesAt(state, from) - deletesAt(state, to);
}

/** Bytes that the changes of revisions (from, to] made garbage of, themselves included where they are deletes. */
function garbageBetween(state: StoreState, from: number, to: number): number {
  const { rows } = state;
  let bytes = 0;
  for (let at = rows.seek(from + 1, 0).chunk; at < rows.order.length; at++) {
    const chunk = rows.order[at] as RowChunk;
    const first = rows.main(rows.id(chunk, chunk.begin));
    if (first > to) break;
    // The sum of a chunk holds for all the rows that it ever had.
    if (chunk.begin === 0 && first > from && rows.main(rows.id(chunk, chunk.end - 1)) <= to) {
      bytes += chunk.garbage;
      continue;
    }
    for (let i = chunk.begin; i < chunk.end; i++) {
      const row = rows.id(chunk, i);
      const main = rows.main(row);
      if (main > from && main <= to) bytes += garbageOf(state, row);
    }
  }
  return bytes;
}

function garbageOf(state: StoreState, row: number): number {
  const { rows } = state;
  const older = rows.older(row);
  const superseded = older === NONE || rows.isDelete(older) ? 0 : state.rowBytes(older);
  return superseded + (rows.isDelete(row) ? state.rowBytes(row) : 0);
}

function deletesAt(state: StoreState, revision: number): number {
  let bytes = 0;
  state.eachRow(revision, revision, (row) => {
    if (state.isKept(row, revision) && state.rows.isDelete(row)) bytes += state.rowBytes(row);
    return true;
  });
  return bytes;
}
