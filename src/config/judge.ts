/**
 * Whether a change set may happen: the model after it, or the findings that it adds. What was wrong before is
 * nobody's fault now and refuses nothing, else a mesh with one old error could never be mended.
 *
 * Works in steps, so that a store can judge 10,000 routes between its heartbeats. The models are immutable; a
 * judgement may be dropped at any time and has then done nothing.
 */
import { affectedBy, IdSet } from "./affected.ts";
import { quote } from "./check-value.ts";
import { addedFindings, compareFindings, type Finding, type FindingCode, MAX_FINDINGS } from "./finding.ts";
import { type ObjectId, parseKey } from "./keys.ts";
import type { Model } from "./model.ts";
import { findingsOf, withNearestName } from "./object-findings.ts";
import { parseObject } from "./objects.ts";

/** Most changes of one set, and most bytes of their values together. */
export const MAX_CHANGES = 10_000;
export const MAX_CHANGE_BYTES = 16 * 2 ** 20;
/** A mesh with fewer routes may lose them all without a word: it is a sample, or being taken down. */
const MIN_ROUTES_TO_CONFIRM = 5;

/** Units of `step` that take about a millisecond on a slow machine; for choosing a budget. */
export const UNITS_PER_MS = 20;
/** Bytes of a value that cost a unit to parse and check. */
const BYTES_PER_UNIT = 512;
/** Places of the table that are passed by in one unit. */
const MARKS_PER_UNIT = 20;
const KEYS_PER_UNIT = 20;
/** Most findings that get a hint at the name that was meant, and what each costs. */
const MAX_HINTS = 20;
const UNITS_PER_HINT = 40;

export interface Change {
  /** Complete key. Endpoints, the target and what lies beside live/ pass without a look. */
  readonly key: string;
  /** Undefined: the key is deleted. */
  readonly value: Uint8Array | undefined;
}

export interface ChangeSet {
  readonly changes: readonly Change[];
  /** Whether its author confirmed that it takes away more than half of the routes. */
  readonly confirmed?: boolean;
}

export type Judgement =
  /** `findings`: the warnings that it adds. */
  | {
      readonly type: "accepted";
      readonly model: Model;
      readonly findings: readonly Finding[];
      readonly omitted: number;
    }
  /** `findings`: at least one error, errors first, at most MAX_FINDINGS; `omitted` are not among them. */
  | { readonly type: "refused"; readonly findings: readonly Finding[]; readonly omitted: number };

/** A judgement under way. */
export class Judging {
  readonly #work: Generator<number, Judgement>;
  #result: Judgement | undefined;

  constructor(model: Model, changeSet: ChangeSet) {
    this.#work = judging(model, changeSet);
  }

  /**
   * Works for about `budget` units, at least one piece of work, and gives the judgement once it is done. A
   * piece takes at most MAX_OBJECT_BYTES / 512 units: one object of the largest size.
   */
  step(budget: number): Judgement | undefined {
    let left = Math.max(budget, 1);
    while (this.#result === undefined && left > 0) {
      const next = this.#work.next();
      if (next.done === true) this.#result = next.value;
      else left -= next.value;
    }
    return this.#result;
  }
}

/** Judges in one go. */
export function judge(model: Model, changeSet: ChangeSet): Judgement {
  return new Judging(model, changeSet).step(Number.POSITIVE_INFINITY) ?? refusal([], 0);
}

/** All findings of a model, as if everything in it were new: what `validate` prints. Yields units of work. */
export function* validating(model: Model): Generator<number, Judgement> {
  const found = new Collected();
  for (const id of model.ids()) {
    found.add(findingsOf(model, id));
    yield 1;
  }
  yield* found.hint(model);
  return found.judgement(model);
}

/** `validating` in one go. */
export function validate(model: Model): Judgement {
  const work = validating(model);
  for (;;) {
    const next = work.next();
    if (next.done === true) return next.value;
  }
}

function* judging(before: Model, changeSet: ChangeSet): Generator<number, Judgement> {
  const { changes } = changeSet;
  const tooLarge = checkSize(before.mesh, changes);
  if (tooLarge !== undefined) return refusal([tooLarge], 0);
  const checked = yield* checkKeys(before.mesh, changes);
  const found = new Collected();
  found.add(checked.findings);
  if (checked.findings.length > 0) return found.judgement(before);
  let after = before;
  for (const { id, value } of checked.changes) {
    after = value === undefined ? after.without(id) : after.with(parseObject(id, value));
    yield 1 + Math.ceil((value?.length ?? 0) / BYTES_PER_UNIT);
  }
  const changed = checked.changes.map(({ id }) => id);
  const affected = yield* collectAffected(before, after, changed);
  const own = new IdSet();
  for (const id of changed) own.add(id);
  if (changeSet.confirmed !== true) found.add(confirmation(before, after, changed));
  for (const id of affected.values()) {
    const now = findingsOf(after, id);
    if (now.length > 0) {
      const added = addedFindings(findingsOf(before, id), now);
      found.add(added.map((finding) => (own.has(id) ? finding : blameDeletion(finding))));
    }
    yield 1;
  }
  yield* found.hint(after);
  return found.judgement(after);
}

function* collectAffected(
  before: Model,
  after: Model,
  changed: readonly ObjectId[],
): Generator<number, IdSet> {
  const affected = new IdSet();
  let marks = 0;
  for (const id of affectedBy(before, after, changed)) {
    if (id !== undefined) affected.add(id);
    if (++marks % MARKS_PER_UNIT === 0) yield 1;
  }
  return affected;
}

/** Findings so far, bounded. */
class Collected {
  readonly #findings: Finding[] = [];
  #omitted = 0;
  #refused = false;

  add(findings: readonly Finding[]): void {
    for (const finding of findings) {
      const isError = finding.severity === "error";
      if (this.#findings.length < MAX_FINDINGS) this.#findings.push(finding);
      else {
        this.#omitted++;
        // A warning gives way to the first error that finds no room.
        if (isError && !this.#refused) this.#findings[MAX_FINDINGS - 1] = finding;
      }
      this.#refused ||= isError;
    }
  }

  /** Says of some references that lead nowhere what may have been meant; looking for it is dear. */
  *hint(model: Model): Generator<number, void> {
    let hints = 0;
    for (let i = 0; i < this.#findings.length && hints < MAX_HINTS; i++) {
      const finding = this.#findings[i];
      if (finding?.code !== "missing-reference") continue;
      this.#findings[i] = withNearestName(model, finding);
      hints++;
      yield UNITS_PER_HINT;
    }
  }

  judgement(model: Model): Judgement {
    const findings = this.#findings.sort(compareFindings);
    if (this.#refused) return refusal(findings, this.#omitted);
    return { type: "accepted", model, findings, omitted: this.#omitted };
  }
}

function refusal(findings: readonly Finding[], omitted: number): Judgement {
  return { type: "refused", findings, omitted };
}

function checkSize(mesh: string, changes: readonly Change[]): Finding | undefined {
  if (changes.length > MAX_CHANGES) {
    return whole(mesh, "change-set", `${changes.length} changes at once, at most ${MAX_CHANGES} are taken`);
  }
  const bytes = changes.reduce((sum, change) => sum + (change.value?.length ?? 0), 0);
  if (bytes <= MAX_CHANGE_BYTES) return undefined;
  return whole(mesh, "change-set", `${bytes} bytes at once, at most ${MAX_CHANGE_BYTES} are taken`);
}

interface ObjectChange {
  readonly id: ObjectId;
  readonly value: Uint8Array | undefined;
}

interface CheckedKeys {
  readonly changes: readonly ObjectChange[];
  readonly findings: readonly Finding[];
}

function* checkKeys(mesh: string, changes: readonly Change[]): Generator<number, CheckedKeys> {
  const objects: ObjectChange[] = [];
  const findings: Finding[] = [];
  const seen = new Set<string>();
  for (const { key, value } of changes) {
    if (seen.has(key)) findings.push(whole(mesh, "change-set", `the key ${quote(key)} is changed twice`));
    seen.add(key);
    if (seen.size % KEYS_PER_UNIT === 0) yield 1;
    const parsed = parseKey(key);
    if (parsed.type === "bad") {
      findings.push(whole(mesh, "bad-key", `the key ${quote(key)} is none of ours: ${parsed.reason}`));
    } else if (parsed.type === "foreign" || parsed.mesh !== mesh) {
      findings.push(whole(mesh, "bad-key", `the key ${quote(key)} does not belong to the mesh ${mesh}`));
    } else if (parsed.type === "object") {
      objects.push({ id: { kind: parsed.kind, name: parsed.name }, value });
    }
  }
  return { changes: objects, findings };
}

/** A finding about the change set, said of the mesh. */
function whole(mesh: string, code: FindingCode, message: string): Finding {
  return { severity: "error", code, kind: "Mesh", name: mesh, path: "", message };
}

/**
 * A reference of an object that was not written leads nowhere since this change: so the change deletes what it names,
 * and that is said as what the author did, not as what the referrer lacks.
 */
function blameDeletion(finding: Finding): Finding {
  if (finding.code !== "missing-reference" || finding.other === undefined) return finding;
  const [kind = "", name = ""] = finding.other.split("/");
  const referrer = `${finding.kind}/${finding.name}`;
  return {
    severity: "error",
    code: "still-referenced",
    kind,
    name,
    path: "",
    message: `${finding.other} is deleted, but ${referrer} names it at ${finding.path}`,
    hint: `change or delete ${referrer} in the same change set`,
    other: referrer,
  };
}

function confirmation(before: Model, after: Model, changed: readonly ObjectId[]): Finding[] {
  const routes = before.count("Route");
  if (routes < MIN_ROUTES_TO_CONFIRM) return [];
  const gone = changed.filter((id) => id.kind === "Route" && before.has(id) && !after.has(id)).length;
  if (gone * 2 <= routes) return [];
  const finding = whole(before.mesh, "needs-confirmation", `${gone} of ${routes} routes would be deleted`);
  return [{ ...finding, hint: "confirm the change set if that is meant" }];
}
