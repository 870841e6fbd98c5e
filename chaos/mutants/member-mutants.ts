/** Mutants of the member machine (etcd issues, and our own). */
import { mutant } from "./mutant.ts";
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
    'else if (asked.type === "txn" ? isSerializableTxn(asked) : asked.serializable) {',
    'else if (s.raft.leader !== 0n || (asked.type === "txn" ? isSerializableTxn(asked) : asked.serializable)) {',
  ]),
  mutant(
    "member",
    "write-answered-when-proposed",
    "A write is answered as soon as the leader has appended it.",
    [
      "requests-in.ts",
      `  else s.pending.addWrite(s.now, id, proposed.sequence);`,
      `  else if (request.type === "put" && !request.prevKv) {
    const response = { type: "put", prevKv: undefined } as const;
    s.effects.answer({ type: "done", id, index: s.raft.lastIndex, revision: s.applied.kv.store.revision + 1, response });
  } else s.pending.addWrite(s.now, id, proposed.sequence);`,
    ],
  ),
  mutant("member", "timeout-is-refusal", "A write without an outcome in time is reported as not done.", [
    "requests.ts",
    `answers.push({ type: "unknown", id, reason: unknownReason });`,
    `answers.push({ type: "refused", id, error });`,
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
  mutant(
    "member",
    "keepalive-without-quorum",
    "A deposed leader that does not know it yet still renews leases (etcd #15247).",
    [
      "requests-in.ts",
      '      else readLinearizable(s, id, request);\n      return;\n    case "leaseLeases":',
      '      else answerRead(s, { id, request, deadline: s.now + s.options.requestTimeoutMs });\n      return;\n    case "leaseLeases":',
    ],
  ),
  mutant("member", "lease-list-is-local", "The list of leases is that of whoever is asked.", [
    "requests-in.ts",
    '      readLinearizable(s, id, request);\n      return;\n    case "hashKv":',
    '      answerRead(s, { id, request, deadline: s.now });\n      return;\n    case "hashKv":',
  ]),
  mutant(
    "member",
    "deposed-leader-expires-leases",
    "A member that lost the lead goes on ending leases by its old clock.",
    [
      "leases.ts",
      "  s.applied.kv.leases.demote();",
      "  if (s.leadsTerm !== 0) s.applied.kv.leases.demote();",
    ],
    [
      "leases.ts",
      "if (s.leadsTerm === 0 || s.stopping !== undefined || s.install !== undefined || s.now < leases.nextWake())",
      "if (s.stopping !== undefined || s.install !== undefined || s.now < leases.nextWake())",
    ],
  ),
  mutant(
    "member",
    "watchers-not-told-of-snapshot",
    "Watchers go on over the store that an installed snapshot replaced.",
    ["transfers.ts", "s.watch.restored(store.revision, store.compactRevision, store);", "void store;"],
  ),
  mutant(
    "member",
    "floor-not-told-to-watchers",
    "A compaction does not reach the watchers that are behind.",
    ["state.ts", "this.hub?.compacted(revision);", "void revision;"],
  ),
];
