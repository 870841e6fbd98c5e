/**
 * All open streams of a member, so that they can be ended from here: those that asked for a leader when there has been
 * none for three election timeouts, and all of them when the server stops. An end overtakes what is still queued.
 */
import { ERR, type KvError } from "../base/index.ts";
import type { Cancel, Clock } from "../env/index.ts";
import type { StreamOutput, StreamSession } from "./call.ts";

/** A stream that wants a leader ends at this many looks in a row that saw none; they are an election timeout apart. */
const MAX_LOOKS_WITHOUT_LEADER = 3;

export class OpenStreams {
  readonly #clock: Clock;
  readonly #hasLeader: () => boolean;
  readonly #intervalMs: number;
  readonly #open = new Set<OpenStream>();
  /** Those of them that want a leader. */
  readonly #wanting = new Set<OpenStream>();
  #cancelLook: Cancel | undefined;
  #looksWithoutLeader = 0;

  constructor(
    options: { readonly electionTimeoutMs: number },
    deps: { readonly clock: Clock; readonly hasLeader: () => boolean },
  ) {
    this.#intervalMs = options.electionTimeoutMs;
    this.#clock = deps.clock;
    this.#hasLeader = deps.hasLeader;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Takes a stream in. @param wantsLeader whether it is to end when there is no leader */
  add(session: StreamSession, wantsLeader: boolean, onReady: () => void): StreamSession {
    const stream = new OpenStream(session, onReady, () => this.#remove(stream));
    this.#open.add(stream);
    if (wantsLeader) {
      this.#wanting.add(stream);
      this.#look();
    }
    return stream;
  }

  /** Ends all of them; their transports take the end and close them. */
  endAll(error: KvError): void {
    for (const stream of [...this.#open]) stream.end(error);
  }

  #remove(stream: OpenStream): void {
    this.#open.delete(stream);
    this.#wanting.delete(stream);
    if (this.#wanting.size > 0) return;
    this.#cancelLook?.();
    this.#cancelLook = undefined;
    this.#looksWithoutLeader = 0;
  }

  /** Looks again and again while somebody wants a leader. */
  #look(): void {
    if (this.#cancelLook !== undefined) return;
    this.#cancelLook = this.#clock.wakeAt(this.#clock.now() + this.#intervalMs, () => {
      this.#cancelLook = undefined;
      this.#looksWithoutLeader = this.#hasLeader() ? 0 : this.#looksWithoutLeader + 1;
      if (this.#looksWithoutLeader >= MAX_LOOKS_WITHOUT_LEADER) {
        this.#looksWithoutLeader = 0;
        for (const stream of [...this.#wanting]) stream.end(ERR.noLeader);
      }
      if (this.#wanting.size > 0) this.#look();
    });
  }
}

/** A session with an end that may come from outside, and with nothing after it. */
class OpenStream implements StreamSession {
  readonly #session: StreamSession;
  readonly #onReady: () => void;
  readonly #onClosed: () => void;
  #end: StreamOutput | undefined;
  #isOver = false;
  #isClosed = false;

  constructor(session: StreamSession, onReady: () => void, onClosed: () => void) {
    this.#session = session;
    this.#onReady = onReady;
    this.#onClosed = onClosed;
  }

  get wantsInput(): boolean {
    return this.#end === undefined && !this.#isOver && this.#session.wantsInput;
  }

  message(bytes: Uint8Array): void {
    if (this.#end === undefined && !this.#isOver && !this.#isClosed) this.#session.message(bytes);
  }

  halfClose(): void {
    if (this.#end === undefined && !this.#isOver && !this.#isClosed) this.#session.halfClose();
  }

  take(): StreamOutput | undefined {
    if (this.#isOver || this.#isClosed) return undefined;
    const output = this.#end ?? this.#session.take();
    if (output?.type === "end") this.#isOver = true;
    return output;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#session.close();
    this.#onClosed();
  }

  end(error: KvError): void {
    if (this.#isOver || this.#isClosed || this.#end !== undefined) return;
    this.#end = { type: "end", error };
    this.#onReady();
  }
}
