/**
 * etcd's Cluster service. Who is a member and where it is reached is replicated; changes are judged by the leader.
 *
 * Headers of this service carry no revision, as in etcd.
 */
import { ERR, type MemberId } from "../base/index.ts";
import type { Random } from "../env/index.ts";
import type { Request } from "../member/types.ts";
import { services } from "../pb/index.ts";
import type { ConfChangeStep } from "../raft/types.ts";
import { type CallContext, failed, type Method, malformed, ok, type Reply } from "./call.ts";
import { ask, headerOf, type RpcContext } from "./context.ts";
import { errorOf } from "./error-map.ts";
import { probeRead } from "./health-checks.ts";
import { unexpected } from "./kv.ts";

/** Scheme, host and port and nothing behind them, as etcd wants it. */
const PEER_URL = /^https?:\/\/(\[[0-9a-fA-F:.]+\]|[^\s:/?#@[\]]+):\d{1,5}$/;

export function clusterMethods(ctx: RpcContext): readonly (readonly [path: string, method: Method])[] {
  const { memberIdRequest } = services;
  const unary = (name: string, handle: (bytes: Uint8Array, call: CallContext) => Promise<Reply>) =>
    [`/etcdserverpb.Cluster/${name}`, { type: "unary", handle }] as const;
  const step = (type: ConfChangeStep["type"]) => async (bytes: Uint8Array, call: CallContext) => {
    const decoded = memberIdRequest.decode(bytes);
    if (decoded.type === "refused") return failed(malformed(decoded.reason));
    const refused = await change(ctx, changeOf({ type, id: decoded.value.id }), call);
    return refused ?? memberList(ctx);
  };
  return [
    unary("MemberList", (bytes, call) => list(ctx, bytes, call)),
    unary("MemberAdd", (bytes, call) => add(ctx, bytes, call)),
    unary("MemberUpdate", (bytes, call) => update(ctx, bytes, call)),
    unary("MemberRemove", step("remove")),
    unary("MemberPromote", step("addVoter")),
  ];
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

/** The ID is drawn here, as etcd's members hash one from the URLs and the time; a member that joins looks it up. */
async function add(ctx: RpcContext, bytes: Uint8Array, call: CallContext): Promise<Reply> {
  const decoded = services.memberAddRequest.decode(bytes);
  if (decoded.type === "refused") return failed(malformed(decoded.reason));
  const peerUrls = [...decoded.value.peerUrls].sort();
  if (!areUrls(peerUrls)) return failed(ERR.memberUrlsInvalid);
  const id = drawMember(ctx.random);
  const type = decoded.value.isLearner ? "addLearner" : "addVoter";
  const refused = await change(ctx, changeOf({ type, id, peerUrls }), call);
  if (refused !== undefined) return refused;
  const members = ctx.facade.members();
  const { isLearner } = decoded.value;
  const member = members.find((one) => one.id === id) ?? {
    id,
    name: "",
    peerUrls,
    clientUrls: [],
    isLearner,
  };
  return ok(services.memberAddResponse.encode({ header: headerOf(ctx, 0), member, members }));
}

async function update(ctx: RpcContext, bytes: Uint8Array, call: CallContext): Promise<Reply> {
  const decoded = services.memberUpdateRequest.decode(bytes);
  if (decoded.type === "refused") return failed(malformed(decoded.reason));
  const { id: member } = decoded.value;
  const peerUrls = [...decoded.value.peerUrls].sort();
  if (!areUrls(peerUrls)) return failed(ERR.memberUrlsInvalid);
  return (await change(ctx, { type: "updateMember", member, peerUrls }, call)) ?? memberList(ctx);
}

/** Has a change made; undefined: it is applied here, too, unless this member is cut off. Otherwise why not. */
async function change(ctx: RpcContext, request: Request, call: CallContext): Promise<Reply | undefined> {
  const answer = await ask(ctx, request, call.signal);
  if (answer.type === "refused" || answer.type === "unknown") return failed(errorOf(answer));
  if (answer.type !== "changed") return unexpected(answer.type, "member change");
  // The leader has applied it; whoever asked it reads its own list, and may lag. If this read fails the change is
  // made all the same, and the list may be old.
  if (ctx.facade.status().applied < answer.index) await ask(ctx, probeRead(false), call.signal);
  return undefined;
}

function changeOf(step: ConfChangeStep): Request {
  return { type: "changeMembers", change: { joint: false, steps: [step], leaseMs: undefined } };
}

function areUrls(urls: readonly string[]): boolean {
  return urls.length > 0 && urls.every((url) => PEER_URL.test(url));
}

/** Members remember for ever who was removed, and refuse one of these; 63 bits do not meet by chance. */
function drawMember(random: Random): MemberId {
  return (BigInt(random.int(0, 2 ** 32)) << 32n) | BigInt(random.int(1, 2 ** 32));
}

function memberList(ctx: RpcContext): Reply {
  return ok(services.memberListResponse.encode({ header: headerOf(ctx, 0), members: ctx.facade.members() }));
}
