/** etcd's Maintenance service: what operators ask of one member. */
import { EMPTY_BYTES, ERR, type MemberId } from "../base/index.ts";
import type { Answer } from "../member/types.ts";
import { encodeKvResponse, services } from "../pb/index.ts";
import type { AlarmRequest } from "../pb/kv.ts";
import {
  type CallContext,
  failed,
  type Method,
  malformed,
  ok,
  type Reply,
  type StreamSession,
  type UnaryHandler,
  unimplemented,
} from "./call.ts";
import { ask, headerOf, type RpcContext } from "./context.ts";
import { errorOf, RPC_ERR } from "./error-map.ts";
import { unexpected } from "./kv.ts";

/** Version of etcd's storage that the data is compatible with, as Status tells it: the minor version. */
function storageVersion(version: string): string {
  return version.replace(/^(\d+\.\d+)\..*$/, "$1.0");
}

export function maintenanceMethods(ctx: RpcContext): readonly (readonly [path: string, method: Method])[] {
  const unary = (name: string, handle: UnaryHandler) =>
    [`/etcdserverpb.Maintenance/${name}`, { type: "unary", handle }] as const;
  return [
    unary("Status", async () => ok(status(ctx))),
    unary("Alarm", (bytes, call) => alarm(ctx, bytes, call)),
    // Space that compaction frees is used again by itself, so there is nothing to do. etcd's answer has no header.
    unary("Defragment", async () => ok(EMPTY_BYTES)),
    unary("Hash", (_bytes, call) => hash(ctx, call)),
    unary("HashKV", (bytes, call) => hashKv(ctx, bytes, call)),
    unary("MoveLeader", (bytes, call) => moveLeader(ctx, bytes, call)),
    unary("Downgrade", async () => failed(unimplemented("there is no older version to downgrade to"))),
    ["/etcdserverpb.Maintenance/Snapshot", { type: "stream", bidi: false, open: refuseSnapshot }],
  ];
}

function status(ctx: RpcContext): Uint8Array {
  const { facade, options } = ctx;
  const { term, leader, commit, applied, conf } = facade.status();
  const { revision, usedBytes, quotaBytes, alarms } = facade.store();
  const errors = alarms.map((a) => `memberID:${a.member} alarm:${a.alarm.toUpperCase()} `);
  if (leader === 0n) errors.unshift(ERR.noLeader.message);
  // etcdctl divides by the size, so an empty store has one byte.
  const dbSize = Math.max(1, usedBytes);
  return services.statusResponse.encode({
    header: headerOf(ctx, revision),
    version: options.version,
    dbSize,
    leader,
    raftIndex: commit,
    raftTerm: term,
    raftAppliedIndex: applied,
    errors,
    dbSizeInUse: dbSize,
    isLearner: conf.learners.includes(facade.member),
    storageVersion: storageVersion(options.version),
    dbSizeQuota: Number.isFinite(quotaBytes) ? quotaBytes : 0,
    downgradeInfo: { enabled: false, targetVersion: "" },
  });
}

async function alarm(ctx: RpcContext, bytes: Uint8Array, call: CallContext): Promise<Reply> {
  const decoded = services.alarmQuery.decode(bytes);
  if (decoded.type === "refused") return failed(malformed(decoded.reason));
  const { action, member, alarm: kind } = decoded.value;
  if (action === "get" || action === undefined || kind === "none" || kind === undefined) {
    return ok(raisedAlarms(ctx, kind));
  }
  const write: AlarmRequest = { type: "alarm", action, member, alarm: kind };
  const answer = await ask(ctx, { type: "write", write }, call.signal);
  if (answer.type === "refused" || answer.type === "unknown") return failed(errorOf(answer));
  if (answer.type !== "done") return unexpected(answer.type, "alarm");
  return ok(encodeKvResponse(answer.response, headerOf(ctx, answer.revision)));
}

/** @param kind only alarms of this kind; `none`: all */
function raisedAlarms(ctx: RpcContext, kind: "none" | "nospace" | "corrupt" | undefined): Uint8Array {
  const { alarms, revision } = ctx.facade.store();
  const wanted = kind === "none" ? alarms : alarms.filter((raised) => raised.alarm === kind);
  return encodeKvResponse({ type: "alarm", alarms: wanted }, headerOf(ctx, revision));
}

async function hashKv(ctx: RpcContext, bytes: Uint8Array, call: CallContext): Promise<Reply> {
  const decoded = services.hashKvRequest.decode(bytes);
  if (decoded.type === "refused") return failed(malformed(decoded.reason));
  const answer = await ask(ctx, { type: "hashKv", revision: decoded.value.revision }, call.signal);
  return hashReply(answer, ({ hash: value, revision, compactRevision, hashRevision }) =>
    services.hashKvResponse.encode({
      header: headerOf(ctx, revision),
      hash: value,
      compactRevision,
      hashRevision,
    }),
  );
}

/** etcd hashes its database file; members of ours have equal keys, not equal files. */
async function hash(ctx: RpcContext, call: CallContext): Promise<Reply> {
  const answer = await ask(ctx, { type: "hashKv", revision: 0 }, call.signal);
  return hashReply(answer, ({ hash: value, revision }) =>
    services.hashResponse.encode({ header: headerOf(ctx, revision), hash: value }),
  );
}

function hashReply(
  answer: Answer,
  encode: (hashed: Extract<Answer, { readonly type: "hash" }>) => Uint8Array,
): Reply {
  if (answer.type === "refused" || answer.type === "unknown") return failed(errorOf(answer));
  return answer.type === "hash" ? ok(encode(answer)) : unexpected(answer.type, "hash");
}

/** Answers when the other member leads. As in etcd only the leader takes this, and its answer has no header. */
async function moveLeader(ctx: RpcContext, bytes: Uint8Array, call: CallContext): Promise<Reply> {
  const decoded = services.moveLeaderRequest.decode(bytes);
  if (decoded.type === "refused") return failed(malformed(decoded.reason));
  const { target } = decoded.value;
  const { leader } = ctx.facade.status();
  if (leader !== ctx.facade.member) return failed(ERR.notLeader);
  if (leader === target) return ok(EMPTY_BYTES);
  // 0 would let the leader choose, which etcd does not offer.
  if (target === 0n) return failed(ERR.badLeaderTransferee);
  const answer = await ask(ctx, { type: "transferLeader", to: target }, call.signal);
  if (answer.type === "refused" || answer.type === "unknown") return failed(errorOf(answer));
  const moved = await waitForLeader(ctx, target, call.signal);
  return moved ? ok(EMPTY_BYTES) : failed(RPC_ERR.transferTimeout);
}

/** Whether the member leads within an election timeout. A heartbeat is how soon it can be known here. */
async function waitForLeader(ctx: RpcContext, target: MemberId, signal: AbortSignal): Promise<boolean> {
  const { clock, facade, options } = ctx;
  const deadline = clock.now() + options.electionTimeoutMs;
  while (facade.status().leader !== target) {
    if (signal.aborted || clock.now() >= deadline) return false;
    await new Promise<void>((resolve) => {
      clock.wakeAt(clock.now() + options.heartbeatMs, resolve);
    });
  }
  return true;
}

/** A stream that ends before it begins. */
function refuseSnapshot(_call: CallContext, onReady: () => void): StreamSession {
  const error = unimplemented(
    "a snapshot in etcd's file format is not served; copy a stopped member's data directory instead",
  );
  return {
    wantsInput: true,
    message: onReady,
    halfClose: onReady,
    take: () => ({ type: "end", error }),
    close: () => undefined,
  };
}
