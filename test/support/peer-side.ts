/** A member as the peer transport sees it: it keeps what it is told. And the world that a test of peers runs in. */
import type { MemberId } from "../../src/base/index.ts";
import type {
  LogFields,
  Logger,
  PeerHandler,
  PeerStanding,
  Random,
  SnapshotTaker,
} from "../../src/env/index.ts";
import type { PeerDirectory, Relay, SnapshotFrame } from "../../src/pb/index.ts";
import type { Heartbeat, Message } from "../../src/raft/types.ts";

export const CLUSTER = 0xc1n;

/** What came in on one snapshot stream, and what is answered to it. */
export class KeptStream implements SnapshotTaker {
  readonly from: MemberId;
  readonly frames: SnapshotFrame[] = [];
  /** What is answered to the frame; the default takes everything. */
  answer: (frame: SnapshotFrame) => Promise<"more" | "done" | "refused"> = async ({ type }) =>
    type === "end" ? "done" : "more";
  isGone = false;

  constructor(from: MemberId) {
    this.from = from;
  }

  take(frame: SnapshotFrame): Promise<"more" | "done" | "refused"> {
    this.frames.push(frame);
    return this.answer(frame);
  }

  gone(): void {
    this.isGone = true;
  }
}

export class PeerSide implements PeerHandler {
  readonly member: MemberId;
  readonly instance: bigint;
  cluster = CLUSTER;
  readonly received: Message[] = [];
  readonly relays: [from: MemberId, relay: Relay][] = [];
  readonly lost: MemberId[] = [];
  readonly streams: KeptStream[] = [];
  readonly standings = new Map<MemberId, PeerStanding>();
  /** How the next streams answer. */
  answer: KeptStream["answer"] | undefined;

  constructor(member: MemberId, instance: bigint = 0x1000n + member) {
    this.member = member;
    this.instance = instance;
  }

  standing(id: MemberId): PeerStanding {
    return this.standings.get(id) ?? { type: "known", pinnedInstance: 0n };
  }

  directory(): PeerDirectory {
    return { cluster: this.cluster, applied: 1, members: [] };
  }

  receive(message: Message): void {
    this.received.push(message);
  }

  relayed(from: MemberId, relay: Relay): void {
    this.relays.push([from, relay]);
  }

  unreachable(peer: MemberId): void {
    this.lost.push(peer);
  }

  snapshot(from: MemberId): SnapshotTaker {
    const stream = new KeptStream(from);
    if (this.answer !== undefined) stream.answer = this.answer;
    this.streams.push(stream);
    return stream;
  }
}

export interface Line {
  readonly level: string;
  readonly event: string;
  readonly fields: LogFields;
}

/** A log that keeps its lines. */
export class KeptLog implements Logger {
  readonly lines: Line[] = [];

  error(fields: LogFields, event: string): void {
    this.lines.push({ level: "error", event, fields });
  }

  warn(fields: LogFields, event: string): void {
    this.lines.push({ level: "warn", event, fields });
  }

  info(fields: LogFields, event: string): void {
    this.lines.push({ level: "info", event, fields });
  }

  debug(fields: LogFields, event: string): void {
    this.lines.push({ level: "debug", event, fields });
  }

  /** The reasons given in lines of this event. */
  reasons(event: string): string[] {
    return this.lines
      .filter((line) => line.event.startsWith(event))
      .map(({ fields }) => String(fields["reason"]));
  }
}

/** The same numbers every time. */
export function fixedRandom(): Random {
  let state = 12345;
  return {
    int(lo, hi) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return lo + (Math.floor(state / 65536) % (hi - lo));
    },
  };
}

export function beat(from: MemberId, to: MemberId, round: number): Heartbeat {
  return { type: "heartbeat", from, to, term: 1, round, leaseMs: 0, commit: 0 };
}

/** One entry of `bytes` bytes at `index`. */
export function append(from: MemberId, to: MemberId, index: number, bytes: number): Message {
  const entry = { index, term: 1, type: "normal" as const, data: new Uint8Array(bytes).fill(index) };
  const prev = { prevIndex: index - 1, prevTerm: index === 1 ? 0 : 1 };
  return { type: "append", from, to, term: 1, ...prev, commit: 0, entries: [entry] };
}

/**
 * Waits until the condition holds, giving way to sockets meanwhile.
 * @throws Error after ten seconds, with what `describe` says
 */
export async function until(
  condition: () => boolean,
  describe: () => unknown = () => "",
  step: () => void = () => undefined,
): Promise<void> {
  const end = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`it did not happen: ${String(condition)} ${describe()}`);
    step();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
