/**
 * The check of a whole history: order and answers (C1), watchers, members (C4). Complete, because the store
 * itself says in which order its revisions were made, and O(n log n) in the number of operations and events.
 */
import { Evidence } from "./evidence.ts";
import { ENOUGH, Findings, type KvVerdict } from "./findings.ts";
import { isReadOnly, type KvHistory, type KvOperation } from "./kv-history.ts";
import { checkMembers } from "./members-check.ts";
import { InferredOrder, logOrder, saysItChanged } from "./order.ts";
import { Placement } from "./placement.ts";
import { type Replay, replay } from "./replay.ts";
import { checkWatches } from "./watch-check.ts";

/** Checks a history. Never throws for a bad one. */
export function checkKvHistory(history: KvHistory): KvVerdict {
  const findings = new Findings();
  try {
    const done = history.log === undefined ? withoutLog(history, findings) : withLog(history, findings);
    checkMembers(history, done.model, findings);
    // A wrong order makes all that follows wrong; what was found already says why.
    if (findings.list.length === 0) new Placement(history, done, findings).check();
    const isSound = findings.list.every((finding) => finding.rule !== "phantom write");
    const events = isSound ? checkWatches(history, done.model, done.timeline, findings) : 0;
    if (findings.list.length === 0) return { type: "ok", counts: countsOf(history, done, events) };
  } catch (thrown) {
    if (thrown !== ENOUGH) throw thrown;
  }
  return { type: "violation", findings: findings.list };
}

function withLog(history: KvHistory, findings: Findings): Replay {
  const order = logOrder(history, findings);
  return replay(history, order, (operation) => !isReadOnly(operation.request), findings);
}

function withoutLog(history: KvHistory, findings: Findings): Replay {
  const owned = new Set<number>();
  for (const operation of history.operations) {
    if (operation.outcome.type === "ok" && saysItChanged(operation)) owned.add(operation.outcome.revision);
  }
  const evidence = new Evidence(history, (revision) => owned.has(revision));
  return replay(history, new InferredOrder(history, evidence, findings), isStepByAnswer, findings);
}

/** Without a log, what changed nothing is judged like a read. */
function isStepByAnswer(operation: KvOperation): boolean {
  const { type } = operation.request;
  if (type === "compaction" || type === "leaseGrant" || type === "leaseRevoke" || type === "alarm")
    return true;
  return saysItChanged(operation);
}

function countsOf(history: KvHistory, done: Replay, events: number) {
  let unknownTookEffect = 0;
  for (const operation of done.stepOf.keys()) {
    const { type } = operation.outcome;
    if (type === "unknown" || type === "pending") unknownTookEffect++;
  }
  return {
    operations: history.operations.length,
    revisions: done.model.revision - 1,
    events,
    unknownTookEffect,
  };
}
