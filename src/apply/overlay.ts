/**
 * What was written and is not durable yet, over what is: the core reads through it, so that it sees its own writes at
 * once while the backend writes behind (DESIGN §5). Two layers: changes since the last batch, and the batch in flight.
 * A change leaves memory only by `durable()`, never before, or a read would fall back to what the backend had earlier.
 *
 * Inside a layer a name is there once: a put after a delete is a put, a delete after a put is a delete. The delete is
 * kept even when the name was put in the same batch, because an older value may lie in the layers below.
 *
 * History is nearly all that is written, and its names only ever ascend. So appended records lie in lists, one per
 * first letter, which are searched by halves and go into the batch as they are; a map of them would cost more than
 * the rest of the overlay.
 */
import { fail } from "../base/index.ts";
import type { BackendRecord, RecordReader, Records } from "../env/index.ts";
import type { RecordChanges } from "./records.ts";

/** Stands for a delete in a layer; told apart by identity, so an empty record is none. */
const DELETED: Uint8Array = new Uint8Array(0);

/** Changes by name; over the appended records of the same layer, because of those only deletes are here. */
type Changed = Map<string, Uint8Array>;

export class Overlay implements Records {
  readonly #below: RecordReader;
  #changes = new Layer();
  /** undefined: no batch is in flight. */
  #inFlight: Layer | undefined;

  /** @param below what is durable. It must hold a batch in full when `durable` is called, and nothing of it before. */
  constructor(below: RecordReader) {
    this.#below = below;
  }

  /** Number of names in the next batch. */
  get changedEntries(): number {
    return this.#changes.size;
  }

  /** Bytes of names and values in the next batch, at most: a value that was replaced since the last one counts too. */
  get changedBytes(): number {
    return this.#changes.bytes;
  }

  /** Number of names that are not durable, the batch in flight included; one appended and deleted counts twice. */
  get entries(): number {
    return this.#changes.size + (this.#inFlight?.size ?? 0);
  }

  /** Bytes of names and values that are not durable, at most. */
  get bytes(): number {
    return this.#changes.bytes + (this.#inFlight?.bytes ?? 0);
  }

  get isInFlight(): boolean {
    return this.#inFlight !== undefined;
  }

  get(name: string): Uint8Array | undefined {
    const found = this.#changes.get(name) ?? this.#inFlight?.get(name);
    if (found === undefined) return this.#below.get(name);
    return found === DELETED ? undefined : found;
  }

  put(name: string, bytes: Uint8Array): void {
    this.#changes.set(name, bytes);
  }

  append(name: string, bytes: Uint8Array): void {
    this.#changes.append(name, bytes);
  }

  delete(name: string): void {
    this.#changes.set(name, DELETED);
  }

  /**
   * The changes since the last call, for the next backend batch; they are in flight from now on.
   *
   * @throws AssertionError while another batch is in flight
   */
  take(): RecordChanges {
    if (this.#inFlight !== undefined) fail("a backend batch is in flight", { names: this.#inFlight.size });
    this.#inFlight = this.#changes;
    this.#changes = new Layer();
    return this.#inFlight.changes();
  }

  /** The batch in flight is durable: reads find it below from now on. @throws AssertionError when there is none */
  durable(): void {
    if (this.#inFlight === undefined) fail("no backend batch is in flight");
    this.#inFlight = undefined;
  }

  /** @throws AssertionError */
  checkInvariants(): void {
    this.#changes.checkInvariants();
    this.#inFlight?.checkInvariants();
  }
}

/** What one batch changes. */
class Layer {
  readonly #changed: Changed = new Map();
  /** By first letter. Invariant: each in ascending order of names. */
  readonly #appended: { readonly letter: number; readonly records: BackendRecord[] }[] = [];
  /** Bytes of names and values; of a name that was put twice both values. */
  #bytes = 0;

  get size(): number {
    let size = this.#changed.size;
    for (const { records } of this.#appended) size += records.length;
    return size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** undefined: this layer says nothing of the name. */
  get(name: string): Uint8Array | undefined {
    return this.#changed.get(name) ?? this.#find(name);
  }

  /** One look-up, not two. So what is replaced is not known, and stays counted. */
  set(name: string, bytes: Uint8Array): void {
    const changed = this.#changed;
    const before = changed.size;
    changed.set(name, bytes);
    this.#bytes += changed.size === before ? bytes.length : name.length + bytes.length;
  }

  append(name: string, bytes: Uint8Array): void {
    const letter = name.charCodeAt(0);
    this.#bytes += name.length + bytes.length;
    for (const list of this.#appended) {
      if (list.letter !== letter) continue;
      list.records.push([name, bytes]);
      return;
    }
    this.#appended.push({ letter, records: [[name, bytes]] });
  }

  /** The changes as a batch carries them, each name once. */
  changes(): RecordChanges {
    const changes: RecordChanges = { puts: [], deletes: [] };
    /** Names that were appended and deleted again. */
    const gone = new Set<string>();
    for (const [name, bytes] of this.#changed) {
      if (bytes !== DELETED) changes.puts.push([name, bytes]);
      else changes.deletes.push(name);
      if (bytes === DELETED && this.#find(name) !== undefined) gone.add(name);
    }
    const lists = this.#appended.map(({ records }) => records);
    const kept = gone.size === 0 ? lists : lists.map((list) => list.filter(([name]) => !gone.has(name)));
    return { puts: changes.puts.concat(...kept), deletes: changes.deletes };
  }

  /** @throws AssertionError */
  checkInvariants(): void {
    let bytes = 0;
    for (const [name, value] of this.#changed) bytes += name.length + value.length;
    for (const { letter, records } of this.#appended) {
      let before = "";
      for (const [name, value] of records) {
        if (name <= before || name.charCodeAt(0) !== letter) fail("appended out of order", { name, before });
        const changed = this.#changed.get(name);
        if (changed !== undefined && changed !== DELETED) fail("an appended record was put again", { name });
        before = name;
        bytes += name.length + value.length;
      }
    }
    if (bytes > this.#bytes) fail("bytes of a layer", { bytes, counted: this.#bytes });
  }

  #find(name: string): Uint8Array | undefined {
    const letter = name.charCodeAt(0);
    for (const list of this.#appended) if (list.letter === letter) return valueIn(list.records, name);
    return undefined;
  }
}

/** The value under a name in records that ascend. */
function valueIn(records: readonly BackendRecord[], name: string): Uint8Array | undefined {
  const first = records[0];
  // Most names that are asked for here are deleted by compaction, and older than all that is in memory.
  if (first === undefined || name < first[0]) return undefined;
  let [lo, hi] = [0, records.length];
  while (lo < hi) {
    const middle = (lo + hi) >>> 1;
    const record = records[middle] as BackendRecord;
    if (record[0] === name) return record[1];
    if (record[0] < name) lo = middle + 1;
    else hi = middle;
  }
  return undefined;
}
