/**
 * A state in LevelDB. Batches are atomic, synced and chained (chain.ts), values sealed (seal.ts). One batch is in
 * flight; a failed one is final, because after a failed `fsync` nobody knows what the disk holds (reliability.md #26).
 */
import type {
  Backend,
  BackendBatch,
  BackendMeta,
  BackendRecord,
  BackendSnapshot,
  RecordVisitor,
} from "../env/index.ts";
import {
  beginChain,
  chainFault,
  decodeHead,
  decodeMarker,
  encodeHead,
  encodeMarker,
  extendChain,
  HEAD_NAME,
  type Head,
  MARKER_PREFIX,
  MARKERS,
  type Marker,
  markerName,
} from "./chain.ts";
import { EMPTY_META, mustAscend, mustFollow } from "./contract.ts";
import { type Changes, Database, type LevelSnapshot, rangeOf } from "./database.ts";
import { BackendError, damaged } from "./errors.ts";

export class LevelBackend implements Backend {
  readonly #db: Database;
  readonly #onClosed: () => void;
  #head: Head;
  #writing: Promise<void> | undefined;
  #failure: unknown;
  #closing: Promise<void> | undefined;

  private constructor(db: Database, head: Head, onClosed: () => void) {
    this.#db = db;
    this.#head = head;
    this.#onClosed = onClosed;
  }

  /**
   * Opens a complete state.
   * @param options.create an empty database becomes the state before the first entry
   * @throws BackendError when it is not complete, a batch is lost, or the format is newer
   */
  static async open(
    path: string,
    options: { readonly create: boolean; readonly onClosed: () => void },
  ): Promise<LevelBackend> {
    const db = await Database.open(path, false);
    try {
      if (options.create && (await db.isEmpty())) await writeFirstHead(db, EMPTY_META);
      return new LevelBackend(db, await readHead(db), options.onClosed);
    } catch (error) {
      await db.close();
      throw error;
    }
  }

  get meta(): BackendMeta {
    return this.#head.meta;
  }

  get(name: string): Uint8Array | undefined {
    return this.#db.get(name);
  }

  getMany(names: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    return this.#db.getMany(names);
  }

  /** @throws AssertionError when one is in flight or the batch does not follow; BackendError once one has failed */
  write(batch: BackendBatch): Promise<void> {
    const isClosed = this.#closing !== undefined;
    mustFollow(batch, this.meta, { isClosed, isWriting: this.#writing !== undefined });
    this.#writing = this.#write(batch);
    return this.#writing;
  }

  async #write(batch: BackendBatch): Promise<void> {
    try {
      if (this.#failure !== undefined) throw this.#failure;
      const { index, term, conf, puts, deletes } = batch;
      const { head, marker } = extendChain(this.#head, { index, term, conf }, puts.length + deletes.length);
      const own: Changes = {
        puts: [markerRecord(marker), [HEAD_NAME, encodeHead(head)]],
        deletes: [markerName(head.number - MARKERS)],
      };
      await this.#db.write([{ puts, deletes }, own], true);
      this.#head = head;
    } catch (error) {
      this.#failure = error;
      throw error;
    } finally {
      this.#writing = undefined;
    }
  }

  async scan(prefixes: readonly string[], visit: RecordVisitor): Promise<void> {
    const snapshot = this.snapshot();
    try {
      await snapshot.scan(prefixes, visit);
    } finally {
      await snapshot.close();
    }
  }

  /** The head is read through the view: a batch in flight is in both or in neither. */
  snapshot(): BackendSnapshot {
    const view = this.#db.snapshot();
    return new LevelBackendSnapshot(this.#db, view, headOf(this.#db, view).meta);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    // Whoever wrote the batch hears of its failure; closing succeeds all the same.
    await this.#writing?.catch(() => undefined);
    await this.#db.close();
    this.#onClosed();
  }
}

class LevelBackendSnapshot implements BackendSnapshot {
  readonly meta: BackendMeta;
  readonly #db: Database;
  readonly #snapshot: LevelSnapshot;

  constructor(db: Database, snapshot: LevelSnapshot, meta: BackendMeta) {
    this.#db = db;
    this.#snapshot = snapshot;
    this.meta = meta;
  }

  scan(prefixes: readonly string[], visit: RecordVisitor): Promise<void> {
    mustAscend(prefixes);
    return this.#db.scan(this.#snapshot, prefixes.map(rangeOf), visit);
  }

  close(): Promise<void> {
    return this.#snapshot.close();
  }
}

/** Makes a database a complete state: written last, all at once. */
export async function writeFirstHead(db: Database, meta: BackendMeta): Promise<void> {
  const { head, markers } = beginChain(meta);
  await db.write(
    [{ puts: [...markers.map(markerRecord), [HEAD_NAME, encodeHead(head)]], deletes: [] }],
    true,
  );
}

function markerRecord(marker: Marker): BackendRecord {
  return [markerName(marker.number), encodeMarker(marker)];
}

async function readHead(db: Database): Promise<Head> {
  const head = headOf(db, undefined);
  const fault = chainFault(head, await readMarkers(db));
  if (fault !== undefined) throw damaged(db.path, fault);
  return head;
}

function headOf(db: Database, snapshot: LevelSnapshot | undefined): Head {
  const bytes = db.get(HEAD_NAME, snapshot);
  if (bytes === undefined)
    throw damaged(db.path, "it has no head, so it was never complete or lost its batches");
  const head = decodeHead(bytes);
  if (head.type === "ok") return head.value;
  if (head.type === "malformed") throw damaged(db.path, head.reason);
  throw new BackendError(db.path, head.reason, "Start a program that is as new as the one that wrote it.");
}

async function readMarkers(db: Database): Promise<Marker[]> {
  const markers: Marker[] = [];
  const snapshot = db.snapshot();
  try {
    await db.scan(snapshot, [rangeOf(MARKER_PREFIX)], (chunk) => {
      for (const [name, bytes] of chunk) {
        const marker = decodeMarker(bytes);
        if (marker === undefined || markerName(marker.number) !== name) {
          throw damaged(db.path, `marker ${JSON.stringify(name)} is malformed`);
        }
        markers.push(marker);
      }
    });
  } finally {
    await snapshot.close();
  }
  return markers;
}
