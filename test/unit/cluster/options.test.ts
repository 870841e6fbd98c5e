// Goal: what `npm start` is given is taken or refused by name, and data is not started at ports that its members do not
// know. Method: tables; a directory of its own.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { claimDataDir, parseOptions } from "../../../cluster/options.ts";

test.each([
  ["nothing", [], { portBase: 2379, dataDir: "/root/data" }],
  ["values of their own", ["--port-base", "35534"], { portBase: 35_534, dataDir: "/root/data" }],
  ["values behind =", ["--port-base=1", "--data-dir=/d"], { portBase: 1, dataDir: "/d" }],
  ["a directory below", ["--data-dir", "there"], { portBase: 2379, dataDir: "/root/there" }],
])("%s is taken", (_name, args, options) => {
  expect(parseOptions(args, "/root")).toEqual({ type: "ok", options });
});

test.each([
  ["an unknown flag", ["--ports"], '"--ports" is not known; see npm start -- --help'],
  ["a flag without its value", ["--data-dir"], "--data-dir needs a value"],
  [
    "a base whose last port is none",
    ["--port-base=35535"],
    '--port-base: "35535" is not a whole number in [1, 35534]',
  ],
  ["a base that is no number", ["--port-base=2e3"], '--port-base: "2e3" is not a whole number in [1, 35534]'],
])("%s is refused", (_name, args, reason) => {
  expect(parseOptions(args, "/root")).toEqual({ type: "refused", reason });
});

test("data keeps the port base that it began with", () => {
  const folder = mkdtempSync(join(tmpdir(), "waymark-options-"));
  const dataDir = join(folder, "new", "data");
  expect(claimDataDir({ portBase: 2379, dataDir })).toBeUndefined();
  expect(claimDataDir({ portBase: 2379, dataDir })).toBeUndefined();
  expect(claimDataDir({ portBase: 4000, dataDir })).toBe(
    `the data in ${dataDir} belongs to port base 2379, not 4000: ` +
      "start with --port-base 2379, or give another --data-dir",
  );
  writeFileSync(join(folder, "file"), "");
  expect(claimDataDir({ portBase: 4000, dataDir: join(folder, "file") })).toContain("cannot be used");
  rmSync(folder, { recursive: true });
});
