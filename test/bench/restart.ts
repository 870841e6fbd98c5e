/**
 * A restart as a member does it, from a directory in LevelDB to a member that could run: open, scan everything but
 * values, build the state, judge it together with a log that ends where the state does.
 *
 * The rows run it in processes of their own: a program that has just started has compiled nothing yet and holds nothing
 * of what other benchmarks left. Once unwatched for its cost, once watched for its longest block.
 */
import { spawnSync } from "node:child_process";
import { LevelDirectory } from "../../src/backend/index.ts";
import type { Backend, BackendDirectory } from "../../src/env/index.ts";
import { DEFAULT_OPTIONS, type Member, openMember } from "../../src/member/index.ts";
import { loadState } from "../../src/server/loading.ts";
import { NodeClock } from "../../src/server/node-clock.ts";
import { type Cost, timedAsync } from "./measure.ts";

export interface Restarted extends Cost {
  /** Bytes of memory of the whole process afterwards. */
  readonly rssBytes: number;
  readonly backend: Backend;
  readonly member: Member;
}

/** Restarts a member from its state-0. @param isWatched see `timedAsync` */
export async function restart(directory: BackendDirectory, isWatched = true): Promise<Restarted> {
  let found: Pick<Restarted, "backend" | "member"> | undefined;
  const cost = await timedAsync(async () => {
    const backend = await directory.open(0);
    const options = { ...DEFAULT_OPTIONS, id: 1n, instance: 1n };
    const state = await loadState(options, backend, 0, new NodeClock());
    const { index, term } = backend.meta;
    const hardState = { term, vote: 0n, commit: index };
    const log = { hardState, base: { index, term }, entries: [], snapshot: undefined };
    const opened = openMember(options, { log, state }, { random: { int: (lo) => lo } }, 0);
    if (opened.type === "refused") throw new Error(opened.reason);
    found = { backend, member: opened.member };
  }, isWatched);
  if (found === undefined) throw new Error("not restarted");
  return { ...cost, ...found, rssBytes: process.memoryUsage.rss() };
}

/** First argument of a bench that is to do nothing but restart from the path in the second. */
export const RESTART = "restart";

/** What such a process does: prints its figures as JSON. */
export async function runRestart(path: string, isWatched: boolean): Promise<void> {
  const { backend, member, ...figures } = await restart(new LevelDirectory(path), isWatched);
  await backend.close();
  console.log(JSON.stringify({ ...figures, revision: member.kv.store.revision }));
}

/** Restarts this very program twice and prints what it took. */
export function printRestartRows(path: string, records: number): void {
  const { seconds, cpuSeconds, rssBytes } = restartApart(path, "unwatched");
  const { blockMs } = restartApart(path, "watched");
  console.log(`restart from ${records.toLocaleString("en")} records, to a member that could run`);
  console.log(`  seconds              ${seconds.toFixed(1)}`);
  console.log(`  processor s          ${cpuSeconds.toFixed(1)}`);
  console.log(`  longest block, ms    ${blockMs.toFixed(1)}`);
  console.log(`  memory, MB           ${(rssBytes / 1e6).toFixed(0)}`);
}

function restartApart(path: string, mode: string): Omit<Restarted, "backend" | "member"> {
  const child = spawnSync(process.execPath, [process.argv[1] ?? "", RESTART, path, mode], {
    encoding: "utf8",
  });
  if (child.status !== 0) throw new Error(`the restart failed: ${child.stderr}`);
  return JSON.parse(child.stdout) as Omit<Restarted, "backend" | "member">;
}
