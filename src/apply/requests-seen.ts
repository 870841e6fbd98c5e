/**
 * Which requests were applied, so that an entry that entered the log twice takes effect once. An entry does so when
 * the network duplicates a forwarded proposal, or when a leader fell after it had appended one and the next leader
 * was given the same one: the leader's own check (member/proposals.ts) sees only its own log.
 *
 * Part of the replicated state: saved in the same backend batch as the keys, carried by snapshots. If it were
 * not, a member that restarted or installed a snapshot would apply a duplicate which the others skip.
 *
 * Bounded twice. Per instance a window of sequences: what is older counts as seen, which errs on the side of not
 * applying, and then the waiting client hears "unknown". And a number of instances, of which the one that applied
 * nothing for longest is forgotten. An instance is one process start, so forgetting one that still has a copy of a
 * request under way takes that many *other* process starts within the life of that message.
 */
import { fail, hex } from "../base/index.ts";
import type { RequestId } from "../pb/index.ts";
import {
  idOfRecord,
  LOADED,
  type Loaded,
  REQUESTS_PREFIX,
  type RecordChanges,
  readNumber,
  viewOf,
  writeNumber,
} from "./records.ts";

/** Sequences remembered per instance, counted down from the highest one. */
export const SEEN_WINDOW = 1024;
/** Instances remembered. */
export const MAX_SEEN_INSTANCES = 1024;

const WINDOW_WORDS = SEEN_WINDOW / 32;
const RECORD_BYTES = 16 + WINDOW_WORDS * 4;

interface Seen {
  /** Highest sequence applied; at least 1. */
  highest: number;
  /** Index of the last entry of this instance that was applied. Unique: one entry has one instance. */
  lastIndex: number;
  /** Bit (sequence mod SEEN_WINDOW) is set when it was applied, for the sequences inside the window. */
  readonly bits: Uint32Array;
}

export class RequestsSeen {
  /** Invariant: in the order of `lastIndex`, so that the first is the one to forget. */
  readonly #instances = new Map<bigint, Seen>();
  readonly #dirty = new Set<bigint>();
  readonly #maxInstances: number;
  /** The last key of `#instances`: the common case moves nothing. */
  #newest = 0n;

  constructor(maxInstances: number = MAX_SEEN_INSTANCES) {
    this.#maxInstances = maxInstances;
  }

  /** Number of instances remembered. */
  get size(): number {
    return this.#instances.size;
  }

  /** Whether the request was applied, or is too old to tell. Instance 0 has no identity and is never seen. */
  has(id: RequestId): boolean {
    if (id.instance === 0n) return false;
    const seen = this.#instances.get(id.instance);
    return seen !== undefined && isSeen(seen, id.sequence);
  }

  /**
   * Notes that the entry at `index` carries the request, and returns whether that is new: false means that it must
   * not be applied again. A duplicate changes nothing, not even the order of forgetting.
   */
  maybeTake(id: RequestId, index: number): boolean {
    if (id.instance === 0n) return true;
    let seen = this.#instances.get(id.instance);
    if (seen === undefined) {
      if (this.#instances.size >= this.#maxInstances) this.#forgetOldest();
      seen = { highest: 0, lastIndex: 0, bits: new Uint32Array(WINDOW_WORDS) };
      this.#instances.set(id.instance, seen);
    } else {
      if (isSeen(seen, id.sequence)) return false;
      if (id.instance !== this.#newest) {
        this.#instances.delete(id.instance);
        this.#instances.set(id.instance, seen);
      }
    }
    this.#newest = id.instance;
    if (id.sequence > seen.highest) advance(seen, id.sequence);
    setBit(seen.bits, id.sequence);
    seen.lastIndex = index;
    this.#dirty.add(id.instance);
    return true;
  }

  /** Appends the records changed since the last call. */
  takeChanges(into: RecordChanges): void {
    for (const instance of this.#dirty) {
      const seen = this.#instances.get(instance);
      const name = REQUESTS_PREFIX + hex(instance);
      if (seen === undefined) into.deletes.push(name);
      else into.puts.push([name, encodeSeen(seen)]);
    }
    this.#dirty.clear();
  }

  /**
   * Takes the saved records, in any order: they are put into the order of their last index, because that order
   * decides what is forgotten next, and must be the same as on a member that never restarted.
   */
  load(records: ReadonlyMap<string, Uint8Array>): Loaded {
    const loaded: { instance: bigint; seen: Seen }[] = [];
    for (const [name, bytes] of records) {
      const instance = idOfRecord(name);
      const seen = bytes.length === RECORD_BYTES ? decodeSeen(bytes) : undefined;
      if (instance === undefined || seen === undefined) {
        return { type: "refused", reason: `requests seen: record ${name} is malformed` };
      }
      loaded.push({ instance, seen });
    }
    if (loaded.length > this.#maxInstances) {
      return { type: "refused", reason: `requests seen: ${loaded.length} instances are too many` };
    }
    loaded.sort((a, b) => a.seen.lastIndex - b.seen.lastIndex);
    for (const { instance, seen } of loaded) {
      this.#instances.set(instance, seen);
      this.#newest = instance;
    }
    return LOADED;
  }

  /** @throws AssertionError when the order of forgetting or a bound does not hold. */
  checkInvariants(): void {
    if (this.#instances.size > this.#maxInstances) {
      fail("more instances than the bound", { size: this.#instances.size, max: this.#maxInstances });
    }
    let last = 0;
    for (const [instance, seen] of this.#instances) {
      if (seen.lastIndex <= last) fail("instances out of order", { instance, last, is: seen.lastIndex });
      last = seen.lastIndex;
    }
  }

  #forgetOldest(): void {
    for (const instance of this.#instances.keys()) {
      this.#instances.delete(instance);
      this.#dirty.add(instance);
      return;
    }
  }
}

function isSeen(seen: Seen, sequence: number): boolean {
  if (sequence > seen.highest) return false;
  if (seen.highest - sequence >= SEEN_WINDOW) return true;
  const bit = sequence % SEEN_WINDOW;
  return ((seen.bits[bit >> 5] as number) & (1 << (bit & 31))) !== 0;
}

/** Moves the window up to `sequence`; the sequences jumped over are not seen, so their bits of a turn ago go. */
function advance(seen: Seen, sequence: number): void {
  if (sequence - seen.highest >= SEEN_WINDOW) {
    seen.bits.fill(0);
  } else {
    for (let jumped = seen.highest + 1; jumped <= sequence; jumped++) clearBit(seen.bits, jumped);
  }
  seen.highest = sequence;
}

function setBit(bits: Uint32Array, sequence: number): void {
  const bit = sequence % SEEN_WINDOW;
  bits[bit >> 5] = (bits[bit >> 5] as number) | (1 << (bit & 31));
}

function clearBit(bits: Uint32Array, sequence: number): void {
  const bit = sequence % SEEN_WINDOW;
  bits[bit >> 5] = (bits[bit >> 5] as number) & ~(1 << (bit & 31));
}

function encodeSeen(seen: Seen): Uint8Array {
  const bytes = new Uint8Array(RECORD_BYTES);
  const view = viewOf(bytes);
  writeNumber(view, 0, seen.highest);
  writeNumber(view, 8, seen.lastIndex);
  for (let word = 0; word < WINDOW_WORDS; word++) {
    view.setUint32(16 + word * 4, seen.bits[word] as number, true);
  }
  return bytes;
}

function decodeSeen(bytes: Uint8Array): Seen | undefined {
  const view = viewOf(bytes);
  const highest = readNumber(view, 0);
  const lastIndex = readNumber(view, 8);
  if (highest === undefined || highest === 0 || lastIndex === undefined || lastIndex === 0) return undefined;
  const bits = new Uint32Array(WINDOW_WORDS);
  for (let word = 0; word < WINDOW_WORDS; word++) bits[word] = view.getUint32(16 + word * 4, true);
  return { highest, lastIndex, bits };
}
