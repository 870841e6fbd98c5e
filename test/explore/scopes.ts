/**
 * The small clusters that are explored, each to the last world. What one scope leaves out, another one has:
 * slow disks where there is little else, three members where disks are quick, heartbeats where reads depend
 * on them. Heartbeats are lost elsewhere: to a log they bring nothing that an append does not bring.
 *
 * Where all members start alike, the first campaign is member 1's: what another one could do first is the
 * same history under other names.
 */
import { bytesOf, NO_MEMBER } from "../../src/base/index.ts";
import { changeConf, EMPTY_CONF, type Entry } from "../../src/raft/index.ts";
import { parseChange } from "../datadriven/words.ts";
import type { Budget, Scope } from "./explorer.ts";
import type { Disk, LocalSetup } from "./local.ts";

const NO_BUDGET: Budget = {
  timeouts: 0,
  proposals: 0,
  crashes: 0,
  heartbeats: 0,
  quorumLosses: 0,
  reads: 0,
  changes: 0,
};

type ScopeOptions = Omit<Partial<Scope>, "budget" | "name"> & { readonly budget: Partial<Budget> };

function scope(name: string, members: Scope["members"], options: ScopeOptions): Scope {
  const { budget, ...rest } = options;
  return {
    name,
    members,
    maxTerm: 3,
    firstCampaigner: undefined,
    led: false,
    change: "",
    lost: [],
    maxWorlds: 50_000_000,
    ...rest,
    budget: { ...NO_BUDGET, ...budget },
  };
}

/** Members 1..n that have just been bootstrapped, in term 1. */
function fresh(n: number, slowDisk: boolean): Scope["members"] {
  return withLogs(
    Array.from({ length: n }, () => []),
    1,
    slowDisk,
  );
}

/**
 * Members 1..n with the bootstrap entry and then entries of the given terms, none of them known to be
 * committed.
 */
function withLogs(logs: readonly (readonly number[])[], term: number, slowDisk: boolean): Scope["members"] {
  const change = logs.map((_, i) => `+${i + 1}`).join(",");
  const first: Entry = { index: 1, term: 1, type: "conf", data: bytesOf(change) };
  const changed = changeConf(EMPTY_CONF, parseChange(change));
  if (changed.type === "refused") throw new Error(changed.reason);
  return logs.map((terms, i) => {
    const entries = [first];
    for (const t of terms) {
      entries.push({ index: entries.length + 1, term: t, type: "normal", data: bytesOf(`t${t}`) });
    }
    const disk: Disk = { hardState: { term, vote: NO_MEMBER, commit: 1 }, entries };
    const setup: LocalSetup = { id: BigInt(i + 1), applied: 1, conf: changed.conf, slowDisk };
    return { ...setup, disk };
  });
}

/** A member that joins: it has nothing and knows nobody. */
function joiner(id: number, slowDisk: boolean): Scope["members"][number] {
  const disk: Disk = { hardState: { term: 0, vote: NO_MEMBER, commit: 0 }, entries: [] };
  return { id: BigInt(id), applied: 0, conf: EMPTY_CONF, slowDisk, disk };
}

const NO_HEARTBEATS = ["heartbeat"];

/** Divergent logs as in figure 8 of the Raft paper: member 1 led term 2, member 3 led term 3. */
export const FIGURE_8 = scope("figure 8", withLogs([[2], [], [3]], 3, false), {
  maxTerm: 5,
  lost: NO_HEARTBEATS,
  budget: { timeouts: 2 },
});

/** One disk, slow, and nobody else to ask. */
export const ALONE = scope("one member, slow disk, crashes", fresh(1, true), {
  maxTerm: 4,
  budget: { timeouts: 3, proposals: 3, crashes: 3 },
});

export const PAIR = scope("two members, slow disks, a proposal, a crash", fresh(2, true), {
  firstCampaigner: 0,
  lost: NO_HEARTBEATS,
  budget: { timeouts: 2, proposals: 1, crashes: 1 },
});

export const ELECTIONS = scope("elections of three, slow disks, two crashes", fresh(3, true), {
  firstCampaigner: 0,
  lost: ["heartbeat", "append"],
  budget: { timeouts: 2, crashes: 2 },
});

export const READS = scope("reads at the leader of three", fresh(3, false), {
  led: true,
  lost: ["readIndex"],
  budget: { timeouts: 1, reads: 1, heartbeats: 1 },
});

/** As `READS`, from the beginning: also the first reader of a term that has committed nothing yet. */
export const EARLY_READS = scope("reads from the beginning", fresh(3, false), {
  firstCampaigner: 0,
  lost: ["readIndex"],
  budget: { timeouts: 2, reads: 1 },
});

export const TWO_TERMS = scope("two terms of three, a proposal", fresh(3, false), {
  firstCampaigner: 0,
  lost: NO_HEARTBEATS,
  budget: { timeouts: 2, proposals: 1 },
});

/** Every commit explores these; together they take about 25 s of one core. */
export const SCOPES: readonly Scope[] = [
  ALONE,
  PAIR,
  ELECTIONS,
  scope("one term of three, slow disks, a crash", fresh(3, true), {
    firstCampaigner: 0,
    lost: NO_HEARTBEATS,
    budget: { timeouts: 1, crashes: 1 },
  }),
  TWO_TERMS,
  scope("two terms of three, a crash", fresh(3, false), {
    firstCampaigner: 0,
    lost: NO_HEARTBEATS,
    budget: { timeouts: 2, crashes: 1 },
  }),
  FIGURE_8,
  READS,
  scope("a third member joins two, a crash", [...fresh(2, false), joiner(3, false)], {
    firstCampaigner: 0,
    change: "+3",
    lost: NO_HEARTBEATS,
    budget: { timeouts: 2, changes: 1, crashes: 1 },
  }),
  scope("the leader of three is removed, a crash", fresh(3, false), {
    led: true,
    change: "-1",
    lost: NO_HEARTBEATS,
    budget: { timeouts: 1, changes: 1, crashes: 1 },
  }),
];

/**
 * With EXPLORE=large. The first two and "two terms of three, slow disks" (14 million worlds) take seconds to
 * minutes, the others longer than anybody has waited yet: they end at `maxWorlds`, which then says so.
 */
export const LARGE_SCOPES: readonly Scope[] = [
  EARLY_READS,
  scope("one term of three, slow disks, a proposal, a crash", fresh(3, true), {
    firstCampaigner: 0,
    lost: NO_HEARTBEATS,
    budget: { timeouts: 1, proposals: 1, crashes: 1 },
  }),
  scope("two terms of three, slow disks", fresh(3, true), {
    firstCampaigner: 0,
    lost: NO_HEARTBEATS,
    budget: { timeouts: 2 },
  }),
  scope("two terms of three, two proposals", fresh(3, false), {
    firstCampaigner: 0,
    lost: NO_HEARTBEATS,
    budget: { timeouts: 2, proposals: 2 },
  }),
  scope("two terms of three, a proposal, a crash", fresh(3, false), {
    firstCampaigner: 0,
    lost: NO_HEARTBEATS,
    budget: { timeouts: 2, proposals: 1, crashes: 1 },
  }),
  scope("a fourth member joins three", [...fresh(3, false), joiner(4, false)], {
    led: true,
    change: "+4",
    lost: NO_HEARTBEATS,
    budget: { timeouts: 1, changes: 1 },
  }),
];
