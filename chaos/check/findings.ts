/**
 * What a check of a history comes to. A finding names the rule, the operations, watchers and revisions it is
 * about, and says in words what was seen and what should have been.
 */
import type { KvOperation, WatchRecord } from "./kv-history.ts";

/** The rules of a checked history. */
export type KvRule =
  // Who made which revision.
  | "lost acknowledged write"
  | "phantom write"
  | "revision owned twice"
  | "wrong log record"
  | "refused request took effect"
  | "took effect before it was called"
  | "log order"
  // Answers.
  | "wrong answer"
  | "wrong refusal"
  | "revision that never was"
  | "real time"
  | "stale read"
  | "went back"
  | "lease keepalive"
  | "lease read"
  // Watchers.
  | "watch protocol"
  | "watch filter"
  | "watch order"
  | "watch unique"
  | "watch atomic"
  | "watch bookmark"
  | "watch resume"
  | "watch reliable"
  | "watch prevKv"
  | "watch event"
  | "watch compaction"
  | "watch older than asked"
  | "watch delivery"
  // Members.
  | "member dump"
  | "member hash"
  | "member leases"
  // WGL.
  | "not linearizable"
  | "unknown";

export interface Finding {
  readonly rule: KvRule;
  readonly message: string;
  /** Identities in the history. */
  readonly operations: readonly number[];
  readonly watches: readonly number[];
  readonly revisions: readonly number[];
  /** The moment to look at first; 0: none in particular. */
  readonly at: number;
}

/** How much was checked, so that "nothing found" can be told from "nothing looked at". */
export interface CheckedCounts {
  readonly operations: number;
  readonly revisions: number;
  readonly events: number;
  /** Writes without an answer that took effect all the same. */
  readonly unknownTookEffect: number;
}

export type KvVerdict =
  | { readonly type: "ok"; readonly counts: CheckedCounts }
  /** In the order they were found; never empty, and not all of them when there are many. */
  | { readonly type: "violation"; readonly findings: readonly Finding[] };

/** One broken history is broken in a thousand places; the first few are enough. */
const MAX_FINDINGS = 20;

/**
 * Thrown when there are enough findings, or none could be trusted any more; caught by who owns the findings.
 */
export const ENOUGH = Symbol("enough findings");

/** Collects findings. */
export class Findings {
  readonly list: Finding[] = [];

  add(
    rule: KvRule,
    message: string,
    about: {
      readonly operations?: readonly KvOperation[];
      readonly watches?: readonly WatchRecord[];
      readonly revisions?: readonly number[];
      readonly at?: number;
    } = {},
  ): void {
    const operations = about.operations ?? [];
    this.list.push({
      rule,
      message,
      operations: operations.map((operation) => operation.id),
      watches: (about.watches ?? []).map((watch) => watch.id),
      revisions: about.revisions ?? [],
      at: about.at ?? operations[0]?.call ?? about.watches?.[0]?.call ?? 0,
    });
    if (this.list.length >= MAX_FINDINGS) throw ENOUGH;
  }
}
