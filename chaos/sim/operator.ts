/**
 * The operator: membership churn through the member's own requests, one job after another. Dead members are replaced
 * under new identities; members come as learners and are promoted when they are caught up.
 *
 * It never takes the cluster's majority away: after each change a majority of the voters must still have their data.
 * So every loss that the judges find is a defect.
 */
import type { MemberId } from "../../src/base/index.ts";
import type { Answer, Request } from "../../src/member/types.ts";
import type { ConfChange, ConfState } from "../../src/raft/types.ts";
import type { Machine } from "./machine.ts";
import { addressOf } from "./members.ts";
import type { EventQueue } from "./scheduler.ts";
import type { Sometimes } from "./sometimes.ts";

/** Request identities of the operator; clients' lie below. */
export const OPERATOR_REQUESTS = 1_000_000_000;

const RETRY_US = 200_000;
const ANSWER_TIMEOUT_US = 2_500_000;
/** Attempts for one change; a learner may need long to catch up. */
const MAX_ATTEMPTS = 40;
/** Most voters that the operator builds up to. */
const MAX_VOTERS = 7;
/** Jobs that may wait; a fault that asks for more is dropped. */
const MAX_JOBS = 4;

export type Job =
  | { readonly type: "join"; readonly promote: boolean }
  | { readonly type: "remove"; readonly slot: number }
  | { readonly type: "replace"; readonly slot: number }
  /** Takes `out` from the voters and makes `demote` a learner, in one joint change, after a new member joined. */
  | { readonly type: "joint"; readonly out: number; readonly demote: boolean }
  | { readonly type: "lease"; readonly leaseMs: number };

/** What the operator needs of the world. */
export interface OperatorHost {
  readonly queue: EventQueue;
  readonly sometimes: Sometimes;
  /** The running leader of the highest term. */
  leader(): Machine | undefined;
  machineAt(slot: number): Machine;
  slotOf(id: MemberId): number;
  /** Its data is gone or unusable for ever. */
  isLost(slot: number): boolean;
  /** A new, running machine that joins; undefined: there is no room for one more. */
  addMachine(): Machine | undefined;
  /** Turns a machine off for ever, some time from now. */
  retire(slot: number): void;
  submit(slot: number, id: number, request: Request, at: number): void;
  /** A machine is up that lost its data and has its old identity: nothing else may change. */
  isWipedUp(): boolean;
  note(text: string): void;
}

interface Change {
  readonly change: ConfChange;
  readonly isDone: (conf: ConfState) => boolean;
  /** Whether the cluster survives it, judged on the leader's configuration. */
  readonly isSafe: (conf: ConfState) => boolean;
}

/** Works through its jobs. Invariant: at most one request of it is in flight. */
export class Operator {
  readonly #host: OperatorHost;
  readonly #jobs: Job[] = [];
  #busy = false;
  #cancelled = false;
  #lastRequest = OPERATOR_REQUESTS;
  #waiting: { readonly id: number; readonly proceed: () => void } | undefined;
  /** The last change that was asked for, until it is seen in force: it may come into force at any time. */
  #asked: Change | undefined;
  /** A member that is taken for lost while a change is judged; -1: none. */
  #supposed = -1;

  constructor(host: OperatorHost) {
    this.#host = host;
  }

  get busy(): boolean {
    return this.#busy || this.#jobs.length > 0;
  }

  /**
   * Whether most voters would still have their data if this member lost its own, also with the change in force that was
   * asked for last: an operator cannot know of a loss that comes right behind his request.
   */
  survivesLoss(conf: ConfState, slot: number): boolean {
    this.#supposed = slot;
    const survives = this.#asked === undefined || this.#asked.isDone(conf) || this.#asked.isSafe(conf);
    this.#supposed = -1;
    return survives;
  }

  /** Takes a job; false when too many wait. Replacements always find room. */
  enqueue(job: Job): boolean {
    if (this.#cancelled || (job.type !== "replace" && this.#jobs.length >= MAX_JOBS)) return false;
    this.#jobs.push(job);
    this.#next();
    return true;
  }

  /** Nothing new is begun, and what is under way is not continued. */
  cancel(): void {
    this.#cancelled = true;
    this.#jobs.length = 0;
  }

  /** Asks the leader to hand over; nobody waits for the outcome. */
  transfer(to: MemberId): boolean {
    const leader = this.#host.leader();
    if (leader === undefined) return false;
    const id = ++this.#lastRequest;
    this.#host.submit(leader.slot, id, { type: "transferLeader", to }, this.#host.queue.now + 100);
    return true;
  }

  /** Has a member listen for its peers elsewhere; nobody waits for the outcome. */
  move(member: MemberId, address: string): void {
    const leader = this.#host.leader();
    if (leader === undefined || this.#cancelled) return;
    const request: Request = { type: "updateMember", member, peerUrls: [address] };
    this.#host.submit(leader.slot, ++this.#lastRequest, request, this.#host.queue.now + 100);
  }

  /**
   * A second operator, who knows nothing of the first and does not wait: two changes at once, of which one must be
   * refused. They change the lease only, so whichever is taken, no majority is at risk.
   */
  interfere(leaseMs: number): boolean {
    const leader = this.#host.leader();
    if (leader === undefined || this.#cancelled) return false;
    for (const ms of [leaseMs, leaseMs + 1]) {
      const request: Request = { type: "changeMembers", change: leaseChange(ms).change };
      this.#host.submit(leader.slot, ++this.#lastRequest, request, this.#host.queue.now + 100);
    }
    return true;
  }

  answered(answer: Answer): void {
    const waiting = this.#waiting;
    if (waiting === undefined || waiting.id !== answer.id) return;
    this.#waiting = undefined;
    waiting.proceed();
  }

  #next(): void {
    if (this.#busy || this.#cancelled) return;
    const job = this.#jobs.shift();
    if (job === undefined) return;
    this.#busy = true;
    const { queue } = this.#host;
    queue.call(queue.now + 50_000, { slot: -1, boot: -1, label: "operator" }, () => this.#start(job));
  }

  #start(job: Job): void {
    if (this.#cancelled) return;
    if (this.#host.isWipedUp()) {
      this.#later(() => this.#start(job));
      return;
    }
    this.#host.note(`operator: ${job.type}`);
    const done = (): void => {
      this.#busy = false;
      this.#next();
    };
    switch (job.type) {
      case "join":
        this.#join(job.promote, done);
        return;
      case "remove":
        this.#remove(job.slot, done);
        return;
      case "replace":
        this.#remove(job.slot, (removed) => {
          if (!removed) done();
          else {
            this.#join(true, (joined) => {
              if (joined) this.#host.sometimes.reached("dead member replaced");
              done();
            });
          }
        });
        return;
      case "joint":
        this.#joint(job.out, job.demote, done);
        return;
      case "lease":
        this.#attempt(leaseChange(job.leaseMs), MAX_ATTEMPTS, done);
        return;
    }
  }

  #join(promote: boolean, done: (ok: boolean) => void): void {
    const leader = this.#host.leader();
    const voters = leader?.status?.conf.voters.length ?? MAX_VOTERS;
    const machine = voters < MAX_VOTERS ? this.#host.addMachine() : undefined;
    if (machine === undefined) {
      done(false);
      return;
    }
    const { id } = machine;
    this.#attempt(addLearner(id), MAX_ATTEMPTS, (added) => {
      if (!added || !promote) done(added);
      else
        this.#attempt(
          promotion(id, (conf) => this.#keepsMajority(conf, id, undefined)),
          MAX_ATTEMPTS,
          done,
        );
    });
  }

  #remove(slot: number, done: (ok: boolean) => void): void {
    const { id } = this.#host.machineAt(slot);
    const removal: Change = {
      change: { joint: false, steps: [{ type: "remove", id }], leaseMs: undefined },
      isDone: (conf) => !isAnywhere(conf, id),
      isSafe: (conf) => this.#keepsMajority(conf, undefined, id),
    };
    this.#attempt(removal, MAX_ATTEMPTS, (removed) => {
      if (removed) this.#host.retire(slot);
      done(removed);
    });
  }

  /** A learner comes in, a voter goes out or becomes a learner, in one joint change. */
  #joint(out: number, demote: boolean, done: (ok: boolean) => void): void {
    const machine = this.#host.addMachine();
    if (machine === undefined) {
      done(false);
      return;
    }
    const leaving = this.#host.machineAt(out).id;
    const coming = machine.id;
    this.#attempt(addLearner(coming), MAX_ATTEMPTS, (added) => {
      if (!added) {
        done(false);
        return;
      }
      const steps = [
        { type: "addVoter", id: coming } as const,
        { type: demote ? "addLearner" : "remove", id: leaving } as const,
      ];
      const swap: Change = {
        change: { joint: true, steps, leaseMs: undefined },
        isDone: (conf) =>
          conf.votersOutgoing.length === 0 && conf.voters.includes(coming) && !conf.voters.includes(leaving),
        isSafe: (conf) => conf.voters.includes(leaving) && this.#keepsMajority(conf, coming, leaving),
      };
      this.#attempt(swap, MAX_ATTEMPTS, (swapped) => {
        if (swapped && !demote) this.#host.retire(out);
        done(swapped);
      });
    });
  }

  /** Repeats a change at whoever leads until it shows in the leader's configuration. */
  #attempt(change: Change, attempts: number, done: (ok: boolean) => void): void {
    if (this.#cancelled) return;
    const { queue } = this.#host;
    const again = (): void => this.#later(() => this.#attempt(change, attempts - 1, done));
    if (attempts <= 0) {
      done(false);
      return;
    }
    const leader = this.#host.leader();
    const conf = leader?.status?.conf;
    if (leader === undefined || conf === undefined) {
      again();
      return;
    }
    if (change.isDone(conf)) {
      done(true);
      return;
    }
    if (!change.isSafe(conf)) {
      done(false);
      return;
    }
    const id = ++this.#lastRequest;
    this.#asked = change;
    this.#waiting = { id, proceed: again };
    const submitted = queue.now + 200;
    this.#host.submit(leader.slot, id, { type: "changeMembers", change: change.change }, submitted);
    queue.call(queue.now + ANSWER_TIMEOUT_US, { slot: -1, boot: -1, label: "operatorTimeout" }, () => {
      if (this.#waiting?.id !== id) return;
      this.#waiting = undefined;
      again();
    });
  }

  #later(run: () => void): void {
    const { queue } = this.#host;
    queue.call(queue.now + RETRY_US, { slot: -1, boot: -1, label: "operator" }, run);
  }

  /** Whether, with one more voter and one less, most voters still have their data. */
  #keepsMajority(conf: ConfState, more: MemberId | undefined, less: MemberId | undefined): boolean {
    const voters = conf.voters.filter((id) => id !== less && id !== more);
    if (more !== undefined) voters.push(more);
    const intact = voters.filter((id) => {
      const slot = this.#host.slotOf(id);
      return slot !== this.#supposed && !this.#host.isLost(slot);
    });
    return intact.length * 2 > voters.length;
  }
}

function addLearner(id: MemberId): Change {
  return {
    change: {
      joint: false,
      steps: [{ type: "addLearner", id, peerUrls: [addressOf(id)] }],
      leaseMs: undefined,
    },
    isDone: (conf) => isAnywhere(conf, id),
    isSafe: () => true,
  };
}

function promotion(id: MemberId, isSafe: (conf: ConfState) => boolean): Change {
  return {
    change: { joint: false, steps: [{ type: "addVoter", id }], leaseMs: undefined },
    isDone: (conf) => conf.voters.includes(id),
    isSafe,
  };
}

function leaseChange(leaseMs: number): Change {
  return {
    change: { joint: false, steps: [], leaseMs },
    isDone: (conf) => conf.leaseMs === leaseMs,
    isSafe: () => true,
  };
}

function isAnywhere(conf: ConfState, id: MemberId): boolean {
  return conf.voters.includes(id) || conf.votersOutgoing.includes(id) || conf.learners.includes(id);
}
