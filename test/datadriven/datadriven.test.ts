// Goal: the protocol behaves as its stories tell, down to each message. Method: every file in testdata is run
// anew and compared with itself; `UPDATE=1 npx vitest run test/datadriven` writes what is told now, and the
// diff is the review.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { rerun } from "./datadriven.ts";
import { storyteller } from "./verbs.ts";

const FOLDER = fileURLToPath(new URL("./testdata/", import.meta.url));
const MIN_STORIES = 18;
const stories = readdirSync(FOLDER)
  .filter((name) => name.endsWith(".txt"))
  .sort();

describe("stories of the protocol", () => {
  test("are all here", () => {
    expect(stories.length).toBeGreaterThanOrEqual(MIN_STORIES);
  });

  test.each(stories)("%s", (name) => {
    const written = readFileSync(FOLDER + name, "utf8");
    expect(written.startsWith("# "), "a story opens by telling what it is about").toBe(true);
    const told = rerun(written, storyteller());
    if (process.env["UPDATE"] === "1") writeFileSync(FOLDER + name, told);
    else expect(told).toBe(written);
  });
});

describe("the runner", () => {
  const echo = (d: { verb: string; words: readonly string[] }): string[] => [d.verb, ...d.words];

  test("replaces answers and keeps comments", () => {
    const source = "# about\na x k=v # why\nb\n----\nold\n\nc\n----\n\n# end\n";
    expect(rerun(source, echo)).toBe("# about\na x k=v # why\nb\n----\na\nx\nb\n\nc\n----\nc\n\n# end\n");
  });

  test.each([
    ["a block without answer", "a\n", "line 1: a block without ----"],
    ["an answer without directive", "# x\n----\n", "line 2: ---- without a directive"],
  ])("refuses %s", (_name, source, message) => {
    expect(() => rerun(source, echo)).toThrow(message);
  });

  test("names the line of a directive that fails", () => {
    expect(() => rerun("\nnonsense 1\n----\n", storyteller())).toThrow('line 2, "nonsense 1"');
  });
});
