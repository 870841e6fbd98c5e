// Goal: requests do what etcd's do. Method: tables named after the rows of etcd.md §1.2; each row is a state, a request
// and its whole answer. A refusal is checked to have changed nothing at all.
import { describe, expect, it } from "vitest";
import { bytesOf, ERR, type KvError } from "../../../../src/base/index.ts";
import type { Compare, KeyValue, KvRequest, KvResponse } from "../../../../src/pb/kv.ts";
import { compaction, compare, del, grant, KvWorld, put, range, txn } from "../../../support/kv-world.ts";

function kv(
  key: string,
  value: string,
  revisions: readonly [create: number, mod: number, version: number],
  lease = 0n,
) {
  const [createRevision, modRevision, version] = revisions;
  return { key: bytesOf(key), value: bytesOf(value), createRevision, modRevision, version, lease };
}

const putDone = (prevKv?: KeyValue): KvResponse => ({ type: "put", prevKv });
const deleted = (count: number, ...prevKvs: KeyValue[]): KvResponse => ({
  type: "deleteRange",
  deleted: count,
  prevKvs,
});

interface Row {
  readonly name: string;
  readonly before?: readonly KvRequest[];
  readonly request: KvRequest;
  readonly revision?: number;
  readonly response?: KvResponse;
  readonly error?: KvError;
  /** Keys afterwards. */
  readonly keys?: readonly string[];
}

function check({ before = [], request, revision, response, error, keys }: Row): void {
  const world = new KvWorld(...before);
  const fingerprint = world.fingerprint();
  const outcome = world.apply(request);
  if (error !== undefined) {
    expect(outcome).toEqual({ type: "refused", error });
    expect(world.fingerprint()).toEqual(fingerprint);
  } else {
    expect(outcome).toEqual({ type: "done", revision, response });
  }
  if (keys !== undefined) expect(world.keys()).toEqual(keys);
  world.state.store.checkInvariants();
  world.state.leases.checkInvariants();
}

describe("Put", () => {
  const rows: readonly Row[] = [
    {
      name: "Initial: the first write is revision 2",
      request: put("a", "1"),
      revision: 2,
      response: putDone(),
    },
    {
      name: "version + 1, create revision kept",
      before: [put("a", "1")],
      request: txn([], [put("a", "2"), range("a")]),
      revision: 3,
      response: {
        type: "txn",
        succeeded: true,
        responses: [
          { type: "put", prevKv: undefined },
          { type: "range", kvs: [kv("a", "2", [2, 3, 2])], more: false, count: 1 },
        ],
      },
    },
    {
      name: "recreated: version 1, new create revision",
      before: [put("a", "1"), del("a"), put("a", "2")],
      request: put("a", "3", { prevKv: true }),
      revision: 5,
      response: putDone(kv("a", "2", [4, 4, 1])),
    },
    {
      name: "prev_kv of a new key is absent",
      request: put("a", "1", { prevKv: true }),
      revision: 2,
      response: putDone(),
    },
    {
      name: "ignore_value keeps the value",
      before: [put("a", "1")],
      request: put("a", "", { ignoreValue: true }),
      revision: 3,
      response: putDone(),
      keys: ["a=1"],
    },
    {
      name: "ignore_value detaches the lease all the same",
      before: [grant(5n), put("a", "1", { lease: 5n }), put("a", "", { ignoreValue: true })],
      request: put("a", "2", { prevKv: true }),
      revision: 4,
      response: putDone(kv("a", "1", [2, 3, 2])),
    },
    {
      name: "ignore_lease keeps the lease",
      before: [grant(5n), put("a", "1", { lease: 5n }), put("a", "2", { ignoreLease: true })],
      request: { type: "leaseRevoke", id: 5n },
      revision: 4,
      response: { type: "leaseRevoke" },
      keys: [],
    },
    {
      name: "ignore_value of a missing key",
      before: [put("a"), del("a")],
      request: put("a", "", { ignoreValue: true }),
      error: ERR.keyNotFound,
    },
    {
      name: "ignore_lease of a missing key",
      request: put("a", "1", { ignoreLease: true }),
      error: ERR.keyNotFound,
    },
    {
      name: "unknown lease",
      before: [put("a")],
      request: put("a", "1", { lease: 7n }),
      error: ERR.leaseNotFound,
    },
    {
      name: "the lease is looked up before the key",
      request: put("a", "", { lease: 7n, ignoreValue: true }),
      error: ERR.leaseNotFound,
    },
    {
      name: "lease 0 detaches the old lease",
      before: [grant(5n), put("a", "1", { lease: 5n }), put("a", "2")],
      request: { type: "leaseRevoke", id: 5n },
      revision: 3,
      response: { type: "leaseRevoke" },
      keys: ["a=2"],
    },
    {
      name: "another lease takes the key over",
      before: [grant(5n), grant(6n), put("a", "1", { lease: 5n }), put("a", "2", { lease: 6n })],
      request: { type: "leaseRevoke", id: 6n },
      revision: 4,
      response: { type: "leaseRevoke" },
      keys: [],
    },
  ];
  it.each(rows)("$name", check);
});

describe("DeleteRange", () => {
  const abc = [put("a", "1"), put("b", "2"), put("c", "3")];
  const rows: readonly Row[] = [
    {
      name: "nothing deleted: no revision",
      before: [put("a", "1")],
      request: del("b", "", true),
      revision: 2,
      response: deleted(0),
    },
    {
      name: "one key",
      before: abc,
      request: del("b"),
      revision: 5,
      response: deleted(1),
      keys: ["a=1", "c=3"],
    },
    {
      name: "all keys at one revision, with what they were",
      before: abc,
      request: del("a", "c", true),
      revision: 5,
      response: deleted(2, kv("a", "1", [2, 2, 1]), kv("b", "2", [3, 3, 1])),
      keys: ["c=3"],
    },
    {
      name: "from a key on",
      before: abc,
      request: del("b", "\0"),
      revision: 5,
      response: deleted(2),
      keys: ["a=1"],
    },
    {
      name: "everything",
      before: abc,
      request: del("\0", "\0"),
      revision: 5,
      response: deleted(3),
      keys: [],
    },
    { name: "an empty range", before: abc, request: del("c", "a"), revision: 4, response: deleted(0) },
    {
      name: "what is deleted already does not count",
      before: [...abc, del("b")],
      request: del("a", "z"),
      revision: 6,
      response: deleted(2),
    },
  ];
  it.each(rows)("$name", check);
});

describe("Compare", () => {
  const before = [grant(5n), put("a", "1"), put("a", "2"), put("b", "1", { lease: 5n })];
  const version = (value: number) => ({ type: "version", value }) as const;
  const value = (text: string) => ({ type: "value", value: bytesOf(text) }) as const;
  const rows: readonly { name: string; compares: readonly Compare[]; holds: boolean }[] = [
    { name: "none", compares: [], holds: true },
    { name: "version equal", compares: [compare("a", version(2))], holds: true },
    { name: "version not equal", compares: [compare("a", version(2), "notEqual")], holds: false },
    { name: "version greater", compares: [compare("a", version(1), "greater")], holds: true },
    {
      name: "version not greater than itself",
      compares: [compare("a", version(2), "greater")],
      holds: false,
    },
    { name: "version less", compares: [compare("a", version(3), "less")], holds: true },
    { name: "create", compares: [compare("a", { type: "create", value: 2 })], holds: true },
    { name: "mod", compares: [compare("a", { type: "mod", value: 3 })], holds: true },
    { name: "value", compares: [compare("a", value("2"))], holds: true },
    { name: "value less, by bytes", compares: [compare("a", value("11"), "less")], holds: false },
    { name: "value with a longer one", compares: [compare("a", value("20"), "less")], holds: true },
    { name: "lease", compares: [compare("b", { type: "lease", value: 5n })], holds: true },
    { name: "lease of a key without", compares: [compare("a", { type: "lease", value: 0n })], holds: true },
    { name: "lease less", compares: [compare("b", { type: "lease", value: -1n }, "greater")], holds: true },
    { name: "all must hold", compares: [compare("a", version(2)), compare("b", version(2))], holds: false },
    { name: "missing key has version 0", compares: [compare("x", version(0))], holds: true },
    {
      name: "missing key has mod 0",
      compares: [compare("x", { type: "mod", value: 1 }, "less")],
      holds: true,
    },
    { name: "missing key has create 0", compares: [compare("x", { type: "create", value: 0 })], holds: true },
    { name: "missing key has lease 0", compares: [compare("x", { type: "lease", value: 0n })], holds: true },
    { name: "value of a missing key: equal", compares: [compare("x", value(""))], holds: false },
    {
      name: "value of a missing key: not equal",
      compares: [compare("x", value(""), "notEqual")],
      holds: false,
    },
    { name: "value of a missing key: less", compares: [compare("x", value("z"), "less")], holds: false },
    { name: "range: all keys", compares: [compare("a", version(0), "greater", "c")], holds: true },
    { name: "range: one does not hold", compares: [compare("a", version(1), "greater", "c")], holds: false },
    { name: "range from a key on", compares: [compare("b", version(1), "equal", "\0")], holds: true },
    { name: "empty range is a missing key", compares: [compare("x", version(0), "equal", "z")], holds: true },
    { name: "value over an empty range", compares: [compare("x", value(""), "notEqual", "z")], holds: false },
    // etcd's switches pass over numbers that they do not know (proven by test/integration/etcd-differential).
    { name: "unknown result", compares: [{ ...compare("a", version(2)), result: undefined }], holds: true },
    {
      name: "unknown result over a missing value",
      compares: [{ ...compare("x", value("")), result: undefined }],
      holds: false,
    },
    { name: "unknown target is equal", compares: [compare("a", undefined)], holds: true },
    { name: "unknown target is not less", compares: [compare("a", undefined, "less")], holds: false },
  ];
  it.each(rows)("$name", ({ compares, holds }) => {
    const world = new KvWorld(...before);
    expect(world.mustDo(txn(compares, [put("yes")], [put("no")])).response).toMatchObject({
      succeeded: holds,
    });
    expect(world.keys()).toContain(holds ? "yes=" : "no=");
    // A read-only txn judges alike.
    const read = new KvWorld(...before).state.readTxn(txn(compares, [range("a")], []));
    expect(read).toMatchObject({ type: "done", response: { succeeded: holds } });
  });
});

describe("Txn execution", () => {
  const ok = (...responses: object[]) => ({ type: "txn", succeeded: true, responses }) as KvResponse;
  const isNew = (key: string) => compare(key, { type: "version", value: 0 });
  const rows: readonly Row[] = [
    {
      name: "nothing changed: begin",
      before: [put("a")],
      request: txn([], [del("b")]),
      revision: 2,
      response: ok(deleted(0)),
    },
    {
      name: "one revision for all changes",
      request: txn([], [put("a"), put("b"), txn([], [put("c")])]),
      revision: 2,
      response: ok(putDone(), putDone(), ok(putDone())),
    },
    {
      name: "ranges see earlier writes",
      before: [put("a", "1")],
      request: txn(
        [],
        [range("a"), put("a", "2"), range("a"), del("b", "z"), range("a", "", { revision: 2 })],
      ),
      revision: 3,
      response: ok(
        { type: "range", kvs: [kv("a", "1", [2, 2, 1])], more: false, count: 1 },
        putDone(),
        { type: "range", kvs: [kv("a", "2", [2, 3, 2])], more: false, count: 1 },
        deleted(0),
        { type: "range", kvs: [kv("a", "1", [2, 2, 1])], more: false, count: 1 },
      ),
    },
    {
      name: "nested compares are judged on the state before the txn",
      request: txn([], [put("a"), txn([isNew("a")], [put("new")], [put("old")])]),
      revision: 2,
      response: ok(putDone(), ok(putDone())),
      keys: ["a=", "new="],
    },
    {
      name: "the path of branches not taken is not looked at",
      request: txn([isNew("a")], [put("b")], [put("a", "", { ignoreValue: true })]),
      revision: 2,
      response: ok(putDone()),
    },
    {
      name: "deletes see earlier writes",
      request: txn([], [put("a"), txn([], [del("a", "\0")])]),
      revision: 2,
      response: ok(putDone(), ok(deleted(1))),
      keys: [],
    },
    {
      name: "deleted from a key on, then written: a new key",
      before: [put("a", "1"), put("b", "2")],
      request: txn([], [del("a", "\0"), put("a", "3"), range("a")]),
      revision: 4,
      response: ok(deleted(2), putDone(), {
        type: "range",
        kvs: [kv("a", "3", [4, 4, 1])],
        more: false,
        count: 1,
      }),
      keys: ["a=3"],
    },
    {
      name: "a value kept of a key that the txn deleted from a key on is empty",
      before: [put("a", "1")],
      request: txn([], [del("a", "\0"), put("a", "", { ignoreValue: true })]),
      revision: 3,
      response: ok(deleted(1), putDone()),
      keys: ["a="],
    },
    {
      name: "put of an unknown lease fails the whole txn",
      request: txn([], [put("a"), put("b", "", { lease: 9n })]),
      error: ERR.leaseNotFound,
    },
    {
      name: "ignore_value is judged on the state before the txn",
      request: txn([], [put("a"), txn([], [put("b", "", { ignoreValue: true })])]),
      error: ERR.keyNotFound,
    },
    {
      name: "an empty operation that got into the log",
      request: txn([], [put("a"), undefined]),
      error: ERR.keyNotFound,
    },
  ];
  it.each(rows)("$name", check);

  const failing = [
    { name: "future", revision: 4, error: ERR.futureRevision },
    { name: "compacted", revision: 1, error: ERR.compacted },
    { name: "negative", revision: -1, error: ERR.compacted },
  ];
  it.each(failing)("a txn whose range fails applies nothing: $name", ({ revision, error }) => {
    const before = [put("a", "1"), put("a", "2"), compaction(2)];
    const bad = range("a", "", { revision });
    // The range is judged before the writes, in front of it, behind it and inside.
    for (const ops of [
      [put("a", "3"), bad],
      [bad, del("a")],
      [put("b"), txn([], [put("c"), txn([], [bad])])],
    ]) {
      check({ name: "", before, request: txn([], ops), error });
    }
    const readable = txn([], [put("a", "3"), range("a", "", { revision: 2 })]);
    expect(new KvWorld(...before).apply(readable).type).toBe("done");
  });

  it("a range at revision -1 is the newest only while nothing was compacted", () => {
    const request = txn([], [put("b"), range("a", "", { revision: -1 })]);
    expect(new KvWorld(put("a")).apply(request).type).toBe("done");
    expect(new KvWorld(put("a"), compaction(0)).apply(request)).toEqual({
      type: "refused",
      error: ERR.compacted,
    });
  });
});

describe("Compact", () => {
  const before = [put("a", "1"), put("a", "2"), put("a", "3"), compaction(3)];
  const response = { type: "compaction" } as const;
  const rows: readonly Row[] = [
    { name: "header carries the current revision", before, request: compaction(4), revision: 4, response },
    { name: "at the floor", before, request: compaction(3), error: ERR.compacted },
    { name: "below the floor", before, request: compaction(0), error: ERR.compacted },
    { name: "in the future", before, request: compaction(5), error: ERR.futureRevision },
    { name: "0 works once", before: [put("a")], request: compaction(0), revision: 2, response },
    { name: "and no more", before: [put("a"), compaction(0)], request: compaction(0), error: ERR.compacted },
    { name: "negative", request: compaction(-1), error: ERR.compacted },
    { name: "of the empty store", request: compaction(1), revision: 1, response },
  ];
  it.each(rows)("$name", check);

  it("is told to the listener, in order with the changes", () => {
    const world = new KvWorld(put("a"), del("a"), compaction(2), txn([], [put("b"), put("c")]));
    world.apply(compaction(2));
    world.apply(del("x"));
    expect(world.heard).toEqual(["2 put a", "3 delete a", "compacted 2", "4 put b", "4 put c"]);
  });
});
