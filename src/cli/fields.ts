/** `-w fields`: one `"Name" : value` per line, and `-w table` for the few reports that have one. */
import { bytesOf, unreachable } from "../base/index.ts";
import type { KeyValue, ResponseHeader } from "../client/index.ts";
import { alarmName, NO_HEADER, nestedOps, type Report } from "./reports.ts";
import { MEMBER_HEADINGS, memberRows, reportOf, STATUS_HEADINGS, statusRows } from "./simple.ts";
import { quoted, table } from "./texts.ts";

type Line = string;

/** The report as a table; undefined: it has none. */
export function tableText(report: Report): string | undefined {
  switch (report.type) {
    case "members":
      return table(MEMBER_HEADINGS, memberRows(report.answer));
    case "status":
      return table(STATUS_HEADINGS, statusRows(report.all));
    case "health": {
      const rows = report.all.map(({ endpoint, health, took, error }) => [
        endpoint,
        String(health),
        took,
        error,
      ]);
      return table(["Endpoint", "Health", "Took", "Error"], rows);
    }
    case "hashKv":
      return table(
        ["Endpoint", "Hash"],
        report.all.map(({ endpoint, hash }) => [endpoint, String(hash.hash)]),
      );
    default:
      return undefined;
  }
}

export function fieldsText(report: Report): string {
  return linesOf(report)
    .map((line) => `${line}\n`)
    .join("");
}

function field(name: string, value: string | number | bigint | boolean): Line {
  return `"${name}" : ${value}`;
}

function text(name: string, value: string): Line {
  return field(name, quoted(bytesOf(value)));
}

function headerLines(header: ResponseHeader | undefined): Line[] {
  const { clusterId, memberId, revision, raftTerm } = header ?? NO_HEADER;
  return [
    field("ClusterID", clusterId),
    field("MemberID", memberId),
    field("Revision", revision),
    field("RaftTerm", raftTerm),
  ];
}

function kvLines(prefix: string, kv: KeyValue): Line[] {
  return [
    field(`${prefix}Key`, quoted(kv.key)),
    field(`${prefix}CreateRevision`, kv.createRevision),
    field(`${prefix}ModRevision`, kv.modRevision),
    field(`${prefix}Version`, kv.version),
    field(`${prefix}Value`, quoted(kv.value)),
    field(`${prefix}Lease`, kv.lease),
  ];
}

function linesOf(report: Report): Line[] {
  switch (report.type) {
    case "put": {
      const { header, prevKv } = report.answer;
      return [...headerLines(header), ...(prevKv === undefined ? [] : kvLines("Prev", prevKv))];
    }
    case "get": {
      const { header, kvs, more, count } = report.answer;
      const all = kvs.flatMap((kv) => kvLines("", kv));
      return [...headerLines(header), ...all, field("More", more), field("Count", count)];
    }
    case "del": {
      const { header, deleted, prevKvs } = report.answer;
      const previous = prevKvs.flatMap((kv) => kvLines("Prev", kv));
      return [...headerLines(header), field("Deleted", deleted), ...previous];
    }
    case "txn": {
      const { answer } = report;
      const ops = nestedOps(answer).flatMap(({ op, revision }) =>
        linesOf(reportOf(op, { ...NO_HEADER, revision })),
      );
      return [...headerLines(answer.header), field("Succeeded", answer.succeeded), ...ops];
    }
    case "watch":
      return [
        ...headerLines(report.answer.header),
        ...report.answer.events.flatMap((event) => [
          field("Type", event.type.toUpperCase()),
          ...(event.prevKv === undefined ? [] : kvLines("Prev", event.prevKv)),
          ...kvLines("", event.kv),
        ]),
      ];
    default:
      return [...otherLines(report)];
  }
}

function otherLines(
  report: Exclude<Report, { readonly type: "put" | "get" | "del" | "txn" | "watch" }>,
): readonly Line[] {
  switch (report.type) {
    case "leaseGrant":
    case "leaseKept": {
      const { header, id, ttl } = report.answer;
      return [...headerLines(header), field("ID", id), field("TTL", ttl)];
    }
    case "leaseRevoke":
      return headerLines(report.answer.header);
    case "leaseTimeToLive": {
      const { header, id, ttl, grantedTtl, keys } = report.answer;
      const times = [field("ID", id), field("TTL", ttl), field("GrantedTTL", grantedTtl)];
      return [...headerLines(header), ...times, ...keys.map((key) => field("Key", quoted(key)))];
    }
    case "leaseList":
      return [...headerLines(report.answer.header), ...report.answer.leases.map(({ id }) => field("ID", id))];
    case "members":
    case "memberChanged":
    case "memberAdded":
      return memberLines(report);
    case "health":
      return report.all.flatMap(({ endpoint, health, took, error }) => [
        text("Endpoint", endpoint),
        field("Health", health),
        field("Took", took),
        field("Error", error),
        "",
      ]);
    case "status":
      return report.all.flatMap(({ endpoint, status }) => statusLines(endpoint, status));
    case "hashKv":
      return report.all.flatMap(({ endpoint, hash }) => [
        ...headerLines(hash.header),
        text("Endpoint", endpoint),
        field("Hash", hash.hash),
        "",
      ]);
    case "alarms":
      return [
        ...headerLines(report.answer.header),
        ...report.answer.alarms.flatMap(({ member, alarm }) => [
          field("MemberID", member),
          field("AlarmType", alarmName(alarm)),
          "",
        ]),
      ];
    default:
      return unreachable(report);
  }
}

function memberLines(
  report: Extract<Report, { readonly type: "members" | "memberChanged" | "memberAdded" }>,
): readonly Line[] {
  const { header, members } = report.answer;
  if (report.type === "memberChanged") return headerLines(header);
  const one = (member: (typeof members)[number]): Line[] => [
    field("ID", member.id),
    text("Name", member.name),
    ...member.peerUrls.map((url) => text("PeerURL", url)),
    ...member.clientUrls.map((url) => text("ClientURL", url)),
    field("IsLearner", member.isLearner),
    "",
  ];
  if (report.type === "members") return [...headerLines(header), ...members.flatMap(one)];
  const { member } = report.answer;
  const added = [
    field("ID", member?.id ?? 0n),
    ...(member?.peerUrls ?? []).map((url) => text("PeerURL", url)),
  ];
  return [...headerLines(header), ...added];
}

function statusLines(
  endpoint: string,
  status: Extract<Report, { readonly type: "status" }>["all"][number]["status"],
): readonly Line[] {
  return [
    ...headerLines(status.header),
    text("Version", status.version),
    field("DBSize", status.dbSize),
    field("Leader", status.leader),
    field("IsLearner", status.isLearner),
    field("RaftIndex", status.raftIndex),
    field("RaftTerm", status.raftTerm),
    field("RaftAppliedIndex", status.raftAppliedIndex),
    field("Errors", `[${status.errors.map((error) => quoted(bytesOf(error))).join(" ")}]`),
    text("Endpoint", endpoint),
    "",
  ];
}
