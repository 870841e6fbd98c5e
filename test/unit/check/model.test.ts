// Goal: the model that judges all answers has etcd's semantics (etcd.md §1.2, §1.4). Method: one row per rule
// that is easily got wrong, each a few requests on a fresh model and what the last of them is answered.
import { expect, test } from "vitest";
import { latin1, Model, type ModelOutcome } from "../../../chaos/check/index.ts";
import { bytesOf, EMPTY_BYTES, ERR } from "../../../src/base/index.ts";
import type { Compare, KvRequest, RangeRequest, RequestOp, TxnRequest } from "../../../src/pb/kv.ts";
import { putOf, rangeOf } from "../../support/plain-requests.ts";

const END = bytesOf("\0");

function put(key: string, value: string, options: Parameters<typeof putOf>[2] = {}): KvRequest & RequestOp {
  return putOf(bytesOf(key), bytesOf(value), options);
}

function remove(key: string, rangeEnd = ""): KvRequest & RequestOp {
  return { type: "deleteRange", key: bytesOf(key), rangeEnd: bytesOf(rangeEnd), prevKv: false };
}

function range(key: string, options: Partial<RangeRequest> = {}): RangeRequest {
  return rangeOf(bytesOf(key), { rangeEnd: END, ...options });
}

function txn(compare: Compare[], success: (RequestOp | undefined)[], failure: RequestOp[] = []): TxnRequest {
  return { type: "txn", compare, success, failure };
}

function compare(key: string, target: Compare["target"], rangeEnd = ""): Compare {
  return { result: "equal", key: bytesOf(key), rangeEnd: bytesOf(rangeEnd), target };
}

const compact = (revision: number): KvRequest => ({ type: "compaction", revision, physical: false });
const grant = (id: bigint): KvRequest => ({ type: "leaseGrant", id, ttl: 5 });
const revoke = (id: bigint): KvRequest => ({ type: "leaseRevoke", id });

/** The answer in a few words: an error's text, or revision and what counts. */
function tell({ revision, response, error }: ModelOutcome): string {
  if (error !== undefined) return error.message;
  return `${revision}: ${tellResponse(response)}`;
}

function tellResponse(response: NonNullable<ModelOutcome["response"]>): string {
  if (response.type === "range") {
    const keys = response.kvs.map(
      (kv) => `${latin1(kv.key)}${kv.createRevision}.${kv.modRevision}.${kv.version}`,
    );
    return `${keys.join(" ")} of ${response.count}${response.more ? " more" : ""}`;
  }
  if (response.type === "deleteRange") return `deleted ${response.deleted}`;
  if (response.type !== "txn") return response.type;
  return `${response.succeeded ? "then" : "else"}(${response.responses.map(tellResponse).join(", ")})`;
}

const NEVER = compare("a", { type: "value", value: bytesOf("x") });
const THREE = [put("a", "3"), put("b", "2"), put("c", "1")];

test.each<[string, readonly KvRequest[], KvRequest | RangeRequest, string]>([
  ["the first write is revision 2", [], put("a", "1"), "2: put"],
  ["an empty store is at 1", [], range("\0"), "1:  of 0"],
  ["a recreated key starts anew", [put("a", "1"), remove("a"), put("a", "2")], range("a"), "4: a4.4.1 of 1"],
  ["version and create revision", [put("a", "1"), put("a", "2")], range("a"), "3: a2.3.2 of 1"],
  ["nothing deleted, no revision", [put("a", "1")], remove("b"), "2: deleted 0"],
  ["key >= end is empty", [put("b", "1")], range("b", { rangeEnd: bytesOf("a") }), "2:  of 0"],
  ["limit and more, count is of all", THREE, range("a", { limit: 2 }), "4: a2.2.1 b3.3.1 of 3 more"],
  [
    "limit + 1 cut by key, then sorted",
    THREE,
    range("a", { limit: 1, sortTarget: "value" }),
    "4: b3.3.1 of 3 more",
  ],
  [
    "sorted, then cut",
    THREE,
    range("a", { limit: 1, sortTarget: "value", sortOrder: "ascend" }),
    "4: c4.4.1 of 3 more",
  ],
  ["filters leave the count", THREE, range("a", { minModRevision: 4 }), "4: c4.4.1 of 3"],
  ["an old revision, header of now", THREE, range("a", { revision: 2 }), "4: a2.2.1 of 1"],
  ["the future", [], range("a", { revision: 2 }), ERR.futureRevision.message],
  ["below the floor", [...THREE, compact(3)], range("a", { revision: 2 }), ERR.compacted.message],
  ["at the floor", [...THREE, compact(3)], range("a", { revision: 3 }), "4: a2.2.1 b3.3.1 of 2"],
  ["compact 0 works once", [compact(0)], compact(0), ERR.compacted.message],
  ["compact the future", [], compact(2), ERR.futureRevision.message],
  ["ignoreValue of nothing", [], put("a", "", { ignoreValue: true }), ERR.keyNotFound.message],
  ["ignoreValue with one", [], put("a", "1", { ignoreValue: true }), ERR.valueProvided.message],
  ["unknown lease", [], put("a", "1", { lease: 5n }), ERR.leaseNotFound.message],
  ["lease before key", [], put("a", "", { lease: 5n, ignoreValue: true }), ERR.leaseNotFound.message],
  ["lease twice", [grant(5n)], grant(5n), ERR.leaseExists.message],
  ["revoke deletes in one revision", [grant(5n), put("a", "1", { lease: 5n })], revoke(5n), "3: leaseRevoke"],
  ["revoke of no keys makes none", [grant(5n)], revoke(5n), "1: leaseRevoke"],
  [
    "put without lease detaches",
    [grant(5n), put("a", "1", { lease: 5n }), put("a", "2")],
    revoke(5n),
    "3: leaseRevoke",
  ],
  ["the value of nothing never compares", [], txn([NEVER], []), "1: else()"],
  ["absent compares as zero", [], txn([compare("a", { type: "version", value: 0 })], []), "1: then()"],
  ["all keys of a range", THREE, txn([compare("a", { type: "version", value: 1 }, "\0")], []), "4: then()"],
  ["one of a range", THREE, txn([compare("a", { type: "mod", value: 2 }, "\0")], []), "4: else()"],
  ["reads see writes of the txn", [], txn([], [put("a", "1"), range("a")]), "2: then(put, a2.2.1 of 1)"],
  ["nested compares see none", [], txn([], [put("a", "x"), txn([NEVER], [])]), "2: then(put, else())"],
  ["one revision for all", THREE, txn([], [put("d", "1"), remove("a", "c")]), "5: then(put, deleted 2)"],
  [
    "a bad range fails all",
    [],
    txn([], [put("a", "1"), range("a", { revision: 9 })]),
    ERR.futureRevision.message,
  ],
  ["negative in a txn", [compact(0)], txn([], [range("a", { revision: -1 })]), ERR.compacted.message],
  ["the same put twice", [], txn([], [put("a", "1"), put("a", "2")]), ERR.duplicateKey.message],
  ["put and delete", [], txn([], [put("a", "1"), remove("a", "b")]), ERR.duplicateKey.message],
  ["put in both branches", [], txn([], [put("a", "1")], [put("a", "2")]), "2: then(put)"],
  ["an empty operation", [], txn([], [undefined]), ERR.keyNotFound.message],
  [
    "129 operations",
    [],
    txn(
      [],
      Array.from({ length: 129 }, () => range("a")),
    ),
    ERR.tooManyOps.message,
  ],
  ["no key", [], rangeOf(EMPTY_BYTES), ERR.emptyKey.message],
])("%s", (_name, before, request, answer) => {
  const model = new Model();
  for (const earlier of before) model.apply(earlier);
  const [revision, kvs, leases] = [model.revision, model.keyValues(), model.leases()];
  const outcome = request.type === "range" ? model.range(request) : model.apply(request);
  expect(tell(outcome)).toBe(answer);
  if (outcome.error === undefined) return;
  expect([model.revision, model.keyValues(), model.leases()]).toEqual([revision, kvs, leases]);
});

test("a revoke deletes keys in order of bytes, and the events carry what was before", () => {
  const model = new Model();
  model.apply(grant(5n));
  for (const key of ["b", "a", "\u00e9"]) model.apply(put(key, "1", { lease: 5n }));
  model.apply(revoke(5n));
  const events = model.changes.at(-1)?.events ?? [];
  expect(
    events.map(({ type, kv, prevKv }) => [type, latin1(kv.key), kv.version, prevKv?.modRevision]),
  ).toEqual([
    ["delete", "a", 0, 3],
    ["delete", "b", 0, 2],
    ["delete", "\u00c3\u00a9", 0, 4],
  ]);
});

test("preview and peek change nothing", () => {
  const model = new Model();
  model.apply(grant(5n));
  model.apply(put("a", "1", { lease: 5n }));
  const before = JSON.stringify(model.keyValues(), (_name, value) =>
    typeof value === "bigint" ? `${value}` : value,
  );
  expect(model.preview(txn([], [remove("a"), put("b", "1", { lease: 5n })]))).toHaveLength(2);
  expect(model.peek(remove("a"))).toBeUndefined();
  expect(model.peek(remove("b"))?.response).toMatchObject({ deleted: 0 });
  const after = JSON.stringify(model.keyValues(), (_name, value) =>
    typeof value === "bigint" ? `${value}` : value,
  );
  expect(after).toBe(before);
  expect(model.leases().map(({ keys }) => keys.map(latin1))).toEqual([["a"]]);
});
