/**
 * One Route made ready for the table, and the order in which routes win. Nothing here depends on other
 * objects, so a route is compiled once and keeps its identity until it is written again.
 *
 * The order, first difference decides:
 *
 *   1. higher priority
 *   2. host: exact, then wildcards by length, then every host
 *   3. path: exact, then regex by length, then prefix by length, then every path
 *   4. methods named before all methods
 *   5. more headers, then more query parameters
 *   6. name
 *
 * A regex stands above prefixes: below them the usual catch-all prefix / would hide every regex of its host.
 */
import { type Conditions, compileConditions, coversConditions, mustCompile } from "./conditions.ts";
import { compareText } from "./finding.ts";
import type { ConfigObject } from "./objects.ts";
import type { Regex } from "./regex.ts";

export type PathMatch =
  | { readonly type: "exact"; readonly path: string }
  | { readonly type: "regex"; readonly regex: Regex }
  /** Without the last slash; "": every path. */
  | { readonly type: "prefix"; readonly path: string };

/** Host of one entry: a name, everything below a suffix (without "*."), or every host. */
export type HostMatch =
  | { readonly type: "exact"; readonly host: string }
  | { readonly type: "below"; readonly suffix: string }
  | { readonly type: "any" };

export interface CompiledRoute {
  readonly name: string;
  readonly object: ConfigObject<"Route">;
  readonly priority: number;
  /** Undefined: every listener. */
  readonly listeners: ReadonlySet<string> | undefined;
  readonly hosts: readonly HostMatch[];
  readonly path: PathMatch;
  readonly conditions: Conditions;
}

/** A route at one of its hosts: what the table holds. */
export interface Entry {
  readonly route: CompiledRoute;
  readonly host: HostMatch;
  /** Index of the host in the match; 0 also when it names none. */
  readonly hostIndex: number;
}

/** Compiles a checked Route. */
export function compileRoute(object: ConfigObject<"Route">): CompiledRoute {
  const { match, listeners, priority } = object.spec;
  return {
    name: object.name,
    object,
    priority,
    listeners: listeners.length === 0 ? undefined : new Set(listeners),
    hosts: compileHosts(match.hosts),
    path: compilePath(match.path),
    conditions: compileConditions(match),
  };
}

export function compileHosts(hosts: readonly string[]): readonly HostMatch[] {
  if (hosts.length === 0) return [{ type: "any" }];
  return hosts.map((host) =>
    host.startsWith("*.") ? { type: "below", suffix: host.slice(2) } : { type: "exact", host },
  );
}

export function compilePath(path: ConfigObject<"Route">["spec"]["match"]["path"]): PathMatch {
  if (path?.exact !== undefined) return { type: "exact", path: path.exact };
  if (path?.regex !== undefined) return { type: "regex", regex: mustCompile(path.regex) };
  const prefix = path?.prefix ?? "";
  return { type: "prefix", path: prefix.endsWith("/") ? prefix.slice(0, -1) : prefix };
}

export function entriesOf(route: CompiledRoute): readonly Entry[] {
  return route.hosts.map((host, hostIndex) => ({ route, host, hostIndex }));
}

/** Negative: `a` wins over `b` where both match. 0: the very same entry. */
export function compareEntries(a: Entry, b: Entry): number {
  return (
    b.route.priority - a.route.priority ||
    hostRank(b.host) - hostRank(a.host) ||
    pathRank(b.route.path) - pathRank(a.route.path) ||
    compareInSlot(a.route, b.route) ||
    a.hostIndex - b.hostIndex
  );
}

/** `compareEntries` of two entries with the same host and the same path. */
function compareInSlot(a: CompiledRoute, b: CompiledRoute): number {
  return (
    Number(b.conditions.methods !== undefined) - Number(a.conditions.methods !== undefined) ||
    b.conditions.headers.length - a.conditions.headers.length ||
    b.conditions.query.length - a.conditions.query.length ||
    compareText(a.name, b.name)
  );
}

/** Whether two entries ask for the same hosts and paths. */
export function isSameSlot(a: Entry, b: Entry): boolean {
  return coversHost(a.host, b.host) && coversHost(b.host, a.host) && isSamePath(a.route.path, b.route.path);
}

/** Whether every request of `b` is one that `a` would take. May say false although it is. */
export function coversEntry(a: Entry, b: Entry): boolean {
  return (
    coversListeners(a.route.listeners, b.route.listeners) &&
    coversHost(a.host, b.host) &&
    coversPath(a.route.path, b.route.path) &&
    coversConditions(a.route.conditions, b.route.conditions)
  );
}

/** Whether the host of a request is meant. */
export function matchesHost(match: HostMatch, host: string): boolean {
  switch (match.type) {
    case "exact":
      return match.host === host;
    case "below":
      return isBelow(host, match.suffix);
    case "any":
      return true;
  }
}

/** Whether the path of a request is meant. */
export function matchesPath(match: PathMatch, path: string): boolean {
  switch (match.type) {
    case "exact":
      return match.path === path;
    case "regex":
      return match.regex.test(path);
    case "prefix":
      return isUnder(path, match.path);
  }
}

/** "GET", "header x" and so on are left out: host and path as people write them. */
export function placeText({ host, route }: Entry): string {
  const name = host.type === "any" ? "*" : host.type === "exact" ? host.host : `*.${host.suffix}`;
  const { path } = route;
  if (path.type === "exact") return `${name}${path.path}`;
  return path.type === "regex" ? `${name} ~ ${path.regex.pattern}` : `${name}${path.path}/**`;
}

function hostRank(host: HostMatch): number {
  // Names have at most 253 characters, so an exact one stands above every suffix.
  return host.type === "exact" ? 1000 : host.type === "below" ? host.suffix.length : 0;
}

function pathRank(path: PathMatch): number {
  // Paths have at most 1024 characters, patterns 512.
  if (path.type === "exact") return 10_000;
  return path.type === "regex" ? 5000 + path.regex.pattern.length : path.path.length;
}

function coversListeners(a: ReadonlySet<string> | undefined, b: ReadonlySet<string> | undefined): boolean {
  if (a === undefined) return true;
  if (b === undefined) return false;
  for (const name of b) if (!a.has(name)) return false;
  return true;
}

function coversHost(a: HostMatch, b: HostMatch): boolean {
  switch (a.type) {
    case "any":
      return true;
    case "exact":
      return b.type === "exact" && b.host === a.host;
    case "below":
      if (b.type === "any") return false;
      return b.type === "exact"
        ? isBelow(b.host, a.suffix)
        : b.suffix === a.suffix || isBelow(b.suffix, a.suffix);
  }
}

function coversPath(a: PathMatch, b: PathMatch): boolean {
  if (a.type === "prefix" && a.path === "") return true;
  if (b.type === "exact") return matchesPath(a, b.path);
  if (a.type === "prefix" && b.type === "prefix") return isUnder(b.path, a.path);
  // Whether one pattern takes all that another one does is not asked: equal patterns are found, the rest is not.
  return isSamePath(a, b);
}

function isSamePath(a: PathMatch, b: PathMatch): boolean {
  if (a.type === "regex") return b.type === "regex" && a.regex.pattern === b.regex.pattern;
  return b.type === a.type && b.path === a.path;
}

/** Whether a host is a name below a suffix; the suffix itself is not. */
export function isBelow(host: string, suffix: string): boolean {
  return (
    host.length > suffix.length + 1 && host.endsWith(suffix) && host[host.length - suffix.length - 1] === "."
  );
}

function isUnder(path: string, prefix: string): boolean {
  return path.startsWith(prefix) && (path.length === prefix.length || path[prefix.length] === "/");
}
