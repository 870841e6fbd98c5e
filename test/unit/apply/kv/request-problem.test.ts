// Goal: what is refused before it is proposed is refused for etcd's reason, in etcd's order (etcd.md §1.2, rows "Txn
// limits" and "Txn validity"). Method: a table of requests, each with the error that it must get; a request that is
// wrong in two ways gets the first.
import { describe, expect, it } from "vitest";
import {
  DEFAULT_REQUEST_LIMITS,
  isReadOnlyTxn,
  isSerializableTxn,
  requestProblem,
} from "../../../../src/apply/index.ts";
import { ERR, type KvError } from "../../../../src/base/index.ts";
import type { KvRequest, RangeRequest, TxnRequest } from "../../../../src/pb/kv.ts";
import { compaction, compare, del, grant, put, range, txn } from "../../../support/kv-world.ts";

const LIMITS = { ...DEFAULT_REQUEST_LIMITS, maxTxnOps: 4 };
const VERSION = { type: "version", value: 0 } as const;
const isNew = compare("a", VERSION);
const puts = (...keys: string[]) => keys.map((key) => put(key));
const nested = (success: TxnRequest["success"], failure: TxnRequest["success"] = []) =>
  txn([], success, failure);

interface Row {
  readonly name: string;
  readonly request: KvRequest | RangeRequest;
  readonly error?: KvError;
}

const rows: readonly Row[] = [
  { name: "put", request: put("a", "1") },
  { name: "put without key", request: put(""), error: ERR.emptyKey },
  {
    name: "put that ignores its value",
    request: put("a", "1", { ignoreValue: true }),
    error: ERR.valueProvided,
  },
  { name: "put that ignores no value", request: put("a", "", { ignoreValue: true }) },
  {
    name: "put that ignores its lease",
    request: put("a", "", { ignoreLease: true, lease: 1n }),
    error: ERR.leaseProvided,
  },
  { name: "put that ignores no lease", request: put("a", "1", { ignoreLease: true }) },
  {
    name: "the value is looked at before the lease",
    request: put("a", "1", { ignoreValue: true, ignoreLease: true, lease: 1n }),
    error: ERR.valueProvided,
  },
  { name: "the key before both", request: put("", "1", { ignoreValue: true }), error: ERR.emptyKey },
  { name: "delete without key", request: del("", "z"), error: ERR.emptyKey },
  { name: "delete of an empty range", request: del("z", "a") },
  { name: "range without key", request: range(""), error: ERR.emptyKey },
  { name: "range of an empty range", request: range("z", "a") },
  { name: "unknown order", request: range("a", "", { sortOrder: undefined }), error: ERR.invalidSortOption },
  {
    name: "unknown target",
    request: range("a", "", { sortTarget: undefined }),
    error: ERR.invalidSortOption,
  },
  { name: "no key and unknown order", request: range("", "", { sortOrder: undefined }), error: ERR.emptyKey },
  { name: "compaction at any revision", request: compaction(-5) },
  { name: "lease with any TTL", request: grant(1n, 9_000_000_001) },

  { name: "empty txn", request: txn([]) },
  { name: "as many operations as allowed", request: txn([], puts("a", "b", "c", "d")) },
  { name: "one more in success", request: txn([], puts("a", "b", "c", "d", "e")), error: ERR.tooManyOps },
  { name: "one more in failure", request: txn([], [], puts("a", "b", "c", "d", "e")), error: ERR.tooManyOps },
  { name: "one more compare", request: txn([isNew, isNew, isNew, isNew, isNew]), error: ERR.tooManyOps },
  { name: "branches do not add up", request: txn([isNew], puts("a", "b", "c"), puts("a", "b", "c", "d")) },
  {
    name: "a nested txn has what is left",
    request: txn([], [nested(puts("a", "b", "c"))]),
  },
  { name: "and no more", request: txn([], [nested(puts("a", "b", "c", "d"))]), error: ERR.tooManyOps },
  {
    name: "what is left is after the longest of the three",
    request: txn([isNew, isNew], [nested(puts("a", "b", "c"))]),
    error: ERR.tooManyOps,
  },
  {
    name: "the number is looked at before the keys",
    request: txn([compare("", VERSION)], puts("a", "b", "c", "d", "e")),
    error: ERR.tooManyOps,
  },
  { name: "compare without key", request: txn([compare("", VERSION)]), error: ERR.emptyKey },
  { name: "empty operation", request: txn([], [undefined]), error: ERR.keyNotFound },
  { name: "empty operation in failure", request: txn([], [], [undefined]), error: ERR.keyNotFound },
  { name: "the first wrong operation counts", request: txn([], [put(""), undefined]), error: ERR.emptyKey },
  { name: "success before failure", request: txn([], [put("")], [undefined]), error: ERR.emptyKey },
  {
    name: "operations are checked before overlaps",
    request: txn([], [put("a"), put("a"), put("")]),
    error: ERR.emptyKey,
  },
  {
    name: "nested operation is checked",
    request: txn([], [nested([range("a", "", { sortOrder: undefined })])]),
    error: ERR.invalidSortOption,
  },

  { name: "one key put twice", request: txn([], puts("a", "a")), error: ERR.duplicateKey },
  { name: "in failure too", request: txn([], [], puts("a", "a")), error: ERR.duplicateKey },
  { name: "one key in both branches", request: txn([], puts("a"), puts("a")) },
  { name: "put and delete", request: txn([], [put("a"), del("a")]), error: ERR.duplicateKey },
  { name: "delete and put", request: txn([], [del("a"), put("a")]), error: ERR.duplicateKey },
  {
    name: "put in a range that is deleted",
    request: txn([], [put("b"), del("a", "c")]),
    error: ERR.duplicateKey,
  },
  { name: "put at the end of a range that is deleted", request: txn([], [put("c"), del("a", "c")]) },
  { name: "put behind a key that is deleted", request: txn([], [put("a\0"), del("a")]) },
  { name: "deletes that overlap", request: txn([], [del("a", "c"), del("b", "d"), del("b")]) },
  {
    name: "joined deletes",
    request: txn([], [del("b", "c"), del("a", "b"), put("b")]),
    error: ERR.duplicateKey,
  },
  { name: "delete of an empty range and put", request: txn([], [del("c", "a"), put("b")]) },
  { name: "put and nested put", request: txn([], [put("a"), nested(puts("a"))]), error: ERR.duplicateKey },
  {
    name: "two nested puts",
    request: txn([], [nested(puts("a")), nested(puts("a"))]),
    error: ERR.duplicateKey,
  },
  { name: "nested puts in both branches", request: txn([], [nested(puts("a"), puts("a"))]) },
  {
    name: "nested put in failure and another nested put",
    request: txn([], [nested([], puts("a")), nested([], puts("a"))]),
    error: ERR.duplicateKey,
  },
  { name: "delete and nested put", request: txn([], [nested(puts("a")), del("a")]), error: ERR.duplicateKey },
  {
    name: "nested delete and put",
    request: txn([], [put("a"), nested([del("a")])]),
    error: ERR.duplicateKey,
  },
  {
    name: "nested delete and a later nested put",
    request: txn([], [nested([del("a")]), nested(puts("a"))]),
    error: ERR.duplicateKey,
  },
  {
    name: "etcd does not hold a nested delete against an earlier nested put",
    request: txn([], [nested(puts("a")), nested([del("a")])]),
  },
  { name: "etcd holds no delete from a key on against a put", request: txn([], [del("a", "\0"), put("b")]) },
];

describe("what is wrong with a request by itself", () => {
  it.each(rows)("$name", ({ request, error }) => {
    expect(requestProblem(request, LIMITS)).toBe(error);
  });

  it("its size comes last", () => {
    const max = DEFAULT_REQUEST_LIMITS.maxRequestBytes;
    expect(requestProblem(put("a"), LIMITS, max)).toBeUndefined();
    expect(requestProblem(put("a"), LIMITS, max + 1)).toBe(ERR.requestTooLarge);
    expect(requestProblem(put(""), LIMITS, max + 1)).toBe(ERR.emptyKey);
  });

  it("takes no longer than it should for many deletes and puts", () => {
    const wide = { ...LIMITS, maxTxnOps: 1_000_000 };
    const keys = Array.from({ length: 40_000 }, (_, i) => String(i).padStart(6, "0"));
    const request = txn([], [...keys.map((key) => del(`d${key}`)), ...keys.map((key) => put(`p${key}`))]);
    expect(requestProblem(request, wide)).toBeUndefined();
  });
});

describe("kinds of txn", () => {
  const kinds = [
    {
      name: "ranges only",
      txn: txn([isNew], [range("a")], [range("b")]),
      readOnly: true,
      serializable: false,
    },
    { name: "no operation", txn: txn([isNew]), readOnly: true, serializable: true },
    {
      name: "a put in failure",
      txn: txn([], [range("a")], [put("a")]),
      readOnly: false,
      serializable: false,
    },
    {
      name: "a nested txn counts as a write",
      txn: txn([], [nested([range("a")])]),
      readOnly: false,
      serializable: false,
    },
    {
      name: "serializable if all ranges are",
      txn: txn([], [range("a", "", { serializable: true })]),
      readOnly: true,
      serializable: true,
    },
  ];
  it.each(kinds)("$name", ({ txn: request, readOnly, serializable }) => {
    expect([isReadOnlyTxn(request), isSerializableTxn(request)]).toEqual([readOnly, serializable]);
  });
});
