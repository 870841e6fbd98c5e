/** The format for people, `-w simple`. */
import { unreachable } from "../base/index.ts";
import type { KeyValue } from "../client/index.ts";
import { sizeText } from "./numbers.ts";
import { alarmName, nestedOps, type Report } from "./reports.ts";
import { hexEscaped, idText, leaseText } from "./texts.ts";

/** Text with bytes in it, which need not be UTF-8. */
export type Piece = string | Uint8Array;

export function simple(report: Report, hex: boolean): readonly Piece[] {
  const shown = (bytes: Uint8Array): Piece => (hex ? hexEscaped(bytes) : bytes);
  const kv = (one: KeyValue): Piece[] => [shown(one.key), "\n", shown(one.value), "\n"];
  switch (report.type) {
    case "put":
      return ["OK\n", ...(report.answer.prevKv === undefined ? [] : kv(report.answer.prevKv))];
    case "get":
      return report.answer.kvs.flatMap((one) => (report.valueOnly ? [shown(one.value), "\n"] : kv(one)));
    case "del":
      return [`${report.answer.deleted}\n`, ...report.answer.prevKvs.flatMap(kv)];
    case "txn":
      return [
        report.answer.succeeded ? "SUCCESS\n" : "FAILURE\n",
        ...nestedOps(report.answer).flatMap(({ op }) => [
          "\n",
          ...simple(reportOf(op, report.answer.header), hex),
        ]),
      ];
    case "watch":
      return report.answer.events.flatMap((event) => [
        `${event.type.toUpperCase()}\n`,
        ...(event.prevKv === undefined ? [] : kv(event.prevKv)),
        ...kv(event.kv),
      ]);
    default:
      return [lines(report)];
  }
}

type Nested = ReturnType<typeof nestedOps>[number]["op"];
type Header = Extract<Report, { readonly type: "txn" }>["answer"]["header"];

/** An operation of a transaction as a report of its own. */
export function reportOf(
  op: Nested,
  header: Header,
): Extract<Report, { type: "put" | "get" | "del" | "txn" }> {
  switch (op.type) {
    case "range":
      return { type: "get", answer: { ...op, header }, valueOnly: false };
    case "put":
      return { type: "put", answer: { ...op, header } };
    case "deleteRange":
      return { type: "del", answer: { ...op, header } };
    case "txn":
      return { type: "txn", answer: { ...op, header } };
    default:
      return unreachable(op);
  }
}

function lines(report: Exclude<Report, { readonly type: "put" | "get" | "del" | "txn" | "watch" }>): string {
  switch (report.type) {
    case "leaseGrant":
      return `lease ${leaseText(report.answer.id)} granted with TTL(${report.answer.ttl}s)\n`;
    case "leaseRevoke":
      return `lease ${leaseText(report.id)} revoked\n`;
    case "leaseTimeToLive":
      return timeToLive(report);
    case "leaseList": {
      const { leases } = report.answer;
      return [`found ${leases.length} leases`, ...leases.map(({ id }) => leaseText(id)), ""].join("\n");
    }
    case "leaseKept":
      return `lease ${leaseText(report.answer.id)} keepalived with TTL(${report.answer.ttl})\n`;
    case "members":
      return memberRows(report.answer)
        .map((row) => `${row.join(", ")}\n`)
        .join("");
    case "memberChanged":
      return `Member ${idText(report.id)} ${report.what} cluster ${clusterText(report.answer)}\n`;
    case "memberAdded": {
      const { member } = report.answer;
      const how = member?.isLearner === true ? " as learner " : " ";
      return `Member ${idText(member?.id ?? 0n)} added${how}to cluster ${clusterText(report.answer)}\n`;
    }
    case "health":
      return report.all.map(healthLine).join("");
    case "status":
      return statusRows(report.all)
        .map((row) => `${row.join(", ")}\n`)
        .join("");
    case "hashKv":
      return report.all.map(({ endpoint, hash }) => `${endpoint}, ${hash.hash}\n`).join("");
    case "alarms":
      return report.answer.alarms
        .map(({ member, alarm }) => `memberID:${member} alarm:${alarmName(alarm)} \n`)
        .join("");
    default:
      return unreachable(report);
  }
}

function clusterText(answer: { readonly header: { readonly clusterId: bigint } | undefined }): string {
  return idText(answer.header?.clusterId ?? 0n);
}

function timeToLive(report: Extract<Report, { readonly type: "leaseTimeToLive" }>): string {
  const { id, ttl, grantedTtl, keys } = report.answer;
  if (grantedTtl === 0 && ttl === -1) return `lease ${leaseText(id)} already expired\n`;
  const names = report.keys
    ? `, attached keys([${keys.map((key) => Buffer.from(key).toString()).join(" ")}])`
    : "";
  return `lease ${leaseText(id)} granted with TTL(${grantedTtl}s), remaining(${ttl}s)${names}\n`;
}

function healthLine({
  endpoint,
  health,
  took,
  error,
}: Extract<Report, { type: "health" }>["all"][number]): string {
  if (health) return `${endpoint} is healthy: successfully committed proposal: took = ${took}\n`;
  return `${endpoint} is unhealthy: failed to commit proposal: ${error}\n`;
}

export const MEMBER_HEADINGS = ["ID", "Status", "Name", "Peer Addrs", "Client Addrs", "Is Learner"] as const;

export function memberRows(answer: Extract<Report, { type: "members" }>["answer"]): readonly string[][] {
  return answer.members.map(({ id, name, peerUrls, clientUrls, isLearner }) => [
    id.toString(16),
    name === "" ? "unstarted" : "started",
    name,
    peerUrls.join(","),
    clientUrls.join(","),
    String(isLearner),
  ]);
}

export const STATUS_HEADINGS = [
  ...["Endpoint", "ID", "Version", "DB Size", "Is Leader", "Is Learner"],
  ...["Raft Term", "Raft Index", "Raft Applied Index", "Errors"],
] as const;

export function statusRows(all: Extract<Report, { type: "status" }>["all"]): readonly string[][] {
  return all.map(({ endpoint, status }) => [
    endpoint,
    (status.header?.memberId ?? 0n).toString(16),
    status.version,
    sizeText(status.dbSize),
    String(status.header?.memberId === status.leader),
    String(status.isLearner),
    String(status.raftTerm),
    String(status.raftIndex),
    String(status.raftAppliedIndex),
    status.errors.join(", "),
  ]);
}
