/**
 * `npm run bench`: prints one row per benchmark, the best and the median of several runs after a warm-up. Figures are
 * for comparison on one machine in one run; nothing is asserted here, and nothing in the tests rests on them.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LevelDirectory } from "../../src/backend/index.ts";
import { type ApplyOptions, eachPutEntry, putEntries } from "./apply.ts";
import { printApplyRows } from "./apply-rows.ts";
import { measureBackend } from "./backend.ts";
import { printConfigRows } from "./config-rows.ts";
import { applyToDisk } from "./level-state.ts";
import { printStoreRows } from "./mvcc-rows.ts";
import { commitEntries } from "./raft-throughput.ts";
import { printRestartRows, RESTART, runRestart } from "./restart.ts";
import { printSliceRows } from "./slices-rows.ts";
import { printWatchRows } from "./watch-rows.ts";

const RUNS = 5;

const [program, path, mode] = process.argv.slice(2);
if (program === RESTART && path !== undefined) await runRestart(path, mode === "watched");
else await printAll();

async function printAll(): Promise<void> {
  row("raft, 3 members, 256 B, messages by reference", 1_000_000, (entries) =>
    commitEntries({ entries, entryBytes: 256, codec: false }),
  );
  row("raft, 3 members, 256 B, messages through the codec", 400_000, (entries) =>
    commitEntries({ entries, entryBytes: 256, codec: true }),
  );
  printStoreRows();
  printApplyRows();
  printWatchRows();
  printConfigRows();
  await backendRow(1_000_000);
  await levelRows(300_000);
  await restartRows(1_000_000);
  await printSliceRows(1_000_000);
}

function row(name: string, entries: number, run: (entries: number) => number[]): void {
  run(Math.floor(entries / 10));
  const rates: number[] = [];
  for (let i = 0; i < RUNS; i++) {
    const begin = process.hrtime.bigint();
    const applied = run(entries);
    const seconds = Number(process.hrtime.bigint() - begin) / 1e9;
    if (applied.some((count) => count !== entries)) throw new Error(`${name}: applied ${applied.join(", ")}`);
    rates.push(entries / seconds);
  }
  rates.sort((a, b) => a - b);
  const median = rates[rates.length >> 1] ?? 0;
  const best = rates[rates.length - 1] ?? 0;
  const [middle, most] = [median, best].map((rate) => Math.round(rate).toLocaleString("en"));
  console.log(`${name.padEnd(52)} ${middle} committed/s (best ${most})`);
}

/** Once only: it writes some hundred megabytes. */
async function backendRow(puts: number): Promise<void> {
  const path = mkdtempSync(join(tmpdir(), "waymark-bench-"));
  try {
    const figures = await measureBackend(new LevelDirectory(path), puts);
    console.log(`backend, ${puts.toLocaleString("en")} puts of 256 B, two records each`);
    for (const [name, value] of Object.entries(figures))
      console.log(`  ${name.padEnd(20)} ${value.toFixed(1)}`);
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}

/** The real path to the disk. The entries are made before, and a tenth of them is applied elsewhere to warm up. */
async function levelRows(entries: number): Promise<void> {
  const path = mkdtempSync(join(tmpdir(), "waymark-bench-"));
  try {
    const options = putsOf(entries);
    mkdirSync(join(path, "warm-up"));
    await applyToDisk(new LevelDirectory(join(path, "warm-up")), putEntries(putsOf(entries / 10)));
    const applied = await applyToDisk(new LevelDirectory(path), putEntries(options));
    console.log(`state on disk, ${entries.toLocaleString("en")} puts of 256 B, entries to LevelDB, warm`);
    const rate = Math.round(entries / applied.seconds).toLocaleString("en");
    console.log(`  puts per second      ${rate} (aim 60,000)`);
    console.log(`  processor us per put ${((applied.cpuSeconds / entries) * 1e6).toFixed(1)}`);
    console.log(`  longest block, ms    ${applied.blockMs.toFixed(1)} (aim 10)`);
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}

async function restartRows(records: number): Promise<void> {
  const path = mkdtempSync(join(tmpdir(), "waymark-bench-"));
  try {
    await applyToDisk(new LevelDirectory(path), eachPutEntry(putsOf(records)));
    printRestartRows(path, records);
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}

function putsOf(entries: number): ApplyOptions {
  return { entries, valueBytes: 256, keyBytes: 32, keys: entries, compactEvery: entries + 1 };
}
