/**
 * The state as a member runs it, over LevelDB: encoded entries through `AppliedState`, backend batches issued as
 * `BackendBatches` says, one in flight, and what a batch made durable is let go. Then a restart through the loader.
 */
import { AppliedState } from "../../src/apply/index.ts";
import type { Backend, BackendDirectory, BackendState } from "../../src/env/index.ts";
import { APPLY_ENTRIES } from "../../src/member/applying.ts";
import { BackendBatches } from "../../src/member/backend-batches.ts";
import { DEFAULT_OPTIONS } from "../../src/member/index.ts";
import type { Entry } from "../../src/raft/index.ts";
import { type Cost, timedAsync } from "./measure.ts";

/** What a restart reads: everything but values. */
const LOADED_PREFIXES = ["a", "c", "h", "i", "l", "m", "r"];

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

export interface Restarted {
  readonly backend: Backend;
  readonly state: AppliedState;
  readonly cost: Cost;
  readonly records: number;
}

/** Opens the state and loads everything but values, as a member does before it serves. */
export async function restart(directory: BackendDirectory): Promise<Restarted> {
  let found: Omit<Restarted, "cost"> | undefined;
  const cost = await timedAsync(async () => {
    const backend = await directory.open(0);
    const records = new Map<string, Uint8Array>();
    await backend.scan(LOADED_PREFIXES, (chunk) => {
      for (const [name, bytes] of chunk) records.set(name, bytes);
    });
    const state: BackendState = { ...backend.meta, records };
    const loaded = AppliedState.load(state, { below: backend });
    if (loaded.type === "refused") throw new Error(loaded.reason);
    found = { backend, state: loaded.state, records: records.size };
  });
  if (found === undefined) throw new Error("not loaded");
  return { ...found, cost };
}
