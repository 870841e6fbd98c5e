// Goal: a change set is refused exactly for what it makes worse, with a finding that says so, in steps of bounded work.
// Method: tables of changes on a small mesh; a property against asking every object before and after; a mesh of 10,000
// routes, looked at for its answers only.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  addedFindings,
  type Change,
  findingsOf,
  findingText,
  type Json,
  Judging,
  judge,
  MAX_CHANGES,
  MAX_FINDINGS,
  refusalText,
  validate,
} from "../../../src/config/index.ts";
import {
  brief,
  briefly,
  changed,
  gone,
  MESH,
  modelOf,
  put,
  route,
  sample,
  verdictOf,
} from "../../support/config-mesh.ts";

const LISTENER = { port: 8080 };

describe("references", () => {
  test.each<[string, Change, string]>([
    [
      "to no upstream",
      route("r", {}, { backends: [{ upstream: "shopp" }] }),
      "Route/r /spec/backends/0/upstream",
    ],
    ["to no listener", route("r", {}, { listeners: ["wep"] }), "Route/r /spec/listeners/0"],
    ["of a policy to no route", policyFor({ routes: ["r"] }), "Policy/p /spec/target/routes/0"],
    ["of a policy to no listener", policyFor({ listeners: ["l"] }), "Policy/p /spec/target/listeners/0"],
    [
      "of a test to no listener",
      routeTest({ status: 404 }, { listener: "l" }),
      "RouteTest/t /spec/request/listener",
    ],
  ])("%s", (_name, change, expected) => {
    expect(verdictOf(sample(), change)).toEqual([`missing-reference ${expected}`]);
  });

  test("name the nearest that exists", () => {
    const judgement = judge(sample(), { changes: [route("r", {}, { backends: [{ upstream: "shopp" }] })] });
    expect(judgement.findings.map(findingText)).toEqual([
      'Route/r at /spec/backends/0/upstream: there is no Upstream "shopp" (did you mean shop?)',
    ]);
  });

  test("may be written in any order within one change set", () => {
    const changes = [
      route("r", {}, { backends: [{ upstream: "new" }] }),
      put("Upstream", "new", { allowEmpty: true }),
    ];
    expect(judge(sample(), { changes }).type).toBe("accepted");
  });

  test("keep what they name from being deleted, and the finding says who", () => {
    const judgement = judge(sample(route("r", {})), { changes: [gone("Upstream", "shop")] });
    expect(judgement.type).toBe("refused");
    expect(judgement.findings.map(findingText)).toEqual([
      "Upstream/shop: Upstream/shop is deleted, but Route/r names it at /spec/backends/0/upstream " +
        "(change or delete Route/r in the same change set)",
    ]);
  });

  test("go together with what they name", () => {
    const model = sample(route("r", {}));
    expect(verdictOf(model, gone("Upstream", "shop"), gone("Route", "r"))).toEqual([]);
  });

  test("that went nowhere before are no new finding", () => {
    const model = modelOf(route("r", {}), put("Listener", "web", LISTENER));
    expect(verdictOf(model, route("r", {}, { priority: 3 }))).toEqual([]);
    expect(verdictOf(model, put("Listener", "web", { port: 8081 }))).toEqual([]);
  });
});

describe("routes", () => {
  const a = { hosts: ["a"], path: { prefix: "/x" } };
  test.each<[string, Change[], Change[], string[]]>([
    ["two for the same", [route("r", a)], [route("s", a)], ["Route/r", "Route/s"].map(duplicateAtHost)],
    [
      "written differently",
      [route("r", a)],
      [route("s", { hosts: ["A"], path: { prefix: "/x/" } })],
      ["Route/r", "Route/s"].map(duplicateAtHost),
    ],
    ["another method set", [route("r", { methods: ["GET"] })], [route("s", { methods: ["POST"] })], []],
    [
      "another priority: the lower one is dead",
      [route("r", a)],
      [route("s", a, { priority: 1 })],
      ["unreachable-route Route/r /spec/match"],
    ],
    [
      "other listeners",
      [route("r", {}, { listeners: ["web"] })],
      [route("s", {}, { listeners: ["two"] })],
      [],
    ],
    ["a catch-all below all", [route("r", a)], [route("s", {})], []],
    [
      "a catch-all above all",
      [route("r", a)],
      [route("s", {}, { priority: 1 })],
      ["unreachable-route Route/r /spec/match"],
    ],
    [
      "born dead",
      [route("s", {}, { priority: 1 })],
      [route("r", a)],
      ["unreachable-route Route/r /spec/match"],
    ],
    ["above, but for one method", [route("r", a)], [route("s", { methods: ["GET"] }, { priority: 1 })], []],
    [
      "above, with a header more",
      [route("r", a)],
      [route("s", { headers: { h: { present: "yes" } } }, { priority: 1 })],
      [],
    ],
    [
      "a regex above that takes an exact path",
      [route("r", { path: { exact: "/a1" } })],
      [route("s", { path: { regex: "/a." } }, { priority: 1 })],
      ["unreachable-route Route/r /spec/match"],
    ],
    [
      "a prefix of half a segment above",
      [route("r", { path: { exact: "/ab" } })],
      [route("s", { path: { prefix: "/a" } }, { priority: 1 })],
      [],
    ],
    [
      "a wildcard above",
      [route("r", { hosts: ["a.b.c"] })],
      [route("s", { hosts: ["*.c"] }, { priority: 1 })],
      ["unreachable-route Route/r /spec/match"],
    ],
    [
      "a wildcard above another",
      [route("r", { hosts: ["*.b.c"] })],
      [route("s", { hosts: ["*.c"] }, { priority: 1 })],
      ["unreachable-route Route/r /spec/match"],
    ],
    [
      "one host of two",
      [route("r", { hosts: ["a", "b"] })],
      [route("s", { hosts: ["b"] }, { priority: 1 })],
      ["warning shadowed-match Route/r /spec/match/hosts/1"],
    ],
  ])("%s", (_name, before, change, expected) => {
    const model = sample(put("Listener", "two", { port: 8081 }), ...before);
    expect(verdictOf(model, ...change)).toEqual(expected);
  });

  test("already dead are no finding of another change, whoever they are dead by", () => {
    const dead = sample(route("r", a), route("s", {}, { priority: 1 }));
    expect(verdictOf(dead, route("s", {}, { priority: 2 }))).toEqual([]);
    expect(verdictOf(dead, gone("Route", "s"), route("t", {}, { priority: 1 }))).toEqual([]);
  });

  test("in a crowd that could only be tried one by one are refused", () => {
    const regexes = Array.from({ length: 100 }, (_, i) => route(`r${i}`, { path: { regex: `/${i}` } }));
    expect(verdictOf(sample(...regexes), route("s", { path: { regex: "/s" } }))).toEqual([
      "limit-exceeded Route/s /spec/match",
    ]);
    const headers = Array.from({ length: 200 }, (_, i) =>
      route(`r${i}`, { headers: { h: { exact: `${i}` } } }),
    );
    const crowd = sample(...headers);
    expect(verdictOf(crowd, route("s", { headers: { h: { exact: "s" } } })).at(-1)).toBe(
      "limit-exceeded Route/s /spec/match",
    );
  });
});

describe("listeners", () => {
  test.each<[string, Json, Json, boolean]>([
    ["the same address", {}, {}, true],
    ["another port", {}, { port: 8081 }, false],
    ["one address and all", { address: "127.0.0.1" }, {}, true],
    ["two addresses", { address: "127.0.0.1" }, { address: "127.0.0.2" }, false],
    ["all of both families", { address: "127.0.0.1" }, { address: "::" }, true],
    ["all of IPv4 and one of IPv6", { address: "::1" }, {}, false],
    ["gateways that cannot be one", { selector: { zone: "a" } }, { selector: { zone: "b" } }, false],
    ["gateways that can be one", { selector: { zone: "a" } }, { selector: { role: "b" } }, true],
    ["all gateways and some", {}, { selector: { zone: "a" } }, true],
  ])("%s", (_name, one, two, clash) => {
    const model = modelOf(put("Listener", "a", { ...LISTENER, ...Object(one) }));
    const expected = clash
      ? ["port-conflict Listener/a /spec/port", "port-conflict Listener/b /spec/port"]
      : [];
    expect(verdictOf(model, put("Listener", "b", { ...LISTENER, ...Object(two) }))).toEqual(expected);
  });

  test("swap their ports in one change set", () => {
    const model = modelOf(put("Listener", "a", { port: 1 }), put("Listener", "b", { port: 2 }));
    expect(verdictOf(model, put("Listener", "a", { port: 2 }), put("Listener", "b", { port: 1 }))).toEqual(
      [],
    );
  });
});

describe("limits of the mesh", () => {
  const limited = put("Mesh", MESH, { limits: { maxRoutes: 1 } });

  test("hold for every later write, also when they are exceeded already", () => {
    const full = modelOf(limited, put("Upstream", "shop", { allowEmpty: true }), route("r", {}));
    const more = (name: string) => route(name, { hosts: [name] });
    expect(verdictOf(full, more("s"))).toEqual([`limit-exceeded Mesh/${MESH} /spec/limits/maxRoutes`]);
    const over = changed(full, more("s"));
    expect(verdictOf(over, more("t"))).toEqual([`limit-exceeded Mesh/${MESH} /spec/limits/maxRoutes`]);
    expect(verdictOf(over, more("t"), gone("Route", "s"))).toEqual([]);
    expect(verdictOf(over, gone("Route", "s"))).toEqual([]);
  });

  test("count bytes", () => {
    const model = sample(put("Mesh", MESH, { limits: { maxBytes: 1024 } }));
    const long = route("r", {}, { description: "x".repeat(1000) });
    expect(verdictOf(model, long)).toEqual([`limit-exceeded Mesh/${MESH} /spec/limits/maxBytes`]);
  });
});

describe("route tests", () => {
  const model = sample(
    route("a", { hosts: ["a"] }),
    put("Policy", "p", { target: { mesh: {} }, match: { path: { prefix: "/admin" } }, action: { deny: {} } }),
  );
  test.each<[string, Json, Record<string, Json>, string[]]>([
    ["the route", { route: "a" }, {}, []],
    ["another route", { route: "b" }, {}, ["route"]],
    ["the upstream", { upstream: "shop" }, {}, []],
    ["another upstream", { upstream: "b" }, {}, ["upstream"]],
    ["no route", { noRoute: "yes" }, { host: "b" }, []],
    ["no route where there is one", { noRoute: "yes" }, {}, ["noRoute"]],
    ["the status without a route", { status: 404 }, { host: "b" }, []],
    ["a status of the upstream is not ours", { status: 200 }, {}, ["status"]],
    ["a refusal", { status: 403, policy: { verdict: "deny", name: "p" } }, { path: "/admin/x" }, []],
    ["no refusal", { policy: { verdict: "pass" } }, { path: "/admin" }, ["policy/verdict"]],
    ["a refusal by another", { policy: { verdict: "deny", name: "q" } }, { path: "/admin" }, ["policy/name"]],
  ])("%s", (_name, expected, asked, failed) => {
    const findings = failed.map((path) => `route-test-failed RouteTest/t /spec/expect/${path}`);
    expect(verdictOf(model, routeTest(expected, asked))).toEqual(findings);
  });

  test("refuse the change that breaks them, and say what came instead", () => {
    const tested = changed(model, routeTest({ route: "a" }));
    const judgement = judge(tested, { changes: [route("b", { hosts: ["a"], path: { prefix: "/x" } })] });
    expect(judgement.type).toBe("accepted");
    const refused = judge(tested, { changes: [gone("Route", "a")] });
    expect(refused.findings.map(findingText)).toEqual([
      'RouteTest/t at /spec/expect/route: GET a/ shall get the route "a", but no route takes it, with the status 404',
    ]);
  });

  test("are run when a policy changes", () => {
    const tested = changed(model, routeTest({ policy: { verdict: "pass" } }));
    const all = put("Policy", "all", { target: { mesh: {} }, action: { deny: {} } });
    expect(verdictOf(tested, all)).toEqual(["route-test-failed RouteTest/t /spec/expect/policy/verdict"]);
  });

  test("that failed before refuse nothing", () => {
    const failing = changed(model, routeTest({ route: "other" }));
    expect(verdictOf(failing, route("b", { hosts: ["b"] }))).toEqual([]);
  });
});

describe("broken objects", () => {
  const broken: Change = { ...put("Upstream", "shop", {}), value: new TextEncoder().encode("{") };

  test("are refused when written, and have a place when they are there", () => {
    expect(verdictOf(sample(), broken)).toEqual(["bad-json Upstream/shop"]);
    const model = changed(sample(route("r", {})), broken);
    expect(validate(model).findings.map(brief)).toEqual([
      "broken-reference Route/r /spec/backends/0/upstream",
      "bad-json Upstream/shop",
    ]);
    expect(verdictOf(model, route("s", { hosts: ["s"] }))).toEqual([
      "broken-reference Route/s /spec/backends/0/upstream",
    ]);
    expect(verdictOf(model, route("r", {}, { priority: 1 }))).toEqual([]);
    expect(verdictOf(model, gone("Upstream", "shop"))).toEqual(["still-referenced Upstream/shop"]);
    expect(judge(model, { changes: [put("Upstream", "shop", { allowEmpty: true })] }).type).toBe("accepted");
  });
});

describe("change sets", () => {
  test.each<[string, Change[], string]>([
    ["a key twice", [route("r", {}), route("r", {})], "change-set"],
    ["a key of another mesh", [{ key: "/waymark/v1/other/live/routes/r", value: undefined }], "bad-key"],
    ["a key that no object has", [{ key: `/waymark/v1/${MESH}/live/rutes/r`, value: undefined }], "bad-key"],
    ["too many", Array.from({ length: MAX_CHANGES + 1 }, (_, i) => gone("Route", `r${i}`)), "change-set"],
  ])("%s", (_name, changes, code) => {
    expect(briefly(sample(), { changes })).toEqual([`${code} Mesh/${MESH}`]);
  });

  test("endpoints, the target and what lies beside live/ pass", () => {
    const keys = ["live/endpoints/shop/10.0.0.1:80", "live/target", "changes/1", "status/gw"];
    const changes = keys.map((key) => ({ key: `/waymark/v1/${MESH}/${key}`, value: new Uint8Array(1) }));
    const model = sample();
    expect(judge(model, { changes })).toMatchObject({ type: "accepted", model, findings: [] });
  });

  test("that take away more than half of the routes must be confirmed", () => {
    const model = sample(...[1, 2, 3, 4, 5, 6].map((i) => route(`r${i}`, { hosts: [`h${i}`] })));
    const drop = (count: number) => [1, 2, 3, 4, 5, 6].slice(0, count).map((i) => gone("Route", `r${i}`));
    expect(briefly(model, { changes: drop(3) })).toEqual([]);
    expect(briefly(model, { changes: drop(4) })).toEqual([`needs-confirmation Mesh/${MESH}`]);
    expect(briefly(model, { changes: drop(4), confirmed: true })).toEqual([]);
  });

  test("are judged even by steps without a budget, and the judgement stays", () => {
    const judging = new Judging(sample(), { changes: [route("r", {})] });
    const judgement = inSteps(judging, 0);
    expect(judgement.type).toBe("accepted");
    expect(judging.step(1)).toBe(judgement);
  });

  test("are refused in a text that fits into a trailer", () => {
    const long = "ä".repeat(300);
    const spec = {
      backends: [{ upstream: "shop" }],
      [long]: 1,
      priority: long,
      listeners: [long],
      timeouts: long,
    };
    const broken = judge(sample(), { changes: ["r", "s"].map((name) => put("Route", name, spec)) });
    const text = refusalText(broken.findings, broken.omitted);
    expect(new TextEncoder().encode(text).length).toBeLessThanOrEqual(2048);
    expect(text.split("\n")).toHaveLength(6);
    expect(text.split("\n").at(0)).toMatch(/^Route\/r at \/spec\//);
    expect(text.split("\n").at(-1)).toBe("and 3 more; a dry run lists them all");
  });

  test("have bounded findings, and the rest is counted", () => {
    const changes = Array.from({ length: 1500 }, (_, i) => route(`r${i}`, { hosts: [`h${i}`] }));
    const judgement = judge(modelOf(), { changes });
    expect(judgement.findings).toHaveLength(MAX_FINDINGS);
    expect(judgement.omitted).toBe(500);
  });
});

describe("against asking everything", () => {
  const match = fc.record(
    {
      hosts: fc.uniqueArray(fc.constantFrom("a.x", "*.x", "b"), { maxLength: 2 }),
      path: fc.constantFrom(
        { exact: "/a" },
        { prefix: "/a" },
        { prefix: "/" },
        { regex: "/a.*" },
        { prefix: "/a/b" },
      ),
      methods: fc.uniqueArray(fc.constantFrom("GET", "POST"), { maxLength: 2 }),
    },
    { requiredKeys: [] },
  );
  const change = fc.oneof(
    fc
      .tuple(
        fc.constantFrom("r1", "r2", "r3", "r4", "r5"),
        match,
        fc.integer({ min: -1, max: 2 }),
        fc.constantFrom("u1", "u2"),
      )
      .map(([name, one, priority, upstream]) => route(name, one, { priority, backends: [{ upstream }] })),
    fc
      .tuple(fc.constantFrom("l1", "l2"), fc.constantFrom(1, 2), fc.constantFrom("0.0.0.0", "::1"))
      .map(([name, port, address]) => put("Listener", name, { port, address })),
    fc
      .tuple(fc.constantFrom("u1", "u2"), fc.boolean())
      .map(([name, allowEmpty]) => put("Upstream", name, { allowEmpty })),
    fc
      .tuple(fc.constantFrom("r1", "r2"), fc.constantFrom("deny", "reset"))
      .map(([name, action]) => policyFor({ routes: [name] }, { [action]: {} })),
    fc
      .tuple(fc.constantFrom("/a", "/a/b", "/"), fc.constantFrom("r1", "r2"))
      .map(([path, name]) => routeTest({ route: name }, { host: "a.x", path, listener: "l1" })),
    fc.constantFrom(1, 3).map((maxRoutes) => put("Mesh", MESH, { limits: { maxRoutes } })),
    fc
      .constantFrom(
        ["Route", "r1"],
        ["Route", "r2"],
        ["Upstream", "u1"],
        ["Listener", "l1"],
        ["Policy", "p"],
        ["Mesh", MESH],
      )
      .map(([kind, name]) => gone(kind as "Route", name as string)),
  );
  const changeSet = fc.uniqueArray(change, { maxLength: 6, selector: ({ key }) => key });

  test("the findings are the same, and the models too", () => {
    fc.assert(
      fc.property(
        fc.array(change, { maxLength: 14 }),
        changeSet,
        fc.integer({ min: 1, max: 50 }),
        (base, changes, budget) => {
          const before = modelOf(...base);
          const after = changed(before, ...changes);
          const judgement = inSteps(new Judging(before, { changes, confirmed: true }), budget);
          const all = [...after.ids()].flatMap((id) =>
            addedFindings(findingsOf(before, id), findingsOf(after, id)),
          );
          expect(judgement.findings.map(cause).sort()).toEqual(all.map(cause).sort());
          expect(judgement.type).toBe(
            all.some(({ severity }) => severity === "error") ? "refused" : "accepted",
          );
        },
      ),
      { numRuns: 800 },
    );
  });

  /** Whom a finding is about, whether it is told of the one who names or of the one who went. */
  function cause({
    code,
    kind,
    name,
    path,
    other,
  }: {
    code: string;
    kind: string;
    name: string;
    path: string;
    other?: string;
  }): string {
    if (code === "still-referenced") return `reference ${other} ${kind}/${name}`;
    if (code === "missing-reference") return `reference ${kind}/${name} ${other}`;
    return `${code} ${kind}/${name} ${path}`;
  }
});

test("a mesh of 10,000 routes is judged whole, in steps, and a small change of it alone", () => {
  const count = 10_000;
  const changes = [
    put("Mesh", MESH, { limits: { maxRoutes: count + 1 } }),
    put("Listener", "web", LISTENER),
    ...Array.from({ length: 100 }, (_, i) =>
      put("Upstream", `u${i}`, { endpoints: [{ host: "127.0.0.1", port: 1000 + i }] }),
    ),
    ...Array.from({ length: count }, (_, i) => bigRoute(i)),
  ];
  let model = modelOf();
  for (let i = 0; i < changes.length; i += MAX_CHANGES) {
    const judging = new Judging(model, { changes: changes.slice(i, i + MAX_CHANGES) });
    const judgement = inSteps(judging, 200);
    expect(judgement.findings).toEqual([]);
    if (judgement.type === "accepted") model = judgement.model;
  }
  expect(model.count("Route")).toBe(count);
  expect(verdictOf(model, bigRoute(17, { backends: [{ upstream: "u7" }, { upstream: "u8" }] }))).toEqual([]);
  expect(verdictOf(model, bigRoute(17, { backends: [{ upstream: "none" }] }))).toEqual([
    "missing-reference Route/r17 /spec/backends/0/upstream",
  ]);
  // One above all of them: every route is dead, and the refusal stays readable.
  const judgement = judge(model, {
    changes: [route("top", {}, { priority: 1, backends: [{ upstream: "u1" }] })],
  });
  expect(judgement.findings.every(({ code }) => code === "unreachable-route")).toBe(true);
  expect(judgement.findings.length + judgement.omitted).toBe(count);
});

function bigRoute(i: number, more: Record<string, Json> = {}): Change {
  const match = { hosts: [`h${i % 1000}.example`], path: { prefix: `/svc-${i}/v1` } };
  return route(`r${i}`, match, { backends: [{ upstream: `u${i % 100}` }], ...more });
}

function inSteps(judging: Judging, budget: number): ReturnType<typeof judge> {
  for (let steps = 0; steps < 1_000_000; steps++) {
    const judgement = judging.step(budget);
    if (judgement !== undefined) return judgement;
  }
  throw new Error("the judgement does not come to an end");
}

function policyFor(target: Json, action: Json = { deny: {} }): Change {
  return put("Policy", "p", { target, action });
}

function routeTest(expected: Json, asked: Record<string, Json> = {}): Change {
  return put("RouteTest", "t", {
    request: { listener: "web", host: "a", path: "/", ...asked },
    expect: expected,
  });
}

function duplicateAtHost(route: string): string {
  return `duplicate-match ${route} /spec/match/hosts/0`;
}
