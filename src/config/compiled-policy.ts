/** Policies by what they are attached to, and what they say of a request. */
import {
  compileHosts,
  compilePath,
  type HostMatch,
  matchesHost,
  matchesPath,
  type PathMatch,
} from "./compiled-route.ts";
import { type Conditions, compileConditions, type RouteRequest, unmetCondition } from "./conditions.ts";
import { compareText } from "./finding.ts";
import type { ConfigObject } from "./objects.ts";
import { SortedMap } from "./sorted-map.ts";

export interface CompiledPolicy {
  readonly name: string;
  readonly object: ConfigObject<"Policy">;
  readonly order: number;
  /** "mesh", "Listener/name", "Route/name". */
  readonly targets: readonly string[];
  readonly hosts: readonly HostMatch[];
  readonly path: PathMatch;
  readonly conditions: Conditions;
}

/** By target; each list sorted by order, then name. */
export type PolicyTable = SortedMap<string, readonly CompiledPolicy[]>;

export const EMPTY_POLICIES: PolicyTable = SortedMap.empty();

/** What the policies of one request say. */
export interface Verdict {
  readonly verdict: "pass" | "allow" | "deny" | "reset";
  /** The policy that said so; undefined: pass. */
  readonly policy: CompiledPolicy | undefined;
  /** Rates and sizes to keep, in order, all of them before a policy that denies or resets. */
  readonly limits: readonly CompiledPolicy[];
  /** Those in dry run that would have acted. */
  readonly dryRun: readonly CompiledPolicy[];
}

const PASS: Verdict = { verdict: "pass", policy: undefined, limits: [], dryRun: [] };

export function compilePolicy(object: ConfigObject<"Policy">): CompiledPolicy {
  const { target, order, match } = object.spec;
  const targets =
    target.listeners?.map((name) => `Listener/${name}`) ?? target.routes?.map((name) => `Route/${name}`);
  return {
    name: object.name,
    object,
    order,
    targets: targets ?? ["mesh"],
    hosts: compileHosts(match.hosts),
    path: compilePath(match.path),
    conditions: compileConditions(match),
  };
}

/** The table with `after` in the place of `before`; undefined: none. */
export function changePolicy(
  table: PolicyTable,
  before: CompiledPolicy | undefined,
  after: CompiledPolicy | undefined,
): PolicyTable {
  let changed = table;
  for (const target of before?.targets ?? []) {
    const left = (changed.get(target) ?? []).filter((policy) => policy !== before);
    changed = changed.with(target, left.length === 0 ? undefined : left);
  }
  if (after === undefined) return changed;
  for (const target of after.targets) {
    changed = changed.set(target, [...(changed.get(target) ?? []), after].sort(comparePolicies));
  }
  return changed;
}

/**
 * All policies that a request by this listener, taken by this route, has to pass, in order. Undefined: no
 * route.
 */
export function policyChain(
  table: PolicyTable,
  listener: string,
  route: string | undefined,
): readonly CompiledPolicy[] {
  if (table.size === 0) return PASS.limits;
  const lists = [
    table.get("mesh"),
    table.get(`Listener/${listener}`),
    route === undefined ? undefined : table.get(`Route/${route}`),
  ].filter((list) => list !== undefined);
  const [only] = lists;
  if (lists.length <= 1) return only ?? PASS.limits;
  return lists.flat().sort(comparePolicies);
}

/** Runs a chain. */
export function judgePolicies(chain: readonly CompiledPolicy[], request: RouteRequest): Verdict {
  if (chain.length === 0) return PASS;
  const limits: CompiledPolicy[] = [];
  const dryRun: CompiledPolicy[] = [];
  let allowed: CompiledPolicy | undefined;
  for (const policy of chain) {
    const { action, mode } = policy.object.spec;
    const objects = action.deny !== undefined || action.reset !== undefined;
    if ((objects || action.allow !== undefined) && allowed !== undefined) continue;
    if (!appliesTo(policy, request)) continue;
    if (mode === "dryRun") dryRun.push(policy);
    else if (action.allow !== undefined) allowed = policy;
    else if (action.deny !== undefined) return { verdict: "deny", policy, limits, dryRun };
    else if (action.reset !== undefined) return { verdict: "reset", policy, limits, dryRun };
    else limits.push(policy);
  }
  return { verdict: allowed === undefined ? "pass" : "allow", policy: allowed, limits, dryRun };
}

function appliesTo(policy: CompiledPolicy, request: RouteRequest): boolean {
  return (
    policy.hosts.some((host) => matchesHost(host, request.host)) &&
    matchesPath(policy.path, request.path) &&
    unmetCondition(policy.conditions, request) === undefined
  );
}

function comparePolicies(a: CompiledPolicy, b: CompiledPolicy): number {
  return a.order - b.order || compareText(a.name, b.name);
}
