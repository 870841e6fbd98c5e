/**
 * An immutable map by text, as a trie over hashes: lookups touch a few nodes where a balanced tree of 1,000 hosts
 * touches ten, which is what a request pays for. A change shares all but a few nodes with the map before.
 *
 * Source: Bagwell, Ideal Hash Trees (2001). Who writes configuration can choose texts of one hash; such keys are looked
 * through one by one, and slow down nothing else.
 */

import { assert } from "../base/index.ts";

/** Bits of the hash that one level takes. */
const BITS = 5;
const MASK = (1 << BITS) - 1;

interface Leaf<V> {
  readonly type: "leaf";
  readonly hash: number;
  readonly key: string;
  readonly value: V;
}

/** Keys of one hash. Invariant: at least two. */
interface Clash<V> {
  readonly type: "clash";
  readonly hash: number;
  readonly leaves: readonly Leaf<V>[];
}

/** Invariant: never just one slot that is no branch; it would stand here itself. */
interface Branch<V> {
  readonly type: "branch";
  /** Which of the 32 ways there are; their nodes stand in `slots` in order. */
  readonly ways: number;
  readonly slots: readonly Node<V>[];
}

type Node<V> = Leaf<V> | Clash<V> | Branch<V>;

/** In no order that matters, but the same for the same keys. */
export class HashMap<V> {
  readonly size: number;
  readonly #root: Node<V> | undefined;

  private constructor(root: Node<V> | undefined, size: number) {
    this.#root = root;
    this.size = size;
  }

  static empty<V>(): HashMap<V> {
    return new HashMap<V>(undefined, 0);
  }

  get(key: string): V | undefined {
    return find(this.#root, hashOf(key), key);
  }

  /** The map with `value` at `key`, or without the key when the value is undefined. */
  with(key: string, value: V | undefined): HashMap<V> {
    const known = this.get(key);
    if (known === value) return this;
    const hash = hashOf(key);
    if (value === undefined) return new HashMap(remove(this.#root, 0, hash, key), this.size - 1);
    const root = insert(this.#root, 0, { type: "leaf", hash, key, value });
    return new HashMap(root, known === undefined ? this.size + 1 : this.size);
  }

  /** @throws AssertionError when a node is not of the shape that its keys ask for, or the size is wrong. */
  checkInvariants(): void {
    const size = check(this.#root);
    assert(size === this.size, "wrong size", { counted: size, size: this.size });
  }

  *entries(): IterableIterator<readonly [string, V]> {
    for (const { key, value } of leavesOf(this.#root)) yield [key, value];
  }

  *keys(): IterableIterator<string> {
    for (const { key } of leavesOf(this.#root)) yield key;
  }

  *values(): IterableIterator<V> {
    for (const { value } of leavesOf(this.#root)) yield value;
  }
}

/** 32 bits of a text: FNV-1a over its units, finished so that all bits depend on all units. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return hash ^ (hash >>> 13);
}

/** Number of keys below. */
function check<V>(node: Node<V> | undefined): number {
  if (node === undefined) return 0;
  if (node.type === "leaf") return 1;
  if (node.type === "clash") {
    assert(node.leaves.length >= 2, "a clash of one key", { keys: node.leaves.length });
    return node.leaves.length;
  }
  const [first] = node.slots;
  assert(node.slots.length > 1 || first?.type === "branch", "a branch of one key", { ways: node.ways });
  const ways = slotOf(node.ways, 1 << 31) + (node.ways < 0 ? 1 : 0);
  assert(ways === node.slots.length, "ways without slots", { ways, slots: node.slots.length });
  return node.slots.reduce((sum, slot) => sum + check(slot), 0);
}

function find<V>(root: Node<V> | undefined, hash: number, key: string): V | undefined {
  let node = root;
  for (let shift = 0; node?.type === "branch"; shift += BITS) {
    const way = wayOf(hash, shift);
    if ((node.ways & way) === 0) return undefined;
    node = node.slots[slotOf(node.ways, way)];
  }
  if (node === undefined) return undefined;
  if (node.type === "leaf") return node.key === key ? node.value : undefined;
  return node.leaves.find((leaf) => leaf.key === key)?.value;
}

function insert<V>(node: Node<V> | undefined, shift: number, leaf: Leaf<V>): Node<V> {
  if (node === undefined) return leaf;
  if (node.type === "branch") {
    const way = wayOf(leaf.hash, shift);
    const slot = slotOf(node.ways, way);
    if ((node.ways & way) === 0) {
      return { type: "branch", ways: node.ways | way, slots: node.slots.toSpliced(slot, 0, leaf) };
    }
    return { ...node, slots: node.slots.with(slot, insert(node.slots[slot], shift + BITS, leaf)) };
  }
  if (node.hash !== leaf.hash) return join(node, leaf, shift);
  const others = (node.type === "leaf" ? [node] : node.leaves).filter((other) => other.key !== leaf.key);
  return others.length === 0 ? leaf : { type: "clash", hash: leaf.hash, leaves: [...others, leaf] };
}

/** The branch that holds two nodes of different hashes. */
function join<V>(a: Leaf<V> | Clash<V>, b: Leaf<V>, shift: number): Branch<V> {
  const wayA = wayOf(a.hash, shift);
  const wayB = wayOf(b.hash, shift);
  if (wayA === wayB) return { type: "branch", ways: wayA, slots: [join(a, b, shift + BITS)] };
  // The highest way is the sign bit, so ways are compared unsigned.
  const slots = wayA >>> 0 < wayB >>> 0 ? [a, b] : [b, a];
  return { type: "branch", ways: wayA | wayB, slots };
}

/** The key is there. */
function remove<V>(node: Node<V> | undefined, shift: number, hash: number, key: string): Node<V> | undefined {
  if (node === undefined || node.type === "leaf") return undefined;
  if (node.type === "clash") {
    const leaves = node.leaves.filter((leaf) => leaf.key !== key);
    const [only] = leaves;
    return leaves.length === 1 ? only : { ...node, leaves };
  }
  const way = wayOf(hash, shift);
  const slot = slotOf(node.ways, way);
  const left = remove(node.slots[slot], shift + BITS, hash, key);
  const slots = left === undefined ? node.slots.toSpliced(slot, 1) : node.slots.with(slot, left);
  const [only] = slots;
  if (slots.length <= 1 && only?.type !== "branch") return only;
  return { type: "branch", ways: left === undefined ? node.ways & ~way : node.ways, slots };
}

function* leavesOf<V>(node: Node<V> | undefined): IterableIterator<Leaf<V>> {
  if (node === undefined) return;
  if (node.type === "leaf") yield node;
  else if (node.type === "clash") yield* node.leaves;
  else for (const slot of node.slots) yield* leavesOf(slot);
}

function wayOf(hash: number, shift: number): number {
  return 1 << ((hash >>> shift) & MASK);
}

/** How many of the ways stand before this one. */
function slotOf(ways: number, way: number): number {
  let bits = ways & (way - 1);
  bits -= (bits >>> 1) & 0x55555555;
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
