/**
 * An immutable map in key order, as an AVL tree: a change shares all but the path to it with the map before.
 * So a model of 10,000 routes is changed in the time of one route, and whoever holds the model before keeps it
 * whole.
 */
import { assert } from "../base/index.ts";

interface Node<K, V> {
  readonly key: K;
  readonly value: V;
  readonly left: Tree<K, V>;
  readonly right: Tree<K, V>;
  readonly height: number;
  readonly size: number;
}

type Tree<K, V> = Node<K, V> | undefined;

/** Keys compare by `<`; text by UTF-16 units. */
export class SortedMap<K extends string | number, V> {
  readonly #root: Tree<K, V>;

  private constructor(root: Tree<K, V>) {
    this.#root = root;
  }

  static empty<K extends string | number, V>(): SortedMap<K, V> {
    return new SortedMap<K, V>(undefined);
  }

  get size(): number {
    return this.#root?.size ?? 0;
  }

  get(key: K): V | undefined {
    let node = this.#root;
    while (node !== undefined) {
      if (key === node.key) return node.value;
      node = key < node.key ? node.left : node.right;
    }
    return undefined;
  }

  has(key: K): boolean {
    return this.get(key) !== undefined;
  }

  /** The map with `value` at `key`; itself when it has that very value already. */
  set(key: K, value: V): SortedMap<K, V> {
    if (this.get(key) === value) return this;
    return new SortedMap(insert(this.#root, key, value));
  }

  /** The map without `key`; itself when the key is not there. */
  delete(key: K): SortedMap<K, V> {
    if (!this.has(key)) return this;
    return new SortedMap(remove(this.#root, key));
  }

  /** `set`, or `delete` when the value is undefined. */
  with(key: K, value: V | undefined): SortedMap<K, V> {
    return value === undefined ? this.delete(key) : this.set(key, value);
  }

  /** Largest key; undefined: empty. */
  lastKey(): K | undefined {
    let node = this.#root;
    while (node?.right !== undefined) node = node.right;
    return node?.key;
  }

  /** Smallest key; undefined: empty. */
  firstKey(): K | undefined {
    let node = this.#root;
    while (node?.left !== undefined) node = node.left;
    return node?.key;
  }

  /**
   * Entries in key order, from the first that is not below `from`. A change of the map does not disturb it.
   */
  *entries(from?: K): IterableIterator<readonly [K, V]> {
    const path: Node<K, V>[] = [];
    let node = this.#root;
    while (node !== undefined || path.length > 0) {
      while (node !== undefined) {
        if (from !== undefined && node.key < from) {
          node = node.right;
        } else {
          path.push(node);
          node = node.left;
        }
      }
      const next = path.pop();
      if (next === undefined) return;
      yield [next.key, next.value];
      node = next.right;
    }
  }

  /** @throws AssertionError when order, balance, heights or sizes are not as they should be. */
  checkInvariants(): void {
    check(this.#root);
    let last: K | undefined;
    for (const key of this.keys()) {
      assert(last === undefined || last < key, "keys out of order", { last, key });
      last = key;
    }
  }

  *values(): IterableIterator<V> {
    for (const [, value] of this.entries()) yield value;
  }

  *keys(): IterableIterator<K> {
    for (const [key] of this.entries()) yield key;
  }
}

function check<K, V>(tree: Tree<K, V>): void {
  if (tree === undefined) return;
  const { left, right } = tree;
  check(left);
  check(right);
  const [a, b] = [height(left), height(right)];
  assert(Math.abs(a - b) <= 1, "unbalanced", { left: a, right: b });
  assert(tree.height === Math.max(a, b) + 1, "wrong height", { height: tree.height, left: a, right: b });
  assert(tree.size === (left?.size ?? 0) + (right?.size ?? 0) + 1, "wrong size", { size: tree.size });
}

function height<K, V>(tree: Tree<K, V>): number {
  return tree?.height ?? 0;
}

function make<K, V>(key: K, value: V, left: Tree<K, V>, right: Tree<K, V>): Node<K, V> {
  return {
    key,
    value,
    left,
    right,
    height: Math.max(height(left), height(right)) + 1,
    size: (left?.size ?? 0) + (right?.size ?? 0) + 1,
  };
}

/** `make`, for subtrees whose heights differ by at most two. */
function balance<K, V>(key: K, value: V, left: Tree<K, V>, right: Tree<K, V>): Node<K, V> {
  if (left !== undefined && left.height > height(right) + 1) {
    if (height(left.left) >= height(left.right) || left.right === undefined) {
      return make(left.key, left.value, left.left, make(key, value, left.right, right));
    }
    const middle = left.right;
    return make(
      middle.key,
      middle.value,
      make(left.key, left.value, left.left, middle.left),
      make(key, value, middle.right, right),
    );
  }
  if (right !== undefined && right.height > height(left) + 1) {
    if (height(right.right) >= height(right.left) || right.left === undefined) {
      return make(right.key, right.value, make(key, value, left, right.left), right.right);
    }
    const middle = right.left;
    return make(
      middle.key,
      middle.value,
      make(key, value, left, middle.left),
      make(right.key, right.value, middle.right, right.right),
    );
  }
  return make(key, value, left, right);
}

function insert<K extends string | number, V>(tree: Tree<K, V>, key: K, value: V): Node<K, V> {
  if (tree === undefined) return make(key, value, undefined, undefined);
  if (key === tree.key) return make(key, value, tree.left, tree.right);
  if (key < tree.key) return balance(tree.key, tree.value, insert(tree.left, key, value), tree.right);
  return balance(tree.key, tree.value, tree.left, insert(tree.right, key, value));
}

function remove<K extends string | number, V>(tree: Tree<K, V>, key: K): Tree<K, V> {
  if (tree === undefined) return undefined;
  if (key < tree.key) return balance(tree.key, tree.value, remove(tree.left, key), tree.right);
  if (key > tree.key) return balance(tree.key, tree.value, tree.left, remove(tree.right, key));
  if (tree.left === undefined) return tree.right;
  if (tree.right === undefined) return tree.left;
  let next = tree.right;
  while (next.left !== undefined) next = next.left;
  return balance(next.key, next.value, tree.left, remove(tree.right, next.key));
}
