// Goal: our state machine answers as a real etcd does, field by field, error by error, event by event. Method: the same
// random requests to both, one after the other, and rows for what random requests meet too seldom. The peer is etcd
// 3.4; the one known difference to 3.6 is named where it is let pass. WAYMARK_DIFF_REQUESTS, WAYMARK_DIFF_SEED: more.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ClientRequest, ClientResponse } from "../../chaos/check/index.ts";
import { answerProblem } from "../../chaos/check/same.ts";
import { isReadOnlyTxn, type KvOutcome, requestProblem, type TxnOutcome } from "../../src/apply/index.ts";
import { bytesOf } from "../../src/base/index.ts";
import { type AnyRequest, kvRequestProblem } from "../../src/pb/index.ts";
import type { AlarmRequest, RequestOp } from "../../src/pb/kv.ts";
import { showAnswer } from "../support/kv-answers.ts";
import { RequestMaker } from "../support/kv-requests.ts";
import { compaction, del, grant, KvWorld, put, range, txn } from "../support/kv-world.ts";
import { seeded } from "../support/member-harness.ts";
import { type EtcdAnswer, NO_ETCD, RealEtcd } from "../support/real-etcd.ts";

const REQUESTS = Number(process.env["WAYMARK_DIFF_REQUESTS"] ?? 1_500);
const SEED = Number(process.env["WAYMARK_DIFF_SEED"] ?? 1);
/** Fewer than etcd's 128, so that it is met. */
const MAX_TXN_OPS = 6;
const LIMITS = { maxTxnOps: MAX_TXN_OPS, maxRequestBytes: 1_572_864 };
/** Leases of the comparison do not run out while it runs, seconds. */
const LONG = 100_000;

type Request = Exclude<AnyRequest, { type: "leaseCheckpoint" }>;

if (NO_ETCD !== undefined) console.log(`skipped: comparison with a real etcd, ${NO_ETCD}`);

/** Both stores, side by side. */
class Pair {
  readonly world = new KvWorld();
  readonly differences: string[] = [];
  readonly etcd: RealEtcd;
  compared = 0;

  constructor(etcd: RealEtcd) {
    this.etcd = etcd;
  }

  /** What was seen since the last call, as text. */
  takeDifferences(): string {
    return this.differences.splice(0).join("\n");
  }

  async ask(request: AnyRequest): Promise<void> {
    if (request.type === "leaseCheckpoint") throw new Error("no request of clients");
    const ours = answerOf(this.world, request);
    const theirs = await this.etcd.ask(request);
    this.compared++;
    const problem = difference(request, ours, theirs);
    if (problem === undefined) return;
    this.differences.push(
      `${problem}\n  ${showAnswer(request)}\n  ours   ${showAnswer(ours)}\n  theirs ${showAnswer(theirs)}`,
    );
  }
}

type Ours = KvOutcome | TxnOutcome | ReturnType<KvWorld["state"]["range"]>;

function answerOf({ state }: KvWorld, request: Request): Ours {
  const problem = requestProblem(request, LIMITS);
  if (problem !== undefined) return { type: "refused", error: problem };
  if (request.type === "range") return state.range(request);
  if (request.type === "txn" && isReadOnlyTxn(request)) return state.readTxn(request);
  return state.apply(request);
}

function difference(request: Request, ours: Ours, theirs: EtcdAnswer): string | undefined {
  if (ours.type === "fatal") return "ours fails";
  if (ours.type === "refused" || theirs.type === "refused") {
    if (ours.type !== theirs.type) return "one is refused";
    if (ours.type !== "refused" || theirs.type !== "refused") return undefined;
    const isSame = ours.error.message === theirs.message && ours.error.code === theirs.code;
    return isSame ? undefined : "other errors";
  }
  // etcd 3.4 has no header on the answer to an alarm that was not on; 3.6 fills one in.
  if (theirs.header !== undefined && ours.revision !== theirs.header.revision) return "other revisions";
  return answerProblem(
    request as ClientRequest,
    theirs.response as ClientResponse,
    ours.response as ClientResponse,
  );
}

describe.skipIf(NO_ETCD !== undefined)("beside a real etcd", () => {
  let pair: Pair;
  beforeAll(async () => {
    pair = new Pair(await RealEtcd.start(["--max-txn-ops", String(MAX_TXN_OPS)]));
  });
  afterAll(() => pair.etcd.stop());

  it(`answers ${REQUESTS} random requests alike (seed ${SEED})`, async () => {
    const { world } = pair;
    const { store, leases, alarms } = world.state;
    const random = seeded(SEED);
    const maker = new RequestMaker(random, {
      get revision() {
        return store.revision;
      },
      get compactRevision() {
        return store.compactRevision;
      },
      get leases() {
        return leases.ids();
      },
      get alarmed() {
        return alarms.isFull || alarms.isCorrupt;
      },
    });
    for (let i = 0; i < REQUESTS && pair.differences.length < 40; i++) {
      const request = draw(maker, random.int(0, 10));
      if (request !== undefined) await pair.ask(request);
    }
    expect(pair.takeDifferences()).toBe("");
    expect(pair.compared).toBeGreaterThan(REQUESTS * 0.8);
  });

  it.each(ROWS)("agrees on $name", async ({ requests }) => {
    const before = [put("k", "before"), put("m", "before")];
    for (const request of [...before, ...requests(pair.world.state.store.revision + before.length)]) {
      await pair.ask(request);
    }
    expect(pair.takeDifferences()).toBe("");
  });

  it("tells watchers of the same events", async () => {
    const { store } = pair.world.state;
    const from = Math.max(1, store.compactRevision);
    const all = { key: bytesOf("\0"), rangeEnd: bytesOf("\0") };
    const ours = store
      .history(all, from, store.revision, Number.POSITIVE_INFINITY)
      .sets.flatMap(({ changes }) => changes.map((change) => store.event(change, true)));
    const theirs = await pair.etcd.watch(from, ours.at(-1)?.kv.modRevision ?? 0);
    expect(theirs.length).toBe(ours.length);
    theirs.forEach((event, i) => {
      expect(showAnswer(event)).toBe(showAnswer(ours[i]));
    });
  });
});

const alarm = (action: AlarmRequest["action"]): AlarmRequest => ({
  type: "alarm",
  action,
  member: 1n,
  alarm: "nospace",
});

interface Row {
  readonly name: string;
  /** @param revision of the store when the first is asked */
  requests(revision: number): readonly AnyRequest[];
}

const OVERLAPS: Readonly<Record<string, readonly RequestOp[]>> = {
  "a put and a delete-range over it": [put("k"), del("a", "z")],
  "a put and a delete of it": [put("k"), del("k")],
  "a put and a delete-range that ends at it": [put("k"), del("a", "k")],
  "a put and a delete from it on": [put("k", "after", { prevKv: true }), del("k", "\0", true)],
  "a delete from a key on, twice the same put behind it": [del("k", "\0"), put("k"), put("k")],
  "deletes over each other": [del("a", "z", true), del("k", "", true)],
  "a put and a nested put": [txn([], [put("k")]), put("k")],
  "a put in both branches of a nested txn": [txn([], [put("k")], [put("k")])],
  "puts in two nested txns": [txn([], [put("k")]), txn([], [], [put("k")])],
  "a nested delete before a put": [txn([], [del("k", "", true)]), put("k", "after", { prevKv: true })],
  "a nested delete before a nested put": [txn([], [del("k")]), txn([], [put("k", "after")])],
  "a nested put before a nested delete": [txn([], [put("k", "between")]), txn([], [del("k", "", true)])],
  "a nested put before a delete": [txn([], [put("k", "between")]), del("k", "", true)],
  "a delete in the branch that is not taken": [txn([], [put("k")], [del("m")]), put("m")],
  "a range between changes of its key": [txn([], [put("k", "between")]), range("k"), txn([], [del("k")])],
};

const TOO_LONG = 9_000_000_001;
const ROWS: readonly Row[] = [
  ...Object.entries(OVERLAPS).map(([name, ops]) => ({ name, requests: () => [txn([], ops)] })),
  {
    name: "the order of refusals of leases",
    requests: () => [
      grant(77n, LONG),
      grant(77n, TOO_LONG),
      grant(78n, TOO_LONG),
      put("absent", "", { lease: 79n, ignoreValue: true }),
      put("absent", "1", { lease: 79n, ignoreValue: true }),
      put("", "1", { ignoreValue: true }),
      txn([], [put("absent", "", { lease: 79n, ignoreValue: true })]),
      txn([], [put("k", "", { lease: 79n, ignoreValue: true })]),
    ],
  },
  {
    name: "NOSPACE and what else is wrong",
    requests: (revision) => [
      alarm("activate"),
      grant(77n, TOO_LONG),
      grant(78n, TOO_LONG),
      put("a", "", { lease: 79n }),
      put("", "1"),
      txn([], [put("a"), put("a")]),
      txn([], [range("a", "", { revision: revision + 9 }), put("a")]),
      txn([], [range("a"), del("m")]),
      compaction(revision + 9),
      range("k"),
      alarm("deactivate"),
    ],
  },
  {
    name: "compactions, and reads below and above",
    requests: (revision) => [
      compaction(revision + 1),
      compaction(-1),
      compaction(revision - 1),
      compaction(revision - 1),
      compaction(0),
      range("k", "", { revision: revision - 2 }),
      range("k", "", { revision: revision - 1 }),
      range("k", "", { revision: revision + 1 }),
      txn([], [range("k", "", { revision: -1 })]),
      txn([], [range("k", "", { revision: revision - 2 }), put("k", "never")]),
      txn([], [range("k", "", { revision: revision + 1 }), put("k", "never")]),
      txn([], [put("k", "new"), range("k", "", { revision: revision - 1 }), range("k")]),
    ],
  },
  {
    name: "limits, orders and filters together",
    requests: (revision) => [
      ...["a", "b", "c", "d", "e"].map((name, i) => put(`order/${name}`, String(9 - i))),
      put("order/a", "again"),
      ...(["none", "ascend", "descend"] as const).flatMap((sortOrder) =>
        (["key", "version", "create", "mod", "value"] as const).flatMap((sortTarget) =>
          [0, 2, 5, 6].flatMap((limit) => [
            range("order/", "order0", { limit, sortOrder, sortTarget }),
            range("order/", "order0", { limit, sortOrder, sortTarget, minModRevision: revision + 3 }),
            range("order/", "order0", { limit, sortOrder, sortTarget, maxCreateRevision: revision + 3 }),
          ]),
        ),
      ),
      range("order/", "order0", { limit: 2, countOnly: true, minModRevision: revision + 3 }),
    ],
  },
];

function draw(maker: RequestMaker, dice: number): Request | undefined {
  const request = dice < 6 ? maker.write() : dice < 9 ? maker.range() : maker.readTxn();
  if (request.type === "leaseCheckpoint" || isDeadly(request)) return undefined;
  if (kvRequestProblem(request) !== undefined) return undefined;
  if (request.type === "leaseGrant" && request.ttl < LONG) return { ...request, ttl: request.ttl + LONG };
  return request;
}

/** A put that keeps what a delete before it in the same txn has taken: etcd falls over. */
function isDeadly(request: Request): boolean {
  const ops: (RequestOp | undefined)[] = [];
  const walk = (op: RequestOp | undefined): void => {
    ops.push(op);
    if (op?.type === "txn") [...op.success, ...op.failure].forEach(walk);
  };
  if (request.type === "txn") walk(request);
  const keeps = ops.some((op) => op?.type === "put" && (op.ignoreValue || op.ignoreLease));
  return keeps && ops.some((op) => op?.type === "deleteRange");
}
