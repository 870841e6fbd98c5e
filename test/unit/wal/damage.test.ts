// Goal: damage is never believed. A log cut off at any byte gives exactly the completed batches, and a log with any
// single byte changed is refused or gives exactly what it gave before.
// Method: exhaustive over every byte of a real log of three segments, with 200 entries, a term change, a conflict, a
// snapshot record, a batch over 8 sectors and a value of zeros.
import { describe, expect, test } from "vitest";
import type { FileOp } from "../../../src/env/index.ts";
import { createWal, recoverWal } from "../../../src/wal/index.ts";
import { JournalFiles } from "../../support/journal-files.ts";
import {
  bytesOf,
  cutLog,
  directoryOf,
  EMPTY,
  expectRefused,
  type Files,
  fillSectors,
  hashOf,
  history,
  log,
  mustOpen,
  OPTIONS,
  patternOf,
  SECTOR,
  type WrittenBatch,
} from "./written-log.ts";

test("the log is as long and as varied as it is meant to be", () => {
  const opened = recoverWal(directoryOf(log.files), OPTIONS);
  if (opened.type !== "ok") throw new Error(JSON.stringify(opened));
  expect(log.model.difference(opened.recovered, 0)).toBeUndefined();
  expect(log.names.length).toBeGreaterThanOrEqual(3);
  expect(history().flatMap((batch) => batch.entries).length).toBeGreaterThanOrEqual(200);
  expect(log.batches.some((batch) => batch.bytes > 8 * SECTOR)).toBe(true);
  expect(opened.recovered.snapshot).toBeDefined();
});

describe("every prefix", () => {
  test.each(log.names.map((name, i) => ({ name, i })))(
    "of $name gives the completed batches",
    ({ name, i }) => {
      const before = log.batches.filter((batch) => batch.file < i).at(-1)?.after ?? EMPTY;
      const here = log.batches.filter((batch) => batch.file === i);
      const length = bytesOf(name).length;
      const files = cutLog(log, i + 1, 0);
      const cut = files.get(name) as Uint8Array;
      const whole = bytesOf(name);
      let torn = 0;
      for (let at = 0; at <= length; at++) {
        const opened = recoverWal(directoryOf(files), OPTIONS);
        const expected = here.filter((batch) => batch.recordsEnd <= at).at(-1)?.after ?? before;
        if (opened.type === "refused") throw new Error(`${at}: ${JSON.stringify(opened)}`);
        const found = opened.type === "empty" ? EMPTY : hashOf(opened.recovered);
        if (found !== expected) throw new Error(`prefix of ${at} bytes gives another log`);
        if (opened.type === "ok" && opened.torn) torn += 1;
        if (at < length) cut[at] = whole[at] as number;
      }
      console.log(`${name}: ${length + 1} prefixes, ${torn} torn, ${here.length} batches`);
      expect(torn).toBeGreaterThan(length / 8);
    },
  );
});

/** Other values for a byte: one bit, all bits, zero, and what was there before anything was written. */
function changesOf(byte: number, at: number, pattern: Uint8Array): Set<number> {
  const values = new Set([byte ^ (1 << (at & 7)), byte ^ 0xff, 0, pattern[at % SECTOR] as number]);
  values.delete(byte);
  return values;
}

/**
 * Changes every `stride`th byte of segment `i` in a log of segments `first` to the last one. `expected` is the hash of
 * what that log gives when it is whole.
 */
function changeBytes(first: number, i: number, stride: number, counts: Record<string, number>): void {
  const files: Files = new Map(log.names.slice(first).map((name) => [name, bytesOf(name).slice()]));
  const directory = directoryOf(files);
  const expected = hashOf(mustOpen(recoverWal(directory, OPTIONS)).recovered);
  const name = log.names[i] as string;
  const bytes = files.get(name) as Uint8Array;
  for (let at = stride >> 1; at < bytes.length; at += stride) {
    const byte = bytes[at] as number;
    for (const value of changesOf(byte, at, patternOf(i))) {
      bytes[at] = value;
      const opened = recoverWal(directory, OPTIONS);
      const same = opened.type === "ok" && hashOf(opened.recovered) === expected;
      if (!same && opened.type !== "refused") {
        throw new Error(`${name} byte ${at} changed from ${byte} to ${value} is believed`);
      }
      const outcome = same ? "same" : "refused";
      counts[outcome] = (counts[outcome] ?? 0) + 1;
    }
    bytes[at] = byte;
  }
}

describe("every changed byte is refused or changes nothing", () => {
  // The exhaustive run over a later segment goes over the log as it is after the earlier ones were released: it has
  // fewer checks to pass than the whole log, and takes a third of the time.
  test.each(log.names.map((name, i) => ({ name, i })))("$name, every byte", ({ name, i }) => {
    const counts: Record<string, number> = {};
    changeBytes(i, i, 1, counts);
    console.log(`${name}, all bytes:`, JSON.stringify(counts));
    expect(counts["refused"]).toBeGreaterThan(bytesOf(name).length / 2);
  });

  test("in the whole log, every 13th byte", () => {
    const counts: Record<string, number> = {};
    for (const i of log.names.keys()) changeBytes(0, i, 13, counts);
    console.log("whole log, every 13th byte:", JSON.stringify(counts));
    expect(counts["refused"]).toBeGreaterThan(bytesOf(log.names[0] as string).length / 13);
  });
});

/** The last batch of the log that has more than `sectors` sectors, with everything after it removed. */
function endingInLongBatch(): { files: Files; batch: WrittenBatch; name: string; before: number } {
  const at = log.batches.findIndex((batch) => batch.bytes > 8 * SECTOR);
  const batch = log.batches[at] as WrittenBatch;
  const files = cutLog(log, batch.file + 1, batch.offset + batch.bytes);
  return { files, batch, name: log.names[batch.file] as string, before: log.batches[at - 1]?.after ?? EMPTY };
}

describe("a last batch of many sectors", () => {
  test("is torn by every lost set of one or two sectors", () => {
    const { batch, name, before } = endingInLongBatch();
    const sectors = batch.bytes / SECTOR;
    for (let a = 0; a < sectors; a++) {
      for (let b = a; b < sectors; b++) {
        const { files } = endingInLongBatch();
        for (const lost of [a, b]) {
          const lo = batch.offset + lost * SECTOR;
          fillSectors(files, name, lo, lo + SECTOR, batch.file);
        }
        const opened = recoverWal(directoryOf(files), OPTIONS);
        if (opened.type !== "ok") throw new Error(`sectors ${a} and ${b}: ${JSON.stringify(opened)}`);
        expect(hashOf(opened.recovered), `sectors ${a} and ${b}`).toBe(before);
        expect(opened.torn).toBe(true);
      }
    }
  });

  test("is refused when a sector holds anything but pattern or itself", () => {
    const { files, batch, name } = endingInLongBatch();
    const lo = batch.offset + 3 * SECTOR;
    (files.get(name) as Uint8Array).fill(0x5a, lo, lo + SECTOR);
    expectRefused(recoverWal(directoryOf(files), OPTIONS), name, batch.offset, "damaged");
  });

  test("is refused when zeros stand where a sector was lost: that is not how this log is torn", () => {
    const { files, batch, name } = endingInLongBatch();
    // The first bytes of the value, which is zeros anyway, stay as they are; header and position go.
    (files.get(name) as Uint8Array).fill(0, batch.offset, batch.offset + SECTOR);
    expectRefused(recoverWal(directoryOf(files), OPTIONS), name, batch.offset, "damaged");
  });
});

test("a batch that others follow is refused when any sector of it went back to pattern", () => {
  let checked = 0;
  for (const batch of log.batches.slice(0, -1)) {
    const name = log.names[batch.file] as string;
    for (let lo = batch.offset; lo < batch.offset + batch.bytes; lo += SECTOR) {
      const files: Files = new Map(log.files).set(name, bytesOf(name).slice());
      fillSectors(files, name, lo, lo + SECTOR, batch.file);
      expect(recoverWal(directoryOf(files), OPTIONS).type, `${name} ${lo}`).toBe("refused");
      checked += 1;
    }
  }
  expect(checked).toBeGreaterThan(60);
});

test("the last batch of a segment cannot be torn when a next segment exists, even one without batches", () => {
  const batch = log.batches.filter(({ file }) => file === 0).at(-1) as WrittenBatch;
  const name = log.names[0] as string;
  const files = cutLog(log, 2, SECTOR).set(name, bytesOf(name).slice());
  expect(recoverWal(directoryOf(files), OPTIONS).type).toBe("ok");
  fillSectors(files, name, batch.offset + SECTOR, batch.offset + 2 * SECTOR, 0);
  expectRefused(recoverWal(directoryOf(files), OPTIONS), name, batch.offset, "damaged");
});

test("a damaged end of a batch is made good when it is the last one, and refused when others follow", () => {
  const last = log.batches.at(-1) as WrittenBatch;
  const before = log.batches.at(-2) as WrittenBatch;
  const name = log.names.at(-1) as string;
  const damage = (at: number): Files => {
    const bytes = bytesOf(name).slice();
    bytes[at] = (bytes[at] as number) ^ 0x10;
    return new Map(log.files).set(name, bytes);
  };
  const opened = mustOpen(recoverWal(directoryOf(damage(last.recordsEnd + 3)), OPTIONS));
  const rewrite = opened.repair.find((op) => op.type === "write");
  const whole = bytesOf(name).subarray(last.offset, last.offset + last.bytes);
  expect(rewrite).toMatchObject({ name, offset: last.offset });
  expect(rewrite?.bytes.length === whole.length && Buffer.compare(rewrite.bytes, whole) === 0).toBe(true);
  const refused = recoverWal(directoryOf(damage(before.recordsEnd + 3)), OPTIONS);
  expectRefused(refused, name, before.offset, "the end of a batch is damaged");
});

test("damage behind a segment header is refused", () => {
  const name = log.names[0] as string;
  const bytes = bytesOf(name).slice();
  bytes[300] = 0x11;
  const opened = recoverWal(directoryOf(new Map(log.files).set(name, bytes)), OPTIONS);
  expectRefused(opened, name, 60, "the room behind the segment header");
});

/** A log of batches with one hard state each, one sector each. */
function votes(terms: readonly number[]): Uint8Array {
  const disk = new JournalFiles();
  const { ops, wal } = createWal(OPTIONS);
  disk.executeAll(ops);
  for (const term of terms) {
    const hardState = { term, vote: 1n, commit: 0 };
    disk.executeAll(wal.append({ seq: 1, snapshot: undefined, entries: [], hardState }));
  }
  return disk.read("0000000000000001.wal");
}

test.each([
  ["an earlier one", 2, 3, "batch 2 where batch 3 is expected"],
  ["a later one", 4, 3, "batch 4 where batch 3 is expected"],
])("a batch that was overwritten by %s is refused", (_name, from, to, reason) => {
  const bytes = votes([1, 2, 3, 4]);
  bytes.copyWithin(to * SECTOR, from * SECTOR, (from + 1) * SECTOR);
  const opened = recoverWal(directoryOf(new Map([["0000000000000001.wal", bytes]])), OPTIONS);
  expectRefused(opened, "0000000000000001.wal", to * SECTOR, reason);
});

test("segments of two histories of the same member do not make one log", () => {
  const histories = [1, 2].map((term) => {
    const disk = new JournalFiles();
    const { ops, wal } = createWal(OPTIONS);
    disk.executeAll(ops);
    for (let index = 1; index <= 30; index++) {
      const entry = { index, term, type: "normal" as const, data: new Uint8Array(900) };
      disk.executeAll(wal.append({ seq: 1, snapshot: undefined, entries: [entry], hardState: undefined }));
    }
    return disk;
  });
  const [first = "", second = ""] = (histories[0] as JournalFiles).list().map((file) => file.name);
  const mixed: Files = new Map([
    [first, (histories[0] as JournalFiles).read(first)],
    [second, (histories[1] as JournalFiles).read(second)],
  ]);
  const opened = recoverWal(directoryOf(mixed), OPTIONS);
  expectRefused(opened, second, SECTOR + 40, "the segment continues");
});

test("values made of the segment's own pattern cannot pass damage off as a torn write", () => {
  const pattern = patternOf(0);
  // The pattern, and the pattern as it looks under the first word that would be tried to hide it.
  const data = Uint8Array.from({ length: 6_000 }, (_, i) => {
    const byte = pattern[(i + 32) % SECTOR] as number;
    return i < 3_000 || (i & 3) !== 0 ? byte : byte ^ 1;
  });
  const salts = new Set<number>();
  for (const spoiled of [false, true]) {
    // One byte off in each sector, so that a single changed byte could complete the pattern.
    if (spoiled) for (let i = 100; i < data.length; i += SECTOR) data[i] = 1;
    for (let shift = 0; shift < 64; shift++) {
      const disk = new JournalFiles();
      const { ops, wal } = createWal(OPTIONS);
      disk.executeAll(ops);
      const entry = { index: 1, term: 1, type: "normal" as const, data: data.slice(shift) };
      const appended = wal.append({ seq: 1, snapshot: undefined, entries: [entry], hardState: undefined });
      disk.executeAll(appended);
      const { bytes } = appended.at(-2) as Extract<FileOp, { type: "write" }>;
      for (let at = 0; at + SECTOR <= bytes.length - SECTOR; at += SECTOR) {
        const off = pattern.filter((byte, i) => byte !== bytes[at + i]).length;
        expect(off, `shift ${shift}, sector at ${at}`).toBeGreaterThan(1);
      }
      salts.add(new DataView(bytes.buffer).getUint32(28, true));
      const { recovered } = mustOpen(recoverWal(disk, OPTIONS));
      expect(Buffer.compare(recovered.entries[0]?.data ?? new Uint8Array(0), entry.data)).toBe(0);
    }
  }
  expect([...salts].sort()).toEqual([0, 2]);
});
