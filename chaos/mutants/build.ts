/** Builds the simulator with one mutant in it. The mutated text exists in the bundle only. */
import { readFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { build, type Plugin } from "esbuild";
import { filesOf, mutate } from "./edit.ts";
import type { Mutant } from "./types.ts";

/** Bundles `chaos/mutants/hunt.ts` with the mutant's edits; returns the path of the bundle. */
export async function buildMutant(root: string, mutant: Mutant): Promise<string> {
  const outfile = join(root, "build", "mutants", `${mutant.name}.mjs`);
  await build({
    entryPoints: [join(root, "chaos", "mutants", "hunt.ts")],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    sourcemap: "inline",
    logLevel: "error",
    banner: {
      js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
    },
    plugins: [editPlugin(root, mutant)],
  });
  return outfile;
}

function editPlugin(root: string, mutant: Mutant): Plugin {
  const files = new Set(filesOf(mutant));
  return {
    name: "mutant",
    setup(setup) {
      setup.onLoad({ filter: /[/\\]src[/\\].*\.ts$/ }, ({ path }) => {
        const file = relative(root, path).split(sep).join("/");
        if (!files.has(file)) return undefined;
        return { contents: mutate(mutant, file, readFileSync(path, "utf8")), loader: "ts" };
      });
    },
  };
}
