/** Mutants of the write-ahead log and of the peers' handshake (reliability.md §7, and our own). */
import type { Mutant } from "./types.ts";

function mutant(
  name: string,
  story: string,
  ...edits: [file: string, find: string, replace: string][]
): Mutant {
  return {
    name,
    area: "wal",
    story,
    edits: edits.map(([file, find, replace]) => ({ file: `src/wal/${file}`, find, replace })),
  };
}

export const WAL_MUTANTS: readonly Mutant[] = [
  mutant("log-not-synced", "The log is written and not synced.", [
    "wal.ts",
    `ops.push({ type: "write", name, offset: this.#used, bytes }, { type: "sync", name });`,
    `ops.push({ type: "write", name, offset: this.#used, bytes });`,
  ]),
  mutant("directory-not-synced", "A new segment's name is not made durable before it is used (etcd #6368).", [
    "wal.ts",
    `return [{ type: "rename", from, to: segmentName(number) }, { type: "syncDir" }];`,
    `return [{ type: "rename", from, to: segmentName(number) }];`,
  ]),
  mutant("crc-ignored", "A batch is taken whatever its checksum says.", [
    "format.ts",
    "return crc32(bytes.subarray(lo, hi)) === crc;",
    "return bytes.length >= hi && crc >= 0 && lo <= hi;",
  ]),
  mutant(
    "damage-taken-for-torn",
    "Any damage in the last batch counts as torn: what was acknowledged is dropped.",
    [
      "recovery.ts",
      "const unfinished = isPattern(view, hi, hi + TRAILER_BYTES) ||",
      "const unfinished = hi > lo || isPattern(view, hi, hi + TRAILER_BYTES) ||",
    ],
  ),
  mutant("torn-batch-refused", "A batch that a crash cut off stops the member for ever.", [
    "recovery.ts",
    `if (isLast && unfinished && isPattern(view, next, length)) return { type: "torn" };`,
    "if (unfinished) void isLast;",
  ]),
  mutant(
    "torn-room-not-refilled",
    "The room of a torn batch is not refilled: its rest may pass for a later batch.",
    ["recovery.ts", "if (this.#torn) ops.push(...refill(current, this.#used));", ""],
  ),
  mutant(
    "hard-state-not-carried",
    "A new segment does not repeat the hard state; it goes with the old one.",
    [
      "wal.ts",
      "const state = { hardState: this.#hardState, snapshot: this.#snapshot, last: this.#shape.last };",
      "const state = { hardState: { term: this.#shape.last.term, vote: 0n, commit: 0 }, snapshot: this.#snapshot, last: this.#shape.last };",
    ],
    [
      "replay.ts",
      `if (!sameHardState(state.hardState, this.#hardState)) return "the segment begins with another hard state";`,
      "this.#hardState = state.hardState;",
    ],
  ),
  mutant(
    "snapshot-record-not-carried",
    "A new segment does not repeat the snapshot record; it goes with the old one.",
    [
      "wal.ts",
      "const state = { hardState: this.#hardState, snapshot: this.#snapshot, last: this.#shape.last };",
      "const state = { hardState: this.#hardState, snapshot: undefined, last: this.#shape.last };",
    ],
    [
      "replay.ts",
      `return same ? undefined : "the segment begins with another snapshot";`,
      "return undefined;",
    ],
  ),
  mutant("released-too-early", "A segment goes although it holds entries that are not applied.", [
    "wal.ts",
    "if (oldest.number >= this.#durableSegment || oldest.maxIndex > index) break;",
    "if (oldest.number >= this.#durableSegment || oldest.maxIndex > index + 40) break;",
  ]),
  mutant(
    "released-before-successor-durable",
    "The oldest segment goes before the next one's first batch is durable.",
    [
      "wal.ts",
      "if (oldest.number >= this.#durableSegment || oldest.maxIndex > index) break;",
      "if (oldest.number >= this.#current().number || oldest.maxIndex > index) break;",
    ],
  ),
  mutant(
    "conflict-not-resolved-at-open",
    "Overwritten entries come back when the log is read.",
    [
      "replay.ts",
      "this.#entries.length = position.index - this.#base.index;",
      "if (position.index >= this.last.index) this.#entries.length = position.index - this.#base.index;",
    ],
    [
      "replay.ts",
      "if (entry.index !== expected) return `",
      "if (entry.index !== expected) return undefined;\n    if (entry.index !== expected) return `",
    ],
  ),
  mutant("vote-lost-on-disk", "The log does not write the vote.", [
    "wal.ts",
    "writer.hardState(batch.hardState);",
    "writer.hardState({ ...batch.hardState, vote: 0n });",
  ]),
];

export const PEER_MUTANTS: readonly Mutant[] = [
  {
    name: "wiped-member-accepted",
    area: "peer",
    story: "A member that lost its data comes back under its old identity (etcd #10166).",
    edits: [
      {
        file: "src/peer/handshake.ts",
        find: "if (record.pinnedInstance === 0n || record.pinnedInstance === hello.instance) return undefined;",
        replace: "if (record.pinnedInstance >= 0n) return undefined;",
      },
    ],
  },
];
