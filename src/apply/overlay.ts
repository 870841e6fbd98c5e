/**
 * What was written and is not durable yet, over what is: the core reads through it, so that it sees its own writes at
 * once while the backend writes behind (DESIGN §5). Two layers: changes since the last batch, and the batch in flight.
 * A change leaves memory only by `durable()`, never before, or a read would fall back to what the backend had earlier.
 *
 * Inside a layer a name is there once: a put after a delete is a put, a delete after a put is a delete. The delete is
 * kept even when the name was put in the same batch, because an older value may lie in the layers below.
 */
import { fail } from "../base/index.ts";
import type { RecordReader, Records } from "../env/index.ts";
import type { RecordChanges } from "./records.ts";

/** Stands for a delete in a layer; told apart by identity, so an empty record is none. */
const DELETED: Uint8Array = new Uint8Array(0);

type Layer = Map<string, Uint8Array>;

export class Overlay implements Records {
  readonly #below: RecordReader;
  #changes: Layer = new Map();
  /** undefined: no batch is in flight. */
  #inFlight: Layer | undefined;
  /** Bytes of names and values in `#changes`, and in `#inFlight`; of a name that was put twice both values. */
  #changedBytes = 0;
  #inFlightBytes = 0;

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
    return this.#changedBytes;
  }

  /** Number of names that are not durable, the batch in flight included. */
  get entries(): number {
    return this.#changes.size + (this.#inFlight?.size ?? 0);
  }

  /** Bytes of names and values that are not durable, at most. */
  get bytes(): number {
    return this.#changedBytes + this.#inFlightBytes;
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
    this.#set(name, bytes);
  }

  delete(name: string): void {
    this.#set(name, DELETED);
  }

  /**
   * The changes since the last call, for the next backend batch; they are in flight from now on.
   *
   * @throws AssertionError while another batch is in flight
   */
  take(): RecordChanges {
    if (this.#inFlight !== undefined) fail("a backend batch is in flight", { names: this.#inFlight.size });
    const changes: RecordChanges = { puts: [], deletes: [] };
    for (const [name, bytes] of this.#changes) {
      if (bytes === DELETED) changes.deletes.push(name);
      else changes.puts.push([name, bytes]);
    }
    this.#inFlight = this.#changes;
    this.#inFlightBytes = this.#changedBytes;
    this.#changes = new Map();
    this.#changedBytes = 0;
    return changes;
  }

  /** The batch in flight is durable: reads find it below from now on. @throws AssertionError when there is none */
  durable(): void {
    if (this.#inFlight === undefined) fail("no backend batch is in flight");
    this.#inFlight = undefined;
    this.#inFlightBytes = 0;
  }

  /** @throws AssertionError */
  checkInvariants(): void {
    const changed = bytesIn(this.#changes);
    const inFlight = this.#inFlight === undefined ? 0 : bytesIn(this.#inFlight);
    if (changed > this.#changedBytes) fail("changed bytes", { changed, counted: this.#changedBytes });
    if (inFlight > this.#inFlightBytes) fail("bytes in flight", { inFlight, counted: this.#inFlightBytes });
  }

  /** One look-up, not two: this runs twice per put. So what is replaced is not known, and stays counted. */
  #set(name: string, bytes: Uint8Array): void {
    const changes = this.#changes;
    const before = changes.size;
    changes.set(name, bytes);
    this.#changedBytes += changes.size === before ? bytes.length : name.length + bytes.length;
  }
}

function bytesIn(layer: Layer): number {
  let bytes = 0;
  for (const [name, value] of layer) bytes += name.length + value.length;
  return bytes;
}
