// Goal: keys, canonical bytes, digests and the one spelling of hosts and paths are exact. Method: tables, round trips
// as properties, and a digest computed here by hand.
import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytesOf, textOf } from "../../../src/base/index.ts";
import {
  canonicalBytes,
  canonicalText,
  changeDigest,
  changeKey,
  digestText,
  EMPTY_DIGEST,
  endpointKey,
  KIND_NAMES,
  meshDigest,
  normalizeHost,
  normalizePath,
  objectDigest,
  objectKey,
  type ParsedKey,
  parseKey,
  statusKey,
  targetKey,
} from "../../../src/config/index.ts";

const sha256 = (bytes: Uint8Array): Uint8Array => createHash("sha256").update(bytes).digest();

describe("keys", () => {
  test.each(KIND_NAMES.map((kind) => [kind]))("of a %s are read back", (kind) => {
    const name = kind === "Mesh" ? "main" : "a.b-c_1";
    expect(parseKey(objectKey("main", { kind, name }))).toEqual({ type: "object", mesh: "main", kind, name });
  });

  test.each<[string, ParsedKey]>([
    ["/waymark/v1/main/live/mesh", { type: "object", mesh: "main", kind: "Mesh", name: "main" }],
    ["/waymark/v1/main/live/routes/r", { type: "object", mesh: "main", kind: "Route", name: "r" }],
    [targetKey("main"), { type: "target", mesh: "main" }],
    [
      endpointKey("main", "u", "10.0.0.1:80"),
      { type: "endpoint", mesh: "main", upstream: "u", address: "10.0.0.1:80" },
    ],
    [
      endpointKey("main", "u", "[::1]:80"),
      { type: "endpoint", mesh: "main", upstream: "u", address: "[::1]:80" },
    ],
    [changeKey("main", "1"), { type: "beside", mesh: "main", area: "changes" }],
    [statusKey("main", "gw"), { type: "beside", mesh: "main", area: "status" }],
    ["/other", { type: "foreign" }],
    ["/waymark/v2/main/live/mesh", { type: "foreign" }],
  ])("%s", (key, expected) => {
    expect(parseKey(key)).toEqual(expected);
  });

  test.each([
    ["/waymark/v1/"],
    ["/waymark/v1/Main/live/mesh"],
    ["/waymark/v1/main/live/"],
    ["/waymark/v1/main/live/mesh/x"],
    ["/waymark/v1/main/live/route/r"],
    ["/waymark/v1/main/live/routes/"],
    ["/waymark/v1/main/live/routes/R"],
    ["/waymark/v1/main/live/routes/r/s"],
    ["/waymark/v1/main/live/secrets/s"],
    ["/waymark/v1/main/live/endpoints/u/nowhere"],
    ["/waymark/v1/main/live/endpoints/u/a:70000"],
    [`/waymark/v1/main/live/routes/${"r".repeat(129)}`],
  ])("%s is no key", (key) => {
    expect(parseKey(key).type).toBe("bad");
  });
});

describe("canonical JSON", () => {
  test.each<[string, unknown, string]>([
    ["names sorted by units", { b: 1, a: 2, "\u20ac": 3, A: 4 }, '{"A":4,"a":2,"b":1,"\u20ac":3}'],
    [
      "the example of RFC 8785 for text",
      '\u20ac$\u000f\nA\'B"\\\\"/',
      '"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"',
    ],
    ["nested", [{ b: [], a: {} }, null, true], '[{"a":{},"b":[]},null,true]'],
    ["minus zero", -0, "0"],
    ["a large integer", 2 ** 53 - 1, "9007199254740991"],
  ])("%s", (_name, value, expected) => {
    expect(canonicalText(value)).toEqual({ type: "text", text: expected });
  });

  test.each<[string, unknown, string]>([
    ["a fraction", { a: [1, 0.5] }, "/a/1"],
    ["beyond 2^53", { a: 2 ** 53 }, "/a"],
    ["not a number", [Number.NaN], "/0"],
    ["half a surrogate pair", { "a/b": "\udc00" }, "/a~1b"],
    ["undefined", [undefined], "/0"],
  ])("%s has none", (_name, value, path) => {
    expect(canonicalText(value)).toMatchObject({ type: "refused", path });
  });

  test("is one text per value, and the value is read back from it", () => {
    const { json } = fc.letrec((tie) => ({
      json: fc.oneof(
        { maxDepth: 3 },
        fc.constant(null),
        fc.boolean(),
        fc.maxSafeInteger(),
        fc.string({ unit: "grapheme" }),
        fc.array(tie("json"), { maxLength: 4 }),
        fc.dictionary(fc.string({ maxLength: 3 }), tie("json"), { maxKeys: 4, noNullPrototype: true }),
      ),
    }));
    fc.assert(
      fc.property(json, (value) => {
        const canonical = canonicalText(value);
        if (canonical.type === "refused") throw new Error(canonical.reason);
        const back: unknown = JSON.parse(canonical.text);
        expect(canonicalText(reversed(back))).toEqual(canonical);
        expect(JSON.stringify(sorted(back))).toBe(JSON.stringify(sorted(value)));
      }),
      { numRuns: 300 },
    );
  });

  test("bytes are UTF-8", () => {
    expect(textOf(canonicalBytes({ a: "é" }))).toBe('{"a":"é"}');
  });
});

describe("digest", () => {
  const a = { key: "k", value: bytesOf("v") };
  const b = { key: "l", value: bytesOf("") };

  test("of an object is SHA-256 of lengths and bytes", () => {
    const hash = createHash("sha256")
      .update(Buffer.from([0, 0, 0, 1, 0x6b, 0, 0, 0, 1, 0x76]))
      .digest("hex");
    expect(digestText(objectDigest(sha256, "k", bytesOf("v")))).toBe(hash);
  });

  test("of a mesh does not depend on order, and follows changes", () => {
    const all = meshDigest(sha256, [a, b]);
    expect(meshDigest(sha256, [b, a])).toBe(all);
    const [one, other] = [a, b].map(({ key, value }) => objectDigest(sha256, key, value));
    expect(changeDigest(changeDigest(EMPTY_DIGEST, undefined, one), undefined, other)).toBe(all);
    expect(changeDigest(all, other, undefined)).toBe(one);
    expect(changeDigest(one ?? 0n, one, other)).toBe(other);
    expect(changeDigest(EMPTY_DIGEST, 1n, undefined)).toBe(2n ** 256n - 1n);
    expect(digestText(EMPTY_DIGEST)).toBe("0".repeat(64));
  });
});

describe("paths", () => {
  test.each<[string, string | undefined]>([
    ["/", "/"],
    ["/a/b", "/a/b"],
    ["/a//b", "/a/b"],
    ["//a", "/a"],
    ["/a/./b/", "/a/b/"],
    ["/a/../b", "/b"],
    ["/a/..", "/"],
    ["/a/b/.", "/a/b/"],
    ["/%61dmin", "/admin"],
    ["/a%2fb", "/a%2Fb"],
    ["/%2e%2e/a", undefined],
    ["/a/%2e%2e/b", "/b"],
    ["/..", undefined],
    ["/a/../../b", undefined],
    ["/%", undefined],
    ["/%4", undefined],
    ["/%2%41", undefined],
    ["/%00", undefined],
    ["/%c3%a9", "/%C3%A9"],
    ["/é", undefined],
    ["/a b", undefined],
    ["/a\\b", "/a%5Cb"],
    ['/a{b}|"', "/a%7Bb%7D%7C%22"],
    ["/...", "/..."],
    ["a", undefined],
    ["", undefined],
    ["*", undefined],
  ])("%s", (path, expected) => {
    expect(normalizePath(path)).toBe(expected);
  });

  test("the normal form is its own normal form", () => {
    const unit = fc.constantFrom("/", ".", "%", "2", "e", "E", "5", "c", "a", "\\", "..", "//", "%2e", "%2F");
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 12 }), (path) => {
        const once = normalizePath(`/${path}`);
        fc.pre(once !== undefined);
        expect(normalizePath(once ?? "")).toBe(once);
        expect(once).not.toMatch(/\/\/|\/\.\.?(\/|$)/);
      }),
      { numRuns: 1000 },
    );
  });
});

test.each([
  ["Shop.Example", "shop.example"],
  ["shop.example:8080", "shop.example"],
  ["shop.example.", "shop.example"],
  ["[::1]:80", "[::1]"],
  ["", ""],
])("host %s", (host, expected) => {
  expect(normalizeHost(host)).toBe(expected);
});

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([name, item]) => [name, reversed(item)]),
  );
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return Object.is(value, -0) ? 0 : value;
  return Object.entries(value)
    .map(([name, item]) => [name, sorted(item)] as const)
    .sort(([x], [y]) => (x < y ? -1 : 1));
}
