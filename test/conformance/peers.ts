/** What every implementation of the peer transport does (src/env/peers.ts), whatever carries the bytes. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { crc32c, type MemberId } from "../../src/base/index.ts";
import type { PeerAddress, PeerStanding, PeerTransport, SnapshotSink } from "../../src/env/index.ts";
import type { SnapshotFrame } from "../../src/pb/index.ts";
import type { Message } from "../../src/raft/types.ts";
import { append, beat, type KeptStream, PeerSide } from "../support/peer-side.ts";

/** A network in the hands of a test. */
export interface PeerWorld {
  /** A started transport. A member that is started again listens where it did before. */
  start(side: PeerSide): Promise<PeerTransport>;
  /** Where `to` is found by `from`. Both were started before. */
  address(from: MemberId, to: MemberId): PeerAddress;
  /** Lets things happen until the condition holds. @throws when it does not come to hold */
  until(condition: () => boolean): Promise<void>;
  /** Breaks all connections between both, and keeps new ones from arising until `heal`. */
  cut(a: MemberId, b: MemberId): void;
  heal(a: MemberId, b: MemberId): void;
  /** Lets everything between both wait, connections and all, until `release`. */
  hold(a: MemberId, b: MemberId): void;
  release(a: MemberId, b: MemberId): void;
  stop(): Promise<void>;
}

const [A, B, C] = [0xan, 0xbn, 0xcn] as const;
const CONF = { voters: [A, B], votersOutgoing: [], learners: [], learnersNext: [], leaseMs: 0 };

/** One message of each kind from one to the other; the large append does not fit into one chunk of any socket. */
function everyKind(from: MemberId, to: MemberId): Message[] {
  const head = { from, to, term: 7 };
  const entry = (index: number, bytes: number) =>
    ({ index, term: 7, type: "normal", data: new Uint8Array(bytes).fill(index) }) as const;
  return [
    { type: "voteRequest", ...head, pre: true, lastIndex: 4, lastTerm: 3, transfer: false },
    { type: "voteResponse", ...head, pre: true, granted: true },
    { type: "append", ...head, prevIndex: 0, prevTerm: 0, commit: 0, entries: [entry(1, 10), entry(2, 0)] },
    { type: "append", ...head, prevIndex: 2, prevTerm: 7, commit: 2, entries: [entry(3, 150_000)] },
    { type: "appendResponse", ...head, rejected: false, index: 3, hintIndex: 0, hintTerm: 0 },
    { type: "timeoutNow", ...head },
    { type: "propose", ...head, entries: [{ type: "normal", data: new Uint8Array([1, 2, 3]) }] },
    { type: "readIndex", ...head, requestId: 5, lease: true },
    { type: "readIndexResponse", ...head, requestId: 5, index: 3 },
    { ...beat(from, to, 9), term: 7 },
    { type: "heartbeatResponse", ...head, round: 9, promised: true },
  ];
}

/** Frames of a whole stream with so many chunks of one record each. */
function frames(chunks: number, bytes: number): SnapshotFrame[] {
  const meta = { index: 9, term: 3, conf: CONF };
  const value = new Uint8Array(bytes).fill(5);
  const middle = Array.from({ length: chunks }, (_, sequence) => {
    const records = [[`k${sequence}`, value]] as const;
    return { type: "chunk", stream: 1, sequence, records } as const;
  });
  const end = { type: "end", stream: 1, records: chunks, hash: 77 } as const;
  return [{ type: "begin", stream: 1, from: A, to: B, term: 3, meta }, ...middle, end];
}

/** The same value with short words for its bytes: comparing megabytes one by one takes minutes. */
function brief(value: unknown): unknown {
  if (value instanceof Uint8Array) return `${value.length} bytes, crc ${crc32c(value)}`;
  if (Array.isArray(value)) return value.map(brief);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, brief(part)]));
}

const NEVER = new AbortController().signal;

/** Runs the suite in worlds that `make` makes, a new one per test. */
export function peerConformance(name: string, make: () => Promise<PeerWorld>): void {
  describe(`peers: ${name}`, () => {
    let world: PeerWorld;
    let a: PeerSide;
    let b: PeerSide;
    let toB: PeerTransport;
    let toA: PeerTransport;
    beforeEach(async () => {
      world = await make();
      a = new PeerSide(A);
      b = new PeerSide(B);
      toB = await world.start(a);
      toA = await world.start(b);
    });
    afterEach(() => world.stop());

    function introduce(): void {
      toB.setPeers([world.address(A, B)]);
      toA.setPeers([world.address(B, A)]);
    }

    /** A heartbeat of this round arrives, however often it has to be sent. */
    async function reaches(
      from: PeerTransport,
      to: PeerSide,
      [sender, round]: [MemberId, number],
    ): Promise<void> {
      const has = (): boolean => to.received.some((m) => m.type === "heartbeat" && m.round === round);
      await world.until(() => {
        if (!has()) from.send([beat(sender, to.member, round)]);
        return has();
      });
    }

    async function connected(): Promise<void> {
      introduce();
      await reaches(toB, b, [A, 1]);
      await reaches(toA, a, [B, 1]);
      for (const side of [a, b]) {
        // Repetitions of the heartbeats that made sure of the connection come before what follows.
        side.lost.length = 0;
      }
    }

    /** What came, without the heartbeats that made sure of the connection. */
    function received(side: PeerSide): Message[] {
      return side.received.filter((m) => m.type !== "heartbeat" || m.term !== 1);
    }

    function sortedByUrgency(messages: readonly Message[]): Message[] {
      const isUrgent = (m: Message): boolean => m.type === "heartbeat" || m.type === "heartbeatResponse";
      return [...messages.filter(isUrgent), ...messages.filter((m) => !isUrgent(m))];
    }

    /** Lets the world go on until the promise is settled. */
    async function settled<T>(promise: Promise<T>): Promise<T> {
      let isSettled = false;
      const note = (): void => {
        isSettled = true;
      };
      promise.then(note, note);
      await world.until(() => isSettled);
      return promise;
    }

    describe("messages", () => {
      it("of every kind arrive unchanged, heartbeats first and the rest in order, both ways", async () => {
        await connected();
        toB.send(everyKind(A, B));
        toA.send(everyKind(B, A));
        await world.until(() => received(a).length === 11 && received(b).length === 11);
        expect(brief(sortedByUrgency(received(b)))).toEqual(brief(sortedByUrgency(everyKind(A, B))));
        expect(brief(sortedByUrgency(received(a)))).toEqual(brief(sortedByUrgency(everyKind(B, A))));
        expect(received(b).slice(0, 2)).toEqual(everyKind(A, B).slice(-2));
      });

      it("are questions and answers, too, both ways; they may be lost, and that is told", async () => {
        await connected();
        const question = { type: "ask", number: 1, request: { type: "leaseKeepAlive", lease: 7n } } as const;
        const answer = { type: "reply", number: 1, answer: { type: "changed", index: 5 } } as const;
        toB.relay(B, question);
        await world.until(() => b.relays.length === 1);
        expect(b.relays).toEqual([[A, question]]);
        toA.relay(A, answer);
        await world.until(() => a.relays.length === 1);
        expect(a.relays).toEqual([[B, answer]]);
        toB.relay(C, question);
        expect(a.lost).toEqual([]);
        await world.until(() => a.lost.includes(C));
      });

      it("of many calls arrive in order", async () => {
        await connected();
        for (let index = 1; index <= 500; index++) toB.send([append(A, B, index, 100)]);
        await world.until(() => received(b).length === 500);
        expect(received(b).map((m) => (m.type === "append" ? m.prevIndex : -1))).toEqual(
          Array.from({ length: 500 }, (_, i) => i),
        );
        expect(a.lost).toEqual([]);
      });

      it("larger than all that may wait still goes, alone", async () => {
        await connected();
        const large = append(A, B, 1, 3_000_000);
        toB.send([large]);
        await world.until(() => received(b).length === 1);
        expect(brief(received(b))).toEqual(brief([large]));
      });

      it("without a connection are dropped, told once per peer and call, after the call", async () => {
        toB.send([beat(A, B, 1), beat(A, C, 1), beat(A, B, 2)]);
        expect(a.lost).toEqual([]);
        await world.until(() => a.lost.length > 0);
        expect([...a.lost].sort()).toEqual([B, C]);
        toB.send([beat(A, B, 3)]);
        await world.until(() => a.lost.length > 2);
        expect(a.lost.slice(2)).toEqual([B]);
      });

      it("that a stalled peer leaves lying are dropped and told; what arrives later is in order", async () => {
        await connected();
        world.hold(A, B);
        let sent = 0;
        await world.until(() => {
          for (let i = 0; i < 8; i++) toB.send([append(A, B, ++sent, 60_000)]);
          expect(sent).toBeLessThan(1_000);
          return a.lost.includes(B);
        });
        world.release(A, B);
        await reaches(toB, b, [A, 2]);
        const indexes = received(b).map((m) => (m.type === "append" ? m.prevIndex : -1));
        expect(indexes.length).toBeGreaterThan(0);
        expect(indexes.length).toBeLessThan(sent);
        expect(indexes).toEqual([...new Set(indexes)].sort((x, y) => x - y));
      });
    });

    describe("connections", () => {
      it("are made when a peer starts later, and again when it comes back", async () => {
        await toA.close();
        toB.setPeers([world.address(A, B)]);
        toB.send([beat(A, B, 1)]);
        await world.until(() => a.lost.length > 0);
        for (let life = 2; life < 5; life++) {
          const again = new PeerSide(B);
          const transport = await world.start(again);
          await reaches(toB, again, [A, life]);
          await transport.close();
          a.lost.length = 0;
          await world.until(() => {
            toB.send([beat(A, B, 100)]);
            return a.lost.length > 0;
          });
        }
      });

      it("that break are told of, and made again when they can be", async () => {
        await connected();
        world.cut(A, B);
        await world.until(() => a.lost.includes(B) && b.lost.includes(A));
        world.heal(A, B);
        await reaches(toB, b, [A, 2]);
        await reaches(toA, a, [B, 2]);
      });

      it("let a member answer that was called and knows nobody", async () => {
        for (const side of [a, b]) side.standings.set(side === a ? B : A, { type: "unknown" });
        toB.setPeers([world.address(A, B)]);
        await reaches(toB, b, [A, 1]);
        await reaches(toA, a, [B, 1]);
      });

      const removed: PeerStanding = { type: "removed" };
      const pinned: PeerStanding = { type: "known", pinnedInstance: 0xdeadn };
      it.each<[string, () => unknown]>([
        ["a member of another cluster", () => Object.assign(b, { cluster: 0xc2n })],
        ["a removed member", () => a.standings.set(B, removed)],
        ["a member that lost its data", () => a.standings.set(B, pinned)],
        ["a member that holds this one for removed", () => b.standings.set(A, removed)],
      ])("are refused to %s, while others get theirs", async (_, spoil) => {
        const c = new PeerSide(C);
        const toAll = await world.start(c);
        spoil();
        c.cluster = a.cluster;
        introduce();
        toB.setPeers([world.address(A, B), world.address(A, C)]);
        toAll.setPeers([world.address(C, A)]);
        await world.until(() => {
          toB.send([beat(A, B, 1)]);
          toA.send([beat(B, A, 1)]);
          return a.lost.length > 5;
        });
        await reaches(toB, c, [A, 2]);
        await reaches(toAll, a, [C, 2]);
        expect(b.received).toEqual([]);
        expect(a.received.filter((m) => m.from === B)).toEqual([]);
        await expect(settled(toB.openSnapshot(B, NEVER))).rejects.toThrow("no snapshot stream to member b");
      });

      it("with a member that is no peer any more are closed at once", async () => {
        await connected();
        a.standings.set(B, { type: "removed" });
        toB.setPeers([]);
        await world.until(() => b.lost.includes(A));
        const before = a.received.length;
        toB.send([beat(A, B, 50)]);
        toA.send([beat(B, A, 50)]);
        await world.until(() => a.lost.includes(B));
        expect(a.received.length).toBe(before);
        expect(b.received.some((m) => m.type === "heartbeat" && m.round === 50)).toBe(false);
      });

      it("end with close, which may be called again; nothing is said afterwards", async () => {
        await connected();
        await toB.close();
        await toB.close();
        toB.send([beat(A, B, 2)]);
        await world.until(() => b.lost.includes(A));
        expect(a.lost).toEqual([]);
        await expect(settled(toB.openSnapshot(B, NEVER))).rejects.toThrow("closed");
      });
    });

    describe("snapshot streams", () => {
      async function opened(): Promise<[SnapshotSink, KeptStream]> {
        const before = b.streams.length;
        const sink = open();
        await world.until(() => b.streams.length > before);
        const stream = b.streams[before];
        if (stream === undefined) throw new Error("no stream");
        return [await sink, stream];
      }

      const open = (signal: AbortSignal = NEVER): Promise<SnapshotSink> =>
        settled(toB.openSnapshot(B, signal));

      /** Sends them all. */
      async function sendAll(sink: SnapshotSink, all: readonly SnapshotFrame[]): Promise<void> {
        for (const frame of all) await settled(sink.send(frame));
      }

      it("carry all frames in order; the sender hears that they are durable", async () => {
        await connected();
        const [sink, stream] = await opened();
        const all = frames(20, 100_000);
        await sendAll(sink, all);
        expect(await settled(sink.finish())).toBe(true);
        expect(brief(stream.frames)).toEqual(brief(all));
        expect(stream.from).toBe(A);
        expect(stream.isGone).toBe(false);
        await reaches(toB, b, [A, 2]);
      });

      it.each([["begin"], ["chunk"], ["end"]])("are refused by the receiver at %s", async (at) => {
        b.answer = async ({ type }) => (type === at ? "refused" : "more");
        await connected();
        const [sink, stream] = await opened();
        for (const frame of frames(3, 10)) await settled(sink.send(frame)).catch(() => undefined);
        expect(await settled(sink.finish())).toBe(false);
        await expect(sink.send(frames(0, 0)[0] as SnapshotFrame)).rejects.toThrow("is gone");
        expect(stream.isGone).toBe(false);
        expect(stream.frames.at(-1)?.type).toBe(at);
      });

      it("wait for a receiver that is slow", async () => {
        let answer: (() => void) | undefined;
        b.answer = ({ type }) =>
          new Promise((resolve) => {
            answer = () => resolve(type === "end" ? "done" : "more");
          });
        await connected();
        const [sink, stream] = await opened();
        const all = frames(64, 1_000_000);
        let sent = 0;
        const sending = (async () => {
          for (const frame of all) {
            await sink.send(frame);
            sent++;
          }
          return sink.finish();
        })();
        await world.until(() => answer !== undefined);
        for (let round = 2; round < 40; round++) await reaches(toB, b, [A, round]);
        expect(stream.frames.length).toBe(1);
        expect(sent).toBeLessThan(48);
        await world.until(() => {
          answer?.();
          return stream.frames.length === all.length;
        });
        await world.until(() => {
          answer?.();
          return true;
        });
        expect(await settled(sending)).toBe(true);
      });

      it("that the sender closes are gone for the receiver", async () => {
        await connected();
        const [sink, stream] = await opened();
        await settled(sink.send(frames(0, 0)[0] as SnapshotFrame));
        sink.close();
        sink.close();
        await world.until(() => stream.isGone);
        await expect(sink.send(frames(0, 0)[0] as SnapshotFrame)).rejects.toThrow("is gone");
        await expect(sink.finish()).rejects.toThrow("is gone");
      });

      it("that break are gone for both", async () => {
        b.answer = () => new Promise(() => undefined);
        await connected();
        const [sink, stream] = await opened();
        await settled(sink.send(frames(0, 0)[0] as SnapshotFrame));
        world.cut(A, B);
        await expect(settled(sink.finish())).rejects.toThrow("is gone");
        await world.until(() => stream.isGone);
      });

      it("whose receiver fails are gone for both", async () => {
        b.answer = async () => Promise.reject(new Error("no space left"));
        await connected();
        const [sink, stream] = await opened();
        await settled(sink.send(frames(0, 0)[0] as SnapshotFrame));
        await settled(sink.finish()).then(
          (all) => expect(all).toBe(false),
          (error) => expect(String(error)).toContain("is gone"),
        );
        await world.until(() => stream.isGone);
      });

      it("take the place of an older one of the same peer", async () => {
        await connected();
        const [older, gone] = await opened();
        const [newer, stream] = await opened();
        await world.until(() => gone.isGone);
        await expect(settled(older.finish())).rejects.toThrow("is gone");
        await sendAll(newer, frames(2, 10));
        expect(await settled(newer.finish())).toBe(true);
        expect(stream.isGone).toBe(false);
      });

      it("cannot be opened to a member that is away, or unknown, or after they were given up", async () => {
        await connected();
        await expect(settled(toB.openSnapshot(C, NEVER))).rejects.toThrow("no snapshot stream to member c");
        const given = new AbortController();
        const opening = toB.openSnapshot(B, given.signal);
        given.abort();
        await expect(settled(opening)).rejects.toThrow("given up");
        await toA.close();
        await expect(open()).rejects.toThrow("no snapshot stream to member b");
      });

      it("end when the member is no peer any more", async () => {
        await connected();
        const [sink, stream] = await opened();
        toB.setPeers([]);
        await world.until(() => stream.isGone);
        await expect(settled(sink.finish())).rejects.toThrow("is gone");
      });
    });
  });
}
