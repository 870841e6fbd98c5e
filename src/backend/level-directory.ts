/**
 * The state directories of one member. Which one is in use is said by the log alone: a snapshot record names
 * `state-<index>`, and without one it is `state-0`. So a directory may be begun, half full or left over at any time,
 * and nothing here ever asks which is newest.
 */
import { existsSync, promises, readdirSync } from "node:fs";
import { join } from "node:path";
import { fail } from "../base/index.ts";
import type { Backend, BackendDirectory, BackendMeta, BackendRecord, ReceivingState } from "../env/index.ts";
import { Database, syncAllAt, syncDirectoryAt } from "./database.ts";
import { BackendError, damaged, failed } from "./errors.ts";
import { LevelBackend, writeFirstHead } from "./level-backend.ts";

const STATE_NAME = /^state-(0|[1-9][0-9]*)$/;

export class LevelDirectory implements BackendDirectory {
  readonly #path: string;
  /** Indexes of the states that are open or being received. */
  readonly #inUse = new Set<number>();

  /** @param path an existing directory, locked by this process */
  constructor(path: string) {
    this.#path = path;
  }

  open(index: number): Promise<Backend> {
    return this.#use(index, async (path, onClosed) => {
      if (!existsSync(join(path, "CURRENT"))) {
        if (index !== 0) throw damaged(path, "the log names this state, and it is not there");
        await this.#makeEmpty(path);
      }
      return await LevelBackend.open(path, { create: index === 0, onClosed });
    });
  }

  async receive(index: number): Promise<ReceivingState> {
    if (index < 1) fail("a snapshot has an index", { index });
    return await this.#use(index, async (path, onClosed) => {
      await replaceDirectory(path);
      return new LevelReceiving(path, await Database.open(path, true), onClosed);
    });
  }

  async removeOthers(index: number): Promise<void> {
    const keep = `state-${index}`;
    for (const name of readdirSync(this.#path)) {
      if (name === keep || !STATE_NAME.test(name)) continue;
      if (this.#inUse.has(Number(name.slice("state-".length)))) fail("a state in use is removed", { name });
      const path = join(this.#path, name);
      try {
        await promises.rm(path, { recursive: true, force: true });
      } catch (cause) {
        throw failed(path, "removing the directory", cause);
      }
    }
    await syncDirectoryAt(this.#path);
  }

  /** Opening what is open, or filling it, would destroy it. */
  async #use<T>(index: number, begin: (path: string, onClosed: () => void) => Promise<T>): Promise<T> {
    if (this.#inUse.has(index)) fail("a state is in use", { index });
    const release = (): void => {
      this.#inUse.delete(index);
    };
    this.#inUse.add(index);
    try {
      return await begin(join(this.#path, `state-${index}`), release);
    } catch (error) {
      release();
      throw error;
    }
  }

  /** A crash may have left files of a database that was never begun; tables are what must not be among them. */
  async #makeEmpty(path: string): Promise<void> {
    if (existsSync(path) && readdirSync(path).some((name) => /\.(ldb|sst)$/.test(name))) {
      throw damaged(path, "its file CURRENT is missing");
    }
    await replaceDirectory(path);
    const db = await Database.open(path, true);
    await db.close();
    await syncDirectoryAt(this.#path);
  }
}

/** A state that is being filled. Nothing is synced on the way: it counts only once `complete` has synced it all. */
class LevelReceiving implements ReceivingState {
  readonly #path: string;
  readonly #onClosed: () => void;
  #db: Database | undefined;
  #lastName = "";

  constructor(path: string, db: Database, onClosed: () => void) {
    this.#path = path;
    this.#db = db;
    this.#onClosed = onClosed;
  }

  async add(records: readonly BackendRecord[]): Promise<void> {
    const db = this.#mustBeOpen();
    let last = this.#lastName;
    for (const [name] of records) {
      // Records that came twice would make a state with fewer than were sent, under a hash that agrees.
      if (name <= last) {
        const reason = `record ${JSON.stringify(name)} came after ${JSON.stringify(last)}`;
        throw new BackendError(
          this.#path,
          reason,
          "The snapshot is thrown away; the leader sends another one.",
        );
      }
      last = name;
    }
    this.#lastName = last;
    await db.write([{ puts: records, deletes: [] }], false);
  }

  /**
   * LevelDB syncs only the file that it writes to, so everything before is synced by hand while the database is
   * closed; then the head makes it a state; and what that wrote is synced again, with the name of the directory.
   */
  async complete(meta: BackendMeta): Promise<void> {
    await this.#mustBeOpen().close();
    this.#db = undefined;
    await syncAllAt(this.#path);
    const db = await Database.open(this.#path, false);
    try {
      await writeFirstHead(db, meta);
    } finally {
      await db.close();
    }
    await syncAllAt(this.#path);
    await syncDirectoryAt(join(this.#path, ".."));
    this.#onClosed();
  }

  async discard(): Promise<void> {
    const db = this.#db;
    this.#db = undefined;
    await db?.close();
    await promises.rm(this.#path, { recursive: true, force: true });
    this.#onClosed();
  }

  #mustBeOpen(): Database {
    return this.#db ?? fail("a received state is complete or discarded", { path: this.#path });
  }
}

async function replaceDirectory(path: string): Promise<void> {
  try {
    await promises.rm(path, { recursive: true, force: true });
    await promises.mkdir(path, { mode: 0o700 });
  } catch (cause) {
    throw failed(path, "making the directory", cause);
  }
}
