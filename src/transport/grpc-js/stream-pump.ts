/**
 * Moves messages between one gRPC stream and its session. It takes from the session only while the connection accepts,
 * and reads from the client only while the session wants input *and* the client takes its answers: a client that
 * stalls costs what its session's own queue holds and this much, and no more.
 */
import type { ServerDuplexStream, ServerWritableStream } from "@grpc/grpc-js";
import { type StreamHandler, type StreamOutput, type StreamSession, statusOf } from "../../rpc/index.ts";
import { contextOf } from "./context.ts";
import type { CallObserver } from "./server.ts";

/** Bytes that may wait in one stream of the connection. A single message may be larger; it goes alone. */
const MAX_UNSENT_BYTES = 64 * 1024;
const OK = 0;
const CANCELED = 1;
const INTERNAL = 13;

type Call = ServerDuplexStream<Buffer, Buffer> | ServerWritableStream<Buffer, Buffer>;

export class StreamPump {
  readonly #path: string;
  readonly #call: Call;
  readonly #observer: CallObserver;
  readonly #session: StreamSession;
  /** Set while messages are read from the client. */
  #reading: ServerDuplexStream<Buffer, Buffer> | undefined;
  #unsentBytes = 0;
  /** A session may say that it is ready from inside a call of ours: that is remembered, not recursed into. */
  #isPumping = false;
  #pumpAgain = false;
  #isOver = false;

  constructor(path: string, call: Call, open: StreamHandler, observer: CallObserver) {
    this.#path = path;
    this.#call = call;
    this.#observer = observer;
    // Nothing is taken before the session exists.
    this.#isPumping = true;
    this.#session = open(contextOf(call), () => this.#pump());
    this.#isPumping = false;
    call.on("cancelled", () => this.#over(CANCELED));
    this.#pump();
  }

  /** Begins to read the client's messages. */
  readFrom(call: ServerDuplexStream<Buffer, Buffer>): void {
    this.#reading = call;
    call.on("data", (bytes: Buffer) => this.message(bytes));
    call.on("end", () => this.halfClose());
  }

  message(bytes: Buffer): void {
    this.#guarded(() => this.#session.message(bytes));
  }

  halfClose(): void {
    this.#guarded(() => this.#session.halfClose());
  }

  /** Runs something of the session, then moves what can move. */
  #guarded(run: () => void): void {
    if (this.#isOver) return;
    const outer = this.#isPumping;
    this.#isPumping = true;
    try {
      run();
    } catch (error: unknown) {
      this.#bug(error);
    }
    this.#isPumping = outer;
    this.#pump();
  }

  #pump(): void {
    if (this.#isPumping) {
      this.#pumpAgain = true;
      return;
    }
    this.#isPumping = true;
    try {
      do {
        this.#pumpAgain = false;
        while (!this.#isOver && this.#unsentBytes < MAX_UNSENT_BYTES) {
          const output = this.#session.take();
          if (output === undefined) break;
          this.#send(output);
        }
      } while (this.#pumpAgain && !this.#isOver && this.#unsentBytes < MAX_UNSENT_BYTES);
    } catch (error: unknown) {
      this.#bug(error);
    }
    this.#isPumping = false;
    this.#arrangeReading();
  }

  #send(output: StreamOutput): void {
    if (output.type === "message") {
      const message = Buffer.concat(output.parts);
      this.#unsentBytes += message.length;
      this.#call.write(message, () => {
        this.#unsentBytes -= message.length;
        if (!this.#isOver) this.#pump();
      });
      return;
    }
    if (output.error === undefined) {
      this.#over(OK);
      this.#call.end();
    } else {
      const { code, message } = statusOf(output.error);
      this.#over(code);
      this.#fail(code, message);
    }
  }

  /** grpc-js sends what was written before, then the status. */
  #fail(code: number, details: string): void {
    this.#call.emit("error", { code, details });
  }

  #bug(error: unknown): void {
    this.#observer.bug(this.#path, error);
    if (this.#isOver) return;
    this.#over(INTERNAL);
    this.#fail(INTERNAL, "internal error");
  }

  #arrangeReading(): void {
    if (this.#reading === undefined || this.#isOver) return;
    const mayRead = this.#session.wantsInput && this.#unsentBytes < MAX_UNSENT_BYTES;
    if (mayRead === !this.#reading.isPaused()) return;
    if (mayRead) this.#reading.resume();
    else this.#reading.pause();
  }

  #over(code: number): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#observer.handled(this.#path, code);
    this.#session.close();
  }
}
