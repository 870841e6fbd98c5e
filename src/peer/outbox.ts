/**
 * What waits to be sent to one peer: heartbeats and their answers before everything else, the rest in order. Each
 * message is encoded once, when it is taken. Bounded in bytes; what does not fit is refused and the caller reports it,
 * because the core sends again by itself and old messages are worth little. Pure: the memory twin queues by it too.
 */
import { encodeMessage, encodeRelay, type Relay } from "../pb/index.ts";
import type { Message } from "../raft/types.ts";

/** Heartbeats and answers that wait, bytes; a thousand of them. A peer that leaves so many lying is silent. */
const MAX_URGENT_BYTES = 64 * 1024;

/** Frames in order of arrival, from `head` on. */
interface Queue {
  frames: Uint8Array[];
  head: number;
  bytes: number;
}

export class Outbox {
  readonly #maxBytes: number;
  readonly #urgent: Queue = { frames: [], head: 0, bytes: 0 };
  readonly #rest: Queue = { frames: [], head: 0, bytes: 0 };

  /** @param maxBytes of messages that are no heartbeats; one alone may be larger */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get isEmpty(): boolean {
    return this.#urgent.bytes === 0 && this.#rest.bytes === 0;
  }

  /** Bytes that wait, all together. */
  get bytes(): number {
    return this.#urgent.bytes + this.#rest.bytes;
  }

  /**
   * Takes a message, or gives false: there is no room.
   * @param unsentBytes what was taken out of this outbox and has not left this machine's memory; counts against the
   *   bound
   */
  post(message: Message, unsentBytes: number): boolean {
    const urgent = message.type === "heartbeat" || message.type === "heartbeatResponse";
    const queue = urgent ? this.#urgent : this.#rest;
    const max = urgent ? MAX_URGENT_BYTES : this.#maxBytes;
    const used = queue.bytes + (urgent ? 0 : unsentBytes);
    // Full anyway: nothing is encoded in order to be dropped.
    if (used >= max && queue.bytes > 0) return false;
    return put(queue, encodeMessage(message), used, max);
  }

  /** Takes a relay, which waits in line with the messages that are no heartbeats; otherwise as `post`. */
  postRelay(relay: Relay, unsentBytes: number): boolean {
    const used = this.#rest.bytes + unsentBytes;
    return put(this.#rest, encodeRelay(relay), used, this.#maxBytes);
  }

  /** The next frames in the order in which they are sent: at least one if any waits, and few beyond `maxBytes`. */
  take(maxBytes: number): Uint8Array[] {
    const taken: Uint8Array[] = [];
    const left = takeFrom(this.#urgent, maxBytes, taken);
    if (left > 0) takeFrom(this.#rest, left, taken);
    return taken;
  }

  /** Forgets everything. Gives whether there was something. */
  clear(): boolean {
    const lost = !this.isEmpty;
    for (const queue of [this.#urgent, this.#rest]) reset(queue);
    return lost;
  }
}

/** Puts a frame behind the others; false: there is no room. Alone it may be larger than all that may wait. */
function put(queue: Queue, frame: Uint8Array, used: number, max: number): boolean {
  if (queue.bytes > 0 && used + frame.length > max) return false;
  queue.frames.push(frame);
  queue.bytes += frame.length;
  return true;
}

/** Moves frames until `maxBytes` are used up; gives what is left of them. */
function takeFrom(queue: Queue, maxBytes: number, into: Uint8Array[]): number {
  let left = maxBytes;
  while (left > 0) {
    const frame = queue.frames[queue.head];
    if (frame === undefined) break;
    into.push(frame);
    queue.head++;
    queue.bytes -= frame.length;
    left -= frame.length;
  }
  if (queue.head === queue.frames.length) reset(queue);
  // What was sent may not be kept because something behind it waits.
  else if (queue.head > 256) {
    queue.frames = queue.frames.slice(queue.head);
    queue.head = 0;
  }
  return left;
}

function reset(queue: Queue): void {
  queue.frames = [];
  queue.head = 0;
  queue.bytes = 0;
}
