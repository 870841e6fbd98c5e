// The log that the damage tests work on: written once by the real code, with what each batch of it left behind.
import { expect } from "vitest";
import { finishHash, mixHash, mixHashBytes, mixHashNumber, mixHashText } from "../../../src/base/index.ts";
import type { FileOp, LogDirectory, PersistBatch, RecoveredLog } from "../../../src/env/index.ts";
import type { Entry } from "../../../src/raft/types.ts";
import { patternSector } from "../../../src/wal/format.ts";
import { createWal, type WalRecovery } from "../../../src/wal/index.ts";
import { JournalFiles } from "../../support/journal-files.ts";
import { LogModel, someConf } from "../../support/log-model.ts";

export const OPTIONS = { segmentBytes: 16 * 1024, cluster: 0xc1n, member: 0x2n, instance: 0xfeed_beef_cafen };
export const SECTOR = 512;

/** Files by name, to be changed in place. */
export type Files = Map<string, Uint8Array>;

export interface WrittenBatch {
  /** Position in the list of files. */
  readonly file: number;
  readonly offset: number;
  readonly bytes: number;
  /** Where its records end in the file: from there on it is complete. */
  readonly recordsEnd: number;
  /** Hash of the log after it. */
  readonly after: number;
}

export interface WrittenLog {
  readonly files: Files;
  readonly names: readonly string[];
  readonly batches: readonly WrittenBatch[];
  readonly model: LogModel;
}

export function directoryOf(files: Files): LogDirectory {
  return {
    list: () => [...files].map(([name, bytes]) => ({ name, bytes: bytes.length })),
    read: (name) => files.get(name) ?? new Uint8Array(0),
  };
}

export function mustOpen(opened: WalRecovery): Extract<WalRecovery, { type: "ok" }> {
  if (opened.type !== "ok") throw new Error(JSON.stringify(opened));
  return opened;
}

export function bytesOf(name: string): Uint8Array {
  const bytes = log.files.get(name);
  if (bytes === undefined) throw new Error(`no ${name}`);
  return bytes;
}

export function hashOf(log: RecoveredLog): number {
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
export function history(): PersistBatch[] {
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

export function writeLog(): WrittenLog {
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

export function patternOf(file: number): Uint8Array {
  return patternSector(OPTIONS.instance, file + 1);
}

/** Segments `first` to `files` of the log, the last of them cut at `length` with pattern behind. */
export function cutLog(log: WrittenLog, files: number, length: number, first = 0): Files {
  const out: Files = new Map();
  for (const name of log.names.slice(first, files)) out.set(name, bytesOf(name));
  const name = log.names[files - 1] as string;
  const cut = bytesOf(name).slice();
  const pattern = patternOf(files - 1);
  for (let i = length; i < cut.length; i++) cut[i] = pattern[i % SECTOR] as number;
  return out.set(name, cut);
}

export const log = writeLog();
export const EMPTY = hashOf(new LogModel());

export function fillSectors(files: Files, name: string, lo: number, hi: number, file: number): void {
  const bytes = files.get(name) as Uint8Array;
  for (let i = lo; i < hi; i++) bytes[i] = patternOf(file)[i % SECTOR] as number;
}

export function expectRefused(opened: WalRecovery, file: string, offset: number, reason: string): void {
  if (opened.type !== "refused") throw new Error(`not refused but ${opened.type}`);
  expect(opened).toMatchObject({ file, offset });
  expect(opened.reason).toContain(reason);
  expect(opened.advice).not.toBe("");
}
