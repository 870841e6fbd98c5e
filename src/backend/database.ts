/**
 * One LevelDB database with sealed values: batches written in slices that never hold the event loop for long, scans in
 * chunks, and what LevelDB leaves out, the `fsync` of its directory. Knows nothing of batches' meaning.
 */
import { close, fsync, open, promises } from "node:fs";
import { join } from "node:path";
import { type ChainedBatch, Level } from "level";
import type { BackendRecord, RecordVisitor } from "../env/index.ts";
import { RECORDS_FROM } from "./chain.ts";
import { BackendError, damaged, damagedRecord, failed } from "./errors.ts";
import { seal, unsealed } from "./seal.ts";

/**
 * Measured with 300,000 puts of 256 B, two records each: 16 MiB of write buffer take them twice as fast as the default
 * of 4 MiB and cost 0.2 s at open; files of 8 MiB keep 2 GiB of state below the default limit of open files; with
 * compression the files have 40 % of the size at the same CPU and speed; the cache holds what is read again and again.
 */
const LEVEL_OPTIONS = {
  keyEncoding: "utf8",
  valueEncoding: "view",
  compression: true,
  writeBufferSize: 16 * 1024 * 1024,
  maxFileSize: 8 * 1024 * 1024,
  cacheSize: 32 * 1024 * 1024,
} as const;

/** Changes that are handed to LevelDB at a time: about a millisecond. */
const SLICE_CHANGES = 500;
/** Records and bytes of one chunk of a scan: two milliseconds with a visitor that builds a state of them. */
const CHUNK_RECORDS = 500;
const CHUNK_BYTES = 512 * 1024;
/** Behind every printable name that begins with a prefix. */
const BEHIND_ALL = "\x7f";

type Db = Level<string, Uint8Array>;
type Batch = ChainedBatch<Db, string, Uint8Array>;
/** Reads as of now, or as of an explicit snapshot. */
export type LevelSnapshot = ReturnType<Db["snapshot"]>;

/** Changes of one atomic write. */
export interface Changes {
  readonly puts: readonly BackendRecord[];
  readonly deletes: readonly string[];
}

export class Database {
  readonly path: string;
  readonly #db: Db;
  readonly #directory: number;
  #closing: Promise<void> | undefined;

  private constructor(path: string, db: Db, directory: number) {
    this.path = path;
    this.#db = db;
    this.#directory = directory;
  }

  /** @throws BackendError naming the directory, also when another process has it open */
  static async open(path: string, createIfMissing: boolean): Promise<Database> {
    const db: Db = new Level(path, { ...LEVEL_OPTIONS, createIfMissing });
    try {
      await db.open();
    } catch (cause) {
      throw openError(path, cause);
    }
    const directory = await openDirectory(path);
    const database = new Database(path, db, directory);
    await database.syncDirectory();
    return database;
  }

  /**
   * @param snapshot undefined: as of now
   * @throws BackendError when the record is not what was written
   */
  get(name: string, snapshot?: LevelSnapshot): Uint8Array | undefined {
    let stored: Uint8Array | undefined;
    try {
      stored = snapshot === undefined ? this.#db.getSync(name) : this.#db.getSync(name, { snapshot });
    } catch (cause) {
      throw failed(this.path, `reading record ${JSON.stringify(name)}`, cause);
    }
    return stored === undefined ? undefined : this.#unseal(name, stored);
  }

  /** As `get`, off the event loop. */
  async getMany(names: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    let stored: (Uint8Array | undefined)[];
    try {
      stored = await this.#db.getMany([...names]);
    } catch (cause) {
      throw failed(this.path, `reading ${names.length} records`, cause);
    }
    return stored.map((bytes, i) => {
      return bytes === undefined ? undefined : this.#unseal(names[i] as string, bytes);
    });
  }

  /** Writes the changes as one, in the order of the arrays, puts first. */
  async write(changes: readonly Changes[], sync: boolean): Promise<void> {
    try {
      const batch = this.#db.batch();
      for (const { puts, deletes } of changes) {
        await fillPuts(batch, puts);
        await fillDeletes(batch, deletes);
      }
      await batch.write({ sync });
      // LevelDB begins new files as it writes, and does not make their names durable (google/leveldb #193).
      if (sync) await this.syncDirectory();
    } catch (cause) {
      throw failed(this.path, "writing a batch", cause);
    }
  }

  /** Whether nothing was ever written, or everything deleted. */
  async isEmpty(): Promise<boolean> {
    const iterator = this.#db.keys({ limit: 1 });
    try {
      return (await this.#read(iterator.next())) === undefined;
    } finally {
      await iterator.close();
    }
  }

  snapshot(): LevelSnapshot {
    return this.#db.snapshot();
  }

  /** Visits the records of each range [from, to) in order, as of `snapshot`. */
  async scan(
    snapshot: LevelSnapshot,
    ranges: readonly (readonly [from: string, to: string])[],
    visit: RecordVisitor,
  ): Promise<void> {
    for (const [gte, lt] of ranges) {
      const iterator = this.#db.iterator({ gte, lt, snapshot, highWaterMarkBytes: CHUNK_BYTES });
      // The next chunk is read on another thread while this one is visited.
      let next = handled(this.#read(iterator.nextv(CHUNK_RECORDS)));
      try {
        for (let stored = await next; stored.length > 0; stored = await next) {
          next = handled(this.#read(iterator.nextv(CHUNK_RECORDS)));
          const chunk: BackendRecord[] = [];
          for (const [name, bytes] of stored) chunk.push([name, this.#unseal(name, bytes)]);
          await visit(chunk);
          await turnOfLoop();
        }
      } finally {
        // Waits for what is being read.
        await iterator.close();
      }
    }
  }

  /** Makes the names of files durable. */
  async syncDirectory(): Promise<void> {
    await syncDescriptor(this.#directory);
  }

  /** Waits for writes and reads that run. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#db.close();
    await closeDescriptor(this.#directory);
  }

  async #read<T>(reading: Promise<T>): Promise<T> {
    try {
      return await reading;
    } catch (cause) {
      throw failed(this.path, "reading records in order", cause);
    }
  }

  #unseal(name: string, stored: Uint8Array): Uint8Array {
    const value = unsealed(name, stored);
    if (value === undefined) throw damagedRecord(this.path, name);
    return value;
  }
}

/** The same promise, which may fail before anybody waits for it, and even if nobody ever does. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

/** The range of all names that begin with `prefix`; the empty one: all records of the state. */
export function rangeOf(prefix: string): readonly [from: string, to: string] {
  return prefix === "" ? [RECORDS_FROM, BEHIND_ALL] : [prefix, prefix + BEHIND_ALL];
}

async function fillPuts(batch: Batch, puts: readonly BackendRecord[]): Promise<void> {
  for (let i = 0; i < puts.length; i++) {
    const [name, value] = puts[i] as BackendRecord;
    batch.put(name, seal(name, value));
    if (i % SLICE_CHANGES === SLICE_CHANGES - 1) await turnOfLoop();
  }
}

async function fillDeletes(batch: Batch, deletes: readonly string[]): Promise<void> {
  for (let i = 0; i < deletes.length; i++) {
    batch.del(deletes[i] as string);
    if (i % SLICE_CHANGES === SLICE_CHANGES - 1) await turnOfLoop();
  }
}

function openError(path: string, cause: unknown): BackendError {
  const code = cause instanceof Error && cause.cause instanceof Error ? codeOf(cause.cause) : undefined;
  if (code === "LEVEL_LOCKED") {
    return new BackendError(path, "it is open in another process", "Stop that process first.", { cause });
  }
  if (code === "LEVEL_CORRUPTION") return damaged(path, `it cannot be opened: ${reason(cause)}`, cause);
  return failed(path, "opening", cause);
}

function reason(cause: unknown): string {
  return cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : String(cause);
}

function codeOf(error: Error): unknown {
  return "code" in error ? error.code : undefined;
}

/** Lets timers, sockets and answers have their turn. */
function turnOfLoop(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** Makes the names in a directory durable. */
export async function syncDirectoryAt(path: string): Promise<void> {
  const directory = await openDirectory(path);
  try {
    await syncDescriptor(directory);
  } finally {
    await closeDescriptor(directory);
  }
}

/** Makes every file in a directory durable, then their names. */
export async function syncAllAt(path: string): Promise<void> {
  for (const entry of await promises.readdir(path, { withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = await promises.open(join(path, entry.name), "r");
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  }
  await syncDirectoryAt(path);
}

function openDirectory(path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    open(path, "r", (error, descriptor) => (error === null ? resolve(descriptor) : reject(error)));
  });
}

function syncDescriptor(descriptor: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fsync(descriptor, (error) => (error === null ? resolve() : reject(error)));
  });
}

function closeDescriptor(descriptor: number): Promise<void> {
  return new Promise((resolve, reject) => {
    close(descriptor, (error) => (error === null || error === undefined ? resolve() : reject(error)));
  });
}
