// Goal: an object is taken with its defaults, or refused with findings that point at the mistake and say what to do.
// Method: tables of documents with one mistake each; every kind's description is held against its own products.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytesOf } from "../../../src/base/index.ts";
import {
  API_VERSION,
  findingText,
  type Json,
  MAX_OBJECT_BYTES,
  parseObject,
  readDocument,
} from "../../../src/config/index.ts";
import { brief, written } from "../../support/config-mesh.ts";

function problems(json: Json, unknownFields: "error" | "warning" = "error"): string[] {
  const read = readDocument(json, { unknownFields });
  return (read.type === "object" ? read.object.findings : read.findings).map(brief);
}

const BACKENDS = [{ upstream: "shop" }];

function routeWith(spec: { [name: string]: Json }): Json {
  return written("Route", "r", { backends: BACKENDS, ...spec });
}

function upstreamWith(spec: { [name: string]: Json }): Json {
  return written("Upstream", "u", { endpoints: [{ host: "a", port: 1 }], ...spec });
}

function policyWith(spec: { [name: string]: Json }): Json {
  return written("Policy", "p", { target: { mesh: {} }, action: { deny: {} }, ...spec });
}

function testWith(request: { [name: string]: Json }, expected: Json): Json {
  return written("RouteTest", "t", {
    request: { listener: "web", host: "a", path: "/", ...request },
    expect: expected,
  });
}

describe("one mistake, one finding", () => {
  const R = "Route/r /spec";
  test.each<[string, Json, string]>([
    ["an unknown field", routeWith({ prioritty: 1 }), `unknown-field ${R}/prioritty`],
    ["a field of a later version", routeWith({ mirror: "x" }), `unknown-field ${R}/mirror`],
    ["a missing field", written("Listener", "l", {}), "missing-field Listener/l /spec"],
    ["text for a number", routeWith({ priority: "1" }), `wrong-type ${R}/priority`],
    ["a fraction", routeWith({ priority: 1.5 }), `wrong-type ${R}/priority`],
    ["null", routeWith({ priority: null }), `wrong-type ${R}/priority`],
    ["a list for an object", routeWith({ match: [] }), `wrong-type ${R}/match`],
    ["an object for a list", routeWith({ backends: {} }), `wrong-type ${R}/backends`],
    ["a number too large", routeWith({ priority: 1_000_001 }), `out-of-range ${R}/priority`],
    ["a word of none", upstreamWith({ lb: "round-robbin" }), "not-a-choice Upstream/u /spec/lb"],
    [
      "two variants",
      routeWith({ match: { path: { exact: "/", prefix: "/" } } }),
      `not-one-variant ${R}/match/path`,
    ],
    ["no variant", routeWith({ match: { path: {} } }), `not-one-variant ${R}/match/path`],
    ["a host with port", routeWith({ match: { hosts: ["a:80"] } }), `bad-format ${R}/match/hosts/0`],
    ["a wildcard inside", routeWith({ match: { hosts: ["a.*.b"] } }), `bad-format ${R}/match/hosts/0`],
    ["a host twice", routeWith({ match: { hosts: ["a", "A"] } }), `repeated-item ${R}/match/hosts/1`],
    [
      "a path without slash",
      routeWith({ match: { path: { exact: "a" } } }),
      `bad-format ${R}/match/path/exact`,
    ],
    [
      "a path none can have",
      routeWith({ match: { path: { exact: "/a/../b" } } }),
      `bad-format ${R}/match/path/exact`,
    ],
    [
      "an unsafe regex",
      routeWith({ match: { path: { regex: "(a)\\1" } } }),
      `bad-regex ${R}/match/path/regex`,
    ],
    [
      "an unsafe regex of a header",
      routeWith({ match: { headers: { "x-a": { regex: "(?=a)" } } } }),
      `bad-regex ${R}/match/headers/x-a/regex`,
    ],
    [
      "a name that needs escaping in pointers",
      routeWith({ match: { query: { "a/b~c": { exact: 1 } } } }),
      `wrong-type ${R}/match/query/a~1b~0c/exact`,
    ],
    [
      "a header twice",
      routeWith({ match: { headers: { "X-A": { exact: "1" }, "x-a": { exact: "2" } } } }),
      `repeated-item ${R}/match/headers/x-a`,
    ],
    ["nowhere to go", written("Route", "r", {}), `too-few ${R}/backends`],
    [
      "all weights 0",
      routeWith({ backends: [{ upstream: "a", weight: 0 }] }),
      `bad-combination ${R}/backends`,
    ],
    [
      "an upstream twice",
      routeWith({ backends: [...BACKENDS, ...BACKENDS] }),
      `repeated-item ${R}/backends/1/upstream`,
    ],
    [
      "redirect and backends",
      routeWith({ filters: [{ redirect: {} }] }),
      `bad-combination ${R}/filters/0/redirect`,
    ],
    [
      "a status that redirects nothing",
      written("Route", "r", { filters: [{ redirect: { status: 304 } }] }),
      `not-a-choice ${R}/filters/0/redirect/status`,
    ],
    [
      "a prefix replaced where none matched",
      routeWith({ filters: [{ rewritePath: { prefix: "/x" } }] }),
      `bad-combination ${R}/filters/0/rewritePath/prefix`,
    ],
    [
      "a header that frames messages",
      routeWith({ filters: [{ requestHeaders: { set: { "Content-Length": "1" } } }] }),
      `bad-combination ${R}/filters/0/requestHeaders/set/content-length`,
    ],
    [
      "a header that ends its line",
      routeWith({ filters: [{ requestHeaders: { set: { a: "b\r\nc: d" } } }] }),
      `bad-format ${R}/filters/0/requestHeaders/set/a`,
    ],
    [
      "credentials for everybody",
      routeWith({ filters: [{ cors: { allowOrigins: ["*"], allowCredentials: true } }] }),
      `bad-combination ${R}/filters/0/cors/allowCredentials`,
    ],
    ["no endpoint", written("Upstream", "u", {}), "too-few Upstream/u /spec/endpoints"],
    [
      "an endpoint twice",
      upstreamWith({
        endpoints: [
          { host: "a", port: 1 },
          { host: "A", port: 1, weight: 2 },
        ],
      }),
      "repeated-item Upstream/u /spec/endpoints/1",
    ],
    [
      "a bad address",
      written("Listener", "l", { port: 1, address: "1.2.3.256" }),
      "bad-format Listener/l /spec/address",
    ],
    [
      "a certificate name twice",
      written("Listener", "l", {
        port: 1,
        tls: {
          certificates: ["/a", "/b"].map((f) => ({
            serverNames: ["x"],
            certificateFile: f,
            privateKeyFile: f,
          })),
        },
      }),
      "repeated-item Listener/l /spec/tls/certificates/1/serverNames",
    ],
    [
      "a listener that redirects",
      written("Listener", "l", { port: 1, filters: [{ redirect: {} }] }),
      "bad-combination Listener/l /spec/filters/0/redirect",
    ],
    ["an action unknown", policyWith({ action: { denny: {} } }), "unknown-field Policy/p /spec/action/denny"],
    [
      "a target without names",
      policyWith({ target: { routes: [] } }),
      "too-few Policy/p /spec/target/routes",
    ],
    ["a test that expects nothing", testWith({}, {}), "too-few RouteTest/t /spec/expect"],
    [
      "a test of a refused path",
      testWith({ path: "/%zz" }, { status: 404 }),
      "bad-format RouteTest/t /spec/request/path",
    ],
    [
      "a test that cannot hold",
      testWith({}, { noRoute: "yes", route: "r" }),
      "bad-combination RouteTest/t /spec/expect/noRoute",
    ],
    ["an unknown kind", { ...Object(routeWith({})), kind: "Rout" }, "unknown-kind Rout/r /kind"],
    ["a kind of later", { ...Object(routeWith({})), kind: "Secret" }, "unknown-kind Secret/r /kind"],
    [
      "a version of later",
      { ...Object(routeWith({})), apiVersion: "waymark/v9" },
      "unknown-version Route/r /apiVersion",
    ],
    ["no object at all", ["a"], "wrong-type /"],
    ["half a surrogate", routeWith({ description: "\ud800" }), "wrong-type Route/r /spec/description"],
  ])("%s", (_name, json, expected) => {
    expect(problems(json)).toEqual([expected]);
  });
});

test("an absent spec lacks its required fields, every time", () => {
  const bare = { apiVersion: API_VERSION, kind: "Listener", metadata: { name: "l" } };
  expect([problems(bare), problems(bare)]).toEqual(Array(2).fill(["missing-field Listener/l /spec"]));
});

test("the nearest known field is named", () => {
  const read = readDocument(routeWith({ prioritty: 1, zzz: 1 }));
  const texts = read.type === "refused" ? read.findings.map(findingText) : [];
  expect(texts[0]).toBe(
    'Route/r at /spec/prioritty: nothing knows the field "prioritty" (did you mean priority?)',
  );
  expect(texts[1]).toContain("known here: listeners, match, priority");
});

test("a document shows all its mistakes at once", () => {
  const json = routeWith({
    priority: "1",
    match: { hosts: ["a:1", "b"], methods: ["get"] },
    timeouts: { idle: 1 },
  });
  expect(problems(json)).toEqual([
    "bad-format Route/r /spec/match/hosts/0",
    "bad-format Route/r /spec/match/methods/0",
    "wrong-type Route/r /spec/priority",
    "unknown-field Route/r /spec/timeouts/idle",
  ]);
});

test("findings of one object are bounded, and an error survives among warnings", () => {
  const match = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`zz${i}`, 1]));
  const read = readDocument(written("Route", "r", { match, backends: "x" }), { unknownFields: "warning" });
  expect(read.type).toBe("refused");
  expect(read.type === "refused" && read.findings.length).toBe(100);
});

test("readers are lenient: an unknown field is a warning and is left out", () => {
  const read = readDocument(routeWith({ mirror: "x" }), { unknownFields: "warning" });
  expect(read.type).toBe("object");
  if (read.type !== "object") return;
  expect(read.object.findings.map(brief)).toEqual(["warning unknown-field Route/r /spec/mirror"]);
  expect(read.object.spec).not.toHaveProperty("mirror");
});

test("defaults are filled in at every level and not written", () => {
  const read = readDocument(upstreamWith({ endpoints: [{ host: "A.example", port: 80 }] }));
  if (read.type !== "object" || read.object.kind !== "Upstream") throw new Error("refused");
  expect(read.object.spec.endpoints).toEqual([{ host: "a.example", port: 80, weight: 1 }]);
  expect(read.object.spec.pool.connectTimeoutMs).toBe(5000);
  expect(read.object.spec.health).toEqual({});
  expect(read.text).not.toContain("connectTimeoutMs");
});

test("what an object names is collected with its places", () => {
  const read = readDocument(
    routeWith({ listeners: ["web"], backends: [{ upstream: "a" }, { upstream: "b" }] }),
  );
  if (read.type !== "object") throw new Error("refused");
  expect(read.object.references).toEqual([
    { path: "/spec/listeners/0", kind: "Listener", name: "web" },
    { path: "/spec/backends/0/upstream", kind: "Upstream", name: "a" },
    { path: "/spec/backends/1/upstream", kind: "Upstream", name: "b" },
  ]);
});

test("a field named __proto__ is a field like others", () => {
  const json: unknown = JSON.parse(
    `{"apiVersion":"${API_VERSION}","kind":"Route","metadata":{"name":"r"},"spec":{"backends":[{"upstream":"a"}],
      "__proto__":{"priority":7},"match":{"query":{"__proto__":{"exact":"1"}}}}}`,
  );
  const read = readDocument(json, { unknownFields: "warning" });
  if (read.type !== "object" || read.object.kind !== "Route") throw new Error("refused");
  expect(read.object.findings.map(brief)).toEqual(["warning unknown-field Route/r /spec/__proto__"]);
  expect(read.object.spec.priority).toBe(0);
  expect(Object.keys(read.object.spec.match.query)).toEqual(["__proto__"]);
});

describe("whatever is written", () => {
  const samples: Json[] = [
    routeWith({
      match: { hosts: ["a"], path: { regex: "/a" }, headers: { h: { exact: "1" } } },
      filters: [{ redirect: {} }],
    }),
    upstreamWith({ health: { passive: {} }, tls: {}, pool: {} }),
    policyWith({ action: { rateLimit: { requests: 1, key: { header: "a" } } } }),
    testWith({ headers: { a: "b" } }, { policy: { verdict: "pass" } }),
    written("Listener", "l", { port: 1, tls: { certificates: [] }, selector: { a: "b" } }),
    written("Mesh", "m", { defaults: { timeouts: { idleMs: 1 }, retry: { attempts: 1 } } }),
  ];
  const junk = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.constantFrom<Json>("\ud800", 2 ** 60, -0, { __proto__: null }, [[]], "*", "/%", "(".repeat(200)),
  );

  test("is an object, or refused with an error; nothing throws", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...samples),
        fc.array(fc.nat(40), { maxLength: 6 }),
        junk,
        (json, way, value) => {
          const damaged = JSON.stringify(replaced(json, way, value as Json));
          const bytes = bytesOf(damaged);
          for (const unknownFields of ["error", "warning"] as const) {
            const read = readDocument(JSON.parse(damaged), { unknownFields });
            const findings = read.type === "object" ? read.object.findings : read.findings;
            expect(findings.some(({ severity }) => severity === "error")).toBe(read.type === "refused");
            if (read.type === "refused") continue;
            // What is taken from a document is taken from the store, with the same meaning.
            const { kind, name, content } = read.object;
            const stored = [
              parseObject({ kind, name }, bytes, { unknownFields }),
              parseObject({ kind, name }, bytesOf(read.text), { unknownFields }),
            ];
            for (const parsed of stored)
              expect(parsed).toMatchObject({ type: "object", object: { content } });
          }
        },
      ),
      { numRuns: 1500 },
    );
  });
});

/** The value with one place in it replaced: each step of the way picks a member; where there is none, it ends. */
function replaced(json: Json, way: readonly number[], value: Json): Json {
  const [step, ...rest] = way;
  if (step === undefined || typeof json !== "object" || json === null) return value;
  if (Array.isArray(json)) {
    const at = step % (json.length + 1);
    return [...json.slice(0, at), replaced(json[at] ?? null, rest, value), ...json.slice(at + 1)];
  }
  const names = [...Object.keys(json), "extra"];
  const name = names[step % names.length] ?? "extra";
  return { ...json, [name]: replaced((json as Record<string, Json>)[name] ?? null, rest, value) };
}

describe("stored values", () => {
  const id = { kind: "Route", name: "r" } as const;
  const found = (value: Uint8Array): string[] => {
    const parsed = parseObject(id, value);
    return parsed.type === "broken" ? parsed.broken.findings.map(brief) : [];
  };
  const bytes = (json: Json): Uint8Array => bytesOf(JSON.stringify(json));

  test.each<[string, Uint8Array, string]>([
    ["empty", new Uint8Array(0), "bad-json Route/r"],
    ["no JSON", bytesOf("kind: Route"), "bad-json Route/r"],
    ["no UTF-8", new Uint8Array([0x22, 0xff, 0x22]), "bad-json Route/r"],
    ["too large", new Uint8Array(MAX_OBJECT_BYTES + 1).fill(0x20), "object-too-large Route/r"],
    ["another kind", bytes(upstreamWith({})), "name-mismatch Route/r /kind"],
    [
      "another name",
      bytes(written("Route", "s", { backends: BACKENDS })),
      "name-mismatch Route/r /metadata/name",
    ],
    [
      "no name",
      bytes({ apiVersion: API_VERSION, kind: "Route", metadata: {}, spec: {} }),
      "missing-field Route/r /metadata",
    ],
  ])("%s", (_name, value, expected) => {
    expect(found(value)).toEqual([expected]);
  });

  test("whose bytes are not canonical are taken as they are", () => {
    expect(found(bytesOf(JSON.stringify(routeWith({}), undefined, 2)))).toEqual([]);
  });
});
