/**
 * The lock of a data directory: two processes on one log would destroy it, and a member that serves from two
 * directories' worth of memory would lie. Taken before the log is read.
 *
 * Node has no `flock`. A file with a process ID is no replacement: IDs are used again, mean nothing across
 * containers, and two starters that both find the file stale can both replace it. So the lock is a listening Unix
 * socket in the directory. The kernel closes it when its process dies, however it dies, and a stopped process keeps
 * it; whether somebody listens is asked by connecting, which works across containers that share the directory.
 *
 * Each starter listens on a name of its own, then connects to all others, and has the lock if nobody answers:
 *
 *     A  listen a · probe b
 *     B  listen b · probe a        whoever probes second is heard, so never do both get the lock
 *
 * Two that start in the same instant may both be refused. Names without a listener are removed by the holder only, so
 * a name can vanish before its process listens on it, but then that process finds the holder when it probes.
 */
import { randomBytes } from "node:crypto";
import { close, existsSync, open, readdirSync, rmSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { platform } from "node:os";
import { join } from "node:path";
import process from "node:process";

/** Longest wait for an answer of a socket that accepts nothing, ms. A stopped process accepts: the kernel does. */
const PROBE_TIMEOUT_MS = 2_000;
/** Paths of sockets have 107 bytes, and on macOS 103. */
const MAX_SOCKET_PATH_BYTES = 103;
const NAME = /^lock-([0-9]+)-[0-9a-f]{16}$/;

/** Somebody else has the directory. */
export class DirectoryLockedError extends Error {
  readonly path: string;
  /** Process ID of the holder, as in its own container. */
  readonly pid: number;

  constructor(path: string, pid: number) {
    super(`the data directory ${path} is in use by process ${pid}`);
    this.name = "DirectoryLockedError";
    this.path = path;
    this.pid = pid;
  }
}

/** Held until `release` or the end of the process. */
export interface DirectoryLock {
  /** Idempotent. */
  release(): Promise<void>;
}

/**
 * Locks the directory `path`, which must exist.
 *
 * @throws DirectoryLockedError when another process (or another part of this one) has it
 */
export async function lockDirectory(path: string): Promise<DirectoryLock> {
  const name = `lock-${process.pid}-${randomBytes(8).toString("hex")}`;
  const via = await shortPath(path);
  const server = createServer((socket) => socket.destroy());
  const release = async (): Promise<void> => {
    await new Promise<void>((resolve) => server.close(() => resolve()));
    rmSync(join(path, name), { force: true });
    await via.close();
  };
  try {
    await listen(server, join(via.path, name));
    const dead: string[] = [];
    for (const other of readdirSync(path)) {
      const match = NAME.exec(other);
      if (match === null || other === name) continue;
      if (await isListening(join(via.path, other))) throw new DirectoryLockedError(path, Number(match[1]));
      dead.push(other);
    }
    // A holder that probed between our bind and our listen took us for dead and removed the name. If it is gone by now
    // nobody would find us. A holder that has yet to remove it is still there, and we have just heard it.
    if (!existsSync(join(path, name))) throw new DirectoryLockedError(path, process.pid);
    for (const other of dead) rmSync(join(path, other), { force: true });
  } catch (error) {
    await release();
    throw error;
  }
  let released: Promise<void> | undefined;
  return {
    release() {
      released ??= release();
      return released;
    },
  };
}

/**
 * A way to the directory that fits into a socket address, however long its own path is: Linux lets an open
 * descriptor stand for it.
 */
async function shortPath(path: string): Promise<{ readonly path: string; close(): Promise<void> }> {
  if (platform() !== "linux") {
    if (Buffer.byteLength(path) + 64 > MAX_SOCKET_PATH_BYTES) {
      throw new Error(`the path of the data directory is too long for its lock: ${path}`);
    }
    return { path, close: () => Promise.resolve() };
  }
  const file = await new Promise<number>((resolve, reject) => {
    open(path, "r", (error, value) => (error === null ? resolve(value) : reject(error)));
  });
  return {
    path: `/proc/self/fd/${file}`,
    close: () => new Promise((resolve) => close(file, () => resolve())),
  };
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => {
      server.off("error", reject);
      // The lock does not keep a process alive that has nothing else to do.
      server.unref();
      resolve();
    });
  });
}

/** Whether a process listens there. When in doubt it does: a needless refusal harms less than two holders. */
function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const answer = (listening: boolean): void => {
      socket.destroy();
      resolve(listening);
    };
    socket.setTimeout(PROBE_TIMEOUT_MS, () => answer(true));
    socket.once("connect", () => answer(true));
    socket.once("error", (error: NodeJS.ErrnoException) => {
      answer(error.code !== "ECONNREFUSED" && error.code !== "ENOENT");
    });
  });
}
