/** etcd's Cluster service: who the members are. */
import { type MessageOf, services } from "../pb/index.ts";
import type { Caller, CallOptions } from "./calls.ts";
import { decoded } from "./lease.ts";
import {
  type MemberAddResponse,
  memberAddRequest,
  memberAddResponse,
  memberUpdateRequest,
} from "./messages.ts";
import type { CallKind } from "./retry.ts";

export type MemberList = MessageOf<typeof services.memberListResponse>;

export class Cluster {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /** @param given.linearizable false: what the member that is asked knows */
  list(
    given: { linearizable: boolean } = { linearizable: true },
    options?: CallOptions,
  ): Promise<MemberList> {
    return this.#members("MemberList", "read", services.memberListRequest.encode(given), options);
  }

  async add(
    given: { peerUrls: readonly string[]; isLearner: boolean },
    options?: CallOptions,
  ): Promise<MemberAddResponse> {
    const request = memberAddRequest.encode(given);
    const bytes = await this.#caller.unary("/etcdserverpb.Cluster/MemberAdd", "write", request, options);
    return decoded(memberAddResponse.decode(bytes), "MemberAdd");
  }

  remove(id: bigint, options?: CallOptions): Promise<MemberList> {
    return this.#members("MemberRemove", "write", services.memberIdRequest.encode({ id }), options);
  }

  promote(id: bigint, options?: CallOptions): Promise<MemberList> {
    return this.#members("MemberPromote", "write", services.memberIdRequest.encode({ id }), options);
  }

  update(given: { id: bigint; peerUrls: readonly string[] }, options?: CallOptions): Promise<MemberList> {
    return this.#members("MemberUpdate", "write", memberUpdateRequest.encode(given), options);
  }

  async #members(
    name: string,
    kind: CallKind,
    request: Uint8Array,
    options: CallOptions | undefined,
  ): Promise<MemberList> {
    const bytes = await this.#caller.unary(`/etcdserverpb.Cluster/${name}`, kind, request, options);
    return decoded(services.memberListResponse.decode(bytes), name);
  }
}
