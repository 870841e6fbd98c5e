/**
 * Bundles one of the programs that are not part of the product and runs it: `node chaos/run.mjs sim --seeds 100`.
 * A bundle starts on every supported Node, whatever it does with TypeScript, and one file is quick to hand to workers.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const [asked, ...args] = process.argv.slice(2);
// The hunt for mutants and the second tier are programs of their own, asked for as options of the simulator.
const option = ["mutants", "driver"].find((program) => asked === "sim" && args.includes(`--${program}`));
const name = option ?? asked;
const entry =
  name === "bench" ? join(root, "test/bench/main.ts") : join(root, "chaos", name ?? "", "main.ts");
if (name === undefined || !existsSync(entry)) {
  console.error(`usage: node chaos/run.mjs sim|bench [arguments]; there is no ${entry}`);
  process.exit(2);
}
// Tests that build beside each other name their own file.
const outfile = process.env["SIM_BUNDLE"] ?? join(root, "build", `${name}.mjs`);
await build({
  entryPoints: [entry],
  outfile,
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  sourcemap: true,
  logLevel: "warning",
  absWorkingDir: root,
  // `level` finds its native part beside its own files.
  external: ["esbuild", "level"],
  // protobufjs is CommonJS and asks for `require` at run time.
  banner: {
    js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
  },
});
if (args[0] === "--build-only") process.exit(0);
const child = spawnSync(process.execPath, ["--enable-source-maps", outfile, ...args], {
  stdio: "inherit",
  env: { ...process.env, WAYMARK_ROOT: root },
});
process.exit(child.status ?? 1);
