// Goal: damage to the files of a state is refused or told, and never becomes a wrong answer (reliability.md #25).
// Method: bytes of a small database flipped and files cut at places from a seed, FLIP_SEED and FLIP_CASES choose
// others; each copy is opened and read whole. Then the refusals that an operator will meet, by their words.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { Level } from "level";
import { afterAll, describe, expect, it } from "vitest";
import { EMPTY_META } from "../../../src/backend/contract.ts";
import { LevelDirectory } from "../../../src/backend/index.ts";
import { seal } from "../../../src/backend/seal.ts";
import { bytesOf } from "../../../src/base/index.ts";
import { batch, contents, makeState, states } from "./small-state.ts";

const SEED = Number(process.env["FLIP_SEED"] ?? 20_252);
const CASES = Number(process.env["FLIP_CASES"] ?? 120);
const root = mkdtempSync(join(tmpdir(), "waymark-level-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let made = 0;

function place(): string {
  const path = join(root, `place-${made++}`);
  mkdirSync(path);
  return path;
}

describe(`damaged files, seed ${SEED}`, () => {
  it(`${CASES} flipped bytes and cut files never give a state that was not written`, async () => {
    const good = place();
    await makeState(good);
    const child = fileURLToPath(new URL("../../../build/flip-child.mjs", import.meta.url));
    await build({
      entryPoints: [fileURLToPath(new URL("./flip-child.ts", import.meta.url))],
      outfile: child,
      bundle: true,
      platform: "node",
      format: "esm",
      target: "node20",
      external: ["level"],
      // protobufjs is CommonJS and asks for `require` at run time.
      banner: {
        js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
      },
    });
    const outcomes = new Map<string, number>();
    for (let from = 0; from < CASES; ) {
      const args = [child, good, place(), String(SEED), String(from), String(CASES)];
      const { stdout, signal, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
      const lines = stdout.split("\n").filter((line) => line !== "");
      expect(lines.filter((line) => line.includes("WRONG"))).toEqual([]);
      expect(lines.length, stderr).toBeGreaterThan(0);
      for (const line of lines) {
        const outcome = /: (\w+)$/.exec(line)?.[1] ?? "stopped";
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      }
      // An assertion of LevelDB: the process stops, which is no wrong answer either.
      if (lines.length < CASES - from) expect(signal, stderr).toBe("SIGABRT");
      from += lines.length;
    }
    // Most damage is seen; what is not hits bytes that nobody reads.
    expect(outcomes.get("refused") ?? 0, JSON.stringify([...outcomes])).toBeGreaterThan(CASES / 4);
  });
});

describe("refusals", () => {
  async function rawChange(
    path: string,
    change: (db: Level<string, Uint8Array>) => Promise<void>,
  ): Promise<void> {
    const db = new Level<string, Uint8Array>(join(path, "state-0"), { valueEncoding: "view" });
    await change(db);
    await db.close();
  }

  it.each<[string, (path: string) => Promise<void> | void, RegExp]>([
    [
      "of a newer format",
      (path) => rawChange(path, (db) => db.put("!m", seal("!m", Uint8Array.of(2, 0)).slice())),
      /state-0: format version 2 is newer than this program reads \(1\)\. Start a program/,
    ],
    [
      "without a head",
      (path) => rawChange(path, (db) => db.del("!m")),
      /state-0: it has no head, .*Remove this member from the cluster/,
    ],
    [
      "with a damaged head",
      (path) => rawChange(path, (db) => db.put("!m", new Uint8Array(30))),
      /state-0: record "!m" is damaged/,
    ],
    [
      "without CURRENT, with tables",
      (path) => rmSync(join(path, "state-0", "CURRENT")),
      /state-0: its file CURRENT is missing/,
    ],
    [
      "with a table missing",
      (path) => {
        const table = readdirSync(join(path, "state-0")).find((name) => name.endsWith(".ldb")) ?? "none";
        rmSync(join(path, "state-0", table));
      },
      /state-0: it cannot be opened: .*Remove this member/,
    ],
  ])("a state %s", async (_name, damage, message) => {
    const path = place();
    await makeState(path);
    await damage(path);
    await expect(new LevelDirectory(path).open(0)).rejects.toThrow(message);
  });

  it("a state that is open elsewhere", async () => {
    const path = place();
    const backend = await new LevelDirectory(path).open(0);
    await expect(new LevelDirectory(path).open(0)).rejects.toThrow(
      /state-0: it is open in another process\. Stop that process first\./,
    );
    await backend.close();
  });

  it("a first state whose creation was cut short is begun again", async () => {
    const path = place();
    mkdirSync(join(path, "state-0"));
    writeFileSync(join(path, "state-0", "LOG"), "");
    const backend = await new LevelDirectory(path).open(0);
    expect(backend.meta).toEqual(EMPTY_META);
    await backend.close();
  });

  it("after a batch that failed every later one fails the same way", async () => {
    const path = place();
    const backend = await new LevelDirectory(path).open(0);
    await backend.write(batch(1));
    const bad = { ...batch(2), puts: [["käse", bytesOf("x")] as const] };
    await expect(backend.write(bad)).rejects.toThrow(
      /state-0: writing a batch failed: not a name of a record/,
    );
    await expect(backend.write(batch(3))).rejects.toThrow(/state-0: writing a batch failed: not a name/);
    expect(backend.meta.index).toBe(1);
    await backend.close();
    const again = await new LevelDirectory(path).open(0);
    expect(await contents(again)).toEqual(states()[1]);
    await again.close();
  });
});
