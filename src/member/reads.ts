/**
 * Reads that take more than one go: large ranges and hashes. They advance a slice per input and are pinned against
 * compaction meanwhile; what is written between two slices does not show in them.
 *
 * A snapshot that replaces the state takes the ground from under them: they begin again on the new one, which is newer,
 * so for a linearizable read as good.
 */
import type { AppliedState } from "../apply/index.ts";
import { ERR, fail, type KvError } from "../base/index.ts";
import type { MonoMs } from "../env/index.ts";
import type { Answer, Request } from "./types.ts";

export type SlicedRequest = Extract<Request, { type: "read" | "hashKv" }>;

/** A read that goes on; `step` returns its answer at the end. */
interface Job {
  readonly id: number;
  readonly request: SlicedRequest;
  readonly deadline: MonoMs;
  work: Work;
}

interface Work {
  step(budget: number): Answer | DamagedRead | undefined;
  cancel(): void;
}

/** A record that the read rests on is damaged: the member must stop, and the read is not answered yet. */
export interface DamagedRead {
  readonly type: "fatal";
  readonly id: number;
  readonly reason: string;
}

/** How a read came out, or that it goes on. */
export type Read = Answer | DamagedRead | { readonly type: "later" };

/** Reads under way. Bounded by whoever adds: they count against the member's limit of requests. */
export class PendingReads {
  readonly #slice: number;
  #jobs: Job[] = [];

  /** @param slice units of work (`mvcc/work.ts`) that one call does, over all reads together */
  constructor(slice: number) {
    this.#slice = slice;
  }

  get size(): number {
    return this.#jobs.length;
  }

  /** Does the first slice at once; most reads are over with it. */
  start(state: AppliedState, id: number, request: SlicedRequest, deadline: MonoMs): Read {
    const work = workOf(state, id, request);
    const answer = work.step(this.#slice);
    if (answer !== undefined) return answer;
    this.#jobs.push({ id, request, deadline, work });
    return { type: "later" };
  }

  /** The next slice, of the read that has waited longest. undefined: it goes on, or there is none. */
  step(): Exclude<Read, { type: "later" }> | undefined {
    const job = this.#jobs.shift();
    if (job === undefined) return undefined;
    const answer = job.work.step(this.#slice);
    if (answer === undefined) this.#jobs.push(job);
    return answer;
  }

  /** The state was replaced. */
  restart(state: AppliedState): void {
    for (const job of this.#jobs) {
      job.work.cancel();
      job.work = workOf(state, job.id, job.request);
    }
  }

  /** Gives up what takes too long: a read has no effect, so that is a refusal. */
  expire(now: MonoMs): Answer[] {
    return this.#giveUp((job) => job.deadline <= now, ERR.timeout);
  }

  drain(error: KvError): Answer[] {
    return this.#giveUp(() => true, error);
  }

  #giveUp(isDue: (job: Job) => boolean, error: KvError): Answer[] {
    const due = this.#jobs.filter(isDue);
    if (due.length === 0) return due as never[];
    this.#jobs = this.#jobs.filter((job) => !isDue(job));
    return due.map((job) => {
      job.work.cancel();
      return { type: "refused", id: job.id, error };
    });
  }
}

function workOf(state: AppliedState, id: number, request: SlicedRequest): Work {
  return request.type === "hashKv"
    ? hashWork(state, id, request.revision)
    : readWork(state, id, request.read);
}

function readWork(
  state: AppliedState,
  id: number,
  read: Extract<SlicedRequest, { type: "read" }>["read"],
): Work {
  const { kv, index } = state;
  const job = read.type === "range" ? kv.startRange(read) : kv.startReadTxn(read);
  return {
    step: (budget) => {
      if (!job.step(budget)) return undefined;
      const outcome = job.outcome ?? fail("a read ended without an outcome", { id });
      switch (outcome.type) {
        case "done":
          return { type: "done", id, index, revision: outcome.revision, response: outcome.response };
        case "refused":
          return { type: "refused", id, error: outcome.error };
        case "fatal":
          return { ...outcome, id };
      }
    },
    cancel: () => job.cancel(),
  };
}

function hashWork(state: AppliedState, id: number, revision: number): Work {
  const { store } = state.kv;
  const job = store.startHash(revision);
  const headerRevision = store.revision;
  return {
    step: (budget) => {
      if ("message" in job) return { type: "refused", id, error: job };
      if (job.step(budget)) return undefined;
      const result = job.result ?? fail("a hash ended without a result", { id });
      if (result.type === "damaged") {
        return { type: "fatal", id, reason: `record ${result.record} is damaged: ${result.reason}` };
      }
      return { ...result, id, revision: headerRevision };
    },
    cancel: () => {
      if (!("message" in job)) job.cancel();
    },
  };
}
