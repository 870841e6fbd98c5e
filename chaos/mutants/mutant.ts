/** How the lists of mutants write one down. */
import { join } from "node:path/posix";
import type { Mutant } from "./types.ts";

/** One replacement of text; the file's path is relative to the folder of the mutant's area. */
export type TextEdit = readonly [file: string, find: string, replace: string];

/** Makes a mutant of `src/<area>` from its edits. */
export function mutant(area: Mutant["area"], name: string, story: string, ...edits: TextEdit[]): Mutant {
  return {
    name,
    area,
    story,
    edits: edits.map(([file, find, replace]) => ({ file: join("src", area, file), find, replace })),
  };
}
