// Goal: watchers of a member hear of every change once, in order and not before it is applied there, whatever happens
// to the member in between. Method: streams on members of the in-memory harness; events as lines of text.
import { describe, expect, it } from "vitest";
import type { WatchStream } from "../../../src/watch/index.ts";
import { put as putOp, txn } from "../../support/kv-world.ts";
import { Cluster, type Node } from "../../support/member-harness.ts";
import { compact, grant, put, remove, revisionOf, write } from "../../support/member-requests.ts";
import { drain, watchOf } from "../watch/watch-kit.ts";

const IDS = [1n, 2n, 3n];
const SMALL = { snapshotEntries: 5, catchUpEntries: 2, backendIntervalMs: 20 };
const ALL = { end: "\0" };

/** A client's stream at a member. */
class Client {
  readonly stream: WatchStream;
  ready = 0;

  constructor(cluster: Cluster, id: bigint, more: Parameters<typeof watchOf>[1] = ALL) {
    this.stream = cluster.member(id).watch.open(() => this.ready++);
    this.stream.create(cluster.now, watchOf("", more));
  }

  /** What came since the last call. */
  lines(): string[] {
    return drain(this.stream);
  }
}

describe("events", () => {
  it("come when the member has applied the change, with all of one revision together", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    cluster.advance(500);
    const follower = cluster.other(leader);
    const client = new Client(cluster, follower, { ...ALL, prevKv: true });
    expect(client.lines()).toEqual(["0@1: created"]);
    const node = cluster.node(follower);
    node.holdLog = true;
    cluster.ask(leader, put("a", "1"));
    cluster.ask(leader, write(txn([], [putOp("b", "2"), putOp("a", "3")])));
    cluster.advance(200);
    expect(client.lines()).toEqual([]);
    const calls = client.ready;
    cluster.flush(node);
    cluster.advance(200);
    expect(client.ready).toBe(calls + 1);
    expect(client.lines()).toEqual(["0@2: a=1@2", "0@3: b=2@3 a=3@3(was 1@2)"]);
    cluster.ask(follower, remove("a"));
    cluster.ask(follower, remove("a"));
    expect(client.lines()).toEqual(["0@4: -a@4(was 3@3)"]);
  });

  it("tell of keys that went with their lease", () => {
    const cluster = Cluster.start(IDS);
    const leader = cluster.elect();
    cluster.ask(leader, grant(2, 7n));
    for (const key of ["b", "a"]) cluster.ask(leader, put(key, "1", { lease: 7n }));
    const client = new Client(cluster, cluster.other(leader));
    client.lines();
    cluster.advance(2_500);
    expect(client.lines()).toEqual(["0@4: -a@4 -b@4"]);
  });

  it("of the past come in ticks that the member asks for", () => {
    const cluster = Cluster.start([1n]);
    cluster.elect();
    cluster.advance(500);
    for (let i = 2; i <= 50; i++) cluster.ask(1n, put("k", String(i)));
    const client = new Client(cluster, 1n, { ...ALL, startRevision: 2 });
    expect(client.lines()).toEqual(["0@50: created"]);
    expect(cluster.member(1n).nextWake()).toBeLessThanOrEqual(cluster.now);
    cluster.advance(100);
    const expected = [...Array(49)].map((_, i) => `k=${i + 2}@${i + 2}`);
    expect(client.lines().flatMap((line) => line.split(" ").slice(1))).toEqual(expected);
    expect(cluster.member(1n).nextWake()).toBeGreaterThan(cluster.now);
  });

  it("tell of progress when nothing happens", () => {
    const cluster = Cluster.start([1n], { watchProgressMs: 5_000 });
    cluster.elect();
    cluster.advance(500);
    const client = new Client(cluster, 1n, { ...ALL, progressNotify: true });
    client.lines();
    cluster.advance(12_000);
    expect(client.lines().filter((line) => line === "0@1: progress").length).toBeGreaterThanOrEqual(1);
  });
});

describe("over a restart", () => {
  it.each([false, true])("history is told as it was (records on disk: %s)", (readsDisk) => {
    const cluster = Cluster.start([1n], { readsDisk });
    cluster.elect();
    cluster.advance(500);
    const live = new Client(cluster, 1n, { ...ALL, prevKv: true });
    live.lines();
    for (const value of ["1", "2", "3"]) cluster.ask(1n, put("a", value));
    cluster.ask(1n, remove("a"));
    cluster.ask(1n, write(txn([], [putOp("b", "4"), putOp("a", "5")])));
    const told = live.lines();
    expect(told.length).toBe(5);
    const node = cluster.node(1n);
    cluster.crash(node);
    cluster.open(node);
    cluster.elect();
    const again = new Client(cluster, 1n, { ...ALL, prevKv: true, startRevision: 2 });
    cluster.advance(500);
    const events = (lines: string[]) => lines.map((line) => line.slice(line.indexOf(" "))).join("");
    expect(events(again.lines())).toBe(` created${events(told)}`);
  });
});

describe("over an installed snapshot", () => {
  /** A member with watchers that is cut off until the log no longer reaches back to it. */
  function cutOff(readsDisk: boolean): { cluster: Cluster; leader: bigint; lagging: Node } {
    const cluster = Cluster.start(IDS, { ...SMALL, readsDisk });
    const leader = cluster.elect();
    cluster.ask(leader, put("k", "1"));
    cluster.advance(500);
    const lagging = cluster.node(cluster.other(leader));
    return { cluster, leader, lagging };
  }

  function fill(cluster: Cluster, leader: bigint, from: number, to: number): void {
    for (let i = from; i <= to; i++) {
      expect(revisionOf(cluster.ask(leader, put("k", String(i))))).toBe(i);
      cluster.advance(5);
    }
    cluster.advance(100);
  }

  it.each([false, true])("no event is lost, doubled or out of order (records on disk: %s)", (readsDisk) => {
    const { cluster, leader, lagging } = cutOff(readsDisk);
    const clients = [ALL, { ...ALL, startRevision: 2 }, { ...ALL, startRevision: 20 }].map(
      (more) => new Client(cluster, lagging.id, more),
    );
    cluster.isolate(lagging.id);
    fill(cluster, leader, 3, 40);
    cluster.heal();
    cluster.until(() => lagging.installed.length > 0);
    fill(cluster, leader, 41, 45);
    const told = clients.map((client) => client.lines().flatMap((line) => line.split(" ").slice(1)));
    const events = (from: number) => [...Array(46 - from)].map((_, i) => `k=${from + i}@${from + i}`);
    expect(told[0]).toEqual(["created", ...events(3)]);
    // Revision 2 was put with another value.
    expect(told[1]).toEqual(["created", "k=1@2", ...events(3)]);
    expect(told[2]).toEqual(["created", ...events(20)]);
  });

  it("who would have to be told what is compacted is cancelled, and told up to where", () => {
    const { cluster, leader, lagging } = cutOff(true);
    const behind = new Client(cluster, lagging.id);
    const ahead = new Client(cluster, lagging.id, { ...ALL, startRevision: 38 });
    behind.lines();
    ahead.lines();
    cluster.isolate(lagging.id);
    fill(cluster, leader, 3, 40);
    cluster.ask(leader, compact(30));
    fill(cluster, leader, 41, 60);
    cluster.heal();
    cluster.until(() => lagging.installed.length > 0);
    cluster.advance(500);
    const [told, ...more] = behind.lines();
    expect(told).toBe("0@60: canceled compacted 30");
    expect(more).toEqual([]);
    const rest = ahead.lines().flatMap((line) => line.split(" ").slice(1));
    expect(rest).toEqual([...Array(23)].map((_, i) => `k=${38 + i}@${38 + i}`));
  });
});
