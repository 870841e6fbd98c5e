/**
 * The state as a member runs it, over LevelDB: encoded entries through `AppliedState`, backend batches issued as
 * `BackendBatches` says, one in flight, and what a batch made durable is let go.
 */
import { AppliedState } from "../../src/apply/index.ts";
import type { Backend, BackendDirectory } from "../../src/env/index.ts";
import { APPLY_ENTRIES } from "../../src/member/applying.ts";
import { BackendBatches } from "../../src/member/backend-batches.ts";
import { DEFAULT_OPTIONS } from "../../src/member/index.ts";
import type { Entry } from "../../src/raft/index.ts";
import { type Cost, timedAsync } from "./measure.ts";

export interface AppliedFigures extends Cost {
  readonly entries: number;
  readonly batches: number;
}

/** Applies the entries to an empty place; all of them are durable in the backend when it ends. */
export async function applyToDisk(
  directory: BackendDirectory,
  entries: Iterable<Entry>,
): Promise<AppliedFigures> {
  const backend = await directory.open(0);
  const loaded = AppliedState.load({ ...backend.meta, records: new Map() }, { below: backend });
  if (loaded.type === "refused") throw new Error(loaded.reason);
  const writer = new Writer(loaded.state, backend);
  let count = 0;
  const cost = await timedAsync(async () => {
    for (const entry of entries) {
      const applied = loaded.state.applyNormal(entry);
      if (applied.type !== "kv" || applied.outcome.type !== "done") throw new Error(`entry ${entry.index}`);
      writer.note(entry.data.length);
      if (++count % APPLY_ENTRIES === 0) await writer.turn();
    }
    await writer.flush();
  });
  await backend.close();
  return { ...cost, entries: count, batches: writer.batches };
}

/** What a driver does for a member's backend. */
class Writer {
  readonly #state: AppliedState;
  readonly #backend: Backend;
  readonly #due: BackendBatches;
  #writing: Promise<void> | undefined;
  batches = 0;

  constructor(state: AppliedState, backend: Backend) {
    const { backendIntervalMs, backendBatchEntries } = DEFAULT_OPTIONS;
    this.#state = state;
    this.#backend = backend;
    this.#due = new BackendBatches({ intervalMs: backendIntervalMs, batchEntries: backendBatchEntries }, 0);
  }

  note(bytes: number): void {
    this.#due.noteApplied(performance.now(), bytes);
  }

  async turn(): Promise<void> {
    if (this.#due.isDue(performance.now())) this.#issue();
    while (this.#due.isFull) await this.#writing;
    await new Promise((resolve) => setImmediate(resolve));
  }

  async flush(): Promise<void> {
    await this.#writing;
    this.#issue();
    await this.#writing;
  }

  #issue(): void {
    const { index, term, conf } = this.#state;
    const batch = this.#due.issue({ index, term, conf, ...this.#state.takeChanges() });
    this.batches++;
    this.#writing = this.#backend.write(batch).then(() => {
      this.#due.durable(batch.seq);
      this.#state.batchDurable();
    });
  }
}
