/**
 * Snapshot streams that leave: a view of the state, cut into frames, sent as fast as the other side takes them. One
 * chunk per stream is in memory. How many run and how long they may take is the member's business; it ends a stream by
 * `stop`, which holds for whatever the stream waits for.
 */
import type { MemberId } from "../base/index.ts";
import type { Backend, BackendMeta, Logger, PeerTransport, SnapshotSink } from "../env/index.ts";
import { beginFrame, SnapshotCutter, type SnapshotHeader, type SnapshotSend } from "../member/index.ts";
import type { SnapshotFrame } from "../pb/index.ts";
import { streamFields } from "./words.ts";

export interface OutgoingEvents {
  snapshotOpened(stream: number, meta: BackendMeta): void;
  /** Not for streams that were stopped. */
  snapshotSent(stream: number, ok: boolean): void;
  stateFailed(error: unknown): void;
}

/** The stream cannot go on, the member can: it was stopped, or the other side is gone. */
class StreamBroken extends Error {}

interface Outgoing {
  readonly backend: Backend;
  readonly stopper: AbortController;
  /** It has let go of its view. */
  readonly done: Promise<void>;
}

export class SnapshotOut {
  readonly #self: MemberId;
  readonly #peers: PeerTransport;
  readonly #events: OutgoingEvents;
  readonly #log: Logger;
  readonly #streams = new Map<number, Outgoing>();
  /** Streams that were stopped and have not let go of their view yet. */
  readonly #ending = new Set<Outgoing>();

  constructor(self: MemberId, deps: { peers: PeerTransport; events: OutgoingEvents; log: Logger }) {
    this.#self = self;
    this.#peers = deps.peers;
    this.#events = deps.events;
    this.#log = deps.log;
  }

  /** Begins a stream of the state as it is now. @throws the storage's error when it cannot be looked at */
  start(send: SnapshotSend, backend: Backend): void {
    const view = backend.snapshot();
    const { meta } = view;
    const stopper = new AbortController();
    const { signal } = stopper;
    this.#events.snapshotOpened(send.stream, meta);
    const header: SnapshotHeader = { stream: send.stream, from: this.#self, to: send.to, term: send.term };
    const done = this.#run(header, view, signal).finally(() => {
      this.#streams.delete(send.stream);
      this.#ending.delete(stream);
    });
    const stream: Outgoing = { backend, stopper, done };
    this.#streams.set(send.stream, stream);
  }

  /** Ends a stream; nothing is reported of it any more. One that has ended is passed over. */
  stop(stream: number): void {
    const found = this.#streams.get(stream);
    if (found === undefined) return;
    this.#streams.delete(stream);
    this.#ending.add(found);
    found.stopper.abort();
  }

  /** Ends all streams; resolves when they have let go of their views. */
  async stopAll(): Promise<void> {
    for (const stream of [...this.#streams.keys()]) this.stop(stream);
    await Promise.all([...this.#ending].map(({ done }) => done));
  }

  /** Resolves when no stream looks at this state any more. */
  async letGoOf(backend: Backend): Promise<void> {
    const streams = [...this.#streams.values(), ...this.#ending].filter((s) => s.backend === backend);
    await Promise.all(streams.map(({ done }) => done));
  }

  async #run(
    header: SnapshotHeader,
    view: ReturnType<Backend["snapshot"]>,
    signal: AbortSignal,
  ): Promise<void> {
    let ok = false;
    let failure: { readonly error: unknown } | undefined;
    try {
      ok = await this.#transfer(header, view, signal);
    } catch (error) {
      if (!(error instanceof StreamBroken)) failure = { error };
      else if (!signal.aborted) this.#log.warn(streamFields(header, error.message), "snapshot stream broke");
    }
    try {
      await view.close();
    } catch (error) {
      failure ??= { error };
    }
    if (signal.aborted) return;
    if (failure !== undefined) this.#events.stateFailed(failure.error);
    else this.#events.snapshotSent(header.stream, ok);
  }

  async #transfer(
    header: SnapshotHeader,
    view: ReturnType<Backend["snapshot"]>,
    signal: AbortSignal,
  ): Promise<boolean> {
    const line = new Line(signal);
    try {
      await line.connect(this.#peers, header.to);
      await line.send(beginFrame(header, view.meta));
      const cutter = new SnapshotCutter(header.stream);
      await view.scan([""], async (records) => {
        for (const [name, value] of records) {
          const chunk = cutter.add(name, value);
          if (chunk !== undefined) await line.send(chunk);
        }
        if (signal.aborted) throw new StreamBroken("stopped");
      });
      for (const frame of cutter.end()) await line.send(frame);
      return await line.finish();
    } finally {
      line.close();
    }
  }
}

/** A sink every wait of which ends when the stream is stopped, whatever the transport does. */
class Line {
  readonly #signal: AbortSignal;
  readonly #stopped: Promise<never>;
  #sink: SnapshotSink | undefined;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    this.#stopped = new Promise((_, reject) => {
      const stop = (): void => {
        this.close();
        reject(new StreamBroken("stopped"));
      };
      if (signal.aborted) stop();
      else signal.addEventListener("abort", stop, { once: true });
    });
    // Nobody may be waiting when it is stopped.
    this.#stopped.catch(() => undefined);
  }

  async connect(peers: PeerTransport, to: MemberId): Promise<void> {
    const opening = peers.openSnapshot(to, this.#signal);
    // It may be opened after all when nobody waits for it any more.
    opening.then(
      (sink) => {
        if (this.#signal.aborted) sink.close();
      },
      () => undefined,
    );
    this.#sink = await this.#until(opening);
  }

  async send(frame: SnapshotFrame): Promise<void> {
    if (this.#sink === undefined) throw new StreamBroken("not connected");
    await this.#until(this.#sink.send(frame));
  }

  async finish(): Promise<boolean> {
    if (this.#sink === undefined) throw new StreamBroken("not connected");
    return await this.#until(this.#sink.finish());
  }

  close(): void {
    this.#sink?.close();
  }

  async #until<T>(waited: Promise<T>): Promise<T> {
    try {
      return await Promise.race([waited, this.#stopped]);
    } catch (error) {
      throw error instanceof StreamBroken
        ? error
        : new StreamBroken(error instanceof Error ? error.message : String(error), { cause: error });
    }
  }
}
