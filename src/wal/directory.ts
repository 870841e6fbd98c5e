/** Reads a log directory of the file system, for recovery. Take the lock (`lock.ts`) first. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { LogDirectory } from "../env/index.ts";

/** The files in the directory `path`, which must exist; what is in folders below it does not count. */
export function readLogDirectory(path: string): LogDirectory {
  return {
    list() {
      const names = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isFile());
      return names.map(({ name }) => ({ name, bytes: statSync(join(path, name)).size }));
    },
    read: (name) => readFileSync(join(path, name)),
  };
}
