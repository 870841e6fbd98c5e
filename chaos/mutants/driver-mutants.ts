/** Mutants of the driver: what goes wrong between the member and what it waits for. Hunted with the second tier. */
import { mutant } from "./mutant.ts";
import type { Mutant } from "./types.ts";

export const DRIVER_MUTANTS: readonly Mutant[] = [
  mutant(
    "server",
    "persisted-before-sync",
    "A batch is reported durable when it is written, before the sync.",
    [
      "log-writer.ts",
      "    this.#run(this.#wal.append(batch), () => {",
      "    this.#run(this.#wal.append(batch).slice(0, -1), () => {",
    ],
  ),
  mutant(
    "server",
    "persisted-at-once",
    "A batch is reported durable when it was handed to the disk (a promise that nobody awaits).",
    [
      "log-writer.ts",
      "    const running = this.#files\n      .run(ops)\n      .then(",
      "    void this.#files.run(ops).catch(() => undefined);\n    const running = Promise.resolve()\n      .then(",
    ],
  ),
  mutant("server", "prepared-too-early", "The next segment counts as ready while it is still being filled.", [
    "log-writer.ts",
    `    this.#run(ops, () => {
      this.#isPreparing = false;
      this.#wal.prepared();
    });`,
    `    this.#wal.prepared();
    this.#run(ops, () => {
      this.#isPreparing = false;
    });`,
  ]),
  mutant("server", "log-failure-lost", "A failed operation of the log is waited for for ever.", [
    "log-writer.ts",
    "        this.#events.logFailed(error);",
    "        void error;",
  ]),
  mutant("server", "log-not-awaited-at-stop", "A stop does not wait for the operations that are under way.", [
    "stopping.ts",
    "      await close();",
    "      void close()?.catch(() => undefined);",
  ]),
  mutant("server", "repair-skipped", "A member runs on a log that was read and not repaired.", [
    "opening.ts",
    "      await ports.files.run(repair);",
    "      void repair;",
  ]),
  mutant(
    "server",
    "snapshot-reported-incomplete",
    "A snapshot is reported received before its directory is complete (etcd #10219 is of this kind).",
    [
      "snapshot-in.ts",
      "      await state.complete(meta);",
      "      this.#deps.events.snapshotReceived({ from, to, term, meta });\n      await state.complete(meta);",
    ],
    [
      "snapshot-in.ts",
      "    this.#deps.events.snapshotReceived({ from, to, term, meta });\n    return",
      "    return",
    ],
  ),
  mutant(
    "server",
    "complete-state-replaced",
    "A second stream of a snapshot fills the directory that is in use.",
    [
      "snapshot-in.ts",
      "    if (this.#isOver || this.#deps.states.isComplete(meta.index)) return;",
      "    if (this.#isOver) return;",
    ],
  ),
  mutant("server", "partial-snapshot-kept", "What a broken stream has written is not discarded.", [
    "snapshot-in.ts",
    "      await state?.discard();",
    "      void state;",
  ]),
  mutant("server", "streams-side-by-side", "A new stream does not wait for the end of the one before.", [
    "snapshot-in.ts",
    "    await this.#after;",
    "    void this.#after;",
  ]),
  mutant("server", "chunk-lost", "The last records of a snapshot are not sent.", [
    "snapshot-out.ts",
    "      for (const frame of cutter.end()) await line.send(frame);",
    "      for (const frame of cutter.end().slice(-1)) await line.send(frame);",
  ]),
  mutant("server", "view-left-open", "A view of the state is not closed when its stream breaks.", [
    "snapshot-out.ts",
    "      await view.close();",
    "      if (ok) await view.close();",
  ]),
  mutant(
    "server",
    "wrong-directory-kept",
    "After an installation the directory of before is kept, the new one goes.",
    [
      "states.ts",
      "    this.#index = index;\n    this.#complete.add(index);\n    return before;",
      "    this.#complete.add(index);\n    return before;",
    ],
  ),
  mutant("server", "leftovers-stay", "Directories of states that nobody needs are never removed.", [
    "states.ts",
    "    if (this.#complete.size < 2 || this.#events.isInstalling()) return;",
    "    if (this.#complete.size < 20 || this.#events.isInstalling()) return;",
  ]),
  mutant("server", "tidied-while-held", "Leftovers are removed while a snapshot is being received.", [
    "states.ts",
    "    this.#holds++;",
    "    this.#holds += 0;",
  ]),
  mutant("server", "tidied-while-installing", "A complete directory is removed before the log names it.", [
    "states.ts",
    "    if (this.#complete.size < 2 || this.#events.isInstalling()) return;",
    "    if (this.#complete.size < 2) return;",
  ]),
  mutant(
    "server",
    "batch-of-before-forgotten",
    "The batch in flight when a snapshot is installed is never reported.",
    [
      "states.ts",
      "        if (!this.#isOver) this.#events.backendDurable(batch.seq);",
      "        if (!this.#isOver && batch.index > this.#index) this.#events.backendDurable(batch.seq);",
    ],
  ),
  mutant("server", "state-failure-is-success", "A batch that failed is reported durable.", [
    "states.ts",
    "        if (!this.#isOver) this.#events.stateFailed(error);\n      },\n    );",
    "        if (!this.#isOver) this.#events.backendDurable(batch.seq);\n        void error;\n      },\n    );",
  ]),
  mutant("server", "old-state-left-open", "The state of before is not closed after an installation.", [
    "driver.ts",
    "      await before.close();",
    "      void before;",
  ]),
  mutant("server", "answer-lost", "Whoever waits when the member fails is not answered.", [
    "waiters.ts",
    "    for (const [id, { request, answer }] of [...this.#waiting]) {",
    "    for (const [id, { request, answer }] of [...this.#waiting].slice(1)) {",
  ]),
  mutant("server", "unknown-is-refused", "A write that may have happened is refused when the member fails.", [
    "waiters.ts",
    "function hasNoEffect({ type }: Request): boolean {",
    'function hasNoEffect({ type }: Request): boolean {\n  if (type === "write") return true;',
  ]),
  mutant("server", "time-sampled-early", "An input is given the time at which the wait for it began.", [
    "driver.ts",
    "      persisted: (seq) => this.#give((now) => this.#machine.persisted(now, seq)),",
    "      persisted: (seq) => this.#give((now) => this.#machine.persisted(now - 5, seq)),",
  ]),
  mutant(
    "server",
    "wake-up-lost",
    "A tick that was asked for after a turn of the event loop is lost now and then.",
    ["wake-up.ts", "    this.#isSoon = false;\n    if", "    if"],
  ),
  mutant("server", "old-timer-kept", "A timer is kept when the member asks for an earlier tick.", [
    "wake-up.ts",
    "    if (this.#isOver || this.#isSoon || due === this.#at) return;",
    "    if (this.#isOver || this.#isSoon || this.#at !== Number.POSITIVE_INFINITY) return;",
  ]),
  mutant("server", "watcher-called-inside", "A watcher is called from inside the apply that it is told of.", [
    "driver.ts",
    "      afterwards: (run) => this.#afterwards(run),",
    "      afterwards: (run) => run(),",
  ]),
  mutant("server", "lock-released-first", "The directory is unlocked before its files are closed.", [
    "driver.ts",
    "    await closeInOrder(log, [\n",
    '    await closeInOrder(log, [\n      ["directory lock", () => lock.release()],\n',
  ]),
  mutant(
    "server",
    "replaced-not-used",
    "What is applied after a snapshot is written to the state of before.",
    [
      "states.ts",
      "    this.#backend = backend;\n    this.#index = index;\n    this.#complete",
      "    this.#index = index;\n    this.#complete",
    ],
  ),
];
