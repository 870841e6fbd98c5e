/** What is judged at the end of a run: the history of all clients and watchers, and how long leases lived. */
import { AppliedState, type KvStateOfMember } from "../../src/apply/index.ts";
import { ERR, hex } from "../../src/base/index.ts";
import { emptyState } from "../../src/member/index.ts";
import type { Store } from "../../src/mvcc/index.ts";
import { decodeEnvelope } from "../../src/pb/index.ts";
import type { LeaseGrantRequest } from "../../src/pb/kv.ts";
import type { ConfState } from "../../src/raft/types.ts";
import {
  checkBeginning,
  checkKvHistory,
  type HashRecord,
  type KvHistory,
  type LogRecord,
  type MemberDump,
} from "../check/index.ts";
import { DRIFT_BOUND_PPM } from "./clock.ts";
import { violate } from "./violation.ts";
import { identityName, type World } from "./world.ts";

/** So many of the first operations are searched for an order. */
const SEARCHED_OPERATIONS = 40;

/** Judges a world that has come to rest. @throws SimViolation */
export function judgeHistory(world: World): void {
  const history = historyOf(world, dumpsOf(world));
  const verdict = checkKvHistory(history);
  if (verdict.type === "violation") {
    const first = verdict.findings[0];
    violate("history", `${first?.rule ?? ""}: ${first?.message ?? ""}`);
  }
  judgeBeginning(history);
  const drift = world.plan.config.drift === "twice" ? 2 * DRIFT_BOUND_PPM : DRIFT_BOUND_PPM;
  const expired = world.leaseLife.judge(history.log ?? [], drift);
  count(world, history, { expired, tookEffect: verdict.counts.unknownTookEffect });
}

/**
 * The first operations once more, by a checker that shares nothing with the first but the model: it searches an order
 * instead of taking it from revisions and log. What it cannot settle within its steps it leaves to the other.
 */
function judgeBeginning(history: KvHistory): void {
  // The member chose ID and TTL of a lease; what it proposed is in the log.
  const proposed = new Map<number, LeaseGrantRequest>();
  for (const { operation, request } of history.log ?? []) {
    if (operation !== undefined && request.type === "leaseGrant") proposed.set(operation, request);
  }
  const operations = history.operations.map((operation) => {
    const request = proposed.get(operation.id);
    return request === undefined ? operation : { ...operation, request };
  });
  const verdict = checkBeginning({ ...history, operations }, SEARCHED_OPERATIONS);
  if (verdict.type !== "violation") return;
  const { operation } = verdict.stuck ?? {};
  violate(
    "history",
    `not linearizable: no order has room for operation ${operation?.id ?? "of the members"}`,
  );
}

/** Everything that the checkers read. @param dumps what the members hold, when all is at rest */
export function historyOf(world: World, dumps: readonly MemberDump[]): KvHistory {
  const nameOf = (slot: number): string => `m${slot}`;
  const { operations, keepAlives } = world.workload.history(nameOf);
  return {
    title: `seed ${world.plan.seed}`,
    operations,
    watches: world.watchers.history(nameOf),
    keepAlives,
    dumps,
    log: logOf(world),
    faults: world.bands,
    leaders: world.leaderBands,
    end: world.queue.now,
  };
}

function logOf(world: World): LogRecord[] {
  const log: LogRecord[] = [];
  const { invariants } = world;
  const outcomes = world.plan.config.quotaBytes < 2 ** 30 ? refusedForSpace(world) : undefined;
  for (let index = 1; index <= invariants.committed; index++) {
    const committed = invariants.committedEntry(index);
    if (committed === undefined || committed.entry.type === "conf" || committed.entry.data.length === 0)
      continue;
    const decoded = decodeEnvelope(committed.entry.data);
    if (decoded.type === "refused") violate("history", `entry ${index} does not decode: ${decoded.reason}`);
    const { body, requestId } = decoded.value;
    if (body.type !== "kv") continue;
    const identity = identityName(requestId);
    const refused = outcomes?.has(index) === true ? ERR.noSpace.message : undefined;
    const operation = world.identities.get(identity);
    log.push({ index, at: committed.at, identity, operation, request: body.request, refused });
  }
  return log;
}

/**
 * Entries that were refused for want of space. The quota counts replicated bytes by a rule of the product, which the
 * model does not know; so the product says what it refused, and all else is judged by the model.
 */
function refusedForSpace(world: World): ReadonlySet<number> {
  const refused = new Set<number>();
  const { quotaBytes } = world.plan.config;
  const loaded = AppliedState.load(emptyState(), { quotaBytes });
  if (loaded.type === "refused") violate("history", loaded.reason);
  const { state } = loaded;
  const nobody: ConfState = emptyState().conf;
  for (let index = 1; index <= world.invariants.committed; index++) {
    const entry = world.invariants.committedEntry(index)?.entry;
    if (entry === undefined) violate("history", `entry ${index} is not known`);
    if (entry.type === "conf") {
      state.applyConf(entry, nobody);
      continue;
    }
    const applied = state.applyNormal(entry);
    const isRefused = applied.type === "kv" && applied.outcome.type === "refused";
    if (isRefused && applied.outcome.error === ERR.noSpace) refused.add(index);
  }
  return refused;
}

function dumpsOf(world: World): MemberDump[] {
  const dumps: MemberDump[] = [];
  for (const machine of world.machines) {
    const member = machine.process?.member;
    if (member === undefined || world.isLost(machine.slot) || !world.isServing(machine.slot)) continue;
    dumps.push(dumpOf(`m${machine.slot}`, member.kv));
  }
  return dumps;
}

/** What a member holds. */
export function dumpOf(member: string, { store, leases }: KvStateOfMember): MemberDump {
  const all = store.resolve({ key: FROM_START, rangeEnd: FROM_START }, 0, 0);
  return {
    member,
    revision: store.revision,
    compactRevision: store.compactRevision,
    kvs: all.metas.map((meta) => store.keyValue(meta)),
    leases: leases.ids().map((id) => ({
      id,
      ttl: leases.get(id)?.grantedTtl ?? violate("history", `lease ${hex(id)} is not there`),
      keys: leases.keysOf(id),
    })),
    hashes: hashesOf(store),
  };
}

const FROM_START = Uint8Array.of(0);

function hashesOf(store: Store): HashRecord[] {
  const hashes: HashRecord[] = [];
  const lowest = Math.max(1, store.compactRevision);
  for (const revision of new Set([store.revision, Math.floor((lowest + store.revision) / 2)])) {
    const job = store.startHash(revision);
    if ("message" in job) violate("history", `hash at ${revision}: ${job.message}`);
    while (job.step(10_000));
    const { result } = job;
    if (result?.type !== "hash") violate("history", `hash at ${revision}: ${result?.reason ?? "no result"}`);
    hashes.push({ revision, compactRevision: result.compactRevision, hash: result.hash });
  }
  return hashes;
}

function count(
  world: World,
  history: KvHistory,
  { expired, tookEffect }: { readonly expired: number; readonly tookEffect: number },
): void {
  const { sometimes } = world;
  const times = (n: number, point: Parameters<typeof sometimes.reached>[0]): void => {
    for (let i = 0; i < n; i++) sometimes.reached(point);
  };
  times(tookEffect, "unknown write took effect");
  times(expired, "lease expired");
  for (const { request, refused } of history.log ?? []) {
    if (request.type === "leaseCheckpoint") sometimes.reached("lease checkpoint applied");
    if (refused !== undefined) sometimes.reached("out of space");
  }
  for (const { outcome, request } of history.operations) {
    if (outcome.type === "refused" && outcome.error === ERR.compacted.message)
      sometimes.reached("read below the floor refused");
    if (outcome.type !== "ok") continue;
    if (request.type === "compaction") sometimes.reached("compaction applied");
    if (outcome.response.type === "txn" && !outcome.response.succeeded)
      sometimes.reached("txn failed its compare");
  }
  for (const { answers } of history.watches) {
    if (answers.some((answer) => answer.fragment)) sometimes.reached("watch response in fragments");
    const isOld = answers.some(
      (answer) => (answer.events[0]?.kv.modRevision ?? Number.MAX_VALUE) < answer.revision,
    );
    if (isOld) sometimes.reached("watcher behind catches up");
  }
}
