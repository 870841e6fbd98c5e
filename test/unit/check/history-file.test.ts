// Goal: a history that went to disk and back is judged as before. Method: generated histories, and one value
// of every kind that JSON lacks.
import { expect, test } from "vitest";
import { checkKvHistory, historyLines, historyOfLines, type KvHistory } from "../../../chaos/check/index.ts";
import { generate } from "./generate.ts";

function roundTrip(history: KvHistory): KvHistory {
  return historyOfLines(historyLines(history));
}

test.each([1, 2, 3, 4])("seed %i comes back as it was", (seed) => {
  const { history } = generate(seed, { operations: 120, withLog: seed % 2 === 0 });
  const back = roundTrip(history);
  expect(back).toEqual(history);
  expect(checkKvHistory(back)).toEqual(checkKvHistory(history));
});

test("what JSON lacks", () => {
  const { history } = generate(1, { operations: 10, withLog: true });
  const [record] = history.log ?? [];
  if (record === undefined) throw new Error("no log");
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
  const request = {
    type: "txn",
    compare: [],
    success: [undefined, { type: "deleteRange", key: bytes, rangeEnd: new Uint8Array(0), prevKv: false }],
    failure: [{ type: "txn", compare: [], success: [], failure: [] }],
  } as const;
  const revoke = { ...record, request: { type: "leaseRevoke", id: -(2n ** 63n) } as const };
  const faults = [{ from: 0, to: Number.POSITIVE_INFINITY, label: "cut" }];
  const odd = { ...history, faults, log: [{ ...record, request }, revoke] };
  expect(roundTrip(odd)).toEqual(odd);
  expect(Array.from(historyLines(odd)).every((line) => !line.includes("\n"))).toBe(true);
});

test.each([
  ["nothing", []],
  ["another format", ['["head",{"format":99}]']],
  ["no head", ['["operations",{}]']],
  ["an unknown record", ['["head",{"format":1,"title":"","end":0,"isLogged":false}]', '["what",{}]']],
])("refuses %s", (_name, lines) => {
  expect(() => historyOfLines(lines)).toThrow();
});
