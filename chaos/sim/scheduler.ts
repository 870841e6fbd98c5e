/**
 * The event queue of the simulated world: a binary heap on (time, sequence). Time is world time in integer
 * microseconds; events of one instant leave in the order in which they were pushed, so a run has one order.
 */
import type { Answer, Request } from "../../src/member/types.ts";

/** Something that happens to one process of one member; it is dropped when that process is gone. */
interface MemberTarget {
  time: number;
  sequence: number;
  /** The machine, 0-based; -1: the world itself. */
  readonly slot: number;
  /** The process of that machine that the event is for; -1: any. */
  readonly boot: number;
}

export interface WakeEvent extends MemberTarget {
  readonly kind: "wake";
}

export interface MessageEvent extends MemberTarget {
  readonly kind: "message";
  readonly from: number;
  readonly bytes: Uint8Array;
  /** Incarnation of the connection; a connection that broke delivers nothing more. */
  readonly connection: number;
  /** What the injector did to the bytes: 0 nothing, else a kind of forgery (garbage.ts). */
  readonly forged: number;
}

export interface LogDoneEvent extends MemberTarget {
  readonly kind: "logDone";
  readonly list: number;
}

export interface BackendDoneEvent extends MemberTarget {
  readonly kind: "backendDone";
}

export interface RequestEvent extends MemberTarget {
  readonly kind: "request";
  readonly id: number;
  readonly request: Request;
}

export interface AnswerEvent extends MemberTarget {
  readonly kind: "answer";
  readonly answer: Answer;
}

/** A client's turn: `operation` is the number of the operation that it is about. */
export interface ClientEvent extends MemberTarget {
  readonly kind: "client";
  readonly client: number;
  readonly operation: number;
  readonly step: "begin" | "timeout";
}

/** Everything rare: faults, operator, connects, snapshot streams, process starts. */
export interface CallEvent extends MemberTarget {
  readonly kind: "call";
  /** Named in the timeline and mixed into the trace. */
  readonly label: string;
  readonly run: () => void;
}

export type SimEvent =
  | WakeEvent
  | MessageEvent
  | LogDoneEvent
  | BackendDoneEvent
  | RequestEvent
  | AnswerEvent
  | ClientEvent
  | CallEvent;

/** Pending events in order. Invariant: no event leaves with a time before the one that left last. */
export class EventQueue {
  readonly #items: SimEvent[] = [];
  #sequence = 0;
  #now = 0;

  /** World time in microseconds: that of the event that left last. */
  get now(): number {
    return this.#now;
  }

  get size(): number {
    return this.#items.length;
  }

  /** Time of the next event, or Infinity. */
  get nextTime(): number {
    return this.#items[0]?.time ?? Number.POSITIVE_INFINITY;
  }

  /** Adds an event at `time`, or now if that is in the past. The event object belongs to the queue from here on. */
  push(time: number, event: SimEvent): void {
    event.time = Math.max(time, this.#now);
    event.sequence = ++this.#sequence;
    const items = this.#items;
    let at = items.length;
    items.push(event);
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = items[up] as SimEvent;
      if (!isBefore(event, parent)) break;
      items[at] = parent;
      at = up;
    }
    items[at] = event;
  }

  /** A rare event as a function. @param boot -1: whatever process runs then. */
  call(time: number, target: { slot: number; boot: number; label: string }, run: () => void): void {
    const { slot, boot, label } = target;
    this.push(time, { time: 0, sequence: 0, slot, boot, kind: "call", label, run });
  }

  /** Removes the first event and moves the time to it. */
  pop(): SimEvent | undefined {
    const items = this.#items;
    const first = items[0];
    if (first === undefined) return undefined;
    this.#now = first.time;
    const last = items.pop() as SimEvent;
    if (items.length > 0) this.#sink(last);
    return first;
  }

  /** Moves the time forward to `time` when nothing is due before. */
  advance(time: number): void {
    if (time > this.#now && time <= this.nextTime) this.#now = time;
  }

  #sink(last: SimEvent): void {
    const items = this.#items;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= items.length) break;
      const right = child + 1;
      if (right < items.length && isBefore(items[right] as SimEvent, items[child] as SimEvent)) child = right;
      const next = items[child] as SimEvent;
      if (!isBefore(next, last)) break;
      items[at] = next;
      at = child;
    }
    items[at] = last;
  }
}

function isBefore(a: SimEvent, b: SimEvent): boolean {
  return a.time < b.time || (a.time === b.time && a.sequence < b.sequence);
}
