/** Mutants of the write-ahead log and of the peers' handshake (reliability.md §7, and our own). */
import { mutant } from "./mutant.ts";
import type { Mutant } from "./types.ts";

const walMutant = mutant.bind(undefined, "wal");

export const WAL_MUTANTS: readonly Mutant[] = [
  walMutant("log-not-synced", "The log is written and not synced.", [
    "wal.ts",
    `ops.push({ type: "write", name, offset: this.#used, bytes }, { type: "sync", name });`,
    `ops.push({ type: "write", name, offset: this.#used, bytes });`,
  ]),
  walMutant(
    "directory-not-synced",
    "A new segment's name is not made durable before it is used (etcd #6368).",
    [
      "wal.ts",
      `return [{ type: "rename", from, to: segmentName(number) }, { type: "syncDir" }];`,
      `return [{ type: "rename", from, to: segmentName(number) }];`,
    ],
  ),
  walMutant("crc-ignored", "A batch is taken whatever its checksum says.", [
    "format.ts",
    "return crc32(bytes.subarray(lo, hi)) === crc;",
    "return bytes.length >= hi && crc >= 0 && lo <= hi;",
  ]),
  walMutant(
    "damage-taken-for-torn",
    "Any damage in the last batch counts as torn: what was acknowledged is dropped.",
    [
      "recovery.ts",
      "const unfinished = isPattern(view, hi, hi + TRAILER_BYTES) ||",
      "const unfinished = hi > lo || isPattern(view, hi, hi + TRAILER_BYTES) ||",
    ],
  ),
  walMutant("torn-batch-refused", "A batch that a crash cut off stops the member for ever.", [
    "recovery.ts",
    `if (isLast && unfinished && isPattern(view, next, length)) return { type: "torn" };`,
    "if (unfinished) void isLast;",
  ]),
  walMutant(
    "torn-room-not-refilled",
    "The room of a torn batch is not refilled: its rest may pass for a later batch.",
    ["recovery.ts", "if (this.#torn) ops.push(...refill(current, this.#used));", ""],
  ),
  walMutant(
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
  walMutant("released-too-early", "A segment goes although it holds entries that are not applied.", [
    "wal.ts",
    "if (oldest.number >= this.#durableSegment || oldest.maxIndex > index) break;",
    "if (oldest.number >= this.#durableSegment || oldest.maxIndex > index + 40) break;",
  ]),
  walMutant(
    "released-before-successor-durable",
    "The oldest segment goes before the next one's first batch is durable.",
    [
      "wal.ts",
      "if (oldest.number >= this.#durableSegment || oldest.maxIndex > index) break;",
      "if (oldest.number >= this.#current().number || oldest.maxIndex > index) break;",
    ],
  ),
  walMutant(
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
  walMutant("vote-lost-on-disk", "The log does not write the vote.", [
    "wal.ts",
    "writer.hardState(batch.hardState);",
    "writer.hardState({ ...batch.hardState, vote: 0n });",
  ]),
];

export const PEER_MUTANTS: readonly Mutant[] = [
  mutant(
    "peer",
    "wiped-member-accepted",
    "A member that lost its data comes back under its old identity (etcd #10166).",
    [
      "handshake.ts",
      "if (standing.pinnedInstance === 0n || standing.pinnedInstance === hello.instance) return undefined;",
      "if (standing.pinnedInstance >= 0n) return undefined;",
    ],
  ),
];
