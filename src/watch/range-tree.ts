/**
 * Ranges of keys, found by a key that lies in them: an AVL tree ordered by (start, end) in which every node
 * knows the largest end below it. A search costs O(log n) and a little more per range found, however many
 * ranges there are; a balanced tree and not a randomised one, because clients choose what is put in.
 *
 * Source: Cormen et al., Introduction to Algorithms, "Augmenting data structures: interval trees".
 */
import { fail } from "../base/index.ts";

/** Above every key as latin1 text: the end of a range without end. */
export const NO_END = "\uffff";

interface Node<T> {
  readonly start: string;
  /** Exclusive. Invariant: start < end. */
  readonly end: string;
  readonly item: T;
  /** Largest `end` in this subtree. */
  most: string;
  height: number;
  left: Node<T> | undefined;
  right: Node<T> | undefined;
}

/** Keys are latin1 text; a range [start, end) is there at most once. */
export class RangeTree<T> {
  #root: Node<T> | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(start: string, end: string): T | undefined {
    let node = this.#root;
    while (node !== undefined) {
      const order = compare(start, end, node);
      if (order === 0) return node.item;
      node = order < 0 ? node.left : node.right;
    }
    return undefined;
  }

  /** The range must not be there. */
  add(start: string, end: string, item: T): void {
    if (start >= end) fail("empty range");
    const fresh: Node<T> = { start, end, item, most: end, height: 1, left: undefined, right: undefined };
    this.#root = insert(this.#root, fresh);
    this.#size++;
  }

  /** The range must be there. */
  remove(start: string, end: string): void {
    this.#root = remove(this.#root, start, end);
    this.#size--;
  }

  clear(): void {
    this.#root = undefined;
    this.#size = 0;
  }

  /** Appends the items of all ranges that hold the key. */
  find(key: string, into: T[]): void {
    find(this.#root, key, into);
  }

  /** Visits all items, in order of (start, end). */
  each(visit: (item: T) => void): void {
    each(this.#root, visit);
  }

  /** @throws AssertionError when order, balance or ends are not as they should be. */
  checkInvariants(): void {
    let count = 0;
    let last: Node<T> | undefined;
    const visit = (node: Node<T> | undefined): void => {
      if (node === undefined) return;
      visit(node.left);
      if (last !== undefined && compare(last.start, last.end, node) >= 0) fail("ranges out of order");
      last = node;
      count++;
      visit(node.right);
      const { height, most } = node;
      if (Math.abs(heightOf(node.left) - heightOf(node.right)) > 1) fail("out of balance", { height });
      refresh(node);
      if (node.height !== height || node.most !== most) fail("height or end is stale", { height });
    };
    visit(this.#root);
    if (count !== this.#size) fail("size differs", { count, size: this.#size });
  }
}

function compare<T>(start: string, end: string, node: Node<T>): number {
  if (start !== node.start) return start < node.start ? -1 : 1;
  if (end !== node.end) return end < node.end ? -1 : 1;
  return 0;
}

function find<T>(node: Node<T> | undefined, key: string, into: T[]): void {
  if (node === undefined || node.most <= key) return;
  find(node.left, key, into);
  if (node.start > key) return;
  if (key < node.end) into.push(node.item);
  find(node.right, key, into);
}

function each<T>(node: Node<T> | undefined, visit: (item: T) => void): void {
  if (node === undefined) return;
  each(node.left, visit);
  visit(node.item);
  each(node.right, visit);
}

function insert<T>(node: Node<T> | undefined, fresh: Node<T>): Node<T> {
  if (node === undefined) return fresh;
  const order = compare(fresh.start, fresh.end, node);
  if (order === 0) fail("range is there already");
  if (order < 0) node.left = insert(node.left, fresh);
  else node.right = insert(node.right, fresh);
  return balanced(node);
}

function remove<T>(node: Node<T> | undefined, start: string, end: string): Node<T> | undefined {
  if (node === undefined) return fail("range is not there");
  const order = compare(start, end, node);
  if (order < 0) node.left = remove(node.left, start, end);
  else if (order > 0) node.right = remove(node.right, start, end);
  else if (node.left === undefined) return node.right;
  else if (node.right === undefined) return node.left;
  else {
    const next = first(node.right);
    next.right = removeFirst(node.right);
    next.left = node.left;
    return balanced(next);
  }
  return balanced(node);
}

function first<T>(node: Node<T>): Node<T> {
  let at = node;
  while (at.left !== undefined) at = at.left;
  return at;
}

function removeFirst<T>(node: Node<T>): Node<T> | undefined {
  if (node.left === undefined) return node.right;
  node.left = removeFirst(node.left);
  return balanced(node);
}

function heightOf<T>(node: Node<T> | undefined): number {
  return node === undefined ? 0 : node.height;
}

function refresh<T>(node: Node<T>): void {
  const { left, right } = node;
  node.height = 1 + Math.max(heightOf(left), heightOf(right));
  let most = node.end;
  if (left !== undefined && left.most > most) most = left.most;
  if (right !== undefined && right.most > most) most = right.most;
  node.most = most;
}

/** The subtree with its root right, when both sides are and differ by at most two in height. */
function balanced<T>(node: Node<T>): Node<T> {
  refresh(node);
  const lean = heightOf(node.left) - heightOf(node.right);
  if (lean > 1) {
    const left = node.left as Node<T>;
    if (heightOf(left.left) < heightOf(left.right)) node.left = rotateLeft(left);
    return rotateRight(node);
  }
  if (lean < -1) {
    const right = node.right as Node<T>;
    if (heightOf(right.right) < heightOf(right.left)) node.right = rotateRight(right);
    return rotateLeft(node);
  }
  return node;
}

function rotateRight<T>(node: Node<T>): Node<T> {
  const up = node.left as Node<T>;
  node.left = up.right;
  up.right = node;
  refresh(node);
  refresh(up);
  return up;
}

function rotateLeft<T>(node: Node<T>): Node<T> {
  const up = node.right as Node<T>;
  node.right = up.left;
  up.left = node;
  refresh(node);
  refresh(up);
  return up;
}
