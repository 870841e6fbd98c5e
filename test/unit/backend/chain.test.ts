// Goal: every batch that is not there is found among the markers, and a complete chain is accepted. Method: a dumb
// database of markers from which batches are taken away, one and several, at every distance from the end.
import { describe, expect, it } from "vitest";
import {
  beginChain,
  chainFault,
  decodeHead,
  decodeMarker,
  encodeHead,
  encodeMarker,
  extendChain,
  type Head,
  MARKERS,
  type Marker,
  markerName,
} from "../../../src/backend/chain.ts";
import { EMPTY_META } from "../../../src/backend/contract.ts";

const CONF = { voters: [1n], votersOutgoing: [], learners: [], learnersNext: [], leaseMs: 0 };

/** Writes `batches` batches and loses some of them, numbered from 1 after the beginning. */
function write(batches: number, lost: readonly number[]): { head: Head; markers: Marker[] } {
  const begun = beginChain(EMPTY_META);
  let head = begun.head;
  const markers = new Map(begun.markers.map((marker) => [marker.number, marker]));
  for (let index = 1; index <= batches; index++) {
    const next = extendChain(head, { index, term: 1, conf: CONF }, index % 3);
    head = next.head;
    if (lost.includes(index)) continue;
    markers.set(next.marker.number, next.marker);
    markers.delete(next.marker.number - MARKERS);
  }
  return { head, markers: [...markers.values()].sort((a, b) => a.number - b.number) };
}

describe("chain", () => {
  it.each([0, 1, 2, MARKERS - 1, MARKERS, MARKERS + 1, 3000])("of %i batches is whole", (batches) => {
    const { head, markers } = write(batches, []);
    expect(markers.length).toBe(MARKERS);
    expect(chainFault(head, markers)).toBeUndefined();
  });

  it.each([
    ["the last", 50, [50]],
    ["the first", 50, [1]],
    ["one in the middle", 50, [20]],
    ["two", 50, [20, 21]],
    ["one as old as the oldest marker", 1100, [1100 - MARKERS + 1]],
    ["one a batch older", 1100, [1100 - MARKERS]],
    ["one long ago", 3000, [7]],
    ["several, also long ago", 3000, [7, 8, 2500]],
    ["all", 50, Array.from({ length: 50 }, (_, i) => i + 1)],
  ])("tells that %s is lost", (_name, batches, lost) => {
    const { head, markers } = write(batches, lost);
    // Named is the first one that is lost, by its number in all of the chain.
    expect(chainFault(head, markers)).toContain(`batch ${MARKERS + (lost[0] as number)} `);
    expect(chainFault(head, markers)).toContain("is lost");
  });

  it("tells markers of another history", () => {
    const { head, markers } = write(10, []);
    const last = markers.at(-1) as Marker;
    const other = [...markers.slice(0, -1), { ...last, previous: last.previous ^ 1 }];
    expect(chainFault(head, other)).toContain("does not follow");
    expect(chainFault({ ...head, hash: head.hash ^ 1 }, markers)).toContain(
      "not the one that the head names",
    );
    expect(chainFault(head, [])).toContain("is lost");
  });

  it("names sort as numbers do", () => {
    const numbers = [0, 9, 15, 16, 255, 4096, 2 ** 32 - 1, 2 ** 32, 2 ** 48];
    const names = numbers.map(markerName);
    expect([...names].sort()).toEqual(names);
  });

  it("markers and heads read back as they were written", () => {
    const head: Head = {
      number: 2 ** 40 + 5,
      hash: 0xffff_fffe,
      meta: { index: 2 ** 50, term: 3, conf: CONF },
    };
    expect(decodeHead(encodeHead(head))).toEqual({ type: "ok", value: head });
    const marker: Marker = { number: 2 ** 40, previous: 1, hash: 0xffff_ffff };
    expect(decodeMarker(encodeMarker(marker))).toEqual(marker);
    expect(decodeMarker(new Uint8Array(15))).toBeUndefined();
  });

  it.each([
    ["newer", [2], { type: "newer", reason: "format version 2 is newer than this program reads (1)" }],
    ["empty", [], { type: "malformed", reason: "its head is malformed" }],
    ["cut", [1, 0, 0], { type: "malformed", reason: "its head is malformed" }],
  ])("a head that is %s is told", (_name, bytes, expected) => {
    expect(decodeHead(Uint8Array.from(bytes))).toEqual(expected);
  });
});
