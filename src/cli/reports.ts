/** What a command has to tell, before it is put into one of the formats. */
import type {
  Answered,
  Event,
  HashKv,
  LeaseKept,
  LeaseList,
  LeaseTimeToLive,
  MemberAddResponse,
  MemberList,
  MemberStatus,
  ResponseHeader,
} from "../client/index.ts";

export interface EndpointHealth {
  readonly endpoint: string;
  readonly health: boolean;
  /** As Go prints a duration. */
  readonly took: string;
  /** Empty: none. */
  readonly error: string;
}

export interface WatchReport {
  readonly header: ResponseHeader;
  readonly events: readonly Event[];
  readonly compactRevision: number;
  readonly canceled: boolean;
}

export type Report =
  | { readonly type: "put"; readonly answer: Answered<"put"> }
  | { readonly type: "get"; readonly answer: Answered<"range">; readonly valueOnly: boolean }
  | { readonly type: "del"; readonly answer: Answered<"deleteRange"> }
  | { readonly type: "txn"; readonly answer: Answered<"txn"> }
  | { readonly type: "watch"; readonly answer: WatchReport }
  | { readonly type: "leaseGrant"; readonly answer: Answered<"leaseGrant"> }
  | { readonly type: "leaseRevoke"; readonly id: bigint; readonly answer: Answered<"leaseRevoke"> }
  | { readonly type: "leaseTimeToLive"; readonly answer: LeaseTimeToLive; readonly keys: boolean }
  | { readonly type: "leaseList"; readonly answer: LeaseList }
  | { readonly type: "leaseKept"; readonly answer: LeaseKept }
  | { readonly type: "members"; readonly answer: MemberList }
  | {
      readonly type: "memberChanged";
      readonly id: bigint;
      readonly what: "removed from" | "updated in" | "promoted in";
      readonly answer: MemberList;
    }
  | { readonly type: "memberAdded"; readonly answer: MemberAddResponse }
  | { readonly type: "health"; readonly all: readonly EndpointHealth[] }
  | {
      readonly type: "status";
      readonly all: readonly { readonly endpoint: string; readonly status: MemberStatus }[];
    }
  | { readonly type: "hashKv"; readonly all: readonly { readonly endpoint: string; readonly hash: HashKv }[] }
  | { readonly type: "alarms"; readonly answer: Answered<"alarm"> };

export const NO_HEADER: ResponseHeader = { clusterId: 0n, memberId: 0n, revision: 0, raftTerm: 0 };

/** etcd's name of an alarm. */
export function alarmName(alarm: "nospace" | "corrupt"): string {
  return alarm.toUpperCase();
}

/** The header of an operation inside a transaction, which the codec passes over: only its revision is given. */
export interface NestedOp {
  readonly op: Answered<"txn">["responses"][number];
  /** As etcd counts it: the one before the transaction until something was changed. */
  readonly revision: number;
}

/** Operations of a transaction's answer with the revisions of their headers, which follow from them. */
export function nestedOps(answer: Answered<"txn">): readonly NestedOp[] {
  const hasChange = (op: NestedOp["op"]): boolean => {
    if (op.type === "txn") return op.responses.some(hasChange);
    return op.type === "put" || (op.type === "deleteRange" && op.deleted > 0);
  };
  let revision = answer.header.revision - (hasChange(answer) ? 1 : 0);
  let isChanged = false;
  return answer.responses.map((op) => {
    if (!isChanged && op.type !== "txn" && hasChange(op)) {
      isChanged = true;
      revision++;
    }
    return { op, revision };
  });
}
