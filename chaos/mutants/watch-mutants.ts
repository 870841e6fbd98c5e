/** Mutants of watching (etcd #15220, #17529, #19179, #20221 and others, and our own). */
import { mutant } from "./mutant.ts";
import type { Mutant } from "./types.ts";

const watchMutant = mutant.bind(undefined, "watch");

export const WATCH_MUTANTS: readonly Mutant[] = [
  watchMutant("full-queue-loses-event", "An event that does not fit into the queue is lost.", [
    "hub.ts",
    `else if (!watcher.stream.offer(watcher, batch)) {
        this.#index.remove(watcher);
        watcher.next = revision;
        watcher.stream.fallBehind(watcher);
      }`,
    "else watcher.stream.offer(watcher, batch);",
  ]),
  watchMutant("held-batch-skipped", "What did not fit while a watcher caught up is passed over.", [
    "hub.ts",
    `watcher.next = part.first;\n        return "held";`,
    `watcher.next = part.next;\n        return "held";`,
  ]),
  watchMutant("told-twice-after-falling-behind", "Who falls behind is told the last revision once more.", [
    "hub.ts",
    "        watcher.next = revision;\n        watcher.stream.fallBehind(watcher);",
    "        watcher.next = revision - 1;\n        watcher.stream.fallBehind(watcher);",
  ]),
  watchMutant("start-one-late", "A watcher begins one revision after the one that was asked for.", [
    "stream.ts",
    "const next = request.startRevision === 0 ? soonest : request.startRevision;",
    "const next = request.startRevision === 0 ? soonest : request.startRevision + 1;",
  ]),
  watchMutant("start-at-present-skipped", "A watcher that begins at the present revision misses it.", [
    "hub.ts",
    "        if (watcher.next <= this.#revision) {\n          watcher.stream.fallBehind(watcher);",
    "        if (watcher.next < this.#revision) {\n          watcher.stream.fallBehind(watcher);",
  ]),
  watchMutant("new-watcher-told-of-present", "A watcher from now on is told the last change as well.", [
    "stream.ts",
    "const soonest = this.#host.revision + 1;",
    "const soonest = Math.max(1, this.#host.revision);",
  ]),
  watchMutant(
    "future-watcher-told-at-once",
    "A watcher of a future revision is told of older ones (etcd #20221).",
    ["hub.ts", "if (watcher.next > revision) continue;", ""],
  ),
  watchMutant(
    "revision-told-in-parts",
    "The events of one revision come in several responses that all look complete.",
    [
      "hub.ts",
      "      this.#tell(group, encoded);\n      this.#made.fill(undefined);",
      "      for (const one of encoded) {\n        this.#tell(group, [one]);\n        this.#made.fill(undefined);\n      }",
    ],
  ),
  watchMutant("progress-while-behind", "Progress is reported to a watcher that lacks events (etcd #15220).", [
    "stream.ts",
    `return watcher.state === "synced" && watcher.startRevision <= this.#host.revision;`,
    "return watcher.startRevision <= this.#host.revision;",
  ]),
  watchMutant(
    "not-cancelled-below-floor",
    "A watcher below the floor goes on at the floor, and is not told of the gap.",
    [
      "hub.ts",
      `      stream.end(watcher, { compactRevision: this.#compactRevision, cancelReason: "" });
      return 1;`,
      "      watcher.next = this.#compactRevision;",
    ],
  ),
  watchMutant(
    "snapshot-skips-events",
    "An installed snapshot takes synced watchers to its revision without its events.",
    [
      "hub.ts",
      "watcher.next = Math.max(watcher.next, told + 1);",
      "watcher.next = Math.max(watcher.next, revision + 1, told + 1);",
    ],
  ),
  watchMutant(
    "batch-shared-between-wishes",
    "Watchers of a range share their events whatever they left out.",
    ["hub.ts", "      let batch = made[watcher.wishes];", "      let batch = made[0];"],
    ["hub.ts", "        made[watcher.wishes] = batch;", "        made[0] = batch;"],
  ),
  watchMutant("filter-ignored", "A watcher gets the deletes that it did not want.", [
    "event-batch.ts",
    `return (wishes & (change.type === "put" ? WISH.noPut : WISH.noDelete)) === 0;`,
    `return (wishes & (change.type === "put" ? WISH.noPut : 0)) === 0;`,
  ]),
  watchMutant(
    "previous-value-by-who-came-first",
    "Whether an event has its previous value depends on who was told first.",
    [
      "event-batch.ts",
      `      this.#withPrevious ??= this.#encode(store, true);
      return this.#withPrevious;`,
      `      this.#plain ??= this.#encode(store, true);
      return this.#plain;`,
    ],
  ),
  watchMutant("previous-value-is-new", "The previous value of an event is the new one.", [
    "../mvcc/history.ts",
    "prevKv: previous === undefined ? undefined : keyValueOf(state, previous),",
    `prevKv:
      previous !== undefined
        ? kvOf(previous, type === "put" ? (value ?? keyValueOf(state, meta).value) : EMPTY_BYTES)
        : undefined,`,
  ]),
];
