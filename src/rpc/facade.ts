/**
 * What the services see of a member: the driver (`server/`) in production and in the simulator's second tier, an
 * in-memory one in tests. It knows no transport, and the services know no member machine.
 */

import type { ClusterId, MemberId } from "../base/index.ts";
import type { Answer, ListedMember, MemberStatus, Request } from "../member/types.ts";
import type { WatchCreate, WatchStream } from "../watch/types.ts";

/** An alarm that is raised, as the replicated state has it. */
export interface RaisedAlarm {
  readonly member: MemberId;
  readonly alarm: "nospace" | "corrupt";
}

/** Sizes and positions for Status and metrics, as of the call. */
export interface StoreFacts {
  /** Newest revision. */
  readonly revision: number;
  /** 0: nothing was compacted. */
  readonly compactRevision: number;
  /** Logical bytes that count against the quota. */
  readonly usedBytes: number;
  /** Infinity: no quota. */
  readonly quotaBytes: number;
  readonly alarms: readonly RaisedAlarm[];
}

export interface MemberFacade {
  readonly cluster: ClusterId;
  readonly member: MemberId;
  /**
   * Asks; the answer comes once, by the member's own deadline at the latest. Never rejects. An aborted signal means
   * that nobody waits any more: the answer is dropped, what was proposed may still take effect. What only the leader
   * does for a lease or a membership is asked of the leader, unless the member knows none.
   */
  request(request: Request, signal?: AbortSignal): Promise<Answer>;
  /** @param onReady called, at most once until the stream was drained, when `take` has something */
  openWatch(onReady: () => void): WatchFacade;
  status(): MemberStatus;
  /** The members of the applied configuration, in order of ID. */
  members(): readonly ListedMember[];
  store(): StoreFacts;
}

/** One client connection's watchers; the time of `create` is the facade's business. */
export interface WatchFacade extends Omit<WatchStream, "create"> {
  create(request: WatchCreate): number;
}
