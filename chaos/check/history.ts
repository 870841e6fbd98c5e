/**
 * What a checker gets: what clients saw, and what the log holds. Plain data; times are of one clock, any unit.
 * The log is given because the specification itself fixes the order of writes: by log index (reliability.md §3.2 C1).
 */

export type OperationKind = "put" | "cas" | "delete" | "get";

/** How an operation ended for its client. `pending`: it never did. */
export type Outcome = "written" | "read" | "refused" | "unknown" | "pending";

/** One operation of one client; a client has one at a time. */
export interface Operation {
  readonly id: number;
  readonly client: number;
  readonly kind: OperationKind;
  readonly key: string;
  /** Written value, unique in the run; "" for delete and get. */
  readonly value: string;
  /** What `cas` compares with; undefined: absence. */
  readonly expect: string | undefined;
  /** A `get` that is answered from a member's state as it is. */
  readonly serializable: boolean;
  /** The connection that it used: a client, a member and that member's process. */
  readonly connection: number;
  readonly call: number;
  /** Infinity unless it was answered. */
  readonly returned: number;
  readonly outcome: Outcome;
  /** Log index of a write, applied index of a read. */
  readonly index: number;
  /** Whether a write changed the key. */
  readonly done: boolean;
  /** The value before a write. */
  readonly previous: string | undefined;
  /** The value that was read. */
  readonly read: string | undefined;
  /** Index of the entry that wrote the value that was read; 0: absent. */
  readonly modIndex: number;
}

/** One committed write of the log, in the order of `index`. */
export interface LogWrite {
  readonly index: number;
  /** When it was first known to be committed. */
  readonly at: number;
  readonly kind: "put" | "cas" | "delete";
  readonly key: string;
  readonly value: string;
  readonly expect: string | undefined;
  /** Equal for two entries exactly when they carry one request twice. */
  readonly request: string;
}

export interface History {
  readonly operations: readonly Operation[];
  readonly log: readonly LogWrite[];
}

/** The rules of a checked history; a violation names the first that is broken. */
export type Rule =
  | "lost acknowledged write"
  | "wrong entry"
  | "entry owned twice"
  | "refused write took effect"
  | "phantom write"
  | "wrong answer"
  | "real time"
  | "wrong read"
  | "read index in the future"
  | "serializable read went back"
  | "took effect before it was called";

export type Verdict =
  /** `unknownTookEffect`: writes without an answer that are in the log all the same. */
  | { readonly type: "ok"; readonly unknownTookEffect: number }
  | { readonly type: "violation"; readonly rule: Rule; readonly message: string };
