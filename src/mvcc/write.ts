/** The transaction that writes: rows and records at once, in memory; it becomes visible as a whole at its end. */
import { fail } from "../base/index.ts";
import type { KeyValue } from "../pb/kv.ts";
import { CountJob } from "./counting.ts";
import { keyValueOf } from "./history.ts";
import type { IndexBlock } from "./key-index.ts";
import { NONE } from "./keys.ts";
import { pageAt, resolveAt } from "./reading.ts";
import { changeName, MAX_SUB, valueName } from "./records.ts";
import { type StoreState, wordsOfLease } from "./state.ts";
import type {
  Change,
  ChangeSet,
  CountWork,
  DamagedRecord,
  KeyMeta,
  KeyPage,
  KeyRange,
  PageBounds,
  Resolved,
  WriteTxn,
} from "./types.ts";

export class Txn implements WriteTxn {
  readonly revision: number;
  readonly #state: StoreState;
  readonly #changes: Change[] = [];
  #isOpen = true;

  constructor(state: StoreState) {
    if (state.isWriting) fail("two write transactions at a time", { revision: state.revision });
    state.isWriting = true;
    this.#state = state;
    this.revision = state.revision + 1;
  }

  get changed(): number {
    return this.#changes.length;
  }

  resolve(range: KeyRange, revision: number, limit: number): Resolved {
    this.#mustBeOpen();
    return resolveAt(this.#state, range, revision <= 0 ? this.revision : revision, limit);
  }

  page(range: KeyRange, revision: number, bounds: PageBounds): KeyPage {
    this.#mustBeOpen();
    return pageAt(this.#state, range, revision <= 0 ? this.revision : revision, bounds);
  }

  startCount(range: KeyRange, revision: number): CountWork {
    this.#mustBeOpen();
    return new CountJob(this.#state, range, revision <= 0 ? this.revision : revision);
  }

  noteRest(): void {
    // What a transaction sees may never come to be.
  }

  value(meta: KeyMeta): Uint8Array | DamagedRecord {
    return this.#state.value(meta);
  }

  keyValue(meta: KeyMeta): KeyValue {
    return keyValueOf(this.#state, meta);
  }

  put(key: Uint8Array, value: Uint8Array, lease: bigint): KeyMeta | undefined {
    this.#mustBeOpen();
    if (key.length === 0) fail("put of an empty key");
    const state = this.#state;
    const { index, keys, rows, records, writer } = state;
    let id = state.find(key);
    let previous: KeyMeta | undefined;
    if (id < 0) {
      id = state.addKey(key);
    } else {
      const older = keys.newest(id);
      if (!rows.isDelete(older)) previous = state.meta(older, key);
    }
    const main = this.revision;
    const sub = this.#nextSub();
    const words = lease === 0n ? undefined : wordsOfLease(lease);
    const row = {
      before: state.lastChanges,
      main,
      sub,
      key: id,
      createRevision: previous === undefined ? main : previous.createRevision,
      version: previous === undefined ? 1 : previous.version + 1,
      leaseLow: words === undefined ? 0 : (words[0] as number),
      leaseHigh: words === undefined ? 0 : (words[1] as number),
      valueBytes: value.length,
    };
    state.append(row);
    const block = index.blockOf(id);
    block.newest = main;
    if (previous === undefined) block.present++;
    records.append(changeName(main, sub), writer.put(main, sub, key, row));
    records.append(valueName(main, sub), writer.value(main, sub, value));
    const { createRevision, version } = row;
    const meta: KeyMeta = { key, createRevision, modRevision: main, sub, version, lease };
    this.#changes.push({ type: "put", meta, value, previous });
    return previous;
  }

  deleteRange(range: KeyRange): readonly KeyMeta[] {
    this.#mustBeOpen();
    const { index } = this.#state;
    const deleted: KeyMeta[] = [];
    if (range.rangeEnd.length === 0) {
      const id = this.#state.find(range.key);
      if (id >= 0) this.#maybeDelete(id, index.blockOf(id), deleted);
      return deleted;
    }
    const bounds = index.bounds(range);
    if (bounds === undefined) return deleted;
    const { lo, hi } = bounds;
    for (let at = lo.block; at <= hi.block && at < index.blocks.length; at++) {
      const block = index.blocks[at] as IndexBlock;
      const end = at === hi.block ? hi.slot : block.size;
      for (let slot = at === lo.block ? lo.slot : 0; slot < end; slot++) {
        this.#maybeDelete(block.ids[slot] as number, block, deleted);
      }
    }
    return deleted;
  }

  end(): ChangeSet | undefined {
    this.#mustBeOpen();
    this.#isOpen = false;
    const state = this.#state;
    state.isWriting = false;
    if (this.#changes.length === 0) return undefined;
    state.revision = this.revision;
    state.lastChanges = this.#changes.length;
    return { revision: this.revision, changes: this.#changes };
  }

  /** Deletes a key unless it is absent, and adds what it was to `deleted`. */
  #maybeDelete(id: number, block: IndexBlock, deleted: KeyMeta[]): void {
    const state = this.#state;
    const older = state.keys.newest(id);
    if (older === NONE || state.rows.isDelete(older)) return;
    const previous = state.meta(older);
    const { key } = previous;
    const main = this.revision;
    const sub = this.#nextSub();
    const none = { createRevision: 0, version: 0, leaseLow: 0, leaseHigh: 0, valueBytes: 0 };
    state.append({ main, sub, key: id, ...none });
    block.newest = main;
    block.present--;
    state.records.append(changeName(main, sub), state.writer.delete(main, sub, key, state.lastChanges));
    const meta: KeyMeta = { key, createRevision: 0, modRevision: main, sub, version: 0, lease: 0n };
    this.#changes.push({ type: "delete", meta, value: undefined, previous });
    deleted.push(previous);
  }

  #nextSub(): number {
    const sub = this.#changes.length;
    if (sub > MAX_SUB) fail("too many changes in one revision", { revision: this.revision });
    return sub;
  }

  #mustBeOpen(): void {
    if (!this.#isOpen) fail("the transaction has ended", { revision: this.revision });
  }
}
