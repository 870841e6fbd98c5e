/**
 * Carries the file operations of the log out with `node:fs`. It decides nothing: order and bytes come from `wal.ts`.
 *
 * The first failure is final. After a failed `fsync` the kernel may have dropped the bytes and report success the next
 * time (reliability.md #26), and after a failed write nobody knows what is there. So nothing is retried, and every
 * later call gets the first error again; the member stops and recovers from what the disk holds.
 */
import { close, fdatasync, fsync, open, rename, unlink, write } from "node:fs";
import { join } from "node:path";
import { unreachable } from "../base/index.ts";
import type { FileOp, LogFiles } from "../env/index.ts";

/** A file operation of the log failed; `cause` is the system's error. */
export class LogWriteError extends Error {
  readonly operation: FileOp["type"];
  /** Name in the log directory; empty: the directory itself. */
  readonly file: string;

  constructor(op: FileOp, path: string, cause: unknown) {
    const file = fileOf(op);
    const reason = cause instanceof Error ? cause.message : String(cause);
    super(`log ${op.type} of ${join(path, file)} failed: ${reason}`, { cause });
    this.name = "LogWriteError";
    this.operation = op.type;
    this.file = file;
  }
}

/** Log files in one directory, which must exist. Files stay open until they are removed or the writer is closed. */
export class LogWriter implements LogFiles {
  readonly #path: string;
  /** Open descriptors by current name. */
  readonly #open = new Map<string, number>();
  readonly #running = new Set<Promise<void>>();
  #directory: number | undefined;
  #failure: Error | undefined;
  #closing: Promise<void> | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Carries out `ops` in order. Calls may overlap when they touch different files; within one call each operation
   * begins when the one before it is done.
   *
   * @throws LogWriteError the first failure of this writer, now and ever after
   */
  run(ops: readonly FileOp[]): Promise<void> {
    const running = this.#runAll(ops);
    this.#running.add(running);
    const forget = (): void => {
      this.#running.delete(running);
    };
    running.then(forget, forget);
    return running;
  }

  /** Waits for what runs and closes all files. Syncs nothing: what had to be durable is. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #runAll(ops: readonly FileOp[]): Promise<void> {
    for (const op of ops) {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#closing !== undefined) throw new Error("the log is closed");
      try {
        await this.#runOne(op);
      } catch (cause) {
        // An overlapping call may have failed first: that one stays the reason.
        this.#failure ??= new LogWriteError(op, this.#path, cause);
        throw this.#failure;
      }
    }
  }

  async #runOne(op: FileOp): Promise<void> {
    switch (op.type) {
      case "create":
        this.#open.set(op.name, await this.#openFile(op.name, "wx+"));
        return;
      case "write":
        await writeAll(await this.#fileOf(op.name), op.bytes, op.offset);
        return;
      case "sync": {
        const file = await this.#fileOf(op.name);
        await system((done) => fdatasync(file, done));
        return;
      }
      case "rename": {
        await system((done) => rename(this.#pathOf(op.from), this.#pathOf(op.to), done));
        await this.#forget(op.to);
        const file = this.#open.get(op.from);
        this.#open.delete(op.from);
        if (file !== undefined) this.#open.set(op.to, file);
        return;
      }
      case "remove":
        await this.#forget(op.name);
        await system((done) => unlink(this.#pathOf(op.name), done));
        return;
      case "syncDir": {
        this.#directory ??= await system<number>((done) => open(this.#path, "r", done));
        const directory = this.#directory;
        await system((done) => fsync(directory, done));
        return;
      }
      default:
        unreachable(op);
    }
  }

  #pathOf(name: string): string {
    return join(this.#path, name);
  }

  /** The log holds what clients wrote: nobody but its owner may read it. */
  #openFile(name: string, flags: string): Promise<number> {
    return system((done) => open(this.#pathOf(name), flags, 0o600, done));
  }

  async #fileOf(name: string): Promise<number> {
    const known = this.#open.get(name);
    if (known !== undefined) return known;
    const file = await this.#openFile(name, "r+");
    this.#open.set(name, file);
    return file;
  }

  async #forget(name: string): Promise<void> {
    const file = this.#open.get(name);
    if (file === undefined) return;
    this.#open.delete(name);
    await system((done) => close(file, done));
  }

  async #closeAll(): Promise<void> {
    await Promise.allSettled(this.#running);
    const files = [...this.#open.values()];
    if (this.#directory !== undefined) files.push(this.#directory);
    this.#open.clear();
    this.#directory = undefined;
    for (const file of files) await system((done) => close(file, done));
  }
}

/** A write may be cut short by a signal or by a full disk; the rest is then written, or fails with the reason. */
async function writeAll(file: number, bytes: Uint8Array, offset: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const at = done;
    const count = await system<number>((end) => write(file, bytes, at, bytes.length - at, offset + at, end));
    if (count === 0) throw new Error(`wrote ${done} of ${bytes.length} bytes at ${offset}`);
    done += count;
  }
}

/** One system call as a promise. `fs/promises` would do as well, at three times the cost for each call. */
function system<T = void>(start: (done: (error: Error | null, value?: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, value) => {
      if (error !== null) reject(error);
      else resolve(value as T);
    });
  });
}

function fileOf(op: FileOp): string {
  switch (op.type) {
    case "rename":
      return op.from;
    case "syncDir":
      return "";
    default:
      return op.name;
  }
}
