/** Mutants of apply: requests seen, txns, alarms, and what is written and not durable yet. */
import { mutant, type TextEdit } from "./mutant.ts";
import type { Mutant } from "./types.ts";

const applyMutant = mutant.bind(undefined, "apply");

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
  applyMutant(
    "duplicate-applied",
    "A request that arrives twice is appended twice and applied twice.",
    LEADER_TAKES_DUPLICATES,
    ["requests-seen.ts", "if (isSeen(seen, id.sequence)) return false;", ""],
  ),
  applyMutant(
    "dedupe-table-lost",
    "The table of requests seen is not saved: a restarted member applies what others skip.",
    LEADER_TAKES_DUPLICATES,
    ["applied-state.ts", "this.#requests.takeChanges(changes);", ""],
  ),
  applyMutant("failed-compare-writes", "A txn whose compares fail runs the branch of success all the same.", [
    "kv/txn.ts",
    "const ops = succeeded ? txn.success : txn.failure;",
    "const ops = succeeded || txn.success.length > 0 ? txn.success : txn.failure;",
  ]),
  applyMutant(
    "nested-compare-sees-writes",
    "The compares of a nested txn are judged on what was written before it.",
    [
      "kv/txn.ts",
      `responses.push(runPlan(txn, plan.nested[nested++] ?? fail("a nested txn has no plan")));`,
      "nested++;\n      responses.push(runPlan(txn, planTxn(txn, op)));",
    ],
  ),
  applyMutant(
    "failed-range-applies-half",
    "A txn that is refused for the revision of a range has written what comes before it.",
    [
      "kv/kv-state.ts",
      "return planProblem(this.store, this.leases, plan) ?? this.#write(plan, runPlan);",
      `const problem = planProblem(this.store, this.leases, plan);
        if (problem === undefined) return this.#write(plan, runPlan);
        const at = plan.ops.findIndex((op) => op?.type === "range" && op.revision > 0);
        if (at > 0 && (problem === ERR.futureRevision || problem === ERR.compacted)) this.#write({ ...plan, ops: plan.ops.slice(0, at) }, runPlan);
        return problem;`,
    ],
  ),
  applyMutant("compare-of-one-is-enough", "A compare over a range holds when one of its keys does.", [
    "kv/compare.ts",
    "for (const meta of metas) if (!holdsFor(reader, compare, meta)) return false;\n  return true;",
    "for (const meta of metas) if (holdsFor(reader, compare, meta)) return true;\n  return false;",
  ]),
  applyMutant("limit-cuts-before-order", "A range with an order takes the first keys and sorts only those.", [
    "kv/range.ts",
    "return limit <= 0 || !inKeyOrder || hasFilter(request) ?",
    "return limit <= 0 || (!inKeyOrder && hasFilter(request)) ?",
  ]),
  applyMutant("count-honours-filter", "The count of a range leaves out what its filters leave out.", [
    "kv/range.ts",
    `return { type: "range", kvs: this.#kvs, more: this.#more, count: this.#count };`,
    `const count = hasFilter(this.#request) && !this.#more ? this.#kvs.length : this.#count;
    return { type: "range", kvs: this.#kvs, more: this.#more, count };`,
  ]),
  applyMutant("ignored-value-is-lost", "A put that leaves the value as it is writes an empty one.", [
    "kv/txn.ts",
    "if (ignoreValue) value = previous === undefined ? EMPTY_BYTES : readValue(txn, previous);",
    "if (ignoreValue && previous === undefined) value = EMPTY_BYTES;",
  ]),
  applyMutant("revoke-leaves-keys", "A revoke ends the lease and leaves its keys.", [
    "kv/kv-state.ts",
    "if (keys.length > 0) this.#write(keys, deleteKeys);",
    "if (keys.length > 1000) this.#write(keys, deleteKeys);",
  ]),
  applyMutant("attachments-lost-at-restart", "A restarted member does not know which keys hang on a lease.", [
    "kv/kv-loader.ts",
    "leases.lessor.attach(meta.lease, meta.key)",
    "leases.lessor.has(meta.lease)",
  ]),
  applyMutant("alarm-not-saved", "The alarm that the quota raised is forgotten by whoever restarts.", [
    "kv/alarms.ts",
    "this.#records.put(recordOf(alarm), new Uint8Array([VALUE]));",
    "",
  ]),
  applyMutant("batch-in-flight-not-read", "What is on its way to the backend is looked for there already.", [
    "overlay.ts",
    "const found = this.#changes.get(name) ?? this.#inFlight?.get(name);",
    "const found = this.#changes.get(name);",
  ]),
  applyMutant("deletes-not-saved", "What was deleted comes back with the next restart.", [
    "overlay.ts",
    "else changes.deletes.push(name);\n",
    "\n",
  ]),
  applyMutant(
    "delete-cancels-put",
    "A delete takes back the put of its batch, and what was saved before it stays.",
    [
      "overlay.ts",
      "    const before = changed.size;\n",
      "    if (bytes === DELETED && changed.delete(name)) return;\n    const before = changed.size;\n",
    ],
  ),
  applyMutant(
    "record-saved-with-first-value",
    "A record that changes twice between two batches is saved as at first.",
    [
      "overlay.ts",
      "    changed.set(name, bytes);\n",
      "    if (!changed.has(name)) changed.set(name, bytes);\n",
    ],
  ),
];
