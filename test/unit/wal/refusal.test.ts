// Goal: a log that is foreign, too new or incomplete is refused by name; files that are not of the log do no harm.
// Method: a table over the log of `written-log.ts`, each row with one thing wrong.
import { describe, expect, test } from "vitest";
import { createWal, recoverWal } from "../../../src/wal/index.ts";
import { JournalFiles } from "../../support/journal-files.ts";
import {
  bytesOf,
  cutLog,
  directoryOf,
  expectRefused,
  type Files,
  log,
  OPTIONS,
  SECTOR,
} from "./written-log.ts";

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

/** CRC-32 bit by bit (ISO 3309), independent of the one under test. */
function crcOf(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let i = 0; i < 8; i++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
