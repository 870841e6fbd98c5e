/** Effects as they gather during an input, until the driver takes them. */
import { fail } from "../base/index.ts";
import type { BackendBatch, PersistBatch } from "../env/index.ts";
import type { Message, SnapshotMeta } from "../raft/index.ts";
import type { Answer, Effects, SnapshotSend } from "./types.ts";

type Refused = Effects["refused"][number];

const NONE: readonly never[] = [];

export class EffectsBuffer {
  #persist: PersistBatch | undefined;
  #backend: BackendBatch | undefined;
  #installSnapshot: SnapshotMeta | undefined;
  #releaseLog: number | undefined;
  #fatal: string | undefined;
  #messages: Message[] = [];
  #answers: Answer[] = [];
  #snapshotSends: SnapshotSend[] = [];
  #snapshotStops: number[] = [];
  #discardSnapshots: SnapshotMeta[] = [];
  #refused: Refused[] = [];

  set persist(batch: PersistBatch) {
    // Each is one in flight, so a second one before the first was even taken is a bug of the member.
    if (this.#persist !== undefined) fail("two persist batches", { seq: batch.seq });
    this.#persist = batch;
  }

  set backend(batch: BackendBatch) {
    if (this.#backend !== undefined) fail("two backend batches", { seq: batch.seq });
    this.#backend = batch;
  }

  set installSnapshot(meta: SnapshotMeta) {
    this.#installSnapshot = meta;
  }

  set releaseLog(index: number) {
    if (this.#releaseLog === undefined || index > this.#releaseLog) this.#releaseLog = index;
  }

  addMessages(messages: readonly Message[]): void {
    if (messages.length === 0) return;
    // Most inputs yield one list: keep it instead of copying it.
    if (this.#messages.length === 0) this.#messages = messages as Message[];
    else this.#messages = this.#messages.concat(messages);
  }

  answer(answer: Answer): void {
    this.#answers.push(answer);
  }

  answerAll(answers: readonly Answer[]): void {
    for (const answer of answers) this.#answers.push(answer);
  }

  sendSnapshot(send: SnapshotSend): void {
    this.#snapshotSends.push(send);
  }

  stopSnapshot(stream: number): void {
    this.#snapshotStops.push(stream);
  }

  discardSnapshot(meta: SnapshotMeta): void {
    this.#discardSnapshots.push(meta);
  }

  refuse(refused: Refused): void {
    this.#refused.push(refused);
  }

  /**
   * The member cannot go on. Nothing that was not taken yet may leave any more: what it says may rest on what went
   * wrong. Answers are kept, they were right when they were given.
   */
  fail(reason: string): void {
    const answers = this.#answers;
    this.#reset();
    this.#answers = answers;
    this.#fatal = reason;
  }

  /** Hands out everything and starts anew. `fatal` stays. */
  take(): Effects {
    const effects: Effects = {
      persist: this.#persist,
      messages: heartbeatsFirst(this.#messages),
      backend: this.#backend,
      answers: this.#answers.length === 0 ? NONE : this.#answers,
      snapshotSends: this.#snapshotSends.length === 0 ? NONE : this.#snapshotSends,
      snapshotStops: this.#snapshotStops.length === 0 ? NONE : this.#snapshotStops,
      installSnapshot: this.#installSnapshot,
      discardSnapshots: this.#discardSnapshots.length === 0 ? NONE : this.#discardSnapshots,
      releaseLog: this.#releaseLog,
      refused: this.#refused.length === 0 ? NONE : this.#refused,
      fatal: this.#fatal,
    };
    this.#reset();
    return effects;
  }

  /** New arrays only for what was handed out with something in it: this runs after every input. */
  #reset(): void {
    this.#persist = undefined;
    this.#backend = undefined;
    this.#installSnapshot = undefined;
    this.#releaseLog = undefined;
    if (this.#messages.length > 0) this.#messages = [];
    if (this.#answers.length > 0) this.#answers = [];
    if (this.#snapshotSends.length > 0) this.#snapshotSends = [];
    if (this.#snapshotStops.length > 0) this.#snapshotStops = [];
    if (this.#discardSnapshots.length > 0) this.#discardSnapshots = [];
    if (this.#refused.length > 0) this.#refused = [];
  }
}

/**
 * A heartbeat that waits behind a megabyte of entries to the same peer costs an election. Moving it ahead is harmless:
 * it carries no entries, and consensus assumes no order between messages.
 */
function heartbeatsFirst(messages: readonly Message[]): readonly Message[] {
  if (messages.length < 2) return messages;
  let seenOther = false;
  let isMixed = false;
  for (const message of messages) {
    if (message.type !== "heartbeat") seenOther = true;
    else if (seenOther) isMixed = true;
  }
  if (!isMixed) return messages;
  return [
    ...messages.filter((message) => message.type === "heartbeat"),
    ...messages.filter((message) => message.type !== "heartbeat"),
  ];
}
