/**
 * The part of a match that no table can look up: methods, headers, query. Compiled once per object, tested per
 * request.
 */
import { mustCanonicalText } from "./canonical.ts";
import type { RequestMatch } from "./check-match.ts";
import { compileRegex, type Regex } from "./regex.ts";

/** A request as it is matched. Whoever makes it has normalized host and path (`normalize.ts`). */
export interface RouteRequest {
  /** Name of the Listener by which it came. */
  readonly listener: string;
  readonly method: string;
  /** Lower case, without port; "": none. */
  readonly host: string;
  /** Without query. */
  readonly path: string;
  /** What follows the ?, without it; "": none. */
  readonly query: string;
  /** Value of a header by its lower-case name, repeated ones joined by ", "; undefined: not there. */
  header(name: string): string | undefined;
}

/** A requirement on one header or parameter. */
interface ValueCondition {
  readonly place: "header" | "query parameter";
  readonly name: string;
  readonly test: (value: string | undefined) => boolean;
  /** Equal text, equal requirement. */
  readonly text: string;
}

export interface Conditions {
  /** Undefined: every method. */
  readonly methods: ReadonlySet<string> | undefined;
  readonly headers: readonly ValueCondition[];
  readonly query: readonly ValueCondition[];
  /** Text of all conditions on headers and query, for comparing two matches. */
  readonly texts: ReadonlySet<string>;
}

/** Shared by the many matches that have none. */
const NO_CONDITIONS: Conditions = { methods: undefined, headers: [], query: [], texts: new Set() };

/** Compiles the conditions of a checked match. */
export function compileConditions(match: RequestMatch): Conditions {
  const headers = Object.entries(match.headers).map(([name, test]) => condition("header", name, test));
  const query = Object.entries(match.query).map(([name, test]) => condition("query parameter", name, test));
  if (match.methods.length + headers.length + query.length === 0) return NO_CONDITIONS;
  return {
    methods: match.methods.length === 0 ? undefined : new Set(match.methods),
    headers,
    query,
    texts: new Set([...headers, ...query].map((one) => one.text)),
  };
}

/** What of the request does not fit, in words; undefined: it fits. */
export function unmetCondition(conditions: Conditions, request: RouteRequest): string | undefined {
  const { methods, headers, query } = conditions;
  if (methods !== undefined && !methods.has(request.method)) return `method ${request.method}`;
  for (const one of headers) if (!one.test(request.header(one.name))) return `header ${one.name}`;
  if (query.length === 0) return undefined;
  const parameters = new URLSearchParams(request.query);
  for (const one of query) {
    if (!one.test(parameters.get(one.name) ?? undefined)) return `query parameter ${one.name}`;
  }
  return undefined;
}

/**
 * Whether every request that fits `b` fits `a`. May say false although it does; never true when it does not.
 */
export function coversConditions(a: Conditions, b: Conditions): boolean {
  if (a.methods !== undefined) {
    if (b.methods === undefined) return false;
    for (const method of b.methods) if (!a.methods.has(method)) return false;
  }
  for (const text of a.texts) if (!b.texts.has(text)) return false;
  return true;
}

/** The regex of a checked object. */
export function mustCompile(pattern: string): Regex {
  const compiled = compileRegex(pattern);
  if (compiled.type === "refused") throw new Error(`a checked pattern is refused: ${compiled.reason}`);
  return compiled.regex;
}

type ValueMatch = RequestMatch["headers"][string];

function condition(place: ValueCondition["place"], name: string, match: ValueMatch): ValueCondition {
  return { place, name, test: testOf(match), text: `${place} ${name} ${mustCanonicalText({ ...match })}` };
}

function testOf(match: ValueMatch): ValueCondition["test"] {
  const { exact, prefix, regex, present } = match;
  if (exact !== undefined) return (value) => value === exact;
  if (prefix !== undefined) return (value) => value?.startsWith(prefix) === true;
  if (regex !== undefined) {
    const compiled = mustCompile(regex);
    return (value) => value !== undefined && compiled.test(value);
  }
  return (value) => (value !== undefined) === (present === "yes");
}
