/**
 * The consensus core with one line changed, to show that the explorer notices. The product's own sources are
 * bundled with the change applied on the way; a text that is not there exactly once is an error, so that a
 * change of the core cannot quietly turn a broken copy into a correct one.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build, type Plugin } from "esbuild";
import type { RaftClass } from "./local.ts";

const ENTRY = fileURLToPath(new URL("../../src/raft/index.ts", import.meta.url));

/** One change to one file of `src/raft`. */
export interface Patch {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** @throws Error when the text to change is not in the file exactly once */
export async function brokenRaft(patch: Patch): Promise<RaftClass> {
  let applied = 0;
  const plugin: Plugin = {
    name: "patch",
    setup({ onLoad }) {
      onLoad({ filter: /src\/raft\/[^/]+\.ts$/ }, ({ path }) => {
        if (basename(path) !== patch.file) return undefined;
        const parts = readFileSync(path, "utf8").split(patch.from);
        applied = parts.length - 1;
        return { contents: parts.join(patch.to), loader: "ts" };
      });
    },
  };
  const folder = mkdtempSync(join(tmpdir(), "broken-raft-"));
  const outfile = join(folder, "raft.mjs");
  try {
    await build({ entryPoints: [ENTRY], bundle: true, format: "esm", outfile, plugins: [plugin] });
    if (applied !== 1) throw new Error(`"${patch.from}" is in ${patch.file} ${applied} times`);
    const loaded: { Raft: RaftClass } = await import(/* @vite-ignore */ pathToFileURL(outfile).href);
    return loaded.Raft;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
