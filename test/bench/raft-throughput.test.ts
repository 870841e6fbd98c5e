// Goal: the throughput benchmark measures committed work and not something easier. Method: a short run, by reference
// and through the codec; every entry must come out committed at every member. Nothing is said about time.
import { describe, expect, test } from "vitest";
import { commitEntries } from "./raft-throughput.ts";

describe("raft throughput", () => {
  test.each([
    ["by reference", false],
    ["through the codec", true],
  ])("%s: every member hands out every entry", (_name, codec) => {
    expect(commitEntries({ entries: 25_000, entryBytes: 256, codec })).toEqual([25_000, 25_000, 25_000]);
  });
});
