/**
 * What happened, as a rolling hash over every event, and on request as a timeline of one line per event. The hash
 * is how two runs of one seed are compared; the timeline is only recorded when a failure is replayed.
 */
import { finishHash, mixHash, mixHashBytes, mixHashText } from "../../src/base/index.ts";

/** Most lines that a timeline keeps; older ones are dropped, a failure is explained by its end. */
const MAX_LINES = 200_000;

/** Rolling 2 x 32 bit hash and optional timeline of one run. */
export class Trace {
  readonly recording: boolean;
  #low = 0x1234567;
  #high = 0x7654321;
  #events = 0;
  readonly #lines: string[] = [];

  constructor(recording: boolean) {
    this.recording = recording;
  }

  get events(): number {
    return this.#events;
  }

  /** Every event passes here: when, what, to whom, and a number that stands for its content. */
  event(time: number, kind: string, slot: number, content: number): void {
    this.#events++;
    const word = mixHash(mixHash(time | 0, (slot << 8) | kind.length), content);
    this.#low = mixHash(this.#low, word);
    this.#high = mixHash(this.#high, Math.imul(word, 0x9e3779b1) ^ kind.charCodeAt(0));
  }

  mixBytes(bytes: Uint8Array): void {
    this.#low = mixHashBytes(this.#low, bytes);
  }

  mixText(text: string): void {
    this.#low = mixHashText(this.#low, text);
  }

  /** Adds a line. Callers ask `recording` first: building the text is what costs. */
  line(time: number, text: string): void {
    if (this.#lines.length >= MAX_LINES) this.#lines.splice(0, MAX_LINES / 2);
    this.#lines.push(`${formatTime(time)}  ${text}`);
  }

  get lines(): readonly string[] {
    return this.#lines;
  }

  /** 16 hexadecimal digits. */
  digest(): string {
    return hex32(finishHash(this.#low)) + hex32(finishHash(mixHash(this.#high, this.#events)));
  }
}

/** World time as seconds with microseconds. */
export function formatTime(time: number): string {
  const seconds = Math.floor(time / 1_000_000);
  return `${seconds}.${String(time - seconds * 1_000_000).padStart(6, "0")}`;
}

function hex32(value: number): string {
  return value.toString(16).padStart(8, "0");
}
