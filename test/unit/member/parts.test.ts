// Goal: the bookkeeping parts of a member keep their bounds and give each thing exactly once. Method: direct calls,
// one story per rule.
import { describe, expect, it } from "vitest";
import { ERR } from "../../../src/base/index.ts";
import type { BackendBatch } from "../../../src/env/index.ts";
import { BackendBatches, OVERLAY_ENTRIES } from "../../../src/member/backend-batches.ts";
import { EffectsBuffer } from "../../../src/member/effects.ts";
import { ProposedRequests } from "../../../src/member/proposals.ts";
import { Publisher } from "../../../src/member/publish.ts";
import { PendingRequests } from "../../../src/member/requests.ts";
import { SnapshotStreams } from "../../../src/member/snapshots.ts";
import { encodeEnvelope } from "../../../src/pb/index.ts";
import type { Entry, Message } from "../../../src/raft/index.ts";
import { put as putOp, range as rangeOp } from "../../support/kv-world.ts";

const LEASES = { type: "leaseLeases" } as const;
const get = (key: string) => ({ type: "read", read: rangeOp(key) }) as const;
const CONF = { voters: [1n], votersOutgoing: [], learners: [], learnersNext: [], leaseMs: 0 };

describe("pending requests", () => {
  it("answers a configuration change by position and term", () => {
    const pending = new PendingRequests(10, 100);
    pending.addConf(0, 1, 7, 2);
    pending.addConf(0, 2, 7, 4);
    pending.addConf(0, 3, 8, 4);
    expect(pending.takeConfs(6, 2)).toEqual([]);
    expect(pending.takeConfs(7, 4)).toEqual([
      { type: "refused", id: 1, error: ERR.notLeader },
      { type: "changed", id: 2, index: 7 },
    ]);
    expect(pending.takeConfs(7, 4)).toEqual([]);
    expect(pending.size).toBe(1);
  });

  it("gives reads in the order of their index, each once, and none that timed out", () => {
    const pending = new PendingRequests(10, 100);
    const [a, b, c] = [1, 2, 3].map((id) => pending.addRead(id, id, get(`k${id}`)));
    pending.readAt(a ?? 0, 9);
    pending.readAt(b ?? 0, 5);
    pending.readAt(c ?? 0, 5);
    pending.readAt(99, 1);
    expect(pending.takeReadyRead(4)).toBeUndefined();
    expect(pending.expire(102)).toEqual([
      { type: "refused", id: 1, error: ERR.timeout },
      { type: "refused", id: 2, error: ERR.timeout },
    ]);
    expect(pending.takeReadyRead(9)).toMatchObject({ id: 3, request: get("k3"), deadline: 103 });
    expect(pending.takeReadyRead(9)).toBeUndefined();
    expect(pending.size).toBe(0);
  });

  it("does not grow with reads that time out while nothing is applied", () => {
    const pending = new PendingRequests(4, 1);
    for (let round = 0; round < 100; round++) {
      const waiter = pending.addRead(round * 2, round, LEASES);
      pending.readAt(waiter, 1_000 - round);
      pending.checkInvariants();
      if (round < 99) pending.expire(round * 2 + 1);
    }
    expect(pending.takeReadyRead(2_000)).toMatchObject({ id: 99 });
    expect(pending.takeReadyRead(2_000)).toBeUndefined();
  });

  it("wakes for whichever waits longest", () => {
    const pending = new PendingRequests(10, 100);
    expect(pending.nextDeadline()).toBe(Number.POSITIVE_INFINITY);
    pending.addWrite(5, 1, 1);
    pending.addRead(3, 2, LEASES);
    expect(pending.nextDeadline()).toBe(103);
    expect(pending.expire(102.5)).toEqual([]);
    expect(pending.expire(200).map(({ type }) => type)).toEqual(["unknown", "refused"]);
    expect(pending.takeWrite(1)).toBeUndefined();
  });
});

describe("backend batches", () => {
  const content = (index: number): Omit<BackendBatch, "seq"> => ({
    index,
    term: 1,
    conf: CONF,
    puts: [],
    deletes: [],
  });

  it("issues one at a time, by time, by entries, or by bytes", () => {
    const rows = [
      { name: "nothing applied", apply: [], now: 1_000, isDue: false },
      { name: "too early", apply: [10], now: 99, isDue: false },
      { name: "by time", apply: [10], now: 100, isDue: true },
      { name: "by entries", apply: [1, 1, 1], now: 0, isDue: true },
      { name: "by bytes", apply: [4 * 1024 * 1024], now: 0, isDue: true },
    ];
    for (const { name, apply, now, isDue } of rows) {
      const batches = new BackendBatches({ intervalMs: 100, batchEntries: 3 }, 0);
      for (const bytes of apply) batches.noteApplied(0, bytes);
      expect(batches.isDue(now), name).toBe(isDue);
      expect(batches.nextDue(), name).toBe(apply.length === 0 ? Number.POSITIVE_INFINITY : 100);
      if (!isDue) continue;
      expect(batches.issue(content(apply.length)).seq).toBe(1);
      batches.noteApplied(now, 10);
      expect(batches.isDue(now + 1_000), name).toBe(false);
      batches.durable(1);
      expect(batches.durableIndex).toBe(apply.length);
      expect(batches.isDue(now + 1_000), name).toBe(true);
    }
  });

  it("is full at the overlay's bound, until the batch in flight is durable", () => {
    const batches = new BackendBatches({ intervalMs: 100, batchEntries: 10 }, 0);
    for (let i = 0; i < OVERLAY_ENTRIES; i++) batches.noteApplied(0, 0);
    expect(batches.isFull).toBe(true);
    batches.issue(content(OVERLAY_ENTRIES));
    expect(batches.isFull).toBe(true);
    batches.durable(1);
    expect(batches.isFull).toBe(false);
  });

  it("issues a batch for deletions that no entry asked for, at the index that is durable already", () => {
    const batches = new BackendBatches({ intervalMs: 100, batchEntries: 3 }, 7);
    batches.noteDeleted(10);
    batches.noteDeleted(50);
    expect([batches.isDue(109), batches.isDue(110), batches.nextDue()]).toEqual([false, true, 110]);
    expect(batches.issue(content(7))).toMatchObject({ seq: 1, index: 7 });
    batches.noteDeleted(120);
    expect([batches.isDue(1_000), batches.nextDue()]).toEqual([false, Number.POSITIVE_INFINITY]);
    batches.durable(1);
    batches.checkInvariants(7);
    expect([batches.durableIndex, batches.isDue(220)]).toEqual([7, true]);
  });

  it("does not go back when a snapshot was installed meanwhile", () => {
    const batches = new BackendBatches({ intervalMs: 100, batchEntries: 1 }, 0);
    batches.noteApplied(0, 1);
    batches.issue(content(1));
    batches.noteApplied(0, 1);
    batches.restart(50);
    expect([batches.durableIndex, batches.isDue(1_000)]).toEqual([50, false]);
    batches.durable(1);
    expect(batches.durableIndex).toBe(50);
    batches.noteApplied(0, 1);
    expect(() => batches.issue(content(49))).toThrow("backend batch goes back");
  });
});

describe("snapshot streams", () => {
  it("runs so many at once and lets the others wait", () => {
    const streams = new SnapshotStreams(2, 100);
    for (const to of [1n, 2n, 3n, 1n]) streams.want(to);
    expect(streams.start(0, 5, 10)).toEqual([
      { stream: 1, to: 1n, term: 5 },
      { stream: 2, to: 2n, term: 5 },
    ]);
    streams.want(1n);
    expect(streams.start(0, 5, 10)).toEqual([]);
    expect(streams.keepAfter()).toBe(10);
    expect(streams.opened(1, { index: 12, term: 1, conf: CONF })).toBe(1n);
    expect(streams.opened(2, { index: 14, term: 1, conf: CONF })).toBe(2n);
    expect(streams.keepAfter()).toBe(12);
    expect(streams.ended(1)).toBe(1n);
    expect(streams.ended(1)).toBeUndefined();
    expect(streams.start(50, 5, 20)).toEqual([{ stream: 3, to: 3n, term: 5 }]);
    expect(streams.nextDeadline()).toBe(100);
    expect(streams.expire(100)).toEqual([{ stream: 2, to: 2n }]);
    expect(streams.retain((to) => to !== 3n)).toEqual([3]);
    expect([streams.size, streams.keepAfter()]).toEqual([0, Number.POSITIVE_INFINITY]);
    streams.checkInvariants();
  });

  it("asserts that a view is not older than what was durable", () => {
    const streams = new SnapshotStreams(1, 100);
    streams.want(1n);
    streams.start(0, 1, 10);
    expect(() => streams.opened(1, { index: 9, term: 1, conf: CONF })).toThrow("older");
  });
});

describe("proposed requests", () => {
  it("learns the tail that it leads with", () => {
    const entry = (index: number, sequence: number): Entry => {
      const requestId = { instance: 3n, sequence };
      const body = { type: "kv", request: putOp("k", "1") } as const;
      const data = encodeEnvelope({
        version: 1,
        requestId,
        user: "",
        authRevision: 0,
        guardRevision: 0,
        body,
      });
      return { index, term: 1, type: "normal", data };
    };
    const log = [entry(1, 1), entry(2, 2), { ...entry(3, 3), data: new Uint8Array(0) }, entry(4, 4)];
    const proposed = new ProposedRequests();
    proposed.lead((index) => log[index - 1], 1, 4);
    expect([1, 2, 3, 4].map((sequence) => proposed.has({ instance: 3n, sequence }))).toEqual([
      false,
      true,
      false,
      true,
    ]);
    proposed.remove({ instance: 3n, sequence: 2 });
    proposed.remove({ instance: 9n, sequence: 2 });
    expect(proposed.has({ instance: 3n, sequence: 2 })).toBe(false);
    proposed.add({ instance: 0n, sequence: 0 });
    expect(proposed.has({ instance: 0n, sequence: 0 })).toBe(false);
    proposed.follow();
    expect(proposed.has({ instance: 3n, sequence: 4 })).toBe(false);
  });
});

describe("publisher", () => {
  it("backs off to sixteen election timeouts", () => {
    const publisher = new Publisher(100);
    const at: number[] = [];
    for (let now = 0; now < 6_000; now += 50) if (publisher.maybeAttempt(now)) at.push(now);
    expect(at).toEqual([0, 100, 300, 700, 1500, 3100, 4700]);
  });
});

describe("effects", () => {
  const message = (type: "heartbeat" | "timeoutNow", to: bigint): Message =>
    type === "heartbeat"
      ? { type, from: 1n, to, term: 1, round: 1, leaseMs: 0, commit: 0 }
      : { type, from: 1n, to, term: 1 };

  it("puts heartbeats first and keeps the order otherwise", () => {
    const effects = new EffectsBuffer();
    effects.addMessages([message("timeoutNow", 2n), message("heartbeat", 2n)]);
    effects.addMessages([message("timeoutNow", 3n), message("heartbeat", 3n)]);
    const order = effects.take().messages.map(({ type, to }) => `${type} ${to}`);
    expect(order).toEqual(["heartbeat 2", "heartbeat 3", "timeoutNow 2", "timeoutNow 3"]);
    expect(effects.take().messages).toEqual([]);
  });

  it("lets nothing but answers out once it failed", () => {
    const effects = new EffectsBuffer();
    effects.addMessages([message("timeoutNow", 2n)]);
    effects.persist = { seq: 1, snapshot: undefined, entries: [], hardState: undefined };
    effects.answer({ type: "refused", id: 1, error: ERR.stopped });
    effects.releaseLog = 5;
    effects.fail("broken");
    const taken = effects.take();
    expect(taken).toMatchObject({ persist: undefined, messages: [], releaseLog: undefined, fatal: "broken" });
    expect(taken.answers.length).toBe(1);
    expect(effects.take()).toMatchObject({ answers: [], fatal: "broken" });
  });

  it("asserts that a batch is taken before the next one comes", () => {
    const effects = new EffectsBuffer();
    const batch = { seq: 1, snapshot: undefined, entries: [], hardState: undefined };
    effects.persist = batch;
    expect(() => {
      effects.persist = batch;
    }).toThrow("two persist batches");
  });
});
