/** Mutants of the multi-version store (etcd #18089, #19179 and others, and our own). */
import { mutant } from "./mutant.ts";
import type { Mutant } from "./types.ts";

const mvccMutant = mutant.bind(undefined, "mvcc");

export const MVCC_MUTANTS: readonly Mutant[] = [
  mvccMutant("version-not-reset", "A key that is created again goes on counting versions.", [
    "write.ts",
    "version: previous === undefined ? 1 : previous.version + 1,",
    `version:
        previous !== undefined
          ? previous.version + 1
          : keys.newest(id) === NONE || rows.older(keys.newest(id)) === NONE
            ? 1
            : rows.version(rows.older(keys.newest(id))) + 1,`,
  ]),
  mvccMutant("create-revision-lost", "An update makes its own revision that of the creation.", [
    "write.ts",
    "createRevision: previous === undefined ? main : previous.createRevision,",
    "createRevision: main,",
  ]),
  mvccMutant("delete-of-nothing-bumps", "A transaction that changed nothing takes a revision.", [
    "write.ts",
    "if (this.#changes.length === 0) return undefined;",
    "if (this.#changes.length === 0) {\n      state.revision = this.revision;\n      return undefined;\n    }",
  ]),
  mvccMutant("sub-revision-repeats", "All changes of a transaction have the same sub revision.", [
    "write.ts",
    "const sub = this.#changes.length;",
    "const sub = Math.min(this.#changes.length, 1);",
  ]),
  mvccMutant("txn-range-sees-state-before", "A range in a txn does not see the writes before it.", [
    "write.ts",
    "return resolveAt(this.#state, range, revision <= 0 ? this.revision : revision, limit);",
    "return resolveAt(this.#state, range, revision <= 0 ? this.revision - 1 : revision, limit);",
  ]),
  mvccMutant("delete-range-takes-end", "A delete of a range takes the first key behind it, too.", [
    "write.ts",
    "const end = at === hi.block ? hi.slot : block.size;",
    "const end = at === hi.block ? Math.min(hi.slot + 1, block.size) : block.size;",
  ]),
  mvccMutant("old-read-gives-newest", "A read of an old revision gives the newest value.", [
    "state.ts",
    "for (; row !== NONE && rows.main(row) > at; walked++) row = rows.older(row);",
    "for (; row !== NONE && rows.createRevision(row) > at; walked++) row = rows.older(row);",
  ]),
  mvccMutant("count-honours-limit", "The count of a range ends at its limit.", [
    "../apply/kv/range.ts",
    `else if (this.#wanted === 0) this.#phase = "count";`,
    `else if (this.#wanted === 0) this.#phase = this.#sorting;`,
  ]),
  mvccMutant(
    "read-below-floor",
    "Revisions below the floor are read, as far as they are still there.",
    [
      "store.ts",
      "return revision < this.#state.compactRevision ? ERR.compacted : undefined;",
      "return revision < this.#state.physical ? ERR.compacted : undefined;",
    ],
    ["store.ts", "if (!isHeld || at > newest) fail(", "if (at > newest) fail("],
    [
      "store.ts",
      `if (revision < compactRevision) fail("a pin below the floor", { revision, compactRevision });`,
      "void compactRevision;",
    ],
  ),
  mvccMutant(
    "compaction-drops-live-version",
    "A compaction drops the version at the floor once there is a newer one.",
    [
      "state.ts",
      "if (newer !== NONE && rows.main(newer) <= floor) return false;",
      "if (newer !== NONE) return false;",
    ],
  ),
  mvccMutant(
    "compaction-drops-old-keys",
    "A compaction drops keys that were last written before the floor.",
    [
      "compaction.ts",
      "} else if (this.#state.isKept(row, pass.floor)) {",
      "} else if (this.#state.isKept(row, pass.floor) && rows.main(row) >= pass.floor) {",
    ],
  ),
  mvccMutant(
    "tombstone-at-floor-dropped",
    "A compaction drops the delete of its own revision (etcd #19179).",
    ["state.ts", "return main === floor || !rows.isDelete(row);", "return !rows.isDelete(row);"],
  ),
  mvccMutant(
    "floor-saved-when-deleted",
    "The floor of a compaction is saved when the deletion is complete, not before.",
    ["compaction.ts", "    this.#saveFloor();\n    return undefined;", "    return undefined;"],
  ),
  mvccMutant("hash-counts-leftovers", "The hash counts what compaction dropped and did not delete yet.", [
    "hash.ts",
    "return newer === NONE || state.rows.main(newer) > this.#revision;",
    "return newer === NONE || state.rows.main(newer) > 0;",
  ]),
  mvccMutant(
    "quota-counts-leftovers",
    "The size that the quota is judged by shrinks as rows are deleted.",
    ["compaction.ts", "state.logicalBytes -= droppedBytes(state, state.compactRevision, revision);", ""],
    [
      "compaction.ts",
      "    records.delete(changeName(main, sub));\n",
      "    records.delete(changeName(main, sub));\n    this.#state.logicalBytes -= this.#state.rowBytes(row);\n",
    ],
  ),
];
