/**
 * Whether ports are free, and who has one that is not. Looked at before anything starts: a member that finds its port
 * taken says so in a log that nobody reads yet, and cannot say by whom.
 *
 * Linux tells the holder in two steps: `/proc/net/tcp` has the inode of the socket at a port, and a link in
 * `/proc/<process>/fd` names that inode. Elsewhere, and for processes of other users, the holder stays unknown.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createServer } from "node:net";
import type { NeededPort } from "./layout.ts";

/** `st` of a socket that listens, in /proc/net/tcp. */
const LISTENS = "0A";
/** What is shown of a command, characters. */
const MAX_COMMAND_LENGTH = 120;

/** Process that holds a port. */
export interface Holder {
  readonly pid: number;
  /** With its arguments, shortened; empty: not to be seen. */
  readonly command: string;
}

/** One line for each port that cannot be had. */
export async function problemsOf(ports: readonly NeededPort[]): Promise<readonly string[]> {
  const problems = await Promise.all(ports.map(problemOf));
  return problems.filter((problem) => problem !== undefined);
}

async function problemOf({ host, port, use }: NeededPort): Promise<string | undefined> {
  const code = await tryToListen(host, port);
  if (code === undefined) return undefined;
  const what = `port ${port} (${use})`;
  if (code !== "EADDRINUSE") return `${what} cannot be listened at: ${code}`;
  const holder = holderOf(port);
  if (holder === undefined) return `${what} is taken by a process that cannot be seen from here`;
  return `${what} is taken by process ${holder.pid}: ${holder.command}`;
}

/** @returns the system's code if it fails */
function tryToListen(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}

/** Who has a TCP port of this machine; undefined: not known. */
export function holderOf(port: number): Holder | undefined {
  const tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(maybeRead).join("\n");
  const inodes = socketsAt(port, tables);
  return inodes.size === 0 ? undefined : processWith(inodes);
}

/** Inodes of the sockets at a local port: those that listen, or all if none does. @param table as in /proc/net/tcp */
export function socketsAt(port: number, table: string): ReadonlySet<string> {
  const listening = new Set<string>();
  const others = new Set<string>();
  for (const line of table.split("\n")) {
    // slot, local address, remote address, state, queues, timer, retransmits, user, timeout, inode
    const [, local = "", , state, , , , , , inode = "0"] = line.trim().split(/\s+/);
    if (Number.parseInt(local.split(":")[1] ?? "", 16) !== port || inode === "0") continue;
    (state === LISTENS ? listening : others).add(inode);
  }
  return listening.size > 0 ? listening : others;
}

function processWith(inodes: ReadonlySet<string>): Holder | undefined {
  for (const pid of entries("/proc").filter((name) => /^[0-9]+$/.test(name))) {
    for (const fd of entries(`/proc/${pid}/fd`)) {
      const inode = /^socket:\[([0-9]+)\]$/.exec(maybeLink(`/proc/${pid}/fd/${fd}`))?.[1];
      if (inode !== undefined && inodes.has(inode)) return { pid: Number(pid), command: commandOf(pid) };
    }
  }
  return undefined;
}

function commandOf(pid: string): string {
  const command = maybeRead(`/proc/${pid}/cmdline`).split("\0").join(" ").trim();
  return command.length > MAX_COMMAND_LENGTH ? `${command.slice(0, MAX_COMMAND_LENGTH)} ...` : command;
}

// Processes end while they are looked at, and those of others are closed to us: neither is a failure here.

function entries(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function maybeRead(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

function maybeLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
