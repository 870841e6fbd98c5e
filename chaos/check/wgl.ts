/**
 * Linearizability by search: Wing and Gong's algorithm with Lowe's cache (Lowe, "Testing for
 * linearizability", 2017). It knows nothing of revisions or logs, so it judges the other checker as much as
 * the store.
 *
 * Calls and returns hang in one list in order of time. The first call that the specification allows is taken,
 * *lifted* out of the list together with its return, and the search starts again at the head; a return that
 * is met before its call was taken means that something has to be taken back. A set of taken operations
 * together with a state is never entered twice. Operations of unknown fate have no return: they may be taken
 * at any time or never.
 *
 * Iterative, because histories are longer than stacks are deep.
 */

/** An operation as the search sees it. */
export interface WglOperation {
  readonly call: number;
  /** Infinity: of unknown fate. */
  readonly returned: number;
}

/** What operations do. States are small integers, equal exactly when they behave alike. */
export interface WglSpecification<O extends WglOperation> {
  readonly initial: number;
  /** The state after the operation, or -1 if its answer is impossible in this state. */
  step(state: number, operation: O): number;
}

export type WglVerdict<O> =
  | { readonly type: "ok"; readonly steps: number }
  /**
   * `longest`: the most that could be put in order, in that order; `stuck`: an operation that fits nowhere.
   */
  | { readonly type: "violation"; readonly longest: readonly O[]; readonly stuck: O | undefined }
  /** Too much to search; counts as a failure (reliability.md §3.2). */
  | { readonly type: "unknown"; readonly reason: string };

/** Limits of a search; beyond them the verdict is `unknown`. */
export interface WglLimits {
  readonly maxOperations: number;
  readonly maxUnknown: number;
  readonly maxSteps: number;
}

export const REGISTER_LIMITS: WglLimits = { maxOperations: 2_000, maxUnknown: 50, maxSteps: 20_000_000 };
export const MODEL_LIMITS: WglLimits = { maxOperations: 5_000, maxUnknown: 50, maxSteps: 500_000 };

const WORD_BITS = 32;

export function checkLinearizable<O extends WglOperation>(
  specification: WglSpecification<O>,
  operations: readonly O[],
  limits: WglLimits,
): WglVerdict<O> {
  const unknown = operations.filter((operation) => operation.returned === Number.POSITIVE_INFINITY).length;
  if (operations.length > limits.maxOperations) {
    return {
      type: "unknown",
      reason: `${operations.length} operations, the limit is ${limits.maxOperations}`,
    };
  }
  if (unknown > limits.maxUnknown) {
    return { type: "unknown", reason: `${unknown} of unknown fate, the limit is ${limits.maxUnknown}` };
  }
  return new Search(specification, operations, limits.maxSteps).run();
}

/** Sets of operations with the states in which they were left. */
class Seen {
  readonly #byHash = new Map<number, { readonly bits: Uint32Array; readonly state: number }[]>();

  /** Whether it is new. The bits are copied. */
  add(hash: number, bits: Uint32Array, state: number): boolean {
    const key = (hash ^ Math.imul(state + 1, 0x9e3779b1)) >>> 0;
    const entries = this.#byHash.get(key);
    if (entries === undefined) {
      this.#byHash.set(key, [{ bits: bits.slice(), state }]);
      return true;
    }
    for (const entry of entries) if (entry.state === state && isSameSet(entry.bits, bits)) return false;
    entries.push({ bits: bits.slice(), state });
    return true;
  }
}

function isSameSet(a: Uint32Array, b: Uint32Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/**
 * Node numbers: operation i calls at node i + 1 and returns at node n + i + 1; node 0 is the head, -1 the
 * end.
 */
class Search<O extends WglOperation> {
  readonly #specification: WglSpecification<O>;
  readonly #operations: readonly O[];
  readonly #maxSteps: number;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #zobrist: Int32Array;
  readonly #bits: Uint32Array;
  readonly #seen = new Seen();
  #hash = 0;
  /** Operations that must still be taken. */
  #owed = 0;

  constructor(specification: WglSpecification<O>, operations: readonly O[], maxSteps: number) {
    this.#specification = specification;
    this.#operations = operations;
    this.#maxSteps = maxSteps;
    const n = operations.length;
    this.#next = new Int32Array(2 * n + 1).fill(-1);
    this.#previous = new Int32Array(2 * n + 1).fill(-1);
    this.#bits = new Uint32Array(Math.ceil(n / WORD_BITS));
    this.#zobrist = Int32Array.from({ length: n }, (_, i) => mix(i + 1));
    this.#link();
  }

  run(): WglVerdict<O> {
    const n = this.#operations.length;
    const taken: number[] = [];
    const states: number[] = [];
    let state = this.#specification.initial;
    let longest: readonly number[] = [];
    let stuck: O | undefined;
    let node = this.#next[0] as number;
    for (let steps = 0; this.#owed > 0; steps++) {
      if (steps > this.#maxSteps) return { type: "unknown", reason: `no answer after ${steps} steps` };
      if (node > 0 && node <= n) {
        const index = node - 1;
        const after = this.#specification.step(state, this.#operations[index] as O);
        if (after >= 0 && this.#take(index, after)) {
          taken.push(index);
          states.push(state);
          state = after;
          node = this.#next[0] as number;
        } else node = this.#next[node] as number;
        continue;
      }
      // A return whose call was not taken, or the end.
      if (stuck === undefined || taken.length > longest.length) {
        longest = [...taken];
        stuck = node > n ? this.#operations[node - n - 1] : undefined;
      }
      const last = taken.pop();
      if (last === undefined) {
        return { type: "violation", longest: longest.map((i) => this.#operations[i] as O), stuck };
      }
      state = states.pop() as number;
      this.#flip(last);
      this.#unlift(last);
      node = this.#next[last + 1] as number;
    }
    return { type: "ok", steps: taken.length };
  }

  #link(): void {
    const n = this.#operations.length;
    const order: { readonly at: number; readonly node: number }[] = [];
    this.#operations.forEach(({ call, returned }, i) => {
      order.push({ at: call, node: i + 1 });
      if (returned === Number.POSITIVE_INFINITY) return;
      order.push({ at: returned, node: n + i + 1 });
      this.#owed++;
    });
    // At one moment calls come before returns: then both operations overlap, which allows more.
    order.sort((a, b) => a.at - b.at || Number(a.node > n) - Number(b.node > n));
    let last = 0;
    for (const { node } of order) {
      this.#next[last] = node;
      this.#previous[node] = last;
      last = node;
    }
  }

  /** Takes an operation unless the set and state that result were seen before. */
  #take(index: number, state: number): boolean {
    this.#flip(index);
    if (!this.#seen.add(this.#hash, this.#bits, state)) {
      this.#flip(index);
      return false;
    }
    this.#remove(index + 1);
    if (!this.#isUnknown(index)) {
      this.#remove(this.#operations.length + index + 1);
      this.#owed--;
    }
    return true;
  }

  #unlift(index: number): void {
    if (!this.#isUnknown(index)) {
      this.#restore(this.#operations.length + index + 1);
      this.#owed++;
    }
    this.#restore(index + 1);
  }

  #isUnknown(index: number): boolean {
    return this.#operations[index]?.returned === Number.POSITIVE_INFINITY;
  }

  #flip(index: number): void {
    const word = index >>> 5;
    this.#bits[word] = (this.#bits[word] as number) ^ (1 << (index & 31));
    this.#hash ^= this.#zobrist[index] as number;
  }

  #remove(node: number): void {
    const [previous, next] = [this.#previous[node] as number, this.#next[node] as number];
    this.#next[previous] = next;
    if (next >= 0) this.#previous[next] = previous;
  }

  /** In the reverse order of removal, so that the neighbours are in their places again. */
  #restore(node: number): void {
    const [previous, next] = [this.#previous[node] as number, this.#next[node] as number];
    this.#next[previous] = node;
    if (next >= 0) this.#previous[next] = node;
  }
}

/** Well mixed bits of a small number, the same in every run. */
function mix(value: number): number {
  let h = Math.imul(value, 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
