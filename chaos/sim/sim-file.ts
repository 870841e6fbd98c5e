/** One file of the simulated disk: what the process sees, and what it would find after a power cut. */
import type { Rng } from "./rng.ts";

/** The unit in which a disk writes: a crash keeps or loses whole sectors. */
export const SECTOR_BYTES = 512;

/**
 * Content is the visible one; `undo` holds the durable image of every sector that was changed since it was durable.
 * Segments are written once from end to end, so undo images are few and no whole file is ever copied.
 *
 * Invariant: durableLength <= length; sectors from durableLength on have no durable image.
 */
export interface SimFile {
  /** Capacity; the first `length` bytes count. */
  bytes: Uint8Array;
  length: number;
  durableLength: number;
  readonly undo: Map<number, Uint8Array>;
  /** World time at which the newest write returned. */
  lastWriteEnd: number;
}

export function newFile(): SimFile {
  return { bytes: new Uint8Array(0), length: 0, durableLength: 0, undo: new Map(), lastWriteEnd: 0 };
}

/** Writes visibly; the durable image of each touched sector is kept for a crash. The bytes are copied. */
export function writeFile(file: SimFile, offset: number, bytes: Uint8Array, end: number): void {
  const last = offset + bytes.length;
  const durableSectors = Math.ceil(file.durableLength / SECTOR_BYTES);
  const lastSector = Math.min(Math.ceil(last / SECTOR_BYTES), durableSectors);
  for (let sector = Math.floor(offset / SECTOR_BYTES); sector < lastSector; sector++) {
    if (!file.undo.has(sector)) {
      file.undo.set(sector, file.bytes.slice(sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES));
    }
  }
  if (last > file.bytes.length) {
    const grown = new Uint8Array(Math.max(last, file.bytes.length * 2));
    grown.set(file.bytes.subarray(0, file.length));
    file.bytes = grown;
  }
  file.bytes.set(bytes, offset);
  if (last > file.length) file.length = last;
  if (end > file.lastWriteEnd) file.lastWriteEnd = end;
}

/** Whether every byte of the file would survive. */
export function isSynced(file: SimFile): boolean {
  return file.undo.size === 0 && file.durableLength === file.length;
}

/** A copy of what a power cut would leave at least. */
export function durableBytes(file: SimFile): Uint8Array {
  const bytes = file.bytes.slice(0, file.durableLength);
  for (const [sector, image] of file.undo) {
    const begin = sector * SECTOR_BYTES;
    if (begin < bytes.length) bytes.set(image.subarray(0, bytes.length - begin), begin);
  }
  return bytes;
}

/** Decides per unsynced sector whether it survived a power cut. `total` sectors are asked in order of writing. */
export type Survival = (position: number, total: number) => boolean;

/** One way of losing unsynced things: nothing, everything, all after some point, or any subset. */
export function drawSurvival(rng: Rng): Survival {
  switch (rng.int(0, 4)) {
    case 0:
      return () => false;
    case 1:
      return () => true;
    case 2: {
      const share = rng.int(0, 1024);
      return (position, total) => position * 1024 < share * total;
    }
    default:
      return () => rng.int(0, 2) === 0;
  }
}

/** After this the file is durable as it is: unsynced sectors were kept or replaced by their durable image. */
export function losePower(file: SimFile, survives: Survival): void {
  const firstNew = Math.ceil(file.durableLength / SECTOR_BYTES);
  const afterLast = Math.ceil(file.length / SECTOR_BYTES);
  const total = file.undo.size + Math.max(0, afterLast - firstNew);
  let position = 0;
  for (const [sector, image] of file.undo) {
    if (!survives(position++, total)) file.bytes.set(image, sector * SECTOR_BYTES);
  }
  let length = file.durableLength;
  for (let sector = firstNew; sector < afterLast; sector++) {
    const begin = sector * SECTOR_BYTES;
    const end = Math.min(begin + SECTOR_BYTES, file.length);
    if (survives(position++, total)) length = end;
    else file.bytes.fill(0, begin, end);
  }
  file.length = length;
  file.durableLength = length;
  file.undo.clear();
  file.lastWriteEnd = 0;
}
