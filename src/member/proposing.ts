/** How a request gets into the log: appended here by the leader, sent to it by the others. */
import { ERR, type KvError, LIMITS, unreachable } from "../base/index.ts";
import { ENVELOPE_VERSION, type EntryBody, encodeEnvelope, type RequestId } from "../pb/index.ts";
import type { KvRequest } from "../pb/kv.ts";
import type { ProposeResult } from "../raft/index.ts";
import type { MemberState } from "./state.ts";

/** Proposes what nobody waits for; what was lost is proposed again. False: it was not even sent. */
export function proposeOwn(s: MemberState, request: KvRequest): boolean {
  return !("message" in proposeBody(s, { type: "kv", request }));
}

/** Appends the request here or sends it to the leader; returns its identity, or why it went nowhere. */
export function proposeBody(s: MemberState, body: EntryBody): RequestId | KvError {
  const requestId = s.nextRequestId();
  const data = encodeEnvelope({
    version: ENVELOPE_VERSION,
    requestId,
    user: "",
    authRevision: 0,
    guardRevision: 0,
    body,
  });
  if (data.length > Math.min(s.options.requestLimits.maxRequestBytes, LIMITS.maxEntryBytes))
    return ERR.requestTooLarge;
  if (s.raft.role !== "leader") {
    return s.raft.forward(s.now, [{ type: "normal", data }]) ? requestId : ERR.noLeader;
  }
  const result = s.raft.propose(s.now, [{ type: "normal", data }]);
  if (result.type === "dropped") return droppedError(result.reason);
  s.proposed.add(requestId);
  return requestId;
}

/** What a client is told of a proposal that the core did not take. */
export function droppedError(reason: Extract<ProposeResult, { type: "dropped" }>["reason"]): KvError {
  switch (reason) {
    case "not leader":
      return ERR.notLeader;
    // While it hands over, a leader is as good as none; whoever follows will take the request.
    case "transferring":
      return ERR.noLeader;
    case "too many requests":
      return ERR.tooManyRequests;
    case "a configuration change is pending":
      return ERR.changePending;
    case "configuration change is invalid":
      return ERR.changeInvalid;
    default:
      return unreachable(reason);
  }
}
