/**
 * Where a request goes: the route, what the policies say, and what comes of it. The gateway asks it for every
 * request, route tests and `kvctl config match` ask the same function and also why.
 */
import { type CompiledPolicy, judgePolicies, policyChain, type Verdict } from "./compiled-policy.ts";
import { type CompiledRoute, compareEntries, type Entry, placeText } from "./compiled-route.ts";
import { type RouteRequest, unmetCondition } from "./conditions.ts";
import { visitMatching } from "./route-table.ts";
import type { Snapshot } from "./snapshot.ts";

type RouteSpec = CompiledRoute["object"]["spec"];
type Redirect = NonNullable<RouteSpec["filters"][number]["redirect"]>;

export type Outcome =
  /** To one of the backends by weight; each names an Upstream. */
  | { readonly type: "forward"; readonly backends: RouteSpec["backends"] }
  | { readonly type: "redirect"; readonly redirect: Redirect }
  /** Answered here: 404 without a route, or by a policy. */
  | { readonly type: "answer"; readonly status: number; readonly body: string }
  | { readonly type: "reset" };

export interface Decision {
  /** Undefined: no route takes it. */
  readonly route: CompiledRoute | undefined;
  /** Which host of the route's match it was; 0 also when it names none. */
  readonly hostIndex: number;
  readonly verdict: Verdict;
  readonly outcome: Outcome;
}

/** A route that lay near, and why it did not take the request. */
export interface NearMiss {
  readonly route: string;
  readonly place: string;
  readonly reason: string;
}

export interface ExplainedDecision extends Decision {
  /** One sentence per step, in order. */
  readonly steps: readonly string[];
  /** Routes whose host and path fit but that did not take it, best first; at most MAX_NEAR. */
  readonly near: readonly NearMiss[];
}

/** Most near misses of one explanation. */
export const MAX_NEAR = 20;

const NO_ROUTE: Outcome = { type: "answer", status: 404, body: "no route\n" };

/** Decides. Reads nothing but its arguments; the same arguments give the same answer. */
export function decide(snapshot: Snapshot, request: RouteRequest): Decision {
  return decisionOf(snapshot, request, findEntry(snapshot, request));
}

/** Decides and says why. */
export function explainDecision(snapshot: Snapshot, request: RouteRequest): ExplainedDecision {
  const winner = findEntry(snapshot, request);
  const decision = decisionOf(snapshot, request, winner);
  const candidates: Entry[] = [];
  visitMatching(snapshot.table, request.host, request.path, (entries) => {
    candidates.push(...entries);
    return false;
  });
  const near: NearMiss[] = [];
  for (const entry of candidates.sort(compareEntries)) {
    if (near.length >= MAX_NEAR) break;
    const { route } = entry;
    if (route === winner?.route) continue;
    const why = missing(entry, request);
    const reason = why === undefined ? `loses to ${winner?.route.name}` : `does not take ${why}`;
    near.push({ route: route.name, place: placeText(entry), reason });
  }
  return { ...decision, near, steps: stepsOf(snapshot, request, decision, winner) };
}

function findEntry(snapshot: Snapshot, request: RouteRequest): Entry | undefined {
  const { table } = snapshot;
  const highest = table.priorities.lastKey();
  let best: Entry | undefined;
  visitMatching(table, request.host, request.path, (entries) => {
    for (const entry of entries) {
      // What comes later is not closer, so it needs a higher priority.
      if (best !== undefined && entry.route.priority <= best.route.priority) break;
      if (missing(entry, request) === undefined) best = entry;
    }
    return best !== undefined && best.route.priority === highest;
  });
  return best;
}

/** What of a request an entry at a matching host and path does not take; undefined: it takes it. */
function missing({ route }: Entry, request: RouteRequest): string | undefined {
  if (route.listeners !== undefined && !route.listeners.has(request.listener)) {
    return `listener ${request.listener}`;
  }
  const { path } = route;
  if (path.type === "regex" && !path.regex.test(request.path)) return "the path by its regex";
  return unmetCondition(route.conditions, request);
}

function decisionOf(snapshot: Snapshot, request: RouteRequest, entry: Entry | undefined): Decision {
  const route = entry?.route;
  const chain = policyChain(snapshot.policyTable, request.listener, route?.name);
  const verdict = judgePolicies(chain, request);
  const outcome = outcomeOf(route, verdict);
  return { route, hostIndex: entry?.hostIndex ?? 0, verdict, outcome };
}

function outcomeOf(route: CompiledRoute | undefined, { verdict, policy }: Verdict): Outcome {
  if (verdict === "reset") return { type: "reset" };
  if (verdict === "deny") {
    const deny = policy?.object.spec.action.deny;
    return { type: "answer", status: deny?.status ?? 403, body: deny?.body ?? "" };
  }
  if (route === undefined) return NO_ROUTE;
  const { backends, filters } = route.object.spec;
  if (backends.length > 0) return { type: "forward", backends };
  for (const { redirect } of filters) if (redirect !== undefined) return { type: "redirect", redirect };
  return NO_ROUTE;
}

function stepsOf(
  snapshot: Snapshot,
  request: RouteRequest,
  { verdict, outcome }: Decision,
  winner: Entry | undefined,
): string[] {
  const { listener, host, path } = request;
  const steps: string[] = [];
  if (!snapshot.listeners.has(listener)) steps.push(`there is no listener ${listener}`);
  steps.push(
    winner === undefined
      ? `no route takes ${request.method} ${host}${path}`
      : `route ${winner.route.name} takes it at ${placeText(winner)}, priority ${winner.route.priority}`,
  );
  for (const policy of verdict.dryRun)
    steps.push(`policy ${policy.name} would ${actionText(policy)} (dry run)`);
  for (const policy of verdict.limits) steps.push(`policy ${policy.name} applies: ${actionText(policy)}`);
  if (verdict.policy !== undefined) steps.push(`policy ${verdict.policy.name} says ${verdict.verdict}`);
  steps.push(outcomeText(snapshot, outcome));
  return steps;
}

function actionText(policy: CompiledPolicy): string {
  return Object.keys(policy.object.spec.action).join();
}

function outcomeText(snapshot: Snapshot, outcome: Outcome): string {
  switch (outcome.type) {
    case "forward": {
      const shares = outcome.backends.map(({ upstream, weight }) => {
        return `${upstream} (weight ${weight}${snapshot.upstreams.has(upstream) ? "" : ", does not exist"})`;
      });
      return `it goes to ${shares.join(" or ")}`;
    }
    case "redirect":
      return `it is redirected with status ${outcome.redirect.status}`;
    case "answer":
      return `the gateway answers ${outcome.status}`;
    case "reset":
      return "the connection is reset";
  }
}
