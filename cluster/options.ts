/** What `npm start --` takes, and the one thing that is remembered of it: which ports the data belongs to. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { DEFAULT_PORT_BASE, MAX_PORT_BASE } from "./layout.ts";

export interface StartOptions {
  readonly portBase: number;
  /** Absolute. */
  readonly dataDir: string;
}

export type ParsedOptions =
  | { readonly type: "ok"; readonly options: StartOptions }
  | { readonly type: "help" }
  /** Names the flag and what is wrong with it. */
  | { readonly type: "refused"; readonly reason: string };

export const HELP = `usage: npm start -- [--port-base N] [--data-dir DIR]

  --port-base N   clients at N, N+20000, N+30000, peers one above each; 1 to ${MAX_PORT_BASE} (${DEFAULT_PORT_BASE})
  --data-dir DIR  directory of data and logs (data)
`;

/** @param root what a relative directory is relative to */
export function parseOptions(args: readonly string[], root: string): ParsedOptions {
  let portBase = DEFAULT_PORT_BASE;
  let dataDir = "data";
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? "";
    const [name = "", inline] = splitFlag(arg);
    if (name === "--help" || name === "-h") return { type: "help" };
    if (name !== "--port-base" && name !== "--data-dir")
      return { type: "refused", reason: `"${arg}" is not known; see npm start -- --help` };
    const value = inline ?? args[++i] ?? "";
    if (value === "") return { type: "refused", reason: `${name} needs a value` };
    if (name === "--data-dir") {
      dataDir = value;
      continue;
    }
    portBase = /^[0-9]{1,5}$/.test(value) ? Number(value) : 0;
    if (portBase < 1 || portBase > MAX_PORT_BASE)
      return {
        type: "refused",
        reason: `--port-base: "${value}" is not a whole number in [1, ${MAX_PORT_BASE}]`,
      };
  }
  return { type: "ok", options: { portBase, dataDir: resolve(root, dataDir) } };
}

function splitFlag(arg: string): readonly [string, string | undefined] {
  const at = arg.indexOf("=");
  return at < 0 ? [arg, undefined] : [arg.slice(0, at), arg.slice(at + 1)];
}

/**
 * Makes the directory of all data, or judges the one that is there. Members are known by their peers' addresses, so
 * data that began at one port base is a cluster that finds nobody at another.
 *
 * @returns why the directory cannot be used, or undefined
 */
export function claimDataDir({ portBase, dataDir }: StartOptions): string | undefined {
  const file = join(dataDir, "port-base");
  let before: string;
  try {
    mkdirSync(dataDir, { recursive: true });
    if (!existsSync(file)) writeFileSync(file, `${portBase}\n`);
    before = readFileSync(file, "utf8").trim();
  } catch (error) {
    return `${dataDir} cannot be used: ${error instanceof Error ? error.message : String(error)}`;
  }
  if (before === String(portBase)) return undefined;
  return (
    `the data in ${dataDir} belongs to port base ${before}, not ${portBase}: ` +
    `start with --port-base ${before}, or give another --data-dir`
  );
}
