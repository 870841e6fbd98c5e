/**
 * A snapshot that comes in: checked frame by frame and written away as it comes, into a directory of its own. The
 * member hears of it when that directory is complete and durable, and not before: what it then writes into its log
 * names the directory.
 *
 * One at a time; a new stream takes the place of the one before, whose sender is gone or will be told.
 */
import { AssertionError, type MemberId, unreachable } from "../base/index.ts";
import type { BackendRecord, Logger, ReceivingState, SnapshotTaker } from "../env/index.ts";
import { type ReceivedSnapshot, SnapshotChecker } from "../member/index.ts";
import type { SnapshotFrame } from "../pb/index.ts";
import type { States } from "./states.ts";
import { takerFields } from "./words.ts";

type Begin = Extract<SnapshotFrame, { type: "begin" }>;
type Verdict = "more" | "done" | "refused";

export interface IncomingEvents {
  snapshotReceived(snapshot: ReceivedSnapshot): void;
  /** A bug showed while a snapshot came in. What the disk or the sender did wrong only ends the stream. */
  programFailed(error: AssertionError): void;
}

interface Deps {
  readonly states: States;
  readonly events: IncomingEvents;
  readonly log: Logger;
}

/** A stream for a member that takes none. */
export const REFUSING: SnapshotTaker = { take: async () => "refused", gone: () => undefined };

export class SnapshotIn {
  readonly #self: MemberId;
  readonly #deps: Deps;
  #current: Incoming | undefined;

  constructor(self: MemberId, deps: Deps) {
    this.#self = self;
    this.#deps = deps;
  }

  /** A stream begins. */
  open(from: MemberId): SnapshotTaker {
    const before = this.#current;
    before?.gone();
    this.#current = new Incoming({ self: this.#self, from, after: before?.ended }, this.#deps);
    return this.#current;
  }

  /** Gives up what is under way; resolves when its directory is gone, or complete and named by nothing. */
  async stop(): Promise<void> {
    this.#current?.gone();
    await this.#current?.ended;
  }
}

class Incoming implements SnapshotTaker {
  /** Resolves when nothing of it is under way any more. */
  readonly ended: Promise<void>;
  readonly #deps: Deps;
  readonly #from: MemberId;
  readonly #after: Promise<void> | undefined;
  readonly #checker: SnapshotChecker;
  #markEnded: () => void = () => undefined;
  #release: (() => void) | undefined;
  /** undefined: nothing to fill, because the directory is there already, or nothing any more. */
  #state: ReceivingState | undefined;
  #isTaking = false;
  #isOver = false;

  constructor(
    start: {
      readonly self: MemberId;
      readonly from: MemberId;
      /** The end of the stream before. */
      readonly after: Promise<void> | undefined;
    },
    deps: Deps,
  ) {
    this.#deps = deps;
    this.#from = start.from;
    this.#after = start.after;
    this.#checker = new SnapshotChecker(start.self);
    this.ended = new Promise((resolve) => {
      this.#markEnded = resolve;
    });
  }

  async take(frame: SnapshotFrame): Promise<Verdict> {
    if (this.#isOver || this.#isTaking) return "refused";
    this.#isTaking = true;
    let verdict: Verdict;
    try {
      verdict = await this.#take(frame);
    } catch (error) {
      this.#note(error, "snapshot cannot be written");
      verdict = "refused";
    }
    this.#isTaking = false;
    if (verdict === "more" && !this.#isOver) return "more";
    this.#isOver = true;
    await this.#end();
    return verdict === "more" ? "refused" : verdict;
  }

  gone(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    // What is being taken ends first, and then cleans up.
    if (!this.#isTaking) void this.#end();
  }

  async #take(frame: SnapshotFrame): Promise<Verdict> {
    const checked = this.#checker.check(frame);
    if (checked.type === "refused") {
      this.#deps.log.warn(takerFields(this.#from, checked.reason), "snapshot refused");
      return "refused";
    }
    switch (frame.type) {
      case "begin":
        await this.#begin(frame);
        return "more";
      case "chunk":
        return await this.#add(frame.records);
      case "end":
        return checked.type === "complete" ? await this.#complete(checked.begin) : "refused";
      default:
        return unreachable(frame);
    }
  }

  async #begin({ meta }: Begin): Promise<void> {
    await this.#after;
    this.#release = await this.#deps.states.hold();
    // States of one index are equal. This one may be in use, or about to be: it must not be replaced.
    if (this.#isOver || this.#deps.states.isComplete(meta.index)) return;
    this.#state = await this.#deps.states.receive(meta.index);
  }

  async #add(records: readonly BackendRecord[]): Promise<Verdict> {
    for (const [name] of records) {
      // Every record of the state begins with a letter; a backend keeps its own under other names.
      if (/^[a-z]/.test(name)) continue;
      this.#deps.log.warn(takerFields(this.#from, "a record of an unknown kind"), "snapshot refused");
      return "refused";
    }
    await this.#state?.add(records);
    return "more";
  }

  async #complete({ from, to, term, meta }: Begin): Promise<Verdict> {
    const state = this.#state;
    if (state !== undefined) {
      await state.complete(meta);
      this.#state = undefined;
      this.#deps.states.noteComplete(meta.index);
    }
    this.#deps.events.snapshotReceived({ from, to, term, meta });
    return "done";
  }

  async #end(): Promise<void> {
    const state = this.#state;
    this.#state = undefined;
    try {
      await state?.discard();
    } catch (error) {
      this.#note(error, "a partial snapshot stays until the next one");
    }
    this.#release?.();
    this.#markEnded();
  }

  #note(error: unknown, event: string): void {
    if (error instanceof AssertionError) this.#deps.events.programFailed(error);
    else this.#deps.log.warn(takerFields(this.#from, error), event);
  }
}
