/** Runs a RouteTest against a snapshot: what it expected and did not get, as findings. */
import type { RouteRequest } from "./conditions.ts";
import { type Decision, decide } from "./decide.ts";
import type { Finding } from "./finding.ts";
import { normalizeHost, normalizePath } from "./normalize.ts";
import type { ConfigObject } from "./objects.ts";
import type { Snapshot } from "./snapshot.ts";

export function runRouteTest(snapshot: Snapshot, test: ConfigObject<"RouteTest">): Finding[] {
  const { expect } = test.spec;
  const request = requestOf(test.spec.request);
  const decision = decide(snapshot, request);
  const { route, outcome, verdict } = decision;
  const findings: Finding[] = [];
  const fail = (path: string, wanted: string): void => {
    findings.push({
      severity: "error",
      code: "route-test-failed",
      kind: test.kind,
      name: test.name,
      path: `/spec/expect/${path}`,
      message: `${request.method} ${request.host}${test.spec.request.path} shall get ${wanted}, but ${got(decision)}`,
    });
  };
  if (expect.route !== undefined && route?.name !== expect.route)
    fail("route", `the route "${expect.route}"`);
  if (expect.noRoute !== undefined && route !== undefined) fail("noRoute", "no route");
  if (expect.upstream !== undefined && !mayReach(decision, expect.upstream)) {
    fail("upstream", `the upstream "${expect.upstream}"`);
  }
  if (expect.status !== undefined && statusOf(outcome) !== expect.status) {
    fail("status", `the status ${expect.status} from the gateway`);
  }
  if (expect.policy !== undefined) {
    const { verdict: wanted, name } = expect.policy;
    if (verdict.verdict !== wanted) fail("policy/verdict", `the verdict ${wanted}`);
    else if (name !== undefined && verdict.policy?.name !== name) {
      fail("policy/name", `the verdict ${wanted} of the policy "${name}"`);
    }
  }
  return findings;
}

/** A request with plain headers; `path` as a client sends it, with a query or without. */
export function requestOf(request: {
  readonly listener: string;
  readonly method: string;
  readonly host: string;
  readonly path: string;
  readonly headers: { readonly [name: string]: string };
}): RouteRequest {
  const { listener, method, host, headers } = request;
  const mark = request.path.indexOf("?");
  const path = mark < 0 ? request.path : request.path.slice(0, mark);
  return {
    listener,
    method,
    host: normalizeHost(host),
    // A path that cannot be normalized reaches no route; a gateway refuses it before it asks.
    path: normalizePath(path) ?? "",
    query: mark < 0 ? "" : request.path.slice(mark + 1),
    header: (name) => (Object.hasOwn(headers, name) ? headers[name] : undefined),
  };
}

function mayReach({ outcome }: Decision, upstream: string): boolean {
  if (outcome.type !== "forward") return false;
  return outcome.backends.some((backend) => backend.upstream === upstream && backend.weight > 0);
}

function statusOf(outcome: Decision["outcome"]): number | undefined {
  if (outcome.type === "answer") return outcome.status;
  return outcome.type === "redirect" ? outcome.redirect.status : undefined;
}

function got({ route, outcome, verdict }: Decision): string {
  const by = verdict.policy === undefined ? "" : ` (policy "${verdict.policy.name}": ${verdict.verdict})`;
  const taken = route === undefined ? "no route takes it" : `the route "${route.name}" takes it`;
  const status = statusOf(outcome);
  if (outcome.type === "forward") {
    const upstreams = outcome.backends.filter(({ weight }) => weight > 0).map((backend) => backend.upstream);
    return `${taken}, to ${upstreams.join(" or ")}${by}`;
  }
  return `${taken}, with ${status === undefined ? "a reset" : `the status ${status}`}${by}`;
}
