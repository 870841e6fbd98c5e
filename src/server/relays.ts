/**
 * Questions to the leader for which clients of this member wait, and those of other members that are answered here.
 * One hop: whoever is asked answers for itself, also that it does not lead.
 *
 * What is lost on the way has an unknown outcome if it was a change, and none if it was a question; a keepalive that
 * was done and is said to be refused only makes the lease live longer than its client believes.
 */
import { ERR, type MemberId, NO_MEMBER } from "../base/index.ts";
import type { Cancel, Clock, PeerTransport } from "../env/index.ts";
import type { Answer, Request } from "../member/index.ts";
import type { Relay, RelayedAnswer, RelayedRequest } from "../pb/index.ts";
import { given } from "./waiters.ts";

/** Most questions that are under way; beyond it they are refused. A keepalive stream has 64 at most. */
const MAX_ASKED = 4_096;

export interface RelayHost {
  readonly clock: Clock;
  readonly peers: Pick<PeerTransport, "relay">;
  /** How long an answer is waited for, ms. */
  readonly timeoutMs: number;
  /** The leader as this member knows it; NO_MEMBER: none. */
  leader(): MemberId;
  /** Asks this member. */
  ask(request: Request): Promise<Answer>;
}

interface Asked {
  readonly peer: MemberId;
  readonly settle: (answer: Answer) => void;
  readonly isChange: boolean;
  readonly cancel: Cancel;
}

export class Relays {
  readonly #host: RelayHost;
  readonly #asked = new Map<number, Asked>();
  #last = 0;

  constructor(host: RelayHost) {
    this.#host = host;
  }

  /** Asks the leader. Never rejects; the answer comes by the deadline. */
  ask(request: RelayedRequest, signal: AbortSignal | undefined): Promise<Answer> {
    const peer = this.#host.leader();
    if (peer === NO_MEMBER) return Promise.resolve({ type: "refused", id: 0, error: ERR.noLeader });
    if (this.#asked.size >= MAX_ASKED) {
      return Promise.resolve({ type: "refused", id: 0, error: ERR.tooManyRequests });
    }
    if (signal?.aborted === true) return Promise.resolve(given(0));
    return new Promise((resolve) => {
      const number = ++this.#last;
      const { clock, timeoutMs, peers } = this.#host;
      const abort = (): void => this.#settle(number, given(0));
      signal?.addEventListener("abort", abort, { once: true });
      this.#asked.set(number, {
        peer,
        isChange: request.type === "changeMembers",
        cancel: clock.wakeAt(clock.now() + timeoutMs, () => this.#giveUp(number)),
        settle: (answer) => {
          signal?.removeEventListener("abort", abort);
          resolve(answer);
        },
      });
      peers.relay(peer, { type: "ask", number, request });
    });
  }

  /** Takes what a peer sent; an answer to nobody is dropped. */
  take(from: MemberId, relay: Relay): void {
    if (relay.type === "reply") {
      // Whoever was not asked has nothing to say.
      if (this.#asked.get(relay.number)?.peer === from) this.#settle(relay.number, answerOf(relay.answer));
      return;
    }
    const { number, request } = relay;
    void this.#host.ask(request).then((answer) => {
      this.#host.peers.relay(from, { type: "reply", number, answer: relayed(answer) });
    });
  }

  /** What was sent to the peer, or would come from it, may be lost. */
  lost(peer: MemberId): void {
    for (const [number, asked] of [...this.#asked]) if (asked.peer === peer) this.#giveUp(number);
  }

  /** Nobody answers any more. */
  drain(): void {
    for (const number of [...this.#asked.keys()]) this.#giveUp(number);
  }

  #giveUp(number: number): void {
    const isChange = this.#asked.get(number)?.isChange === true;
    this.#settle(
      number,
      isChange
        ? { type: "unknown", id: 0, reason: "the way to the leader was lost" }
        : { type: "refused", id: 0, error: ERR.timeout },
    );
  }

  #settle(number: number, answer: Answer): void {
    const asked = this.#asked.get(number);
    if (asked === undefined) return;
    this.#asked.delete(number);
    asked.cancel();
    asked.settle(answer);
  }
}

/** The request as another member may be asked it; undefined: every member answers it by itself. */
export function relayable(request: Request): RelayedRequest | undefined {
  switch (request.type) {
    case "leaseKeepAlive":
    case "leaseTimeToLive":
    case "changeMembers":
      return request;
    default:
      // etcd's members do not hand leadership over for others.
      return undefined;
  }
}

/** Between two leaders there is none, and whoever asks again may find the next one. */
function answerOf(answer: RelayedAnswer): Answer {
  const isElsewhere = answer.type === "refused" && answer.error === ERR.notLeader;
  return isElsewhere ? { type: "refused", id: 0, error: ERR.noLeader } : { id: 0, ...answer };
}

function relayed(answer: Answer): RelayedAnswer {
  switch (answer.type) {
    case "leaseKept":
    case "leaseTtl":
    case "changed":
    case "refused":
    case "unknown":
      return answer;
    default:
      return { type: "unknown", reason: `an answer of another kind: ${answer.type}` };
  }
}
