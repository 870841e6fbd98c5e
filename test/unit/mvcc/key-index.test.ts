// Goal: the ordered index finds every key and the place of every other, whatever its keys have in common. Method:
// random inserts and removals of keys that end early, hold zeros and share long beginnings, against a sorted list.
import { expect, it } from "vitest";
import { Rng } from "../../../chaos/sim/rng.ts";
import { latin1Of } from "../../../src/base/index.ts";
import { KeyIndex } from "../../../src/mvcc/key-index.ts";
import { KeyTable } from "../../../src/mvcc/keys.ts";

const SEED = 20261124;
/** More than fit into two blocks, so that blocks split and merge. */
const STEPS = 6000;

const FAMILIES = [
  "",
  "a",
  "a\0\0\0\0",
  "/registry/pods/default/",
  "/registry/pods/kube-system/",
  "\xff\xff\xff\xff",
];

const LETTERS = ["\0", "\x01", "0", "a", "\xff"];
const LENGTHS = [1, 2, 3, 4, 5, 6, 7];

/** Few letters and few digits, so that keys come again and differ in their last bytes. */
function someKey(rng: Rng, families: readonly string[]): string {
  let key = rng.pick(families);
  for (let left = rng.pick(LENGTHS); left > 0; left--) key += rng.pick(LETTERS);
  return key;
}

function bytesOfKey(key: string): Uint8Array {
  return Uint8Array.from(Buffer.from(key, "latin1"));
}

it.each([
  { name: "of one family, then of others", first: FAMILIES.slice(3, 4) },
  { name: "of all families at once", first: FAMILIES },
])("keys $name", ({ first }) => {
  console.log(`seed ${SEED}`);
  const rng = new Rng(SEED, "key-index");
  const keys = new KeyTable();
  const index = new KeyIndex(keys, () => false);
  const known = new Map<string, number>();
  for (let step = 0; step < STEPS; step++) {
    const isGrowing = step < (STEPS * 2) / 3;
    const key = someKey(rng, step < STEPS / 3 ? first : FAMILIES);
    const bytes = bytesOfKey(key);
    const id = known.get(key);
    expect(index.find(bytes)).toBe(id ?? -1);
    if (id === undefined && isGrowing) {
      const added = keys.add(bytes);
      index.insert(added, bytes);
      known.set(key, added);
    } else if (!isGrowing && known.size > 0) {
      const [gone, removed] = rng.pick([...known]);
      index.remove(removed);
      keys.remove(removed);
      known.delete(gone);
    }
    if (step % 500 === 0) index.checkInvariants();
  }
  index.checkInvariants();
  const ordered: string[] = [];
  for (const { ids, size } of index.blocks) {
    for (const id of ids.subarray(0, size)) ordered.push(latin1Of(keys.bytes(id)));
  }
  expect(ordered).toEqual([...known.keys()].sort());
});
