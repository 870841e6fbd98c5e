// Goal: the simulated disk keeps exactly what env/log-files.ts promises. Method: named crashes with many seeds each.
import { describe, expect, it } from "vitest";
import { SimDisk } from "../../../chaos/sim/disk.ts";
import { Rng } from "../../../chaos/sim/rng.ts";
import type { FileOp } from "../../../src/env/index.ts";

const SECTOR = 512;

function makeDisk(seed: number): SimDisk {
  return new SimDisk(new Rng(seed, "disk"), {
    syncMeanUs: 100,
    slowFactor: 1,
    stallUs: 0,
    failNext: "none",
    full: false,
  });
}

function bytes(sectors: number, value: number): Uint8Array {
  return new Uint8Array(sectors * SECTOR).fill(value);
}

/** Runs operations to their end; returns when that was and whether all of it is durable. */
function run(disk: SimDisk, now: number, ops: readonly FileOp[]): { end: number; durable: boolean } {
  const { list, end } = disk.start(now, ops);
  const outcome = disk.finish(end, list);
  expect(outcome.failure).toBeUndefined();
  return { end, durable: outcome.durable };
}

const MADE: readonly FileOp[] = [
  { type: "create", name: "a" },
  { type: "write", name: "a", offset: 0, bytes: bytes(8, 1) },
  { type: "sync", name: "a" },
  { type: "syncDir" },
];

function contents(disk: SimDisk, name: string): number[] {
  const view = disk.view();
  if (!view.list().some((file) => file.name === name)) return [];
  const all = view.read(name);
  return Array.from({ length: all.length / SECTOR }, (_, i) => all[i * SECTOR] ?? -1);
}

describe("SimDisk", () => {
  it("keeps what was synced under a synced name, in any power cut", () => {
    for (let seed = 0; seed < 200; seed++) {
      const disk = makeDisk(seed);
      expect(run(disk, 0, MADE).durable).toBe(true);
      disk.crash(1_000_000, "power");
      expect(contents(disk, "a")).toEqual([1, 1, 1, 1, 1, 1, 1, 1]);
    }
  });

  it("may lose any subset of unsynced sectors, and brings back what was durable in them", () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 400; seed++) {
      const disk = makeDisk(seed);
      const { end } = run(disk, 0, MADE);
      const later = run(disk, end, [{ type: "write", name: "a", offset: 2 * SECTOR, bytes: bytes(3, 2) }]);
      expect(later.durable).toBe(false);
      disk.crash(later.end + 1, "power");
      const [a, b, ...rest] = contents(disk, "a");
      expect([a, b, ...rest.slice(3)]).toEqual([1, 1, 1, 1, 1]);
      seen.add(rest.slice(0, 3).join(""));
    }
    // Every one of the eight mixes comes up.
    expect([...seen].sort()).toEqual(["111", "112", "121", "122", "211", "212", "221", "222"]);
  });

  it("loses nothing of an unsynced write when only the process dies, and it stays unsynced", () => {
    const disk = makeDisk(3);
    const { end } = run(disk, 0, MADE);
    const later = run(disk, end, [{ type: "write", name: "a", offset: 0, bytes: bytes(8, 2) }]);
    disk.crash(later.end + 1, "kill");
    expect(contents(disk, "a")).toEqual([2, 2, 2, 2, 2, 2, 2, 2]);
    expect(disk.isAllDurable()).toBe(false);
    run(disk, later.end + 2, [{ type: "sync", name: "a" }]);
    expect(disk.isAllDurable()).toBe(true);
  });

  it("cuts a write that had not returned at any sector", () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 200; seed++) {
      const disk = makeDisk(seed);
      const { end } = run(disk, 0, MADE);
      disk.start(end, [{ type: "write", name: "a", offset: 0, bytes: bytes(4, 2) }]);
      disk.crash(end, "kill");
      seen.add(contents(disk, "a").join(""));
    }
    expect([...seen].sort()).toEqual(["11111111", "21111111", "22111111", "22211111", "22221111"]);
  });

  it("may lose a name that was not synced though the file's bytes were", () => {
    const outcomes = new Set<string>();
    for (let seed = 0; seed < 200; seed++) {
      const disk = makeDisk(seed);
      const { end, durable } = run(disk, 0, MADE.slice(0, 3));
      expect(durable).toBe(false);
      disk.crash(end + 1, "power");
      outcomes.add(contents(disk, "a").join(""));
    }
    expect([...outcomes].sort()).toEqual(["", "11111111"]);
  });

  it("keeps or loses a rename as a whole", () => {
    const outcomes = new Set<string>();
    for (let seed = 0; seed < 200; seed++) {
      const disk = makeDisk(seed);
      const { end } = run(disk, 0, MADE);
      const renamed = run(disk, end, [{ type: "rename", from: "a", to: "b" }]);
      disk.crash(renamed.end + 1, "power");
      outcomes.add(
        disk
          .view()
          .list()
          .map((file) => file.name)
          .join(),
      );
    }
    expect([...outcomes].sort()).toEqual(["a", "b"]);
  });

  it("does not count a list as durable whose sync is missing", () => {
    const disk = makeDisk(5);
    const { end } = run(disk, 0, MADE);
    expect(run(disk, end, [{ type: "write", name: "a", offset: 0, bytes: bytes(1, 9) }]).durable).toBe(false);
  });

  const failures = [
    { name: "an EIO of a write", set: { failNext: "write" } as const, failure: "EIO: write a" },
    { name: "an EIO of a sync", set: { failNext: "sync" } as const, failure: "EIO: sync a" },
    { name: "a full disk", set: { full: true } as const, failure: "ENOSPC: write a" },
  ];
  for (const { name, set, failure } of failures) {
    it(`reports ${name} and does nothing after it`, () => {
      const disk = makeDisk(6);
      const { end } = run(disk, 0, MADE);
      Object.assign(disk.settings, set);
      const { list, end: over } = disk.start(end, [
        { type: "write", name: "a", offset: 8 * SECTOR, bytes: bytes(1, 9) },
        { type: "sync", name: "a" },
        { type: "rename", from: "a", to: "b" },
      ]);
      expect(disk.finish(over, list)).toEqual({ failure, durable: false });
      expect(contents(disk, "a").slice(0, 8)).toEqual([1, 1, 1, 1, 1, 1, 1, 1]);
      expect(contents(disk, "b")).toEqual([]);
    });
  }

  it("holds back what comes during a stall", () => {
    const disk = makeDisk(7);
    const { end } = run(disk, 0, MADE);
    disk.settings.stallUs = 3_000_000;
    const stalled = disk.start(end, [{ type: "sync", name: "a" }]);
    expect(stalled.end - end).toBeGreaterThan(3_000_000);
    const behind = disk.start(end + 10, [{ type: "sync", name: "a" }]);
    expect(behind.end).toBeGreaterThan(end + 3_000_000);
  });
});
