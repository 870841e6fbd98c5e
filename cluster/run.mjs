/**
 * What `npm start` calls: bundles start.ts and the members' program, and runs the first in this same process, so that a
 * Ctrl-C and the exit code have no process in between. (For the same reason the script says `exec`: a shell in between
 * would die of the Ctrl-C, and npm would give the terminal back while the members still stop.)
 *
 * Bundled, although dist/ has the members' program, too: one file is read in half the time of two hundred, which counts
 * three times on one machine, and what is started is never older than its source.
 */
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const [starter, program] = await Promise.all([
  bundle("cluster/start.ts", "start.mjs", { packages: "external" }),
  bundle("src/main/kvd.ts", "start-kvd.mjs", {
    // `level` and `pino` find parts of theirs beside their own files.
    external: ["level", "pino"],
    // protobufjs is CommonJS and asks for `require` at run time.
    banner: {
      js: 'import { createRequire as __r } from "node:module"; const require = __r(import.meta.url);',
    },
  }),
]);
const { start } = await import(pathToFileURL(starter).href);
process.exitCode = await start({ root, program }, process.argv.slice(2));

/** Bundles into build/ and gives the path there. */
async function bundle(source, name, options) {
  const outfile = join(root, "build", name);
  const { outputFiles } = await build({
    entryPoints: [join(root, source)],
    outfile,
    write: false,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    logLevel: "warning",
    ...options,
  });
  // Renamed into place, so that two that start together do not read half a bundle.
  const temporary = `${outfile}.${process.pid}`;
  mkdirSync(dirname(outfile), { recursive: true });
  writeFileSync(temporary, outputFiles[0].contents);
  renameSync(temporary, outfile);
  return outfile;
}
