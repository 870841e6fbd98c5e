// Goal: requests of etcd's API are applied from entries like everything else: once each, in the hash, saved in the same
// batch. Method: random requests as entries to a member that never stops and to one that restarts from what its backend
// has, which is always behind; outcomes and hashes must be the same. Small tables for the rest.
import { describe, expect, it } from "vitest";
import { Rng } from "../../../chaos/sim/rng.ts";
import {
  type Applied,
  AppliedLoader,
  AppliedState,
  LOADED_PREFIXES,
  type RecordChanges,
  requestProblem,
} from "../../../src/apply/index.ts";
import { ERR } from "../../../src/base/index.ts";
import type { BackendState } from "../../../src/env/index.ts";
import { emptyState } from "../../../src/member/index.ts";
import { encodeEnvelope } from "../../../src/pb/index.ts";
import type { KvRequest } from "../../../src/pb/kv.ts";
import type { Entry } from "../../../src/raft/index.ts";
import { RequestMaker } from "../../support/kv-requests.ts";
import { compaction, grant, put, range } from "../../support/kv-world.ts";

const LIMITS = { maxTxnOps: 8, maxRequestBytes: 1_000_000 };
const SEED = 20_261_124;

function entry(index: number, request: KvRequest, sequence = index, instance = 1n): Entry {
  const data = encodeEnvelope({
    version: 1,
    requestId: { instance, sequence },
    user: "",
    authRevision: 0,
    guardRevision: 0,
    body: { type: "kv", request },
  });
  return { index, term: 1, type: "normal", data };
}

/** A backend of which batches become part later than they were sent. */
class Backend {
  readonly records = new Map<string, Uint8Array>();
  #meta: Omit<BackendState, "records"> = emptyState();
  #batch: { readonly changes: RecordChanges; readonly meta: Omit<BackendState, "records"> } | undefined;

  get isBusy(): boolean {
    return this.#batch !== undefined;
  }

  get state(): BackendState {
    return { ...this.#meta, records: this.records };
  }

  send(applied: AppliedState): void {
    const { index, term, conf } = applied;
    this.#batch = { changes: applied.takeChanges(), meta: { index, term, conf } };
  }

  /** The batch in flight is durable. */
  finish(applied: AppliedState): void {
    if (this.#batch === undefined) return;
    const { changes, meta } = this.#batch;
    for (const name of changes.deletes) this.records.delete(name);
    for (const [name, bytes] of changes.puts) this.records.set(name, bytes);
    this.#meta = meta;
    this.#batch = undefined;
    applied.batchDurable();
  }

  /** What comes up after a crash: the batch in flight is lost. */
  crash(): AppliedState {
    this.#batch = undefined;
    return loadInParts(this.state);
  }
}

function load(state: BackendState, below?: Map<string, Uint8Array>, quotaBytes?: number): AppliedState {
  const options = { ...(below && { below }), ...(quotaBytes && { quotaBytes }) };
  const loaded = AppliedState.load(state, options);
  if (loaded.type === "refused") throw new Error(loaded.reason);
  return loaded.state;
}

/** As a member does it: only what is loaded, a few records at a time. Values are read where they lie. */
function loadInParts(state: BackendState): AppliedState {
  const loader = new AppliedLoader(state, { below: state.records });
  const names = [...state.records.keys()].filter((name) => LOADED_PREFIXES.some((p) => name.startsWith(p)));
  expect(names.some((name) => name.startsWith("v"))).toBe(false);
  const records = names.sort().map((name) => [name, state.records.get(name) ?? new Uint8Array(0)] as const);
  for (let from = 0; from < records.length; from += 7) loader.add(records.slice(from, from + 7));
  const loaded = loader.finish();
  if (loaded.type === "refused") throw new Error(loaded.reason);
  return loaded.state;
}

describe("entries with requests", () => {
  it(`give the same outcomes and hashes through restarts (seed ${SEED})`, () => {
    const rng = new Rng(SEED, "restarts");
    const backend = new Backend();
    const straight = load(emptyState());
    let restarting = backend.crash();
    const maker = new RequestMaker(new Rng(SEED, "requests"), {
      get revision() {
        return straight.kv.store.revision;
      },
      get compactRevision() {
        return straight.kv.store.compactRevision;
      },
      get leases() {
        return straight.kv.leases.ids();
      },
      get alarmed() {
        return straight.kv.alarms.isFull || straight.kv.alarms.isCorrupt;
      },
    });
    const log: Entry[] = [];
    const outcomes: Applied[] = [];
    let restarts = 0;
    while (log.length < 3000) {
      const request = maker.write();
      if (requestProblem(request, LIMITS) !== undefined) continue;
      const index = log.length + 1;
      // Now and then one that was there before.
      const next = entry(index, request, rng.chance(20_000) ? Math.max(1, index - 5) : index);
      log.push(next);
      outcomes.push(straight.applyNormal(next));
      expect(restarting.applyNormal(next)).toEqual(outcomes[index - 1]);
      expect(restarting.hash()).toBe(straight.hash());
      if (rng.chance(30_000)) straight.takeChanges();
      if (rng.chance(50_000)) straight.kv.store.compactionStep(20);
      if (!backend.isBusy && rng.chance(100_000)) backend.send(restarting);
      else if (rng.chance(200_000)) backend.finish(restarting);
      restarting.checkInvariants();
      if (rng.chance(10_000)) {
        restarts++;
        restarting = backend.crash();
        for (const again of log.slice(restarting.index)) {
          expect(restarting.applyNormal(again)).toEqual(outcomes[again.index - 1]);
        }
        expect(restarting.hash()).toBe(straight.hash());
      }
    }
    expect(restarts).toBeGreaterThan(10);
    expect(outcomes.filter((outcome) => outcome.type === "duplicate").length).toBeGreaterThan(10);
    expect(restarting.kv.range(range("\0", "\0"))).toEqual(straight.kv.range(range("\0", "\0")));
  });

  it("a duplicate changes nothing", () => {
    const state = load(emptyState());
    expect(state.applyNormal(entry(1, put("a", "1")))).toEqual({
      type: "kv",
      requestId: { instance: 1n, sequence: 1 },
      outcome: { type: "done", revision: 2, response: { type: "put", prevKv: undefined } },
    });
    expect(state.applyNormal(entry(2, put("a", "2"), 1))).toMatchObject({ type: "duplicate" });
    expect(state.kv.store.revision).toBe(2);
  });

  it("a refused request is answered, and is seen", () => {
    const state = load(emptyState());
    const outcome = { type: "refused", error: ERR.leaseNotFound };
    expect(state.applyNormal(entry(1, put("a", "1", { lease: 9n })))).toMatchObject({ type: "kv", outcome });
    expect(state.isSeen({ instance: 1n, sequence: 1 })).toBe(true);
    expect(state.index).toBe(1);
  });

  it("outcomes are in the hash", () => {
    // The same entry on states that differ where no entry says so: as if one member had lost something.
    const hashes = [[], [put("a")], [grant(9n)]].map((before) => {
      const state = load(emptyState());
      for (const request of before)
        state.kv.apply(request, { index: 0, quotaBytes: Number.POSITIVE_INFINITY });
      state.applyNormal(entry(1, put("a", "1", { lease: 9n, prevKv: true })));
      return state.hash();
    });
    expect(new Set(hashes).size).toBe(2);
    const revisions = [0, 1].map((extra) => {
      const state = load(emptyState());
      for (let i = 0; i < extra; i++)
        state.kv.apply(put("b"), { index: 0, quotaBytes: Number.POSITIVE_INFINITY });
      state.applyNormal(entry(1, put("a")));
      return state.hash();
    });
    expect(new Set(revisions).size).toBe(2);
  });

  it("the quota is that of the options, and its alarm is saved", () => {
    const state = load(emptyState(), undefined, 1000);
    expect(state.applyNormal(entry(1, put("a", "x".repeat(2000))))).toMatchObject({
      outcome: { type: "refused", error: ERR.noSpace },
    });
    const { puts } = state.takeChanges();
    expect(puts.map(([name]) => name).sort()).toEqual(["an0000000000000000", "h", "r1"]);
  });

  it("one batch carries records of all kinds", () => {
    const state = load(emptyState());
    const requests = [grant(9n), put("a", "1", { lease: 9n }), compaction(1)];
    requests.forEach((request, i) => {
      state.applyNormal(entry(i + 1, request));
    });
    expect(state.undurableBytes).toBeGreaterThan(0);
    const names = state.takeChanges().puts.map(([name]) => name[0]);
    expect(names.sort()).toEqual(["c", "h", "i", "l", "r", "v"]);
    // Without a backend of its own it keeps what it handed out.
    expect(state.undurableBytes).toBe(0);
    expect(state.kv.range(range("a"))).toMatchObject({ type: "done", response: { count: 1 } });
    expect(state.takeChanges().puts.map(([name]) => name)).toEqual(["h"]);
  });

  it("a damaged record stops it, before the entry counts as applied", () => {
    const backend = new Backend();
    const state = backend.crash();
    state.applyNormal(entry(1, put("a", "1")));
    backend.send(state);
    backend.finish(state);
    for (const name of [...backend.records.keys()]) if (name.startsWith("v")) backend.records.delete(name);
    const hash = state.hash();
    expect(state.applyNormal(entry(2, put("a", "2", { prevKv: true })))).toMatchObject({
      type: "fatal",
      reason: expect.stringMatching(/^entry 2 cannot be applied: value of key "a" in record v/),
    });
    expect([state.index, state.hash()]).toEqual([1, hash]);
  });

  it("refuses records of the key-value state that nobody wrote, by name", () => {
    const backend = new Backend();
    const state = backend.crash();
    state.applyNormal(entry(1, put("a", "1")));
    backend.send(state);
    backend.finish(state);
    backend.records.set("l1", new Uint8Array(3));
    expect(AppliedState.load(backend.state)).toMatchObject({
      type: "refused",
      reason: expect.stringContaining('"l1"'),
    });
  });
});
