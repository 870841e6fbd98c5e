/**
 * The clock port of what drives a member: time, timers, and giving way to other events. The synchronous core never sees
 * it; it gets `now` as an argument.
 */
import type { MonoMs } from "./ports.ts";

/** Takes a timer back. Idempotent, and without effect once it has run. */
export type Cancel = () => void;

export interface Clock {
  /** Monotonic; read it after an input's bytes were read, never before (DESIGN §4). */
  now(): MonoMs;
  /**
   * Calls `run` once, not before `when` and never before the caller has returned; `when` in the past means soon.
   * Infinity: never. It may come late, as any timer does.
   */
  wakeAt(when: MonoMs, run: () => void): Cancel;
  /** Resolves when other events (sockets, disks, timers) have had their turn. */
  giveWay(): Promise<void>;
}
