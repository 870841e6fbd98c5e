/**
 * Frames on a stream of bytes: four bytes of length, most significant first, then so many bytes (proto/raft.proto).
 * Pure: bytes in, frames out. The reader never holds more than one unfinished frame beside the chunk that it was given,
 * and of an unfinished frame hardly more than what has come of it: a length is a claim, not a reason to allocate.
 */
import { fail } from "../base/index.ts";

const HEADER_BYTES = 4;

/** What a frame that comes in several chunks gets at first; it doubles as bytes arrive. */
const FIRST_BYTES = 256 * 1024;

/** A frame from this size on is handed to the socket as it is; smaller ones are copied next to each other. */
const LARGE_BYTES = 8 * 1024;

/** Takes chunks, gives frames. Order: push one chunk, call `next` until it gives undefined, push the next chunk. */
export class FrameReader {
  #maxBytes: number;
  #chunk: Uint8Array = new Uint8Array(0);
  #at = 0;
  /** The header's bytes so far, and their value. */
  #headerBytes = 0;
  #length = 0;
  /** The bytes of a frame that does not end in the chunk that it began in. */
  #frame: Uint8Array | undefined;
  #filled = 0;
  #refusal: string | undefined;

  /** @param maxBytes a longer frame is refused at its header */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Why no further frame is read from this stream. */
  get refusal(): string | undefined {
    return this.#refusal;
  }

  /** Whether a frame has begun and is not complete. */
  get isInsideFrame(): boolean {
    return this.#headerBytes > 0;
  }

  /** The limit of frames that have not begun yet. */
  setLimit(maxBytes: number): void {
    this.#maxBytes = maxBytes;
  }

  /** Takes the next bytes, which are the reader's from now on. The ones before were used up. */
  push(chunk: Uint8Array): void {
    if (this.#at < this.#chunk.length) fail("bytes of the chunk before are left");
    this.#chunk = chunk;
    this.#at = 0;
  }

  /** The next frame, possibly a view of its chunk, or undefined: it is not complete, or it is refused. */
  next(): Uint8Array | undefined {
    if (this.#refusal !== undefined || !this.#readHeader()) return undefined;
    const available = this.#chunk.length - this.#at;
    if (this.#frame === undefined && available >= this.#length) {
      const lo = this.#at;
      this.#at += this.#length;
      return this.#give(this.#chunk.subarray(lo, this.#at));
    }
    if (available > 0) this.#collect(available);
    return this.#frame !== undefined && this.#filled === this.#length ? this.#give(this.#frame) : undefined;
  }

  /** Whether the header is complete. */
  #readHeader(): boolean {
    if (this.#headerBytes === HEADER_BYTES) return true;
    while (this.#headerBytes < HEADER_BYTES) {
      const byte = this.#chunk[this.#at];
      if (byte === undefined) return false;
      this.#at++;
      this.#headerBytes++;
      this.#length = this.#length * 256 + byte;
    }
    if (this.#length <= this.#maxBytes) return true;
    this.#refusal = `a frame of ${this.#length} bytes is above the limit of ${this.#maxBytes}`;
    this.#drop();
    return false;
  }

  /** Moves what the chunk has of the frame behind what came before. */
  #collect(available: number): void {
    const end = this.#filled + Math.min(available, this.#length - this.#filled);
    const frame = this.#withRoom(end);
    const taken = this.#chunk.subarray(this.#at, this.#at + end - this.#filled);
    frame.set(taken, this.#filled);
    this.#at += taken.length;
    this.#filled = end;
    if (this.#at === this.#chunk.length) this.#drop();
  }

  #withRoom(bytes: number): Uint8Array {
    const frame = this.#frame;
    if (frame !== undefined && frame.length >= bytes) return frame;
    const wanted = Math.max(bytes, FIRST_BYTES, 2 * (frame?.length ?? 0));
    const larger = new Uint8Array(Math.min(this.#length, wanted));
    if (frame !== undefined) larger.set(frame);
    this.#frame = larger;
    return larger;
  }

  /** Lets go of the chunk: a large frame may take long to come. */
  #drop(): void {
    this.#chunk = new Uint8Array(0);
    this.#at = 0;
  }

  #give(frame: Uint8Array): Uint8Array {
    this.#headerBytes = 0;
    this.#length = 0;
    this.#frame = undefined;
    this.#filled = 0;
    return frame;
  }
}

/**
 * The bytes that carry these frames, in as few chunks as is cheap: neighbours that are small are copied into one, a
 * large frame is not copied at all, and may not be changed until it is sent.
 */
export function framed(frames: readonly Uint8Array[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  let lo = 0;
  let bytes = 0;
  frames.forEach((frame, i) => {
    const isLarge = frame.length >= LARGE_BYTES;
    bytes += HEADER_BYTES + (isLarge ? 0 : frame.length);
    if (!isLarge && i + 1 < frames.length) return;
    chunks.push(copied(frames.slice(lo, i + 1), bytes));
    if (isLarge) chunks.push(frame);
    lo = i + 1;
    bytes = 0;
  });
  return chunks;
}

/** Headers and small frames one after the other; of a large one, the last, its header only. */
function copied(frames: readonly Uint8Array[], bytes: number): Uint8Array {
  const out = new Uint8Array(bytes);
  let at = 0;
  for (const frame of frames) {
    const size = frame.length;
    out[at] = size >>> 24;
    out[at + 1] = size >>> 16;
    out[at + 2] = size >>> 8;
    out[at + 3] = size;
    at += HEADER_BYTES;
    if (size < LARGE_BYTES) out.set(frame, at);
    at += size;
  }
  return out;
}
