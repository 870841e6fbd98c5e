/**
 * All routes by host and path, immutable: adding or taking away a route copies the path to it and shares the
 * rest, so that a change costs the same at 5,000 routes as at 500, and requests in flight keep the table they
 * began with.
 *
 * Hosts are looked up by name, then by each suffix, then the table of every host; below a host, paths lie in a
 * tree by segments. Regexes are a list per host: each is tried, so their number is limited.
 */
import { compareEntries, type Entry, type HostMatch, isBelow, type PathMatch } from "./compiled-route.ts";
import { HashMap } from "./hash-map.ts";
import { SortedMap } from "./sorted-map.ts";

/** Most regex routes of one host, and most routes of one host and path: each may be tried for a request. */
export const MAX_REGEXES_PER_HOST = 100;
export const MAX_ROUTES_PER_PLACE = 200;

/** Entries are sorted by `compareEntries`, best first. */
type Entries = readonly Entry[];

interface PathNode {
  readonly exact: Entries;
  /** Entries whose prefix ends here. */
  readonly prefix: Entries;
  /** By next segment. */
  readonly children: HashMap<PathNode>;
}

interface HostTable {
  readonly regexes: Entries;
  readonly root: PathNode;
}

export interface RouteTable {
  readonly exact: HashMap<HostTable>;
  /** By suffix without "*.". */
  readonly below: HashMap<HostTable>;
  readonly any: HostTable;
  /** How many entries have a priority. */
  readonly priorities: SortedMap<number, number>;
}

const NONE: Entries = [];
const EMPTY_NODE: PathNode = { exact: NONE, prefix: NONE, children: HashMap.empty() };
const EMPTY_HOST: HostTable = { regexes: NONE, root: EMPTY_NODE };

export const EMPTY_TABLE: RouteTable = {
  exact: HashMap.empty(),
  below: HashMap.empty(),
  any: EMPTY_HOST,
  priorities: SortedMap.empty(),
};

/** The table with one more entry, which must not be there. */
export function addEntry(table: RouteTable, entry: Entry): RouteTable {
  return changeEntry(table, entry, 1, (entries) => inserted(entries, entry));
}

/** The table without an entry, which must be there, by route and host. */
export function removeEntry(table: RouteTable, entry: Entry): RouteTable {
  return changeEntry(table, entry, -1, (entries) =>
    entries.filter((other) => other.route !== entry.route || other.hostIndex !== entry.hostIndex),
  );
}

/** Visits entries that may match, by falling precedence but for priority, until `visit` says true. */
export type Visit = (entries: Entries) => boolean;

/**
 * Gives `visit` all lists of entries whose host and path match. Within a list and between lists a later entry
 * is never closer than an earlier one, so it wins only by a higher priority. A list of regexes is given whole,
 * unmatched.
 */
export function visitMatching(table: RouteTable, host: string, path: string, visit: Visit): void {
  const exact = host === "" ? undefined : table.exact.get(host);
  if (exact !== undefined && visitHost(exact, path, visit)) return;
  if (table.below.size > 0) {
    for (let dot = host.indexOf("."); dot >= 0; dot = host.indexOf(".", dot + 1)) {
      const below = table.below.get(host.slice(dot + 1));
      if (dot > 0 && below !== undefined && visitHost(below, path, visit)) return;
    }
  }
  visitHost(table.any, path, visit);
}

/**
 * Entries in the lists that an entry's own host and path lead to, those of less specific hosts and paths
 * included.
 */
export function* entriesAbove(table: RouteTable, entry: Entry): IterableIterator<Entry> {
  const { path } = entry.route;
  for (const hosts of tablesAbove(table, entry.host)) {
    if (path.type !== "prefix") yield* hosts.regexes;
    const { exact, prefixes } = nodesOn(hosts.root, path.type === "regex" ? "" : path.path);
    if (path.type === "exact") yield* exact;
    for (const node of prefixes) yield* node.prefix;
  }
}

/**
 * Every entry whose host and path may lie below those of `entry`, its own slot included, in no order that
 * matters. Undefined marks a host that was passed by, so that whoever works in slices can count it.
 */
export function* entriesBelow(table: RouteTable, entry: Entry): IterableIterator<Entry | undefined> {
  const { path } = entry.route;
  for (const hosts of tablesBelow(table, entry.host)) {
    if (hosts === undefined) {
      yield undefined;
      continue;
    }
    if (path.type === "regex" || path.path === "") yield* hosts.regexes;
    if (path.type === "regex") yield* entriesUnder(hosts.root);
    else {
      const node = nodeAt(hosts.root, path.path);
      if (path.type === "prefix" && node !== undefined) yield* entriesUnder(node);
      else if (node !== undefined) yield* node.exact;
    }
  }
}

/** Entries with exactly the host and path of `entry`. */
export function entriesInSlot(table: RouteTable, entry: Entry): readonly Entry[] {
  const hosts = hostTableOf(table, entry);
  const { path } = entry.route;
  if (path.type === "regex") {
    return hosts.regexes.filter(({ route }) => {
      return route.path.type === "regex" && route.path.regex.pattern === path.regex.pattern;
    });
  }
  const node = nodeAt(hosts.root, path.path);
  return node === undefined ? NONE : node[path.type];
}

function* tablesAbove(table: RouteTable, host: HostMatch): IterableIterator<HostTable> {
  const own = ownTable(table, host);
  if (own !== undefined) yield own;
  if (host.type === "any") return;
  const name = host.type === "exact" ? host.host : host.suffix;
  for (let dot = name.indexOf("."); dot >= 0; dot = name.indexOf(".", dot + 1)) {
    const below = table.below.get(name.slice(dot + 1));
    if (below !== undefined) yield below;
  }
  yield table.any;
}

function* tablesBelow(table: RouteTable, host: HostMatch): IterableIterator<HostTable | undefined> {
  const own = ownTable(table, host);
  if (own !== undefined) yield own;
  if (host.type === "exact") return;
  for (const hosts of [table.exact, table.below]) {
    for (const [name, found] of hosts.entries()) {
      yield host.type === "any" || isBelow(name, host.suffix) ? found : undefined;
    }
  }
}

function ownTable(table: RouteTable, host: HostMatch): HostTable | undefined {
  if (host.type === "any") return table.any;
  return host.type === "exact" ? table.exact.get(host.host) : table.below.get(host.suffix);
}

/** How many regexes the host of an entry has. */
export function regexesOfHost(table: RouteTable, entry: Entry): number {
  return hostTableOf(table, entry).regexes.length;
}

/** All entries, in no order that matters. */
export function* allEntries(table: RouteTable): IterableIterator<Entry> {
  for (const hosts of [...table.exact.values(), ...table.below.values(), table.any]) {
    yield* hosts.regexes;
    yield* entriesUnder(hosts.root);
  }
}

function visitHost(hosts: HostTable, path: string, visit: Visit): boolean {
  const { exact, prefixes } = nodesOn(hosts.root, path);
  if (exact.length > 0 && visit(exact)) return true;
  if (hosts.regexes.length > 0 && visit(hosts.regexes)) return true;
  for (let i = prefixes.length - 1; i >= 0; i--) {
    const node = prefixes[i];
    if (node !== undefined && visit(node.prefix)) return true;
  }
  return false;
}

/** The nodes with prefixes on the way of a path, from the root down, and the exact entries at its end. */
function nodesOn(root: PathNode, path: string): { exact: Entries; prefixes: PathNode[] } {
  const prefixes: PathNode[] = [];
  let node: PathNode | undefined = root;
  let at = 0;
  for (;;) {
    if (node.prefix.length > 0) prefixes.push(node);
    if (at >= path.length) return { exact: node.exact, prefixes };
    const slash = path.indexOf("/", at + 1);
    const end = slash < 0 ? path.length : slash;
    node = node.children.size === 0 ? undefined : node.children.get(path.slice(at + 1, end));
    if (node === undefined) return { exact: NONE, prefixes };
    at = end;
  }
}

function nodeAt(root: PathNode, path: string): PathNode | undefined {
  let node: PathNode | undefined = root;
  for (const segment of segmentsOf(path)) node = node?.children.get(segment);
  return node;
}

function* entriesUnder(node: PathNode): IterableIterator<Entry> {
  yield* node.exact;
  yield* node.prefix;
  for (const child of node.children.values()) yield* entriesUnder(child);
}

function hostTableOf(table: RouteTable, { host }: Entry): HostTable {
  return ownTable(table, host) ?? EMPTY_HOST;
}

type Change = (entries: Entries) => Entries;

function changeEntry(table: RouteTable, entry: Entry, count: 1 | -1, change: Change): RouteTable {
  const { host, route } = entry;
  const changed = changeHost(hostTableOf(table, entry), route.path, change);
  const left = (table.priorities.get(route.priority) ?? 0) + count;
  const priorities = table.priorities.with(route.priority, left === 0 ? undefined : left);
  if (host.type === "any") return { ...table, priorities, any: changed ?? EMPTY_HOST };
  if (host.type === "exact") return { ...table, priorities, exact: table.exact.with(host.host, changed) };
  return { ...table, priorities, below: table.below.with(host.suffix, changed) };
}

/** Undefined: nothing is left. */
function changeHost(hosts: HostTable, path: PathMatch, change: Change): HostTable | undefined {
  const regexes = path.type === "regex" ? change(hosts.regexes) : hosts.regexes;
  const root =
    path.type === "regex"
      ? hosts.root
      : (changeNode(hosts.root, segmentsOf(path.path), 0, path.type, change) ?? EMPTY_NODE);
  return regexes.length === 0 && isEmpty(root) ? undefined : { regexes, root };
}

function changeNode(
  node: PathNode,
  segments: readonly string[],
  at: number,
  list: "exact" | "prefix",
  change: Change,
): PathNode | undefined {
  const segment = segments[at];
  if (segment === undefined) {
    const changed = { ...node, [list]: change(node[list]) };
    return isEmpty(changed) ? undefined : changed;
  }
  const child = changeNode(node.children.get(segment) ?? EMPTY_NODE, segments, at + 1, list, change);
  const changed = { ...node, children: node.children.with(segment, child) };
  return isEmpty(changed) ? undefined : changed;
}

function isEmpty({ exact, prefix, children }: PathNode): boolean {
  return exact.length === 0 && prefix.length === 0 && children.size === 0;
}

function segmentsOf(path: string): readonly string[] {
  return path === "" ? [] : path.slice(1).split("/");
}

function inserted(entries: Entries, entry: Entry): Entries {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const other = entries[middle];
    if (other !== undefined && compareEntries(other, entry) < 0) low = middle + 1;
    else high = middle;
  }
  return entries.toSpliced(low, 0, entry);
}
