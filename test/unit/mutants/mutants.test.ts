// Goal: the mutants are real and current. Method: applies each one's edits to the sources as they are; names are
// unique, every edit changes its text, and there are as many as the closing line of a mutant run demands.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { MUTANTS } from "../../../chaos/mutants/all.ts";
import { filesOf, mutate } from "../../../chaos/mutants/edit.ts";

const ROOT = join(import.meta.dirname, "../../..");

describe("mutants", () => {
  test("there are at least 100, with different names", () => {
    expect(MUTANTS.length).toBeGreaterThanOrEqual(100);
    expect(new Set(MUTANTS.map((m) => m.name)).size).toBe(MUTANTS.length);
  });

  test.each(MUTANTS.map((m) => [m.name, m] as const))(
    "%s changes the product as it is now",
    (_name, mutant) => {
      expect(mutant.edits.length).toBeGreaterThan(0);
      for (const file of filesOf(mutant)) {
        const source = readFileSync(join(ROOT, file), "utf8");
        expect(mutate(mutant, file, source)).not.toBe(source);
      }
    },
  );

  test("a text that is gone is noticed", () => {
    const stale = {
      name: "stale",
      area: "raft",
      story: "",
      edits: [{ file: "src/raft/raft.ts", find: "no such text", replace: "" }],
    } as const;
    expect(() => mutate(stale, "src/raft/raft.ts", "text")).toThrow(/not once/);
  });
});
