/**
 * etcd's Cluster service, as far as the replicated configuration goes: it has who is a member, not their names and
 * addresses. Those come from the member directory of this process, so adding a member and changing its addresses is
 * refused until they are replicated.
 *
 * Headers of this service carry no revision, as in etcd.
 */
import { ERR, type MemberId } from "../base/index.ts";
import { type MemberInfo, services } from "../pb/index.ts";
import type { ConfChangeStep } from "../raft/types.ts";
import { type CallContext, failed, type Method, malformed, ok, type Reply, unimplemented } from "./call.ts";
import { ask, askLeader, headerOf, type RpcContext } from "./context.ts";
import { errorOf, RPC_ERR } from "./error-map.ts";
import { probeRead } from "./health-checks.ts";
import { unexpected } from "./kv.ts";

const ADDRESSES_ARE_LOCAL =
  "addresses of members are not replicated yet: stop the cluster and start every member with the new --initial-cluster";

export function clusterMethods(ctx: RpcContext): readonly (readonly [path: string, method: Method])[] {
  const refuse = async (): Promise<Reply> => failed(unimplemented(ADDRESSES_ARE_LOCAL));
  return [
    ["/etcdserverpb.Cluster/MemberList", { type: "unary", handle: (bytes, call) => list(ctx, bytes, call) }],
    ["/etcdserverpb.Cluster/MemberAdd", { type: "unary", handle: refuse }],
    ["/etcdserverpb.Cluster/MemberUpdate", { type: "unary", handle: refuse }],
    [
      "/etcdserverpb.Cluster/MemberRemove",
      { type: "unary", handle: (bytes, call) => change(ctx, bytes, call, "remove") },
    ],
    [
      "/etcdserverpb.Cluster/MemberPromote",
      { type: "unary", handle: (bytes, call) => change(ctx, bytes, call, "addVoter") },
    ],
  ];
}

/** All members of the applied configuration, in order of ID. */
export function membersOf({ facade, directory }: RpcContext): readonly MemberInfo[] {
  const { conf } = facade.status();
  const learners = new Set([...conf.learners, ...conf.learnersNext]);
  const ids = new Set([...conf.voters, ...conf.votersOutgoing, ...learners]);
  return [...ids]
    .sort((a, b) => (a < b ? -1 : 1))
    .map((id) => {
      const { name, peerUrls, clientUrls } = directory.find(id) ?? { name: "", peerUrls: [], clientUrls: [] };
      return { id, name, peerUrls, clientUrls, isLearner: learners.has(id) };
    });
}

async function list(ctx: RpcContext, bytes: Uint8Array, call: CallContext): Promise<Reply> {
  const decoded = services.memberListRequest.decode(bytes);
  if (decoded.type === "refused") return failed(malformed(decoded.reason));
  if (decoded.value.linearizable) {
    // Its answer says that this member has applied all that was answered anywhere before it was asked.
    const answer = await ask(ctx, probeRead(false), call.signal);
    if (answer.type === "refused" || answer.type === "unknown") return failed(errorOf(answer));
  }
  return memberList(ctx);
}

async function change(
  ctx: RpcContext,
  bytes: Uint8Array,
  call: CallContext,
  type: ConfChangeStep["type"],
): Promise<Reply> {
  const decoded = services.memberIdRequest.decode(bytes);
  if (decoded.type === "refused") return failed(malformed(decoded.reason));
  const { id } = decoded.value;
  const problem = changeProblem(ctx, type, id);
  if (problem !== undefined) return failed(problem);
  const conf = { joint: false, steps: [{ type, id }], leaseMs: undefined };
  const answer = await askLeader(ctx, { type: "changeMembers", change: conf }, call.signal);
  if (answer.type === "refused" || answer.type === "unknown") return failed(errorOf(answer));
  if (answer.type !== "changed") return unexpected(answer.type, "member change");
  return memberList(ctx);
}

function changeProblem({ facade }: RpcContext, type: ConfChangeStep["type"], id: MemberId) {
  const { conf } = facade.status();
  const isLearner = conf.learners.includes(id);
  if (!isLearner && !conf.voters.includes(id)) return RPC_ERR.memberNotFound;
  if (type === "addVoter" && !isLearner) return RPC_ERR.memberNotLearner;
  // The last voter would leave nobody to decide anything.
  if (type === "remove" && !isLearner && conf.voters.length === 1) return ERR.changeInvalid;
  return undefined;
}

function memberList(ctx: RpcContext): Reply {
  return ok(services.memberListResponse.encode({ header: headerOf(ctx, 0), members: membersOf(ctx) }));
}
