/**
 * The disk under one member's log: it executes `FileOp` lists with drawn latencies and knows at every instant what
 * would survive a power cut (env/log-files.ts defines it). Bytes are volatile per 512 B sector until a `sync`, names
 * until a `syncDir`; file content and directory entries are durable apart from each other.
 *
 * A list is not simulated step by step: the end of each of its operations is drawn when it starts, and `advance`
 * catches up when a list completes or the machine crashes. That gives every crash point at the price of one event.
 */
import { fail } from "../../src/base/index.ts";
import type { FileOp, LogDirectory } from "../../src/env/index.ts";
import { DirectoryEntries } from "./directory.ts";
import type { Rng } from "./rng.ts";
import { newFile, SECTOR_BYTES, writeFile } from "./sim-file.ts";

/** How the disk behaves; faults change it. Times in microseconds. */
export interface DiskSettings {
  /** Mean of the exponential part of a sync. */
  syncMeanUs: number;
  /** Every latency is multiplied by this; 1: healthy. */
  slowFactor: number;
  /** Added once to the next sync. */
  stallUs: number;
  /** The next operation of this kind fails; it stays failed until the machine is restarted. */
  failNext: "none" | "write" | "sync";
  /** No room: creating a file or growing one fails. */
  full: boolean;
}

/** What became of a list of operations. */
export interface ListOutcome {
  /** undefined: all done. Otherwise the operation that failed, and how. */
  readonly failure: string | undefined;
  /** Every byte that the list wrote is durable, under a name that is durable. Judged here, not by who asked. */
  readonly durable: boolean;
}

interface OpList {
  readonly id: number;
  readonly ops: readonly FileOp[];
  /** World time at which each operation returns. */
  readonly ends: readonly number[];
  readonly begin: number;
  next: number;
  failure: string | undefined;
}

/** How a crash treats what was not synced. `kill`: the process died, the operating system did not. */
export type CrashKind = "kill" | "power";

/** One machine's log directory. Invariant: every durable byte and name is also visible. */
export class SimDisk {
  readonly settings: DiskSettings;
  readonly #rng: Rng;
  readonly #directory = new DirectoryEntries();
  readonly #lists: OpList[] = [];
  #nextList = 1;
  /** The newest write inside a file that had its length already: a log's newest batch. */
  #lastInPlace: { readonly name: string; readonly offset: number; readonly bytes: number } | undefined;
  /** World time until which the device is busy with a stall: operations that start meanwhile wait. */
  #stalledUntil = 0;

  constructor(rng: Rng, settings: DiskSettings) {
    this.#rng = rng;
    this.settings = settings;
  }

  /** Lists that have not been finished. */
  get queued(): number {
    return this.#lists.length;
  }

  /** Starts a list. Returns its number and the world time at which it will be over, failed or not. */
  start(now: number, ops: readonly FileOp[]): { readonly list: number; readonly end: number } {
    const ends: number[] = [];
    let at = now;
    for (const op of ops) {
      at += this.#latency(op, at);
      ends.push(at);
    }
    const list = { id: this.#nextList++, ops, ends, begin: now, next: 0, failure: undefined };
    this.#lists.push(list);
    return { list: list.id, end: at };
  }

  /** The list is over: what became of it. @throws AssertionError for a list that is unknown or not over. */
  finish(now: number, id: number): ListOutcome {
    this.advance(now);
    const at = this.#lists.findIndex((list) => list.id === id);
    const list = this.#lists[at];
    if (list === undefined) fail("unknown list of operations", { id });
    if (list.failure === undefined && list.next < list.ops.length) fail("list is not over", { id });
    this.#lists.splice(at, 1);
    return { failure: list.failure, durable: list.failure === undefined && this.#isDurable(list.ops) };
  }

  /** Carries out everything that has returned by `now`, in the order of time over all lists. */
  advance(now: number): void {
    for (;;) {
      let first: OpList | undefined;
      let end = Number.POSITIVE_INFINITY;
      for (const list of this.#lists) {
        const candidate = list.failure === undefined ? (list.ends[list.next] ?? end) : end;
        if (candidate <= now && candidate < end) {
          first = list;
          end = candidate;
        }
      }
      if (first === undefined) return;
      this.#execute(first, end);
    }
  }

  /**
   * The machine stops at `now`. Operations under way may have happened in part. After `power`, unsynced sectors and
   * names are kept or lost: all, none, a prefix, or any subset; what remains then is durable.
   */
  crash(now: number, kind: CrashKind): void {
    this.advance(now);
    for (const list of this.#lists) {
      const op = list.failure === undefined ? list.ops[list.next] : undefined;
      if (op !== undefined) this.#executeInPart(op);
    }
    this.#lists.length = 0;
    this.#stalledUntil = 0;
    if (this.settings.failNext !== "none") this.settings.failNext = "none";
    if (kind === "power") this.#directory.losePower(this.#rng);
  }

  /** Everything is gone: the operator replaced the disk. */
  wipe(): void {
    this.#lists.length = 0;
    this.#lastInPlace = undefined;
    this.#directory.clear();
  }

  /** Whether nothing would be lost if the power went now. */
  isAllDurable(): boolean {
    return this.#directory.isAllDurable();
  }

  /** What recovery sees. The bytes are copies. */
  view(): LogDirectory {
    return this.#directory.view();
  }

  /** What recovery would see after a power cut that kept nothing unsynced. The bytes are copies. */
  durableView(): LogDirectory {
    return this.#directory.durableView();
  }

  /**
   * Flips bits of one byte that is written and durable: anywhere, at the front of a file, or in the newest batch, where
   * damage is easiest to take for an unfinished write. Returns where, or undefined when there is no file.
   */
  rot(pick: number, mask: number): string | undefined {
    const newest = this.#lastInPlace;
    const newestFile = newest && this.#directory.get(newest.name);
    if (pick >>> 31 === 1 && newest !== undefined && newestFile !== undefined) {
      const offset = newest.offset + ((pick >>> 4) % newest.bytes);
      if (offset < newestFile.length) {
        newestFile.bytes[offset] = (newestFile.bytes[offset] as number) ^ mask;
        return `${newest.name}:${offset}`;
      }
    }
    const names = this.#directory.names();
    if (names.length === 0) return undefined;
    const name = names[pick % names.length] as string;
    const file = this.#directory.get(name);
    if (file === undefined || file.length === 0) return undefined;
    // Most of a segment is pattern that was never written; half of the flips aim at its used front.
    const reach = (pick & 1) === 0 ? file.length : Math.min(file.length, 8 * SECTOR_BYTES);
    const offset = (pick >>> 4) % reach;
    file.bytes[offset] = (file.bytes[offset] as number) ^ mask;
    return `${name}:${offset}`;
  }

  #execute(list: OpList, end: number): void {
    const op = list.ops[list.next] as FileOp;
    const failure = this.#failureOf(op);
    if (failure !== undefined) {
      list.failure = failure;
      return;
    }
    const begin = list.next === 0 ? list.begin : (list.ends[list.next - 1] as number);
    list.next++;
    switch (op.type) {
      case "create":
        this.#directory.create(op.name, newFile());
        return;
      case "write": {
        const file = this.#directory.must(op.name);
        const bytes = op.bytes.length;
        if (op.offset + bytes <= file.length) this.#lastInPlace = { name: op.name, offset: op.offset, bytes };
        writeFile(file, op.offset, op.bytes, end);
        return;
      }
      case "sync": {
        const file = this.#directory.must(op.name);
        // A sync covers writes that had returned when it was issued; ours never overlap, and if they did nothing
        // would count as durable.
        if (file.lastWriteEnd <= begin) {
          file.undo.clear();
          file.durableLength = file.length;
        }
        return;
      }
      case "rename":
        this.#directory.rename(op.from, op.to);
        return;
      case "remove":
        this.#directory.remove(op.name);
        return;
      case "syncDir":
        this.#directory.sync();
        return;
    }
  }

  /** An operation that had not returned: a write may have reached any prefix, a name change may have happened. */
  #executeInPart(op: FileOp): void {
    if (op.type === "sync" || op.type === "syncDir" || this.#failureOf(op) !== undefined) return;
    if (op.type === "write") {
      const file = this.#directory.get(op.name);
      const sectors = Math.ceil(op.bytes.length / SECTOR_BYTES);
      const kept = this.#rng.int(0, sectors + 1) * SECTOR_BYTES;
      if (file !== undefined && kept > 0) writeFile(file, op.offset, op.bytes.subarray(0, kept), 0);
      return;
    }
    if (this.#rng.int(0, 2) === 0) return;
    if (op.type === "create") this.#directory.create(op.name, newFile());
    else if (op.type === "rename") this.#directory.rename(op.from, op.to);
    else this.#directory.remove(op.name);
  }

  #failureOf(op: FileOp): string | undefined {
    const { failNext, full } = this.settings;
    if ((failNext === "write" && op.type === "write") || (failNext === "sync" && op.type === "sync")) {
      return `EIO: ${op.type} ${op.name}`;
    }
    if (!full) return undefined;
    if (op.type === "create") return `ENOSPC: create ${op.name}`;
    if (op.type !== "write") return undefined;
    const file = this.#directory.get(op.name);
    const grows = file === undefined || op.offset + op.bytes.length > file.length;
    return grows ? `ENOSPC: write ${op.name}` : undefined;
  }

  #isDurable(ops: readonly FileOp[]): boolean {
    for (const op of ops) {
      if (op.type === "write" && !this.#directory.isDurable(op.name)) return false;
    }
    return true;
  }

  #latency(op: FileOp, start: number): number {
    const { settings } = this;
    const rng = this.#rng;
    let latency: number;
    if (op.type === "write") latency = 10 + rng.exponential(30) + (op.bytes.length >>> 8);
    else if (op.type === "sync" || op.type === "syncDir")
      latency = 100 + rng.exponential(settings.syncMeanUs);
    else latency = 10 + rng.exponential(30);
    latency *= settings.slowFactor;
    if (op.type === "sync" && settings.stallUs > 0) {
      this.#stalledUntil = Math.max(this.#stalledUntil, start + settings.stallUs);
      settings.stallUs = 0;
    }
    return latency + Math.max(0, this.#stalledUntil - start);
  }
}
