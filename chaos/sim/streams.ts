/**
 * Snapshot streams of one machine, both ends: a view of the backend cut into frames by the real cutter, each through
 * its codec over the second connection, checked by the real receiver, written to a directory of its own.
 */
import type { BackendState } from "../../src/env/index.ts";
import { cutSnapshot, SnapshotReceiver } from "../../src/member/index.ts";
import type { Effects, SnapshotSend } from "../../src/member/types.ts";
import { decodeSnapshotFrame, encodeSnapshotFrame } from "../../src/pb/index.ts";
import type { SnapshotMeta } from "../../src/raft/types.ts";
import type { Machine } from "./machine.ts";
import type { Network } from "./network.ts";
import type { Observer } from "./observer.ts";
import type { Rng } from "./rng.ts";
import type { EventQueue } from "./scheduler.ts";
import { violate } from "./violation.ts";

/** Attempts to open the connection before a stream counts as broken, and the time between two of them. */
const MAX_CONNECTS = 40;
const CONNECT_RETRY_US = 25_000;
/** A fault may strike so long after a snapshot's record is durable: before it is loaded. */
const RECORDED_US = 100;

/** What a machine does with snapshots. */
export interface SnapshotPort {
  carryOut(machine: Machine, effects: Effects): void;
  /** The process ended: nothing goes on. */
  reset(): void;
  /** Streams that are being sent. */
  readonly sending: number;
  readonly isReceiving: boolean;
}

/**
 * Steps of a snapshot at which a fault may strike: a frame was sent, a frame came, the directory is complete, the
 * record that names it is durable.
 */
export type SnapshotMoment = "sending" | "receiving" | "written" | "recorded";

export interface StreamHost {
  readonly queue: EventQueue;
  readonly network: Network;
  readonly observer: Observer;
  machineAt(slot: number): Machine;
  slotOf(id: bigint): number;
  snapshotMoment(machine: Machine, what: SnapshotMoment): void;
  /** Whether a client has watchers there. */
  isWatched(slot: number): boolean;
}

interface Outgoing {
  readonly send: SnapshotSend;
  readonly to: number;
  frames: readonly Uint8Array[];
  next: number;
  connects: number;
}

interface Incoming {
  readonly from: number;
  readonly stream: number;
  readonly receiver: SnapshotReceiver;
}

/** One machine's streams. Invariant: at most one snapshot is being received; a new one takes its place. */
export class MachineStreams implements SnapshotPort {
  readonly #host: StreamHost;
  readonly #rng: Rng;
  readonly #chunkBytes: number;
  readonly #outgoing = new Map<number, Outgoing>();
  #incoming: Incoming | undefined;

  constructor(host: StreamHost, rng: Rng, chunkBytes: number) {
    this.#host = host;
    this.#rng = rng;
    this.#chunkBytes = chunkBytes;
  }

  get sending(): number {
    return this.#outgoing.size;
  }

  get isReceiving(): boolean {
    return this.#incoming !== undefined;
  }

  reset(): void {
    this.#outgoing.clear();
    this.#incoming = undefined;
  }

  carryOut(machine: Machine, effects: Effects): void {
    for (const send of effects.snapshotSends) this.#begin(machine, send);
    for (const stream of effects.snapshotStops) {
      if (this.#outgoing.delete(stream)) this.#host.observer.streamEnded(false);
    }
    for (const meta of effects.discardSnapshots) {
      this.#host.observer.discarded(machine);
      machine.backend.removeDirectory(meta.index);
    }
    if (effects.installSnapshot !== undefined) this.#install(machine, effects.installSnapshot);
  }

  /** A frame came in; `answer` tells the sender what became of the stream. */
  frameArrived(machine: Machine, from: number, bytes: Uint8Array, answer: (ok: boolean) => void): void {
    const frame = decodeSnapshotFrame(bytes);
    if (frame.type === "refused") violate("assertion", `own snapshot frame does not decode: ${frame.reason}`);
    const { stream } = frame.value;
    if (frame.value.type === "begin") {
      this.#host.observer.comes(machine);
      this.#incoming = { from, stream, receiver: new SnapshotReceiver(machine.id) };
    }
    const incoming = this.#incoming;
    if (incoming === undefined || incoming.from !== from || incoming.stream !== stream) {
      // Another stream took its place; only the end of this one needs an answer.
      if (frame.value.type === "end") answer(false);
      return;
    }
    const received = incoming.receiver.take(frame.value);
    if (received.type === "more") {
      this.#host.snapshotMoment(machine, "receiving");
      return;
    }
    this.#incoming = undefined;
    if (received.type === "refused") {
      answer(false);
      return;
    }
    const { meta, term, state } = received;
    const snapshot = { from: received.from, to: received.to, term, meta };
    const latency = (500 + this.#rng.exponential(3000)) * machine.disk.settings.slowFactor;
    const target = { slot: machine.slot, boot: machine.boot, label: "snapshotDirectory" };
    this.#host.queue.call(this.#host.queue.now + latency, target, () => {
      this.#written(machine, snapshot, state);
      answer(true);
    });
  }

  #begin(machine: Machine, send: SnapshotSend): void {
    const to = this.#host.slotOf(send.to);
    const outgoing: Outgoing = { send, to, frames: [], next: 0, connects: 0 };
    this.#outgoing.set(send.stream, outgoing);
    const target = { slot: machine.slot, boot: machine.boot, label: "snapshotView" };
    this.#host.queue.call(this.#host.queue.now + 200 + this.#rng.exponential(500), target, () => {
      const member = machine.process?.member;
      if (member === undefined || !this.#outgoing.has(send.stream)) return;
      const view = machine.backend.view();
      const { index, term, conf } = view;
      const header = { stream: send.stream, from: machine.id, to: send.to, term: send.term };
      outgoing.frames = [...cutSnapshot(header, view, this.#chunkBytes)].map(encodeSnapshotFrame);
      this.#host.observer.opened(machine);
      member.snapshotOpened(machine.now, send.stream, { index, term, conf });
      machine.pump("snapshotOpened");
      this.#sendNext(machine, outgoing);
    });
  }

  #sendNext(machine: Machine, outgoing: Outgoing): void {
    const { stream } = outgoing.send;
    if (this.#outgoing.get(stream) !== outgoing) return;
    const frame = outgoing.frames[outgoing.next];
    // All sent: the answer of the receiver, or the member's own time limit, ends the stream.
    if (frame === undefined) return;
    const { slot, boot } = machine;
    const { network, queue } = this.#host;
    const sent = network.sendFrame(slot, outgoing.to, frame, (bytes) => {
      const receiver = this.#host.machineAt(outgoing.to);
      const streams = receiver.streams;
      if (!(streams instanceof MachineStreams)) return;
      streams.frameArrived(receiver, slot, bytes, (ok) => {
        network.answerStream(slot, boot, outgoing.to, () => this.#end(machine, outgoing, ok));
      });
    });
    let pause = 50 + this.#rng.exponential(100);
    if (sent) outgoing.next++;
    else if (outgoing.next > 0 || ++outgoing.connects > MAX_CONNECTS) {
      this.#end(machine, outgoing, false);
      return;
    } else pause = CONNECT_RETRY_US;
    queue.call(queue.now + pause, { slot, boot, label: "nextFrame" }, () =>
      this.#sendNext(machine, outgoing),
    );
    if (sent) this.#host.snapshotMoment(machine, "sending");
  }

  #end(machine: Machine, outgoing: Outgoing, ok: boolean): void {
    const { stream } = outgoing.send;
    if (this.#outgoing.get(stream) !== outgoing) return;
    this.#outgoing.delete(stream);
    this.#host.observer.streamEnded(ok);
    machine.process?.member.snapshotSent(machine.now, stream, ok);
    machine.pump("snapshotSent");
  }

  #written(
    machine: Machine,
    snapshot: { from: bigint; to: bigint; term: number; meta: SnapshotMeta },
    state: BackendState,
  ): void {
    const member = machine.process?.member;
    if (member === undefined) return;
    const { index } = snapshot.meta;
    // The directory of that name may be complete already, from a stream before; states of one index are equal.
    if (!machine.backend.has(index)) machine.backend.writeDirectory(state);
    this.#host.observer.received(machine, index);
    member.snapshotReceived(machine.now, snapshot);
    machine.pump("snapshotReceived");
    this.#host.snapshotMoment(machine, "written");
  }

  #install(machine: Machine, meta: SnapshotMeta): void {
    if (!machine.backend.select(meta)) {
      violate("state-directory-present", `member ${machine.slot}: no directory for snapshot ${meta.index}`);
    }
    const target = { slot: machine.slot, boot: machine.boot, label: "stateLoaded" };
    // Not within the input that made the record durable: its other effects are still to be carried out.
    this.#host.queue.call(this.#host.queue.now + RECORDED_US, { ...target, label: "recorded" }, () =>
      this.#host.snapshotMoment(machine, "recorded"),
    );
    this.#host.queue.call(this.#host.queue.now + 300 + this.#rng.exponential(2000), target, () => {
      const member = machine.process?.member;
      if (member === undefined) return;
      this.#host.observer.installed(machine, this.#host.isWatched(machine.slot));
      member.snapshotInstalled(machine.now, machine.backend.view(), machine.backend.reader());
      machine.pump("snapshotInstalled");
    });
  }
}
