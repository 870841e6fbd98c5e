// Goal: no bytes make a decoder throw, and what it accepts is a value that its encoder accepts and gives back
// equal. Method: 240,000 mutations of valid encodings from a fixed seed, printed; FUZZ_SEED and FUZZ_RUNS
// choose others.
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { expect, it } from "vitest";
import { type AnyCodec, CODECS, toHex } from "./values.ts";

const SEED = Number(process.env["FUZZ_SEED"] ?? 20_251);
const RUNS = Number(process.env["FUZZ_RUNS"] ?? 240_000);

/** xorshift32: only has to be spread and repeatable. */
function generator(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** Varints at the ends of what is believed, and beyond. */
const HUGE = [
  "ffffffffffffff0f",
  "ffffffffffffff1f",
  "8080808080808010",
  "ffffffffffffffffff01",
  "ffffffffffffffffffff7f",
];
const INSERTS = HUGE.map((hex) => [...Buffer.from(hex, "hex")]);

type Mutation = (bytes: number[], other: readonly number[], random: (below: number) => number) => void;

const MUTATIONS: readonly Mutation[] = [
  function flipBit(bytes, _, random) {
    const at = random(bytes.length);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << random(8));
  },
  function setByte(bytes, _, random) {
    bytes[random(bytes.length)] = random(256);
  },
  function truncate(bytes, _, random) {
    bytes.length = random(bytes.length + 1);
  },
  function remove(bytes, _, random) {
    bytes.splice(random(bytes.length), 1 + random(4));
  },
  function splice(bytes, other, random) {
    const from = random(other.length + 1);
    bytes.splice(random(bytes.length + 1), random(8), ...other.slice(from, from + random(24)));
  },
  function repeat(bytes, _, random) {
    const from = random(bytes.length);
    bytes.splice(random(bytes.length + 1), 0, ...bytes.slice(from, from + 1 + random(16)));
  },
  function huge(bytes, _, random) {
    bytes.splice(random(bytes.length + 1), random(3), ...(INSERTS[random(INSERTS.length)] ?? []));
  },
];

function pick<T>(list: readonly T[], random: (below: number) => number): T {
  return list[random(list.length)] as T;
}

/** What is wrong with how `codec` treats `bytes`; undefined: refused; "": accepted and consistent. */
function check(codec: AnyCodec, bytes: Uint8Array): string | undefined {
  const got = codec.decode(bytes);
  if (got.type === "refused")
    return got.reason.length > 10 ? undefined : `reason "${got.reason}" says nothing`;
  const again = codec.decode(codec.encode(got.value));
  if (again.type === "refused") return `own encoding refused: ${again.reason}`;
  return isDeepStrictEqual(again.value, got.value) ? "" : "re-encoded to another value";
}

it(`survives ${RUNS} mutations, seed ${SEED}`, () => {
  const random = generator(SEED);
  const corpus = CODECS.map(({ value, encode }) => {
    return fc.sample(value, { numRuns: 40, seed: SEED }).map((v) => [...encode(v)]);
  });
  const accepted = new Map<string, number>();
  for (let run = 0; run < RUNS; run++) {
    const at = random(CODECS.length);
    const codec = CODECS[at] as AnyCodec;
    const bytes = [...pick(corpus[at] ?? [], random)];
    for (let rest = 1 + random(3); rest > 0; rest--) {
      if (bytes.length === 0) bytes.push(random(256));
      pick(MUTATIONS, random)(bytes, pick(pick(corpus, random), random), random);
    }
    const input = Uint8Array.from(bytes);
    let wrong: string | undefined;
    try {
      wrong = check(codec, input);
    } catch (error: unknown) {
      wrong = `threw ${String(error)}`;
    }
    if (wrong === "") accepted.set(codec.name, (accepted.get(codec.name) ?? 0) + 1);
    else if (wrong !== undefined)
      expect.fail(`seed ${SEED} run ${run} ${codec.name} ${toHex(input)}: ${wrong}`);
  }
  // Otherwise the half of the test that looks at accepted values would look at nothing.
  for (const { name } of CODECS) expect(accepted.get(name) ?? 0, name).toBeGreaterThan(RUNS / 10_000);
});
