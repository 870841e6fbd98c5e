/**
 * Damages copies of a small state, one way per case, opens each and reads all of it; prints one line per case. A
 * process of its own, because LevelDB has assertions that end it when some bytes of a table are damaged.
 *
 * Arguments: the good state, a place for copies, seed, first case, number of cases.
 */
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { BackendError, LevelDirectory } from "../../../src/backend/index.ts";
import type { Backend } from "../../../src/env/index.ts";
import { contents, states } from "./small-state.ts";

const [good = "", work = "", seed = "0", from = "0", to = "0"] = process.argv.slice(2);
const expected = states();
const files = readdirSync(join(good, "state-0")).filter((name) => /CURRENT|MANIFEST|log$|ldb$/.test(name));

for (let number = Number(from); number < Number(to); number++) {
  const path = join(work, `case-${number}`);
  cpSync(good, path, { recursive: true });
  const what = damage(join(path, "state-0"), number);
  // Before and after: an assertion of LevelDB ends the process in between.
  writeSync(1, `${number} ${what} `);
  writeSync(1, `${await outcome(path)}\n`);
  rmSync(path, { recursive: true });
}

function damage(path: string, number: number): string {
  let chance = (Number(seed) + Math.imul(number, 0x9e3779b9)) | 0;
  const random = (below: number): number => {
    chance = (Math.imul(chance, 1664525) + 1013904223) | 0;
    return Math.floor(((chance >>> 0) / 2 ** 32) * below);
  };
  const name = files[random(files.length)] ?? "";
  const bytes = readFileSync(join(path, name));
  const at = random(bytes.length);
  const isCut = random(5) === 0;
  bytes[at] = (bytes[at] ?? 0) ^ (1 << random(8));
  writeFileSync(join(path, name), isCut ? bytes.subarray(0, at) : bytes);
  return `${isCut ? "cut" : "flip"} of ${name} at ${at}:`;
}

/** "same", "refused", "told", or what is wrong. */
async function outcome(path: string): Promise<string> {
  let backend: Backend | undefined;
  try {
    backend = await new LevelDirectory(path).open(0);
    const got = await contents(backend);
    const state = expected[backend.meta.index];
    const missing = [...(state ?? [])].filter(([name]) => !got.has(name)).map(([name]) => name);
    const other = [...got].filter(([name, value]) => state?.get(name) !== value).map(([name]) => name);
    if (missing.length + other.length === 0)
      return backend.meta.index === expected.length - 1 ? "same" : "older";
    return `WRONG at index ${backend.meta.index}: missing ${missing}, other ${other}`;
  } catch (error) {
    if (error instanceof BackendError) return backend === undefined ? "refused" : "told";
    return `WRONG: threw ${String(error)}`;
  } finally {
    await backend?.close();
  }
}
