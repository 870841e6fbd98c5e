/** A hub over the dumb store, and outputs as one line of text each, so that tests read as transcripts. */
import { bytesOf, textOf } from "../../../src/base/index.ts";
import { decodeEvent } from "../../../src/pb/index.ts";
import type { Event } from "../../../src/pb/kv.ts";
import {
  type WatchCreate,
  WatchHub,
  type WatchHubOptions,
  type WatchOutput,
  type WatchStream,
} from "../../../src/watch/index.ts";
import { DumbStore, type DumbWrite } from "../../support/dumb-store.ts";
import { watchFrom } from "../../support/plain-requests.ts";

/** No jitter. */
export const NO_CHANCE = { int: (lo: number): number => lo };

export class WatchWorld {
  store = new DumbStore();
  readonly hub: WatchHub;
  now = 0;

  constructor(options: WatchHubOptions = {}, store = new DumbStore()) {
    this.store = store;
    this.hub = new WatchHub(options, { store, random: NO_CHANCE });
  }

  open(): WatchStream {
    return this.hub.open(() => undefined);
  }

  watch(stream: WatchStream, key: string, more: Partial<WatchCreate> & { end?: string } = {}): number {
    return stream.create(this.now, watchOf(key, more));
  }

  write(...writes: readonly DumbWrite[]): void {
    const set = this.store.write(...writes);
    if (set !== undefined) this.hub.notify(set);
    this.hub.checkInvariants();
  }

  compact(revision: number): void {
    this.store.compact(revision);
    this.hub.compacted(revision);
  }

  tick(budget = 100_000): void {
    this.hub.tick(this.now, budget);
    this.hub.checkInvariants();
  }

  /** Ticks at once, as long as there is work at once. */
  settle(): void {
    for (let turn = 0; this.hub.nextWake(this.now) <= this.now; turn++) {
      if (turn > 10_000) throw new Error("the hub does not come to rest");
      this.tick(100);
    }
  }
}

export function watchOf(key: string, more: Partial<WatchCreate> & { end?: string } = {}): WatchCreate {
  const { end, ...rest } = more;
  return watchFrom(bytesOf(key), { rangeEnd: bytesOf(end ?? ""), ...rest });
}

/** Everything that is ready, as text. */
export function drain(stream: WatchStream): string[] {
  const lines: string[] = [];
  for (let output = stream.take(); output !== undefined; output = stream.take()) lines.push(show(output));
  return lines;
}

/** `<watch ID>@<header revision>: <what>`. */
export function show(output: WatchOutput): string {
  const parts: string[] = [];
  if (output.created) parts.push("created");
  if (output.canceled) parts.push("canceled");
  if (output.compactRevision !== 0) parts.push(`compacted ${output.compactRevision}`);
  if (output.cancelReason !== "") parts.push(`"${output.cancelReason}"`);
  parts.push(...eventsOf(output).map(showEvent));
  if (output.fragment) parts.push("...");
  if (parts.length === 0) parts.push("progress");
  return `${output.watchId}@${output.revision}: ${parts.join(" ")}`;
}

/** Decodes the events; each has the tag and length of field 11. */
export function eventsOf(output: WatchOutput): Event[] {
  let sum = 0;
  const events = output.events.map((bytes) => {
    sum += bytes.length;
    let at = 1;
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++] as number;
      length |= (byte & 127) << shift;
      if (byte < 128) break;
    }
    if (bytes[0] !== 0x5a || at + length !== bytes.length) throw new Error("not field 11");
    const decoded = decodeEvent(bytes.subarray(at));
    if (decoded.type === "refused") throw new Error(decoded.reason);
    return decoded.value;
  });
  if (sum !== output.eventBytes) throw new Error(`eventBytes is ${output.eventBytes}, not ${sum}`);
  return events;
}

export function showEvent({ type, kv, prevKv }: Event): string {
  const before = prevKv === undefined ? "" : `(was ${textOf(prevKv.value)}@${prevKv.modRevision})`;
  const key = textOf(kv.key);
  return type === "delete"
    ? `-${key}@${kv.modRevision}${before}`
    : `${key}=${textOf(kv.value)}@${kv.modRevision}${before}`;
}
