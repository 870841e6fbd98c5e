// Goal: patterns mean what ECMAScript says they mean, on whole texts, and never take more than linear work. Method:
// tables; a property against RegExp over random patterns and texts; known runaway patterns on long texts.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compileRegex } from "../../../src/config/regex.ts";

function matches(pattern: string, text: string): boolean {
  const compiled = compileRegex(pattern);
  if (compiled.type === "refused") throw new Error(`${pattern}: ${compiled.reason}`);
  return compiled.regex.test(text);
}

describe("what a pattern takes", () => {
  test.each([
    ["/items/[0-9]+", "/items/17", true],
    ["/items/[0-9]+", "/items/", false],
    ["/items/[0-9]+", "/items/17/x", false],
    ["^/a$", "/a", true],
    ["/(a|b|)c", "/c", true],
    ["/[^/]+/x", "/a/b/x", false],
    ["/.*", "/a/b/x", true],
    ["a{2,3}", "a", false],
    ["a{2,3}", "aaa", true],
    ["a{2,3}", "aaaa", false],
    ["a{2,}", "aaaaa", true],
    ["a{2}", "aa", true],
    ["a{0}b", "b", true],
    ["(?:ab)*?", "abab", true],
    ["\\d\\w\\s", "1_ ", true],
    ["\\D\\W\\S", "a-b", true],
    ["[\\d-]+", "1-2", true],
    ["[\\]]", "]", true],
    ["[a-]", "-", true],
    ["\\.\\/\\{", "./{", true],
    ["", "", true],
    ["", "a", false],
    ["é+", "éé", true],
    ["[^a]", "é", true],
  ])("%s on %s", (pattern, text, expected) => {
    expect(matches(pattern, text)).toBe(expected);
  });
});

describe("what is refused", () => {
  test.each([
    ["a back reference", "(a)\\1", 4, "back references"],
    ["looking ahead", "a(?=b)", 4, "looking around"],
    ["looking behind", "(?<!a)b", 3, "looking around"],
    ["a named group", "(?<n>a)", 3, "plain groups"],
    ["a flag", "(?i)a", 3, "plain groups"],
    ["an open group", "a(b", 2, "not closed"],
    ["a closed group", "a)b", 2, "closes nothing"],
    ["an empty class", "[]", 2, "matches nothing"],
    ["an open class", "[a", 1, "not closed"],
    ["a range backwards", "[z-a]", 5, "wrong order"],
    ["counts backwards", "a{3,2}", 2, "wrong order"],
    ["nothing repeated", "*a", 1, "nothing to repeat"],
    ["repeated twice", "a**", 3, "nothing to repeat"],
    ["an anchor inside", "a^b", 2, "anchor"],
    ["a word boundary", "\\bx", 1, "not known"],
    ["a lonely backslash", "a\\", 2, "cannot end"],
    ["counts that multiply", "((a{200}){200}){200}", 1, "steps"],
    ["a pattern too long", "a".repeat(513), 513, "longer than"],
    ["groups too deep", `${"(".repeat(60)}a${")".repeat(60)}`, 52, "nested"],
  ])("%s", (_name, pattern, at, reason) => {
    const compiled = compileRegex(pattern);
    expect(compiled.type).toBe("refused");
    if (compiled.type !== "refused") return;
    expect(compiled.reason).toContain(reason);
    expect(compiled.at + 1).toBe(at);
  });
});

describe("properties", () => {
  const atom = fc.constantFrom("a", "b", ".", "[ab]", "[^a]", "\\d", "\\.", "c");
  const { pattern } = fc.letrec<{ pattern: string; piece: string }>((tie) => ({
    pattern: fc.array(tie("piece"), { maxLength: 4 }).map((parts) => parts.join("")),
    piece: fc.oneof(
      { maxDepth: 3 },
      atom,
      fc.tuple(atom, fc.constantFrom("*", "+", "?", "{1,2}", "{2}", "{0,}", "*?")).map((p) => p.join("")),
      fc.tuple(tie("pattern"), tie("pattern")).map(([a, b]) => `(${a}|${b})`),
      fc
        .tuple(tie("pattern"), fc.constantFrom("*", "+", "?", "{2}", "{1,3}"))
        .map(([a, count]) => `(?:${a})${count}`),
    ),
  }));

  test("agrees with RegExp", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "b", "c", ".", "1", "é"), maxLength: 8 });
    fc.assert(
      fc.property(pattern, fc.array(text, { minLength: 1, maxLength: 8 }), (p, texts) => {
        const compiled = compileRegex(p);
        if (compiled.type === "refused") return fc.pre(false);
        const oracle = new RegExp(`^(?:${p})$`, "s");
        for (const t of texts) expect([t, compiled.regex.test(t)]).toEqual([t, oracle.test(t)]);
      }),
      { numRuns: 1500 },
    );
  });

  // Each of these takes RegExp longer than a test may run. Here the answer must simply come.
  test.each([["(a+)+b"], ["(a|a)*b"], ["(a|aa)+b"], ["(.*)*x"], ["([a-z]+)*[0-9]"]])("%s ends", (p) => {
    expect(matches(p, "a".repeat(20_000))).toBe(false);
  });

  test("more states than are remembered change no answer", () => {
    // The tenth letter from the end is an a: a set of states for each of 2^10 endings.
    const compiled = compileRegex("[ab]*a[ab]{9}");
    if (compiled.type === "refused") throw new Error(compiled.reason);
    const { regex } = compiled;
    const oracle = /^[ab]*a[ab]{9}$/;
    let seed = 7;
    for (let i = 0; i < 300; i++) {
      let text = "";
      for (let j = 0; j < 60; j++) {
        seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
        text += seed >>> 31 === 0 ? "a" : "b";
      }
      expect(regex.test(text)).toBe(oracle.test(text));
    }
  });
});
