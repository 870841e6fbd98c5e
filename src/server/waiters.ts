/**
 * Who waits for which answer. Every request is answered once: by the member, or, when the driver gives up, from here.
 * As many as the member lets wait, and those of one turn that it has yet to refuse.
 */
import { ERR, fail } from "../base/index.ts";
import type { Answer, Request } from "../member/index.ts";

interface Waiter {
  readonly request: Request;
  readonly answer: (answer: Answer) => void;
}

export class Waiters {
  readonly #waiting = new Map<number, Waiter>();
  #lastId = 0;

  get size(): number {
    return this.#waiting.size;
  }

  /** The number that was given last; 0: none was. */
  get lastId(): number {
    return this.#lastId;
  }

  /** Waits under a new number until `answer` was called. When the signal says so, nobody waits any more. */
  add(request: Request, signal: AbortSignal | undefined, answer: (answer: Answer) => void): number {
    const id = ++this.#lastId;
    if (signal === undefined) {
      this.#waiting.set(id, { request, answer });
      return id;
    }
    const abort = (): void => {
      if (this.#waiting.delete(id)) answer(given(id));
    };
    signal.addEventListener("abort", abort, { once: true });
    this.#waiting.set(id, {
      request,
      answer: (value) => {
        signal.removeEventListener("abort", abort);
        answer(value);
      },
    });
    return id;
  }

  /** Passes an answer on; that of one who waits no more is dropped. */
  answer(answer: Answer): void {
    const { id } = answer;
    if (id > this.#lastId) fail("an answer to nobody", { id });
    const waiter = this.#waiting.get(id);
    if (waiter === undefined) return;
    this.#waiting.delete(id);
    waiter.answer(answer);
  }

  /** Nothing more will come: what has no effect is refused, and of everything else the outcome is not known. */
  drain(reason: string): void {
    for (const [id, { request, answer }] of [...this.#waiting]) {
      this.#waiting.delete(id);
      answer(
        hasNoEffect(request) ? { type: "refused", id, error: ERR.stopped } : { type: "unknown", id, reason },
      );
    }
  }
}

/** What somebody hears who did not want to wait. */
export function given(id: number): Answer {
  return { type: "unknown", id, reason: "nobody waited for the answer" };
}

function hasNoEffect({ type }: Request): boolean {
  return (
    type === "read" ||
    type === "leaseKeepAlive" ||
    type === "leaseTimeToLive" ||
    type === "leaseLeases" ||
    type === "hashKv"
  );
}
