/**
 * Chance for the simulator: xoshiro128** seeded by splitmix32 from (seed, stream name). One stream per concern, so
 * that removing one fault does not shift what the network or the workload draws; shrinking depends on it.
 *
 * Only integer arithmetic and the four IEEE operations are used: Math.log and friends may differ between V8 versions,
 * and a seed must mean the same run on every Node.
 */
import { fail, mixHash, mixHashText } from "../../src/base/index.ts";
import type { Random } from "../../src/env/index.ts";

/** Steps of the quantile table of the exponential distribution. */
const QUANTILES = 1024;

/** -ln((i + 0.5) / QUANTILES), by the atanh series: every operation is exactly specified by IEEE 754. */
const EXPONENTIAL = buildExponentialTable();

/** A seeded generator. Two generators with one (seed, stream) give the same numbers. */
export class Rng implements Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** @param seed a safe integer >= 0. @param stream the concern that draws, e.g. "network". */
  constructor(seed: number, stream: string) {
    let state = mixHash(mixHash(0x5eed, seed | 0), Math.floor(seed / 0x1_0000_0000));
    state = mixHashText(state, stream);
    const next = (): number => {
      state = (state + 0x9e3779b9) | 0;
      let z = state;
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      return z ^ (z >>> 15);
    };
    this.#a = next();
    this.#b = next();
    this.#c = next();
    // All four words zero would be a fixed point; the low bit here rules it out.
    this.#d = next() | 1;
  }

  /** The next 32 bits, unsigned. */
  next(): number {
    const times5 = Math.imul(this.#b, 5);
    const result = Math.imul((times5 << 7) | (times5 >>> 25), 9) >>> 0;
    const t = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= t;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result;
  }

  /** An integer in [lo, hi). */
  int(lo: number, hi: number): number {
    const range = hi - lo;
    if (!(range > 0)) fail("empty range", { lo, hi });
    // Below 2^21 the product fits a double exactly; above, 53 bits and a remainder, whose bias is below 2^-20.
    if (range <= 0x20_0000) return lo + Math.floor((this.next() * range) / 0x1_0000_0000);
    const wide = (this.next() >>> 11) * 0x1_0000_0000 + this.next();
    return lo + (wide % range);
  }

  /** Whether an event of probability `ppm` / 1,000,000 happens. Draws only when it is neither impossible nor sure. */
  chance(ppm: number): boolean {
    if (ppm <= 0) return false;
    if (ppm >= 1_000_000) return true;
    return this.int(0, 1_000_000) < ppm;
  }

  /** An integer >= 0 from an exponential distribution of this mean, cut at about 7.6 means. */
  exponential(mean: number): number {
    return Math.floor(mean * (EXPONENTIAL[this.next() >>> 22] as number));
  }

  /** One of the items; there must be one. */
  pick<T>(items: readonly T[]): T {
    return items[this.int(0, items.length)] as T;
  }
}

/** A non-zero 64-bit identity. */
export function drawId(rng: Rng): bigint {
  return (BigInt(rng.next()) << 32n) | BigInt((rng.next() | 1) >>> 0);
}

function buildExponentialTable(): Float64Array {
  const table = new Float64Array(QUANTILES);
  for (let i = 0; i < QUANTILES; i++) table[i] = -naturalLog((i + 0.5) / QUANTILES);
  return table;
}

/** ln(x) for 0 < x <= 1: x is scaled into [0.5, 1] by exact doublings, then 2 * atanh((x - 1) / (x + 1)). */
function naturalLog(x: number): number {
  const ln2 = Math.LN2;
  let scaled = x;
  let doublings = 0;
  while (scaled < 0.5) {
    scaled *= 2;
    doublings++;
  }
  const ratio = (scaled - 1) / (scaled + 1);
  let power = ratio;
  let sum = 0;
  for (let k = 1; k < 40; k += 2) {
    sum += power / k;
    power *= ratio * ratio;
  }
  return 2 * sum - doublings * ln2;
}
