/**
 * What the state on disk does by itself: puts of 256 B, each an index record and a value, in batches as a member issues
 * them; then a restart, which reads every index record and no value; then reads of single values.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { BackendDirectory } from "../../src/env/index.ts";

const INDEX_BYTES = 100;
const VALUE_BYTES = 256;
/** Puts per batch: two changes each, and at most 10,000 changes in a batch. */
const PUTS_PER_BATCH = 5000;
const READS = 10_000;
const CONF = { voters: [1n], votersOutgoing: [], learners: [], learnersNext: [], leaseMs: 0 };

export interface BackendFigures {
  /** Records that the restart has read. */
  readonly records: number;
  readonly putsPerSecond: number;
  /** Opening and reading every index record. */
  readonly restartSeconds: number;
  /** One value, synchronously. */
  readonly readMicros: number;
  /** Longest time for which the event loop had no turn while batches were written, and while records were read. */
  readonly writeBlockMs: number;
  readonly scanBlockMs: number;
  /** Processor time of the whole process, all threads, per put and per index record read. */
  readonly cpuMicrosPerPut: number;
  readonly cpuMicrosPerRecord: number;
}

/** @param directory of an empty place */
export async function measureBackend(directory: BackendDirectory, puts: number): Promise<BackendFigures> {
  const writing = await timed(() => writePuts(directory, puts));
  let records = 0;
  const restart = await timed(async () => {
    const backend = await directory.open(0);
    await backend.scan(["i"], (chunk) => {
      records += chunk.length;
    });
    await backend.close();
  });
  const backend = await directory.open(0);
  const reading = await timed(async () => {
    for (let i = 0; i < READS; i++) {
      if (backend.get(nameOf("v", (i * 7919) % puts)) === undefined) throw new Error("a value is missing");
    }
  });
  await backend.close();
  return {
    records,
    putsPerSecond: puts / writing.seconds,
    restartSeconds: restart.seconds,
    readMicros: (reading.seconds / READS) * 1e6,
    writeBlockMs: writing.blockMs,
    scanBlockMs: restart.blockMs,
    cpuMicrosPerPut: (writing.cpuSeconds / puts) * 1e6,
    cpuMicrosPerRecord: (restart.cpuSeconds / puts) * 1e6,
  };
}

async function writePuts(directory: BackendDirectory, count: number): Promise<void> {
  const backend = await directory.open(0);
  for (let from = 0; from < count; from += PUTS_PER_BATCH) {
    const puts: [string, Uint8Array][] = [];
    for (let i = from; i < Math.min(count, from + PUTS_PER_BATCH); i++) {
      puts.push([nameOf("i", i), bytes(INDEX_BYTES, i)], [nameOf("v", i), bytes(VALUE_BYTES, i)]);
    }
    await backend.write({ seq: 1, index: from + 1, term: 1, conf: CONF, puts, deletes: [] });
  }
  await backend.close();
}

function nameOf(kind: string, revision: number): string {
  return `${kind}${revision.toString(16).padStart(14, "0")}00000000`;
}

/** Half of it differs from put to put, half does not: about what configuration compresses to. */
function bytes(size: number, seed: number): Uint8Array {
  const value = new Uint8Array(size);
  let chance = seed + 1;
  for (let i = 0; i < size; i += 2) {
    chance = (Math.imul(chance, 1664525) + 1013904223) | 0;
    value[i] = chance >>> 24;
  }
  return value;
}

interface Times {
  readonly seconds: number;
  readonly cpuSeconds: number;
  /** Longest pause between two turns of the event loop. */
  readonly blockMs: number;
}

async function timed(run: () => Promise<void>): Promise<Times> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const cpu = process.cpuUsage();
  const begin = process.hrtime.bigint();
  await run();
  const seconds = Number(process.hrtime.bigint() - begin) / 1e9;
  const { user, system } = process.cpuUsage(cpu);
  delay.disable();
  return { seconds, cpuSeconds: (user + system) / 1e6, blockMs: delay.max / 1e6 };
}
