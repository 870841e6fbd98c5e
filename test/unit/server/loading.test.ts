// Goal: a member that loads a state goes on answering. Method: a state of many keys in memory, whose scan takes no
// turn of the event loop, so the turns that others have are those that the loader gives.
import { describe, expect, it } from "vitest";
import { AppliedState } from "../../../src/apply/index.ts";
import { MemoryDirectory } from "../../../src/backend/memory.ts";
import { bytesOf } from "../../../src/base/index.ts";
import type { Backend } from "../../../src/env/index.ts";
import { DEFAULT_OPTIONS } from "../../../src/member/index.ts";
import { loadState } from "../../../src/server/loading.ts";
import { NodeClock } from "../../../src/server/node-clock.ts";
import { eachPutEntry } from "../../bench/apply.ts";

const OPTIONS = { ...DEFAULT_OPTIONS, id: 1n, instance: 1n };
const NO_CONF = { voters: [], votersOutgoing: [], learners: [], learnersNext: [], leaseMs: 0 };

/** A state with so many keys. */
async function stateOf(keys: number): Promise<Backend> {
  const backend = await new MemoryDirectory().open(0);
  const loaded = AppliedState.load({ ...backend.meta, records: new Map() });
  if (loaded.type === "refused") throw new Error(loaded.reason);
  const { state } = loaded;
  for (const entry of eachPutEntry({
    entries: keys,
    keys,
    keyBytes: 16,
    valueBytes: 8,
    compactEvery: keys + 1,
  }))
    state.applyNormal(entry);
  await backend.write({ seq: 1, index: keys, term: 1, conf: NO_CONF, ...state.takeChanges() });
  return backend;
}

describe("loading a state", () => {
  it("gives the event loop turns while keys are sorted and taken in", async () => {
    const backend = await stateOf(30_000);
    let turns = 0;
    let isLoading = true;
    const count = (): void => {
      setImmediate(() => {
        if (!isLoading) return;
        turns++;
        count();
      });
    };
    count();
    const { applied } = await loadState(OPTIONS, backend, 0, new NodeClock());
    isLoading = false;
    expect(turns).toBeGreaterThanOrEqual(8);
    const { store } = applied.kv;
    expect(store.count({ key: bytesOf("k"), rangeEnd: bytesOf("l") }, 0)).toBe(30_000);
    store.checkInvariants();
  });
});
