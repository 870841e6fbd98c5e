/**
 * What a kind is to the rest: a description of its `spec`, and the checks that a description cannot express.
 */
import type { FindingCode } from "./finding.ts";
import type { FieldsSchema } from "./schema.ts";

/** Says that something is wrong at a place of the object. */
export type Report = (code: FindingCode, path: string, message: string, hint?: string) => void;

/**
 * Checks of one object by itself. Called only with a spec that fits its description and has its defaults.
 */
export type LocalCheck<S> = (spec: S, report: Report) => void;

export interface Kind<S = unknown> {
  /** "Route". */
  readonly kind: string;
  /** Segment of its keys: "routes". */
  readonly plural: string;
  /** One or two sentences. */
  readonly doc: string;
  readonly spec: FieldsSchema;
  readonly check: LocalCheck<S>;
}
