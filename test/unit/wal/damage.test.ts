// Goal: damage is never believed. A log cut off at any byte gives exactly the completed batches, and a log with any
// single byte changed is refused or gives exactly what it gave before.
// Method: exhaustive over every byte of a real log of three segments, with 200 entries, a term change, a conflict, a
// snapshot record, a batch over 8 sectors and a value of zeros.
import { describe, expect, test } from "vitest";
import { finishHash, mixHash, mixHashBytes, mixHashNumber, mixHashText } from "../../../src/base/index.ts";
import type { FileOp, LogDirectory, PersistBatch, RecoveredLog } from "../../../src/env/index.ts";
import type { Entry } from "../../../src/raft/types.ts";
import { patternSector } from "../../../src/wal/format.ts";
import { createWal, recoverWal, type WalRecovery } from "../../../src/wal/index.ts";
import { JournalFiles } from "../../support/journal-files.ts";
import { LogModel, someConf } from "../../support/log-model.ts";

const OPTIONS = { segmentBytes: 16 * 1024, cluster: 0xc1n, member: 0x2n, instance: 0xfeed_beef_cafen };
const SECTOR = 512;

/** Files by name, to be changed in place. */
type Files = Map<string, Uint8Array>;

interface WrittenBatch {
  /** Position in the list of files. */
  readonly file: number;
  readonly offset: number;
  readonly bytes: number;
  /** Where its records end in the file: from there on it is complete. */
  readonly recordsEnd: number;
  /** Hash of the log after it. */
  readonly after: number;
}

interface WrittenLog {
  readonly files: Files;
  readonly names: readonly string[];
  readonly batches: readonly WrittenBatch[];
  readonly model: LogModel;
}

function directoryOf(files: Files): LogDirectory {
  return {
    list: () => [...files].map(([name, bytes]) => ({ name, bytes: bytes.length })),
    read: (name) => files.get(name) ?? new Uint8Array(0),
  };
}

function mustOpen(opened: WalRecovery): Extract<WalRecovery, { type: "ok" }> {
  if (opened.type !== "ok") throw new Error(JSON.stringify(opened));
  return opened;
}

function bytesOf(name: string): Uint8Array {
  const bytes = log.files.get(name);
  if (bytes === undefined) throw new Error(`no ${name}`);
  return bytes;
}

function hashOf(log: RecoveredLog): number {
  let hash = mixHashNumber(mixHashNumber(0, log.base.index), log.base.term);
  for (const entry of log.entries) {
    hash = mixHashNumber(mixHashNumber(hash, entry.index), entry.term);
    hash = mixHashBytes(mixHash(hash, entry.type === "conf" ? 1 : 0), entry.data);
  }
  const { term, vote, commit } = log.hardState;
  hash = mixHashText(hash, `${term} ${vote} ${commit} ${log.snapshot?.index} ${log.snapshot?.term}`);
  return finishHash(mixHashText(hash, String(Object.values(log.snapshot?.conf ?? {}))));
}

/** 24 batches with 203 entries; three segments, of which the last has room left. */
function history(): PersistBatch[] {
  const batches: PersistBatch[] = [];
  let index = 1;
  let term = 1;
  const add = (
    count: number,
    bytes: number,
    fill: (i: number) => number,
    more: Partial<PersistBatch> = {},
  ): void => {
    const entries: Entry[] = [];
    for (let i = 0; i < count; i++, index++) {
      const data = Uint8Array.from({ length: bytes + (i % 7) * 9 }, (_, at) => fill(at + i));
      entries.push({ index, term, type: index % 17 === 0 ? "conf" : "normal", data });
    }
    const hardState = count % 2 === 0 ? { term, vote: 2n, commit: Math.max(0, index - 9) } : undefined;
    batches.push({ seq: batches.length + 1, snapshot: undefined, entries, hardState, ...more });
  };
  for (let i = 0; i < 8; i++) add(11, 100, (at) => at * 31);
  term = 2;
  index -= 4;
  add(7, 100, (at) => at * 7);
  add(1, 5_000, () => 0);
  for (let i = 0; i < 4; i++) add(9, 90, (at) => at & 1);
  index += 10;
  add(5, 60, (at) => at, {
    snapshot: { index: index - 1, term: 2, conf: someConf(3) },
    hardState: { term, vote: 2n, commit: index - 1 },
  });
  term = 3;
  for (let i = 0; i < 8; i++) add(8, 130, (at) => 255 - at);
  add(2, 0, () => 0, { hardState: { term: 4, vote: 0n, commit: index - 2 } });
  return batches;
}

function writeLog(): WrittenLog {
  const disk = new JournalFiles();
  const { ops, wal } = createWal(OPTIONS);
  disk.executeAll(ops);
  const model = new LogModel();
  const places: { name: string; offset: number; bytes: Uint8Array; after: number }[] = [];
  for (const batch of history()) {
    const appended = wal.append(batch);
    disk.executeAll(appended);
    model.apply(batch);
    const write = appended.at(-2) as Extract<FileOp, { type: "write" }>;
    places.push({ ...write, after: hashOf(model) });
  }
  const names = disk.list().map((file) => file.name);
  const files: Files = new Map(names.map((name) => [name, disk.read(name).slice()]));
  const batches = places.map(({ name, offset, bytes, after }) => {
    const payload = new DataView(bytes.buffer).getUint32(4, true);
    const file = names.indexOf(name);
    return { file, offset, bytes: bytes.length, recordsEnd: offset + 40 + payload, after };
  });
  return { files, names, batches, model };
}

function patternOf(file: number): Uint8Array {
  return patternSector(OPTIONS.instance, file + 1);
}

/** Segments `first` to `files` of the log, the last of them cut at `length` with pattern behind. */
function cutLog(log: WrittenLog, files: number, length: number, first = 0): Files {
  const out: Files = new Map();
  for (const name of log.names.slice(first, files)) out.set(name, bytesOf(name));
  const name = log.names[files - 1] as string;
  const cut = bytesOf(name).slice();
  const pattern = patternOf(files - 1);
  for (let i = length; i < cut.length; i++) cut[i] = pattern[i % SECTOR] as number;
  return out.set(name, cut);
}

const log = writeLog();
const EMPTY = hashOf(new LogModel());

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

function fillSectors(files: Files, name: string, lo: number, hi: number, file: number): void {
  const bytes = files.get(name) as Uint8Array;
  for (let i = lo; i < hi; i++) bytes[i] = patternOf(file)[i % SECTOR] as number;
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

test.each([
  ["its first sector", 0],
  ["a sector in the middle", 3],
])("a batch that others follow is refused when %s went back to pattern", (_name, sector) => {
  const batch = log.batches.find((written) => written.bytes > 8 * SECTOR) as WrittenBatch;
  const name = log.names[batch.file] as string;
  const files: Files = new Map(log.files).set(name, bytesOf(name).slice());
  const lo = batch.offset + sector * SECTOR;
  fillSectors(files, name, lo, lo + SECTOR, batch.file);
  expectRefused(recoverWal(directoryOf(files), OPTIONS), name, batch.offset, "");
});

test("values made of the segment's own pattern cannot pass damage off as a torn write", () => {
  const disk = new JournalFiles();
  const { ops, wal } = createWal(OPTIONS);
  disk.executeAll(ops);
  const pattern = patternOf(0);
  // At every phase, so that whole sectors of the file would hold it; and once more as the XOR with the first salt.
  const data = Uint8Array.from({ length: 6_000 }, (_, i) => {
    const byte = pattern[(i + 32) % SECTOR] as number;
    return i < 3_000 ? byte : byte ^ ((i & 3) === 0 ? 1 : 0);
  });
  for (let shift = 0; shift < 64; shift++) {
    const entry = { index: shift + 1, term: 1, type: "normal" as const, data: data.slice(shift) };
    const appended = wal.append({ seq: 1, snapshot: undefined, entries: [entry], hardState: undefined });
    disk.executeAll(appended);
    const { name, offset, bytes } = appended.at(-2) as Extract<FileOp, { type: "write" }>;
    const own = patternSector(OPTIONS.instance, Number.parseInt(name, 10));
    for (let at = 0; at < bytes.length; at += SECTOR) {
      expect(Buffer.compare(bytes.subarray(at, at + SECTOR), own), `${name} ${offset + at}`).not.toBe(0);
    }
  }
  const opened = recoverWal(disk, OPTIONS);
  if (opened.type !== "ok") throw new Error(JSON.stringify(opened));
  for (const entry of opened.recovered.entries) {
    expect(Buffer.compare(entry.data, data.slice(entry.index - 1))).toBe(0);
  }
});

describe("refused by name", () => {
  const first = log.names[0] as string;
  const second = log.names[1] as string;
  const third = log.names[2] as string;

  test.each([
    ["another cluster", { cluster: 0xdn }, 32, "cluster c1, this is cluster d"],
    ["another member", { member: 0x3n }, 40, "member 2, this is member 3"],
    [
      "another data directory",
      { instance: 0x5n },
      48,
      "instance feedbeefcafe, this is data directory instance 5",
    ],
  ])("%s", (_name, other, offset, reason) => {
    const opened = recoverWal(directoryOf(log.files), { ...OPTIONS, ...other });
    expectRefused(opened, first, offset, reason);
  });

  test("a newer format", () => {
    const files: Files = new Map(log.files);
    const bytes = bytesOf(first).slice();
    const view = new DataView(bytes.buffer);
    view.setUint32(8, 2, true);
    view.setUint32(12, crcOf(bytes.subarray(0, 12)), true);
    files.set(first, bytes);
    const reason = "log format 2 is newer than this program reads (1)";
    expectRefused(recoverWal(directoryOf(files), OPTIONS), first, 8, reason);
  });

  test("a missing segment", () => {
    const files: Files = new Map(log.files);
    files.delete(second);
    expectRefused(recoverWal(directoryOf(files), OPTIONS), second, 0, "this segment is missing");
  });

  test("a log whose begin is missing without having been released", () => {
    const files: Files = new Map([[third, cutLog(log, 3, SECTOR).get(third) as Uint8Array]]);
    expectRefused(recoverWal(directoryOf(files), OPTIONS), third, SECTOR, "the segment holds no batch");
  });

  test("a segment under the name of another", () => {
    const files: Files = new Map(log.files).set(second, bytesOf(third));
    expectRefused(recoverWal(directoryOf(files), OPTIONS), second, 16, "the file holds segment 3");
  });

  test("a segment that is too short", () => {
    const files: Files = new Map(log.files).set(second, bytesOf(second).slice(0, 8192));
    expectRefused(
      recoverWal(directoryOf(files), OPTIONS),
      second,
      8192,
      "8192 bytes where its header names 16384",
    );
  });

  test("a name that only looks like a segment", () => {
    const files: Files = new Map(log.files).set("3.wal", new Uint8Array(0));
    expectRefused(recoverWal(directoryOf(files), OPTIONS), "3.wal", 0, "not the name of a log segment");
  });

  test("an older copy of a segment that has batches missing", () => {
    const files = new Map(log.files).set(second, cutLog(log, 2, 8192).get(second) as Uint8Array);
    const opened = recoverWal(directoryOf(files), OPTIONS);
    expect(opened.type).toBe("refused");
  });
});

describe("no log", () => {
  test("an empty directory", () => {
    expect(recoverWal(new JournalFiles(), OPTIONS)).toEqual({ type: "empty", cleanup: [] });
  });

  test("an interrupted creation is cleaned up", () => {
    const disk = new JournalFiles();
    const { ops } = createWal(OPTIONS);
    disk.executeAll(ops.slice(0, 2));
    const opened = recoverWal(disk, OPTIONS);
    if (opened.type !== "empty") throw new Error(opened.type);
    disk.executeAll(opened.cleanup);
    expect(disk.list()).toEqual([]);
  });
});

test("files of others are left alone, leftovers of ours are removed", () => {
  const disk = new JournalFiles();
  disk.executeAll(createWal(OPTIONS).ops);
  const names = [
    "lock-12-0011223344556677",
    "notes.txt",
    "0000000000000002.wal.spare",
    "0000000000000002.wal.tmp",
  ];
  for (const name of names) disk.execute({ type: "create", name });
  const opened = recoverWal(disk, OPTIONS);
  if (opened.type !== "ok") throw new Error(JSON.stringify(opened));
  disk.executeAll(opened.repair);
  const left = disk.list().map((file) => file.name);
  expect(left.sort()).toEqual(["0000000000000001.wal", "lock-12-0011223344556677", "notes.txt"]);
});

function expectRefused(opened: WalRecovery, file: string, offset: number, reason: string): void {
  if (opened.type !== "refused") throw new Error(`not refused but ${opened.type}`);
  expect(opened).toMatchObject({ file, offset });
  expect(opened.reason).toContain(reason);
  expect(opened.advice).not.toBe("");
}

/** CRC-32 bit by bit (ISO 3309), independent of the one under test. */
function crcOf(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let i = 0; i < 8; i++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
