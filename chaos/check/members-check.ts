/**
 * Members against each other and against the order (reliability.md §3.2 C4): what each of them holds when all
 * is at rest, and HashKV wherever two of them made it at one revision.
 */
import { hex } from "../../src/base/index.ts";
import type { Findings } from "./findings.ts";
import type { KvHistory, MemberDump } from "./kv-history.ts";
import type { Model } from "./model.ts";
import { latin1, sameKeyValue } from "./model-rules.ts";
import { showKeyValue } from "./words.ts";

export function checkMembers(history: KvHistory, model: Model, findings: Findings): void {
  for (const dump of history.dumps) {
    checkDump(dump, model, history.log !== undefined, findings);
    const first = history.dumps[0];
    if (first === undefined || first === dump) continue;
    if (dump.compactRevision !== first.compactRevision) {
      const other = `${dump.member} at ${dump.compactRevision}`;
      const says = `${first.member} is compacted at ${first.compactRevision}, ${other}`;
      findings.add("member dump", says, { at: history.end });
    }
    if (showLeases(dump) !== showLeases(first) && dump.leases !== undefined && first.leases !== undefined) {
      const says = `${first.member} has ${showLeases(first)}, ${dump.member} has ${showLeases(dump)}`;
      findings.add("member leases", says, { at: history.end });
    }
  }
  checkHashes(history, findings);
}

function checkDump(dump: MemberDump, model: Model, isLogged: boolean, findings: Findings): void {
  const { member, revision } = dump;
  if (revision !== model.revision) {
    const rule = revision < model.revision ? "lost acknowledged write" : "phantom write";
    findings.add(rule, `${member} ends at revision ${revision}, the order at ${model.revision}`, {
      revisions: [revision, model.revision],
    });
    return;
  }
  const wanted = model.keyValues();
  const found = new Map(dump.kvs.map((kv) => [latin1(kv.key), kv]));
  for (const kv of wanted) {
    const name = latin1(kv.key);
    if (!sameKeyValue(found.get(name), kv)) {
      const says = `${member} holds ${showKeyValue(found.get(name))}, it should be ${showKeyValue(kv)}`;
      findings.add("member dump", says, { revisions: [kv.modRevision] });
    }
    found.delete(name);
  }
  for (const kv of found.values()) {
    findings.add("member dump", `${member} holds ${showKeyValue(kv)}, which should be absent`, {
      revisions: [kv.modRevision],
    });
  }
  if (!isLogged) return;
  if (dump.compactRevision !== model.compactRevision) {
    findings.add(
      "member dump",
      `${member} is compacted at ${dump.compactRevision}, not ${model.compactRevision}`,
    );
  }
  const leases = showLeases({ leases: model.leases() });
  if (dump.leases !== undefined && showLeases(dump) !== leases) {
    findings.add("member leases", `${member} has ${showLeases(dump)}, it should be ${leases}`);
  }
}

function showLeases({ leases }: Pick<MemberDump, "leases">): string {
  const parts = (leases ?? []).map(
    ({ id, ttl, keys }) => `${hex(id)} for ${ttl} s on ${JSON.stringify(keys.map(latin1))}`,
  );
  return parts.length === 0 ? "no leases" : parts.join(", ");
}

function checkHashes(history: KvHistory, findings: Findings): void {
  const first = new Map<string, { readonly member: string; readonly hash: number }>();
  const ofDumps = history.dumps.flatMap(({ member, hashes }) => hashes.map((hash) => ({ ...hash, member })));
  for (const { member, revision, compactRevision, hash } of [...history.hashAnswers, ...ofDumps]) {
    const at = `revision ${revision} compacted at ${compactRevision}`;
    const other = first.get(at);
    if (other === undefined) first.set(at, { member, hash });
    else if (other.hash !== hash) {
      const says = `${at}: ${other.member} says ${other.hash >>> 0}, ${member} says ${hash >>> 0}`;
      findings.add("member hash", says, { revisions: [revision] });
    }
  }
}
