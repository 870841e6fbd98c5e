/** How many bytes of requests wait in this member, all clients together: memory that strangers choose has a bound. */
import { assert } from "../base/index.ts";

/** What a request costs beside its bytes: the call, its headers, its place in the queues. */
const REQUEST_OVERHEAD_BYTES = 2048;

export class RequestBudget {
  readonly #maxBytes: number;
  /** Invariant: 0 <= used. It may exceed the limit by one request, so that a single large one always goes. */
  #usedBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Takes room for a request of this size; false: there is none, and the request is to be refused. */
  take(requestBytes: number): boolean {
    if (this.#usedBytes >= this.#maxBytes) return false;
    this.#usedBytes += requestBytes + REQUEST_OVERHEAD_BYTES;
    return true;
  }

  /** Gives back what `take` took for a request of this size. */
  give(requestBytes: number): void {
    this.#usedBytes -= requestBytes + REQUEST_OVERHEAD_BYTES;
    assert(this.#usedBytes >= 0, "more given back than was taken", { used: this.#usedBytes, requestBytes });
  }
}
