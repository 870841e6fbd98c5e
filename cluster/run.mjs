/**
 * What `npm start` calls: bundles start.ts and runs it in this same process, so that a Ctrl-C and the exit code have no
 * process in between. (For the same reason the script says `exec`: a shell in between would die of the Ctrl-C, and npm
 * would give the terminal back while the members still stop.) Bundled and not compiled to dist/: this is no part of the product, and starts on every supported
 * Node, whatever it does with TypeScript. The members run what `npm ci` has built in dist/.
 */
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const { outputFiles } = await build({
  entryPoints: [join(root, "cluster/start.ts")],
  outfile: join(root, "build/start.mjs"),
  write: false,
  bundle: true,
  packages: "external",
  platform: "node",
  format: "esm",
  target: "node20",
  logLevel: "warning",
});
// Renamed into place, so that two that start together do not read half a bundle.
const bundle = join(root, "build/start.mjs");
const temporary = `${bundle}.${process.pid}`;
mkdirSync(dirname(bundle), { recursive: true });
writeFileSync(temporary, outputFiles[0].contents);
renameSync(temporary, bundle);
const { start } = await import(pathToFileURL(bundle).href);
process.exitCode = await start(root, process.argv.slice(2));
