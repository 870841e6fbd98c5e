// Goal: what is encoded decodes to an equal value, equal values have equal bytes, and the value owns what it
// must. Method: generated values of every type (fast-check prints its seed on failure), and cases around
// shared buffers.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { equalBytes } from "../../../src/base/index.ts";
import {
  decodeMessage,
  decodeSnapshotFrame,
  encodeMessage,
  encodeSnapshotFrame,
} from "../../../src/pb/index.ts";
import type { Message } from "../../../src/raft/types.ts";
import { CODECS } from "./values.ts";

describe.each(CODECS)("$name", ({ value, encode, decode }) => {
  it("decodes to what was encoded", () => {
    fc.assert(
      fc.property(value, (v) => {
        expect(decode(encode(v))).toEqual({ type: "ok", value: v });
      }),
      { numRuns: 500 },
    );
  });

  it("decodes the same from the middle of a larger buffer and from a Buffer", () => {
    fc.assert(
      fc.property(value, fc.integer({ min: 0, max: 2000 }), (v, before) => {
        const bytes = encode(v);
        const large = new Uint8Array(before + bytes.length + 7).fill(0xff);
        large.set(bytes, before);
        const part = large.subarray(before, before + bytes.length);
        expect(decode(part)).toEqual({ type: "ok", value: v });
        expect(decode(Buffer.from(part.buffer, part.byteOffset, part.length))).toEqual({
          type: "ok",
          value: v,
        });
      }),
      { numRuns: 100 },
    );
  });
});

function append(sizes: readonly number[]): Message {
  const entries = sizes.map((size, i) => {
    return { index: 6 + i, term: 2, type: "normal" as const, data: new Uint8Array(size).fill(i + 1) };
  });
  return { type: "append", from: 1n, to: 2n, term: 2, prevIndex: 5, prevTerm: 2, commit: 5, entries };
}

function dataOf(bytes: Uint8Array): readonly Uint8Array[] {
  const got = decodeMessage(bytes);
  if (got.type !== "ok" || got.value.type !== "append") throw new Error(JSON.stringify(got));
  return got.value.entries.map((entry) => entry.data);
}

describe("ownership of bytes", () => {
  it("does not pin a large network buffer with an entry, and copies the message once", () => {
    const bytes = encodeMessage(append([100, 200, 300]));
    const network = new Uint8Array(1 << 20);
    network.set(bytes, 5000);
    const [first, second, third] = dataOf(network.subarray(5000, 5000 + bytes.length));
    expect(first?.buffer.byteLength).toBe(bytes.length);
    expect(second?.buffer).toBe(first?.buffer);
    expect(third?.buffer).toBe(first?.buffer);
  });

  it("views the message's own buffer when that is what the entry fills", () => {
    const bytes = encodeMessage(append([10_000])).slice();
    expect(dataOf(bytes)[0]?.buffer).toBe(bytes.buffer);
  });

  it.each([1, 64, 65, 4000])("gives plain Uint8Arrays whose bytes nobody else writes (%i bytes)", (size) => {
    const network = Buffer.alloc(1 << 16);
    const bytes = encodeMessage(append([size]));
    network.set(bytes);
    const [data] = dataOf(network.subarray(0, bytes.length));
    network.fill(0xee);
    expect(data?.constructor).toBe(Uint8Array);
    expect(data).toEqual(new Uint8Array(size).fill(1));
  });

  it("copies a value of a snapshot alone: it outlives the others of its chunk", () => {
    const value = new Uint8Array(300).fill(9);
    const records = [
      ["a", value],
      ["b", value],
      ["c", value],
    ] as const;
    const got = decodeSnapshotFrame(
      encodeSnapshotFrame({ type: "chunk", stream: 1, sequence: 0, records }).slice(),
    );
    if (got.type !== "ok" || got.value.type !== "chunk") throw new Error(JSON.stringify(got));
    expect(got.value.records.map(([, bytes]) => bytes.buffer.byteLength)).toEqual([300, 300, 300]);
  });

  it("keeps earlier encodings unchanged while later ones are made", () => {
    const sizes = [0, 20, 64, 100, 1000, 4000, 5000, 70_000];
    const made = Array.from({ length: 200 }, (_, i) => append([sizes[i % sizes.length] ?? 0]));
    const all = made.map((m) => encodeMessage(m));
    const broken = made.findIndex((m, i) => {
      const data = m.type === "append" ? m.entries[0]?.data : undefined;
      return !equalBytes(dataOf(all[i] as Uint8Array)[0] as Uint8Array, data as Uint8Array);
    });
    expect(broken).toBe(-1);
  });
});
