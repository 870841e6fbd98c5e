/**
 * The twin of the LevelDB states, in memory, for tests and the simulator. It outlives its handles as a disk does: a
 * `MemoryDirectory` is the disk, what `open` and `receive` give is the process. `crash` ends the process and leaves of
 * every batch in flight all or nothing; the other faults are those that LevelDB has (reliability.md §0).
 */
import { fail } from "../base/index.ts";
import type {
  Backend,
  BackendBatch,
  BackendDirectory,
  BackendMeta,
  BackendRecord,
  BackendSnapshot,
  Random,
  ReceivingState,
  RecordVisitor,
} from "../env/index.ts";
import { EMPTY_META, mustAscend, mustFollow } from "./contract.ts";
import { damaged, damagedRecord } from "./errors.ts";

/** Records of one chunk of a scan. */
const CHUNK_RECORDS = 256;

/** One state as it lies on the disk. */
interface Disk {
  readonly name: string;
  /** undefined: begun, not complete. */
  meta: BackendMeta | undefined;
  records: Map<string, Uint8Array>;
  readonly damaged: Set<string>;
  /** Number of the last batch, and of those that were lost. */
  batches: number;
  readonly lost: number[];
}

/**
 * When a write is done. The simulator resolves these by its own order; by default they are done at once, that is in a
 * later microtask.
 */
export type Defer = () => Promise<void>;

export class MemoryDirectory implements BackendDirectory {
  readonly #disks = new Map<number, Disk>();
  readonly #defer: Defer;
  /** Handles of the process that runs: a crash makes them useless. */
  #process = { inFlight: new Map<Disk, BackendBatch>(), inUse: new Set<number>(), isDead: false };
  #loseNext = false;

  constructor(defer: Defer = async () => undefined) {
    this.#defer = defer;
  }

  async open(index: number): Promise<Backend> {
    let disk = this.#disks.get(index);
    if (disk === undefined && index === 0) {
      disk = emptyDisk("state-0");
      disk.meta = EMPTY_META;
      this.#disks.set(index, disk);
    }
    if (disk === undefined) throw damaged(`state-${index}`, "the log names this state, and it is not there");
    if (disk.meta === undefined)
      throw damaged(disk.name, "it has no head, so it was never complete or lost its batches");
    const lost = disk.lost[0];
    if (lost !== undefined)
      throw damaged(disk.name, `batch ${lost} of ${disk.batches} is lost: its marker is not there`);
    this.#use(index);
    const own = this.#process;
    return new MemoryBackend(disk, disk.meta, this.#writer(disk), () => own.inUse.delete(index));
  }

  async receive(index: number): Promise<ReceivingState> {
    if (index < 1) fail("a snapshot has an index", { index });
    this.#use(index);
    const disk = emptyDisk(`state-${index}`);
    this.#disks.set(index, disk);
    const own = this.#process;
    let last = "";
    return {
      add: async (records) => {
        await this.#step(own);
        for (const [name, value] of records) {
          if (name <= last) throw damaged(disk.name, `record ${name} came after ${last}`);
          last = name;
          disk.records.set(name, value.slice());
        }
      },
      complete: async (meta) => {
        await this.#step(own);
        disk.meta = meta;
        own.inUse.delete(index);
      },
      discard: async () => {
        await this.#step(own);
        this.#disks.delete(index);
        own.inUse.delete(index);
      },
    };
  }

  async removeOthers(index: number): Promise<void> {
    for (const other of this.#disks.keys()) {
      if (other === index) continue;
      if (this.#process.inUse.has(other)) fail("a state in use is removed", { name: `state-${other}` });
      this.#disks.delete(other);
    }
  }

  /** Indexes of the states that are there, complete or not, ascending. */
  get indexes(): readonly number[] {
    return [...this.#disks.keys()].sort((a, b) => a - b);
  }

  /** Ends the process: of each batch in flight all is there or nothing. Its promises never settle. */
  crash(random: Random): void {
    const { inFlight } = this.#process;
    this.#process.isDead = true;
    this.#process = { inFlight: new Map(), inUse: new Set(), isDead: false };
    for (const [disk, batch] of inFlight) if (random.int(0, 2) === 1) this.#apply(disk, batch);
  }

  /** The next batch that is written will not be there after a restart, although later ones are. */
  loseNextBatch(): void {
    this.#loseNext = true;
  }

  /** Damages the bytes of a record. */
  damageRecord(index: number, name: string): void {
    const disk = this.#disks.get(index);
    if (disk?.records.has(name) !== true) fail("no such record to damage", { index, name });
    disk?.damaged.add(name);
  }

  #use(index: number): void {
    if (this.#process.inUse.has(index)) fail("a state is in use", { index });
    this.#process.inUse.add(index);
  }

  #writer(disk: Disk): (batch: BackendBatch) => Promise<BackendMeta> {
    const own = this.#process;
    return async (batch) => {
      own.inFlight.set(disk, batch);
      await this.#step(own);
      own.inFlight.delete(disk);
      return this.#apply(disk, batch);
    };
  }

  async #step(own: { readonly isDead: boolean }): Promise<void> {
    await this.#defer();
    if (own.isDead) await new Promise(() => undefined);
  }

  #apply(disk: Disk, batch: BackendBatch): BackendMeta {
    const { index, term, conf, puts, deletes } = batch;
    disk.batches++;
    if (this.#loseNext) disk.lost.push(disk.batches);
    this.#loseNext = false;
    for (const [name, value] of puts) {
      disk.records.set(name, value);
      disk.damaged.delete(name);
    }
    for (const name of deletes) {
      disk.records.delete(name);
      disk.damaged.delete(name);
    }
    disk.meta = { index, term, conf };
    return disk.meta;
  }
}

function emptyDisk(name: string): Disk {
  return { name, meta: undefined, records: new Map(), damaged: new Set(), batches: 0, lost: [] };
}

class MemoryBackend implements Backend {
  readonly #disk: Disk;
  readonly #apply: (batch: BackendBatch) => Promise<BackendMeta>;
  readonly #onClosed: () => void;
  #meta: BackendMeta;
  #writing: Promise<void> | undefined;
  #isClosed = false;

  constructor(
    disk: Disk,
    meta: BackendMeta,
    apply: (batch: BackendBatch) => Promise<BackendMeta>,
    onClosed: () => void,
  ) {
    this.#disk = disk;
    this.#meta = meta;
    this.#apply = apply;
    this.#onClosed = onClosed;
  }

  get meta(): BackendMeta {
    return this.#meta;
  }

  get(name: string): Uint8Array | undefined {
    return read(this.#disk, this.#disk.records, name);
  }

  async getMany(names: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    return names.map((name) => this.get(name));
  }

  write(batch: BackendBatch): Promise<void> {
    mustFollow(batch, this.#meta, { isClosed: this.#isClosed, isWriting: this.#writing !== undefined });
    this.#writing = this.#write(batch);
    return this.#writing;
  }

  async #write(batch: BackendBatch): Promise<void> {
    this.#meta = await this.#apply(batch);
    this.#writing = undefined;
  }

  async scan(prefixes: readonly string[], visit: RecordVisitor): Promise<void> {
    await this.snapshot().scan(prefixes, visit);
  }

  snapshot(): BackendSnapshot {
    // Values never change, so a copy of the names and references is a view.
    const records = new Map(this.#disk.records);
    return {
      meta: this.#meta,
      scan: (prefixes, visit) => this.#scan(records, prefixes, visit),
      close: async () => records.clear(),
    };
  }

  async #scan(
    records: ReadonlyMap<string, Uint8Array>,
    prefixes: readonly string[],
    visit: RecordVisitor,
  ): Promise<void> {
    mustAscend(prefixes);
    const names = [...records.keys()].filter((name) => prefixes.some((p) => name.startsWith(p))).sort();
    for (let from = 0; from < names.length; from += CHUNK_RECORDS) {
      const chunk: BackendRecord[] = [];
      for (const name of names.slice(from, from + CHUNK_RECORDS)) {
        const value = read(this.#disk, records, name);
        if (value !== undefined) chunk.push([name, value]);
      }
      await visit(chunk);
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#writing;
    this.#onClosed();
  }
}

function read(disk: Disk, records: ReadonlyMap<string, Uint8Array>, name: string): Uint8Array | undefined {
  const value = records.get(name);
  if (value !== undefined && disk.damaged.has(name)) throw damagedRecord(disk.name, name);
  return value;
}
