// Goal: a member runs only on a log and a state that belong together, with options that make sense. Method: one good
// pair, and tables that change one thing each.
import { describe, expect, it } from "vitest";
import type { BackendState, RecoveredLog } from "../../../src/env/index.ts";
import {
  bootstrapLog,
  DEFAULT_OPTIONS,
  emptyLog,
  emptyState,
  type MemberOptions,
  openMember,
  validateOptions,
} from "../../../src/member/index.ts";
import { judgeRecovered } from "../../../src/member/open.ts";
import { decodeConfChange, decodeEnvelope, encodeConfChange } from "../../../src/pb/index.ts";
import type { ConfState, Entry } from "../../../src/raft/index.ts";
import { Cluster, seeded } from "../../support/member-harness.ts";
import { put } from "../../support/member-requests.ts";

const OPTIONS: MemberOptions = { ...DEFAULT_OPTIONS, id: 1n, instance: 7n };
const CONF: ConfState = { ...emptyState().conf, voters: [1n] };
const HASH = new Map([["h", new Uint8Array(4)]]);

function lease(index: number, term: number, leaseMs: number): Entry {
  return { index, term, type: "conf", data: encodeConfChange({ joint: false, steps: [], leaseMs }) };
}

function noop(index: number, term: number): Entry {
  return { index, term, type: "normal", data: new Uint8Array(0) };
}

/** Log: base (4, 2), entries 5 to 7 in terms 2, 2, 3. State at 6. */
const LOG: RecoveredLog = {
  hardState: { term: 3, vote: 1n, commit: 5 },
  snapshot: undefined,
  base: { index: 4, term: 2 },
  entries: [noop(5, 2), noop(6, 2), noop(7, 3)],
};
const STATE: BackendState = { index: 6, term: 2, conf: CONF, records: HASH };

function open(
  log: Partial<RecoveredLog>,
  state: Partial<BackendState>,
  options: Partial<MemberOptions> = {},
) {
  const recovered = { log: { ...LOG, ...log }, state: { ...STATE, ...state } };
  return openMember({ ...OPTIONS, ...options }, recovered, { random: seeded(1) }, 0);
}

describe("opening", () => {
  it("starts at the larger of hard state's commit and consistent index", () => {
    const rows = [
      { commit: 5, expected: 6 },
      { commit: 0, expected: 6 },
      { commit: 7, expected: 7 },
    ];
    for (const { commit, expected } of rows) {
      const opened = open({ hardState: { ...LOG.hardState, commit } }, {});
      if (opened.type === "refused") throw new Error(opened.reason);
      expect(opened.member.status()).toMatchObject({
        commit: expected,
        applied: expected,
        term: 3,
        vote: 1n,
      });
      opened.member.checkInvariants();
    }
  });

  const refusals: readonly {
    name: string;
    log?: Partial<RecoveredLog>;
    state?: Partial<BackendState>;
    options?: Partial<MemberOptions>;
    reason: RegExp;
  }[] = [
    {
      name: "log ends before the state",
      state: { index: 8, term: 3 },
      reason: /the log ends at index 7, the state at 8/,
    },
    {
      name: "log begins after the state",
      state: { index: 3 },
      reason: /begins after index 4, the state ends at 3/,
    },
    { name: "empty log beside a state", log: emptyLog(), reason: /the log ends at index 0, the state at 6/ },
    {
      name: "snapshot record ahead of the state",
      log: { snapshot: { index: 7, term: 3, conf: CONF } },
      reason: /snapshot at index 7, the state ends at 6/,
    },
    {
      name: "commit beyond the log",
      log: { hardState: { term: 3, vote: 0n, commit: 8 } },
      reason: /ends at index 7, it was committed up to 8/,
    },
    {
      name: "entries of a later term than the hard state",
      log: { hardState: { term: 2, vote: 0n, commit: 5 } },
      reason: /ends in term 3, the hard state says 2/,
    },
    {
      name: "another history",
      state: { term: 1 },
      reason: /index 6 has term 2 in the log and 1 in the state/,
    },
    {
      name: "another history at the base",
      state: { index: 4, term: 1 },
      reason: /index 4 has term 2 in the log and 1/,
    },
    {
      name: "configuration entry that cannot be read",
      log: {
        entries: [noop(5, 2), noop(6, 2), { index: 7, term: 3, type: "conf", data: new Uint8Array([255]) }],
      },
      reason: /entry 7 cannot be applied/,
    },
    {
      name: "records that cannot be read",
      state: { records: new Map() },
      reason: /no hash record at index 6/,
    },
    {
      name: "another data directory is pinned",
      state: { records: new Map([...HASH, ["m1", new Uint8Array([9, 9, 0, 0, 0, 0, 0, 0, 0])]]) },
      reason: /member 1 is pinned to data directory 9, this one is 7/,
    },
    { name: "bad option", options: { heartbeatMs: 0 }, reason: /heartbeatMs 0 is not a whole number/ },
  ];
  it.each(refusals)("refuses: $name", ({ log, state, options, reason }) => {
    const opened = open(log ?? {}, state ?? {}, options);
    expect(opened.type === "refused" && opened.reason).toMatch(reason);
  });

  it("finds the longest lease that can have been promised", () => {
    const rows = [
      { name: "none", log: {}, state: {}, ms: 0 },
      { name: "applied configuration", log: {}, state: { conf: { ...CONF, leaseMs: 30 } }, ms: 30 },
      {
        name: "applied, then shortened",
        log: { entries: [lease(5, 2, 90), lease(6, 2, 10)] },
        state: { conf: { ...CONF, leaseMs: 10 } },
        ms: 90,
      },
      {
        name: "not applied yet",
        log: { entries: [noop(5, 2), noop(6, 2), lease(7, 3, 50)] },
        state: {},
        ms: 50,
      },
      {
        name: "snapshot record",
        log: { snapshot: { index: 4, term: 2, conf: { ...CONF, leaseMs: 70 } } },
        state: { conf: { ...CONF, leaseMs: 20 } },
        ms: 70,
      },
    ];
    for (const { name, log, state, ms } of rows) {
      const judged = judgeRecovered({ ...LOG, ...log }, { ...STATE, ...state });
      expect(judged.type === "ok" && judged.start.longestLeaseMs, name).toBe(ms);
    }
  });

  it("draws another request identity at each start", () => {
    const instances = new Set<bigint>();
    const cluster = Cluster.start([1n, 2n]);
    for (let start = 0; start < 5; start++) {
      const leader = cluster.elect();
      const follower = cluster.other(leader);
      const putId = cluster.request(follower, put("a", String(start)));
      cluster.advance(200);
      // A process that counted on under the old identity would find its first request already seen.
      expect(cluster.answer(follower, putId)).toMatchObject({ type: "done" });
      for (const message of cluster.sent.splice(0)) {
        if (message.type !== "propose" || message.from !== follower) continue;
        for (const { data } of message.entries) {
          const envelope = decodeEnvelope(data);
          if (envelope.type === "ok") instances.add(envelope.value.requestId.instance);
        }
        break;
      }
      for (const node of cluster.nodes.values()) cluster.crash(node);
      for (const node of cluster.nodes.values()) cluster.open(node);
    }
    expect(instances.size).toBe(5);
  });
});

describe("beginning", () => {
  it("gives all initial members the same first entry, whatever the order of the voters", () => {
    const founder = (id: bigint, ...peerUrls: string[]) => ({ id, peerUrls });
    const voters = [founder(3n), founder(1n, "http://b:1", "http://a:1"), founder(2n, "http://c:1")];
    const one = bootstrapLog({ voters, leaseMs: 40 });
    const turned = [founder(1n, "http://a:1", "http://b:1"), founder(2n, "http://c:1"), founder(3n)];
    expect(bootstrapLog({ voters: turned, leaseMs: 40 })).toEqual(one);
    expect(one.log).toMatchObject({
      hardState: { term: 1, vote: 0n, commit: 1 },
      base: { index: 0, term: 0 },
    });
    expect(one.batch).toMatchObject({ seq: 1, entries: one.log.entries, hardState: one.log.hardState });
    const [first] = one.log.entries;
    const change = decodeConfChange(first?.data ?? new Uint8Array());
    expect(change.type === "ok" && change.value).toEqual({
      joint: false,
      steps: [
        { type: "addVoter", id: 1n, peerUrls: ["http://a:1", "http://b:1"] },
        { type: "addVoter", id: 2n, peerUrls: ["http://c:1"] },
        { type: "addVoter", id: 3n },
      ],
      leaseMs: 40,
    });
  });

  it("applies the first entry on opening, and knows the configuration before anybody has voted", () => {
    const cluster = Cluster.start([1n, 2n, 3n], { leaseMs: 40 });
    for (const id of [1n, 2n, 3n]) {
      const { applied, term, conf } = cluster.member(id).status();
      expect({ applied, term, conf }).toEqual({
        applied: 1,
        term: 1,
        conf: { ...emptyState().conf, voters: [1n, 2n, 3n], leaseMs: 40 },
      });
    }
  });

  it("lets a joining member wait in silence until somebody adds it", () => {
    const cluster = new Cluster();
    cluster.add(9n);
    cluster.advance(60_000);
    expect(cluster.sent).toEqual([]);
    expect(cluster.member(9n).status()).toMatchObject({ role: "follower", term: 0, applied: 0 });
  });
});

describe("options", () => {
  it("takes the defaults", () => {
    expect(validateOptions(OPTIONS)).toEqual({ type: "ok" });
  });

  const rows: readonly { name: string; change: Partial<MemberOptions>; reason: RegExp }[] = [
    { name: "no id", change: { id: 0n }, reason: /^id 0 is not an identity/ },
    { name: "id of 65 bits", change: { id: 2n ** 64n }, reason: /^id 1/ },
    { name: "no instance", change: { instance: 0n }, reason: /^instance 0/ },
    { name: "fraction", change: { requestTimeoutMs: 1.5 }, reason: /requestTimeoutMs 1.5/ },
    { name: "not a number", change: { maxAppendBytes: Number.NaN }, reason: /maxAppendBytes NaN/ },
    {
      name: "too few beats per timeout",
      change: { electionTimeoutMs: 499 },
      reason: /499 is below 5 x heartbeatMs 100/,
    },
    {
      name: "more kept than there is",
      change: { catchUpEntries: 10_001 },
      reason: /10001 is above snapshotEntries/,
    },
    { name: "no stream", change: { maxSnapshotStreams: 0 }, reason: /maxSnapshotStreams 0/ },
  ];
  it.each(rows)("refuses: $name", ({ change, reason }) => {
    const judged = validateOptions({ ...OPTIONS, ...change });
    expect(judged.type === "refused" && judged.reason).toMatch(reason);
  });
});
