/**
 * A mutant is one semantic change of the product, made in a bundle that only the mutant run builds: the sources are
 * never touched, and the product carries no switch for it. A mutant names the text that it replaces; when the product
 * moves on and the text is gone, the build of that mutant fails, and so does `test/unit/mutants`.
 */
export interface Mutant {
  /** kebab-case, unique. */
  readonly name: string;
  /** The folder of src whose code it changes; killers outside it are counted apart. */
  readonly area: "raft" | "member" | "apply" | "mvcc" | "watch" | "lease" | "wal" | "pb" | "peer" | "server";
  /** What a developer would have got wrong, and whose bug it was. One sentence. */
  readonly story: string;
  readonly edits: readonly Edit[];
}

/** The first tier runs no driver: what is wrong with that is hunted with the second one (chaos/driver). */
export function isDriverMutant({ area }: Mutant): boolean {
  return area === "server";
}

/** One textual replacement. `find` occurs exactly once in the file. */
export interface Edit {
  /** Path from the root of the project. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}
