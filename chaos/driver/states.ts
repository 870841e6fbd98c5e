/**
 * State directories of one machine: those in memory of `src/backend/memory.ts`, with latencies drawn by the world,
 * writes that fail, and an eye on the rules of the port: nobody uses what is closed, or closes what somebody looks at.
 */
import { MemoryDirectory } from "../../src/backend/memory.ts";
import { fail } from "../../src/base/index.ts";
import type {
  Backend,
  BackendBatch,
  BackendDirectory,
  BackendMeta,
  BackendSnapshot,
  ReceivingState,
  RecordVisitor,
} from "../../src/env/index.ts";
import type { Rng } from "../sim/rng.ts";
import type { InvariantId } from "../sim/violation.ts";
import type { Life } from "./life.ts";

/** One write in so many takes long. */
const STALL_EVERY = 40;
const MAX_STALL_US = 2_000_000;
const USE: InvariantId = "closed-port-used";

/** The disk of one machine's states; it outlives the processes. */
export class StateDisk {
  readonly #rng: Rng;
  readonly memory: MemoryDirectory;
  #life: Life | undefined;
  /** The next write fails, and may have happened or not. */
  failNext = false;
  /** It has failed in the process that runs. */
  hasFailed = false;
  slowFactor = 1;
  /** States that are open in the process that runs. */
  open = 0;
  /** Consistent index of the state that was written, or opened, last. */
  index = 0;

  constructor(rng: Rng) {
    this.#rng = rng;
    this.memory = new MemoryDirectory(() => this.pause("state"));
  }

  /** A process begins. */
  begin(life: Life): BackendDirectory {
    this.#life = life;
    this.open = 0;
    this.hasFailed = false;
    return new SimStates(this);
  }

  /** The process ends. */
  crash(): void {
    this.failNext = false;
    this.memory.crash(this.#rng);
  }

  /** Waits as long as a disk does. */
  pause(label: string): Promise<void> {
    const stall = this.#rng.int(0, STALL_EVERY) === 0 ? this.#rng.int(0, MAX_STALL_US) : 0;
    const delay = (200 + this.#rng.exponential(1_000)) * this.slowFactor + stall;
    return this.#life?.wait(delay, label) ?? Promise.resolve();
  }

  /** A short step of reading. */
  async step(label: string): Promise<void> {
    await this.#life?.wait(20 + this.#rng.exponential(200) * this.slowFactor, label);
  }

  /** Something is used that may not be. */
  violate(what: string): never {
    return this.#life?.violate(USE, what) ?? fail(what);
  }
}

class SimStates implements BackendDirectory {
  readonly #disk: StateDisk;

  constructor(disk: StateDisk) {
    this.#disk = disk;
  }

  async open(index: number): Promise<Backend> {
    await this.#disk.step("open state");
    const backend = await this.#disk.memory.open(index);
    this.#disk.open++;
    this.#disk.index = backend.meta.index;
    return new SimBackend(this.#disk, backend);
  }

  async receive(index: number): Promise<ReceivingState> {
    await this.#disk.step("receive");
    return await this.#disk.memory.receive(index);
  }

  async removeOthers(index: number): Promise<void> {
    await this.#disk.step("remove states");
    await this.#disk.memory.removeOthers(index);
    await this.#disk.step("remove states");
  }
}

class SimBackend implements Backend {
  readonly #disk: StateDisk;
  readonly #inner: Backend;
  #views = 0;
  #isClosed = false;
  #failure: Error | undefined;

  constructor(disk: StateDisk, inner: Backend) {
    this.#disk = disk;
    this.#inner = inner;
  }

  get meta(): BackendMeta {
    return this.#inner.meta;
  }

  get(name: string): Uint8Array | undefined {
    this.#mustBeOpen();
    return this.#inner.get(name);
  }

  async getMany(names: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    this.#mustBeOpen();
    await this.#disk.step("get many");
    return this.#inner.getMany(names);
  }

  async write(batch: BackendBatch): Promise<void> {
    this.#mustBeOpen();
    if (this.#failure !== undefined) throw this.#failure;
    await this.#inner.write(batch);
    this.#disk.index = batch.index;
    if (!this.#disk.failNext) return;
    this.#disk.hasFailed = true;
    this.#failure = new Error("EIO: write of a batch");
    throw this.#failure;
  }

  async scan(prefixes: readonly string[], visit: RecordVisitor): Promise<void> {
    this.#mustBeOpen();
    const view = this.snapshot();
    try {
      await view.scan(prefixes, visit);
    } finally {
      await view.close();
    }
  }

  snapshot(): BackendSnapshot {
    this.#mustBeOpen();
    const view = this.#inner.snapshot();
    this.#views++;
    let isOpen = true;
    return {
      meta: view.meta,
      scan: async (prefixes, visit) => {
        if (!isOpen) this.#disk.violate("it scans a view that it closed");
        await view.scan(prefixes, async (chunk) => {
          await this.#disk.step("scan");
          await visit(chunk);
        });
      },
      close: async () => {
        if (isOpen) this.#views--;
        isOpen = false;
        await view.close();
      },
    };
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    if (this.#views > 0) this.#disk.violate(`it closes a state with ${this.#views} views of it open`);
    this.#isClosed = true;
    await this.#inner.close();
    this.#disk.open--;
  }

  #mustBeOpen(): void {
    if (this.#isClosed) this.#disk.violate("it uses a state that it closed");
  }
}
