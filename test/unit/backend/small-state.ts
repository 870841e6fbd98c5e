/** A small state of which half lies in a table and half in LevelDB's log, and what it must hold at each index. */
import { EMPTY_META } from "../../../src/backend/contract.ts";
import { LevelDirectory } from "../../../src/backend/index.ts";
import { bytesOf, textOf } from "../../../src/base/index.ts";
import type { Backend, BackendBatch } from "../../../src/env/index.ts";

const BATCHES = 12;

/** Two new records, one that changes each time, and from the fourth on a delete. */
export function batch(index: number): BackendBatch {
  const names = [`i${index}`, `v${index}`, "last"];
  const puts = names.map((name) => [name, bytesOf(`${name} at ${index}`)] as const);
  const deletes = index > 3 ? [`v${index - 3}`] : [];
  return { seq: index, index, term: 1, conf: EMPTY_META.conf, puts, deletes };
}

/** Everything in a state. */
export async function contents(backend: Backend): Promise<Map<string, string>> {
  const all = new Map<string, string>();
  await backend.scan([""], (chunk) => {
    for (const [name, value] of chunk) all.set(name, textOf(value));
  });
  return all;
}

/** The state at each index, as it was written. */
export function states(): readonly ReadonlyMap<string, string>[] {
  const all = [new Map<string, string>()];
  for (let index = 1; index <= BATCHES; index++) {
    const state = new Map(all[index - 1]);
    const { puts, deletes } = batch(index);
    for (const [name, value] of puts) state.set(name, textOf(value));
    for (const name of deletes) state.delete(name);
    all.push(state);
  }
  return all;
}

/** Writes all batches into the empty place `path`; a restart in the middle makes a table of the first half. */
export async function makeState(path: string): Promise<void> {
  for (let index = 1; index <= BATCHES; ) {
    const backend = await new LevelDirectory(path).open(0);
    for (const until = index + BATCHES / 2; index < until; index++) await backend.write(batch(index));
    await backend.close();
  }
}
