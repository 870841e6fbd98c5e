/**
 * What a gateway serves from: everything compiled, immutable. A change gives a new snapshot that shares all
 * that did not change; by identity a gateway sees which upstreams and listeners it must touch.
 */
import {
  type CompiledPolicy,
  changePolicy,
  compilePolicy,
  EMPTY_POLICIES,
  type PolicyTable,
} from "./compiled-policy.ts";
import { type CompiledRoute, compileRoute, entriesOf } from "./compiled-route.ts";
import type { Specs } from "./kinds.ts";
import type { ConfigObject } from "./objects.ts";
import { addEntry, EMPTY_TABLE, type RouteTable, removeEntry } from "./route-table.ts";
import { SortedMap } from "./sorted-map.ts";

/** An object of which only the spec matters: new labels leave it the same. */
export interface Compiled<K extends "Upstream" | "Listener"> {
  readonly name: string;
  readonly spec: Specs[K];
  /** Canonical JSON of the spec. */
  readonly content: string;
}

export interface Snapshot {
  /** Undefined: the mesh has no Mesh object; the built-in defaults hold. */
  readonly mesh: Specs["Mesh"] | undefined;
  readonly listeners: SortedMap<string, Compiled<"Listener">>;
  readonly upstreams: SortedMap<string, Compiled<"Upstream">>;
  readonly routes: SortedMap<string, CompiledRoute>;
  readonly policies: SortedMap<string, CompiledPolicy>;
  readonly table: RouteTable;
  readonly policyTable: PolicyTable;
}

export const EMPTY_SNAPSHOT: Snapshot = {
  mesh: undefined,
  listeners: SortedMap.empty(),
  upstreams: SortedMap.empty(),
  routes: SortedMap.empty(),
  policies: SortedMap.empty(),
  table: EMPTY_TABLE,
  policyTable: EMPTY_POLICIES,
};

/** Times and retries of a route: its own, else the mesh's, else these. */
export const BUILT_IN_TIMEOUTS = { requestMs: 30_000, idleMs: 300_000 } as const;

/** The snapshot with `object`. */
export function withObject(snapshot: Snapshot, object: ConfigObject): Snapshot {
  const { name } = object;
  switch (object.kind) {
    case "Mesh":
      return { ...snapshot, mesh: object.spec };
    case "Listener": {
      const listeners = withCompiled(snapshot.listeners, object);
      return listeners === snapshot.listeners ? snapshot : { ...snapshot, listeners };
    }
    case "Upstream": {
      const upstreams = withCompiled(snapshot.upstreams, object);
      return upstreams === snapshot.upstreams ? snapshot : { ...snapshot, upstreams };
    }
    case "Route":
      return changeRoute(snapshot, name, compileRoute(object));
    case "Policy":
      return replacePolicy(snapshot, name, compilePolicy(object));
    case "RouteTest":
      return snapshot;
  }
}

/** The snapshot without an object; itself when it has none such. */
export function withoutObject(snapshot: Snapshot, kind: ConfigObject["kind"], name: string): Snapshot {
  switch (kind) {
    case "Mesh":
      return snapshot.mesh === undefined ? snapshot : { ...snapshot, mesh: undefined };
    case "Listener":
      return { ...snapshot, listeners: snapshot.listeners.delete(name) };
    case "Upstream":
      return { ...snapshot, upstreams: snapshot.upstreams.delete(name) };
    case "Route":
      return changeRoute(snapshot, name, undefined);
    case "Policy":
      return replacePolicy(snapshot, name, undefined);
    case "RouteTest":
      return snapshot;
  }
}

/** Milliseconds, 0: no limit. */
export function timeoutsOf(snapshot: Snapshot, route: CompiledRoute): { requestMs: number; idleMs: number } {
  const own = route.object.spec.timeouts;
  const common = snapshot.mesh?.defaults.timeouts;
  return {
    requestMs: own?.requestMs ?? common?.requestMs ?? BUILT_IN_TIMEOUTS.requestMs,
    idleMs: own?.idleMs ?? common?.idleMs ?? BUILT_IN_TIMEOUTS.idleMs,
  };
}

/** Undefined: nothing is repeated. */
export function retryOf(snapshot: Snapshot, route: CompiledRoute): Specs["Route"]["retry"] {
  return route.object.spec.retry ?? snapshot.mesh?.defaults.retry;
}

function withCompiled<K extends "Upstream" | "Listener">(
  map: SortedMap<string, Compiled<K>>,
  { name, spec, content }: { readonly name: string; readonly spec: Specs[K]; readonly content: string },
): SortedMap<string, Compiled<K>> {
  if (map.get(name)?.content === content) return map;
  return map.set(name, { name, spec, content });
}

function changeRoute(snapshot: Snapshot, name: string, after: CompiledRoute | undefined): Snapshot {
  let { table } = snapshot;
  const before = snapshot.routes.get(name);
  if (before !== undefined) for (const entry of entriesOf(before)) table = removeEntry(table, entry);
  if (after !== undefined) for (const entry of entriesOf(after)) table = addEntry(table, entry);
  return { ...snapshot, table, routes: snapshot.routes.with(name, after) };
}

function replacePolicy(snapshot: Snapshot, name: string, after: CompiledPolicy | undefined): Snapshot {
  const policyTable = changePolicy(snapshot.policyTable, snapshot.policies.get(name), after);
  return { ...snapshot, policyTable, policies: snapshot.policies.with(name, after) };
}
