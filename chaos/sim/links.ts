/** How every directed link behaves at this moment; faults change it, the network asks. */
import { MAX_SLOTS } from "./members.ts";

/** What a seed draws for the whole network; times in microseconds, chances in parts per million. */
export interface NetworkSettings {
  readonly delayMeanUs: number;
  /** Like one TCP connection per link: in order, and a loss breaks it. Otherwise every message goes for itself. */
  readonly fifo: boolean;
  readonly lossPpm: number;
  readonly duplicatePpm: number;
  /** Most messages under way on one link; more are dropped at the sender. */
  readonly capacity: number;
}

/** Shapes of a partition: who can still talk to whom. */
export type PartitionShape = "isolate" | "halves" | "ring" | "bridge" | "random";

export const PARTITION_SHAPES: readonly PartitionShape[] = ["isolate", "halves", "ring", "bridge", "random"];

/** Conditions per directed pair of machines. Invariant: a cut is counted, so overlapping faults heal apart. */
export class Links {
  readonly #cuts = new Int32Array(MAX_SLOTS * MAX_SLOTS);
  readonly #cloggedUntil = new Float64Array(MAX_SLOTS * MAX_SLOTS);
  /** Added to the settings' chances while a burst lasts. */
  extraLossPpm = 0;
  extraDuplicatePpm = 0;
  /** Chance that a message is followed by a forged one. */
  garbagePpm = 0;
  /** Delays are multiplied by this. */
  slowFactor = 1;
  /** Nothing is lost any more but what is cut: a healed network has no faults of its own. */
  healed = false;

  isCut(from: number, to: number): boolean {
    return (this.#cuts[from * MAX_SLOTS + to] as number) > 0;
  }

  cloggedUntil(from: number, to: number): number {
    return this.#cloggedUntil[from * MAX_SLOTS + to] as number;
  }

  clog(from: number, to: number, until: number): void {
    const at = from * MAX_SLOTS + to;
    this.#cloggedUntil[at] = Math.max(this.#cloggedUntil[at] as number, until);
  }

  cut(pairs: readonly number[]): void {
    for (const pair of pairs) this.#cuts[pair] = (this.#cuts[pair] as number) + 1;
  }

  heal(pairs: readonly number[]): void {
    for (const pair of pairs) this.#cuts[pair] = Math.max(0, (this.#cuts[pair] as number) - 1);
  }

  healAll(): void {
    this.#cuts.fill(0);
    this.#cloggedUntil.fill(0);
    this.extraLossPpm = 0;
    this.extraDuplicatePpm = 0;
    this.garbagePpm = 0;
    this.slowFactor = 1;
    this.healed = true;
  }

  /** Cuts everything between two sets of machines, both ways. */
  static between(a: readonly number[], b: readonly number[]): number[] {
    const pairs: number[] = [];
    for (const x of a) {
      for (const y of b) if (x !== y) pairs.push(x * MAX_SLOTS + y, y * MAX_SLOTS + x);
    }
    return pairs;
  }
}

/**
 * The directed pairs that a partition of this shape cuts.
 * @param slots the machines, in the order that gives them their place in the shape; the first is the one isolated.
 * @param oneWay cut only one direction of each link: what `slots[0]`'s side receives, or, by `bits`, what it sends.
 * @param bits chance, 32 bits.
 */
export function partition(
  shape: PartitionShape,
  slots: readonly number[],
  oneWay: boolean,
  bits: number,
): number[] {
  const pairs: number[] = [];
  const n = slots.length;
  for (let i = 0; i < n; i++) {
    for (let j = i + 1; j < n; j++) {
      if (!isSevered(shape, { i, j, n }, bits)) continue;
      const a = slots[i] as number;
      const b = slots[j] as number;
      const inward = (bits & 0x4000_0000) !== 0;
      if (!oneWay || inward) pairs.push(b * MAX_SLOTS + a);
      if (!oneWay || !inward) pairs.push(a * MAX_SLOTS + b);
    }
  }
  return pairs;
}

function isSevered(shape: PartitionShape, at: { i: number; j: number; n: number }, bits: number): boolean {
  const { i, j, n } = at;
  switch (shape) {
    case "isolate":
      return i === 0;
    case "halves":
      return i < n >> 1 !== j < n >> 1;
    case "ring":
      // Everyone reaches its two neighbours; with three members that would be everyone, so one link goes.
      return n <= 3 ? i === 0 && j === 1 : j - i !== 1 && j - i !== n - 1;
    case "bridge":
      // The last one reaches both halves, the halves do not reach each other.
      return j !== n - 1 && i < (n - 1) >> 1 !== j < (n - 1) >> 1;
    case "random":
      return ((bits >>> ((i * 7 + j * 3) % 29)) & 1) === 1;
  }
}
