// Goal: a snapshot that comes in is told of only when it lies complete on the disk, and leaves nothing behind when it
// breaks; one that goes out ends when it is stopped, whatever it waits for. Method: both ends over states in memory.
import { beforeEach, describe, expect, it } from "vitest";
import { rest } from "../../../chaos/driver/world.ts";
import { MemoryDirectory } from "../../../src/backend/memory.ts";
import { type AssertionError, bytesOf } from "../../../src/base/index.ts";
import type { Backend, BackendMeta, Logger, PeerTransport, SnapshotTaker } from "../../../src/env/index.ts";
import {
  beginFrame,
  cutSnapshot,
  type ReceivedSnapshot,
  SnapshotReceiver,
} from "../../../src/member/index.ts";
import type { SnapshotFrame } from "../../../src/pb/index.ts";
import { SnapshotIn } from "../../../src/server/snapshot-in.ts";
import { SnapshotOut } from "../../../src/server/snapshot-out.ts";
import { States } from "../../../src/server/states.ts";

const CONF = { voters: [1n, 2n], votersOutgoing: [], learners: [], learnersNext: [], leaseMs: 0 };
const ignore = (): undefined => undefined;
const SILENT: Logger = { error: ignore, warn: ignore, info: ignore, debug: ignore };
const HEADER = { stream: 5, from: 1n, to: 2n, term: 3 };

function framesOf(index: number, records: Record<string, string> = { a1: "1", b2: "2" }): SnapshotFrame[] {
  const state = { index, term: 2, conf: CONF };
  const entries = Object.entries(records).map(([name, value]) => [name, bytesOf(value)] as const);
  return [...cutSnapshot(HEADER, { ...state, records: new Map(entries) }, 1)];
}

async function takeAll(taker: SnapshotTaker, frames: readonly SnapshotFrame[]): Promise<string> {
  let verdict = "more";
  for (const frame of frames) verdict = await taker.take(frame);
  return verdict;
}

describe("coming in", () => {
  let memory: MemoryDirectory;
  /** Set: what the disk does waits for `proceed`. */
  let waiting: (() => void)[] | undefined;
  let received: ReceivedSnapshot[];
  let bugs: AssertionError[];
  let isInstalling: boolean;
  let states: States;
  let intake: SnapshotIn;

  beforeEach(async () => {
    waiting = undefined;
    memory = new MemoryDirectory(
      () => new Promise((resolve) => (waiting === undefined ? resolve() : waiting.push(resolve))),
    );
    received = [];
    bugs = [];
    isInstalling = false;
    const backend = await memory.open(0);
    states = new States(
      memory,
      { backend, index: 0 },
      {
        backendDurable: ignore,
        stateFailed: (error) => expect.unreachable(String(error)),
        isInstalling: () => isInstalling,
      },
    );
    const events = {
      snapshotReceived: (snapshot: ReceivedSnapshot) => {
        isInstalling = true;
        received.push(snapshot);
      },
      programFailed: (error: AssertionError) => bugs.push(error),
    };
    intake = new SnapshotIn(2n, { states, log: SILENT, events });
  });

  it("is told of when its directory is complete, and not before", async () => {
    const taker = intake.open(1n);
    const frames = framesOf(9);
    await takeAll(taker, frames.slice(0, -1));
    waiting = [];
    const done = taker.take(frames.at(-1) as SnapshotFrame);
    await rest();
    expect(received).toEqual([]);
    for (const proceed of waiting.splice(0)) proceed();
    expect(await done).toBe("done");
    expect(received).toEqual([{ from: 1n, to: 2n, term: 3, meta: { index: 9, term: 2, conf: CONF } }]);
    // It waits to be installed: it stays.
    await rest();
    expect(memory.indexes).toEqual([0, 9]);
    expect((await memory.open(9)).get("b2")).toEqual(bytesOf("2"));
  });

  it("leaves nothing when its connection goes, at any frame", async () => {
    const frames = framesOf(9);
    for (let length = 0; length < frames.length; length++) {
      const taker = intake.open(1n);
      expect(await takeAll(taker, frames.slice(0, length))).toBe("more");
      taker.gone();
      taker.gone();
      expect(await taker.take(frames[length] as SnapshotFrame)).toBe("refused");
      await intake.stop();
      expect(memory.indexes).toEqual([0]);
    }
    expect(received).toEqual([]);
  });

  it("is refused when frames are wrong, and then nothing is left of it", async () => {
    const frames = framesOf(9);
    const [begin, first, , end] = frames as [SnapshotFrame, SnapshotFrame, SnapshotFrame, SnapshotFrame];
    const rows: readonly (readonly SnapshotFrame[])[] = [
      [first],
      [begin, begin],
      [begin, first, end],
      [begin, first, first],
      [...framesOf(9, { b2: "2", a1: "1" })],
      [...framesOf(9, { "!m": "a record of the database" })],
      [beginFrame({ ...HEADER, to: 7n }, { index: 9, term: 2, conf: CONF })],
    ];
    for (const row of rows) {
      expect(await takeAll(intake.open(1n), row)).toBe("refused");
      expect(memory.indexes).toEqual([0]);
    }
    expect(received).toEqual([]);
    expect(bugs).toEqual([]);
  });

  it("gives way to a new stream, of the same snapshot too", async () => {
    const frames = framesOf(9);
    const old = intake.open(1n);
    await takeAll(old, frames.slice(0, 2));
    waiting = [];
    const slow = old.take(frames[2] as SnapshotFrame);
    const young = intake.open(1n);
    const begun = young.take(frames[0] as SnapshotFrame);
    for (let turn = 0; turn < 5; turn++) {
      await rest();
      for (const proceed of waiting.splice(0)) proceed();
    }
    waiting = undefined;
    expect(await slow).toBe("refused");
    expect(await begun).toBe("more");
    expect(await takeAll(young, frames.slice(1))).toBe("done");
    expect(bugs).toEqual([]);
  });

  it("does not replace a directory that waits to be installed", async () => {
    await takeAll(intake.open(1n), framesOf(9));
    const opened = await memory.open(9);
    expect(await takeAll(intake.open(1n), framesOf(9))).toBe("done");
    expect(received).toHaveLength(2);
    expect(opened.get("a1")).toEqual(bytesOf("1"));
    // Once nobody wants it, it goes.
    await opened.close();
    isInstalling = false;
    states.maybeTidy();
    await rest();
    expect(memory.indexes).toEqual([0]);
  });
});

describe("going out", () => {
  let backend: Backend;
  let sent: (readonly [stream: number, ok: boolean])[];
  let opened: BackendMeta[];

  beforeEach(async () => {
    const memory = new MemoryDirectory();
    backend = await memory.open(0);
    const puts = Array.from(
      { length: 600 },
      (_, i) => [`v${String(i).padStart(4, "0")}`, bytesOf("x")] as const,
    );
    await backend.write({ seq: 1, index: 4, term: 2, conf: CONF, puts, deletes: [] });
    sent = [];
    opened = [];
  });

  function outlet(openSnapshot: PeerTransport["openSnapshot"]): SnapshotOut {
    const peers: PeerTransport = {
      start: async () => undefined,
      setPeers: ignore,
      send: ignore,
      relay: ignore,
      openSnapshot,
      close: async () => undefined,
    };
    const events = {
      snapshotOpened: (_stream: number, meta: BackendMeta) => opened.push(meta),
      snapshotSent: (stream: number, ok: boolean) => sent.push([stream, ok]),
      stateFailed: (error: unknown) => expect.unreachable(String(error)),
    };
    return new SnapshotOut(1n, { peers, log: SILENT, events });
  }

  it("carries the state as it was when it began", async () => {
    const receiver = new SnapshotReceiver(2n);
    let last = "";
    const out = outlet(async () => ({
      send: async (frame) => {
        last = receiver.take(frame).type;
      },
      finish: async () => last === "complete",
      close: ignore,
    }));
    out.start({ stream: 5, to: 2n, term: 3 }, backend);
    expect(opened).toEqual([{ index: 4, term: 2, conf: CONF }]);
    await backend.write({
      seq: 2,
      index: 5,
      term: 2,
      conf: CONF,
      puts: [["w", bytesOf("late")]],
      deletes: [],
    });
    await rest();
    expect(sent).toEqual([[5, true]]);
    expect(last).toBe("complete");
  });

  it("ends when it is stopped, and says nothing more, whatever it waits for", async () => {
    const never = new Promise<never>(() => undefined);
    let closed = 0;
    const sink = { finish: () => never, close: () => closed++ };
    const rows: readonly PeerTransport["openSnapshot"][] = [
      () => never,
      async () => ({ ...sink, send: () => never }),
      async () => ({ ...sink, send: async (frame) => (frame.type === "begin" ? undefined : never) }),
      async () => ({ ...sink, send: async () => undefined }),
    ];
    for (const [at, openSnapshot] of rows.entries()) {
      const out = outlet(openSnapshot);
      out.start({ stream: at, to: 2n, term: 3 }, backend);
      await rest();
      out.stop(at);
      await out.letGoOf(backend);
      await out.stopAll();
    }
    expect(sent).toEqual([]);
    expect(closed).toBeGreaterThanOrEqual(3);
  });

  it("ends without success when the other side is gone or refuses", async () => {
    const gone = Promise.reject(new Error("gone"));
    gone.catch(ignore);
    const rows: readonly PeerTransport["openSnapshot"][] = [
      () => gone,
      async () => ({ send: () => gone, finish: async () => true, close: ignore }),
      async () => ({ send: async () => undefined, finish: async () => false, close: ignore }),
      async () => ({ send: async () => undefined, finish: () => gone, close: ignore }),
    ];
    for (const [at, openSnapshot] of rows.entries()) {
      const out = outlet(openSnapshot);
      out.start({ stream: at, to: 2n, term: 3 }, backend);
      await out.letGoOf(backend);
    }
    expect(sent).toEqual(rows.map((_, at) => [at, false]));
  });
});
