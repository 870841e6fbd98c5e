/** The record that the applied state keeps of each member. What it means is judged in apply/member-records.ts. */
import { fail, LIMITS } from "../base/index.ts";
import { idProblem, nameProblem, urlsProblem } from "./check.ts";
import type { Decoded, MemberRecord } from "./types.ts";
import { decodeWith, type Reader, readFlag, readId, readText, readTexts, skipField } from "./wire-read.ts";
import { begin, finish, putFlag, putId, putText, putTexts } from "./wire-write.ts";

const WHAT = "member record";
/** Name and all URLs at their longest, and room for new fields. */
const MAX_RECORD_BYTES = 64 * 1024;

/** @throws AssertionError when the record breaks a rule of MemberRecord */
export function encodeMemberRecord(record: MemberRecord): Uint8Array {
  const problem = recordProblem(record);
  if (problem !== undefined) fail(`cannot encode ${WHAT}: ${problem}`);
  const w = begin();
  putId(w, 1, record.instance);
  putFlag(w, 2, record.removed);
  putText(w, 3, record.name);
  putTexts(w, 4, record.peerUrls);
  putTexts(w, 5, record.clientUrls);
  return finish(w, WHAT, MAX_RECORD_BYTES);
}

/** Refuses what breaks a rule of MemberRecord. */
export function decodeMemberRecord(bytes: Uint8Array): Decoded<MemberRecord> {
  return decodeWith(WHAT, bytes, MAX_RECORD_BYTES, readRecord, recordProblem);
}

function readRecord(r: Reader): MemberRecord {
  let instance = 0n;
  let removed = false;
  let name = "";
  const peerUrls: string[] = [];
  const clientUrls: string[] = [];
  while (r.pos < r.len) {
    const tag = r.tag();
    switch (tag >>> 3) {
      case 1:
        instance = readId(r, tag, "instance");
        break;
      case 2:
        removed = readFlag(r, tag, "removed");
        break;
      case 3:
        name = readText(r, tag, "name");
        break;
      case 4:
        readTexts(r, tag, "peerUrls", peerUrls, LIMITS.maxUrls);
        break;
      case 5:
        readTexts(r, tag, "clientUrls", clientUrls, LIMITS.maxUrls);
        break;
      default:
        skipField(r, tag);
    }
  }
  return { instance, removed, name, peerUrls, clientUrls };
}

function recordProblem({ instance, removed, name, peerUrls, clientUrls }: MemberRecord): string | undefined {
  if (removed) {
    const isBare = instance === 0n && name === "" && peerUrls.length + clientUrls.length === 0;
    return isBare ? undefined : "a removed member has attributes";
  }
  return (
    (instance === 0n ? undefined : idProblem("instance", instance)) ??
    nameProblem(name) ??
    urlsProblem("peerUrls", peerUrls) ??
    urlsProblem("clientUrls", clientUrls)
  );
}
