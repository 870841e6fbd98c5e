// Goal: watch streams answer as etcd's do (etcd: v3rpc/watch.go, mvcc/watchable_store.go), row by row, and
// the bugs that etcd had stay out, each by its number. Method: transcripts over a dumb store; a line is one
// response.
import { describe, expect, it } from "vitest";
import { bytesOf } from "../../../src/base/index.ts";
import { DamagedError } from "../../../src/mvcc/index.ts";
import type { Change } from "../../../src/mvcc/types.ts";
import type { Event } from "../../../src/pb/kv.ts";
import type { WatchCreate } from "../../../src/watch/index.ts";
import { WatchHub } from "../../../src/watch/index.ts";
import { DumbStore } from "../../support/dumb-store.ts";
import { drain, NO_CHANCE, WatchWorld, watchOf } from "./watch-kit.ts";

const COMPACTED = "etcdserver: mvcc: required revision has been compacted";

describe("create", () => {
  const rows: readonly [string, Partial<WatchCreate> & { end?: string }, string, string][] = [
    ["a key", {}, "a", "0@1: created"],
    ["a range", { end: "b" }, "a", "0@1: created"],
    ["from a key on", { end: "\0" }, "b", "0@1: created"],
    ["an empty key", {}, "", "0@1: created"],
    ["all keys", { end: "\0" }, "", "0@1: created"],
    ["an ID of its own", { watchId: 7 }, "a", "7@1: created"],
    ["a negative ID", { watchId: -9 }, "a", "-9@1: created"],
    ["a future revision", { startRevision: 100 }, "a", "0@1: created"],
    ["a clamped int64 as revision", { startRevision: Number.MAX_SAFE_INTEGER }, "a", "0@1: created"],
    ["an empty range", { end: "a" }, "a", '-1@1: created canceled "mvcc: watcher range is empty"'],
    ["a range turned round", { end: "a" }, "b", '-1@1: created canceled "mvcc: watcher range is empty"'],
    ["a negative revision", { startRevision: -1 }, "a", `-1@1: created canceled "${COMPACTED}"`],
    [
      "a negative revision first",
      { startRevision: -1, end: "a" },
      "b",
      `-1@1: created canceled "${COMPACTED}"`,
    ],
  ];
  it.each(rows)("%s", (_name, more, key, line) => {
    const world = new WatchWorld();
    const stream = world.open();
    const id = world.watch(stream, key, more);
    expect(drain(stream)).toEqual([line]);
    expect(stream.watchers).toBe(id === -1 ? 0 : 1);
    world.hub.checkInvariants();
  });

  it("chooses IDs from 0, skipping those in use; a duplicate is refused and the first goes on", () => {
    const world = new WatchWorld();
    const stream = world.open();
    const ids = [
      world.watch(stream, "a", { watchId: 1 }),
      world.watch(stream, "a"),
      world.watch(stream, "a"),
      world.watch(stream, "a", { watchId: 2 }),
    ];
    expect(ids).toEqual([1, 0, 2, -1]);
    expect(drain(stream)[3]).toBe(
      '-1@1: created canceled "mvcc: duplicate watch ID provided on the WatchStream"',
    );
    expect(world.watch(world.open(), "a", { watchId: 1 })).toBe(1);
    world.write({ put: "a" });
    expect(drain(stream).sort()).toEqual(["0@2: a=v2@2", "1@2: a=v2@2", "2@2: a=v2@2"]);
  });

  it("created comes before every event", () => {
    const world = new WatchWorld();
    world.write({ put: "a" });
    const stream = world.open();
    world.watch(stream, "a", { startRevision: 1 });
    world.write({ put: "a" });
    world.settle();
    expect(drain(stream)).toEqual(["0@2: created", "0@3: a=v2@2 a=v3@3"]);
  });

  it("after close there is nothing", () => {
    const world = new WatchWorld();
    const stream = world.open();
    world.watch(stream, "a");
    world.watch(stream, "a", { startRevision: 1 });
    stream.close();
    world.write({ put: "a" });
    world.settle();
    expect(stream.take()).toBeUndefined();
    expect(world.watch(stream, "a")).toBe(-1);
    expect([stream.watchers, stream.queuedBytes]).toEqual([0, 0]);
    expect(world.hub.count()).toEqual({ streams: 0, watchers: 0, behind: 0 });
  });
});

describe("which keys", () => {
  const keys = ["", "\0", "\0\0", "a", "a\0", "aa", "b", "c", "\u00ff"];
  const rows: readonly [string, string, string | undefined, string[]][] = [
    ["one key", "a", undefined, ["a"]],
    ["an empty key is the smallest", "", undefined, ["\0"]],
    ["a range has no end key", "a", "b", ["a", "a\0", "aa"]],
    ["from a key on", "b", "\0", ["b", "c", "\u00ff"]],
    ["everything", "", "\0", ["\0", "\0\0", "a", "a\0", "aa", "b", "c", "\u00ff"]],
    ["a range from the smallest key", "", "a", ["\0", "\0\0"]],
  ];
  it.each(rows)("%s", (_name, key, end, wanted) => {
    const world = new WatchWorld();
    const [live, old] = [world.open(), world.open()];
    const more = end === undefined ? {} : { end };
    world.watch(live, key, more);
    for (const one of keys) if (one !== "") world.write({ put: one, value: "x" });
    world.watch(old, key, { ...more, startRevision: 1 });
    world.settle();
    const seen = (lines: string[]) =>
      lines
        .slice(1)
        .join(" ")
        .match(/\S+=x/g)
        ?.map((s) => s.slice(0, -2));
    expect(seen(drain(live).map((line) => line.replace(/^\S+ /, "")))).toEqual(wanted);
    expect(seen(drain(old).map((line) => line.replace(/^\S+ /, "")))).toEqual(wanted);
  });
});

describe("start revision", () => {
  it.each([
    [0, []],
    [1, ["a=v2@2", "a=v3@3", "-a@4", "a=v5@5"]],
    [2, ["a=v2@2", "a=v3@3", "-a@4", "a=v5@5"]],
    [3, ["a=v3@3", "-a@4", "a=v5@5"]],
    [5, ["a=v5@5"]],
    [6, []],
  ])("%i of 5", (startRevision, old) => {
    const world = new WatchWorld();
    world.write({ put: "a" });
    world.write({ put: "a" });
    world.write({ delete: "a" });
    world.write({ put: "a" });
    const stream = world.open();
    world.watch(stream, "a", { startRevision });
    world.settle();
    world.write({ put: "a" });
    const caughtUp = old.length === 0 ? [] : [`0@5: ${old.join(" ")}`];
    expect(drain(stream)).toEqual(["0@5: created", ...caughtUp, "0@6: a=v6@6"]);
  });

  it("the smallest budget serves one watcher a slice, the one that is furthest behind first", () => {
    const world = new WatchWorld();
    for (let i = 0; i < 600; i++) world.write({ put: "a" });
    const stream = world.open();
    world.watch(stream, "a", { startRevision: 600 });
    for (let i = 0; i < 3; i++) world.watch(stream, "a", { startRevision: 2 });
    drain(stream);
    const behind: number[] = [];
    for (let i = 0; i < 4; i++) {
      world.tick(1);
      behind.push(world.hub.count().behind);
    }
    // The others have one slice of 512 each, and need another.
    expect(behind).toEqual([4, 4, 4, 3]);
    expect(drain(stream).map((line) => line.slice(0, 2))).toEqual(["1@", "2@", "3@", "0@"]);
  });

  it("large values end a slice before its changes do, and nothing is lost or told twice", () => {
    const world = new WatchWorld();
    const value = "x".repeat(300_000);
    for (let i = 0; i < 12; i++) world.write({ put: "a", value }, { put: "b" });
    const stream = world.open();
    world.watch(stream, "a", { startRevision: 2 });
    const slices: string[] = [];
    for (let i = 0; i < 4; i++) {
      world.tick(1);
      slices.push(drain(stream).join(" ").replace(/x+/g, "").replaceAll("0@13: ", ""));
    }
    expect(slices).toEqual([
      "0@13: created a=@2 a=@3 a=@4 a=@5".replace("0@13: ", ""),
      "a=@6 a=@7 a=@8 a=@9",
      "a=@10 a=@11 a=@12 a=@13",
      "",
    ]);
    expect(world.hub.count().behind).toBe(0);
  });

  it("of the future is waited for", () => {
    const world = new WatchWorld();
    const stream = world.open();
    world.watch(stream, "a", { startRevision: 4 });
    for (let i = 0; i < 4; i++) world.write({ put: "a" });
    expect(drain(stream)).toEqual(["0@1: created", "0@4: a=v4@4", "0@5: a=v5@5"]);
  });
});

describe("events", () => {
  it("of one revision come together, in order, each once (#17247)", () => {
    const world = new WatchWorld();
    const [stream, old] = [world.open(), world.open()];
    world.watch(stream, "a", { end: "z" });
    world.watch(stream, "b");
    world.write({ put: "c" }, { put: "a" }, { put: "b" }, { put: "zz" });
    world.write({ delete: "a" }, { delete: "nothing" }, { put: "b" });
    world.watch(old, "a", { end: "z", startRevision: 1 });
    world.settle();
    const lines = drain(stream).slice(2).sort();
    expect(lines).toEqual(["0@2: c=v2@2 a=v2@2 b=v2@2", "0@3: -a@3 b=v3@3", "1@2: b=v2@2", "1@3: b=v3@3"]);
    expect(drain(old)).toEqual(["0@3: created", "0@3: c=v2@2 a=v2@2 b=v2@2 -a@3 b=v3@3"]);
  });

  it.each([
    ["no filter", {}, ["0@2: a=v2@2", "0@3: -a@3"], "0@3: a=v2@2 -a@3"],
    ["noPut", { noPut: true }, ["0@3: -a@3"], "0@3: -a@3"],
    ["noDelete", { noDelete: true }, ["0@2: a=v2@2"], "0@3: a=v2@2"],
    ["both: nothing is sent", { noPut: true, noDelete: true }, [], undefined],
  ])("filters: %s", (_name, more, live, late) => {
    const world = new WatchWorld();
    const [stream, old] = [world.open(), world.open()];
    world.watch(stream, "a", more);
    world.write({ put: "a" });
    world.write({ delete: "a" });
    expect(drain(stream).slice(1)).toEqual(live);
    world.watch(old, "a", { ...more, startRevision: 1 });
    world.settle();
    expect(drain(old).slice(1)).toEqual(late === undefined ? [] : [late]);
    expect(world.hub.count().behind).toBe(0);
  });

  it("prevKv is what was before; absent for creations, and when compacted by the time it is sent", () => {
    const world = new WatchWorld();
    const [stream, old] = [world.open(), world.open()];
    world.watch(stream, "a", { prevKv: true });
    world.write({ put: "a" });
    world.write({ put: "a" });
    world.write({ delete: "a" });
    world.write({ put: "a" });
    const wanted = ["a=v2@2", "a=v3@3(was v2@2)", "-a@4(was v3@3)", "a=v5@5"];
    expect(drain(stream).slice(1)).toEqual(wanted.map((event, i) => `0@${i + 2}: ${event}`));
    world.compact(3);
    world.watch(old, "a", { prevKv: true, startRevision: 3 });
    world.settle();
    expect(drain(old).slice(1)).toEqual(["0@5: a=v3@3 -a@4(was v3@3) a=v5@5"]);
  });

  it("bytes are made once for all watchers of a change", () => {
    const world = new WatchWorld();
    const [one, two] = [world.open(), world.open()];
    world.watch(one, "a", { end: "b" });
    world.watch(two, "a");
    one.take();
    two.take();
    world.write({ put: "a" });
    expect(one.take()?.events[0]).toBe(two.take()?.events[0]);
  });
});

describe("cancel", () => {
  it("ends the watcher; an unknown ID is passed over; the ID is free again", () => {
    const world = new WatchWorld();
    const stream = world.open();
    world.watch(stream, "a", { watchId: 5 });
    world.write({ put: "a" });
    stream.cancel(6);
    stream.cancel(5);
    stream.cancel(5);
    world.write({ put: "a" });
    expect(drain(stream)).toEqual(["5@1: created", "5@2: a=v2@2", "5@2: canceled"]);
    expect(world.watch(stream, "a", { watchId: 5 })).toBe(5);
  });

  it("of one that is behind", () => {
    const world = new WatchWorld();
    world.write({ put: "a" });
    const stream = world.open();
    world.watch(stream, "a", { startRevision: 1 });
    world.watch(stream, "a", { startRevision: 2 });
    stream.cancel(0);
    world.settle();
    expect(drain(stream)).toEqual(["0@2: created", "1@2: created", "0@2: canceled", "1@2: a=v2@2"]);
  });

  it("below the compaction floor: created, then canceled with the floor and no reason", () => {
    const world = new WatchWorld();
    for (let i = 0; i < 5; i++) world.write({ put: "a" });
    world.compact(4);
    const stream = world.open();
    world.watch(stream, "a", { startRevision: 3 });
    world.watch(stream, "a", { startRevision: 4 });
    expect(drain(stream)).toEqual(["0@6: created", "1@6: created"]);
    world.settle();
    expect(drain(stream)).toEqual(["0@6: canceled compacted 4", "1@6: a=v4@4 a=v5@5 a=v6@6"]);
    expect(stream.watchers).toBe(1);
  });
});

describe("progress", () => {
  const options = { progressIntervalMs: 1000 };

  it("comes in intervals, not when something was sent since, not while behind", () => {
    const world = new WatchWorld(options);
    const stream = world.open();
    world.watch(stream, "a", { progressNotify: true });
    world.watch(stream, "b");
    drain(stream);
    expect(world.hub.nextWake(0)).toBe(1000);
    world.now = 999;
    world.tick();
    expect(drain(stream)).toEqual([]);
    world.now = 1000;
    world.tick();
    expect(drain(stream)).toEqual(["0@1: progress"]);
    world.write({ put: "a" });
    drain(stream);
    world.now = 2000;
    world.tick();
    expect(drain(stream)).toEqual([]);
    world.write({ put: "b" });
    world.now = 3000;
    world.tick();
    expect(drain(stream)).toEqual(["1@3: b=v3@3", "0@3: progress"]);
  });

  it("is not gathered by a client that takes nothing", () => {
    const world = new WatchWorld(options);
    const stream = world.open();
    world.watch(stream, "a", { progressNotify: true });
    for (world.now = 0; world.now < 100_000; world.now += 500) world.tick();
    expect(drain(stream)).toEqual(["0@1: created", "0@1: progress"]);
  });

  it("ends with its last watcher and with its stream", () => {
    const world = new WatchWorld(options);
    const [one, two] = [world.open(), world.open()];
    world.watch(one, "a", { progressNotify: true });
    world.watch(two, "a", { progressNotify: true });
    one.cancel(0);
    two.close();
    world.now = 5000;
    world.tick();
    expect(world.hub.nextWake(5000)).toBe(Number.POSITIVE_INFINITY);
    expect(drain(one)).toEqual(["0@1: created", "0@1: canceled"]);
  });

  it("on request: one answer if all watchers are synced, else silence; none without watchers", () => {
    const world = new WatchWorld();
    world.write({ put: "a" });
    const stream = world.open();
    stream.requestProgress();
    expect(drain(stream)).toEqual([]);
    world.watch(stream, "a");
    stream.requestProgress();
    world.watch(stream, "a", { startRevision: 1 });
    stream.requestProgress();
    expect(drain(stream)).toEqual(["0@2: created", "-1@2: progress", "1@2: created"]);
    world.settle();
    stream.requestProgress();
    expect(drain(stream)).toEqual(["1@2: a=v2@2", "-1@2: progress"]);
  });

  it("on request: a client that takes nothing is not answered without end", () => {
    const world = new WatchWorld();
    const stream = world.open();
    world.watch(stream, "a");
    for (let i = 0; i < 1000; i++) stream.requestProgress();
    expect(drain(stream)).toHaveLength(1 + 16);
    stream.requestProgress();
    expect(drain(stream)).toEqual(["-1@1: progress"]);
  });
});

describe("fragments", () => {
  const rows: readonly [string, Partial<WatchCreate>, number, string[]][] = [
    ["not asked for", {}, 4, ["0@2: a b c d"]],
    ["asked for", { fragment: true }, 4, ["0@2: a b ...", "0@2: c d"]],
    ["asked for, an odd number", { fragment: true }, 3, ["0@2: a b ...", "0@2: c"]],
    ["asked for and small", { fragment: true }, 2, ["0@2: a b"]],
    ["asked for, one event", { fragment: true }, 1, ["0@2: a"]],
  ];
  it.each(rows)("%s", (_name, more, count, wanted) => {
    // 100 B of value, 110 B of event, 48 B for the envelope: two fit below 300 B.
    const world = new WatchWorld({ fragmentBytes: 300 });
    const stream = world.open();
    world.watch(stream, "a", { end: "z", ...more });
    drain(stream);
    const value = "x".repeat(100);
    world.write(...["a", "b", "c", "d"].slice(0, count).map((key) => ({ put: key, value })));
    expect(drain(stream).map((line) => line.replace(/=x+@2/g, ""))).toEqual(wanted);
    expect(stream.queuedBytes).toBe(0);
  });

  it("a single event above the size goes through, and bytes are counted down", () => {
    const world = new WatchWorld({ fragmentBytes: 100 });
    const stream = world.open();
    world.watch(stream, "a", { end: "z", fragment: true });
    stream.take();
    const value = "x".repeat(500);
    world.write({ put: "a", value }, { put: "b", value });
    const all = stream.queuedBytes;
    const first = stream.take();
    expect(first?.events).toHaveLength(1);
    expect(stream.queuedBytes).toBe(all - (first?.eventBytes ?? 0));
    world.hub.checkInvariants();
    expect(stream.take()?.fragment).toBe(false);
    expect(stream.take()).toBeUndefined();
  });
});

describe("onReady", () => {
  it("is called once until the queue is drained, and may take at once", () => {
    const world = new WatchWorld();
    let calls = 0;
    const stream = world.hub.open(() => {
      calls++;
    });
    world.watch(stream, "a");
    world.write({ put: "a" });
    expect(calls).toBe(1);
    drain(stream);
    world.write({ put: "a" });
    world.write({ put: "a" });
    expect(calls).toBe(2);
    const lines: string[] = [];
    const eager = world.hub.open(() => lines.push(...drain(eager)));
    world.watch(eager, "a");
    world.write({ put: "a" });
    expect(lines).toEqual(["0@4: created", "0@5: a=v5@5"]);
  });

  it("may cancel and create from within", () => {
    const world = new WatchWorld();
    const stream = world.hub.open(() => {
      drain(stream);
      if (stream.watchers > 3) stream.cancel(next++);
    });
    let next = 0;
    for (let i = 0; i < 5; i++) world.watch(stream, "a");
    world.write({ put: "a" });
    world.hub.checkInvariants();
    expect(stream.watchers).toBe(3);
  });
});

describe("a full queue", () => {
  const value = "x".repeat(100);
  const limits = { maxQueuedBytes: 600 };

  it("never grows; what did not fit comes later, in order, once", () => {
    const world = new WatchWorld(limits);
    const [slow, quick] = [world.open(), world.open()];
    world.watch(slow, "a");
    world.watch(quick, "a");
    slow.take();
    const seen: string[] = [];
    for (let i = 0; i < 20; i++) {
      world.write({ put: "a", value });
      expect(slow.queuedBytes).toBeLessThanOrEqual(600);
      seen.push(...drain(quick));
    }
    expect(world.hub.count().behind).toBe(1);
    expect(world.hub.nextWake(0)).toBe(Number.POSITIVE_INFINITY);
    const late: string[] = [];
    for (let i = 0; i < 100; i++) {
      const output = slow.take();
      if (output !== undefined) late.push(...output.events.map((_e, n) => `${output.revision}.${n}`));
      world.tick();
    }
    expect(seen).toHaveLength(21);
    expect(late).toHaveLength(20);
    expect(world.hub.count().behind).toBe(0);
  });

  it("a batch larger than the limit goes through alone", () => {
    const world = new WatchWorld({ maxQueuedBytes: 50 });
    const stream = world.open();
    world.watch(stream, "a", { startRevision: 2 });
    drain(stream);
    world.write({ put: "a", value });
    world.write({ put: "a", value });
    expect(drain(stream)).toHaveLength(1);
    world.settle();
    expect(drain(stream)).toHaveLength(1);
    world.settle();
    expect(world.hub.count().behind).toBe(0);
  });

  it("does not hold up other streams, nor write one entry more", () => {
    const world = new WatchWorld(limits);
    const [slow, quick] = [world.open(), world.open()];
    for (let i = 0; i < 10; i++) world.watch(slow, "a");
    drain(slow);
    world.watch(quick, "a");
    let seen = 0;
    for (let i = 0; i < 50; i++) {
      world.write({ put: "a", value });
      seen += drain(quick).length;
      world.tick();
    }
    expect(seen).toBe(51);
    expect(slow.queuedBytes).toBeLessThanOrEqual(600);
  });
});

describe("bugs of etcd", () => {
  it("#15220: a progress report comes behind every event up to its revision", () => {
    const world = new WatchWorld({ maxQueuedBytes: 300 });
    const stream = world.open();
    world.watch(stream, "a", { end: "z" });
    world.watch(stream, "b");
    const lines: string[] = [];
    for (let i = 0; i < 30; i++) {
      world.write({ put: "a", value: "x".repeat(60) }, { put: "b" });
      stream.requestProgress();
      world.tick();
      const output = stream.take();
      if (output !== undefined) lines.push(`${output.watchId}:${output.revision}:${output.events.length}`);
    }
    for (let i = 0; i < 100; i++) {
      world.settle();
      for (let output = stream.take(); output !== undefined; output = stream.take()) {
        lines.push(`${output.watchId}:${output.revision}:${output.events.length}`);
      }
      stream.requestProgress();
    }
    // Once it is reported that revision r was reached, both watchers have had two and one event of each up to
    // r.
    let [first, second, reports] = [0, 0, 0];
    for (const line of lines) {
      const [id, revision, events] = line.split(":").map(Number) as [number, number, number];
      if (id === 0) first += events;
      if (id === 1) second += events;
      if (id !== -1) continue;
      reports++;
      expect([first, second]).toEqual([2 * (revision - 1), revision - 1]);
    }
    expect(reports).toBeGreaterThan(2);
  });

  it("#15271: a watch does not travel back when the store is replaced by a snapshot", () => {
    const world = new WatchWorld();
    const stream = world.open();
    world.watch(stream, "a");
    world.write({ put: "a" });
    world.write({ put: "a" });
    const ahead = world.store.copy();
    for (let i = 0; i < 3; i++) ahead.write({ put: "a" });
    world.hub.restored(ahead.revision, -1, ahead);
    world.store = ahead;
    world.hub.checkInvariants();
    world.write({ put: "a" });
    world.settle();
    world.write({ put: "a" });
    expect(drain(stream).slice(1)).toEqual([
      "0@2: a=v2@2",
      "0@3: a=v3@3",
      "0@7: a=v4@4 a=v5@5 a=v6@6 a=v7@7",
      "0@8: a=v8@8",
    ]);
  });

  it("#15271: a snapshot that is compacted above what a watcher has seen cancels it", () => {
    const world = new WatchWorld();
    const stream = world.open();
    world.watch(stream, "a");
    world.write({ put: "a" });
    const ahead = world.store.copy();
    for (let i = 0; i < 5; i++) ahead.write({ put: "a" });
    ahead.compact(5);
    world.hub.restored(ahead.revision, 5, ahead);
    world.settle();
    expect(drain(stream).slice(1)).toEqual(["0@2: a=v2@2", "0@7: canceled compacted 5"]);
    expect(() => world.hub.restored(3, -1)).toThrow("back in time");
  });

  it("#17529: nobody starves while others are busy or far behind", () => {
    const world = new WatchWorld({ maxQueuedBytes: 2000 });
    for (let i = 0; i < 1000; i++) world.write({ put: "old" });
    const streams = Array.from({ length: 20 }, () => world.open());
    for (const stream of streams) {
      for (let i = 0; i < 10; i++) world.watch(stream, "old", { startRevision: 1 });
      for (let i = 0; i < 5; i++) world.watch(stream, "new");
    }
    const last = new Map<string, number>();
    for (let round = 0; round < 1500; round++) {
      if (round < 50) world.write({ put: "new" });
      world.hub.tick(0, 600);
      streams.forEach((stream, n) => {
        for (let i = 0; i < 3; i++) {
          const output = stream.take();
          if (output === undefined) break;
          const key = `${n}/${output.watchId}`;
          last.set(key, (last.get(key) ?? 0) + output.events.length);
        }
      });
    }
    world.hub.checkInvariants();
    const counts = [...last].map(([key, count]) => [Number(key.split("/")[1]), count] as const);
    expect(counts).toHaveLength(20 * 15);
    expect(counts.filter(([id, count]) => count !== (id < 10 ? 1000 : 50))).toEqual([]);
  });

  it("#18089: a delete is told although the store was compacted at it before the watcher was served", () => {
    const world = new WatchWorld();
    world.write({ put: "a" });
    const stream = world.open();
    world.watch(stream, "a", { startRevision: 3 });
    world.write({ delete: "a" });
    const late = world.open();
    world.watch(late, "a", { startRevision: 3 });
    world.write({ put: "b" });
    world.compact(3);
    world.settle();
    expect(drain(stream).slice(1)).toEqual(["0@3: -a@3"]);
    expect(drain(late).slice(1)).toEqual(["0@4: -a@3"]);
  });

  it("#19179: a watch that starts at the compacted revision gets the delete at it", () => {
    const world = new WatchWorld();
    world.write({ put: "a" });
    world.write({ delete: "a" }, { put: "b" });
    world.compact(3);
    const stream = world.open();
    world.watch(stream, "a", { startRevision: 3, prevKv: true });
    world.settle();
    expect(drain(stream)).toEqual(["0@3: created", "0@3: -a@3"]);
  });

  it("#20221: a watch of the future gets no progress and nothing old, not even after a snapshot", () => {
    const world = new WatchWorld({ progressIntervalMs: 1000 });
    const stream = world.open();
    world.watch(stream, "a", { startRevision: 6, progressNotify: true });
    world.write({ put: "a" });
    stream.requestProgress();
    world.now = 1000;
    world.tick();
    const ahead = world.store.copy();
    ahead.write({ put: "a" });
    world.hub.restored(ahead.revision, 2, ahead);
    world.store = ahead;
    world.settle();
    stream.requestProgress();
    world.write({ put: "a" });
    world.write({ put: "a" });
    world.now = 2000;
    world.tick();
    expect(drain(stream)).toEqual(["0@1: created"]);
    world.write({ put: "a" });
    stream.requestProgress();
    expect(drain(stream)).toEqual(["0@6: a=v6@6", "-1@6: progress"]);
  });
});

describe("order and damage", () => {
  it("a change told twice, or one left out, is a bug", () => {
    const world = new WatchWorld();
    const set = world.store.write({ put: "a" });
    if (set === undefined) throw new Error("nothing written");
    world.hub.notify(set);
    expect(() => world.hub.notify(set)).toThrow("out of order");
    world.store.write({ put: "a" });
    const later = world.store.write({ put: "a" });
    expect(() => world.hub.notify(later as typeof set)).toThrow("out of order");
  });

  it("a damaged value ends those who watch it, with the record's name, and nothing else", () => {
    class Damaged extends DumbStore {
      override event(change: Change, prevKv: boolean): Event {
        if (prevKv || change.meta.modRevision === 3) {
          throw new DamagedError({ type: "damaged", record: "v3", key: bytesOf("a"), reason: "CRC" });
        }
        return super.event(change, prevKv);
      }
    }
    const store = new Damaged();
    const hub = new WatchHub({}, { store, random: NO_CHANCE });
    const stream = hub.open(() => undefined);
    const write = (key: string) => hub.notify(store.write({ put: key }) as never);
    write("a");
    stream.create(0, watchOf("a"));
    stream.create(0, watchOf("a", { prevKv: true, noDelete: true }));
    stream.create(0, watchOf("b"));
    write("a");
    write("a");
    write("b");
    stream.create(0, watchOf("a", { startRevision: 2 }));
    hub.tick(0, 1000);
    hub.checkInvariants();
    const reason = '"etcdserver: record v3 of key "a" is damaged: CRC"';
    expect(drain(stream).slice(3).sort()).toEqual([
      `0@3: canceled ${reason}`,
      `1@3: canceled ${reason}`,
      "2@5: b=v5@5",
      "3@5: a=v2@2",
      `3@5: canceled ${reason}`,
      "3@5: created",
    ]);
  });
});
