/** `-w json`: etcd's messages as Go's encoder writes them, one line each. */
import { unreachable } from "../base/index.ts";
import type { KeyValue, ResponseHeader } from "../client/index.ts";
import { NO_HEADER, nestedOps, type Report } from "./reports.ts";
import { reportOf } from "./simple.ts";
import { type Json, type JsonObject, json, sparse } from "./texts.ts";

const ALARM_NUMBER = { nospace: 1, corrupt: 2 } as const;

export function jsonLine(report: Report): string {
  return `${json(jsonOf(report))}\n`;
}

function jsonOf(report: Report): Json {
  switch (report.type) {
    case "put":
    case "get":
    case "del":
    case "txn":
      return kvAnswer(report, headerOf(report.answer.header));
    case "watch":
      return watchAnswer(report.answer);
    case "leaseGrant": {
      const { header, id, ttl } = report.answer;
      return { ...headerOf(header), ID: id, TTL: ttl, Error: "" };
    }
    case "leaseRevoke":
      return { header: headerOf(report.answer.header) };
    case "leaseTimeToLive": {
      const { header, id, ttl, grantedTtl, keys } = report.answer;
      const attached = keys.length === 0 ? undefined : keys;
      return { ...headerOf(header), id, ttl, "granted-ttl": grantedTtl, keys: attached };
    }
    case "leaseList":
      return { ...headerOf(report.answer.header), leases: report.answer.leases.map(({ id }) => ({ id })) };
    case "leaseKept":
      return { ...headerOf(report.answer.header), ID: report.answer.id, TTL: report.answer.ttl };
    case "members":
    case "memberChanged":
      return sparse({ header: headerOf(report.answer.header), members: report.answer.members.map(member) });
    case "memberAdded": {
      const { header, member: added, members } = report.answer;
      const one = added === undefined ? undefined : member(added);
      return sparse({ header: headerOf(header), member: one, members: members.map(member) });
    }
    case "health":
      return report.all.map(({ endpoint, health, took, error }) => ({
        endpoint,
        health,
        took,
        ...sparse({ error }),
      }));
    case "status":
      return report.all.map(({ endpoint, status }) => ({ Endpoint: endpoint, Status: statusOf(status) }));
    case "hashKv":
      return report.all.map(({ endpoint, hash }) => ({
        Endpoint: endpoint,
        HashKV: sparse({
          header: headerOf(hash.header),
          hash: hash.hash,
          compact_revision: hash.compactRevision,
          hash_revision: hash.hashRevision,
        }),
      }));
    case "alarms": {
      const { header, alarms } = report.answer;
      return sparse({
        header: header.clusterId === 0n ? undefined : headerOf(header),
        alarms: alarms.map((a) => sparse({ memberID: a.member, alarm: ALARM_NUMBER[a.alarm] })),
      });
    }
    default:
      return unreachable(report);
  }
}

function headerOf(header: ResponseHeader | undefined): JsonObject {
  const { clusterId, memberId, revision, raftTerm } = header ?? NO_HEADER;
  return sparse({ cluster_id: clusterId, member_id: memberId, revision, raft_term: raftTerm });
}

function kvAnswer(
  report: Extract<Report, { readonly type: "put" | "get" | "del" | "txn" }>,
  header: JsonObject,
): JsonObject {
  switch (report.type) {
    case "put": {
      const { prevKv } = report.answer;
      return sparse({ header, prev_kv: prevKv === undefined ? undefined : kvOf(prevKv) });
    }
    case "get": {
      const { kvs, more, count } = report.answer;
      return sparse({ header, kvs: kvs.map(kvOf), more, count });
    }
    case "del": {
      const { deleted, prevKvs } = report.answer;
      return sparse({ header, deleted, prev_kvs: prevKvs.map(kvOf) });
    }
    case "txn": {
      const { answer } = report;
      const responses = nestedOps(answer).map(({ op, revision }) => ({
        Response: { [RESPONSE_NAME[op.type]]: nested(op, revision) },
      }));
      return sparse({ header, succeeded: answer.succeeded, responses });
    }
    default:
      return unreachable(report);
  }
}

const RESPONSE_NAME = {
  range: "ResponseRange",
  put: "ResponsePut",
  deleteRange: "ResponseDeleteRange",
  txn: "ResponseTxn",
} as const;

type Op = ReturnType<typeof nestedOps>[number]["op"];

function nested(op: Op, revision: number): JsonObject {
  return kvAnswer(reportOf(op, { ...NO_HEADER, revision }), op.type === "txn" ? {} : sparse({ revision }));
}

function kvOf(kv: KeyValue): JsonObject {
  return sparse({
    key: kv.key,
    create_revision: kv.createRevision,
    mod_revision: kv.modRevision,
    version: kv.version,
    value: kv.value,
    lease: kv.lease,
  });
}

function watchAnswer(answer: Extract<Report, { readonly type: "watch" }>["answer"]): JsonObject {
  return {
    Header: headerOf(answer.header),
    Events: answer.events.map((event) => ({
      ...sparse({ type: event.type === "delete" ? 1 : 0 }),
      kv: kvOf(event.kv),
      ...(event.prevKv === undefined ? {} : { prev_kv: kvOf(event.prevKv) }),
    })),
    CompactRevision: answer.compactRevision,
    Canceled: answer.canceled,
    Created: false,
  };
}

function member(one: Extract<Report, { type: "members" }>["answer"]["members"][number]): JsonObject {
  return sparse({
    ID: one.id,
    name: one.name,
    peerURLs: one.peerUrls,
    clientURLs: one.clientUrls,
    isLearner: one.isLearner,
  });
}

function statusOf(status: Extract<Report, { type: "status" }>["all"][number]["status"]): JsonObject {
  return sparse({
    header: headerOf(status.header),
    version: status.version,
    dbSize: status.dbSize,
    leader: status.leader,
    raftIndex: status.raftIndex,
    raftTerm: status.raftTerm,
    raftAppliedIndex: status.raftAppliedIndex,
    errors: status.errors,
    dbSizeInUse: status.dbSizeInUse,
    isLearner: status.isLearner,
  });
}
