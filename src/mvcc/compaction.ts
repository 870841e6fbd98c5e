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

  /** Examines about `budget` rows. Whether there is more to do. */
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
    let cost = 1;
    for (; cost <= budget; cost++) {
      const chunk = rows.order[pass.at];
      const row = chunk === undefined ? NONE : rows.id(chunk, chunk.begin);
      if (chunk === undefined || rows.main(row) > pass.floor) {
        this.#finish(pass);
        return cost;
      }
      if (this.#maybeKeepWhole(pass, chunk)) {
        cost += CHUNK_ROWS;
      } else if (this.#state.isKept(row, pass.floor)) {
        this.#keep(pass);
      } else {
        this.#delete(pass, row);
      }
    }
    return cost;
  }

  /** Leaves a full chunk of survivors where it is, if that does not leave a chunk before it mostly empty. */
  #maybeKeepWhole(pass: Pass, chunk: RowChunk): boolean {
    if (chunk.begin !== 0 || chunk.end !== CHUNK_ROWS) return false;
    if (pass.output !== undefined && pass.output.end < CHUNK_ROWS / 2) return false;
    const { rows } = this.#state;
    if (rows.main(rows.id(chunk, CHUNK_ROWS - 1)) > pass.floor) return false;
    for (let i = 0; i < CHUNK_ROWS; i++) {
      if (!this.#state.isKept(rows.id(chunk, i), pass.floor)) return false;
    }
    pass.output = undefined;
    pass.at++;
    return true;
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

  #delete(pass: Pass, row: number): void {
    const { rows, keys, index, records } = this.#state;
    const [main, sub, id] = [rows.main(row), rows.sub(row), rows.key(row)];
    records.delete(changeName(main, sub));
    if (!rows.isDelete(row)) records.delete(valueName(main, sub));
    const isLast = rows.newer(row) === NONE;
    rows.drop(pass.at);
    if (!isLast) return;
    index.remove(id);
    keys.remove(id);
    this.#hasHoles = true;
  }

  #finish(pass: Pass): void {
    this.#state.physical = pass.floor;
    this.#pass = undefined;
    this.#saveFloor();
  }

  #fillHoles(): number {
    const cost = this.#state.keys.maybeRelocate();
    if (cost === 0) this.#hasHoles = false;
    return cost + 1;
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
