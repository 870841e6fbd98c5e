/**
 * What is wrong with a configuration, said so that a person can mend it and a program can act on it. A finding
 * names its object and points into it (RFC 6901), so that whoever read the object from a file can turn the
 * pointer into a line.
 *
 * Two models are compared by their findings: a change is refused for those that it adds, never for those that
 * it met.
 */
import { bytesOf } from "../base/index.ts";

/** Every code, with what it means in a few words. Tools may depend on the code, never on the message. */
export const FINDING_CODES = {
  "bad-json": "the value is no JSON, or JSON with text that has no UTF-8 form",
  "object-too-large": "the value is larger than one object may be",
  "unknown-kind": "a kind that nothing here consumes",
  "unknown-version": "an apiVersion that this program does not know",
  "unknown-field": "a field that nothing here consumes",
  "missing-field": "a required field is not there",
  "wrong-type": "text where a number belongs, and the like",
  "out-of-range": "a number below or above its limits",
  "too-long": "a text above its limit",
  "too-short": "a text below its limit",
  "too-many": "a list or a dictionary above its limit",
  "too-few": "a list below its limit",
  "bad-format": "a text that does not have the form that the field asks for",
  "not-a-choice": "a word that is none of the field's words",
  "not-one-variant": "none, or more than one, of the fields of which exactly one belongs there",
  "repeated-item": "the same item twice in one list",
  "bad-regex": "a pattern that cannot be matched in linear time, or is none",
  "bad-combination": "fields that do not belong together in one object",
  "name-mismatch": "kind or name of the value are not those of its key",
  "bad-key": "a key under live/ that no object can have",
  "missing-reference": "an object is named that does not exist",
  "broken-reference": "an object is named that exists and cannot be used",
  "still-referenced": "an object is deleted that others still name",
  "duplicate-match": "two routes of the same priority ask for exactly the same requests",
  "unreachable-route": "every request of this route is taken by others before",
  "shadowed-match": "some of the requests of this route are taken by others before",
  "port-conflict": "two listeners of one gateway ask for the same address and port",
  "limit-exceeded": "more than the mesh, or a gateway, can carry",
  "route-test-failed": "a route test gets another answer than it expects",
  "needs-confirmation": "a change so large that it must be confirmed",
  "change-set": "a change set that names a key twice, or is too large",
} as const;

export type FindingCode = keyof typeof FINDING_CODES;

export interface Finding {
  /** Only errors refuse a change. */
  readonly severity: "error" | "warning";
  readonly code: FindingCode;
  readonly kind: string;
  readonly name: string;
  /** JSON pointer into the object; "": the whole object. */
  readonly path: string;
  /** One sentence that says what is wrong, with the value. */
  readonly message: string;
  /** What to do; undefined: the message says it. */
  readonly hint?: string;
  /**
   * The other object that it is about ("Upstream/shop"), part of what makes two findings the same, but for
   * hidden routes.
   */
  readonly other?: string;
  /** By how much a limit is exceeded. A finding that was there and has grown counts as added. */
  readonly amount?: number;
}

/** Most findings kept of one object, and of one judgement. The rest is counted, not kept. */
export const MAX_FINDINGS_PER_OBJECT = 100;
export const MAX_FINDINGS = 1000;

/** "Route/shop at /spec/backends/0/upstream: message (hint)": one line for people. */
export function findingText(finding: Finding): string {
  const at = finding.path === "" ? "" : ` at ${finding.path}`;
  const hint = finding.hint === undefined ? "" : ` (${finding.hint})`;
  return `${finding.kind}/${finding.name}${at}: ${finding.message}${hint}`;
}

/** Findings in a refusal that travels in a trailer, and its largest size in UTF-8 bytes. */
const MAX_IN_REFUSAL = 5;
const MAX_REFUSAL_BYTES = 2048;
const MAX_FINDING_BYTES = 380;

/**
 * A refusal in a few lines: the first findings, and how many more there are. `omitted` are those not even in the list.
 */
export function refusalText(findings: readonly Finding[], omitted: number): string {
  const lines = findings
    .slice(0, MAX_IN_REFUSAL)
    .map((finding) => cutBytes(findingText(finding), MAX_FINDING_BYTES));
  const more = findings.length + omitted - lines.length;
  if (more > 0) lines.push(`and ${more} more; a dry run lists them all`);
  return cutBytes(lines.join("\n"), MAX_REFUSAL_BYTES);
}

/** At most `most` bytes of UTF-8, whole characters only. */
function cutBytes(words: string, most: number): string {
  if (bytesOf(words).length <= most) return words;
  const room = most - bytesOf("…").length;
  let used = 0;
  let kept = "";
  for (const character of words) {
    used += bytesOf(character).length;
    if (used > room) break;
    kept += character;
  }
  return `${kept}…`;
}

/** The findings of `after` that are not in `before`, or that have grown. Messages and hints do not count. */
export function addedFindings(before: readonly Finding[], after: readonly Finding[]): Finding[] {
  if (before.length === 0) return [...after];
  const known = new Map<string, number>();
  for (const finding of before) known.set(identityOf(finding), finding.amount ?? 0);
  return after.filter((finding) => {
    const amount = known.get(identityOf(finding));
    return amount === undefined || (finding.amount ?? 0) > amount;
  });
}

/** Order for print: errors first, then by object, then by place. */
export function compareFindings(a: Finding, b: Finding): number {
  if (a.severity !== b.severity) return a.severity === "error" ? -1 : 1;
  return (
    compareText(a.kind, b.kind) ||
    compareText(a.name, b.name) ||
    compareText(a.path, b.path) ||
    compareText(a.code, b.code) ||
    compareText(a.other ?? "", b.other ?? "")
  );
}

/** Order by UTF-16 units; never the locale's. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** `path` with one more step, escaped as RFC 6901 says. */
export function pointer(path: string, step: string | number): string {
  if (typeof step === "number" || !(step.includes("/") || step.includes("~"))) return `${path}/${step}`;
  return `${path}/${step.replaceAll("~", "~0").replaceAll("/", "~1")}`;
}

/** Codes that say that something is so, whoever it is because of: another cause is no new finding. */
const WHOEVER: ReadonlySet<FindingCode> = new Set(["unreachable-route", "shadowed-match"]);

function identityOf(finding: Finding): string {
  const { severity, code, kind, name, path } = finding;
  const other = WHOEVER.has(code) ? "" : (finding.other ?? "");
  return [severity, code, kind, name, path, other].join("\n");
}
