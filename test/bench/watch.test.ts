// Goal: the watch benchmark measures deliveries and not something easier. Method: a short run of each kind; every
// watcher must have got every change. Nothing is said about time.
import { describe, expect, it } from "vitest";
import { catchUp, oneKey, prefixes } from "./watch.ts";

const ROOM = 16 * 1024 * 1024;

describe("watch", () => {
  it.each([
    ["one stream", 1],
    ["a stream each", 100],
  ])("one key, %s: every watcher gets every change", (_name, streams) => {
    const figures = oneKey({ watchers: 100, streams, changes: 20, maxQueuedBytes: ROOM });
    expect(figures.taken).toBe(2000);
  });

  it("prefixes: each change goes to one watcher", () => {
    const figures = prefixes({ watchers: 100, streams: 10, changes: 500, maxQueuedBytes: ROOM });
    expect(figures.taken).toBe(500);
  });

  it.each([
    ["with room for all", ROOM],
    ["with little room", 10_000],
  ])("catching up %s: every watcher gets all of history", (_name, maxQueuedBytes) => {
    expect(catchUp({ watchers: 20, streams: 4, changes: 2000, maxQueuedBytes }).taken).toBe(40_000);
  });
});
