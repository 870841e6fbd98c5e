/** What the twins have in common, without the database: the simulator imports the one in memory alone. */
import { assert, fail } from "../base/index.ts";
import type { BackendBatch, BackendMeta } from "../env/index.ts";

/** Nothing is known of a state before the first entry. */
export const EMPTY_META: BackendMeta = {
  index: 0,
  term: 0,
  conf: { voters: [], votersOutgoing: [], learners: [], learnersNext: [], leaseMs: 0 },
};

/** @throws AssertionError unless prefixes ascend and none begins with another: records would come twice or unordered */
export function mustAscend(prefixes: readonly string[]): void {
  for (let i = 1; i < prefixes.length; i++) {
    const [before, prefix] = [prefixes[i - 1] as string, prefixes[i] as string];
    assert(before < prefix && !prefix.startsWith(before), "prefixes overlap or descend", { before, prefix });
  }
}

/** @throws AssertionError when the state is closed, a batch is in flight, or this one lies before `meta` */
export function mustFollow(
  batch: BackendBatch,
  meta: BackendMeta,
  now: { readonly isClosed: boolean; readonly isWriting: boolean },
): void {
  const { index } = batch;
  if (now.isClosed) fail("a batch for a state that is closed", { index });
  if (now.isWriting) fail("two backend batches in flight", { index });
  // Equal is fine: what was compacted is deleted in its own time, also when nothing was applied meanwhile.
  if (index < meta.index) fail("backend batch goes back", { index, durable: meta.index });
}
