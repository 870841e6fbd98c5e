/**
 * Cuts a state into the frames of a snapshot stream, each of bounded size, lazily: a gigabyte of state is never in
 * memory twice. The counterpart is `snapshot-receiver.ts`.
 */
import { finishHash, type MemberId, mixHashBytes, mixHashText } from "../base/index.ts";
import type { BackendState } from "../env/index.ts";
import type { SnapshotFrame } from "../pb/index.ts";

/** A chunk is closed at this many bytes of keys and values; one record always fits, however large. */
export const CHUNK_BYTES = 256 * 1024;
/** ... or at this many records. */
export const CHUNK_RECORDS = 4096;

export interface SnapshotHeader {
  readonly stream: number;
  readonly from: MemberId;
  readonly to: MemberId;
  /** The sender's term when it decided to send. */
  readonly term: number;
}

/** The frames of `state` in order: begin, chunks, end. Records go in the order of the map. */
export function* cutSnapshot(
  header: SnapshotHeader,
  state: BackendState,
  chunkBytes: number = CHUNK_BYTES,
): Generator<SnapshotFrame, void, void> {
  const { stream } = header;
  const { index, term, conf } = state;
  yield { type: "begin", ...header, meta: { index, term, conf } };
  let sequence = 0;
  let hash = 0;
  let bytes = 0;
  let records: (readonly [key: string, value: Uint8Array])[] = [];
  for (const [key, value] of state.records) {
    records.push([key, value]);
    hash = mixRecord(hash, key, value);
    bytes += key.length + value.length;
    if (bytes < chunkBytes && records.length < CHUNK_RECORDS) continue;
    yield { type: "chunk", stream, sequence, records };
    sequence++;
    bytes = 0;
    records = [];
  }
  if (records.length > 0) yield { type: "chunk", stream, sequence, records };
  yield { type: "end", stream, records: state.records.size, hash: finishHash(hash) };
}

/** The running hash of both sides. */
export function mixRecord(hash: number, key: string, value: Uint8Array): number {
  return mixHashBytes(mixHashText(hash, key), value);
}
