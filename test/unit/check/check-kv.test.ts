// Goal: the checker of whole histories accepts every legal history and rejects every broken one. Method:
// histories made by running the model under clients whose calls overlap (generate.ts), and the same broken in
// one place by mutations that are illegal by an argument of their own (mutate.ts).
// WAYMARK_CHECK_HISTORIES=10000 runs the full number.
import { describe, expect, test } from "vitest";
import { checkKvHistory } from "../../../chaos/check/index.ts";
import { generate } from "./generate.ts";
import { MUTATIONS } from "./mutate.ts";
import { Random } from "./random.ts";

const HISTORIES = Number(process.env["WAYMARK_CHECK_HISTORIES"] ?? 300);
/** Tries of a mutation on histories of consecutive seeds until it finds something to break. */
const MAX_TRIES = 200;
const TIMEOUT_MS = 600_000;

test(`${HISTORIES} legal histories are accepted`, { timeout: TIMEOUT_MS }, () => {
  let unknownTookEffect = 0;
  for (let seed = 1; seed <= HISTORIES; seed++) {
    const { history } = generate(seed, { operations: 60 + (seed % 80), withLog: seed % 2 === 0 });
    const verdict = checkKvHistory(history);
    expect(verdict, `seed ${seed}`).toMatchObject({ type: "ok" });
    if (verdict.type === "ok") unknownTookEffect += verdict.counts.unknownTookEffect;
  }
  expect(unknownTookEffect).toBeGreaterThan(HISTORIES / 2);
});

describe(`${HISTORIES} broken histories are rejected`, () => {
  const names = Object.keys(MUTATIONS);
  const each = Math.ceil(HISTORIES / names.length);
  test.each(names)("%s", { timeout: TIMEOUT_MS }, (name) => {
    let seed = names.indexOf(name) + 1;
    for (let done = 0, tries = 0; done < each; seed++) {
      // A log makes some mutations impossible and others possible.
      const generated = generate(seed, { operations: 60 + (seed % 40), withLog: seed % 2 === 0 });
      const broken = MUTATIONS[name]?.(generated, new Random(seed));
      expect(tries, `nothing to break up to seed ${seed}`).toBeLessThan(MAX_TRIES);
      tries++;
      if (broken === undefined) continue;
      tries = 0;
      done++;
      expect(checkKvHistory(broken), `seed ${seed}`).toMatchObject({ type: "violation" });
    }
  });
});
