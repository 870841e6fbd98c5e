/**
 * What all services share: the member, its neighbours, and how an answer of it is waited for.
 */
import type { Clock, Random } from "../env/index.ts";
import type { Answer, Request } from "../member/types.ts";
import type { ResponseHeader } from "../pb/index.ts";
import type { MemberFacade } from "./facade.ts";

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

/**
 * Asks the local member, which asks the leader what only that one answers.
 * @param signal undefined: the answer is wanted in any case
 */
export function ask(
  { facade }: RpcContext,
  request: Request,
  signal: AbortSignal | undefined,
): Promise<Answer> {
  return facade.request(request, signal);
}
