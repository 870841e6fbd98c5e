/** The guards of a txn. etcd: etcdserver/txn, applyCompare. */
import { unreachable } from "../../base/index.ts";
import type { KeyMeta } from "../../mvcc/types.ts";
import type { Compare } from "../../pb/kv.ts";
import type { KeyReader } from "./types.ts";
import { compareBytes, readValue } from "./values.ts";

/** Whether all compares hold on the newest state; the first that fails ends the search. @throws DamagedValue */
export function allHold(reader: KeyReader, compares: readonly Compare[]): boolean {
  for (const compare of compares) if (!holds(reader, compare)) return false;
  return true;
}

/**
 * Whether a compare holds for every key of its range. A range without keys counts as one key whose numbers are all 0;
 * it has no value, so a compare of values fails whatever it says.
 */
function holds(reader: KeyReader, compare: Compare): boolean {
  const { metas } = reader.resolve(compare, 0, 0);
  if (metas.length === 0) return compare.target?.type !== "value" && holdsFor(reader, compare, undefined);
  for (const meta of metas) if (!holdsFor(reader, compare, meta)) return false;
  return true;
}

function holdsFor(reader: KeyReader, compare: Compare, meta: KeyMeta | undefined): boolean {
  const { target } = compare;
  // Numbers that etcd does not know fall through its switches: such a target is equal, such a result holds.
  if (compare.result === undefined) return true;
  const difference = target === undefined ? 0 : differenceTo(reader, target, meta);
  switch (compare.result) {
    case "equal":
      return difference === 0;
    case "notEqual":
      return difference !== 0;
    case "greater":
      return difference > 0;
    case "less":
      return difference < 0;
    default:
      return unreachable(compare.result);
  }
}

/** Sign of (what the key has - what the compare names). */
function differenceTo(
  reader: KeyReader,
  target: NonNullable<Compare["target"]>,
  meta: KeyMeta | undefined,
): number {
  switch (target.type) {
    case "version":
      return (meta?.version ?? 0) - target.value;
    case "create":
      return (meta?.createRevision ?? 0) - target.value;
    case "mod":
      return (meta?.modRevision ?? 0) - target.value;
    case "lease": {
      const lease = meta?.lease ?? 0n;
      return lease < target.value ? -1 : lease > target.value ? 1 : 0;
    }
    case "value":
      return meta === undefined ? -1 : compareBytes(readValue(reader, meta), target.value);
    default:
      return unreachable(target);
  }
}
