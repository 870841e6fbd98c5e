// Goal: one description gives validation, JSON Schema and documentation that say the same. Method: every description is
// walked for what it promises (words, limits, fallbacks that pass their own checks); explanations are read as told.
import { describe, expect, test } from "vitest";
import { checkValue } from "../../../src/config/check-value.ts";
import {
  explain,
  KIND_NAMES,
  KINDS,
  kindJsonSchema,
  kindMarkdown,
  kindOfWord,
} from "../../../src/config/index.ts";
import { nearest } from "../../../src/config/nearest.ts";
import type { Field, Schema } from "../../../src/config/schema.ts";

/** All fields of a description with their paths. */
function* fieldsOf(schema: Schema, path: string): Generator<[string, Field]> {
  if (schema.type === "list" || schema.type === "dictionary") yield* fieldsOf(schema.item, `${path}[]`);
  if (schema.type === "fields") {
    for (const [name, field] of Object.entries(schema.fields)) {
      yield [`${path}.${name}`, field];
      yield* fieldsOf(field.schema, `${path}.${name}`);
    }
  }
  if (schema.type === "variant") {
    for (const [name, one] of Object.entries(schema.variants)) {
      yield [`${path}.${name}`, { presence: "optional", ...one }];
      yield* fieldsOf(one.schema, `${path}.${name}`);
    }
  }
}

describe.each(KIND_NAMES.map((kind) => [kind]))("%s", (kind) => {
  const all = [...fieldsOf(KINDS[kind].spec, kind)];

  test("documents every field in a sentence", () => {
    expect(all.filter(([, { doc }]) => !/^.{3,}[.!]$/s.test(doc)).map(([path]) => path)).toEqual([]);
  });

  test("says of every time and size its unit in the name", () => {
    const wrong = all.filter(([path]) => /(timeout|interval|period|idle|size|age)$/i.test(path));
    expect(wrong.filter(([, { schema }]) => schema.type === "integer").map(([path]) => path)).toEqual([]);
  });

  test("has fallbacks that pass its own checks", () => {
    for (const [path, { schema, fallback }] of all) {
      if (fallback === undefined) continue;
      const checked = checkValue(schema, fallback, "", { kind, name: "x", unknownFields: "error" });
      expect([path, checked.findings]).toEqual([path, []]);
    }
  });

  test("has patterns that are anchored and valid in JSON Schema", () => {
    for (const [path, { schema }] of all) {
      const pattern = schema.type === "text" ? schema.format?.pattern : undefined;
      if (pattern === undefined) continue;
      expect([path, pattern.flags]).toEqual([path, ""]);
      expect([path, /^\^.*\$$/s.test(pattern.source)]).toEqual([path, true]);
    }
  });

  test("documents every field on its page", () => {
    const page = kindMarkdown(kind);
    for (const [path] of all)
      expect(page).toContain(`\`${path.replaceAll("[]", "").slice(kind.length + 1)}\``);
  });
});

test("JSON Schema says types, limits, defaults and that nothing else is taken", () => {
  const schema = kindJsonSchema("Route");
  expect(schema).toMatchObject({
    title: "Route",
    required: ["apiVersion", "kind", "metadata"],
    additionalProperties: false,
    properties: {
      kind: { enum: ["Route"] },
      metadata: { required: ["name"], properties: { name: { maxLength: 128 } } },
      spec: {
        properties: {
          priority: { type: "integer", default: 0, minimum: -1_000_000 },
          match: { properties: { path: { minProperties: 1, maxProperties: 1 } } },
          backends: { type: "array", maxItems: 32, items: { required: ["upstream"] } },
        },
      },
    },
  });
  expect(JSON.parse(JSON.stringify(schema))).toEqual(schema);
});

describe("explain", () => {
  test.each([
    ["route.match.path.prefix", "A beginning of the path in whole segments", "text, at most 1024"],
    ["routes.spec.priority", "Higher wins", "integer from -1000000"],
    ["Upstream.endpoints.port", "TCP port", "integer from 1 to 65535"],
    ["policy.metadata.owner", "Team that answers", "text, at most 128"],
    ["route.match.headers.exact", "The value, byte for byte.", "text, at most 2048"],
  ])("%s", (path, doc, form) => {
    const explained = explain(path);
    if (explained.type === "unknown") throw new Error(explained.message);
    expect(explained.doc).toContain(doc);
    expect(explained.form).toContain(form);
  });

  test("of an object lists its fields", () => {
    const explained = explain("route.match");
    if (explained.type === "unknown") throw new Error(explained.message);
    expect(explained.fields.map(({ name }) => name)).toEqual([
      "hosts",
      "path",
      "methods",
      "headers",
      "query",
    ]);
  });

  test.each([
    ["rout", "there is no kind rout; did you mean Route?"],
    ["route.mach", "spec has no field mach; did you mean match?"],
    ["route.priority.x", "spec.priority has no field x; it has no fields"],
    ["zzz", "there is no kind zzz; kinds: Mesh, Listener, Upstream, Route, Policy, RouteTest"],
  ])("%s is not known", (path, message) => {
    expect(explain(path)).toEqual({ type: "unknown", message });
  });
});

test("kinds are known by name and plural", () => {
  expect(["Route", "routes", "ROUTETEST", "tests", "mesh", "x"].map(kindOfWord)).toEqual([
    ...["Route", "Route", "RouteTest", "RouteTest", "Mesh"],
    undefined,
  ]);
});

test.each([
  ["prioritty", ["priority", "backends"], "priority"],
  ["weigth", ["weight", "width"], "weight"],
  ["Hosts", ["host", "hosts"], "hosts"],
  ["abc", ["xyz"], undefined],
  ["x".repeat(100), ["x"], undefined],
])("nearest to %s", (word, known, expected) => {
  expect(nearest(word, known)).toBe(expected);
});
