/**
 * Cuts a state into the frames of a snapshot stream, each of bounded size, lazily: a gigabyte of state is never in
 * memory twice. The counterpart is `snapshot-receiver.ts`.
 */
import { finishHash, type MemberId, mixHashBytes, mixHashText } from "../base/index.ts";
import type { BackendMeta, BackendState } from "../env/index.ts";
import type { SnapshotFrame } from "../pb/index.ts";

/**
 * A chunk is closed at this many bytes of keys and values; one record always fits, however large. Each end encodes or
 * decodes, hashes and checks a chunk in one go: at 256 KiB and 4,096 records that took more than 10 ms.
 */
export const CHUNK_BYTES = 64 * 1024;
/** ... or at this many records. */
export const CHUNK_RECORDS = 512;

export interface SnapshotHeader {
  readonly stream: number;
  readonly from: MemberId;
  readonly to: MemberId;
  /** The sender's term when it decided to send. */
  readonly term: number;
}

/**
 * Turns records into chunks of bounded size, and counts and hashes them. Records go in ascending order of names; each
 * chunk is sent before the next records are added, so that at most one is in memory.
 */
export class SnapshotCutter {
  readonly #stream: number;
  readonly #chunkBytes: number;
  #sequence = 0;
  #hash = 0;
  #count = 0;
  #bytes = 0;
  #records: (readonly [key: string, value: Uint8Array])[] = [];

  constructor(stream: number, chunkBytes: number = CHUNK_BYTES) {
    this.#stream = stream;
    this.#chunkBytes = chunkBytes;
  }

  /** Takes a record; a chunk that it filled is given back. */
  add(key: string, value: Uint8Array): SnapshotFrame | undefined {
    this.#records.push([key, value]);
    this.#count++;
    this.#hash = mixRecord(this.#hash, key, value);
    this.#bytes += key.length + value.length;
    if (this.#bytes < this.#chunkBytes && this.#records.length < CHUNK_RECORDS) return undefined;
    return this.#close();
  }

  /** What is left, and the end. Only once. */
  end(): SnapshotFrame[] {
    const stream = this.#stream;
    const end: SnapshotFrame = { type: "end", stream, records: this.#count, hash: finishHash(this.#hash) };
    return this.#records.length === 0 ? [end] : [this.#close(), end];
  }

  #close(): SnapshotFrame {
    const records = this.#records;
    this.#records = [];
    this.#bytes = 0;
    return { type: "chunk", stream: this.#stream, sequence: this.#sequence++, records };
  }
}

/** The first frame of a stream. */
export function beginFrame(header: SnapshotHeader, { index, term, conf }: BackendMeta): SnapshotFrame {
  return { type: "begin", ...header, meta: { index, term, conf } };
}

/** The frames of `state` in order: begin, chunks, end. Records go in the order of the map. */
export function* cutSnapshot(
  header: SnapshotHeader,
  state: BackendState,
  chunkBytes: number = CHUNK_BYTES,
): Generator<SnapshotFrame, void, void> {
  yield beginFrame(header, state);
  const cutter = new SnapshotCutter(header.stream, chunkBytes);
  for (const [key, value] of state.records) {
    const chunk = cutter.add(key, value);
    if (chunk !== undefined) yield chunk;
  }
  yield* cutter.end();
}

/** The running hash of both sides. */
export function mixRecord(hash: number, key: string, value: Uint8Array): number {
  return mixHashBytes(mixHashText(hash, key), value);
}
