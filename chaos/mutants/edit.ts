/** Applies a mutant's edits to the text of a source file. */
import type { Mutant } from "./types.ts";

/** Files that the mutant changes, each once. */
export function filesOf(mutant: Mutant): string[] {
  return [...new Set(mutant.edits.map((e) => e.file))];
}

/**
 * The text of `file` as the mutant has it.
 * @throws Error when a text to replace is not there exactly once: the mutant is stale and must follow the product
 */
export function mutate(mutant: Mutant, file: string, source: string): string {
  let text = source;
  for (const edit of mutant.edits) {
    if (edit.file !== file) continue;
    const parts = text.split(edit.find);
    if (parts.length !== 2) {
      throw new Error(
        `mutant ${mutant.name}: ${file} has its text ${parts.length - 1} times, not once: ${edit.find}`,
      );
    }
    text = parts.join(edit.replace);
  }
  return text;
}
