/**
 * From a locked data directory to a member that runs: the log is read and repaired, a founding member writes the first
 * entry, the state that the log names is opened and loaded, and log and state are judged together (`openMember`).
 * A crash at any point leaves a directory that the next opening goes on from.
 */
import type { Backend, RecoveredLog } from "../env/index.ts";
import { bootstrapLog, emptyLog, type Member, openMember } from "../member/index.ts";
import { createWal, recoverWal, type Wal } from "../wal/index.ts";
import { Driver } from "./driver.ts";
import { DriverError, failureOf, refusedLog } from "./errors.ts";
import { loadState } from "./loading.ts";
import { type Closing, closeInOrder } from "./stopping.ts";
import type { DriverOptions, DriverPorts } from "./types.ts";

interface OpenedLog {
  readonly log: RecoveredLog;
  readonly wal: Wal;
}

/** How whoever opens a driver has a say in it. */
export interface OpenHooks {
  /** Called once when the member cannot go on, after the opening; everything is being closed then. */
  readonly onFailure: (error: DriverError) => void;
  /** Gives the opening up: what is under way is waited for, then everything is closed. */
  readonly signal?: AbortSignal;
}

/**
 * Opens and starts a member. On failure everything that was given is closed, the lock included.
 * @throws DriverError naming what was refused or failed, and what to do about it
 */
export async function openDriver(
  options: DriverOptions,
  ports: DriverPorts,
  hooks: OpenHooks,
): Promise<Driver> {
  // In order of opening.
  const opened: Closing[] = [
    ["directory lock", () => ports.lock.release()],
    ["log files", () => ports.files.close()],
  ];
  try {
    const driver = await open(options, ports, hooks, opened);
    driver.begin();
    return driver;
  } catch (error) {
    await closeInOrder(ports.log, opened.reverse());
    throw failureOf("state", error);
  }
}

async function open(
  options: DriverOptions,
  ports: DriverPorts,
  { onFailure, signal }: OpenHooks,
  opened: Closing[],
): Promise<Driver> {
  const { log, wal } = await openLog(options, ports).catch((error: unknown) => {
    throw failureOf("log", error);
  });
  mustGoOn(signal);
  const index = log.snapshot?.index ?? 0;
  const backend = await ports.states.open(index);
  opened.push(["state", () => backend.close()]);
  const member = await openOn(options, ports, { log, backend, index });
  mustGoOn(signal);
  // Only now: whoever has to look into a data directory that was refused finds it as it was.
  await ports.states.removeOthers(index);
  mustGoOn(signal);
  const { index: applied } = backend.meta;
  ports.log.info({ state: index, applied, entries: log.entries.length, term: member.term }, "member opened");
  const driver = new Driver(options, ports, { member, wal, states: { backend, index }, onFailure });
  opened.push(["peer transport", () => ports.peers.close()]);
  await ports.peers.start(driver).catch((error: unknown) => {
    throw failureOf("peers", error);
  });
  mustGoOn(signal);
  return driver;
}

async function openOn(
  options: DriverOptions,
  { clock, random }: DriverPorts,
  on: { readonly log: RecoveredLog; readonly backend: Backend; readonly index: number },
): Promise<Member> {
  const state = await loadState(options.member, on.backend, on.index, clock);
  const opened = openMember(options.member, { log: on.log, state }, { random }, clock.now());
  if (opened.type === "refused") throw new DriverError("member", opened.reason);
  return opened.member;
}

/** Reads the log, and repairs it before anything is appended; a new one is made where there is none. */
async function openLog(options: DriverOptions, ports: DriverPorts): Promise<OpenedLog> {
  const { segmentBytes, cluster, founding } = options;
  const { id, instance } = options.member;
  const walOptions = { segmentBytes, cluster, member: id, instance };
  const recovery = recoverWal(ports.directory, walOptions);
  switch (recovery.type) {
    case "refused":
      throw refusedLog(recovery);
    case "empty": {
      const { ops, wal } = createWal(walOptions);
      await ports.files.run([...recovery.cleanup, ...ops]);
      return await found(founding, ports, { log: emptyLog(), wal });
    }
    case "ok": {
      const { recovered, repair, wal, torn } = recovery;
      if (torn) ports.log.warn({}, "an unfinished batch at the end of the log is removed");
      await ports.files.run(repair);
      return await found(founding, ports, { log: recovered, wal });
    }
  }
}

/** A founding member whose log does not hold the first entry yet writes it. */
async function found(
  founding: DriverOptions["founding"],
  { files }: DriverPorts,
  opened: OpenedLog,
): Promise<OpenedLog> {
  const { log, wal } = opened;
  const isNew = log.hardState.term === 0 && log.base.index + log.entries.length === 0;
  if (founding === undefined || !isNew) return opened;
  const first = bootstrapLog(founding);
  await files.run(wal.append(first.batch));
  return { log: first.log, wal };
}

function mustGoOn(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new DriverError("member", "stopped while it was opened");
}
