/**
 * Breaks a valid history in one place. Every mutation is illegal by an argument of its own, given beside it;
 * one that finds nothing in the history to break returns undefined.
 */

import {
  isSerializable,
  type KvHistory,
  type KvOperation,
  type LeaseReadRecord,
  type OperationOutcome,
  type WatchAnswer,
  type WatchRecord,
} from "../../../chaos/check/index.ts";
import { bytesOf, ERR } from "../../../src/base/index.ts";
import type { Event, KeyValue, RangeResponse } from "../../../src/pb/kv.ts";
import type { Generated } from "./generate.ts";
import type { Random } from "./random.ts";

export type Mutation = (generated: Generated, random: Random) => KvHistory | undefined;

type Ok = Extract<OperationOutcome, { type: "ok" }>;
interface Answered extends KvOperation {
  readonly outcome: Ok;
}

const WRONG = bytesOf("never written");

function answered(history: KvHistory): Answered[] {
  return history.operations.filter((operation): operation is Answered => operation.outcome.type === "ok");
}

function withOperation(history: KvHistory, changed: KvOperation | undefined): KvHistory | undefined {
  if (changed === undefined) return undefined;
  const operations = history.operations.map((operation) =>
    operation.id === changed.id ? changed : operation,
  );
  return { ...history, operations };
}

/** Changes the answer of a random operation among those for which `change` gives another one. */
function changeAnswer(change: (operation: Answered) => Partial<Ok> | undefined): Mutation {
  return ({ history }, random) => {
    const chosen = random.maybe(answered(history).filter((operation) => change(operation) !== undefined));
    if (chosen === undefined) return undefined;
    return withOperation(history, { ...chosen, outcome: { ...chosen.outcome, ...change(chosen) } });
  };
}

function changeRange(change: (range: RangeResponse) => RangeResponse | undefined): Mutation {
  return changeAnswer(({ outcome: { response } }) => {
    const changed = response.type === "range" ? change(response) : undefined;
    return changed === undefined ? undefined : { response: changed };
  });
}

function changeFirst(kvs: readonly KeyValue[], part: Partial<KeyValue>): readonly KeyValue[] {
  return kvs.map((kv, i) => (i === 0 ? { ...kv, ...part } : kv));
}

/** Answers: one of them is not the model's, and the model's answer at a revision is the only one. */
const OF_ANSWERS: Readonly<Record<string, Mutation>> = {
  "wrong value read": changeRange((r) =>
    r.kvs.length === 0 ? undefined : { ...r, kvs: changeFirst(r.kvs, { value: WRONG }) },
  ),
  "wrong version read": changeRange((r) =>
    r.kvs.length === 0 ? undefined : { ...r, kvs: changeFirst(r.kvs, { version: 99 }) },
  ),
  "wrong create revision read": changeRange((r) =>
    r.kvs.length === 0 ? undefined : { ...r, kvs: changeFirst(r.kvs, { createRevision: 1 }) },
  ),
  "wrong lease read": changeRange((r) =>
    r.kvs.length === 0 ? undefined : { ...r, kvs: changeFirst(r.kvs, { lease: 999n }) },
  ),
  "wrong count": changeRange((r) => ({ ...r, count: r.count + 1 })),
  "wrong more": changeRange((r) => ({ ...r, more: !r.more })),
  "key left out": changeRange((r) => (r.kvs.length === 0 ? undefined : { ...r, kvs: r.kvs.slice(1) })),
  "key twice": changeRange((r) => (r.kvs.length === 0 ? undefined : { ...r, kvs: [...r.kvs, ...r.kvs] })),
  "wrong prevKv of a put": changeAnswer(({ request, outcome: { response } }) => {
    if (response.type !== "put" || request.type !== "put" || !request.prevKv) return undefined;
    const prevKv = response.prevKv === undefined ? NOBODY : undefined;
    return { response: { ...response, prevKv } };
  }),
  "prevKv that was not asked for": changeAnswer(({ request, outcome: { response } }) => {
    if (response.type !== "put" || request.type !== "put" || request.prevKv) return undefined;
    return { response: { ...response, prevKv: NOBODY } };
  }),
  "wrong number deleted": changeAnswer(({ outcome: { response } }) =>
    response.type === "deleteRange" && response.deleted > 0
      ? { response: { ...response, deleted: response.deleted + 1 } }
      : undefined,
  ),
  "wrong branch": changeAnswer(({ outcome: { response } }) =>
    response.type === "txn" ? { response: { ...response, succeeded: !response.succeeded } } : undefined,
  ),
  "response of a txn left out": changeAnswer(({ outcome: { response } }) =>
    response.type === "txn" && response.responses.length > 0
      ? { response: { ...response, responses: response.responses.slice(1) } }
      : undefined,
  ),
  "wrong lease granted": changeAnswer(({ request, outcome: { response } }) =>
    response.type === "leaseGrant" && request.type === "leaseGrant"
      ? { response: { ...response, ttl: request.ttl - 1 } }
      : undefined,
  ),
  "revision that never was": changeAnswer(({ outcome }) => ({ revision: outcome.revision + 1_000 })),
  // Its value was written by it alone, and the revision before is another's.
  "write at another revision": changeAnswer(({ request, outcome }) =>
    request.type === "put" ? { revision: outcome.revision - 1 } : undefined,
  ),
};

const NOBODY: KeyValue = {
  key: bytesOf("nobody"),
  createRevision: 3,
  modRevision: 3,
  version: 1,
  value: WRONG,
  lease: 0n,
};

/** Who made which revision, and when. */
const OF_ORDER: Readonly<Record<string, Mutation>> = {
  "two puts swap their revisions": ({ history }, random) => {
    const puts = answered(history).filter(({ request }) => request.type === "put" && !request.ignoreValue);
    const [a, b] = [random.maybe(puts), random.maybe(puts)];
    if (a === undefined || b === undefined || a === b) return undefined;
    const once = withOperation(history, { ...a, outcome: { ...a.outcome, revision: b.outcome.revision } });
    if (once === undefined) return undefined;
    return withOperation(once, { ...b, outcome: { ...b.outcome, revision: a.outcome.revision } });
  },
  "a write that was acknowledged by nobody else": ({ history }, random) => {
    const put = random.maybe(answered(history).filter(({ request }) => request.type === "put"));
    if (put === undefined || put.request.type !== "put") return undefined;
    const lost = {
      ...put,
      id: 100_000,
      client: 99,
      connection: 99,
      request: { ...put.request, value: WRONG },
    };
    return { ...history, operations: [...history.operations, lost] };
  },
  "a put that made a revision was refused": ({ history }, random) => {
    const put = random.maybe(
      answered(history).filter(({ request }) => request.type === "put" && !request.ignoreValue),
    );
    if (put === undefined) return undefined;
    return withOperation(history, {
      ...put,
      outcome: { type: "refused", error: ERR.tooManyRequests.message },
    });
  },
  // Returned before an operation was called that knows nothing of it.
  "early return": ({ history }, random) => {
    const all = answered(history);
    const writes = all.filter(({ request }) => request.type === "put");
    const pairs = writes.flatMap((write) =>
      all
        .filter(
          (later) =>
            later.call > write.call + 1 &&
            !isSerializable(later.request) &&
            later.outcome.revision < write.outcome.revision,
        )
        .map((later) => ({ write, later })),
    );
    const pair = random.maybe(pairs);
    if (pair === undefined) return undefined;
    return withOperation(history, { ...pair.write, returned: pair.later.call - 1 });
  },
  "late call": ({ history }, random) => {
    const all = answered(history);
    const pairs = all
      .filter(({ request }) => request.type === "put")
      .flatMap((write) =>
        all
          .filter(
            (seen) => seen.outcome.revision >= write.outcome.revision && seen.returned < write.returned - 1,
          )
          .map((seen) => ({ write, seen })),
      );
    const pair = random.maybe(pairs);
    if (pair === undefined) return undefined;
    return withOperation(history, { ...pair.write, call: pair.seen.returned + 1 });
  },
  // As it would have been right before a write that had returned when the read was called.
  "stale read": ({ history, model }, random) => {
    const all = answered(history);
    const reads = all.filter(
      ({ request }) => request.type === "range" && !request.serializable && request.revision === 0,
    );
    const cases = reads.flatMap((read) =>
      all
        .filter(({ returned, request }) => returned < read.call && request.type === "put")
        .map((write) => ({ read, revision: write.outcome.revision - 1 })),
    );
    const found = random.maybe(cases);
    if (found === undefined || found.read.request.type !== "range") return undefined;
    const { read, revision } = found;
    const view = { revision, compactRevision: -1, hasLease: () => true };
    const stale = model.range(found.read.request, view);
    if (stale.response?.type !== "range") return undefined;
    return withOperation(history, { ...read, outcome: { type: "ok", revision, response: stale.response } });
  },
  "a serializable read goes back on its connection": ({ history, model }, random) => {
    const all = answered(history);
    const reads = all.filter(
      ({ request }) => request.type === "range" && request.serializable && request.revision === 0,
    );
    const cases = reads.flatMap((read) =>
      all
        .filter(
          ({ connection, returned, request }) =>
            connection === read.connection && returned < read.call && request.type === "put",
        )
        .map((write) => ({ read, revision: write.outcome.revision - 1 })),
    );
    const found = random.maybe(cases);
    if (found === undefined || found.read.request.type !== "range") return undefined;
    const view = { revision: found.revision, compactRevision: -1, hasLease: () => true };
    const stale = model.range(found.read.request, view);
    if (stale.response?.type !== "range") return undefined;
    const outcome: Ok = { type: "ok", revision: found.revision, response: stale.response };
    return withOperation(history, { ...found.read, outcome });
  },
  "a read is refused for a compaction that was not made": ({ history }, random) => {
    const highest = Math.max(
      -1,
      ...history.operations.map(({ request }) => (request.type === "compaction" ? request.revision : -1)),
    );
    const read = random.maybe(
      answered(history).filter(
        ({ request }) => request.type === "range" && (request.revision === 0 || request.revision > highest),
      ),
    );
    if (read === undefined) return undefined;
    return withOperation(history, { ...read, outcome: { type: "refused", error: ERR.compacted.message } });
  },
  "a read of the present is refused as one of the future": ({ history }, random) => {
    const read = random.maybe(
      answered(history).filter(({ request }) => request.type === "range" && request.revision === 0),
    );
    if (read === undefined) return undefined;
    return withOperation(history, {
      ...read,
      outcome: { type: "refused", error: ERR.futureRevision.message },
    });
  },
  "an invalid request gets another error": ({ history }, random) => {
    const refused = history.operations.filter(
      ({ outcome }) => outcome.type === "refused" && outcome.error === ERR.emptyKey.message,
    );
    const chosen = random.maybe(refused);
    if (chosen === undefined) return undefined;
    return withOperation(history, {
      ...chosen,
      outcome: { type: "refused", error: ERR.keyNotFound.message },
    });
  },
  "a keepalive revives a lease that was never granted": ({ history }) => ({
    ...history,
    keepAlives: [
      ...history.keepAlives,
      { client: 98, member: "m1", lease: 12_345n, call: 1, returned: history.end, revision: 1, ttl: 3 },
    ],
  }),
};

/** Changes an answer about leases. */
function changeLeaseRead(
  change: (said: LeaseReadRecord["said"]) => LeaseReadRecord["said"] | undefined,
): Mutation {
  return ({ history }, random) => {
    // Without a log nobody knows which leases there are.
    if (history.log === undefined) return undefined;
    const able = history.leaseReads.filter(({ said }) => change(said) !== undefined);
    const chosen = random.maybe(able);
    if (chosen === undefined) return undefined;
    const said = change(chosen.said) ?? chosen.said;
    const leaseReads = history.leaseReads.map((other) => (other === chosen ? { ...other, said } : other));
    return { ...history, leaseReads };
  };
}

/** Only with a log. */
const OF_LOG: Readonly<Record<string, Mutation>> = {
  "a list of leases has one that was never granted": changeLeaseRead((said) =>
    said.type === "all" ? { ...said, leases: [...said.leases, 12_345_678n] } : undefined,
  ),
  "a lease has another key": changeLeaseRead((said) =>
    said.type === "one" && said.ttl >= 0
      ? { ...said, keys: [...(said.keys ?? []), Uint8Array.of(255)] }
      : undefined,
  ),
  "a lease was granted for another time": changeLeaseRead((said) =>
    said.type === "one" && said.ttl >= 0 ? { ...said, grantedTtl: said.grantedTtl + 1_000 } : undefined,
  ),
  "a lease that was never granted has time left": changeLeaseRead((said) =>
    said.type === "one" ? { ...said, lease: 12_345_678n, ttl: 3, grantedTtl: 4 } : undefined,
  ),
  "an acknowledged write is not in the log": ({ history }, random) => {
    const record = random.maybe(
      (history.log ?? []).filter(({ operation, request }) => {
        const owner = history.operations.find(({ id }) => id === operation);
        return owner?.outcome.type === "ok" && request.type === "put";
      }),
    );
    return record === undefined
      ? undefined
      : { ...history, log: history.log?.filter((other) => other !== record) };
  },
  "a write takes effect twice": ({ history }, random) => {
    const record = random.maybe(
      (history.log ?? []).filter(({ request, operation }) => {
        const owner = history.operations.find(({ id }) => id === operation);
        return request.type === "put" && owner?.outcome.type !== "refused";
      }),
    );
    if (record === undefined) return undefined;
    const again = { ...record, identity: "again", index: (history.log?.length ?? 0) + 1, at: history.end };
    return { ...history, log: [...(history.log ?? []), again] };
  },
  "a log record holds another value": ({ history }, random) => {
    const record = random.maybe((history.log ?? []).filter(({ request }) => request.type === "put"));
    if (record === undefined || record.request.type !== "put") return undefined;
    const changed = { ...record, request: { ...record.request, value: WRONG } };
    return { ...history, log: history.log?.map((other) => (other === record ? changed : other)) };
  },
  "committed before it was called": ({ history }, random) => {
    const record = random.maybe((history.log ?? []).filter(({ operation }) => operation !== undefined));
    if (record === undefined) return undefined;
    const changed = { ...record, at: 0 };
    return { ...history, log: history.log?.map((other) => (other === record ? changed : other)) };
  },
  "a request that nobody made": ({ history }) => {
    const last = history.log?.findLast(({ request }) => request.type === "put");
    if (last === undefined) return undefined;
    const phantom = { ...last, operation: undefined, identity: "phantom" };
    return { ...history, log: [...(history.log ?? []), phantom] };
  },
};

/** Members. */
const OF_MEMBERS: Readonly<Record<string, Mutation>> = {
  "a member lost a key": (generated, random) =>
    changeDump(generated, random, (kvs) => (kvs.length === 0 ? undefined : kvs.slice(1))),
  "a member kept a key": (generated, random) => changeDump(generated, random, (kvs) => [...kvs, NOBODY]),
  "a member holds another value": (generated, random) =>
    changeDump(generated, random, (kvs) =>
      kvs.length === 0 ? undefined : changeFirst(kvs, { value: WRONG }),
    ),
  "a member is behind": ({ history }) => ({
    ...history,
    dumps: history.dumps.map((dump, i) => (i === 1 ? { ...dump, revision: dump.revision - 1 } : dump)),
  }),
  "a member has another hash": ({ history }) => ({
    ...history,
    dumps: history.dumps.map((dump, i) =>
      i === 1 ? { ...dump, hashes: dump.hashes.map((hash) => ({ ...hash, hash: hash.hash + 1 })) } : dump,
    ),
  }),
  "two members give one revision another hash": ({ history }) => {
    const at = { revision: 5, compactRevision: -1 };
    const hashAnswers = [
      { ...at, member: "m1", hash: 1 },
      { ...at, member: "m2", hash: 2 },
    ];
    return { ...history, hashAnswers };
  },
  "a member has another lease": ({ history }) => ({
    ...history,
    dumps: history.dumps.map((dump, i) =>
      i === 2 ? { ...dump, leases: [...(dump.leases ?? []), { id: 4_242n, ttl: 5, keys: [] }] } : dump,
    ),
  }),
  "a member is compacted elsewhere": ({ history }) => ({
    ...history,
    dumps: history.dumps.map((dump, i) =>
      i === 2 ? { ...dump, compactRevision: dump.compactRevision + 1 } : dump,
    ),
  }),
};

function changeDump(
  { history }: Generated,
  random: Random,
  change: (kvs: readonly KeyValue[]) => readonly KeyValue[] | undefined,
): KvHistory | undefined {
  const chosen = random.int(0, history.dumps.length);
  const kvs = change(history.dumps[chosen]?.kvs ?? []);
  if (kvs === undefined) return undefined;
  return { ...history, dumps: history.dumps.map((dump, i) => (i === chosen ? { ...dump, kvs } : dump)) };
}

/**
 * Changes the answers of a watcher that was told of everything to the end, so that whatever is missing or
 * added shows.
 */
function changeWatch(
  change: (watch: WatchRecord, random: Random, generated: Generated) => readonly WatchAnswer[] | undefined,
): Mutation {
  return (generated, random) => {
    const { history } = generated;
    const able = history.watches.filter(
      (watch) => watch.mustReachEnd && watch.answers.every((answer) => !answer.canceled),
    );
    const watch = random.maybe(able);
    const answers = watch === undefined ? undefined : change(watch, random, generated);
    if (answers === undefined) return undefined;
    const watches = history.watches.map((other) => (other === watch ? { ...other, answers } : other));
    return { ...history, watches };
  };
}

/** Changes one event of a watcher. */
function changeEvent(
  change: (event: Event, watch: WatchRecord, generated: Generated) => Event | undefined,
): Mutation {
  return changeWatch((watch, random, generated) => {
    const places = watch.answers.flatMap((answer) =>
      answer.events.map((event) => ({ answer, event, changed: change(event, watch, generated) })),
    );
    const place = random.maybe(places.filter(({ changed }) => changed !== undefined));
    if (place === undefined) return undefined;
    return replaceEvents(watch, place.answer, (events) =>
      events.map((event) => (event === place.event ? (place.changed ?? event) : event)),
    );
  });
}

function replaceEvents(
  watch: WatchRecord,
  answer: WatchAnswer,
  change: (events: readonly Event[]) => readonly Event[],
): readonly WatchAnswer[] {
  return watch.answers.map((other) =>
    other === answer ? { ...other, events: change(other.events) } : other,
  );
}

function withEvents(watch: WatchRecord): WatchAnswer[] {
  return watch.answers.filter((answer) => answer.events.length > 0);
}

const OF_WATCHERS: Readonly<Record<string, Mutation>> = {
  "it is cancelled without a word from its client": changeWatch((watch) => {
    const last = watch.answers.at(-1);
    return (
      last && [...watch.answers, { ...last, created: false, canceled: true, fragment: false, events: [] }]
    );
  }),
  "an event is dropped": changeWatch((watch, random) => {
    const answer = random.maybe(withEvents(watch));
    if (answer === undefined) return undefined;
    if (answer.events.length === 1) return watch.answers.filter((other) => other !== answer);
    const lost = random.int(0, answer.events.length);
    return replaceEvents(watch, answer, (events) => events.filter((_, i) => i !== lost));
  }),
  "an event comes twice": changeWatch((watch, random) => {
    const answer = random.maybe(withEvents(watch));
    if (answer === undefined) return undefined;
    return replaceEvents(watch, answer, (events) => [...events, ...events.slice(-1)]);
  }),
  "an answer comes twice": changeWatch((watch, random) => {
    const answer = random.maybe(withEvents(watch));
    if (answer === undefined) return undefined;
    return watch.answers.flatMap((other) => (other === answer ? [other, other] : [other]));
  }),
  "two events swap places": changeWatch((watch, random) => {
    const answer = random.maybe(watch.answers.filter(({ events }) => events.length > 1));
    return answer === undefined ? undefined : replaceEvents(watch, answer, (events) => events.toReversed());
  }),
  "two answers swap places": changeWatch((watch, random) => {
    const answers = withEvents(watch);
    const first = random.int(0, Math.max(1, answers.length - 1));
    const [a, b] = [answers[first], answers[first + 1]];
    if (a === undefined || b === undefined) return undefined;
    return watch.answers.map((other) => {
      if (other === a) return { ...a, events: b.events };
      return other === b ? { ...b, events: a.events } : other;
    });
  }),
  "a revision is split": changeWatch((watch, random) => {
    const isWhole = ({ fragment, events }: WatchAnswer): boolean =>
      !fragment && events.length > 1 && events.at(-1)?.kv.modRevision === events.at(-2)?.kv.modRevision;
    const answer = random.maybe(watch.answers.filter(isWhole));
    if (answer === undefined) return undefined;
    return watch.answers.flatMap((other) =>
      other === answer
        ? [
            { ...other, events: other.events.slice(0, -1) },
            { ...other, events: other.events.slice(-1) },
          ]
        : [other],
    );
  }),
  "an event of another key": changeEvent((event) => ({
    ...event,
    kv: { ...event.kv, key: bytesOf("zz") },
  })),
  "an event of another value": changeEvent((event) =>
    event.type === "put" ? { ...event, kv: { ...event.kv, value: WRONG } } : undefined,
  ),
  "an event of another version": changeEvent((event) => ({
    ...event,
    kv: { ...event.kv, version: event.kv.version + 1 },
  })),
  "a put that should be a creation": changeEvent((event) =>
    event.type === "put" && event.kv.version > 1
      ? { ...event, kv: { ...event.kv, version: 1, createRevision: event.kv.modRevision } }
      : undefined,
  ),
  "a delete in place of a put": changeEvent((event) =>
    event.type === "put" ? { ...event, type: "delete" } : undefined,
  ),
  "an event of another revision": changeEvent((event) => ({
    ...event,
    kv: { ...event.kv, modRevision: event.kv.modRevision - 1 },
  })),
  "another prevKv": changeEvent((event) => ({ ...event, prevKv: NOBODY })),
  "prevKv is left out": changeEvent((event, _watch, { history }) => {
    const isCompacted = history.operations.some(
      ({ request }) => request.type === "compaction" && request.revision > event.kv.modRevision - 1,
    );
    return event.prevKv === undefined || isCompacted ? undefined : { ...event, prevKv: undefined };
  }),
  "progress before the events of it": changeWatch((watch, random) => {
    const answer = random.maybe(withEvents(watch));
    if (answer === undefined) return undefined;
    const progress = { ...answer, events: [], fragment: false };
    return watch.answers.flatMap((other) => (other === answer ? [progress, other] : [other]));
  }),
  "something before created": changeWatch((watch) =>
    watch.answers.length > 1 ? watch.answers.toReversed() : undefined,
  ),
  "created twice": changeWatch((watch) =>
    watch.answers.flatMap((answer) => (answer.created ? [answer, answer] : [answer])),
  ),
  "never created": changeWatch((watch) => watch.answers.filter((answer) => !answer.created)),
  "cancelled for a compaction that was not made": changeWatch((watch, _random, { history }) => [
    ...watch.answers,
    answerOf(watch, { at: history.end, canceled: true, compactRevision: 100_000 }),
  ]),
  "the header goes back": changeWatch((watch) => [
    ...watch.answers,
    answerOf(watch, { at: (watch.answers.at(-1)?.at ?? 0) + 1, revision: 0 }),
  ]),
  "it never hears of the end": changeWatch((watch) => {
    const last = watch.answers.findLastIndex((answer) => answer.events.length > 0);
    return last < 0 ? undefined : watch.answers.filter((_, i) => i !== last);
  }),
  "older than asked": changeWatch((watch, _random, { model }) => {
    const start = watch.request.startRevision;
    const older = model.changes.findLast((change) => change.revision < start)?.events[0];
    if (start < 3 || older === undefined) return undefined;
    const [created, ...rest] = watch.answers;
    if (created === undefined) return undefined;
    return [
      created,
      answerOf(watch, { at: created.at, revision: created.revision, events: [older] }),
      ...rest,
    ];
  }),
};

function answerOf(watch: WatchRecord, parts: Partial<WatchAnswer>): WatchAnswer {
  return {
    at: watch.call,
    revision: watch.answers.at(-1)?.revision ?? 1,
    created: false,
    canceled: false,
    compactRevision: 0,
    cancelReason: "",
    fragment: false,
    events: [],
    ...parts,
  };
}

/** All mutations by name. */
export const MUTATIONS: Readonly<Record<string, Mutation>> = {
  ...OF_ANSWERS,
  ...OF_ORDER,
  ...OF_LOG,
  ...OF_MEMBERS,
  ...OF_WATCHERS,
};
