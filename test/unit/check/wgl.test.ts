// Goal: the search for a linear order accepts legal histories and rejects impossible ones, of registers and
// of the whole model. Method: hand-made histories for each step of the algorithm, then generated ones and
// mutations that no order can explain. WAYMARK_CHECK_HISTORIES=10000 runs the full number.
import { describe, expect, test } from "vitest";
import {
  checkBeginning,
  checkLinearizable,
  checkPiece,
  checkRegisters,
  isSerializable,
  type KvHistory,
  MODEL_LIMITS,
  REGISTER_LIMITS,
  type WglOperation,
} from "../../../chaos/check/index.ts";
import { generate } from "./generate.ts";
import { MUTATIONS } from "./mutate.ts";
import { Random } from "./random.ts";
import { generateRegisters, REGISTER_MUTATIONS } from "./registers.ts";

const HISTORIES = Number(process.env["WAYMARK_CHECK_HISTORIES"] ?? 300);
const TIMEOUT_MS = 600_000;
const REGISTER_OPERATIONS = 60;
const MODEL_OPERATIONS = 24;

/** A register of small numbers that starts at 0: `w` writes, `r` reads. */
interface Small extends WglOperation {
  readonly kind: "r" | "w";
  readonly value: number;
}

const SMALL = {
  initial: 0,
  step: (state: number, { kind, value }: Small): number => {
    if (kind === "w") return value;
    return state === value ? state : -1;
  },
};

function small(kind: "r" | "w", value: number, call: number, returned: number): Small {
  return { kind, value, call, returned };
}

describe("hand-made histories", () => {
  const forever = Number.POSITIVE_INFINITY;
  test.each([
    ["nothing", [], "ok"],
    ["a read of what was written", [small("w", 1, 1, 2), small("r", 1, 3, 4)], "ok"],
    ["a stale read", [small("w", 1, 1, 2), small("r", 0, 3, 4)], "violation"],
    ["a concurrent read of the old value", [small("w", 1, 1, 9), small("r", 0, 3, 4)], "ok"],
    ["new, then old", [small("w", 1, 1, 9), small("r", 1, 2, 3), small("r", 0, 4, 5)], "violation"],
    ["old, then new", [small("w", 1, 1, 9), small("r", 0, 2, 3), small("r", 1, 4, 5)], "ok"],
    ["unknown, took effect", [small("w", 1, 1, forever), small("r", 1, 5, 6)], "ok"],
    ["unknown, took no effect", [small("w", 1, 1, forever), small("r", 0, 5, 6)], "ok"],
    ["unknown, late", [small("w", 1, 1, forever), small("r", 0, 5, 6), small("r", 1, 7, 8)], "ok"],
    [
      "unknown, then gone",
      [small("w", 1, 1, forever), small("r", 1, 5, 6), small("r", 0, 7, 8)],
      "violation",
    ],
    ["needs backtracking", [small("w", 1, 1, 9), small("w", 2, 1, 9), small("r", 1, 10, 11)], "ok"],
    ["touching in time is concurrent", [small("w", 1, 1, 5), small("r", 0, 5, 6)], "ok"],
  ] as const)("%s", (_name, operations, verdict) => {
    expect(checkLinearizable(SMALL, operations, REGISTER_LIMITS).type).toBe(verdict);
  });

  test("beyond a limit the verdict is unknown", () => {
    const writes = Array.from({ length: 12 }, (_, i) => small("w", i, 0, 100));
    const impossible = [...writes, small("r", 77, 0, 100)];
    const limits = { maxOperations: 100, maxUnknown: 50, maxSteps: 1_000 };
    expect(checkLinearizable(SMALL, impossible, limits).type).toBe("unknown");
    expect(checkLinearizable(SMALL, writes, { ...limits, maxOperations: 5 }).type).toBe("unknown");
    const lost = writes.map((write) => ({ ...write, returned: forever }));
    expect(checkLinearizable(SMALL, lost, { ...limits, maxUnknown: 5 }).type).toBe("unknown");
  });

  test("the longest order that was found is told", () => {
    const verdict = checkLinearizable(SMALL, [small("w", 1, 1, 2), small("r", 0, 3, 4)], REGISTER_LIMITS);
    expect(verdict).toEqual({
      type: "violation",
      longest: [small("w", 1, 1, 2)],
      stuck: small("r", 0, 3, 4),
    });
  });
});

describe("registers", () => {
  test(`${HISTORIES} legal histories are accepted`, { timeout: TIMEOUT_MS }, () => {
    for (let seed = 1; seed <= HISTORIES; seed++) {
      const verdict = checkRegisters(generateRegisters(new Random(seed), REGISTER_OPERATIONS));
      expect(verdict, `seed ${seed}`).toMatchObject({ type: "ok" });
    }
  });

  const names = Object.keys(REGISTER_MUTATIONS);
  test.each(names)("broken histories are rejected: %s", { timeout: TIMEOUT_MS }, (name) => {
    for (let seed = 1, done = 0; done < HISTORIES / names.length; seed++) {
      const random = new Random(seed);
      const broken = REGISTER_MUTATIONS[name]?.(generateRegisters(random, REGISTER_OPERATIONS), random);
      expect(seed, "nothing to break").toBeLessThan(20 * HISTORIES);
      if (broken === undefined) continue;
      done++;
      expect(checkRegisters(broken), `seed ${seed}`).toMatchObject({ type: "violation" });
    }
  });

  test("another request than those of a register is told", () => {
    const history = generate(1, { operations: 50, withLog: true }).history;
    expect(checkRegisters(history).type).toBe("unknown");
  });
});

/** Of the mutations of answers, those that no order of whatever requests can explain. */
const IMPOSSIBLE = [
  "wrong value read",
  "wrong version read",
  "wrong lease read",
  "key twice",
  "prevKv that was not asked for",
  "revision that never was",
];

describe("the whole model", () => {
  test(`${HISTORIES} legal beginnings are accepted`, { timeout: TIMEOUT_MS }, () => {
    for (let seed = 1; seed <= HISTORIES; seed++) {
      const { history } = generate(seed, { operations: MODEL_OPERATIONS, withLog: true });
      expect(checkBeginning(history, MODEL_OPERATIONS), `seed ${seed}`).toMatchObject({ type: "ok" });
    }
  });

  test(`${HISTORIES} legal pieces are accepted`, { timeout: TIMEOUT_MS }, () => {
    let searched = 0;
    for (let seed = 1; seed <= HISTORIES; seed++) {
      const { history } = generate(seed, { operations: 3 * MODEL_OPERATIONS, withLog: true });
      const verdict = checkPiece(history, seed % (history.log?.length ?? 1), MODEL_OPERATIONS);
      expect(verdict, `seed ${seed}`).toMatchObject({ type: "ok" });
      if (verdict.type === "ok" && verdict.steps > MODEL_OPERATIONS / 2) searched++;
    }
    expect(searched).toBeGreaterThan(HISTORIES / 3);
  });

  test.each(IMPOSSIBLE)("broken pieces are rejected: %s", { timeout: TIMEOUT_MS }, (name) => {
    for (let seed = 1, done = 0; done < HISTORIES / IMPOSSIBLE.length / 4; seed++) {
      expect(seed, "nothing to break").toBeLessThan(50 * HISTORIES);
      const generated = generate(seed, { operations: MODEL_OPERATIONS, withLog: true });
      const broken = MUTATIONS[name]?.(generated, new Random(seed));
      if (broken === undefined || !isInBeginning(generated.history, broken)) continue;
      const records = recordsBefore(generated.history, broken);
      if (records < 1) continue;
      done++;
      expect(checkPiece(broken, records, MODEL_OPERATIONS).type, `seed ${seed}`).toBe("violation");
    }
  });

  test.each(IMPOSSIBLE)("broken beginnings are rejected: %s", { timeout: TIMEOUT_MS }, (name) => {
    for (let seed = 1, done = 0; done < HISTORIES / IMPOSSIBLE.length; seed++) {
      expect(seed, "nothing to break").toBeLessThan(50 * HISTORIES);
      const generated = generate(seed, { operations: MODEL_OPERATIONS, withLog: true });
      const broken = MUTATIONS[name]?.(generated, new Random(seed));
      if (broken === undefined || !isInBeginning(generated.history, broken)) continue;
      done++;
      const verdict = checkBeginning(broken, MODEL_OPERATIONS, MODEL_LIMITS);
      expect(verdict.type, `seed ${seed}`).toBe("violation");
    }
  });
});

/** Whether the operation that was changed is one of those that the beginning owes. */
function isInBeginning(history: KvHistory, broken: KvHistory): boolean {
  const changed = broken.operations.find((operation, i) => operation !== history.operations[i]);
  const last = Math.max(...broken.operations.map(({ call }) => call));
  if (changed === undefined || changed.returned > last) return false;
  return !isSerializable(changed.request);
}

/** How much of the log was over and answered when the operation was called that was changed. */
function recordsBefore(history: KvHistory, broken: KvHistory): number {
  const changed = broken.operations.find((operation, i) => operation !== history.operations[i]);
  const call = changed?.call ?? 0;
  const late = new Set(history.operations.filter(({ returned }) => returned >= call).map(({ id }) => id));
  const log = broken.log ?? [];
  const first = log.findIndex(
    ({ at, operation }) => at >= call || (operation !== undefined && late.has(operation)),
  );
  return first < 0 ? log.length : first;
}
