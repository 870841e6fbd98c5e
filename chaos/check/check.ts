/**
 * The checker of register histories by log order (reliability.md §3.2 C1): complete, because the log fixes the order
 * of writes and every answer names its place, and O(n log n).
 *
 * 1. Each write that was answered owns the entry at its index, and no two own one; a refused one owns none; an
 *    unknown one owns at most one; nobody else writes.
 * 2. The log is replayed: every answer, of successes and of failed comparisons, equals the model's.
 * 3. What returned before another was called has a smaller index; equal is allowed only if the later one reads.
 * 4. A read equals the state at its index.
 */
import type { History, LogWrite, Operation, Rule, Verdict } from "./history.ts";

interface Version {
  readonly index: number;
  readonly value: string | undefined;
}

interface Replayed {
  readonly done: boolean;
  readonly previous: string | undefined;
}

class Broken extends Error {
  readonly rule: Rule;

  constructor(rule: Rule, message: string) {
    super(message);
    this.rule = rule;
  }
}

/** Checks a history. Never throws for a bad one. */
export function checkHistory(history: History): Verdict {
  try {
    const replayed = new Map<number, Replayed>();
    const versions = replay(history.log, replayed);
    const owners = ownByAnswer(history, replayed);
    const unknownTookEffect = ownUnknown(history, owners);
    checkRealTime(history, owners);
    checkReads(history, versions);
    return { type: "ok", unknownTookEffect };
  } catch (error) {
    if (error instanceof Broken) return { type: "violation", rule: error.rule, message: error.message };
    throw error;
  }
}

/** Runs the log through the model: results per index, and the versions of each key in order. */
function replay(log: readonly LogWrite[], replayed: Map<number, Replayed>): Map<string, Version[]> {
  const versions = new Map<string, Version[]>();
  const seen = new Set<string>();
  for (const write of log) {
    // A request that is in the log twice takes effect once.
    if (seen.has(write.request)) continue;
    seen.add(write.request);
    const list = versions.get(write.key) ?? [];
    const previous = list.at(-1)?.value;
    const done = write.kind !== "cas" || previous === write.expect;
    if (done) list.push({ index: write.index, value: write.kind === "delete" ? undefined : write.value });
    versions.set(write.key, list);
    replayed.set(write.index, { done, previous });
  }
  return versions;
}

/** Rule 1 and 2 for writes that were answered. Returns the owner of each entry. */
function ownByAnswer(history: History, replayed: Map<number, Replayed>): Map<number, Operation> {
  const byIndex = new Map<number, LogWrite>();
  for (const write of history.log) byIndex.set(write.index, write);
  const owners = new Map<number, Operation>();
  for (const operation of history.operations) {
    if (operation.outcome !== "written") continue;
    const name = describe(operation);
    const write = byIndex.get(operation.index);
    if (write === undefined) throw new Broken("lost acknowledged write", `${name}: no such entry in the log`);
    if (!isSameWrite(operation, write))
      throw new Broken("wrong entry", `${name}: the log holds ${write.kind} there`);
    const other = owners.get(operation.index);
    if (other !== undefined) throw new Broken("entry owned twice", `${name} and ${describe(other)}`);
    owners.set(operation.index, operation);
    const result = replayed.get(operation.index);
    if (result === undefined) throw new Broken("wrong answer", `${name}: a repeated entry was answered`);
    if (result.done !== operation.done || result.previous !== operation.previous) {
      throw new Broken(
        "wrong answer",
        `${name}: model says done ${result.done}, previous ${result.previous}`,
      );
    }
  }
  return owners;
}

/** Rule 1 for the rest: every other entry belongs to one write whose fate its client does not know. */
function ownUnknown(history: History, owners: Map<number, Operation>): number {
  const byValue = new Map<string, Operation>();
  const deletes = new Map<string, Operation[]>();
  for (const operation of history.operations) {
    if (operation.kind === "get" || operation.outcome === "written") continue;
    if (operation.kind !== "delete") byValue.set(operation.value, operation);
    else if (operation.outcome !== "refused") {
      const list = deletes.get(operation.key) ?? [];
      list.push(operation);
      deletes.set(operation.key, list);
    }
  }
  for (const list of deletes.values()) list.sort((a, b) => a.call - b.call);
  const claimedBy = new Map<string, Operation>();
  for (const [index, owner] of owners) {
    const write = history.log[findWrite(history.log, index)];
    if (write !== undefined) claimedBy.set(write.request, owner);
  }
  let took = 0;
  for (const write of history.log) {
    // A second entry of one request has the owner of the first.
    if (claimedBy.has(write.request)) continue;
    const operation = write.kind === "delete" ? deletes.get(write.key)?.shift() : byValue.get(write.value);
    if (operation === undefined || !isSameWrite(operation, write)) {
      throw new Broken(
        "phantom write",
        `entry ${write.index}: ${write.kind} of ${write.key} was asked by nobody`,
      );
    }
    if (operation.outcome === "refused") {
      throw new Broken("refused write took effect", `${describe(operation)}: it is entry ${write.index}`);
    }
    if (operation.call > write.at) {
      throw new Broken("took effect before it was called", `${describe(operation)}: entry ${write.index}`);
    }
    byValue.delete(operation.value);
    claimedBy.set(write.request, operation);
    owners.set(write.index, operation);
    took++;
  }
  return took;
}

/** Rule 3. One sweep over calls and returns in order of time, keeping the highest index that was returned. */
function checkRealTime(history: History, owners: Map<number, Operation>): void {
  const placed: { operation: Operation; index: number }[] = [];
  for (const operation of history.operations) {
    if (operation.outcome === "read" && !operation.serializable)
      placed.push({ operation, index: operation.index });
  }
  for (const [index, operation] of owners) placed.push({ operation, index });
  const byCall = [...placed].sort((a, b) => a.operation.call - b.operation.call);
  const byReturn = placed
    .filter(({ operation }) => operation.returned !== Number.POSITIVE_INFINITY)
    .sort((a, b) => a.operation.returned - b.operation.returned);
  let next = 0;
  let highest: { operation: Operation; index: number } | undefined;
  for (const later of byCall) {
    for (; next < byReturn.length; next++) {
      const earlier = byReturn[next] as (typeof placed)[number];
      if (earlier.operation.returned >= later.operation.call) break;
      if (highest === undefined || earlier.index > highest.index) highest = earlier;
    }
    if (highest === undefined) continue;
    const isRead = later.operation.kind === "get";
    if (later.index > highest.index || (isRead && later.index === highest.index)) continue;
    throw new Broken(
      "real time",
      `${describe(later.operation)} at ${later.index} was called after ${describe(highest.operation)} ` +
        `at ${highest.index} had returned`,
    );
  }
}

/** Rule 4, and that serializable reads of one connection do not go back. */
function checkReads(history: History, versions: Map<string, Version[]>): void {
  const lastIndex = history.log.at(-1)?.index ?? 0;
  const newest = new Map<number, number>();
  const reads = history.operations.filter((operation) => operation.outcome === "read");
  reads.sort((a, b) => a.call - b.call);
  for (const operation of reads) {
    const version = versionAt(versions.get(operation.key) ?? [], operation.index);
    const value = version?.value;
    const modIndex = value === undefined ? 0 : (version?.index ?? 0);
    if (operation.read !== value || operation.modIndex !== modIndex) {
      const expected = `the state at ${operation.index} has ${value} of ${modIndex}`;
      throw new Broken("wrong read", `${describe(operation)} gave ${operation.read}; ${expected}`);
    }
    if (operation.modIndex > lastIndex) throw new Broken("read index in the future", describe(operation));
    const before = newest.get(operation.connection) ?? 0;
    if (operation.index < before) {
      throw new Broken("serializable read went back", `${describe(operation)}: ${before} was read before`);
    }
    newest.set(operation.connection, operation.index);
  }
}

function versionAt(versions: readonly Version[], index: number): Version | undefined {
  let lo = 0;
  let hi = versions.length;
  while (lo < hi) {
    const middle = (lo + hi) >> 1;
    if ((versions[middle] as Version).index <= index) lo = middle + 1;
    else hi = middle;
  }
  return versions[lo - 1];
}

function findWrite(log: readonly LogWrite[], index: number): number {
  let lo = 0;
  let hi = log.length;
  while (lo < hi) {
    const middle = (lo + hi) >> 1;
    if ((log[middle] as LogWrite).index < index) lo = middle + 1;
    else hi = middle;
  }
  return lo;
}

function isSameWrite(operation: Operation, write: LogWrite): boolean {
  return (
    operation.kind === write.kind &&
    operation.key === write.key &&
    operation.value === write.value &&
    (operation.kind !== "cas" || operation.expect === write.expect)
  );
}

function describe(operation: Operation): string {
  const { id, client, kind, key, value, call, returned } = operation;
  return `operation ${id} (client ${client}, ${kind} ${key}${value === "" ? "" : `=${value}`}, ${call}..${returned})`;
}
