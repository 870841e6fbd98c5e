/**
 * The in-memory twin of the log storage port: a flat directory that remembers what is durable and what is not, and
 * can show every directory that a crash could leave. It knows nothing of the log.
 *
 * The contract is that of `src/env/log-files.ts`: bytes are durable by `sync`, names by `syncDir`; of the rest any
 * subset may survive, sector by sector and name by name. It is harsher than a file system in one way: the directory
 * changes that survive need not be a prefix.
 */
import { assert } from "../../src/base/index.ts";
import type { FileOp, LogDirectory, LogFiles } from "../../src/env/index.ts";

const SECTOR = 512;

/** A sector of a file that was written and not synced. */
interface PendingSector {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

interface NameChange {
  readonly remove: readonly string[];
  readonly add: { readonly name: string; readonly file: File } | undefined;
}

class File {
  /** What every reader sees. */
  bytes: Uint8Array = new Uint8Array(0);
  /** What is on the medium for sure. */
  durable: Uint8Array = new Uint8Array(0);
  pending: PendingSector[] = [];
}

/** Decides for each unsynced sector or name change, numbered from 0 in the order of writing, whether it survived. */
export type Survives = (change: number) => boolean;

export class JournalFiles implements LogFiles, LogDirectory {
  /** A switch for tests of the tests: `sync` and `syncDir` return and do nothing. */
  readonly #syncs: boolean;
  #names = new Map<string, File>();
  #durableNames = new Map<string, File>();
  #pendingNames: NameChange[] = [];

  constructor(options: { readonly syncs: boolean } = { syncs: true }) {
    this.#syncs = options.syncs;
  }

  async run(ops: readonly FileOp[]): Promise<void> {
    for (const op of ops) this.execute(op);
  }

  /** All of `run` without its promise. */
  executeAll(ops: readonly FileOp[]): void {
    for (const op of ops) this.execute(op);
  }

  /** @throws AssertionError for what `node:fs` would reject */
  execute(op: FileOp): void {
    switch (op.type) {
      case "create": {
        assert(!this.#names.has(op.name), "a file to be created does not exist", { name: op.name });
        const file = new File();
        this.#names.set(op.name, file);
        this.#pendingNames.push({ remove: [], add: { name: op.name, file } });
        return;
      }
      case "write":
        write(this.#file(op.name), op.offset, op.bytes);
        return;
      case "sync": {
        const file = this.#file(op.name);
        if (!this.#syncs) return;
        file.durable = overlay(file.durable, file.pending);
        file.pending = [];
        return;
      }
      case "rename": {
        const file = this.#file(op.from);
        this.#names.delete(op.from);
        this.#names.set(op.to, file);
        this.#pendingNames.push({ remove: [op.from], add: { name: op.to, file } });
        return;
      }
      case "remove":
        this.#file(op.name);
        this.#names.delete(op.name);
        this.#pendingNames.push({ remove: [op.name], add: undefined });
        return;
      case "syncDir":
        if (!this.#syncs) return;
        for (const change of this.#pendingNames) applyName(this.#durableNames, change);
        this.#pendingNames = [];
        return;
    }
  }

  list(): { name: string; bytes: number }[] {
    return [...this.#names].map(([name, file]) => ({ name, bytes: file.bytes.length }));
  }

  read(name: string): Uint8Array {
    return this.#file(name).bytes;
  }

  /**
   * What a `sync` that fails leaves: the bytes stay in the kernel's memory, where everybody reads them, and count as
   * written, so no later `sync` writes them (reliability.md #26).
   */
  failSync(name: string): void {
    this.#file(name).pending = [];
  }

  /** Number of changes that a crash may lose now. */
  get unsynced(): number {
    let count = this.#pendingNames.length;
    for (const file of this.#files()) count += file.pending.length;
    return count;
  }

  /** The directory after a crash now, with the changes that survived; everything in it is durable. */
  crash(survives: Survives): JournalFiles {
    const image = new JournalFiles({ syncs: this.#syncs });
    let change = 0;
    const names = new Map(this.#durableNames);
    for (const pending of this.#pendingNames) if (survives(change++)) applyName(names, pending);
    const copies = new Map<File, File>();
    for (const file of this.#files()) {
      const copy = new File();
      const survivors = file.pending.filter(() => survives(change++));
      copy.durable = overlay(file.durable, survivors);
      copy.bytes = copy.durable;
      copies.set(file, copy);
    }
    for (const [name, file] of names) {
      const copy = copies.get(file);
      assert(copy !== undefined, "every named file is known", { name });
      image.#names.set(name, copy);
    }
    image.#durableNames = new Map(image.#names);
    return image;
  }

  /** A copy of everything, durable or not: what the next process finds when this one is killed. */
  fork(): JournalFiles {
    const copy = new JournalFiles({ syncs: this.#syncs });
    const copies = new Map<File, File>();
    for (const file of this.#files()) {
      const { bytes, durable, pending } = file;
      copies.set(file, Object.assign(new File(), { bytes, durable, pending: [...pending] }));
    }
    const copyOf = (file: File): File => copies.get(file) as File;
    for (const [name, file] of this.#names) copy.#names.set(name, copyOf(file));
    for (const [name, file] of this.#durableNames) copy.#durableNames.set(name, copyOf(file));
    copy.#pendingNames = this.#pendingNames.map(({ remove, add }) => ({
      remove,
      add: add === undefined ? undefined : { name: add.name, file: copyOf(add.file) },
    }));
    return copy;
  }

  #file(name: string): File {
    const file = this.#names.get(name);
    assert(file !== undefined, "the file exists", { name });
    return file;
  }

  /** All files with a name, now or durably or in between, in a stable order. */
  #files(): Set<File> {
    const files = new Set<File>(this.#durableNames.values());
    for (const change of this.#pendingNames) if (change.add !== undefined) files.add(change.add.file);
    for (const file of this.#names.values()) files.add(file);
    return files;
  }
}

function applyName(names: Map<string, File>, change: NameChange): void {
  for (const name of change.remove) names.delete(name);
  if (change.add !== undefined) names.set(change.add.name, change.add.file);
}

function write(file: File, offset: number, bytes: Uint8Array): void {
  file.bytes = put(file.bytes, offset, bytes);
  // A write that begins or ends inside a sector changes the part of it that it covers; the rest stays.
  for (let at = 0; at < bytes.length; ) {
    const next = Math.min(bytes.length, at + SECTOR - ((offset + at) % SECTOR));
    file.pending.push({ offset: offset + at, bytes: bytes.slice(at, next) });
    at = next;
  }
}

/** Always a copy: crash images share the arrays. */
function put(target: Uint8Array, offset: number, bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(Math.max(target.length, offset + bytes.length));
  out.set(target);
  out.set(bytes, offset);
  return out;
}

function overlay(target: Uint8Array, sectors: readonly PendingSector[]): Uint8Array {
  if (sectors.length === 0) return target;
  const out = new Uint8Array(Math.max(target.length, ...sectors.map((s) => s.offset + s.bytes.length)));
  out.set(target);
  for (const sector of sectors) out.set(sector.bytes, sector.offset);
  return out;
}
