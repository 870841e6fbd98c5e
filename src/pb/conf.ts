/**
 * Configurations of the cluster and changes of them, and the point of the log that a snapshot stands for.
 * Entries, snapshot frames, the log and the backend carry these bytes.
 */
import { fail, hex, LIMITS } from "../base/index.ts";
import type { ConfChange, ConfChangeStep, ConfState, SnapshotMeta } from "../raft/types.ts";
import { idProblem, positionProblem, uintProblem, urlsProblem } from "./check.ts";
import type { Decoded } from "./types.ts";
import {
  decodeWith,
  enter,
  leave,
  type Reader,
  Refusal,
  readFlag,
  readId,
  readIds,
  readTexts,
  readUint,
  refuseSecond,
  skipField,
} from "./wire-read.ts";
import {
  begin,
  finish,
  open,
  putFlag,
  putId,
  putIds,
  putPresentUint,
  putTexts,
  putUint,
  type Writer,
} from "./wire-write.ts";

/** A change may name every member twice: everybody out and as many others in. */
const MAX_STEPS = 2 * LIMITS.maxMembers;

/** Steps by their number on the wire; 0 is no step. */
const STEP_TYPES = [undefined, "addVoter", "addLearner", "remove"] as const;

/** @throws AssertionError when the configuration breaks an invariant of ConfState */
export function encodeConfState(conf: ConfState): Uint8Array {
  const problem = confStateProblem(conf);
  if (problem !== undefined) fail(`cannot encode conf state: ${problem}`);
  const w = begin();
  writeConfState(w, conf);
  return finish(w, "conf state", LIMITS.maxEntryBytes);
}

/** Refuses what breaks an invariant of ConfState. No bytes are the empty configuration. */
export function decodeConfState(bytes: Uint8Array): Decoded<ConfState> {
  return decodeWith("conf state", bytes, LIMITS.maxEntryBytes, readConfState, confStateProblem);
}

/** The fields of a configuration, into a message that is open. */
export function writeConfState(w: Writer, conf: ConfState): void {
  putIds(w, 1, conf.voters);
  putIds(w, 2, conf.votersOutgoing);
  putIds(w, 3, conf.learners);
  putIds(w, 4, conf.learnersNext);
  putUint(w, 5, conf.leaseMs);
}

/** The fields of a configuration up to the reader's end; `confStateProblem` is still to be asked. */
export function readConfState(r: Reader): ConfState {
  const voters: bigint[] = [];
  const votersOutgoing: bigint[] = [];
  const learners: bigint[] = [];
  const learnersNext: bigint[] = [];
  let leaseMs = 0;
  while (r.pos < r.len) {
    const tag = r.tag();
    switch (tag >>> 3) {
      case 1:
        readIds(r, tag, "voters", voters, LIMITS.maxMembers);
        break;
      case 2:
        readIds(r, tag, "votersOutgoing", votersOutgoing, LIMITS.maxMembers);
        break;
      case 3:
        readIds(r, tag, "learners", learners, LIMITS.maxMembers);
        break;
      case 4:
        readIds(r, tag, "learnersNext", learnersNext, LIMITS.maxMembers);
        break;
      case 5:
        leaseMs = readUint(r, tag, "leaseMs");
        break;
      default:
        skipField(r, tag);
    }
  }
  return { voters, votersOutgoing, learners, learnersNext, leaseMs };
}

/** The invariant of ConfState that is broken, or undefined. */
export function confStateProblem(conf: ConfState): string | undefined {
  const { voters, votersOutgoing, learners, learnersNext } = conf;
  const listed =
    listProblem("voters", voters) ??
    listProblem("votersOutgoing", votersOutgoing) ??
    listProblem("learners", learners) ??
    listProblem("learnersNext", learnersNext) ??
    overlapProblem("voters", voters, "learners", learners) ??
    overlapProblem("votersOutgoing", votersOutgoing, "learners", learners) ??
    // Not said by ConfState but following from it: leaving would make the member voter and learner at once.
    overlapProblem("voters", voters, "learnersNext", learnersNext) ??
    uintProblem("leaseMs", conf.leaseMs, 0, LIMITS.maxLeaseMs);
  if (listed !== undefined) return listed;
  const stray = learnersNext.find((id) => !votersOutgoing.includes(id));
  if (stray !== undefined) return `learnersNext: member ${hex(stray)} is not in votersOutgoing`;
  const members = new Set([...voters, ...votersOutgoing, ...learners]).size;
  if (members > LIMITS.maxMembers) return `${members} members are more than ${LIMITS.maxMembers}`;
  return undefined;
}

/** Sorted lists are compared as they are; an unsorted one would make equal configurations differ on disk. */
function listProblem(what: string, ids: readonly bigint[]): string | undefined {
  let previous = 0n;
  for (const id of ids) {
    const problem = idProblem("member", id);
    if (problem !== undefined) return `${what}: ${problem}`;
    if (id <= previous) return `${what}: member ${hex(id)} does not come after ${hex(previous)}`;
    previous = id;
  }
  return undefined;
}

function overlapProblem(
  whatA: string,
  a: readonly bigint[],
  whatB: string,
  b: readonly bigint[],
): string | undefined {
  if (a.length === 0 || b.length === 0) return undefined;
  const both = a.find((id) => b.includes(id));
  return both === undefined ? undefined : `member ${hex(both)} is in ${whatA} and in ${whatB}`;
}

/**
 * Leaving the joint configuration has no bytes at all.
 * @throws AssertionError when the change breaks a rule of `confChangeProblem`; ask it before a change from
 *   outside
 */
export function encodeConfChange(change: ConfChange): Uint8Array {
  const problem = confChangeProblem(change);
  if (problem !== undefined) fail(`cannot encode conf change: ${problem}`);
  const w = begin();
  putFlag(w, 1, change.joint);
  for (const step of change.steps) {
    open(w, 2);
    putUint(w, 1, STEP_TYPES.indexOf(step.type));
    putId(w, 2, step.id);
    putTexts(w, 3, step.peerUrls ?? []);
    w.ldelim();
  }
  if (change.leaseMs !== undefined) putPresentUint(w, 3, change.leaseMs);
  return finish(w, "conf change", LIMITS.maxEntryBytes);
}

/** No bytes: leave the joint configuration. */
export function decodeConfChange(bytes: Uint8Array): Decoded<ConfChange> {
  return decodeWith("conf change", bytes, LIMITS.maxEntryBytes, readConfChange, confChangeProblem);
}

function readConfChange(r: Reader): ConfChange {
  const steps: ConfChangeStep[] = [];
  let joint = false;
  let leaseMs: number | undefined;
  while (r.pos < r.len) {
    const tag = r.tag();
    switch (tag >>> 3) {
      case 1:
        joint = readFlag(r, tag, "joint");
        break;
      case 2: {
        if (steps.length === MAX_STEPS) throw new Refusal(`more than ${MAX_STEPS} steps`);
        const outer = enter(r, tag, "step");
        steps.push(readStep(r));
        leave(r, outer);
        break;
      }
      case 3:
        leaseMs = readUint(r, tag, "leaseMs");
        break;
      default:
        skipField(r, tag);
    }
  }
  return { joint, steps, leaseMs };
}

function readStep(r: Reader): ConfChangeStep {
  let number = 0;
  let id = 0n;
  const peerUrls: string[] = [];
  while (r.pos < r.len) {
    const tag = r.tag();
    if (tag >>> 3 === 1) number = readUint(r, tag, "step type");
    else if (tag >>> 3 === 2) id = readId(r, tag, "step id");
    else if (tag >>> 3 === 3) readTexts(r, tag, "peerUrls", peerUrls, LIMITS.maxUrls);
    else skipField(r, tag);
  }
  const type = STEP_TYPES[number];
  if (type === undefined) throw new Refusal(`step type ${number} is unknown`);
  return peerUrls.length === 0 ? { type, id } : { type, id, peerUrls };
}

/**
 * The rule of form that a change breaks, or undefined. Whether it fits the configuration that it is applied
 * to is for the core to judge: here it is not known.
 */
export function confChangeProblem(change: ConfChange): string | undefined {
  const { joint, steps, leaseMs } = change;
  if (steps.length > MAX_STEPS) return `${steps.length} steps are more than ${MAX_STEPS}`;
  for (const step of steps) {
    const problem = idProblem("step id", step.id) ?? stepUrlsProblem(step);
    if (problem !== undefined) return problem;
  }
  if (joint && steps.length === 0) return "a joint change has no steps";
  if (leaseMs === undefined) return undefined;
  if (joint) return `a joint change has leaseMs ${leaseMs}`;
  return uintProblem("leaseMs", leaseMs, 0, LIMITS.maxLeaseMs);
}

function stepUrlsProblem({ type, peerUrls }: ConfChangeStep): string | undefined {
  if (peerUrls === undefined) return undefined;
  if (type === "remove") return "a removal has peerUrls";
  // An empty list has the bytes of none.
  return peerUrls.length === 0 ? "peerUrls are empty" : urlsProblem("peerUrls", peerUrls);
}

/** @throws AssertionError when the position is impossible or the configuration breaks an invariant */
export function encodeSnapshotMeta(meta: SnapshotMeta): Uint8Array {
  const problem = snapshotMetaProblem(meta);
  if (problem !== undefined) fail(`cannot encode snapshot meta: ${problem}`);
  const w = begin();
  writeSnapshotMeta(w, meta);
  return finish(w, "snapshot meta", LIMITS.maxEntryBytes);
}

/** Refuses an impossible position, a missing configuration and one that breaks an invariant of ConfState. */
export function decodeSnapshotMeta(bytes: Uint8Array): Decoded<SnapshotMeta> {
  return decodeWith("snapshot meta", bytes, LIMITS.maxEntryBytes, readSnapshotMeta, snapshotMetaProblem);
}

/** The fields of a snapshot's position, into a message that is open. */
export function writeSnapshotMeta(w: Writer, meta: SnapshotMeta): void {
  putUint(w, 1, meta.index);
  putUint(w, 2, meta.term);
  open(w, 3);
  writeConfState(w, meta.conf);
  w.ldelim();
}

/** The fields of a snapshot's position up to the reader's end; `snapshotMetaProblem` is still to be asked. */
export function readSnapshotMeta(r: Reader): SnapshotMeta {
  let index = 0;
  let term = 0;
  let conf: ConfState | undefined;
  while (r.pos < r.len) {
    const tag = r.tag();
    switch (tag >>> 3) {
      case 1:
        index = readUint(r, tag, "index");
        break;
      case 2:
        term = readUint(r, tag, "term");
        break;
      case 3: {
        refuseSecond(conf !== undefined, "conf");
        const outer = enter(r, tag, "conf");
        conf = readConfState(r);
        leave(r, outer);
        break;
      }
      default:
        skipField(r, tag);
    }
  }
  if (conf === undefined) throw new Refusal("conf is missing");
  return { index, term, conf };
}

/** The rule that a snapshot's position breaks, or undefined. (0, 0) is the state before the first entry. */
export function snapshotMetaProblem(meta: SnapshotMeta): string | undefined {
  return (
    uintProblem("index", meta.index, 0, LIMITS.maxIndex) ??
    uintProblem("term", meta.term, 0, LIMITS.maxTerm) ??
    positionProblem("snapshot", meta.index, meta.term) ??
    confStateProblem(meta.conf)
  );
}
