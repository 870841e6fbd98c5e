// Goal: the right route takes a request, by the written precedence, and policies say what they should. Method: tables
// with named rows; a property against a dumb search that compares all routes one by one; explanations told as stories.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { RouteRequest } from "../../../src/config/conditions.ts";
import {
  type CompiledRoute,
  decide,
  explainDecision,
  type Json,
  type Model,
} from "../../../src/config/index.ts";
import { changed, modelOf, put, request, route, sample } from "../../support/config-mesh.ts";

function taken(model: Model, asked: RouteRequest): string | undefined {
  return decide(model.snapshot, asked).route?.name;
}

describe("precedence", () => {
  const shop = { hosts: ["shop.example"] };
  test.each<[string, Json, Json, string]>([
    // name, match of "win", match of "lose", request. "lose" comes first by name.
    ["an exact host before a wildcard", shop, { hosts: ["*.example"] }, "GET shop.example/"],
    ["a long wildcard before a short one", { hosts: ["*.b.c"] }, { hosts: ["*.c"] }, "GET a.b.c/"],
    ["a wildcard before every host", { hosts: ["*.example"] }, {}, "GET shop.example/"],
    ["the host before the path", shop, { path: { exact: "/a" } }, "GET shop.example/a"],
    ["an exact path before a regex", { path: { exact: "/a" } }, { path: { regex: "/a" } }, "GET x/a"],
    ["an exact path before a prefix", { path: { exact: "/a" } }, { path: { prefix: "/a" } }, "GET x/a"],
    ["a regex before a prefix", { path: { regex: "/a+" } }, { path: { prefix: "/a" } }, "GET x/a"],
    [
      "a long regex before a short one",
      { path: { regex: "/[a-z]+" } },
      { path: { regex: "/.+" } },
      "GET x/a",
    ],
    [
      "a long prefix before a short one",
      { path: { prefix: "/a/b" } },
      { path: { prefix: "/a" } },
      "GET x/a/b/c",
    ],
    ["a prefix before none", { path: { prefix: "/a" } }, {}, "GET x/a"],
    ["methods before none", { methods: ["GET"] }, {}, "GET x/"],
    ["methods before headers", { methods: ["GET"] }, { headers: { a: { exact: "1" } } }, "GET x/"],
    ["headers before none", { headers: { a: { exact: "1" } } }, {}, "GET x/"],
    [
      "two headers before one",
      { headers: { a: { exact: "1" }, b: { present: "yes" } } },
      { headers: { a: { exact: "1" } } },
      "GET x/",
    ],
    [
      "headers before query",
      { headers: { a: { exact: "1" } } },
      { query: { q: { exact: "1" } } },
      "GET x/?q=1",
    ],
    ["query before none", { query: { q: { exact: "1" } } }, {}, "GET x/?q=1"],
  ])("%s", (_name, win, lose, line) => {
    const model = sample(route("b-win", win), route("a-lose", lose));
    const asked = request(line, { a: "1", b: "2" });
    expect(taken(model, asked)).toBe("b-win");
    // Priority turns every one of them round.
    expect(taken(changed(model, route("a-lose", lose, { priority: 1 })), asked)).toBe("a-lose");
    expect(taken(changed(model, route("b-win", win, { priority: -1 })), asked)).toBe("a-lose");
  });

  test("the name decides between equals", () => {
    expect(taken(sample(route("b", {}), route("a", {})), request("GET x/"))).toBe("a");
  });
});

describe("what a match takes", () => {
  test.each<[string, Json, string, boolean]>([
    ["a host in any case", { hosts: ["Shop.Example"] }, "GET SHOP.example/", true],
    ["a host with a port", { hosts: ["shop.example"] }, "GET shop.example:8080/", true],
    ["another host", { hosts: ["shop.example"] }, "GET shop.example.org/", false],
    ["a name below", { hosts: ["*.example"] }, "GET a.b.example/", true],
    ["a wildcard does not take its own suffix", { hosts: ["*.example"] }, "GET example/", false],
    ["a wildcard does not take half a label", { hosts: ["*.example"] }, "GET myexample/", false],
    ["a wildcard takes no empty label", { hosts: ["*.example"] }, "GET .example/", false],
    ["every host, even none", {}, "GET /", true],
    ["a prefix itself", { path: { prefix: "/a" } }, "GET x/a", true],
    ["a prefix with more", { path: { prefix: "/a" } }, "GET x/a/b", true],
    ["a prefix with a slash", { path: { prefix: "/a" } }, "GET x/a/", true],
    ["a prefix written with a slash", { path: { prefix: "/a/" } }, "GET x/a", true],
    ["half a segment", { path: { prefix: "/a" } }, "GET x/ab", false],
    ["the prefix /", { path: { prefix: "/" } }, "GET x/anything", true],
    ["an exact path", { path: { exact: "/a" } }, "GET x/a?q", true],
    ["an exact path with a slash more", { path: { exact: "/a" } }, "GET x/a/", false],
    ["the exact path /", { path: { exact: "/" } }, "GET x/", true],
    ["the exact path / and another", { path: { exact: "/" } }, "GET x/a", false],
    ["a path in disguise", { path: { exact: "/admin" } }, "GET x/./%61dmin", true],
    ["a regex whole", { path: { regex: "/a[0-9]" } }, "GET x/a12", false],
    ["another method", { methods: ["GET", "HEAD"] }, "POST x/", false],
    ["a header exactly", { headers: { "X-A": { exact: "one" } } }, "GET x/", true],
    ["a header in another case", { headers: { "x-a": { exact: "One" } } }, "GET x/", false],
    ["a header's beginning", { headers: { "x-a": { prefix: "on" } } }, "GET x/", true],
    ["a header by regex", { headers: { "x-a": { regex: "o.e" } } }, "GET x/", true],
    ["a header that is there", { headers: { "x-a": { present: "yes" } } }, "GET x/", true],
    ["a header that is not", { headers: { "x-b": { present: "no" } } }, "GET x/", true],
    ["a header that is there and must not", { headers: { "x-a": { present: "no" } } }, "GET x/", false],
    ["an absent header has no beginning", { headers: { "x-b": { prefix: "" } } }, "GET x/", false],
    ["a parameter, decoded", { query: { q: { exact: "a b" } } }, "GET x/?p=1&q=a%20b", true],
    ["the first of two parameters", { query: { q: { exact: "2" } } }, "GET x/?q=1&q=2", false],
    ["an empty parameter is there", { query: { q: { present: "yes" } } }, "GET x/?q", true],
  ])("%s", (_name, match, line, expected) => {
    const asked = request(line, { "x-a": "one" });
    expect(taken(sample(route("r", match)), asked)).toBe(expected ? "r" : undefined);
  });

  test("only requests of its listeners", () => {
    const model = sample(route("r", {}, { listeners: ["web"] }));
    expect(taken(model, request("GET x/"))).toBe("r");
    expect(taken(model, request("GET x/", {}, "other"))).toBeUndefined();
  });
});

describe("what comes of it", () => {
  const deny = { target: { mesh: {} }, action: { deny: {} } };
  const policy = (name: string, spec: Record<string, Json>) => put("Policy", name, { ...deny, ...spec });

  test("a request goes to the backends, a redirect is given, nothing gets 404", () => {
    const model = sample(
      route("r", { path: { prefix: "/a" } }),
      put("Route", "s", { match: { path: { prefix: "/b" } }, filters: [{ redirect: { status: 301 } }] }),
    );
    const outcome = (line: string) => decide(model.snapshot, request(line)).outcome;
    expect(outcome("GET x/a")).toEqual({ type: "forward", backends: [{ upstream: "shop", weight: 1 }] });
    expect(outcome("GET x/b")).toEqual({ type: "redirect", redirect: { status: 301 } });
    expect(outcome("GET x/c")).toMatchObject({ type: "answer", status: 404 });
  });

  test.each<[string, Record<string, Record<string, Json>>, string, string, string | undefined]>([
    ["no policy", {}, "GET x/a", "pass", undefined],
    ["a policy for all", { p: {} }, "GET x/a", "deny", "p"],
    ["also without a route", { p: {} }, "GET x/none", "deny", "p"],
    ["a policy of the route", { p: { target: { routes: ["r"] } } }, "GET x/a", "deny", "p"],
    ["a policy of another route", { p: { target: { routes: ["s"] } } }, "GET x/a", "pass", undefined],
    ["a policy of the listener", { p: { target: { listeners: ["web"] } } }, "GET x/a", "deny", "p"],
    ["a policy that does not match", { p: { match: { methods: ["POST"] } } }, "GET x/a", "pass", undefined],
    ["a policy by path", { p: { match: { path: { prefix: "/a" } } } }, "GET x/%61/b", "deny", "p"],
    ["a reset", { p: { action: { reset: {} } } }, "GET x/a", "reset", "p"],
    ["order across targets", { a: { order: 1 }, b: { target: { routes: ["r"] } } }, "GET x/a", "deny", "b"],
    ["the name between equals", { b: {}, a: {} }, "GET x/a", "deny", "a"],
    ["allowed before", { a: { action: { allow: {} } }, b: {} }, "GET x/a", "allow", "a"],
    ["allowed too late", { b: { action: { allow: {} } }, a: {} }, "GET x/a", "deny", "a"],
    ["dry run", { a: { mode: "dryRun" } }, "GET x/a", "pass", undefined],
    ["dry run of allow", { a: { mode: "dryRun", action: { allow: {} } }, b: {} }, "GET x/a", "deny", "b"],
  ])("%s", (_name, policies, line, verdict, by) => {
    const all = Object.entries(policies).map(([name, spec]) => policy(name, spec));
    const match = { path: { prefix: "/a" } };
    const decision = decide(sample(route("r", match), ...all).snapshot, request(line));
    expect(decision.verdict.verdict).toBe(verdict);
    expect(decision.verdict.policy?.name).toBe(by);
    if (verdict === "deny") expect(decision.outcome).toMatchObject({ type: "answer", status: 403 });
    if (verdict === "reset") expect(decision.outcome).toEqual({ type: "reset" });
  });

  test("limits stand beside the verdict, but not those behind a refusal", () => {
    const model = sample(
      route("r", {}),
      policy("a-size", { action: { requestSize: { maxBytes: 10 } } }),
      policy("b-allow", { action: { allow: {} } }),
      policy("c-rate", { action: { rateLimit: { requests: 5 } } }),
      policy("d-dry", { mode: "dryRun", action: { rateLimit: { requests: 5 } } }),
    );
    const names = (verdict: { limits: readonly { name: string }[] }) =>
      verdict.limits.map(({ name }) => name);
    const { verdict } = decide(model.snapshot, request("GET x/"));
    expect(names(verdict)).toEqual(["a-size", "c-rate"]);
    expect(verdict.dryRun.map(({ name }) => name)).toEqual(["d-dry"]);
    const refused = changed(model, policy("b-allow", { action: { deny: {} } }));
    expect(names(decide(refused.snapshot, request("GET x/")).verdict)).toEqual(["a-size"]);
  });
});

test("an explanation tells the winner, the steps and what lay near", () => {
  const model = sample(
    route("api", { hosts: ["shop.example"], path: { prefix: "/api" } }),
    route("api-post", { hosts: ["shop.example"], path: { prefix: "/api" }, methods: ["POST"] }),
    route("all", {}),
    route("far", { hosts: ["other.example"] }),
    put("Policy", "calm", { target: { routes: ["api"] }, action: { rateLimit: { requests: 5 } } }),
  );
  const told = explainDecision(model.snapshot, request("GET shop.example/api/x"));
  expect(told.steps).toEqual([
    "route api takes it at shop.example/api/**, priority 0",
    "policy calm applies: rateLimit",
    "it goes to shop (weight 1)",
  ]);
  expect(told.near).toEqual([
    { route: "api-post", place: "shop.example/api/**", reason: "does not take method GET" },
    { route: "all", place: "*/**", reason: "loses to api" },
  ]);
  const lost = explainDecision(modelOf().snapshot, request("GET a/b"));
  expect(lost.steps).toEqual([
    "there is no listener web",
    "no route takes GET a/b",
    "the gateway answers 404",
  ]);
});

describe("against a dumb search", () => {
  const hosts = ["a.x", "b.x", "*.x", "*.b.x", "c", "b.b.x"];
  const paths = ["/", "/a", "/a/", "/a/b", "/b", "/a/b/c", "/ab"];
  const match = fc.record({
    hosts: fc.uniqueArray(fc.constantFrom(...hosts), { maxLength: 2 }),
    path: fc.oneof(
      fc.record({ exact: fc.constantFrom(...paths) }),
      fc.record({ prefix: fc.constantFrom(...paths) }),
      fc.record({ regex: fc.constantFrom("/a.*", "/[ab]", "/.*", "/a/b") }),
    ),
    methods: fc.uniqueArray(fc.constantFrom("GET", "POST"), { maxLength: 2 }),
    headers: fc.dictionary(fc.constantFrom("h", "i"), fc.record({ exact: fc.constantFrom("1", "2") }), {
      maxKeys: 2,
      noNullPrototype: true,
    }),
  });
  const routes = fc.array(fc.tuple(match, fc.integer({ min: -1, max: 1 }), fc.boolean()), { maxLength: 12 });
  const asked = fc.tuple(
    fc.constantFrom("GET", "POST", "PUT"),
    fc.constantFrom("a.x", "b.x", "z.b.x", "b.b.x", "c", "d", "x"),
    fc.constantFrom("/", "/a", "/a/", "/a/b", "/a/b/", "/b", "/a/b/c/d", "/ab", "/zz"),
    fc.record({ h: fc.constantFrom("1", "2") }, { requiredKeys: [] }),
    fc.constantFrom("web", "other"),
  );

  test("the same route is found", () => {
    fc.assert(
      fc.property(routes, fc.array(asked, { minLength: 1, maxLength: 12 }), (specs, requests) => {
        const model = modelOf(
          ...specs.map(([one, priority, onWeb], i) => {
            const more = { priority, listeners: onWeb ? ["web"] : [] };
            return route(`r${String(i).padStart(2, "0")}`, one, more);
          }),
        );
        for (const [method, host, path, headers, listener] of requests) {
          const view = request(`${method} ${host}${path}`, { ...headers }, listener);
          expect(taken(model, view)).toBe(dumbSearch(model, view));
        }
      }),
      { numRuns: 600 },
    );
  });
});

/** The precedence once more, from the written spec alone, with strings and sorting. */
function dumbSearch(model: Model, asked: RouteRequest): string | undefined {
  const fitting: (readonly [string, readonly number[]])[] = [];
  for (const { object, name } of model.snapshot.routes.values()) {
    for (const rank of ranksOf(object, asked)) fitting.push([name, rank]);
  }
  fitting.sort(([a, x], [b, y]) => {
    for (let i = 0; i < x.length; i++) {
      const order = (y[i] ?? 0) - (x[i] ?? 0);
      if (order !== 0) return order;
    }
    return a < b ? -1 : 1;
  });
  return fitting[0]?.[0];
}

function ranksOf({ spec }: CompiledRoute["object"], asked: RouteRequest): number[][] {
  const { match, listeners, priority } = spec;
  if (listeners.length > 0 && !listeners.includes(asked.listener)) return [];
  if (match.methods.length > 0 && !match.methods.includes(asked.method)) return [];
  const headers = Object.entries(match.headers);
  if (!headers.every(([name, value]) => asked.header(name) === value.exact)) return [];
  const path = match.path === undefined ? [0, 0] : rankOfPath(match.path, asked.path);
  if (path === undefined) return [];
  const hosts = match.hosts.length === 0 ? [0] : match.hosts.flatMap((host) => rankOfHost(host, asked.host));
  return hosts.map((host) => [priority, host, ...path, match.methods.length > 0 ? 1 : 0, headers.length]);
}

function rankOfHost(pattern: string, host: string): number[] {
  if (!pattern.startsWith("*.")) return pattern === host ? [1000] : [];
  return host.endsWith(pattern.slice(1)) ? [pattern.length] : [];
}

function rankOfPath(
  match: { exact?: string; prefix?: string; regex?: string },
  path: string,
): number[] | undefined {
  if (match.exact !== undefined) return match.exact === path ? [3, 0] : undefined;
  if (match.regex !== undefined) {
    return new RegExp(`^(?:${match.regex})$`).test(path) ? [2, match.regex.length] : undefined;
  }
  const prefix = (match.prefix ?? "").replace(/\/$/, "");
  return `${path}/`.startsWith(`${prefix}/`) ? [1, prefix.length] : undefined;
}
