/** Mutants of the member machine and of apply (reliability.md §7, and our own). */
import { mutant, type TextEdit } from "./mutant.ts";
import type { Mutant } from "./types.ts";

export const MEMBER_MUTANTS: readonly Mutant[] = [
  mutant(
    "member",
    "answer-before-apply-index",
    "A linearizable read is answered before its index is applied.",
    [
      "applying.ts",
      "  const index = s.applied.index;\n  for (let read = s.pending.takeReadyRead(index);",
      "  const index = s.raft.lastIndex;\n  for (let read = s.pending.takeReadyRead(index);",
    ],
  ),
  mutant("member", "linearizable-read-is-local", "A linearizable read is answered from the local state.", [
    "requests-in.ts",
    "if (request.serializable) answerRead(s, id, request.key);",
    "if (request.serializable || s.raft.leader !== 0n) answerRead(s, id, request.key);",
  ]),
  mutant(
    "member",
    "write-answered-when-proposed",
    "A write is answered as soon as the leader has appended it.",
    [
      "requests-in.ts",
      `  else s.pending.addWrite(s.now, id, proposed.sequence);`,
      `  else s.effects.answer({ type: "written", id, index: s.raft.lastIndex, done: true, previous: s.applied.get(body.key)?.value });`,
    ],
  ),
  mutant("member", "timeout-is-refusal", "A write without an outcome in time is reported as not done.", [
    "requests.ts",
    `answers.push({ type: "unknown", id, reason: unknownReason });`,
    `answers.push({ type: "refused", id, reason: "timed out" });`,
  ]),
  mutant(
    "member",
    "request-identity-reused",
    "A restarted process counts its requests from 1 under its old identity.",
    [
      "state.ts",
      "const boot = BigInt(random.int(0, 2 ** 48));",
      "const boot = BigInt(random.int(0, 2 ** 48)) * 0n;",
    ],
  ),
  mutant(
    "member",
    "log-cut-beyond-backend",
    "The log is cut up to what is applied, not to what the backend holds.",
    ["storage.ts", "const durable = s.backend.durableIndex;", "const durable = s.applied.index;"],
  ),
  mutant(
    "member",
    "snapshot-loaded-before-record",
    "A received snapshot becomes the state before the log says so.",
    [
      "transfers.ts",
      `s.install = { meta, stage: "record" };`,
      `s.install = { meta, stage: "loading" };\n    s.effects.installSnapshot = meta;`,
    ],
    [
      "storage.ts",
      `if (install?.meta !== batch.snapshot) fail("a snapshot record that nobody installs", { seq });`,
      "if (install?.meta !== batch.snapshot) return;",
    ],
    ["storage.ts", "s.effects.installSnapshot = batch.snapshot;", ""],
  ),
  mutant("member", "slow-disk-keeps-leader", "A leader whose disk stands still goes on leading.", [
    "storage.ts",
    "s.raft.transferLeadership(s.now, NO_MEMBER);",
    "if (NO_MEMBER !== 0n) return;",
  ]),
  mutant("member", "snapshot-never-given-up", "A stream that hangs is never given up, and holds its place.", [
    "transfers.ts",
    "for (const { stream, to } of s.streams.expire(s.now)) {",
    "for (const { stream, to } of s.streams.expire(Number.NEGATIVE_INFINITY)) {",
  ]),
];

/**
 * The leader appends what it is sent, twice if it is sent twice. Alone this harms nothing: apply is the second line of
 * defence, and the only one that correctness rests on. To see that line the first one must be gone.
 */
const LEADER_TAKES_DUPLICATES: TextEdit = [
  "../member/requests-in.ts",
  "return s.proposed.has(requestId) || s.applied.isSeen(requestId) ? undefined : requestId;",
  "return requestId;",
];

export const APPLY_MUTANTS: readonly Mutant[] = [
  mutant(
    "apply",
    "duplicate-applied",
    "A request that arrives twice is appended twice and applied twice.",
    LEADER_TAKES_DUPLICATES,
    ["requests-seen.ts", "if (isSeen(seen, id.sequence)) return false;", ""],
  ),
  mutant(
    "apply",
    "dedupe-table-lost",
    "The table of requests seen is not saved: a restarted member applies what others skip.",
    LEADER_TAKES_DUPLICATES,
    ["applied-state.ts", "this.#requests.takeChanges(changes);", ""],
  ),
  mutant("apply", "failed-cas-writes", "A compare that fails writes all the same.", [
    "register-map.ts",
    `if (body.type === "cas" && previous !== body.expect) return { done: false, previous };`,
    `if (body.type === "cas" && previous !== body.expect && body.expect === undefined) return { done: false, previous };`,
  ]),
  mutant("apply", "delete-not-saved", "A deleted register comes back with the next restart.", [
    "register-map.ts",
    "if (register === undefined) into.deletes.push(REGISTER_PREFIX + key);",
    "if (register === undefined) continue;",
  ]),
  mutant(
    "apply",
    "change-lost-between-batches",
    "A register that changed twice between two batches is saved with its first value.",
    [
      "register-map.ts",
      "this.#registers.set(body.key, { value: body.value, modIndex: index });",
      "this.#registers.set(body.key, { value: body.value, modIndex: index });\n      if (this.#dirty.size > 3) return { done: true, previous };",
    ],
  ),
];
