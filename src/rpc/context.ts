/**
 * What all services share: the member, its neighbours, and how an answer of it is waited for.
 */
import { ERR } from "../base/index.ts";
import type { Clock, Random } from "../env/index.ts";
import type { Answer, Request } from "../member/types.ts";
import type { ResponseHeader } from "../pb/index.ts";
import type { MemberFacade } from "./facade.ts";

/**
 * Asks the leader what only the leader answers. The answer is as a facade gives it; whoever cannot reach the leader
 * answers `refused` with ERR.noLeader.
 */
export type Forward = (request: Request, signal: AbortSignal | undefined) => Promise<Answer>;

export interface RpcOptions {
  /** Version that Status reports; clients parse it and look for features by it. */
  readonly version: string;
  readonly electionTimeoutMs: number;
  readonly heartbeatMs: number;
  /** Most bytes of requests that wait for an answer, all clients together; beyond it `too many requests`. */
  readonly maxInFlightBytes: number;
}

export const DEFAULT_RPC_OPTIONS: RpcOptions = {
  version: "3.6.14",
  electionTimeoutMs: 1_000,
  heartbeatMs: 100,
  maxInFlightBytes: 256 * 1024 * 1024,
};

export interface RpcContext {
  readonly facade: MemberFacade;
  /** Identities of members that are added are drawn from it. */
  readonly random: Random;
  readonly clock: Clock;
  /** undefined: there is no way to the leader yet. */
  readonly forward: Forward | undefined;
  readonly options: RpcOptions;
}

/** The header of an answer. @param revision of the store, as the answer says; 0: it has nothing to do with it */
export function headerOf({ facade }: RpcContext, revision: number): ResponseHeader {
  return {
    clusterId: facade.cluster,
    memberId: facade.member,
    revision,
    raftTerm: facade.status().term,
  };
}

/** Asks the local member. @param signal undefined: the answer is wanted in any case */
export function ask(
  { facade }: RpcContext,
  request: Request,
  signal: AbortSignal | undefined,
): Promise<Answer> {
  return facade.request(request, signal);
}

/** Asks the local member, and if only the leader can answer, the leader. */
export async function askLeader(
  ctx: RpcContext,
  request: Request,
  signal: AbortSignal | undefined,
): Promise<Answer> {
  const answer = await ask(ctx, request, signal);
  if (answer.type !== "refused" || answer.error !== ERR.notLeader) return answer;
  // etcd's members ask the leader themselves; one that cannot reach it says that there is none.
  return ctx.forward === undefined ? { ...answer, error: ERR.noLeader } : ctx.forward(request, signal);
}
